#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures what the interceptor adds to a read: a hit, a miss, and the memory of its
# index.  Runs in the guest under the virtual clock (make bench-share).
#
# A clone reads a file whose blocks another clone has cached.  The tracepoint of a
# hit has a time, so the distance between two consecutive hits of a bio is the cost
# of one hit in map(), including the tracepoint and the new entry.  The cost of a
# miss is the difference between a direct read of uncached blocks with sharing on
# and with sharing off, on a disk that completes inline.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

: "${MIB:=48}" "${IOS:=5000}"
trace=/sys/kernel/tracing
bench_program fio
modprobe dm-hpmapper
modprobe ext4
mountpoint -q $trace || mount -t tracefs none $trace

up() {
	dmsetup message pool 0 "create_snap $1 0"
	dmsetup create "v$1" --table "0 262144 hpmapper /dev/mapper/pool $1"
}

mounted() {
	up "$1"
	mkdir -p "/mnt/$1"
	mount -t ext4 -o noatime "/dev/mapper/v$1" "/mnt/$1"
}

line() {
	printf '%-62s %14s   %s\n' "$1" "$2" "$3"
}

status() {		# the value behind a key
	dmsetup status pool | awk -v k="$1" '{ for (i = 1; i < NF; i++) if ($i == k) { split($(i + 1), a, "/"); print a[1] } }'
}

nullb data 1024 inline
nullb meta 64 inline
dmsetup create pool --table "0 2097152 hpmapper-pool $(nullb_path meta) $(nullb_path data) 4096 0"
dmsetup message pool 0 "cache copies_limit 64"
dmsetup message pool 0 "cache scan_ms 1000000"
dmsetup message pool 0 "create_thin 0"
dmsetup create v0 --table "0 262144 hpmapper /dev/mapper/pool 0"
mkfs.ext4 -q -b 4096 -E lazy_itable_init=0 /dev/mapper/v0
mkdir -p /mnt/0
mount -t ext4 /dev/mapper/v0 /mnt/0
dd if=/dev/urandom of=/mnt/0/file bs=1M count="$MIB" status=none
umount /mnt/0
dmsetup remove --retry v0

# Measures misses with nothing cached: a direct read enters nothing.
miss() {
	fio_lat read /dev/mapper/v1 --rw=randread --bs=4k --number_ios=$((IOS / 5)) >/dev/null
	fio_lat read /dev/mapper/v1 --rw=randread --bs=4k --number_ios="$IOS"
}
up 1
on=$(miss)
dmsetup message pool 0 "cache share off"
off=$(miss)
dmsetup message pool 0 "cache share on"
dmsetup remove --retry v1
echo 3 >/proc/sys/vm/drop_caches

mounted 2
cat /mnt/2/file >/dev/null
copies=$(status copies)
slabs=$(awk '$1 == "hpm_copy" { print $15 }' /proc/slabinfo)
for ((n = 3; n <= 4; n++)); do
	mounted $n
	echo 0 >$trace/tracing_on
	echo 65536 >$trace/buffer_size_kb
	echo >$trace/trace
	echo 1 >$trace/events/hpmapper/hpm_hit/enable
	echo 1 >$trace/tracing_on
	cat /mnt/$n/file >/dev/null
	echo 0 >$trace/tracing_on
	echo 0 >$trace/events/hpmapper/hpm_hit/enable
done
# "cat-123 [000] d..1. 12.345678: hpm_hit: 254:0 block 77 file page 5 at frame 9"
# A gap of 20 us is one between bios; what is less is rounded to 1 us.
hit=$(sed -n 's/.* \([0-9.]*\): hpm_hit: .* block \([0-9]*\) file.*/\1 \2/p' $trace/trace |
	awk '$2 == last + 1 && $1 - then < 20e-6 { sum += $1 - then; nr++ }
		{ then = $1; last = $2 }
		END { printf "%.2f", nr < 1000 ? 999 : sum / nr * 1e6 }')

line 'a 4 KiB hit in map(), us (tracepoint included)' "$hit" '<= 4'
line 'a 4 KiB miss, us more than without the index' \
	"$(awk -v a="$on" -v b="$off" 'BEGIN { printf "%.2f (%.2f, %.2f)", a - b, a, b }')" '<= 0.5'
line "index, bytes for each of $copies cached blocks" \
	"$(awk -v s="$slabs" -v c="$copies" 'BEGIN { printf "%.1f", s * 4096 / c }')" '<= 64'
for ((n = 2; n <= 4; n++)); do
	umount /mnt/$n
	dmsetup remove --retry "v$n"
done
dmsetup remove --retry pool
