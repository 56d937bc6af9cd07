#!/usr/bin/env bash
# `make test`: every test. Unit and database tests first (they need no cluster), then a node of the tests' own beside any
# other, with its own data, addresses and network namespace; it is removed at the end, whatever happened.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
export BERTH_DATA=${BERTH_TEST_DATA:-/var/lib/berth-test}
export BERTH_NODE_INSTANCE=test BERTH_NODE_LINK=10.41.252.0/30 BERTH_POD_CIDR=10.91.0.0/16
unset KUBECONFIG

step() { printf '\n== %s (at %d s)\n' "$*" "$SECONDS"; }

step "Rust: units, contracts and both databases"
cargo nextest run --workspace --exclude berth-e2e
cargo build --quiet -p berthd

step "Go: units and the packet filter in network namespaces"
(cd node && go test $(go list ./... | grep -v /acceptance))

step "A node of the tests' own"
remove_node() { "$bin/berth-node" reset --yes >"$root/build/reset.log" 2>&1 || { cat "$root/build/reset.log"; return 1; }; }
trap remove_node EXIT
"$bin/berth-node" up
export KUBECONFIG=$BERTH_DATA/kubeconfig
push_base_image "$(kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}')"

step "Network policy on the node"
(cd node && go test -count=1 ./acceptance/netpol)

step "The product, end to end"
cargo nextest run -p berth-e2e

step "The node: healing, stopping, leaving nothing"
(cd node && go test -count=1 -timeout 15m ./acceptance/lifecycle)
