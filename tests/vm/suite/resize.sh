#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests growing volumes, data and metadata while they are in use.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 8 64
pool_up || exit
vol_new v 0 16 || exit
stamps --device /dev/mapper/v --size 8M --seconds 600 --seed 1 --discards 5 \
	>"$tmp/stamps" 2>&1 &
writer=$!
sleep 1

check "a longer table for a volume" dmsetup reload v --table "0 $(mib 40) hpmapper $pool 0"
check "while it is written" dmsetup suspend v
dmsetup resume v
equal "its size" "$(blockdev --getsize64 /dev/mapper/v)" $((40 << 20))
equal "what is new reads as zeroes" "$(foreign nonzero /dev/mapper/v "$(mib 16)" "$(mib 24)")" 0
check "and can be written" dd if=/dev/urandom of=/dev/mapper/v bs=1M count=4 seek=36 oflag=direct
check "a size in the pool as well" dmsetup message pool 0 "set_size 0 $(mib 40)"

slice data hdata 96
dmesg -C
check "a larger data device" pool_reload 0
matches "is in the status" "$(word 6)" "/$((96 * 256))\$"
log_has "and in the log" 'the data device has grown from 16384 to 24576 blocks'
slice meta hmeta 16
check "a larger metadata device" pool_reload 0
matches "is in the status, too" "$(word 5)" "/$((16 * 256))\$"
slice data hdata 128
slice meta hmeta 32
check "both at once" pool_reload 0
matches "data" "$(word 6)" "/$((128 * 256))\$"
matches "metadata" "$(word 5)" "/$((32 * 256))\$"
kill $writer
wait $writer
equal "the writer saw nothing of it" "$? $(grep -v ^# "$tmp/stamps")" "0 "
vol_new big 1 200
dd if=/dev/urandom of=/dev/mapper/big bs=1M count=110 oflag=direct status=none
check "the new space is used" within 5 bash -c \
	'[ $(dmsetup status pool | cut -d" " -f6 | cut -d/ -f1) -ge 28160 ]'
was=$(sum /dev/mapper/big 110) small=$(sum /dev/mapper/v)
vol_down v big
pool_down
pool_up || exit
matches "the sizes outlive the pool's device" "$(word 5) $(word 6)" \
	"/$((32 * 256)) .*/$((128 * 256))\$"
vol_up v 0 40
vol_up big 1 200
equal "so does the data in the new space" "$(sum /dev/mapper/big 110)" "$was"
equal "and in the old" "$(sum /dev/mapper/v)" "$small"

# A shorter table hides a part of a volume, and a longer one shows it again.
vol_down big
dmsetup create big --table "0 $(mib 20) hpmapper $pool 1"
equal "a shorter table of a volume" "$(blockdev --getsize64 /dev/mapper/big)" $((20 << 20))
vol_down big
vol_up big 1 200
equal "takes nothing away" "$(sum /dev/mapper/big 110)" "$was"
vol_down big v
pool_down

# A device is too small at the next activation.
slice data hdata 96
dmesg -C
seen=$(pool_up 2>&1)
matches "a data device that has shrunk is refused" "$seen" 'Invalid argument'
log_has "by name" 'data device is smaller than the pool was made for'
log_has "with both sizes" 'data device has 24576 blocks of 4 KiB, the pool was made for 32768'
log_has "and the pool's number" 'hpmapper: [0-9]+:[0-9]+: the data device has'
slice data hdata 128
slice meta hmeta 16
dmesg -C
seen=$(pool_up 2>&1)
matches "so is a metadata device" "$seen" 'Invalid argument'
log_has "by name as well" 'metadata device is smaller than the pool was made for'
log_has "and with its sizes" 'metadata device has 4096 blocks of 4 KiB, the pool was made for 8192'
slice meta hmeta 32
check "with its sizes the pool opens" pool_up
pool_down
