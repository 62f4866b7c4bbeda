#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Removes a disk below a pool from the machine under load: the data disk, the
# metadata disk, or both.  I/O must end with errors, nothing may hang, and
# everything must be removable.  When the disks are back, the data that was synced
# must be there.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

# Two disks of one host, which keeps their content while they are removed.
modprobe sd_mod
modprobe scsi_debug dev_size_mb=256 num_tgts=1 max_luns=1 per_host_store=1 \
	add_host=2 || exit

disks() {
	local i

	disk=()
	for i in /sys/bus/pseudo/devices/adapter*/host*/target*/*/block/*; do
		[ ! -d "$i" ] || disk+=("/dev/${i##*/}")
	done
	[ ${#disk[@]} = 2 ]
}

both_there() {
	disks && [ -b "${disk[0]}" ] && [ -b "${disk[1]}" ]
}

# take_out DISK...: removes the disks from the machine
take_out() {
	local d

	for d; do
		echo 1 >"/sys/block/${d##*/}/device/delete"
	done
}

put_back() {
	local host

	for host in /sys/bus/pseudo/devices/adapter*/host*/scsi_host/host*/scan; do
		echo "- - -" >"$host"
	done
	within 20 both_there
}

# After their return the disks may have other names.
name_them() {
	both_there
	meta=${disk[0]} data=${disk[1]}
}

hammer() {	# until it fails, or no more can be had from it
	fio --name=x --filename="/dev/mapper/$1" --allow_file_create=0 --rw=randrw \
		--bs=4k --iodepth=16 --ioengine=libaio --direct=1 --size=32M --offset=16M \
		--fsync=32 --time_based --runtime=12 --thread --minimal >/dev/null 2>&1
}

writes_of() {
	awk '{ print $5 }' "/sys/dev/block/$(stat -Lc %Hr:%Lr "/dev/mapper/$1")/stat"
}

is_hammered() {
	[ "$(writes_of v)" -gt $(($1 + 100)) ]
}

# Reads of the clones go through the cache meanwhile.
readers() {
	while dd if=/dev/mapper/c of=/dev/null bs=64k count=256 status=none 2>/dev/null; do
		blockdev --flushbufs /dev/mapper/c 2>/dev/null
	done
}

round() {	# round WHAT DISK...
	local what=$1 n m synced before

	shift
	check "$what: the pool opens" pool_up || return
	vol_up v 0 64
	vol_up c 1 64
	dd if=/dev/urandom of=/dev/mapper/v bs=4k count=1024 oflag=direct conv=fsync,notrunc status=none
	synced="$(sum /dev/mapper/v 4) $(sum /dev/mapper/c 16)"
	before=$(writes_of v)
	hammer v &
	n=$!
	readers &
	m=$!
	check "$what: there is I/O" within 30 is_hammered "$before"
	take_out "$@"
	check "$what: writes end" timeout 60 tail --pid=$n -f /dev/null
	wait $n 2>/dev/null
	check "$what: a status is told" timeout 20 dmsetup status pool
	fails "$what: nothing new is made durable" timeout 20 dd if=/dev/urandom \
		of=/dev/mapper/v bs=4k count=8 seek=14000 oflag=direct conv=fsync,notrunc
	kill $m 2>/dev/null
	check "$what: reads end" timeout 60 tail --pid=$m -f /dev/null
	wait $m 2>/dev/null
	check "$what: a volume is removed" timeout 30 dmsetup remove --retry v
	check "$what: so is the other" timeout 30 dmsetup remove --retry c
	check "$what: and the pool" timeout 30 dmsetup remove --retry pool
	check "$what: the disks come back" put_back
	name_them
	check "$what: the metadata is whole" hpm_check --clear-needs-check-flag "$meta"
	check "$what: the pool opens again" pool_up
	check "$what: so does a volume" vol_up v 0 64
	vol_up c 1 64
	equal "$what: what was synced is there" "$(sum /dev/mapper/v 4) $(sum /dev/mapper/c 16)" "$synced"
	check "$what: it can be written" dd if=/dev/zero of=/dev/mapper/v bs=64k count=16 \
		seek=512 oflag=direct conv=fsync
	vol_down v c
	pool_down
}

check "two disks" within 20 both_there
name_them
wipe
pool_up || exit
vol_new v 0 64
put v 1M 16 0 fsync
msg create_snap 1 0
vol_down v
pool_down
round "the data disk is gone" "$data"
round "the metadata's disk is gone" "$meta"
round "both are gone" "$data" "$meta"
check "the disks can be let go" within 20 modprobe -r scsi_debug
