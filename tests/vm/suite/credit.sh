#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests a small metadata device under slow data.  Every write in flight reserves
# room for the worst case of its record; the pool must not take this for a full
# device.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 4 256
# A write takes two seconds; the flush of a commit takes no time.
dmsetup create slow --table "0 $(mib 256) delay $data 0 0 $data 0 2000 $data 0 0"
data=/dev/mapper/slow
pool_up || exit
vol_new v 0 64 || exit
check "200 writes at once" fio --name=x --filename=/dev/mapper/v --rw=randwrite \
	--bs=4k --size=800k --offset=8m --direct=1 --ioengine=libaio --iodepth=200 \
	--thread --minimal --verify=crc32c --do_verify=1
equal "all of them have arrived" "$(data_used)" 200
matches "the pool has not been full" "$(dmesg | grep -c 'room in the metadata')" '^0$'
vol_down v
pool_down
dmsetup remove slow
