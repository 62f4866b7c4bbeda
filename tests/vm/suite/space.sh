#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests a full data device: errors, waits, events, and the ways out.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

fill() {	# fill NAME MIB [SEEK]
	dd if=/dev/zero of="/dev/mapper/$1" bs=64k count=$(($2 * 16)) \
		seek=$((${3:-0} * 16)) oflag=direct conv=notrunc status=none
}

devices 8 32
pool_up || exit

# The default: an error at once.
vol_new v0 0 24
vol_new v1 1 64
fill v0 24
start=$SECONDS
dmesg -C
seen=$(fill v1 64 2>&1)
matches "out of space is an error" "$seen" 'No space left on device'
is "at once: it would have waited for a minute" $((SECONDS - start)) -lt 60
equal "the status says so" "$(pool_mode)" out_of_data_space
log_has "and the log" 'switching from write to out_of_data_space'
# (The first block belongs to the pool and does not count as used.)
equal "all of the device is used" "$(data_used)" $((32 * 256 - 1))
check "what is mapped can be read" dd if=/dev/mapper/v0 of=/dev/null bs=1M
check "and written in place" fill v0 24
fails "a shared block cannot" bash -c 'dmsetup message pool 0 "create_snap 2 0" &&
	dd if=/dev/zero of=/dev/mapper/v0 bs=4k count=1 oflag=direct'
check "volumes can be made" dmsetup message pool 0 "create_thin 3"
check "a snapshot can be deleted" dmsetup message pool 0 "delete 2"
sum=$(sum /dev/mapper/v0)
blkdiscard -l $((4 << 20)) /dev/mapper/v1
check "a discard brings the pool back" within 10 mode_is rw
log_has "as the log says" 'switching from out_of_data_space to write'
check "and there is room" fill v1 3 10
vol_down v1
fill v0 1
msg delete 1
check "a delete gives room" within 10 used_is $((24 * 256))
msg create_thin 1
vol_up v1 1 64
check "for 7 MiB" fill v1 7
fails "and no more" fill v1 1 9
slice data hdata 48
pool_reload 0 || exit
check "growth brings the pool back" within 10 mode_is rw
check "for 16 MiB" fill v1 16 8
fails "and no more than that" fill v1 1 30
equal "other volumes are as they were" "$(sum /dev/mapper/v0)" "$sum"
vol_down v0 v1
msg delete 0
msg delete 1
within 10 nothing_dying
pool_down

# queue_if_no_space
slice data hdata 32
wipe
pool_up 0 queue_if_no_space || exit
matches "queue_if_no_space is in the status" "$(word 10)" queue_if_no_space
vol_new v0 0 16
vol_new v1 1 64
fill v0 16
fill v1 20 &
waiter=$!
check "it runs out of space" within 20 mode_is out_of_data_space
sleep 1
check "the writer waits" kill -0 $waiter
check "status does not hang" timeout 5 dmsetup status
check "a reader does not wait" timeout 5 dd if=/dev/mapper/v0 of=/dev/null \
	bs=64k count=4 iflag=direct
blkdiscard -l $((8 << 20)) /dev/mapper/v0
check "until something is discarded" timeout 20 tail --pid=$waiter -f /dev/null
wait $waiter
equal "then it ends well" $? 0
equal "and the pool is well" "$(pool_mode)" rw
fill v1 10 20 &
waiter=$!
within 20 mode_is out_of_data_space
vol_down v0
msg delete 0
check "or something is deleted" timeout 20 tail --pid=$waiter -f /dev/null
wait $waiter
equal "then, too, it ends well" $? 0
fill v1 10 30 &
waiter=$!
within 20 mode_is out_of_data_space
slice data hdata 48
pool_reload 0 queue_if_no_space
check "or the pool grows" timeout 20 tail --pid=$waiter -f /dev/null
wait $waiter
equal "then as well" $? 0
equal "everything is there" "$(foreign nonzero /dev/mapper/v1)" 0

# A suspension without a flush returns the waiting writes, and they are repeated.
fill v1 14 45 &
waiter=$!
within 20 mode_is out_of_data_space
sleep 0.5
check "a suspend without flush does not wait for space" \
	timeout 10 dmsetup suspend --noflush v1
check "and a resume after it" timeout 10 dmsetup resume v1
check "the writer still waits" kill -0 $waiter
check "so does suspend without flush and without lockfs" \
	timeout 10 dmsetup suspend --noflush --nolockfs v1
dmsetup resume v1
slice data hdata 96
pool_reload 0 queue_if_no_space
check "growth lets it go on" timeout 20 tail --pid=$waiter -f /dev/null
wait $waiter
equal "and it ends well" $? 0

# The wait for space has a limit.
echo 3 >/sys/module/dm_hpmapper/parameters/no_space_timeout
vol_down v1
msg create_thin 5
vol_up v5 5 128
dmesg -C
start=$SECONDS
seen=$(fill v5 128 2>&1)
matches "a bounded wait ends with an error" "$seen" 'No space left'
is "after its time" $((SECONDS - start)) -ge 3
is "and before the usual minute" $((SECONDS - start)) -lt 60
log_has "as the log says" 'no space came in time'
equal "the status then has error_if_no_space" "$(word 10)" error_if_no_space
echo 60 >/sys/module/dm_hpmapper/parameters/no_space_timeout
start=$SECONDS
fails "later writes fail" fill v5 1 127
is "at once" $((SECONDS - start)) -lt 60
vol_down v5
msg delete 5
check "space brings it back" within 10 mode_is rw
equal "and it would wait again" "$(word 10)" queue_if_no_space
pool_down

# The low water mark.
slice data hdata 32
wipe
pool_up $((16 * 256)) || exit
vol_new v0 0 32
fill v0 8
event=$(dmsetup info -c --noheadings -o events pool)
dmesg -C
dmsetup wait pool "$event" >/dev/null &
waiter=$!
sleep 0.3
check "above the low water mark there is no event" kill -0 $waiter
fill v0 10 8
check "below it there is one" timeout 10 tail --pid=$waiter -f /dev/null
log_has "and a line" 'reached low water mark for data device'
dmesg -C
fill v0 4 20
sleep 1.5
equal "only once" "$(dmesg | grep -c 'low water mark for data')" 0
blkdiscard /dev/mapper/v0
within 10 used_is 0
sleep 1.5
fill v0 20
sleep 1.5
log_has "and again when it is crossed again" 'low water mark for data'
event=$(dmsetup info -c --noheadings -o events pool)
dmsetup wait pool "$event" >/dev/null &
waiter=$!
fill v0 32 2>/dev/null
fill v0 32 20 2>/dev/null
sleep 0.5
dmsetup message pool 0 "create_snap 9 0"
fill v0 4 2>/dev/null
check "out of space is an event" timeout 10 tail --pid=$waiter -f /dev/null
vol_down v0
pool_down
