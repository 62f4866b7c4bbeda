#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests a data device that promises to write zeroes and then refuses: the range must
# be zeroed by ordinary writes, and the volume must withdraw its own promise, so
# that it gets no such request again.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Only newer kernels have a disk that can be told to refuse commands.
modprobe sd_mod || exit
# (If zeroes are written by unmapping, a refusal turns off only that.)
modprobe scsi_debug dev_size_mb=96 || exit
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
errors=$(echo /sys/kernel/debug/scsi_debug/*/error)
if [ ! -e "$errors" ]; then
	note "$(uname -r): scsi_debug cannot refuse a command: not tested"
	rmmod scsi_debug
	exit 0
fi

# refuse OPCODE: refuses the command as a disk that does not know it
refuse() {
	echo "2 1 $1 0 0 0x2 0x5 0x20 0x0" >"$errors"
}

limit() {
	cat "/sys/dev/block/$(stat -Lc %Hr:%Lr "$1")/queue/write_zeroes_max_bytes"
}

address=$(basename "${errors%/error}")
disk_is_there() { name=$(ls "/sys/bus/scsi/devices/$address/block"); }
check "the disk comes" within 20 disk_is_there
disk_is_there
devices
data=/dev/$name
check "a pool on it" pool_up
vol_new v 0 32
differ "its volumes promise to write zeroes" "$(limit /dev/mapper/v)" 0
put v 64k 64 0
check "the disk refuses to" refuse 0x93
check "and in fewer bytes" refuse 0x41
check "a range is zeroed all the same" blkdiscard -z -o 0 -l 1M /dev/mapper/v
equal "with zeroes" \
	"$(dd if=/dev/mapper/v bs=1M count=1 iflag=direct status=none | md5sum)" \
	"$(dd if=/dev/zero bs=1M count=1 status=none | md5sum)"
equal "the disk has taken its promise back" "$(limit "$data")" 0
equal "and so has the volume" "$(limit /dev/mapper/v)" 0
check "the next range is" blkdiscard -z -o 1M -l 1M /dev/mapper/v
equal "the pool does not mind" "$(pool_mode)" rw
vol_down v
pool_down
rmmod scsi_debug
