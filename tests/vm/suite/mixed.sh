#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests several volumes that share blocks while fio writes and verifies them all at
# once.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 768
: "${FIO_SIZE:=12M}"

job() {	# job NAME OPTIONS...: a file system's or a database's way of writing
	local name=$1

	shift
	fio --name="$name" --filename="/dev/mapper/$name" --thread --minimal \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --size=$FIO_SIZE \
		--randseed=$((RANDOM)) "$@" >"$tmp/$name.out" 2>&1
}

run() {	# run LARGE DISK-MODE
	local i

	large=$1
	note "large blocks of $((large / 2)) KiB"
	wipe
	pool_up || exit
	msg create_thin 0
	vol_up base 0 64
	dd if=/dev/urandom of=/dev/mapper/base bs=1M count=64 oflag=direct status=none
	was=$(sum /dev/mapper/base)
	for i in 1 2 3 4 5 6; do
		snap_new v$i $i 0 64
	done
	declare -A jobs=()
	job v1 --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=16 &
	jobs[v1]=$!
	job v2 --rw=write --bs=256k --direct=1 --ioengine=libaio --iodepth=4 &
	jobs[v2]=$!
	job v3 --rw=randwrite --bsrange=512-64k --bs_unaligned=1 --ioengine=psync \
		--fsync=8 &
	jobs[v3]=$!
	job v4 --rw=randtrimwrite --bs=16k --direct=1 --ioengine=psync --verify=0 &
	jobs[v4]=$!
	job v5 --rw=randrw --rwmixread=30 --bssplit=4k/60:1k/20:64k/20 --direct=1 \
		--ioengine=psync --fdatasync=4 &
	jobs[v5]=$!
	job v6 --rw=randwrite --bs=4k --direct=1 --ioengine=io_uring --iodepth=8 &
	jobs[v6]=$!
	for i in v1 v2 v3 v4 v5 v6; do
		wait ${jobs[$i]}
		equal "$i is what fio wrote" "$? $(grep -iE 'verify|err=[^0]|error' "$tmp/$i.out" | head -n 3)" "0 "
	done
	equal "what they share is as it was" "$(sum /dev/mapper/base)" "$was"
	# The parts that were not written have the base's content.
	for i in 1 2 3 5 6; do
		equal "the rest of v$i is the base's" \
			"$(dd if=/dev/mapper/v$i bs=1M skip=20 iflag=direct status=none | md5sum)" \
			"$(dd if=/dev/mapper/base bs=1M skip=20 iflag=direct status=none | md5sum)"
	done
	vol_down base v1 v2 v3 v4 v5 v6
	for i in 0 1 2 3 4 5 6; do
		msg delete $i
	done
	check "all is given back" within 20 used_is 0
	pool_down
}

run 1024
run 128
clean_up
# Completions in interrupt, on either device.
DISK_MODE=softirq devices 16 768
run 4096
