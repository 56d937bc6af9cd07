#!/usr/bin/env bash
# `make test`: every test. Unit and database tests first (they need no cluster), then a node of the tests' own beside any
# other, with its own data, addresses and network namespace; it is removed at the end, whatever happened.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
unset KUBECONFIG

step() { printf '\n== %s (at %d s)\n' "$*" "$SECONDS"; }

step "Rust: units, contracts and both databases"
npm ci --prefix e2e/oidc --no-audit --no-fund --silent
cargo nextest run --workspace --exclude berth-e2e
cargo build --quiet -p berthd

step "Go: units and the packet filter in network namespaces"
(cd node && go test $(go list ./... | grep -v /acceptance))

step "A node of the tests' own"
start_test_node

step "Network policy on the node"
(cd node && go test -count=1 ./acceptance/netpol)

step "The product, end to end"
cargo nextest run -p berth-e2e

step "The node: healing, stopping, leaving nothing"
(cd node && go test -count=1 -timeout 15m ./acceptance/lifecycle)
