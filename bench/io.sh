#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures what a bio costs: dm-linear, dm-thin with 64 KiB blocks and dm-hpmapper
# side by side, over RAM-backed disks without latency, at queue depth 1.
#
# Runs in the guest, under the virtual clock (make bench-io).  MODES says how the
# disk completes a bio: inline, or in softirq as a real disk would.  Prints a table
# of mean latencies in us and of their ratios to dm-linear.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

: "${MODES:=inline softirq}" "${PEERS:=linear thin hpmapper}" "${SIZE:=1024}" "${IOS:=20000}" "${LARGE:=4096}"

bench_program fio
modprobe dm-thin-pool
modprobe dm-hpmapper

sectors=$((SIZE * 2048))
declare -A lat

peer_up_linear() {
	dmsetup create vol --table "0 $sectors linear /dev/nullb/data 0"
}

peer_snap_linear() { return 1; }

peer_up_thin() {
	dmsetup create pool --table "0 $((sectors * 2)) thin-pool /dev/nullb/meta /dev/nullb/data 128 0 1 skip_block_zeroing"
	dmsetup message pool 0 "create_thin 0"
	dmsetup create vol --table "0 $sectors thin /dev/mapper/pool 0"
}

peer_snap_thin() {
	dmsetup suspend vol
	dmsetup message pool 0 "create_snap 1 0"
	dmsetup resume vol
	dmsetup create snap --table "0 $sectors thin /dev/mapper/pool 1"
}

peer_up_hpmapper() {
	dmsetup create pool --table "0 $((sectors * 2)) hpmapper-pool /dev/nullb/meta /dev/nullb/data $LARGE 0"
	dmsetup message pool 0 "create_thin 0"
	dmsetup create vol --table "0 $sectors hpmapper /dev/mapper/pool 0"
}

peer_snap_hpmapper() {
	dmsetup message pool 0 "create_snap 1 0"
	dmsetup create snap --table "0 $sectors hpmapper /dev/mapper/pool 1"
}

# A disk in memory is a tree of pages.  The first write to its far end adds a level,
# which makes everything after it 5 % slower.  This must not depend on where a peer
# places its blocks.
touch_end() {
	dd if=/dev/zero of="$1" bs=4k count=1 seek=$((SIZE * 512 - 1)) \
		oflag=direct status=none
}

measure() {
	local peer=$1

	"peer_up_$peer"
	fio_lat write /dev/mapper/vol --rw=write --bs=1M --number_ios="$SIZE" >/dev/null
	# The first reads are not measured.
	fio_lat read /dev/mapper/vol --rw=randread --bs=4k --number_ios=2000 >/dev/null
	lat[$peer,read]=$(fio_lat read /dev/mapper/vol --rw=randread --bs=4k --number_ios="$IOS")
	fio_lat write /dev/mapper/vol --rw=randwrite --bs=4k --number_ios=2000 >/dev/null
	lat[$peer,write]=$(fio_lat write /dev/mapper/vol --rw=randwrite --bs=4k --number_ios="$IOS")
	lat[$peer,seq]=$(fio_lat read /dev/mapper/vol --rw=read --bs=1M --number_ios=512)
	lat[$peer,cow]=-
	if "peer_snap_$peer"; then
		lat[$peer,cow]=$(fio_lat write /dev/mapper/snap --rw=randwrite --bs=4k --number_ios="$IOS")
		[ "$peer" != hpmapper ] || dmsetup status pool >&2
		dmsetup remove --retry snap
	fi
	dmsetup remove --retry vol
	[ "$peer" = linear ] || dmsetup remove --retry pool
}

row() {
	local name=$1 key=$2 base=$3 p line

	line=$(printf '%-34s' "$name")
	for p in linear thin hpmapper; do
		line+=$(awk -v t="${lat[$p,$key]:--}" 'BEGIN {
			printf t == "-" ? " %10s" : " %10.2f", t }')
	done
	if [ "${lat[hpmapper,$key]:-}" ] && [ "${lat[linear,$base]:-}" ]; then
		line+=$(printf ' %12s' "$(ratio "${lat[hpmapper,$key]}" "${lat[linear,$base]}")")
	fi
	echo "$line"
}

mkdir -p /dev/nullb
for mode in $MODES; do
	for peer in $PEERS; do
		nullb data $((SIZE * 2)) "$mode"
		nullb meta 256 "$mode"

		for n in data meta; do
			ln -sf "$(nullb_path $n)" /dev/nullb/$n
		done
		touch_end /dev/nullb/data
		measure "$peer"
		nullb_remove meta
		nullb_remove data
	done
	echo
	printf 'completion: %-22s %10s %10s %10s %12s\n' "$mode" dm-linear dm-thin hpmapper 'to linear'
	row '4 KiB random read, us' read read
	row '4 KiB random overwrite, us' write write
	row '4 KiB random copy-on-write, us' cow write
	row '1 MiB sequential read, us' seq seq
done
