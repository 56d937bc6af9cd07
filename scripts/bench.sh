#!/usr/bin/env bash
# `make bench`: figures as ratios against a peer in the same run, on a node of its own.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
unset KUBECONFIG
start_test_node
BERTHD=$root/target/release/berthd target/release/bench "$@"
