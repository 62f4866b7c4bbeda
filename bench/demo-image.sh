#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the demo's image from Debian packages, once.  It has two layers: base.tar
# with a minimal system, and redis.tar with the files that redis-server adds to it.
#
# usage: demo-image.sh DIRECTORY
set -euo pipefail

mkdir -p "$1"
dir=$(cd "$1" && pwd)
work=$(mktemp -d "$dir/make.XXXXXX")
trap 'rm -rf "$work"' EXIT
export work

# The packages come from the machine's own sources.
sources=()
for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
	[ -s "$f" ] && sources+=("$f")
done

# Hooks for mmdebstrap: the base is the system before the service is installed, and
# the layer has the files that changed since, as an image builder would pack it.
cat >"$work/base-hook" <<'HOOK'
#!/bin/sh
set -e
tar -C "$1" --numeric-owner --one-file-system --xattrs -cf "$work/base.tar" \
	--exclude=./dev/* --exclude=./proc/* --exclude=./sys/* \
	--exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' . ||
	[ $? = 1 ]	# a mount point changed under it: it is empty anyway
sleep 1
touch "$work/mark"
HOOK
cat >"$work/layer-hook" <<'HOOK'
#!/bin/sh
set -e
rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*
cd "$1"
find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./tmp \) \
	-prune -o -cnewer "$work/mark" ! -path . -print0 |
	tar --numeric-owner --xattrs --no-recursion --null -T - \
	-cf "$work/redis.tar" || [ $? = 1 ]
HOOK
chmod +x "$work"/*-hook

echo "making an image of Debian packages (once; kept in ${dir##*/})"
mmdebstrap --quiet --variant=essential --mode=root --format=null \
	--customize-hook="$work/layer-hook" \
	--essential-hook="$work/base-hook" \
	--include=redis-server,redis-tools bookworm /dev/null "${sources[@]}"
mv "$work/base.tar" "$work/redis.tar" "$dir/"
ls -sh "$dir"/*.tar
