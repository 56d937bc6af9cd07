#!/usr/bin/env bash
# Builds the pause binary into OUTDIR/pause: static, so that its image holds nothing else. Needs gcc and libc6-dev.
set -euo pipefail
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
[ "$out/pause" -nt "$here/pause.c" ] && exit 0
gcc -static -Os -s -Wall -Wextra -Werror -o "$out/pause.new" "$here/pause.c"
mv "$out/pause.new" "$out/pause"
