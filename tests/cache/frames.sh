#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that entries are dropped when their blocks are freed or their page frames
# go.  Runs in the guest (make test-frames).
#
#	frames.sh [<test>...]	sweep poisoned; with UNPLUG= also unplug
set -uo pipefail
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"

: "${tests:=sweep poisoned}"
FILES=60
cp "$(command -v racer)" "$(command -v sharefiles)" /dev/shm/
trace=/sys/kernel/tracing

# events NAME COMMAND...: records the output of this tracepoint in /dev/shm/events
events() {
	local on=$trace/events/hpmapper/$1/enable status

	echo >$trace/trace
	echo 1 >"$on"
	"${@:2}"
	status=$?
	echo 0 >"$on"
	grep -o "$1: .*" $trace/trace >/dev/shm/events
	return $status
}

nothing_dying() { [ "$(value dying)" = 0 ]; }

# Prints the blocks that the pool uses, or that the drain has not freed yet.
used() { dmsetup status pool | cut -d' ' -f6 | cut -d/ -f1; }
uses() { [ "$(used)" = "$1" ]; }

# write ID OFFSET LENGTH, in MiB
write() {
	dd if=/dev/zero of="/dev/mapper/v$1" bs=1M seek="$2" count="$3" \
		oflag=direct conv=notrunc status=none
}

# all_gone ID USED: deletes the volume; all its space must become free
all_gone() {
	msg delete "$1" && within 60 nothing_dying && within 60 uses "$2"
}

# A volume of five extents, of 40 MiB each, is deleted.
test_sweep() {
	local i left before

	check "clone 1 has copies" up 1
	sharefiles check /mnt/1 $FILES 1 >/dev/null
	msg create_thin 20
	msg create_thin 21
	activate 20
	activate 21
	for i in 0 1 2 3 4; do
		write 20 $((i * 40)) 40
		write 21 $((i * 40)) 40
	done
	dmsetup remove --retry v20
	dmsetup remove --retry v21
	left=$(($(used) - 5 * 40 * 256))
	before=$(value blocks)
	check "a volume of many large extents is given back" \
		events hpm_sweep all_gone 20 $left
	sed 's/^/# /' /dev/shm/events
	check "by one walk over the index for all of them" \
		[ "$(grep -c . /dev/shm/events)" = 1 ]
	check "which leaves the other blocks' copies" \
		[ "$(value blocks)" = "$before" ]
	msg delete 21
	# blocks of which copies are known
	msg create_snap 22 0
	down 1
	for i in 1 22 0; do msg delete $i; done
	within 60 nothing_dying
	within 60 uses "$empty"
	check "copies of blocks that were given back are none" \
		[ "$(copies)" = 0 ]
}

# The pool's own pages are in memory like any other page.  Readers of xfs's metadata
# are served from them.
look_around() {
	up 31 ro,norecovery && find /mnt/31 -type f -size +100000k &&
		down 31
}

test_poisoned() {
	local frames frame

	modprobe hwpoison-inject || return
	mountpoint -q /sys/kernel/debug ||
		mount -t debugfs none /sys/kernel/debug
	FS=xfs
	msg create_thin 30
	activate 30
	make_fs /dev/mapper/v30
	mounted 30
	mkdir /mnt/30/{1..20}
	touch /mnt/30/{1..20}/{1..20}
	down 30
	msg create_snap 31 30
	look_around
	check "metadata is served" events hpm_hit look_around
	# such pages have no place in a file, so they show file page 0
	frames=$(grep 'file page 0 ' /dev/shm/events | sed 's/.*frame //' |
		sort -u | head -n 20)
	check "from pages of the index's own" [ -n "$frames" ]
	for frame in $frames; do
		echo $((frame)) >/sys/kernel/debug/hwpoison/corrupt-pfn
	done 2>/dev/null
	check "when their memory is damaged" \
		grep -q HardwareCorrupted: /proc/meminfo
	grep HardwareCorrupted: /proc/meminfo | sed 's/^/# /'
	check "the metadata can be read" events hpm_hit look_around
	sed 's/.*frame //' /dev/shm/events | sort -u >/dev/shm/now
	fails "but not from there" grep -qxF "$frames" /dev/shm/now
	msg delete 31
	msg delete 30
	FS=ext4
}

# Reads everything again and again, and evicts it.
busy() {
	until [ -e /dev/shm/enough ]; do
		for f in /mnt/"$1"/d*/f*; do racer drop "$f"; done
		sharefiles check "/mnt/$1" $FILES 1 >/dev/null || return
		msg cache evict
	done
}


test_unplug() {
	local dimm=/sys/bus/acpi/devices/PNP0C80:00 id pid before

	clone 2 3
	for id in 1 2 3; do up $id; done
	msg cache copies_limit 1
	for id in 1 2; do busy $id & pid[id]=$!; done
	sharefiles check /mnt/3 $FILES 1 >/dev/null
	before=$(awk '/MemTotal/ { print $2 }' /proc/meminfo)
	plugged_in() { [ $((before - $(awk '/MemTotal/ { print $2 }' /proc/meminfo))) -lt 262144 ]; }
	eject() {
		echo 1 >$dimm/eject
		sleep 1
		! plugged_in
	}
	check "memory is ejected while copies in it are read and evicted" \
		within 120 eject
	sharefiles check /mnt/3 $FILES 1 >/dev/null
	result "a clone that was read before is right" $?
	sleep 5
	touch /dev/shm/enough
	for id in 1 2; do
		wait "${pid[id]}"
		result "no wrong byte for clone $id meanwhile" $?
	done
	check "there were hits" [ "$(value hits)" -gt 0 ]
	check "copies went" [ "$(value evicted)" -gt 0 ]
	echo "# $(dmsetup status --noflush pool | sed 's/.* share /share /')"
	down 1 2 3
}

pool_up || exit
empty=$(used)
[ -e $trace/trace ] || mount -t tracefs none $trace
[ $# = 0 ] || tests=$*
for name in $tests; do
	echo "# $name"
	msg create_thin 0
	activate 0
	make_fs /dev/mapper/v0
	mounted 0
	sharefiles fill /mnt/0 $FILES 1
	down 0
	drop_caches
	clone 1
	"test_$name"
	result "$name runs to its end" $?
	for id in 3 2 1 0; do msg delete $id 2>/dev/null; done
done
check "no block has changed" [ "$(value changed)" = 0 ]
check "the pool can be removed" dmsetup remove --retry pool
check "and the module" rmmod dm-hpmapper
the_end
