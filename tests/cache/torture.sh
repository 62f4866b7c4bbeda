#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The torture test, in the guest (make test-torture): runs torture.c, and one
# clone's reader in a memory cgroup that is too small for it, while an eviction is
# always under way.  At the end the module is unloaded with a full index.
#
#	TIME=seconds FS=ext4|xfs LRU=classic|mglru DISK=inline|slow SEED=number
#
# With a fault planted (FAULT=name, in a build for that) the test must fail; then
# the script ends with the status of torture.
set -uo pipefail
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"

: "${TIME:=30}" "${SEED:=1}" "${FAULT:=}" "${FILES:=60}"
cp "$(command -v torture)" "$(command -v sharefiles)" /dev/shm/

pool_up
[ -z "$FAULT" ] || echo "$FAULT" >/sys/module/dm_hpmapper/parameters/fault || exit 1
msg create_thin 0
activate 0
make_fs /dev/mapper/v0
mounted 0
sharefiles fill /mnt/0 "$FILES" 1
down 0
drop_caches
msg cache scan_ms 20

# Its pages are charged here; there are 2.5 MiB of them.
group=/sys/fs/cgroup/squeezed
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir $group
echo 2M >$group/memory.max
squeezed() {
	local how=-m

	until [ -e /dev/shm/enough ]; do
		[ $how = -s1 ] && how=-m || how=-s1
		(
			echo $BASHPID >$group/cgroup.procs
			exec sharefiles check $how /mnt/90 "$FILES" 1 >/dev/null
		) || return
	done
}

clone 90
up 90
before=$(device_read)
squeezed &
squeezed_pid=$!
torture -t "$TIME" -f "$FILES" -x "$FS" -s "$SEED" -S $sectors pool
status=$?
touch /dev/shm/enough
wait $squeezed_pid
squeezed_status=$?
echo "# $(dmsetup status --noflush pool | sed 's/.* share /share /')"
echo "# $(($(device_read) - before)) KiB read; memory: $(tr '\n' ' ' <$group/memory.events)"
[ -z "$FAULT" ] || exit $status
result "no wrong byte ($FS, $TIME s)" $status
result "nor one where memory is short" $squeezed_status
[ $status = 0 ] || the_end

# The test did what it should.
for key in hits caught miss_busy evicted; do
	check "there were $key" [ "$(value $key)" -gt 0 ]
done
check "no block has changed" [ "$(value changed)" = 0 ]
check "the memory cgroup was at its limit" \
	[ "$(awk '/^max/ { print $2 }' $group/memory.events)" -gt 0 ]

# The file systems of the clones are sound, and the index is full when they are
# removed.
msg cache scan_ms 4000000
for dev in /dev/mapper/t*; do
	id=${dev#/dev/mapper/t}
	find "/mnt/t$id" -type f -exec cat {} + | cksum >/dev/null
done
check "the index is full" [ "$(copies)" -gt 200 ]
for dev in /dev/mapper/t*; do
	id=${dev#/dev/mapper/t}
	check "clone $id can be unmounted" umount "/mnt/t$id"
	case $FS in
	ext4) check "and is whole" e2fsck -fn "$dev" ;;
	xfs) check "and is whole" xfs_repair -n "$dev" ;;
	esac >/dev/shm/fsck.log 2>&1 || cat /dev/shm/fsck.log
	dmsetup remove --retry "t$id"
done
check "it still is, without a volume" [ "$(copies)" -gt 200 ]
down 90
check "the pool can be removed" dmsetup remove --retry pool
check "and the module" rmmod dm-hpmapper
the_end
