#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests a full metadata device, and the ways out: deleting, discarding and growing
# it.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

meta_state() {
	key metadata
}

# Fills the metadata until writes and snapshots are refused.  Writes are refused
# first, because they leave some space to messages.
fill_up() {
	local id

	for id in $(seq "$1" $(($1 + 200))); do
		dmsetup message pool 0 "create_snap $id 0" 2>/dev/null || break
		touch_leaves /dev/mapper/v 12000 >/dev/null 2>&1 || break
	done
	while [ $id -lt $(($1 + 200)) ] &&
	      dmsetup message pool 0 "create_snap $((id + 1)) 0" 2>/dev/null; do
		id=$((id + 1))
	done
	last=$id
}

devices 4 256
pool_up || exit
vol_new v 0 64
# 12,000 single blocks: some fifty leaves
fio --name=x --filename=/dev/mapper/v --rw=write:4k --bs=4k --size=64M \
	--io_size=32M --direct=1 --ioengine=psync --thread --minimal >/dev/null
dmesg -C
fill_up 1
note "full after $last snapshots, $(word 5) blocks"
is "it gets full" "$last" -lt 200
log_has "the log says so" 'metadata device is full|no metadata space is left'
seen=$(dmsetup message pool 0 "create_snap 999 0" 2>&1)
matches "then there are no new volumes" "$seen" 'No space left'
log_has "for this reason" 'no metadata space is left'
seen=$(touch_leaves /dev/mapper/v 12000 2>&1)
matches "nor copies on write" "$seen" 'No space left'
equal "the status says so" "$(meta_state)" full
check "reading goes on" dd if=/dev/mapper/v of=/dev/null bs=1M iflag=direct
msg create_thin 998 2>/dev/null && msg delete 998
check "a volume can be deleted" dmsetup message pool 0 "delete 1"
for id in $(seq 2 10); do
	msg delete "$id"
done
within 20 nothing_dying
check "after some deletes the metadata has room" within 10 bash -c \
	'dmsetup status pool | grep -q " metadata ok"'
check "writes go on" touch_leaves /dev/mapper/v 12000
check "and snapshots" dmsetup message pool 0 "create_snap 999 0"

# Fills the metadata again; this time it is grown.
fill_up 300
equal "full once more" "$(touch_leaves /dev/mapper/v 12000 >/dev/null 2>&1; meta_state)" full
slice meta hmeta 8
pool_reload 0
check "with a larger device there is room" within 10 bash -c \
	'dmsetup status pool | grep -q " metadata ok"'
matches "the status has its size" "$(word 5)" '/2048$'
check "and writes go on" touch_leaves /dev/mapper/v 12000

# Fills it a third time; this time writes wait for space.
pool_reload 0 queue_if_no_space
fill_up 600 &
filler=$!
check "it gets full again" within 90 bash -c \
	'dmsetup status --noflush pool | grep -q " metadata full"'
sleep 1
for id in $(seq 11 40); do
	msg delete "$id" 2>/dev/null
done
check "deletes let a waiting writer go on" within 20 bash -c \
	'dmsetup status --noflush pool | grep -q " metadata ok"'
pool_reload 0
wait $filler
vol_down v
pool_down
pool_up || exit
vol_up v 0 64
check "the pool opens again" foreign nonzero /dev/mapper/v
for id in $(msg list | cut -d' ' -f1); do
	[ "$id" = 0 ] || echo "delete $id"
done | messages pool >"$tmp/deleted" || note "$(cat "$tmp/deleted")"
check "everything else is deleted" within 30 nothing_dying
equal "and gone" "$(key volumes)" 1
vol_down v
msg delete 0
check "no data is used then" within 20 used_is 0
pool_down
