#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Counts the requests at the devices that durability costs, on disks with a volatile
# cache, and with FUA.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

NULLB_OPTS="cache_size=1" devices 8 128
pool_up || exit
vol_new v 0 64 || exit

d=$(dev_number $data) m=$(dev_number $meta)

# Prints what was sent to a device: "<plain writes> <FUA writes> <flushes>"
sent_to() {
	awk -v dev="$1" '
		$1 != dev || $2 !~ /W/ { next }
		$5 == 0 { flushes++; next }
		$2 ~ /WF/ { fua++; next }
		{ plain++ }
		END { print plain + 0, fua + 0, flushes + 0 }' "$tmp/trace"
}

# costs WHAT DATA METADATA COMMAND...: checks what the command sends to the devices,
# as sent_to() prints it
#
# The pool commits once a second without being asked.  If such a commit falls into
# the measurement, the measurement is repeated.  "again" runs before each try.
costs() {
	local what=$1 want="data $2, metadata $3" seen try

	shift 3
	for try in {1..30}; do
		again $try
		traced "$@"
		seen="data $(sent_to "$d"), metadata $(sent_to "$m")"
		grep -q 'for 0 bios' "$tmp/commits" || break
	done
	equal "$what: $want" "$seen" "$want"
}

settle() {
	sync
	msg checkpoint
}

# ten blocks, one at a time, each followed by a FLUSH
flushed_writes() {
	xfs_io -d "${ten[@]}" /dev/mapper/v >/dev/null
}
for ((i = 0; i < 10; i++)); do
	ten+=(-c "pwrite -b 4k $((i * 64))k 4k" -c fdatasync)
done

#----------------------------------------------------------------------
note "ten times one block and a FLUSH: plain writes, FUA writes, flushes"
#----------------------------------------------------------------------

put v 1M 32 0 fsync
again() { settle; }
costs "in place" "10 0 10" "0 0 0" flushed_writes

again() { msg create_snap "$1" 0; settle; }
costs "copies" "10 0 10" "0 10 0" flushed_writes

again() { settle; }
costs "from then on" "10 0 10" "0 0 0" flushed_writes

#----------------------------------------------------------------------
note "ext4's fsync of one block"
#----------------------------------------------------------------------

mkdir -p "$tmp/mnt"
mkfs.ext4 -q -b 4096 -E nodiscard,lazy_itable_init=0 /dev/mapper/v
mount -t ext4 -o commit=600 /dev/mapper/v "$tmp/mnt"
fsync_once() {
	xfs_io -c "pwrite 0 4k" -c fsync "$tmp/mnt/file" >/dev/null
}
xfs_io -f -c "pwrite 0 64k" -c fsync "$tmp/mnt/file" >/dev/null
fsync_once

again() { settle; }
costs "in place" "3 1 1" "0 0 0" fsync_once

# A FLUSH and a FUA write to a shared block each need a commit.
again() { msg create_snap $((100 + $1)) 0; settle; }
costs "the first after a snapshot" "4 0 2" "0 2 0" fsync_once
umount "$tmp/mnt"
vol_down v
pool_down
