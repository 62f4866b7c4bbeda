#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures a thousand active volumes beside as many dm-linear devices and dm-thin
# volumes, each of the three in the same guest on the same disks (make bench-many;
# virtual clock). For each operation it prints the mean of one operation among the
# first tenth of the devices, and among the last tenth.  If the two differ, the cost
# grows with the number of devices.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

: "${MANY:?}" "${VOLUMES:=1000}" "${PEERS:=linear thin hpmapper}"
cp "$MANY" "$bench_dir/many"
modprobe dm-thin-pool
modprobe dm-hpmapper

# Prints the memory, in kilobytes, that cannot be reclaimed.
taken() {
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^MemTotal:/ { t = $2 } /^(MemFree|Buffers|Cached|SReclaimable):/ { t -= $2 }
		END { print t }' /proc/meminfo
}

up() {
	nullb data 256 inline
	nullb meta 64 inline
	case $1 in
	linear)
		table="0 8192 linear $(nullb_path data) %u" ;;
	thin)
		dmsetup create pool --table "0 524288 thin-pool $(nullb_path meta) $(nullb_path data) 128 0"
		table="0 8192 thin /dev/mapper/pool %u" ;;
	hpmapper)
		dmsetup create pool --table "0 524288 hpmapper-pool $(nullb_path meta) $(nullb_path data) 4096 0"
		table="0 8192 hpmapper /dev/mapper/pool %u" ;;
	esac
	[ "$1" = linear ] || seq 0 $((VOLUMES - 1)) | sed 's/^/create_thin /' |
		messages pool >/dev/null
}

down() {
	[ "$1" = linear ] || dmsetup remove --retry pool
	nullb_remove data
	nullb_remove meta
}

printf '%-10s %9s %20s %20s %20s %20s\n' "$VOLUMES of" "KiB each" "activate, us" \
	"status, us" "suspend, us" "remove, us"
printf '%-10s %9s %20s %20s %20s %20s\n' '' '' 'first, last' 'first, last' 'first, last' 'first, last'
for peer in $PEERS; do
	up "$peer"
	# Memory that is allocated once for all volumes does not count.
	"$bench_dir/many" create "$VOLUMES" "$table" >/dev/null
	"$bench_dir/many" remove "$VOLUMES" >/dev/null
	before=$(taken)
	row=
	for op in create status suspend remove; do
		read -r first last _ < <("$bench_dir/many" $op "$VOLUMES" "$table")
		[ $op != create ] || kib=$((($(taken) - before) / VOLUMES))
		row+=$(printf ' %20s' "$first, $last")
	done
	printf '%-10s %9s%s\n' "$peer" "$kib" "$row"
	down "$peer"
done
