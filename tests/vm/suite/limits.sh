#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the limits and the status that a volume reports.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

limit() {	# limit NAME ATTRIBUTE
	cat "/sys/dev/block/$(stat -Lc '%Hr:%Lr' "/dev/mapper/$1")/queue/$2"
}

devices 8 64
pool_up || exit
vol_new v 0 64 || exit
equal "logical block size" "$(limit v logical_block_size)" 512
equal "physical block size" "$(limit v physical_block_size)" 4096
equal "minimum I/O size" "$(limit v minimum_io_size)" 4096
equal "optimal I/O size: the large block" "$(limit v optimal_io_size)" 524288
equal "discard granularity" "$(limit v discard_granularity)" 4096
is "discards" "$(limit v discard_max_bytes)" -gt 0
is "a discard is bounded" "$(limit v discard_max_bytes)" -le $((524288 * 1024))
equal "not zoned" "$(limit v zoned)" none
fails "no secure erase" blkdiscard -s /dev/mapper/v
fails "nobody reads from the pool's own device" dd if=$pool of=/dev/null bs=4k count=1 iflag=direct
fails "nor writes to it" dd if=/dev/zero of=$pool bs=4k count=1 oflag=direct
equal "a volume's status when nothing is mapped" \
	"$(dmsetup status v)" "0 131072 hpmapper 0 -"
dd if=/dev/zero of=/dev/mapper/v bs=4k count=1 seek=99 oflag=direct status=none
equal "and with one block" "$(dmsetup status v)" "0 131072 hpmapper 8 799"
vol_down v
pool_down

wipe
large=4096
pool_up 0 ignore_discard || exit
vol_new v 0 64
equal "large blocks of 2 MiB: optimal I/O size" "$(limit v optimal_io_size)" 2097152
equal "ignore_discard: no discards" "$(limit v discard_max_bytes)" 0
fails "none at all" blkdiscard /dev/mapper/v
vol_down v
pool_down
clean_up

# Devices with blocks of 4 KiB.
NULLB_OPTS="blocksize=4096" devices 8 64
large=128
pool_up || exit
vol_new v 0 16
equal "logical blocks of 4 KiB are handed up" "$(limit v logical_block_size)" 4096
check "and are used" stamps --device /dev/mapper/v --size 4M --unit 64 \
	--seconds 1 --discards 5 --max 64 --whole 1
vol_down v
pool_down
