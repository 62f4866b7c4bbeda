#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests file systems on volumes and on snapshots of them.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 1024
pool_up || exit
mnt=$tmp/mnt
mkdir "$mnt" "$mnt.2"

busy() {	# busy DIRECTORY: files come and go until there is a file "stop"
	local i=0

	while [ ! -e "$tmp/stop" ]; do
		i=$((i + 1))
		head -c $((RANDOM * 8)) /dev/urandom >"$1/f$((i % 20))"
		[ $((i % 5)) != 0 ] || sync -f "$1"
		[ $((i % 7)) != 0 ] || rm -f "$1/f$(((i + 3) % 20))"
	done
}

tree() {
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 md5sum)
}

check_fs() {	# check_fs FS DEVICE
	case $1 in
	ext4) fsck.ext4 -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	esac
}

try() {
	local fs=$1 id=$2 size=320 opts=noatime dev=/dev/mapper/fs

	[ "$fs" = ext4 ] || opts=nouuid
	vol_new fs "$id" $size || return
	case $fs in
	ext4) check "$fs: mkfs" mkfs.ext4 -q -E nodiscard $dev ;;
	xfs) check "$fs: mkfs" mkfs.xfs -q -f $dev ;;
	esac
	modprobe -q $fs
	check "$fs: mount" mount -o $opts,discard $dev "$mnt"
	cp -r /usr/lib/x86_64-linux-gnu/perl-base "$mnt/"
	tree "$mnt" >"$tmp/tree"
	# A snapshot of a mounted file system has the data that was written back.
	sync -f "$mnt"
	rm -f "$tmp/stop"
	busy "$mnt" &
	sleep 2
	check "$fs: a snapshot while it is written" dmsetup message pool 0 \
		"create_snap $((id + 1)) $id"
	sleep 1
	check "$fs: one of a suspended volume" bash -c "dmsetup suspend fs &&
		dmsetup message pool 0 'create_snap $((id + 2)) $id' && dmsetup resume fs"
	sleep 1
	touch "$tmp/stop"
	wait
	for i in 1 2; do
		vol_up copy $((id + i)) $size
		check "$fs: snapshot $i is mounted" mount -o $opts /dev/mapper/copy "$mnt.2"
		equal "$fs: snapshot $i has the files" \
			"$(cd "$mnt.2" && md5sum --quiet -c "$tmp/tree" 2>&1 | head -n 5)" ""
		rm -rf "$mnt.2/perl-base"
		head -c 1000000 /dev/urandom >"$mnt.2/new"
		umount "$mnt.2"
		check "$fs: snapshot $i passes its check" check_fs $fs /dev/mapper/copy
		vol_down copy
	done
	equal "$fs: the origin has them as well" \
		"$(cd "$mnt" && md5sum --quiet -c "$tmp/tree" 2>&1 | head -n 5)" ""
	rm -rf "${mnt:?}"/*
	sync -f "$mnt"
	fstrim "$mnt"
	sync -f "$mnt"
	vol_up copy $((id + 1)) $size
	check "$fs: deleting files does not touch a snapshot" check_fs $fs /dev/mapper/copy
	vol_down copy
	umount "$mnt"
	check "$fs: the origin passes its check" check_fs $fs $dev
	vol_down fs
	msg delete "$id"
	msg delete $((id + 1))
	msg delete $((id + 2))
	check "$fs: all is given back" within 20 used_is 0
}

try ext4 0
try xfs 10
pool_down
