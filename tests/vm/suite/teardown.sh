#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Removes a pool while delayed work of it is pending: none of this work may run on a
# queue that is gone.  (boot.sh looks for the kernel's complaints.)
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

# A read of 64 KiB takes 2 ms, long enough for another read to wait for it.
nullb hmeta 64 inline
nullb hdata 256 timer 2000000
slice meta hmeta 16
slice data hdata 128
pool_up || exit
vol_new v 0 16
put v 1M 4 0 fsync
msg create_snap 1 0
vol_down v
pool_down

# A follower stops waiting for its leader after 100 ms; the pool is gone before.
for us in $(seq 0 15000 90000); do
	pool_up && vol_up a 1 16 || exit
	echo 3 >/proc/sys/vm/drop_caches
	dd if=/dev/mapper/a of=/dev/null bs=4k count=1 skip=512 iflag=direct status=none
	removal a pool "$us" || exit
done
sleep 0.3
matches "a pool is removed behind a read that waited for another" \
	"$(dmesg | grep -cE 'WARNING|BUG|Oops|general prot')" '^0$'

# The other delayed work: a stream's reservation lasts 5 seconds, scans and
# evictions come from time to time; the timeout of a full pool, a reclaim, and the
# defragmentation.
pool_up 0 queue_if_no_space || exit
intercepts && msg "cache scan_ms 100"
vol_up a 1 16
vol_new w 2 200
dd if=/dev/zero of=/dev/mapper/w bs=1M count=8 oflag=direct status=none
dd if=/dev/mapper/a of=/dev/null bs=128k count=8 status=none
msg "defrag start 1"
msg create_snap 3 2
vol_down w
msg delete 2
vol_down a
check "a pool is removed with all that is delayed before it" pool_down
# for as long as the longest of these delays
sleep 6
matches "and none of it comes" \
	"$(dmesg | grep -cE 'WARNING|BUG|Oops|general prot')" '^0$'
