#!/usr/bin/env bash
# Builds the embedded node into OUTDIR (build/node/bin): upstream components at pinned versions, each with its own modules, and our glue.
# What was built from the same versions stays.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../build/node/bin}
mkdir -p "$out"
out=$(cd "$out" && pwd)

kubernetes=v1.36.3
containerd=v2.4.2
plugins=v1.9.1
runc=v1.5.2
metrics_server=v0.9.0

# once NAME VERSION COMMAND…: runs the command unless NAME was built from VERSION here before.
once() {
    local name=$1 version=$2
    shift 2
    [ -x "$out/$name" ] && [ "$(cat "$out/.$name" 2>/dev/null)" = "$version" ] && return
    echo "building $name ($version)"
    "$@"
    echo "$version" >"$out/.$name"
}
static() { CGO_ENABLED=0 GOBIN=$out GOFLAGS=-mod=mod go install -trimpath -ldflags "-s -w" "$@"; }
module() { (cd "$here/$1" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w ${3:-}" -o "$out/$2" .); }

version=k8s.io/component-base/version
once kube-node "$kubernetes $(cat "$here/upstream/kube/"* | sha256sum | cut -c1-16)" module upstream/kube kube-node \
    "-X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=36"
once coredns "$(cat "$here/upstream/coredns/"* | sha256sum | cut -c1-16)" module upstream/coredns coredns
for name in containerd containerd-shim-runc-v2 ctr; do
    once $name $containerd static github.com/containerd/containerd/v2/cmd/$name@$containerd
done
for path in main/ptp main/loopback ipam/host-local; do
    once "${path#*/}" $plugins static github.com/containernetworking/plugins/plugins/$path@$plugins
done
once metrics-server $metrics_server static sigs.k8s.io/metrics-server/cmd/metrics-server@$metrics_server
once runc $runc env CGO_ENABLED=1 GOBIN="$out" go install -trimpath -tags seccomp -ldflags "-s -w" github.com/opencontainers/runc@$runc
"$here/../images/pause/build.sh" "$out"
(cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$out/" ./cmd/berth-node ./cmd/berth-policy)
