#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that a suspended pool does no I/O: it refuses messages that write, and a
# request that a suspension sends back is not taken for an error of a device.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 64
pool_up || exit
vol_new v0 0 32
put v0 64k 20 0 fsync
msg create_snap 10 0

# A message that changes something is refused; one that only reads is not.  The
# metadata device may be suspended as well.
dmsetup suspend pool
before=$(sum $meta)
for m in "create_thin 50" "create_snap 50 0" "delete 10" "set_size 10 8" "set_name 10 x" \
	"set_sharing 10 off" "set_readonly 10 on" "set_transaction_id 0 1" \
	reserve_metadata_snap release_metadata_snap checkpoint "defrag start"; do
	no message EBUSY 'the pool is suspended' "$m"
done
refusals
equal "none of these wrote" "$(sum $meta)" "$before"
dmsetup suspend meta
seen=$(timeout 10 dmsetup message pool 0 "create_snap 50 0" 2>&1)
matches "nor waits for a metadata device that is suspended" "$seen" 'busy'
matches "the volumes can be listed" "$(timeout 10 dmsetup message pool 0 list)" '^0 '
check "and the status be asked for" timeout 10 dmsetup status pool
dmsetup resume meta
dmsetup resume pool
check "a resumed pool takes such messages" msg create_snap 50 0
differ "and writes, which is seen" "$(sum $meta)" "$before"
msg delete 50

# A flush that is sent back is no error of the data device.
for how in volume table; do
	dmsetup suspend pool
	dd if=/dev/null of=/dev/mapper/v0 count=0 conv=fsync,notrunc status=none &
	waiter=$!
	sleep 0.5
	check "an fsync waits for a suspended pool" kill -0 $waiter
	check "its volume can be suspended" timeout 20 dmsetup suspend --noflush --nolockfs v0
	dmsetup resume pool
	[ $how = volume ] || dmsetup reload v0 --table "$(dmsetup table v0)"
	dmsetup resume v0
	ends_well "then it succeeds" $waiter
	equal "and the pool is as it was" "$(word 8) $(word 11)" "rw -"
done
check "and is written to" put v0 4k 1 8000 fsync

# Before the image of a hibernation is made, all background writes are frozen.
# (This uses the kernel's own test of its freezer: processes and queues stop, and
# continue.)
frozen() {
	echo freezer >/sys/power/pm_test
	echo 3 >/sys/module/suspend/parameters/pm_test_delay
	echo freeze >/sys/power/state
	echo none >/sys/power/pm_test
}

# the actions of the pool between the two lines of the trace
while_frozen() {
	awk '/freeze_processes.*end/ { frozen = 1 } /thaw_processes.*begin/ { frozen = 0 }
		frozen && /hpm_/ { print }' $trace/trace
}

writes_more() {
	[ "$(data_used)" -gt "$used" ]
}

commits_again() {
	sed '1,/thaw_processes.*begin/d' $trace/trace | grep -q hpm_commit
}

if [ -e /sys/power/pm_test ]; then
	used=$(data_used)
	trace=/sys/kernel/tracing
	[ -e $trace/trace ] || mount -t tracefs none $trace
	on=("$trace/events/"{power/suspend_resume,hpmapper}/enable)
	fio --name=x --filename=/dev/mapper/v0 --rw=randwrite --bs=4k --size=32M \
		--direct=1 --ioengine=psync --thread --time_based --runtime=60 \
		--rate_iops=200 --minimal >/dev/null 2>&1 &
	writer=$!
	check "somebody writes" within 30 writes_more
	echo >$trace/trace
	echo 1 | tee "${on[@]}" >/dev/null
	check "processes and queues are frozen" frozen
	check "and thawed, and a pool commits" within 20 commits_again
	echo 0 | tee "${on[@]}" >/dev/null
	kill $writer
	wait $writer 2>/dev/null
	equal "meanwhile it has done nothing" "$(while_frozen)" ""
fi

# A status request gets an answer while the pool and its metadata device are
# suspended, and nothing is read.
msg map_cache 1
was=$(dmsetup status v0)
check "the pool is suspended" dmsetup suspend pool
check "and its metadata device" dmsetup suspend meta
check "a volume's status is told" timeout 20 dmsetup status --noflush v0
equal "and is what it was" "$(timeout 20 dmsetup status v0)" "$was"
dmsetup resume meta
dmsetup resume pool
equal "and after" "$(dmsetup status v0)" "$was"
vol_down v0
pool_down
