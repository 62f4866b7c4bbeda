#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests direct writes of less than a block, which are merged with the block's old
# content.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 8 64
pool_up || exit
vol_new v 0 32 || exit

mark() {	# mark NAME SECTOR LETTER [SECTORS]
	head -c $((512 * ${4:-1})) /dev/zero | tr '\0' "$3" |
		dd of="/dev/mapper/$1" bs=512 seek="$2" iflag=fullblock \
			oflag=direct conv=notrunc status=none
}

letters() {	# letters NAME FIRST SECTORS: one letter a sector, - for zero
	dd if="/dev/mapper/$1" bs=512 skip="$2" count="$3" iflag=direct \
		status=none | tr '\0' - | fold -w 512 | cut -c1 | tr -d '\n'
}

mark v 3 a
equal "into nothing" "$(letters v 0 16)" "---a------------"
mark v 5 b 6
equal "over the end of a block" "$(letters v 0 16)" "---a-bbbbbb-----"
snap_new s 1 0 32
mark s 4 c
mark v 3 d
equal "into a shared block" "$(letters s 0 16)" "---acbbbbbb-----"
equal "and its origin" "$(letters v 0 16)" "---d-bbbbbb-----"
dd if=/dev/zero bs=1M count=1 status=none | tr '\0' e |
	dd of=/dev/mapper/v bs=1M seek=1 iflag=fullblock oflag=direct status=none
snap_new t 2 0 32
mark t 2055 f 3
equal "into a shared large block" "$(letters t 2048 16)" "eeeeeeefffeeeeee"
mark t 2056 g
equal "and its override" "$(letters t 2048 16)" "eeeeeeefgfeeeeee"
equal "the origin's stays" "$(letters v 2048 16)" "eeeeeeeeeeeeeeee"
blkdiscard -o $((1 << 20)) -l 4096 /dev/mapper/t
mark t 2050 h
equal "into a discarded block" "$(letters t 2048 16)" "--h-----gfeeeeee"
mark t 2050 i 20
equal "over several, parts at both ends" "$(letters t 2048 32)" \
	"--iiiiiiiiiiiiiiiiiiiieeeeeeeeee"
used=$(data_used)
mark t 2051 j
equal "in place no block is taken" "$(data_used)" "$used"

# A write of the length of a large block that begins inside a block.
long_write() {	# long_write NAME SECTOR LETTER
	xfs_io -d -c "pwrite -q -S $(printf '%d' "'$3") -b 1M $(($2 * 512)) 1M" \
		"/dev/mapper/$1"
}

long_write v $((3 * 2048 + 5)) k
equal "a long one into nothing, from inside a block" \
	"$(letters v $((3 * 2048)) 16)" "-----kkkkkkkkkkk"
mark v $((5 * 2048)) l 3
snap_new u 3 0 32
long_write u $((5 * 2048 + 3)) m
equal "and over a shared block" "$(letters u $((5 * 2048)) 16)" "lllmmmmmmmmmmmmm"
equal "of which the origin's stays" "$(letters v $((5 * 2048)) 16)" "lll-------------"
vol_down u
is "copied bytes are counted" "$(key copied_bytes)" -gt 0
vol_down s t

# Several writers write different sectors of one block, which is shared again each
# time.
for round in 1 2 3; do
	check "eight writers in a block, round $round" stamps \
		--device /dev/mapper/v --pool pool --origin 0 --size 64K --skip 8M \
		--unit 1 --threads 8 --seconds 2 --snapshots 6 --pause 50 \
		--first $((round * 100)) --seed $round
done
check "two writers, odd pieces" stamps --device /dev/mapper/v --pool pool \
	--origin 0 --size 30K --skip 16M --unit 3 --max 3 --threads 2 \
	--seconds 2 --snapshots 5 --first 900
check "beside zeroes for their neighbours" stamps --device /dev/mapper/v \
	--size 512K --skip 20M --unit 12 --max 12 --threads 6 --zeroes 30 \
	--seconds 3
check "buffered, by fio" fio --name=x --filename=/dev/mapper/v --rw=randwrite \
	--bsrange=512-9k --bs_unaligned=1 --size=4M --offset=24M --verify=crc32c \
	--ioengine=psync --thread --minimal --do_verify=1 --fsync=16
vol_down v
pool_down
