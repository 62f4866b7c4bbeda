#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that a volume never returns what others left on the data device.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

# unseen WHAT VOLUME...: no volume shows another owner's mark
unseen() {
	local what=$1 name n bad=

	shift
	for name; do
		n=$(foreign count "/dev/mapper/$name")
		[ "$n" = 0 ] || bad+=" $name: $n sectors"
	done
	equal "$what" "$bad" ""
}

run() {
	large=$1
	note "large blocks of $((large / 2)) KiB"
	wipe
	foreign fill $data
	pool_up || exit
	vol_new a 0 48 || exit
	unseen "a new volume reads as zeroes" a
	equal "really" "$(foreign nonzero /dev/mapper/a)" 0

	put a 512 1 3			# a part of a block
	put a 512 1 4111		# and of another, in the middle
	put a 1536 1 5000		# across two blocks
	put a 4k 1 1000
	unseen "parts of blocks" a
	put a 4k 90 2048		# a stream that stops in a large block
	put a 64k 3 160			# another, in larger pieces
	put a 1M 3 12
	put a 1000k 2 17		# no multiple of a large block
	put a 4k 1 $((20 * 256 - 1))	# the last block of a large one
	unseen "streams that end anywhere" a
	blkdiscard -o $((13 << 20)) -l $((68 << 10)) /dev/mapper/a
	blkdiscard -o $(((14 << 20) + 512)) -l $((64 << 10)) /dev/mapper/a
	blkdiscard -z -o $(((14 << 20) + 512000)) -l 9216 /dev/mapper/a
	put a 512 1 $((13 * 2048 + 9))
	blkdiscard -z -o $((12 << 20)) -l 4096 /dev/mapper/a
	put a 512 2 $((12 * 2048 + 7))
	unseen "discards and zeroes, written into again" a
	equal "what was discarded reads as zeroes" \
		"$(foreign nonzero /dev/mapper/a $((13 * 2048 + 16)) 120)" 0

	snap_new s 1 0 48 || exit
	put s 512 1 3
	put s 512 1 $((13 * 2048 + 100))
	put s 4k 5 3400
	put a 512 1 $((12 * 2048 + 1500))
	put a 1M 1 30
	blkdiscard -o $((12 << 20)) -l $((1 << 20)) /dev/mapper/s
	unseen "volumes that share, after copies and discards" a s
	check "writers at random" stamps --device /dev/mapper/a --size 8M \
		--skip 34M --discards 10 --zeroes 10 --seconds 3 --seed 3
	unseen "after them" a s

	# The pool's table is removed in the middle of all this.
	put a 4k 70 9000
	blockdev --flushbufs /dev/mapper/a
	dmsetup remove --force pool >/dev/null 2>&1
	dmsetup remove --force a
	dmsetup remove --force s
	dmsetup info pool >/dev/null 2>&1 && dmsetup remove pool
	pool_up || exit
	vol_up a 0 48 && vol_up s 1 48 || exit
	unseen "after the pool's table was taken away" a s

	# One volume's bytes are foreign to the next volume.
	vol_down s
	msg delete 1
	msg create_thin 2
	vol_up b 2 48
	foreign fill /dev/mapper/b
	equal "a volume reads what it wrote" "$(foreign count /dev/mapper/b)" \
		$((48 * 2048))
	vol_down b
	msg delete 2
	within 10 nothing_dying
	msg create_thin 3
	vol_up c 3 48
	put c 512 1 77
	put c 4k 33 2000
	put c 64k 7 200
	unseen "a volume's blocks, given to another" a c
	foreign fill /dev/mapper/c
	blkdiscard -o $((8 << 20)) -l $((16 << 20)) /dev/mapper/c
	equal "discarded, a volume does not read its own bytes again" \
		"$(foreign count /dev/mapper/c $((8 * 2048)) $((16 * 2048)))" 0
	put c 512 1 $((10 * 2048))
	equal "nor beside a new write" \
		"$(foreign count /dev/mapper/c $((8 * 2048)) $((16 * 2048)))" 0
	vol_down a c
	pool_down
}

devices 8 160
run 1024
run 128

# A pool is formatted in the place of another: the first 4 KiB are cleared, as
# administrators do it, and nothing of the old pool may come back.
large=4096
wipe
pool_up || exit
for i in 0 1 2; do
	vol_new v$i $i 32
	foreign fill /dev/mapper/v$i
	msg create_snap 1$i $i
done
msg set_transaction_id 0 9
vol_down v0 v1 v2
pool_down
wipe
pool_up || exit
equal "the new pool has no volumes" "$(msg list)" ""
equal "and uses nothing" "$(data_used)" 0
equal "and has no transaction id" "$(word 4)" 0
no message ENOENT 'the origin does not exist' "create_snap 5 0"
refusals
vol_new v0 0 32
unseen "its volume has nothing of the old one" v0
put v0 4k 3 5
msg checkpoint
sum=$(sum /dev/mapper/v0)
vol_down v0
pool_down
pool_up || exit
equal "nor does it come back at the next activation" "$(msg list | wc -l)" 1
vol_up v0 0 32
equal "which has what was written to the new one" "$(sum /dev/mapper/v0)" "$sum"
# the same, but the new pool crashes before its first checkpoint
vol_down v0
pool_down
wipe
pool_up || exit
msg create_thin 7
dmsetup remove --force pool
pool_up || exit
equal "an old journal is not replayed" "$(msg list | cut -d' ' -f1)" 7
pool_down
