#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests loading and unloading the module, also while it is in use.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

modprobe dm-hpmapper
matches "the targets are there" "$(dmsetup targets | sort | tr -s ' ' | paste -sd ' ')" \
	'hpmapper v1.0.0 hpmapper-pool v1.0.0'
equal "it is GPL" "$(modinfo -F license dm-hpmapper)" GPL
differ "it says what it is" "$(modinfo -F description dm-hpmapper)" ""
devices 8 64
pool_up || exit
fails "it is not unloaded under a pool" rmmod dm_hpmapper
vol_new v 0 16
fails "nor under a volume" rmmod dm_hpmapper
dd if=/dev/urandom of=/dev/mapper/v bs=1M count=8 oflag=direct status=none
was=$(sum /dev/mapper/v)
msg create_snap 1 0
msg delete 1
dmsetup remove v
pool_down
check "it is unloaded when nothing is left, at once" rmmod dm_hpmapper
equal "then there are no such targets" "$(dmsetup targets | grep -c hpmapper)" 0
equal "no slab cache of its stays" "$(grep -c '^hpm' /proc/slabinfo)" 0
# (An idle worker still has the name of its last work.)
equal "and no queue" "$(ps -eo comm= | grep -cE '^(hpm|kworker/R-hpm)')" 0
check "a table loads it" pool_up
vol_up v 0 16
equal "the volume is as it was" "$(sum /dev/mapper/v)" "$was"
vol_down v
pool_down
for i in 1 2 3; do
	pool_up
	dmsetup remove --force pool
	check "loaded and unloaded, $i" bash -c 'rmmod dm_hpmapper && modprobe dm-hpmapper'
done
