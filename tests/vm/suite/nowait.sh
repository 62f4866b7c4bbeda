#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests I/O that must not wait: RWF_NOWAIT and io_uring.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

# (A bio-based null_blk accepts no I/O that must not wait, so neither do volumes on
# it.)
DISK_MODE=softirq devices 8 128
pool_up || exit
vol_new v 0 64 || exit
size=$((4 << 20))

nw() {	# nw WHAT DEVICE read|write ROUNDS: says how many went through at once
	local seen

	seen=$(nowait "/dev/mapper/$2" $size "$3" "$4" 2>&1 | tail -n 3)
	matches "$1: $seen" "$seen" ' 0 wrong$'
	at_once=${seen%% *}
}

nw "reading nothing" v read 1
nw "new blocks" v write 1
nw "in place" v write 2
is "most in-place writes go through at once" "$at_once" -ge 2000
nw "reading" v read 2
is "reads do, too" "$at_once" -ge 2000
snap_new s 1 0 64
was=$(sum /dev/mapper/s)
nw "copies on write" v write 1
equal "the snapshot is as it was" "$(sum /dev/mapper/s)" "$was"
vol_down s v
pool_down
pool_up || exit
vol_up v 0 64
nw "with a cold map" v read 1
nw "and warm" v read 1
is "then all go through" "$at_once" -ge 1000
for engine in io_uring libaio; do
	check "$engine, verified" fio --name=x --filename=/dev/mapper/v \
		--rw=randwrite --bs=4k --size=8M --offset=8M --iodepth=16 \
		--ioengine=$engine --direct=1 --verify=crc32c --thread --minimal
done
msg create_snap 2 0
check "io_uring, copies on write" fio --name=x --filename=/dev/mapper/v \
	--rw=randwrite --bs=4k --size=4M --offset=8M --iodepth=16 \
	--ioengine=io_uring --direct=1 --verify=crc32c --thread --minimal
vol_down v
pool_down
