#!/usr/bin/env bash
# Makes sure of everything Berth is built and run with. Installs Debian packages and the two cargo tools that are missing;
# names the toolchains that are missing, because those are the machine owner's choice.
set -euo pipefail

missing=()
command -v cargo >/dev/null || missing+=("cargo: Rust 1.95 or newer (rustup)")
command -v go >/dev/null || missing+=("go: Go 1.26 or newer")
command -v node >/dev/null || missing+=("node: Node.js 20 or newer")
command -v npm >/dev/null || missing+=("npm: comes with Node.js")
if [ ${#missing[@]} -gt 0 ]; then
    printf 'Berth needs these toolchains first:\n' >&2
    printf '  %s\n' "${missing[@]}" >&2
    exit 1
fi
[ "$(id -u)" = 0 ] || { echo "Berth's embedded Kubernetes needs root: run this as root." >&2; exit 1; }

packages=(build-essential ca-certificates conntrack curl docker-registry e2fsprogs iproute2 iptables jq libseccomp-dev
    mmdebstrap nftables openssl pkg-config postgresql procps socat util-linux)
# Clients that the tests drive, and what the smallest images that they stand for are made of.
[ "${1:-}" != test ] || packages+=(bind9-dnsutils busybox-static dropbear-bin git musl musl-tools openssh-client pebble python3
    python3-asyncssh python3-paramiko python3-requests python3-websocket rsync)
# Peers that the benchmarks measure against, and what loads them.
[ "${1:-}" != bench ] || packages+=(haproxy nginx-light openssh-client openssh-server wrk)
wanted=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || wanted+=("$package")
done
if [ ${#wanted[@]} -gt 0 ]; then
    echo "installing Debian packages: ${wanted[*]}"
    log=$(mktemp)
    # RUNLEVEL keeps packages from starting services of their own: Berth starts what it needs, where it needs it.
    if ! { apt-get update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${wanted[@]}"; } >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
    rm -f "$log"
fi

if [ "${1:-}" = test ]; then
    for tool in cargo-nextest cargo-deny; do
        command -v "$tool" >/dev/null || { echo "installing $tool (a few minutes, once)"; cargo install --locked --quiet "$tool"; }
    done
fi
