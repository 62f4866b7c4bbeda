#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the space that discards and zeroes free, in the pool and on the data device.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

put_mib() {	# put_mib NAME MIB [SEEK]
	dd if=/dev/urandom of="/dev/mapper/$1" bs=1M count="$2" \
		seek="${3:-0}" oflag=direct status=none
}

below() {	# sectors of the data device behind the pool's mark that hold something
	foreign nonzero $data 8 $(($(blockdev --getsz $data) - 8))
}

below_is() {
	[ "$(below)" = "$1" ]
}

below_is_at_most() {
	[ "$(below)" -le "$1" ]
}

max_zeroes() {	# bytes that one request may zero
	cat "/sys/dev/block/$(stat -Lc %Hr:%Lr "/dev/mapper/$1")/queue/write_zeroes_max_bytes"
}

devices 8 128
pool_up || exit
equal "pass-down is the default" "$(word 9)" discard_passdown
vol_new v 0 64 || exit
put_mib v 32
is "what is written is below" "$(below)" -ge $((32 * 2048 - 100))
blkdiscard -l $((16 << 20)) /dev/mapper/v
equal "half is discarded" "$(data_used)" $((16 * 256))
check "below, too" within 10 below_is_at_most 32768
equal "and reads as zeroes" "$(foreign nonzero /dev/mapper/v 0 32768)" 0
is "the other half is there" "$(foreign nonzero /dev/mapper/v 32768 32768)" -ge 32700
matches "the volume's status knows" "$(dmsetup status v)" ' 32768 65535$'

# Partial blocks at the ends of a discard keep their content.
left=$(sum /dev/mapper/v)
blkdiscard -o $(((16 << 20) + 512)) -l 4096 /dev/mapper/v
equal "a discard inside two blocks frees none" "$(data_used)" $((16 * 256))
equal "and changes nothing" "$(sum /dev/mapper/v)" "$left"
blkdiscard -o $(((16 << 20) + 512)) -l 12288 /dev/mapper/v
equal "one over two whole ones and two ends" "$(foreign nonzero /dev/mapper/v 32776 16)" 0
equal "frees two, though they are parts of a large block" "$(data_used)" \
	$((16 * 256 - 2))
is "and leaves the ends" "$(foreign nonzero /dev/mapper/v 32768 8)" -ge 8

# A discard does not free blocks that other volumes share.
snap_new s 1 0 64
was=$(sum /dev/mapper/s)
used=$(data_used)
blkdiscard /dev/mapper/v
equal "of shared blocks a discard frees none" "$(data_used)" "$used"
equal "the volume reads as zeroes" "$(foreign nonzero /dev/mapper/v)" 0
equal "its snapshot is as it was" "$(sum /dev/mapper/s)" "$was"
blkdiscard /dev/mapper/s
check "the last one frees them" within 10 used_is 0
check "below, too" within 10 below_is 0
vol_down s
msg delete 1

# The blocks of a deleted volume are discarded on the data device, too.
put_mib v 8
vol_down v
msg delete 0
check "a delete frees all" within 10 used_is 0
check "below, too" within 10 below_is 0

# The data device cannot write zeroes without data.  Neither can its volumes then,
# and the kernel sends pages of zeroes.
vol_new v 0 64
equal "zeroes without data are not taken" \
	"$(max_zeroes v)" 0
put_mib v 4
blkdiscard -z -o $((1 << 20)) -l $((1 << 20)) /dev/mapper/v
equal "zeroed reads as zeroes" "$(foreign nonzero /dev/mapper/v 2048 2048)" 0
is "and nothing else does" "$(foreign nonzero /dev/mapper/v 0 2048)" -ge 2046
blkdiscard -z -o 512 -l 1024 /dev/mapper/v
equal "zeroes of two sectors" "$(foreign nonzero /dev/mapper/v 1 2)" 0
is "leave their neighbours" "$(foreign nonzero /dev/mapper/v 0 8)" -ge 5
blkdiscard /dev/mapper/v
snap_new s 1 0 64
put_mib v 1
blkdiscard -z -l 4096 /dev/mapper/v
equal "a snapshot does not see its origin's zeroes or writes" \
	"$(foreign nonzero /dev/mapper/s)" 0
vol_down s v
pool_down

# no_discard_passdown
blkdiscard $data
wipe
pool_up 0 no_discard_passdown || exit
equal "no_discard_passdown is in the status" "$(word 9)" no_discard_passdown
vol_new v 0 64
put_mib v 8
blkdiscard /dev/mapper/v
equal "the pool has its blocks back" "$(data_used)" 0
sleep 1.5
is "and the device keeps them" "$(below)" -ge $((8 * 2048 - 100))
equal "nobody reads them" "$(foreign nonzero /dev/mapper/v)" 0
pool_reload 0 || exit
put_mib v 4
full=$(below)
blkdiscard /dev/mapper/v
check "a reload can turn pass-down on" within 10 below_is $((full - 8192))
vol_down v
pool_down

# ignore_discard
wipe
pool_up 0 ignore_discard || exit
equal "ignore_discard is in the status" "$(word 9)" ignore_discard
vol_new v 0 64
put_mib v 2
was=$(sum /dev/mapper/v)
fails "no discard" blkdiscard /dev/mapper/v
equal "and nothing is lost" "$(sum /dev/mapper/v)" "$was"
equal "nor freed" "$(data_used)" 512
vol_down v
pool_down

# The data device can write zeroes without data, and so can its volumes.
clean_up
truncate -s 64M "$tmp/file"
modprobe -q loop
loop=$(losetup -f --show "$tmp/file")
nullb hmeta 32 inline
slice meta hmeta 8
data=$loop
pool_up || exit
vol_new v 0 32
is "zeroes without data are taken" \
	"$(max_zeroes v)" -gt 0
put_mib v 4
used=$(data_used)
check "a hole is punched" fallocate -p -o $((1 << 20)) -l $((2 << 20)) /dev/mapper/v
equal "it reads as zeroes" "$(foreign nonzero /dev/mapper/v 2048 4096)" 0
equal "and is one in the pool" "$(data_used)" $((used - 512))
check "zeroes with their place" fallocate -z -o 0 -l $((1 << 20)) /dev/mapper/v
equal "read as zeroes" "$(foreign nonzero /dev/mapper/v 0 2048)" 0
check "writes, zeroes and holes" stamps --device /dev/mapper/v --size 8M \
	--zeroes 40 --seconds 2
vol_down v
pool_down
losetup -d "$loop"
data=/dev/mapper/data

# A data device without discards.
clean_up
nullb hmeta 8 inline
mkdir /sys/kernel/config/nullb/hdata
for a in size=64 memory_backed=1 discard=0 queue_mode=0 irqmode=0 power=1; do
	echo "${a#*=}" >"/sys/kernel/config/nullb/hdata/${a%=*}"
done
slice meta hmeta 8
slice data hdata 64
dmesg -C
pool_up || exit
log_has "a device that takes no discards is named" 'does not take discards'
vol_new v 0 32
put_mib v 8
blkdiscard /dev/mapper/v
equal "volumes can be discarded all the same" "$(data_used)" 0
vol_down v
pool_down
