#!/usr/bin/env bash
# `make test`: every test. Unit and database tests first (they need no cluster), then a node of the tests' own beside any
# other, with its own data, addresses and network namespace; it is removed at the end, whatever happened.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
unset KUBECONFIG
# Settings of a berthd of the caller's are not those of the tests.
for setting in "${!BERTH_@}"; do [[ $setting != *__* ]] || unset "$setting"; done

step() { printf '\n== %s (at %d s)\n' "$*" "$SECONDS"; }

# nextest ARGS…: always the whole workspace, narrowed by an expression: another choice of packages would be another choice of
# features, and everything would be compiled again. The daemon that the end-to-end tests start is built with its own tests.
nextest() { cargo nextest run --locked --workspace "$@"; }

step "Rust: units, contracts and both databases"
npm ci --prefix e2e/oidc --no-audit --no-fund --silent
nextest -E 'not package(berth-e2e)'

step "Go: units and the packet filter in network namespaces"
(cd node && go test $(go list ./... | grep -v /acceptance))

step "A node of the tests' own, and an authority for certificates"
e2e/pebble/build.sh
start_test_node
export BERTH_E2E_KUBECONFIG=$BERTH_DATA/berthd.kubeconfig
service_kubeconfig "$BERTH_E2E_KUBECONFIG"

step "Network policy on the node"
(cd node && CTR=$bin/ctr CONTAINERD_ADDRESS=$BERTH_DATA/run/containerd.sock go test -count=1 ./acceptance/netpol)

step "The product, end to end"
nextest -E 'package(berth-e2e)'

step "The node: healing, stopping, leaving nothing"
(cd node && go test -count=1 -timeout 15m ./acceptance/lifecycle)
