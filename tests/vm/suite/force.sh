#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Removes tables under load by force, and tests that the data that was synced is
# there afterwards.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 256
pool_up || exit

hammer() {	# until it fails
	fio --name=x --filename="/dev/mapper/$1" --allow_file_create=0 \
		--rw=randrw --bs=4k --iodepth=8 \
		--ioengine=libaio --direct=1 --size=16M --offset=16M --time_based \
		--runtime=20 --thread --minimal >/dev/null 2>&1
}

writes_of() {	# that have ended
	awk '{ print $5 }' "/sys/dev/block/$(stat -Lc %Hr:%Lr "/dev/mapper/$1")/stat"
}

is_hammered() {	# is_hammered NAME WRITES-BEFORE
	[ "$(writes_of "$1")" -gt $(($2 + 100)) ]
}

round() {	# round WHAT COMMAND...: the pool is gone after it, by force
	local what=$1 n synced before

	shift
	vol_up v 0 64 || return
	dd if=/dev/urandom of=/dev/mapper/v bs=4k count=2048 oflag=direct \
		conv=fsync,notrunc status=none
	synced=$(sum /dev/mapper/v 8)
	before=$(writes_of v)
	hammer v &
	n=$!
	check "$what: there is I/O" within 30 is_hammered v "$before"
	"$@" >/dev/null 2>&1
	check "$what: I/O ends" timeout 30 tail --pid=$n -f /dev/null
	wait $n 2>/dev/null
	dmsetup info v >/dev/null 2>&1 && check "$what: the volume goes" dmsetup remove --force v
	dmsetup info pool >/dev/null 2>&1 && check "$what: the pool goes" dmsetup remove --force pool
	check "$what: the pool opens again" pool_up
	vol_up v 0 64
	equal "$what: what was synced is there" "$(sum /dev/mapper/v 8)" "$synced"
	check "$what: it can be written" dd if=/dev/zero of=/dev/mapper/v bs=64k \
		count=100 seek=300 oflag=direct
	vol_down v
}

msg create_thin 0
round "the volume is forced" dmsetup remove --force v
round "the pool is forced" dmsetup remove --force pool
round "both are, the pool first" bash -c \
	'dmsetup remove --force pool; dmsetup remove --force v'
round "its data device fails" bash -c '
	dmsetup wipe_table --noflush data; sleep 1
	dmsetup remove --force v; dmsetup remove --force pool
	dmsetup remove data; dmsetup create data --table "0 524288 linear $(
		cat /dev/null; [ -b /dev/hdata ] && echo /dev/hdata ||
		echo /dev/nullb$(cat /sys/kernel/config/nullb/hdata/index)) 0"'

# A dead pool under a live volume.
vol_up v 0 64
dmsetup remove --force pool >/dev/null 2>&1
fails "a volume of a pool that is gone reads nothing" dd if=/dev/mapper/v \
	of=/dev/null bs=4k count=1 iflag=direct
fails "and writes nothing" dd if=/dev/zero of=/dev/mapper/v bs=4k count=1 oflag=direct
matches "its status is Fail" "$(dmsetup status v)" ' Fail$'
fails "it cannot be snapshotted" dmsetup message pool 0 "create_snap 9 0"
dmsetup remove v
dmsetup info pool >/dev/null 2>&1 && dmsetup remove pool

# A metadata device that fails.
pool_up || exit
vol_up v 0 64
dd if=/dev/urandom of=/dev/mapper/v bs=1M count=4 oflag=direct conv=fsync status=none
synced=$(sum /dev/mapper/v 4)
# The map and the counts are in memory, so it is the commit that fails.
sum /dev/mapper/v >/dev/null
dd if=/dev/urandom of=/dev/mapper/v bs=4k count=8 seek=3900 oflag=direct conv=fsync status=none
dmesg -C
dmsetup wipe_table --noflush meta
fails "without its metadata device nothing is made durable" dd if=/dev/urandom \
	of=/dev/mapper/v bs=4k count=8 seek=3950 oflag=direct conv=fsync
check "the pool goes down the ladder" within 10 bash -c \
	'dmsetup status --noflush pool | grep -qE " ro | Fail"'
log_has "and says why" 'switching from write to (read_only|fail) mode'
fails "no message changes it then" dmsetup message pool 0 "create_thin 77"
dmsetup remove --force v
dmsetup remove --force pool
dmsetup remove meta
slice meta hmeta 16
check "with the device back the pool opens" pool_up
vol_up v 0 64
equal "and has what was synced" "$(sum /dev/mapper/v 4)" "$synced"
vol_down v
pool_down
