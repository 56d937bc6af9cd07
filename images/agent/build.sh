#!/usr/bin/env bash
# Builds the agent into OUTDIR/berth-agent: static, because it runs in an image that holds nothing else, and in tenants' images.
set -euo pipefail
out=${1:?usage: build.sh OUTDIR}
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$out"
host=$(rustc -vV | sed -n 's/^host: //p')
# A target of its own keeps the flag from everything that is built for this machine, procedural macros above all.
(cd "$root" && cargo build --locked --quiet --package berth-agent --profile agent --target "$host" \
    --config 'build.rustflags=["-Ctarget-feature=+crt-static"]')
cmp -s "$root/target/$host/agent/berth-agent" "$out/berth-agent" && exit 0
cp "$root/target/$host/agent/berth-agent" "$out/berth-agent.new"
mv "$out/berth-agent.new" "$out/berth-agent"
