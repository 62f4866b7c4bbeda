#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that clones read each other's cached copies above and below unusual devices:
# with logical blocks of 4 KiB, with limits that cut bios in odd ways, under a loop
# device, and under and above dm-crypt.  Runs in the guest (make test-stacks).
#
#	stacks.sh [<test>...]	all tests, or those named
set -uo pipefail
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"

: "${tests:=blocks_4k odd_sectors boundary loop crypt_above crypt_below}"
FILES=24
cp "$(command -v racer)" "$(command -v sharefiles)" /dev/shm/

right() {
	sharefiles check "${@:2}" "/mnt/$1" $FILES 1 >/dev/null
}

# stack [NULL_BLK OPTIONS]: makes a pool on a disk with these options, and an image
stack() {
	NULLB_OPTS=$1
	pool_up && msg create_thin 0 && activate 0 && make_fs /dev/mapper/v0 &&
		mounted 0 && sharefiles fill /mnt/0 $FILES 1 && down 0
	NULLB_OPTS=
	drop_caches
}

unstack() {
	check "the pool can be removed" dmsetup remove --retry pool
	[ ! -e /dev/mapper/below ] || dmsetup remove --retry below
	nullb_remove hmeta
	nullb_remove hdata
	unset data DATA
}

# Two clones read in all possible ways, the second after the first.
two_read() {
	local before

	clone 1 2
	check "clone 1 is mounted" up 1
	check "its bytes are right" right 1
	check "clone 2 is mounted" up 2
	before=$(device_read)
	check "its bytes are right" right 2
	check "and came from the other's pages" \
		[ $(($(device_read) - before)) -le 200 ]
	check "they are by direct reads" right 2 -d
	check "and by mapping" right 1 -m
	sharefiles churn -t 3 /mnt/1 $FILES 7 >/dev/null
	result "clone 1 changes its files" $?
	check "clone 2's are what they were" right 2 -d
	check "no block has changed" [ "$(value changed)" = 0 ]
	down 1 2
}

test_blocks_4k() {
	check "a disk with logical blocks of 4 KiB" stack "blocksize=4096" ||
		return
	check "the volumes have them" [ "$(queue logical_block_size)" = 4096 ]
	two_read
}

# The limit of a volume's queue.
queue() {
	activate 0
	cat "/sys/dev/block/$(stat -Lc %Hr:%Lr /dev/mapper/v0)/queue/$1"
	dmsetup remove --retry v0
}

test_odd_sectors() {
	check "a disk that takes 20 KiB at a time" stack "max_sectors=40" ||
		return
	two_read
}

test_boundary() {
	check "a disk whose pieces must end at pages" stack "virt_boundary=1" ||
		return
	two_read
}

# The loop device reads into pages of another device's files: such reads are served,
# but their pages are never a source.
test_loop() {
	local loop before id

	check "a disk" stack "" || return
	clone 1 2
	for id in 1 2; do
		activate $id
		loop=$(losetup -f --show --direct-io=on /dev/mapper/v$id)
		mkdir -p /mnt/$id
		check "clone $id is mounted by way of a loop device" \
			mount -o noatime "$loop" /mnt/$id
		before=$(value hits)
		check "its bytes are right" right $id
		check "by direct reads, too" right $id -d
		loops+=("$loop")
	done
	check "without a page that is not the volume's own" \
		[ "$(value caught)" = 0 ]
	up 0
	check "the image itself is right" right 0
	before=$(value hits)
	racer drop /mnt/2/d0/f0
	check "a loop device is served from its pages" right 2 -d
	check "which saves reads" [ "$(value hits)" -gt "$before" ]
	check "no block has changed" [ "$(value changed)" = 0 ]
	umount /mnt/1 /mnt/2
	losetup -d "${loops[@]}"
	dmsetup remove --retry v1
	dmsetup remove --retry v2
	down 0
}

crypt_table() {
	echo "0 $(blockdev --getsz "$1") crypt aes-xts-plain64 $(printf '0123456789abcdef%.0s' {1..8}) 0 $1 0"
}

# dm-crypt decrypts the pages of its file system in place.
test_crypt_above() {
	local id before

	check "a disk" stack "" || return
	msg create_thin 9
	activate 9
	dmsetup create c9 --table "$(crypt_table /dev/mapper/v9)"
	make_fs /dev/mapper/c9
	mkdir -p /mnt/9
	mount -o noatime /dev/mapper/c9 /mnt/9
	sharefiles fill /mnt/9 $FILES 1
	umount /mnt/9
	dmsetup remove --retry c9
	dmsetup remove --retry v9
	drop_caches
	before=$(value caught)
	for id in 1 2; do
		msg create_snap $id 9
		activate $id
		dmsetup create c$id --table "$(crypt_table /dev/mapper/v$id)"
		mkdir -p /mnt/$id
		check "clone $id is mounted by way of dm-crypt" \
			mount -o noatime /dev/mapper/c$id /mnt/$id
		check "its bytes are right" right $id
		check "by direct reads, too" right $id -d
	done
	check "no page that is decrypted in place is a source" \
		[ "$(value caught)" = "$before" ]
	check "no block has changed" [ "$(value changed)" = 0 ]
	umount /mnt/1 /mnt/2
	dmsetup remove --retry c1
	dmsetup remove --retry c2
	dmsetup remove --retry v1
	dmsetup remove --retry v2
}

test_crypt_below() {
	make_disk
	dmsetup create below --table "$(crypt_table "$data")"
	export DATA=/dev/mapper/below
	check "an encrypted disk" stack "" || return
	two_read
}

modprobe -a loop dm-crypt xts || exit
[ $# = 0 ] || tests=$*
for name in $tests; do
	echo "# $name"
	"test_$name"
	result "$name runs to its end" $?
	unstack
done
check "the module can be removed" rmmod dm-hpmapper
the_end
