#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures what snapshots, depth, metadata and space cost.  Runs in the guest under
# the virtual clock (make bench-io).  Each line has a name, the figure and its
# limit.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

: "${MSGTIME:?}" "${WRITES:=100000}" "${PARTS:=space busy_snapshot reported}"
bench_program fio
cp "$MSGTIME" "$bench_dir/msgtime"
modprobe dm-thin-pool
modprobe dm-hpmapper

pool_create() {		# pool_create DATA_MIB
	dmsetup create pool --table "0 $(($1 * 2048)) hpmapper-pool $(nullb_path meta) $(nullb_path data) 4096 0"
}

pool_up() {		# pool_up MODE DATA_MIB META_MIB
	nullb data "$2" "$1"
	nullb meta "$3" "$1"
	pool_create "$2"
}

pool_down() {
	dmsetup ls --target hpmapper | awk '/^[a-z]/ { print $1 }' | grep -v '^No$' |
		xargs -r -n1 dmsetup remove --retry
	dmsetup remove --retry pool
	nullb_remove meta
	nullb_remove data
}

message() {
	dmsetup message pool 0 "$@"
}

volume() {		# volume NAME ID MIB
	dmsetup create "$1" --table "0 $(($3 * 2048)) hpmapper /dev/mapper/pool $2"
}

fill() {		# fill DEVICE MIB
	fio_lat write "$1" --rw=write --bs=1M --number_ios="$2" >/dev/null
}

# Status words: metadata blocks used, small blocks used.
meta_used() { message checkpoint >/dev/null; message checkpoint >/dev/null; dmsetup status pool | awk '{ split($5, a, "/"); print a[1] }'; }
data_used() { dmsetup status pool | awk '{ split($6, a, "/"); print a[1] }'; }

line() {
	printf '%-62s %14s   %s\n' "$1" "$2" "$3"
}

percent() {
	awk -v m="$1" -v d="$2" 'BEGIN { printf "%.3f %%", 100 * m / d }'
}

# Measures the metadata of sequential data, then of random copy-on-write over it;
# then the depth: each snapshot is taken of the one before and gets one write.
space() {
	local m0 m1 d0 flat deep i

	pool_up inline 2048 256
	message create_thin 0
	volume vol 0 1024
	m0=$(meta_used)
	fill /dev/mapper/vol 1024
	m1=$(meta_used)
	line 'metadata of 1 GiB written sequentially' "$(percent $((m1 - m0)) 262144)" '<= 0.1 %'
	flat=$(fio_lat read /dev/mapper/vol --rw=randread --bs=4k --number_ios=10000)
	message create_snap 1 0
	volume snap 1 1024
	d0=$(data_used)
	fio_lat write /dev/mapper/snap --rw=randwrite --bs=4k --number_ios=1000 >/dev/null
	line 'data space of 1,000 random 4 KiB writes into a shared 1 GiB' \
		"$(awk -v b=$(($(data_used) - d0)) 'BEGIN { printf "%.2f MiB", b / 256 }')" '<= 4.2 MiB'
	m0=$(meta_used)
	d0=$(data_used)
	fio_lat write /dev/mapper/snap --rw=randwrite --bs=4k --number_ios="$WRITES" --randseed=11 >/dev/null
	m1=$(meta_used)
	line "metadata of $WRITES random 4 KiB copy-on-writes" \
		"$(percent $((m1 - m0)) $(($(data_used) - d0)))" '<= 0.6 %'

	for ((i = 2; i <= 128; i++)); do
		message "create_snap $i $((i == 2 ? 0 : i - 1))"
		volume deep "$i" 1024
		dd if=/dev/urandom of=/dev/mapper/deep bs=4k count=1 seek=$((i * 1000)) oflag=direct status=none
		[ "$i" = 128 ] || dmsetup remove --retry deep
	done
	fio_lat read /dev/mapper/deep --rw=randread --bs=4k --number_ios=3000 >/dev/null
	deep=$(fio_lat read /dev/mapper/deep --rw=randread --bs=4k --number_ios=10000)
	line 'read latency at depth 128, to depth 1' "$(ratio "$deep" "$flat")" '<= 1.03'
	pool_down
}

# Writes 4 KiB in each large block, for a map as wide as the volume with little
# data.
touch_all() {		# touch_all DEVICE MIB
	fio_lat write "$1" --rw=write:2044k --bs=4k --number_ios=$(($2 / 2)) >/dev/null
}

# Snapshots of a busy volume: after each snapshot, each write is a copy-on-write
# again.  msgtime.c says what is measured.  A disk of 0 us completes requests
# inline.
busy_snapshot() {
	local size nsec disk least median most longest excess

	for size in ${SIZES:-1024 65536}; do
	for nsec in ${NSECS:-0 80000 2000000}; do
		disk=(timer "$nsec")
		[ "$nsec" != 0 ] || disk=(inline)
		nullb data 2048 "${disk[@]}"
		nullb meta 256 "${disk[0]}"
		pool_create 2048
		message create_thin 0
		volume vol 0 "$size"
		if [ "$size" -gt 1024 ]; then
			touch_all /dev/mapper/vol "$size"
		else
			fill /dev/mapper/vol "$size"
		fi
		read -r least median most longest excess < <(
			"$bench_dir/msgtime" pool 'create_snap %d 0' 20 /dev/mapper/vol 32)
		line "snapshot of $size MiB, disk of $((nsec / 1000)) us, 32 writes in flight, us" \
			"$least/$median/$most" "longest write else $longest"
		line '  at most so much longer than the longest of the 32' "$excess us" '<= 1000 us'
		pool_down
	done
	done
}

# Figures without a goal.
reported() {
	local nodes us

	pool_up inline 2048 512
	message create_thin 0
	volume vol 0 256
	fio_lat write /dev/mapper/vol --rw=randwrite --bs=4k --number_ios=65536 >/dev/null
	us=$(fio_lat read /dev/mapper/vol --rw=read --bs=1M --number_ios=256)
	line '1 MiB read of a volume fragmented to 4 KiB, us' "$us" reported
	nodes=$(dmsetup status pool | grep -oE ' nodes [0-9]+' | awk '{ print $2 }')
	line 'map in memory, 4 KiB blocks, MiB for each mapped GiB' \
		"$(awk -v n="$nodes" 'BEGIN { printf "%.1f", n * 4.2 / 1024 * 4 }')" 'bounded, shrinkable'
	message create_snap 1 0
	volume snap 1 256
	us=$(fio_lat write /dev/mapper/snap --rw=randwrite --bs=4k --number_ios=10000)
	line 'copy-on-write over an image mapped in 4 KiB blocks, us' "$us" reported
	dmsetup remove --retry snap
	dmsetup remove --retry vol
	dmsetup remove --retry pool
	pool_create 2048
	volume vol 0 256
	us=$(fio_lat read /dev/mapper/vol --rw=randread --bs=4k --number_ios=1)
	line 'first read through a cold map, us' "$us" reported
	pool_down
}

line 'figure' 'measured' 'target'
for part in $PARTS; do
	"$part"
done
