#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Suspending, resuming and reloading volumes and the pool under load.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 256
pool_up || exit
for i in 0 1 2; do
	vol_new v$i $i 32 || exit
done
dd if=/dev/urandom of=/dev/mapper/v0 bs=1M count=32 oflag=direct status=none
msg create_snap 10 0

declare -A writers
# (They leave some of the machine to who suspends.)
start_writers() {
	local i

	for i in 0 1 2; do
		nice -n 10 stamps --device /dev/mapper/v$i --size 8M --skip 2M \
			--seconds 600 --discards 5 --zeroes 5 --syncs 5 --threads 3 --seed $i \
			>"$tmp/stamps$i" 2>&1 &
		writers[$i]=$!
	done
	sleep 0.5
}

end_writers() {
	local i

	kill "${writers[@]}"
	for i in 0 1 2; do
		wait ${writers[$i]}
		equal "$1: what volume $i holds" "$? $(grep -v '^#' "$tmp/stamps$i")" "0 "
	done
}

start_writers
for i in 0 1 2; do
	check "suspend a volume" timeout 10 dmsetup suspend v$i
	check "resume it" dmsetup resume v$i
	check "without flush" timeout 10 dmsetup suspend --noflush v$i
	check "resume it" dmsetup resume v$i
	check "without lockfs" timeout 10 dmsetup suspend --nolockfs v$i
	dmsetup resume v$i
done
end_writers "volumes were suspended"

start_writers
for i in 1 2 3; do
	check "suspend the pool" timeout 10 dmsetup suspend pool
	sleep 0.2
	check "its status can be asked for" timeout 5 dmsetup status
	check "resume it" timeout 10 dmsetup resume pool
	check "suspend the pool without flush" timeout 10 dmsetup suspend --noflush pool
	check "resume it" timeout 10 dmsetup resume pool
	check "reload the pool" pool_reload $i
	check "reload a volume" bash -c 'dmsetup reload v1 --table "$(dmsetup table v1)" &&
		dmsetup suspend v1 && dmsetup resume v1'
done
end_writers "the pool was suspended"

# While the pool is suspended nothing is written by it.
dd if=/dev/urandom of=/dev/mapper/v1 bs=64k count=20 seek=400 oflag=direct status=none
dmsetup suspend pool
before=$(sum $meta; sum $data)
dd if=/dev/urandom of=/dev/mapper/v1 bs=4k count=20 seek=3000 oflag=direct status=none &
waiter=$!
sleep 2.5
equal "a suspended pool writes nothing" "$(sum $meta; sum $data)" "$before"
check "who writes to it waits" kill -0 $waiter
dmsetup resume pool
check "and goes on when it is resumed" timeout 10 tail --pid=$waiter -f /dev/null
msg checkpoint
differ "then it writes, and that is seen" "$(sum $meta; sum $data)" "$before"

# A message that changes something is refused; what only looks is not.  The metadata
# device may be suspended as well.
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

# A flush that is sent back says nothing of the data device.
for how in volume table; do
	dmsetup suspend pool
	dd if=/dev/null of=/dev/mapper/v0 count=0 conv=fsync,notrunc status=none &
	waiter=$!
	sleep 0.5
	check "an fsync waits for a suspended pool" kill -0 $waiter
	check "its volume can be suspended" timeout 20 dmsetup suspend --noflush --nolockfs v0
	[ $how = volume ] || dmsetup reload v0 --table "$(dmsetup table v0)"
	dmsetup resume pool
	dmsetup resume v0
	check "then it succeeds" wait $waiter
	equal "and the pool is as it was" "$(word 8) $(word 11)" "rw -"
done
check "and is written to" put v0 4k 1 8000 fsync

# A clean suspend leaves nothing to be replayed.
dmsetup suspend pool
dd if=$meta of="$tmp/meta" bs=1M iflag=direct status=none
dmsetup resume pool
equal "a suspended pool's journal is empty" "$(dmsetup suspend pool
	dmsetup status --noflush pool | grep -oP '(?<= journal )[0-9]+'
	dmsetup resume pool)" 0

# The volume's suspension is part of the order of removal.
check "a suspended volume can be removed" bash -c \
	'dmsetup suspend v2 && dmsetup remove v2'
vol_up v2 2 32
fails "a pool with active volumes cannot" dmsetup remove pool
check "but can be suspended with all of them suspended before" bash -c '
	dmsetup suspend v0 && dmsetup suspend v1 && dmsetup suspend v2 &&
	timeout 10 dmsetup suspend pool && dmsetup resume pool &&
	dmsetup resume v2 && dmsetup resume v1 && dmsetup resume v0'
check "and with them resumed first" timeout 20 bash -c '
	dmsetup suspend v0 && dmsetup suspend pool && dmsetup resume v0 &&
	dmsetup resume pool'
check "I/O works after all that" dd if=/dev/zero of=/dev/mapper/v0 bs=4k \
	count=10 oflag=direct
vol_down v0 v1 v2
pool_down
