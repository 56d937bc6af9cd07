#!/usr/bin/env bash
# Builds pebble, the ACME authority for tests, into build/pebble: Debian's is of before renewal information (RFC 9773).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$here/../../build/pebble
mkdir -p "$out"
(cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$out/pebble" github.com/letsencrypt/pebble/v2/cmd/pebble)
