#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests suspending, resuming and reloading volumes and the pool under load.
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
# (The writers leave a part of the machine to the process that suspends.)
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

# A suspended pool writes nothing.
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

# After a clean suspension, the journal has nothing to replay.
dmsetup suspend pool
dd if=$meta of="$tmp/meta" bs=1M iflag=direct status=none
dmsetup resume pool
equal "a suspended pool's journal is empty" "$(dmsetup suspend pool
	dmsetup status --noflush pool | grep -oP '(?<= journal )[0-9]+'
	dmsetup resume pool)" 0

# A suspended volume can be removed.
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
