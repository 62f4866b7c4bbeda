#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests snapshots: exact under load, many, and deep; after all are deleted, all
# space is free.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 512
pool_up || exit
vol_new v0 0 64 || exit
load=(stamps --device /dev/mapper/v0 --pool pool --origin 0 --size 16M)

# Each load writes to a part of the volume in which other loads have blocks.
check "every snapshot is an instant: blocks and parts of blocks" \
	"${load[@]}" --seconds 8 --snapshots 10 --seed 1
check "sectors of one block from four threads" \
	"${load[@]}" --skip 4M --size 1M --unit 1 --seconds 6 --snapshots 6 --seed 2
check "writes of up to 1 MiB" \
	"${load[@]}" --unit 2048 --max 2048 --seconds 6 --snapshots 6 --seed 3
check "with discards and zeroes" \
	"${load[@]}" --discards 15 --zeroes 15 --seconds 8 --snapshots 10 --seed 4
check "with many syncs" \
	"${load[@]}" --syncs 40 --threads 8 --seconds 5 --snapshots 8 --seed 5
vol_down v0
msg delete 0
check "all volumes deleted, no block is used" within 20 used_is 0
equal "nor anything dying" "$(key dying)" 0
clean_meta=$(meta_used)

# A thousand snapshots of an active volume that is written to between them.
vol_new v0 0 32 || exit
dd if=/dev/urandom of=/dev/mapper/v0 bs=1M count=32 oflag=direct status=none
declare -A sums
for i in 0 1 2 3 4 5 6 7 8 9; do
	dd if=/dev/urandom of=/dev/mapper/v0 bs=4k count=2 seek=$((i * 700)) \
		oflag=direct status=none
	sums[$i]=$(sum /dev/mapper/v0)
	check "snapshots $((i * 100 + 1)) to $((i * 100 + 100))" bash -c "
		for j in {1..100}; do
			echo create_snap \$(($i * 100 + j)) 0
		done | messages pool"
done
equal "a thousand volumes and one" "$(key volumes)" 1001
equal "they use what was written" "$(data_used)" $((32 * 256 + 18))
for i in 0 4 9; do
	id=$((i * 100 + 50))
	vol_up s $id 32
	equal "snapshot $id holds what was there" "$(sum /dev/mapper/s)" "${sums[$i]}"
	vol_down s
done
equal "list tells of all" "$(dmsetup message pool 0 list | wc -l)" 1001
vol_up s 1000 32
dd if=/dev/urandom of=/dev/mapper/s bs=4k count=1 seek=5 oflag=direct status=none
equal "a write to one takes one block" "$(data_used)" $((32 * 256 + 19))
equal "and does not change the origin" "$(sum /dev/mapper/v0)" "${sums[9]}"
vol_down s v0
pool_down
pool_up || exit
equal "all are there when the pool is opened again" "$(key volumes)" 1001
vol_up s 450 32
equal "with what they held" "$(sum /dev/mapper/s)" "${sums[4]}"
vol_down s
check "deleting all of them" bash -c 'for i in {0..1000}; do
	echo delete $i; done | messages pool'
check "gives all data back" within 30 used_is 0
check "and all volumes" within 10 nothing_dying
msg checkpoint
msg checkpoint
# The volume table keeps its leaves, with 15 volumes each.
is "and all metadata but the table of volumes" "$(meta_used)" -le \
	$((clean_meta + 1001 / 15 + 8))

# Depth 128: every level has one block that no other level has.
msg create_thin 0
check "128 levels: each has the blocks of those below it and no others" \
	levels pool 128
equal "each took a block" "$(data_used)" 128
# the levels between are deleted; the deepest stays complete
vol_up deep 128 1
was=$(sum /dev/mapper/deep)
check "all but the deepest are deleted" bash -c 'for i in {0..127}; do
	echo delete $i; done | messages pool'
check "and given back" within 10 nothing_dying
equal "the deepest has still all blocks" "$(sum /dev/mapper/deep)" "$was"
equal "which is what is used" "$(data_used)" 128
vol_down deep
msg delete 128
check "then that one, and nothing is used" within 10 used_is 0
pool_down
