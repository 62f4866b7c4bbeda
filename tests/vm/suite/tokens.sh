#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that an operation that waits for I/O in flight waits for all I/O that it
# must wait for: the bytes are in the right place although a read or a write took
# long.  With a fault planted (FAULT=name, in a build for that), one of the checks
# must fail.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

modprobe dm-hpmapper
[ -z "${FAULT:-}" ] ||
	echo "$FAULT" >/sys/module/dm_hpmapper/parameters/fault || exit
devices 8 32
tenancy
block() {	# block NAME NR
	dd if="/dev/mapper/$1" bs=4k count=1 skip="$2" iflag=direct status=none |
		md5sum
}
pool_up 0 no_sharing || exit
vol_new v 0 16
put v 1M 16 0 fsync
# The I/O of a block takes four seconds.
limit 1024

# A write in place is either in a snapshot, or not in it.
tenant dd if=/dev/urandom of=/dev/mapper/v bs=4k count=1 seek=100 oflag=direct \
	conv=notrunc
check "a snapshot is made while a write in place is under way" \
	dmsetup message pool 0 create_snap 1 0
vol_up s 1 16
was=$(block s 100)
wait $slow
equal "it is what it was when the write is over" "$(block s 100)" "$was"
vol_down s
msg delete 1
within 20 nothing_dying
msg checkpoint

# A block that is being read is not given to another volume, although its owner has
# discarded it.
put v 1M 16 0 fsync
was=$(block v 100)
vol_new w 2 28
tenant dd if=/dev/mapper/v of="$tmp/read" bs=4k count=1 skip=100 iflag=direct
blkdiscard /dev/mapper/v
check "a volume is written with all that is free" put w 1M 28 0
wait $slow
equal "what was read is what had been there" "$(md5sum <"$tmp/read")" "$was"
vol_down w
msg delete 2
within 20 nothing_dying
msg checkpoint

# Nor is a block that is being written.
put v 1M 16 0 fsync
vol_new w 2 28
dd if=/dev/urandom of="$tmp/w" bs=1M count=28 status=none
tenant dd if=/dev/urandom of=/dev/mapper/v bs=4k count=1 seek=100 oflag=direct \
	conv=notrunc
blkdiscard /dev/mapper/v
check "a volume is written with all that is free" \
	dd if="$tmp/w" of=/dev/mapper/w bs=1M oflag=direct conv=notrunc status=none
wait $slow
check "it has what was written to it" bash -c \
	"dd if=/dev/mapper/w bs=1M iflag=direct status=none | cmp $tmp/w"
vol_down v w
pool_down
check "the pool is whole" hpm_check $meta
rmdir $cgroup
