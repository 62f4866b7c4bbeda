#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests which flushes and FUA writes reach the devices, and when.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

# (With devices that take no time, no two bios would share a commit.)
NULLB_OPTS="cache_size=1" DISK_MODE=timer devices 8 64
pool_up || exit
vol_new v 0 32 || exit

d=$(dev_number $data) m=$(dev_number $meta)

# sent DEVICE REGEX: prints how many matching requests the device got
sent() {
	grep -cE "^$1 $2 " "$tmp/trace"
}

write_blocks() {	# write_blocks OFLAG COUNT SEEK
	dd if=/dev/zero of=/dev/mapper/v bs=4k count="$2" seek="$3" oflag="$1" \
		conv=notrunc status=none
}

dd if=/dev/zero of=/dev/mapper/v bs=1M count=4 oflag=direct conv=fsync status=none
sleep 1.5
traced write_blocks direct 50 0
equal "in place without sync: no flush of the data" "$(sent "$d" 'F[A-Z]*')" 0
equal "no journal" "$(sent "$m" '[A-Z]*')" 0
traced write_blocks direct,dsync 10 100
flushes=$(sent "$d" '(F[A-Z]*|[A-Z]*W[A-Z]*F[A-Z]*)')
note "10 synced writes in place: $flushes flushes or FUA at the data, $(sent "$m" '[A-Z]*') writes at the metadata"
is "each write in place is flushed" "$flushes" -ge 10
is "once each" "$flushes" -le 20
equal "nothing is recorded for it" "$(sent "$m" 'F?W[A-Z]*')" 0

msg create_snap 1 0
sleep 1.5
traced write_blocks direct,dsync 10 200
note "10 synced copies: $(sent "$d" 'F[A-Z]*') flushes at the data, $(sent "$m" 'F?W[A-Z]*') writes at the metadata"
is "each copy is flushed" "$(sent "$d" 'F[A-Z]*')" -ge 10
is "and recorded" "$(sent "$m" 'F?W[A-Z]*')" -ge 10
is "with FUA or a flush" "$(sent "$m" '(F[A-Z]*|[A-Z]*WF[A-Z]*)')" -ge 10
is "and no more than it must" "$(sent "$m" '[A-Z]*')" -le 40
# the order: data flush before the journal's write
equal "the data is flushed before the record is written" "$(awk -v d="$d" -v m="$m" '
	$1 == d && $2 ~ /^W/ { dirty = 1 }
	$1 == d && $2 ~ /^F/ { dirty = 0 }
	$1 == m && $2 ~ /W/ && $4 > 0 && dirty { bad++ }
	END { print bad + 0 }' "$tmp/trace")" 0

commits=$(key commits)
fio --name=x --filename=/dev/mapper/v --rw=write --bs=4k --direct=1 --sync=dsync \
	--ioengine=psync --thread --numjobs=8 --size=40k --offset=1200k \
	--offset_increment=80k --minimal >/dev/null
commits=$(($(key commits) - commits))
note "80 synced copies of 8 writers: $commits commits"
is "writers share commits" "$commits" -lt 80
is "but there are some" "$commits" -gt 8

before=$(key durable)
write_blocks direct 10 600
sleep 2.5
is "without any flush, a second or so makes it durable" \
	"$(dmsetup status --noflush pool | grep -oP '(?<= durable )[0-9]+')" -gt "$before"

# Durable data is there even if the table is removed at once.
dd if=/dev/urandom of=/dev/mapper/v bs=4k count=64 seek=700 oflag=direct,dsync \
	conv=notrunc status=none
was=$(dd if=/dev/mapper/v bs=4k count=64 skip=700 status=none iflag=direct | md5sum)
dmsetup remove --force pool >/dev/null 2>&1
dmsetup remove --force v
dmsetup info pool >/dev/null 2>&1 && dmsetup remove pool
pool_up || exit
vol_up v 0 32
equal "synced writes are there" "$(dd if=/dev/mapper/v bs=4k count=64 skip=700 \
	status=none iflag=direct | md5sum)" "$was"
vol_down v
pool_down
