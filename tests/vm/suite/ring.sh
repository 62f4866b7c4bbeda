#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Damages a block of the journal.  If the block is in the middle, the log must name
# it, and the pool must not be opened with only the records before it.  Damage to
# the last block cannot be detected.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 96
pool_up || exit
msg create_thin 0
msg create_snap 1 0
msg checkpoint
for i in 11 12 13 14; do
	msg "create_thin $i"
done
# The state after a crash; nothing is in flight, because the messages have returned.
dd if="$(nullb_path hmeta)" of="$tmp/meta" bs=1M count=16 iflag=direct status=none
pool_down
restore
check "a crash: all four volumes are there" pool_up
equal "as their messages had returned" "$(msg list | cut -d' ' -f1 | paste -sd ' ')" "0 1 11 12 13 14"
pool_down
# Each message is one batch, and so one block; in a new pool these are the first of
# the ring.
read -r second third last <<<"$(od -An -v -t u8 -w4096 -j $((32 * 4096)) \
	-N $((256 * 4096)) "$tmp/meta" | awk '$1 { print NR + 31 }' | tail -n 3 | paste -sd ' ')"
restore
rot "$second"
fails "a block in the middle of the journal: the pool is not opened" pool_up
log_has "the block is named" "journal block $second is damaged"
seen=$(hpm_check $meta 2>&1)
matches "hpm_check names it" "$seen" "block $second "
restore
rot "$last"
check "the very last looks as if it was never finished" pool_up
equal "what came before it is there" "$(msg list | cut -d' ' -f1 | paste -sd ' ')" "0 1 11 12 13"
pool_down
