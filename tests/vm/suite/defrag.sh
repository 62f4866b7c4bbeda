#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that defragmentation keeps the data that it moves, also under load.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

idle() {
	[ "$(key defrag)" = idle ]
}

devices 16 256
pool_up || exit
vol_new v 0 64 || exit
# 4 KiB blocks of two volumes in turn, so that neither volume gets large blocks
vol_new w 1 64
fio --name=a --filename=/dev/mapper/v --rw=randwrite --bs=4k --size=16M \
	--direct=1 --ioengine=psync --thread --minimal --randseed=5 >/dev/null
fio --name=b --filename=/dev/mapper/w --rw=randwrite --bs=4k --size=16M \
	--direct=1 --ioengine=psync --thread --minimal --randseed=6 >/dev/null
snap_new s 2 1 64
was=$(sum /dev/mapper/v; sum /dev/mapper/w; sum /dev/mapper/s)
used=$(data_used)
check "it starts" dmsetup message pool 0 "defrag start 1000000"
check "and ends" within 60 idle
note "moved $(key moved), pinned $(key pinned)"
is "it has moved something" "$(key moved)" -gt 0
equal "no volume is other than it was" \
	"$(sum /dev/mapper/v; sum /dev/mapper/w; sum /dev/mapper/s)" "$was"
is "nothing shared is not shared now" "$(data_used)" -le "$used"
equal "again, when the pool has been opened anew" "$(
	vol_down v w s; pool_down; pool_up; vol_up v 0 64; vol_up w 1 64
	vol_up s 2 64
	sum /dev/mapper/v; sum /dev/mapper/w; sum /dev/mapper/s)" "$was"

# Under load, with snapshots.
for i in 1 2 3; do
	stamps --device /dev/mapper/v --pool pool --origin 0 --size 16M \
		--seconds 6 --snapshots 6 --discards 5 --zeroes 3 --seed $i \
		--first $((i * 100)) >"$tmp/out" 2>&1 &
	writer=$!
	for _ in 1 2 3 4 5; do
		msg defrag start 1000000
		sleep 0.7
	done
	msg defrag stop
	msg defrag start 2000
	wait $writer
	equal "under load, $i" "$? $(grep -v '^#' "$tmp/out")" "0 "
done
note "moved $(key moved), pinned $(key pinned)"
msg defrag start 100
check "a suspend stops it" timeout 10 dmsetup suspend pool
moved=$(key moved --noflush)
seen=$(dmsetup message pool 0 "defrag start" 2>&1)
matches "a suspended pool does not start it" "$seen" 'busy'
sleep 1
equal "and it moves nothing" "$(key moved --noflush)" "$moved"
dmsetup resume pool
equal "a resume starts it again" "$(key defrag)" running
vol_down v w s
check "so does a pool's end" timeout 10 dmsetup remove pool
