#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds the initramfs of a test guest.
#
#	initramfs.sh <kernel directory> <init> <output>
#
# The initramfs has only our init (see init.c) and the modules without which the
# host's files cannot be reached.  Modules that are built into the kernel are left
# out.  modprobe knows the order in which to load the others.
set -euo pipefail

kernel=$1 init=$2 output=$3
release=$(cat "$kernel/release")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
PATH=$PATH:/usr/sbin:/sbin

mkdir -p "$tmp"/{modules,dev,proc,sys,lower,upper,root}
cp "$init" "$tmp/init"

for m in virtio_pci virtio_console 9pnet_virtio 9p overlay; do
	modprobe -d "$kernel" -S "$release" --show-depends "$m"
done | sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }' >"$tmp/list"

n=100
while read -r path; do
	cp "$path" "$tmp/modules/$((n++))-$(basename "$path")"
done <"$tmp/list"
rm "$tmp/list"

(cd "$tmp" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$output"
