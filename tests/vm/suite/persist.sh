#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the data of a pool that is opened again: after a removal, read-only, and
# from a copy of its devices as a crash would have left them.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 192
pool_up || exit
ids=(0 1 2 3 4)
vol_new v0 0 32
dd if=/dev/urandom of=/dev/mapper/v0 bs=1M count=24 oflag=direct status=none
for i in 1 2 3; do
	snap_new v$i $i 0 32
	stamps --device /dev/mapper/v$i --size 8M --skip ${i}M --seconds 1 \
		--discards 10 --zeroes 5 --seed $i >"$tmp/out" 2>&1 ||
		note "$(cat "$tmp/out")"
done
snap_new v4 4 2 32
stamps --device /dev/mapper/v4 --size 8M --seconds 1 >"$tmp/out" 2>&1
stamps --device /dev/mapper/v0 --size 8M --seconds 1 --unit 1 >"$tmp/out" 2>&1

sums() {
	local i

	for i in "${ids[@]}"; do
		sum "/dev/mapper/$1$i"
	done
}

all_up() {
	local i

	for i in "${ids[@]}"; do
		vol_up v$i $i 32 || return
	done
}

want=$(sums v)
list=$(msg list)
used=$(data_used)
for round in 1 2 3; do
	vol_down v0 v1 v2 v3 v4
	pool_down
	check "round $round: the pool opens" pool_up
	check "round $round: so do its volumes" all_up
	equal "round $round: they hold what they held" "$(sums v)" "$want"
	equal "round $round: the list is the same" "$(msg list)" "$list"
	equal "round $round: so is what is used" "$(data_used)" "$used"
	[ $round = 1 ] || dd if=/dev/mapper/v4 of=/dev/mapper/v4 bs=64k count=20 \
		skip=$((round * 30)) seek=$((round * 30)) oflag=direct conv=notrunc status=none
	used=$(data_used) list=$(msg list)
done

# Read-only: nothing is written, not even when the pool is opened.
vol_down v0 v1 v2 v3 v4
pool_down
before=$(sum $meta; sum $data)
pool_up 0 read_only || exit
equal "read_only: the mode" "$(pool_mode)" ro
all_up || exit
equal "read_only: volumes are read" "$(sums v)" "$want"
fails "read_only: and not written" dd if=/dev/zero of=/dev/mapper/v0 bs=4k count=1 oflag=direct
fails "read_only: not even in place" dd if=/dev/zero of=/dev/mapper/v4 bs=4k count=1 oflag=direct
fails "read_only: nor discarded" blkdiscard -l 1M /dev/mapper/v0
for m in "create_thin 9" "create_snap 9 0" "delete 4" "set_transaction_id 0 1" \
	"set_size 0 8" "set_name 0 x" "set_sharing 0 off" "set_readonly 0 on" \
	reserve_metadata_snap checkpoint "defrag start"; do
	no message EOPNOTSUPP 'the pool is read-only' "$m"
done
no reload EROFS 'opened read_only stays so' "$(pool_table 0)"
refusals
dmsetup suspend pool
dmsetup resume pool
vol_down v0 v1 v2 v3 v4
pool_down
equal "read_only: the devices are as they were" "$(sum $meta; sum $data)" "$before"

# From read-write to read-only and back, under a volume.
pool_up || exit
all_up
check "a reload makes it read-only" pool_reload 0 read_only
equal "it is" "$(pool_mode)" ro
fails "it is, really" dd if=/dev/zero of=/dev/mapper/v0 bs=4k count=1 oflag=direct
check "a reload takes that back" pool_reload 0
equal "it is rw" "$(pool_mode)" rw
check "and written" dd if=/dev/zero of=/dev/mapper/v0 bs=4k count=1 seek=8000 oflag=direct
msg checkpoint
differ "which is seen on the devices" "$(sum $meta; sum $data)" "$before"
want=$(sums v)

# The state after a crash: the devices are copied while the pool is active.  (In
# this order, because the pool writes data first.)  Synced data must be there.
dd if=/dev/urandom of=/dev/mapper/v1 bs=64k count=40 seek=100 oflag=direct \
	conv=fsync,notrunc status=none
want=$(sums v)
dd if=/dev/urandom of=/dev/mapper/v2 bs=4k count=100 seek=6000 oflag=direct status=none
dmsetup suspend --noflush --nolockfs meta
nullb hcopym 16 inline
nullb hcopyd 192 inline
slice copym hcopym 16
slice copyd hcopyd 192
dd if="$(nullb_path hmeta)" of=/dev/mapper/copym bs=1M count=16 iflag=direct oflag=direct status=none
dmsetup resume meta
dd if="$(nullb_path hdata)" of=/dev/mapper/copyd bs=1M count=192 iflag=direct oflag=direct status=none
vol_down v0 v1 v2 v3 v4
pool_down
meta=/dev/mapper/copym data=/dev/mapper/copyd
dmesg -C
check "a pool opens after a crash" pool_up
for i in 0 1 3 4; do
	vol_up v$i $i 32
done
equal "and has what was synced" "$(for i in 0 1 3 4; do sum /dev/mapper/v$i; done)" \
	"$(sed 3d <<<"$want")"
vol_up v2 2 32
equal "and of what was not, nothing elsewhere" "$(sum /dev/mapper/v2 20)" \
	"$(dd if=/dev/mapper/v2 bs=1M count=20 status=none | md5sum | cut -d" " -f1)"
vol_down v0 v1 v2 v3 v4
pool_down
# Read-only with a journal that has to be replayed in memory.
vol_ro=$(sum $meta)
check "read_only after that" pool_up 0 read_only
pool_down
equal "writes nothing" "$(sum $meta)" "$vol_ro"

# A pool that was made read-only by a reload: its removal writes nothing either.
pool_up || exit
all_up
dd if=/dev/urandom of=/dev/mapper/v0 bs=4k count=50 seek=300 oflag=direct conv=fsync,notrunc \
	status=none
check "read_only by a reload, once more" pool_reload 0 read_only
vol_ro=$(sum $meta)
vol_down v0 v1 v2 v3 v4
pool_down
equal "its removal writes nothing" "$(sum $meta)" "$vol_ro"
