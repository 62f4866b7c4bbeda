#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests a pool whose data device loses a flush: it becomes read-only, and stays so
# for every later activation until hpm_check has checked it.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

# The last sectors fail, and with them each flush; nothing is ever written there.
data_table() {
	local disk size

	disk=$(nullb_path hdata)
	size=$(mib 64)
	echo "0 $((size - 1024)) linear $disk 0"
	case $1 in
	good) echo "$((size - 1024)) 1024 linear $disk $((size - 1024))" ;;
	bad) echo "$((size - 1024)) 1024 flakey $disk $((size - 1024)) 0 1" ;;
	esac
}

data_is() {
	data_table "$1" | dmsetup reload data && dmsetup suspend --noflush data &&
		dmsetup resume data
}

put_blocks() {	# put_blocks COUNT SEEK [CONV]
	put v 4k "$@"
}

modprobe dm-flakey
# A device without a volatile cache gets no flushes.
NULLB_OPTS="cache_size=1" devices 8 64
data_is good
pool_up || exit
vol_new v 0 32
put_blocks 1000 0 fsync
msg create_snap 1 0
was=$(sum /dev/mapper/v)
data_is bad
dmesg -C
fails "without the data's flush nothing is durable" put_blocks 10 2000 fsync
check "the pool is read-only" within 5 bash -c \
	'dmsetup status --noflush pool | grep -q " ro "'
log_has "and says why" 'switching from write to read_only mode: .*data'
check "it is to be checked" within 5 bash -c \
	'dmsetup status --noflush pool | grep -q " needs_check "'
fails "nobody writes any more" put_blocks 1 0
check "reading goes on" dd if=/dev/mapper/v of=/dev/null bs=1M iflag=direct
data_is good
fails "not even when the device is well again" put_blocks 1 0
check "it can be suspended and resumed" bash -c \
	'dmsetup suspend pool && dmsetup resume pool'
equal "which changes nothing" "$(pool_mode)" ro
vol_down v
pool_down

# The pool is opened again with the same table.
before=$(sum $meta)
dmesg -C
check "it opens" pool_up
log_has "but not for writing" 'read_only mode: .*needs a check'
equal "as the status says" "$(word 8) $(word 11)" "ro needs_check"
vol_up v 0 32
equal "what was durable is there" "$(sum /dev/mapper/v)" "$was"
fails "it is not written to" put_blocks 1 0
for m in "create_thin 9" "delete 1" checkpoint "defrag start"; do
	no message EOPNOTSUPP 'the pool is read-only' "$m"
done
refusals
check "the same table can be loaded again" pool_reload 0
equal "and changes nothing" "$(word 8) $(word 11)" "ro needs_check"
slice data hdata 96
dmesg -C
check "a longer one, too" pool_reload 0
log_has "but it does not grow" 'cannot grow in read_only mode .until it has been checked'
equal "as the status says, too" "$(word 6)" "$(data_used)/$((64 * 256))"
vol_down v
pool_down
equal "nothing was written" "$(sum $meta)" "$before"

# After the check.
check "the pool passes its check" hpm_check --clear-needs-check-flag $meta
differ "which writes, and is seen" "$(sum $meta)" "$before"
check "and opens" pool_up
equal "for writing" "$(word 8) $(word 11)" "rw -"
vol_up v 0 32
equal "with what was durable" "$(sum /dev/mapper/v)" "$was"
check "it is written to" put_blocks 10 2000 fsync
vol_down v
pool_down
