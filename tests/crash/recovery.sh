#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the guest, on the virtual clock: measures how long a pool takes to open that
# has crashed with as many records as there can be (tail.c).
#
#	recovery.sh <metadata image> <sectors of the data device>
#
# The script measures twice: with a disk that answers at once, which shows the
# processor's part, and with a disk that answers after 80 us.  All programs that run
# meanwhile are in memory, because a wait for the host's files would make this clock
# jump.  Before and after, 300 reads of such a disk test whether the disk's timer,
# the weak point of this clock, is right.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../../bench/lib.sh
. "$here/../../bench/lib.sh"

if [ -z "${IN_MEMORY:-}" ]; then
	root=/dev/shm/root
	modprobe null_blk nr_devices=0
	modprobe dm-hpmapper
	mount -t configfs none /sys/kernel/config
	bench_root $root bash dmsetup dd mkdir rmdir cat dirname basename \
		mountpoint
	cp --sparse=always "$1" $root/tmp/image
	bench_again $root /tmp/image "$2"
fi

PATH=/bin
modprobe() { :; }
sectors=$2

reads_of() {
	local f

	read -ra f <"/sys/block/$(basename "$1")/stat"
	echo "${f[0]}"
}

# recover NAME OF THE DISK MODE
recover() {
	local meta before reads start end status

	nullb "$1" 1024 "$2"
	meta=$(nullb_path "$1")
	dd if=/tmp/image of="$meta" bs=1M oflag=direct conv=sparse status=none
	before=$(bench_canary)
	reads=$(reads_of "$meta") start=$EPOCHREALTIME
	dmsetup create pool --table \
		"0 $sectors hpmapper-pool $meta /dev/mapper/data 4096 0 0"
	end=$EPOCHREALTIME
	status=$(dmsetup status pool)
	echo "$2: recovery took $((${end/./} - ${start/./})) us, $(($(reads_of "$meta") - reads)) reads; canary: $before us before, $(bench_canary) us after"
	[[ $status == *" rw "* ]]
	dmsetup remove --retry pool
	nullb_remove "$1"
}

# no data is read or written
dmsetup create data --table "0 $sectors zero"
nullb canary 16 timer
recover hfast softirq
recover hmeta timer
dmsetup remove data
