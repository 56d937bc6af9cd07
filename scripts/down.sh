#!/usr/bin/env bash
# `make down`: stops berthd and the embedded node; keeps all data.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
data=${BERTH_DATA:-/var/lib/berth}
stop_daemon "$data/berthd/berthd.pid"
if [ -z "${KUBECONFIG:-}" ] && [ -x "$bin/berth-node" ]; then
    BERTH_DATA=$data "$bin/berth-node" down
fi
