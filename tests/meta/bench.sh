#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Compares hpm_check of 1 TiB (GIB=1024) mapped in 4 KiB blocks with reading the
# same metadata once, both from the page cache and from the disk.
#
# usage: bench.sh BENCH_POOL HPM_CHECK
set -eu -o pipefail

gib=${GIB:-1024}
file=$(mktemp "${TMPDIR:-/tmp}/hpm-meta-bench.XXXXXX")
trap 'rm -f "$file"' EXIT
truncate -s $((gib * 6 + 64))M "$file"
used=$("$1" "$file" "$gib" 2>&1 | awk '{ print $1 }')

cold() { # from the disk
	sync
	dd of="$file" oflag=nocache conv=notrunc,fdatasync count=0 status=none
}
seconds() {
	local t0 t1
	t0=$(date +%s.%N)
	"$@" >/dev/null
	t1=$(date +%s.%N)
	echo "$t1 - $t0" | bc
}
read_once() {
	dd if="$file" bs=1M count=$((used / 256 + 1)) of=/dev/null status=none
}
check() {
	/usr/bin/time -f '%M %U %S' -o "$file.rss" "$2" -q "$file"
}
for how in disk cache; do
	if [ $how = disk ]; then cold; fi
	r=$(seconds read_once)
	if [ $how = disk ]; then cold; fi
	c=$(seconds check "$@")
	echo "$gib GiB mapped in 4 KiB blocks, $((used / 256)) MiB of metadata, from the $how:" \
		"read once $r s, check $c s ($(echo "scale=2; $c / $r" | bc) x)," \
		"$(awk '{ printf "%.1f s of the processor, peak memory %d MiB",
			$2 + $3, $1 / 1024 }' "$file.rss")"
done
rm -f "$file.rss"
