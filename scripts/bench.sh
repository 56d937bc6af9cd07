#!/usr/bin/env bash
# `make bench`: figures as ratios against a peer in the same run, on a node of its own beside that of `make test`.
# `make bench ARGS="create list"` (or these words as arguments) measures only those.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
unset KUBECONFIG
read -ra rows <<<"${ARGS:-}"
# A thousand sockets, at both ends.
ulimit -n "$(ulimit -Hn)"
start_test_node bench 10.41.250.0/30 10.94.0.0/16
export BERTH_E2E_KUBECONFIG=$BERTH_DATA/berthd.kubeconfig
service_kubeconfig "$BERTH_E2E_KUBECONFIG"
BERTHD=$root/target/release/berthd target/release/bench "${rows[@]}" "$@"
