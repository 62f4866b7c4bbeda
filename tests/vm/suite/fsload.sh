#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs a load in the manner of fsx and fsstress on ext4 and xfs, on a volume that
# has been cloned, while snapshots of it are taken and deleted.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

: "${LOAD_TIME:=12}"
NULLB_OPTS="cache_size=16" devices 32 1024
pool_up || exit
mnt=$tmp/mnt
mkdir "$mnt" "$mnt.2"

check_fs() {	# check_fs FS DEVICE
	case $1 in
	ext4) fsck.ext4 -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	esac
}

try() {
	local fs=$1 id=$2 size=320 opts=noatime,discard i

	[ "$fs" = ext4 ] || opts=nouuid,discard
	modprobe -q $fs
	vol_new base "$id" $size || return
	case $fs in
	ext4) mkfs.ext4 -q -E nodiscard /dev/mapper/base ;;
	xfs) mkfs.xfs -q -f /dev/mapper/base ;;
	esac
	vol_down base
	snap_new fs $((id + 1)) "$id" $size || return
	check "$fs: mount" mount -o $opts /dev/mapper/fs "$mnt"
	fsload "$mnt" "$LOAD_TIME" 4 "$id" >"$tmp/load" 2>&1 &
	load=$!
	for i in 2 3 4; do
		sleep 2
		check "$fs: snapshot $i under load" dmsetup message pool 0 \
			"create_snap $((id + i)) $((id + 1))"
	done
	msg delete $((id + 3))
	wait $load
	equal "$fs: every byte and every name is right" "$? $(cat "$tmp/load")" "0 "
	umount "$mnt"
	check "$fs: it passes its check" check_fs $fs /dev/mapper/fs
	for i in 2 4; do
		vol_up copy $((id + i)) $size
		# the mount replays its log
		check "$fs: snapshot $i is mounted" mount -o $opts /dev/mapper/copy "$mnt.2"
		check "$fs: snapshot $i can be loaded" bash -c \
			"mkdir $mnt.2/again && fsload $mnt.2/again 1 2 $i"
		umount "$mnt.2"
		check "$fs: snapshot $i passes its check" check_fs $fs /dev/mapper/copy
		vol_down copy
	done
	check "$fs: it still does" check_fs $fs /dev/mapper/fs
	vol_down fs
	for i in 0 1 2 4; do
		msg delete $((id + i))
	done
	check "$fs: all is given back" within 30 used_is 0
}

try ext4 0
try xfs 10
pool_down
check "the metadata is whole" hpm_check $meta
