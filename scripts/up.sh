#!/usr/bin/env bash
# `make up`: a cluster (the embedded one unless KUBECONFIG names another), berthd on SQLite, the first login.
# Safe to run again: what runs and is up to date stays as it is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
data=${BERTH_DATA:-/var/lib/berth}
state=$data/berthd
listen=${BERTH_LISTEN:-127.0.0.1:7070}
metrics=${BERTH_METRICS_LISTEN:-127.0.0.1:7071}
domain=${BERTH_DOMAIN:-localhost}
address=${BERTH_ADDRESS:-127.0.0.1}
# More addresses of this machine, for containers to have: BERTH_DEDICATED="203.0.113.8 203.0.113.9".
[ "$address" != 127.0.0.1 ] || loopback="127.0.0.2 127.0.0.3 127.0.0.4"
dedicated=$(printf '"%s", ' ${BERTH_DEDICATED-${loopback:-}} | sed 's/"", //; s/, $//')
mkdir -p "$state" "$root/.berth"

# first_free PORT…: the first that nobody listens on, else the last.
first_free() {
    local port
    for port in "$@"; do
        [ -n "$(ss -Hltn "sport = :$port")" ] || break
    done
    echo "$port"
}

# setting KEY: of berth.toml, where it stands on a line of its own.
setting() { sed -n "s/^$1 = *//p" "$state/berth.toml" | tail -n 1; }

chmod 700 "$state" "$root/.berth"

if [ -z "${KUBECONFIG:-}" ]; then
    BERTH_DATA=$data "$bin/berth-node" up
    export KUBECONFIG=$data/kubeconfig
    push_base_image "$(node_address)"
    push_agent_image "$(node_address)"
    # What the file says of the registry counts.
    grep -qs '^\[registry\]' "$state/berth.toml" || ask_registry_at "$(node_address)"
fi

service_kubeconfig "$state/kubeconfig"
if [ ! -f "$state/berth.toml" ]; then
    case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
    cat >"$state/berth.toml" <<CONFIG
# Written by the first \`make up\`; yours to change (then \`make up\` again).
kubeconfig = "$state/kubeconfig"

[server]
listen = "$listen"
metrics_listen = "$metrics"

[database]
url = "sqlite://$state/berth.db"

[api]
domain = "$domain"

[[instance_types]]
name = "nano"
millicores = 500
arch = "$arch"
[[instance_types]]
name = "micro"
millicores = 1000
arch = "$arch"
[[instance_types]]
name = "mini"
millicores = 2000
arch = "$arch"
CONFIG
fi
# Settings of an earlier version have no gateway yet.
grep -q '^\[gateway\]' "$state/berth.toml" || cat >>"$state/berth.toml" <<CONFIG

[gateway]
keys = "$state/gateway"
spool = "$state/spool"
# Where containers are reached: SSH, and the ports 80, 443 and 8000 to 8999 or what stands for them here.
addresses = ["$address"]
# Each container gets one that no other of its owner's has: \`ssh root@<address>\` leads to it, and its rules may be raw TCP.
dedicated = [$dedicated]
ssh_port = $(first_free 22 2222)
http_port = $(first_free 80 10080)
https_port = $(first_free 443 10443)
base_port = $([ -n "$(ss -Hltn 'sport >= :8000 and sport <= :8999')" ] && echo 18000 || echo 8000)
CONFIG

berthd=$root/target/release/berthd
export BERTH_CONFIG=$state/berth.toml
stop_daemon "$state/berthd.pid"
first=no
[ -f "$state/login" ] || first=yes
"$berthd" init --credentials "$state/login"
setsid "$berthd" all >>"$state/berthd.log" 2>&1 </dev/null &
echo $! >"$state/berthd.pid"
wait_for "berthd to be ready (see $state/berthd.log)" 60 curl -fsS "http://$listen/readyz"

if [ ! -f "$state/token" ]; then
    (umask 077; "$berthd" token "$(sed -n 's/^username: //p' "$state/login")" --name make-up >"$state/token")
fi
(umask 077; cat >"$root/.berth/env" <<ENV
BERTH_URL=http://$listen
BERTH_TOKEN=$(cat "$state/token")
BERTH_DOMAIN=$domain
KUBECONFIG=$KUBECONFIG
ENV
)

echo
echo "Berth is up: http://$listen"
if [ $first = yes ]; then
    echo "First login (also in $state/login, mode 0600):"
    sed 's/^/  /' "$state/login"
else
    echo "The first login is in $state/login."
fi
domain=$(setting domain | tr -d '"') ssh_port=$(setting ssh_port) https_port=$(setting https_port)
# Every resolver knows localhost; names below it are known to browsers and curl, and to few others.
[ "$domain" = localhost ] && host=localhost || host=compute.$domain
echo "Once a container runs and has SSH on: ssh -p $ssh_port <id>@$host"
echo "Its ports: http and https at <id>.compute.$domain (HTTPS on $https_port). Whom browsers have to trust for that:"
echo "  BERTH_CONFIG=$BERTH_CONFIG $berthd trust"
echo "For scripts: . .berth/env"
