#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the metadata tools on a pool in use, by a held metadata snapshot, while its
# volumes are written to, snapshotted and deleted.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 256
pool_up || exit
vol_new v 0 48 || exit
dd if=/dev/urandom of=/dev/mapper/v bs=1M count=16 oflag=direct status=none
check "without a held snapshot there is nothing to read" bash -c \
	"hpm_check -m $meta; [ \$? = 2 ]"
check "a pool in use is not read without -m" bash -c "hpm_check $meta; [ \$? = 2 ]"
check "nor dumped" bash -c "hpm_dump $meta >/dev/null; [ \$? = 1 ]"

msg create_snap 1 0
fio --name=x --filename=/dev/mapper/v --rw=randwrite --bs=4k --iodepth=4 \
	--ioengine=libaio --direct=1 --size=32M --time_based --runtime=300 \
	--thread --minimal >"$tmp/fio" 2>&1 &
writer=$!
was=$(key cow_blocks)
copied() {
	[ "$(key cow_blocks)" -gt $((was + 200)) ]
}
check "the writer copies" within 60 copied
msg create_snap 2 0
check "a metadata snapshot is held under load" dmsetup message pool 0 reserve_metadata_snap
vol_up one 1 48
vol_up two 2 48
one=$(sum /dev/mapper/one) two=$(sum /dev/mapper/two)
check "hpm_check -m" hpm_check -m $meta
hpm_ls -m -n --json $meta >"$tmp/ls"
equal "hpm_ls -m has the volumes" \
	"$(grep -oE '"id": ?[0-9]+' "$tmp/ls" | grep -oE '[0-9]+' | paste -sd ' ')" "0 1 2"
check "hpm_dump -m" hpm_dump -m -o "$tmp/dump1" $meta
check "hpm_delta -m" bash -c \
	"hpm_delta -m --vol1 1 --vol2 2 $meta >$tmp/delta"
is "something differs" "$(wc -l <"$tmp/delta")" -gt 0

# Does what an incremental backup does: copies the older state, and over it the
# differences.
dd if=/dev/mapper/one of="$tmp/backup" bs=1M iflag=direct status=none
n=$(backup /dev/mapper/two "$tmp/backup" <"$tmp/delta")
is "what differs is less than all" "$n" -lt $((32 * 256))
all=$(md5sum <"$tmp/backup")
equal "the older snapshot with the delta is the newer one" "${all%% *}" "$two"
rm "$tmp/backup"

# The pool is written to; the held snapshot does not change.
vol_down one two
msg delete 1
for i in 11 12 13; do
	msg create_snap $i 0
	msg checkpoint
done
msg delete 11
within 20 nothing_dying
check "later, hpm_check -m" hpm_check -m $meta
check "and hpm_dump -m" hpm_dump -m -o "$tmp/dump2" $meta
# (The first line describes the pool as a whole.)
check "say what they said of all volumes" bash -c \
	"cmp <(tail -n +2 $tmp/dump1) <(tail -n +2 $tmp/dump2)"
truncate -s 16M "$tmp/restored"
check "it can be restored" hpm_restore -q -i "$tmp/dump2" -o "$tmp/restored"
check "and is whole" hpm_check "$tmp/restored"
check "the writer has not stopped" kill -0 $writer
check "it is let go" dmsetup message pool 0 release_metadata_snap
kill $writer
wait $writer 2>/dev/null
vol_up two 2 48
equal "the snapshot is as it was" "$(sum /dev/mapper/two)" "$two"
vol_down v two
pool_down
check "the pool is whole" hpm_check $meta
