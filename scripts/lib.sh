# Shared by the scripts beside it: where things are, and how a base image and berthd's own credentials get into a cluster.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/build/node/bin

# kubectl ARGS…: the cluster's own version where we built it.
kubectl() {
    if [ -x "$bin/kube-node" ]; then "$bin/kube-node" kubectl "$@"; else command kubectl "$@"; fi
}

# ask_registry_at NODE_ADDRESS: tells berthd where the node's registry is asked, which it knows only by its name in references.
ask_registry_at() {
    export BERTH_REGISTRY__ENDPOINT=http://$1:5000
}

# push_base_image NODE_ADDRESS: builds the built-in image (once per recipe) and pushes it to the node's registry.
push_base_image() {
    "$root/images/base/build.sh" "$root/build/base"
    local name=registry.berth.internal/berth/base
    "$bin/berth-node" image build --from-rootfs "$root/build/base/rootfs.tar" --ref "$name:latest" --ref "$name:bookworm" \
        --entrypoint /usr/bin/tini --entrypoint -- --cmd sleep --cmd infinity --env LANG=C.UTF-8 --push "http://$1:5000"
}

# push_agent_image NODE_ADDRESS: builds the agent's image and pushes it to the node's registry. Its tag names its content, so
# that pods change when it does and only then; the setting is exported for berthd.
push_agent_image() {
    "$root/images/agent/build.sh" "$root/build/agent"
    local name=registry.berth.internal/berth/agent tag
    tag=$(sha256sum "$root/build/agent/berth-agent" | cut -c1-16)
    "$bin/berth-node" image build --file "$root/build/agent/berth-agent:/berth-agent" --ref "$name:latest" --ref "$name:$tag" \
        --entrypoint /berth-agent --push "http://$1:5000"
    export BERTH_CLUSTER__AGENT_IMAGE=$name:$tag
}

# service_kubeconfig FILE: credentials of the service account that deploy/rbac.yaml makes, from the admin's in $KUBECONFIG;
# makes routes.berth.dev known first.
service_kubeconfig() {
    local server ca token
    kubectl apply -f "$root/deploy/crd-routes.yaml" -f "$root/deploy/rbac.yaml" \
        -f "$root/deploy/rbac-gateway.yaml" -f "$root/deploy/network-policy.yaml" >/dev/null
    kubectl wait --for=condition=Established --timeout=60s crd/routes.berth.dev >/dev/null
    server=$(kubectl config view --raw --minify --flatten -o jsonpath='{.clusters[0].cluster.server}')
    ca=$(kubectl config view --raw --minify --flatten -o jsonpath='{.clusters[0].cluster.certificate-authority-data}')
    token=$(kubectl create token berthd --namespace berth-system --duration 8760h)
    (umask 077; cat >"$1" <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: berth, cluster: {server: "$server", certificate-authority-data: "$ca"}}]
users: [{name: berthd, user: {token: "$token"}}]
contexts: [{name: berth, context: {cluster: berth, user: berthd}}]
current-context: berth
CONFIG
    )
}

# wait_for WHAT SECONDS COMMAND…: polls until the command succeeds; says what it waited for when it does not.
wait_for() {
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { echo "gave up waiting for $what" >&2; return 1; }
        read -rt 0.2 <> <(:) || :
    done
}

# running PIDFILE: whether the daemon that the file names runs and is berthd.
running() {
    [ -f "$1" ] && [ "$(cat "/proc/$(cat "$1")/comm" 2>/dev/null)" = berthd ]
}

# stop_daemon PIDFILE: asks it to end, waits, and insists after 20 s.
stop_daemon() {
    running "$1" || { rm -f "$1"; return 0; }
    local pid
    pid=$(cat "$1")
    kill -TERM "$pid"
    wait_for "berthd to end" 20 test ! -e "/proc/$pid" || kill -KILL "$pid"
    rm -f "$1"
}

# start_test_node [INSTANCE LINK POD_CIDR]: a node of the script's own beside any other, with its own data, addresses and
# network namespace, and the base image in its registry; removed when the script ends, whatever happened. Sets KUBECONFIG.
start_test_node() {
    export BERTH_NODE_INSTANCE=${1:-test} BERTH_NODE_LINK=${2:-10.41.252.0/30} BERTH_POD_CIDR=${3:-10.91.0.0/16}
    export BERTH_DATA=${BERTH_TEST_DATA:-/var/lib/berth-$BERTH_NODE_INSTANCE}
    trap remove_test_node EXIT
    "$bin/berth-node" up
    export KUBECONFIG=$BERTH_DATA/kubeconfig
    push_base_image "$(node_address)"
    push_agent_image "$(node_address)"
    ask_registry_at "$(node_address)"
}

remove_test_node() {
    local log=$root/build/reset-$BERTH_NODE_INSTANCE.log
    "$bin/berth-node" reset --yes >"$log" 2>&1 || { cat "$log"; return 1; }
    rm -f "${BERTH_E2E_KUBECONFIG:-}"
    [ ! -d "$BERTH_DATA" ] || rmdir --ignore-fail-on-non-empty "$BERTH_DATA"
}

# node_address: the node's own address, where its registry listens too.
node_address() {
    kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}'
}
