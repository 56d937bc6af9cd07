#!/usr/bin/env bash
# Builds the root file system of the built-in base image into OUTDIR/rootfs.tar, as root, with mmdebstrap. Does nothing when
# OUTDIR/recipe.sha256 says that the tar came from this very recipe. Packages come from BERTH_DEBIAN_MIRROR when it is set;
# the image itself names only Debian's public mirrors.
set -euo pipefail
export LC_ALL=C
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
suite=bookworm
packages=bash,ca-certificates,coreutils,curl,git,iproute2,less,nano,openssh-client,procps,python3-minimal,tini,tmux,vim-tiny

recipe=$(cd "$here" && cat build.sh files/* | sha256sum | cut -d' ' -f1)
if [ -f "$out/rootfs.tar" ] && [ "$(cat "$out/recipe.sha256" 2>/dev/null)" = "$recipe" ]; then
    echo "base image: unchanged" >&2
    exit 0
fi
command -v mmdebstrap >/dev/null || { echo "base image: mmdebstrap is missing (apt-get install mmdebstrap)" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "base image: must run as root" >&2; exit 1; }
mkdir -p "$out"

# Everything is stamped with the recipe's own date, so that the same packages give the same image.
export SOURCE_DATE_EPOCH=1735689600

# shellcheck disable=SC2016 # $1 is mmdebstrap's: the new root
mmdebstrap --variant=minbase --mode=root --format=tar --include="$packages" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt="$here/files/small.dpkg" \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap' \
    --customize-hook="copy-in '$here/files/debian.sources' /etc/apt/sources.list.d" \
    --customize-hook="upload '$here/files/small.apt' /etc/apt/apt.conf.d/90small" \
    --customize-hook="upload '$here/files/small.dpkg' /etc/dpkg/dpkg.cfg.d/90small" \
    --customize-hook="upload '$here/files/profile.sh' /etc/profile.d/berth.sh" \
    --customize-hook='rm -f "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap' \
    --customize-hook='echo ". /etc/profile.d/berth.sh" >> "$1"/etc/bash.bashrc' \
    --customize-hook='echo "LANG=C.UTF-8" > "$1"/etc/default/locale' \
    --customize-hook='ln -sf vim.tiny "$1"/usr/bin/vim; : > "$1"/etc/machine-id; rm -f "$1"/var/lib/dbus/machine-id' \
    --customize-hook='rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/hosts; : > "$1"/etc/resolv.conf; : > "$1"/etc/hosts' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/cache/ldconfig/aux-cache "$1"/var/cache/debconf/*-old "$1"/var/log/* "$1"/var/lib/dpkg/*-old "$1"/tmp/* "$1"/usr/lib/python3*/__pycache__' \
    --customize-hook='mkdir -p "$1"/var/log/apt "$1"/var/lib/apt/lists/partial "$1"/var/cache/apt/archives/partial && chmod 700 "$1"/var/lib/apt/lists/partial "$1"/var/cache/apt/archives/partial && chroot "$1" chown _apt:root /var/lib/apt/lists/partial /var/cache/apt/archives/partial' \
    "$suite" "$out/rootfs.tar.new" ${BERTH_DEBIAN_MIRROR:+"$BERTH_DEBIAN_MIRROR"}

mv "$out/rootfs.tar.new" "$out/rootfs.tar"
echo "$recipe" > "$out/recipe.sha256"
