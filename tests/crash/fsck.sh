#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the guest: mounts the file systems that the replayer has left, so that their
# logs are replayed, looks for the files that were synced, and checks the file
# systems.
#
#	fsck.sh <directory>
set -u

modprobe loop
modprobe ext4
modprobe xfs
mkdir -p /dev/shm/mnt
for image in "$1"/*.ext4 "$1"/*.xfs; do
	[ -e "$image" ] || continue
	name=${image##*/}
	type=${image##*.}
	# works on a copy, because the host's files are read-only below the guest's
	# overlay
	cp --sparse=always "$image" /dev/shm/image
	if said=$(mount -t "$type" -o loop /dev/shm/image /dev/shm/mnt 2>&1 &&
			load --verify /dev/shm/mnt <"$image.expect" &&
			echo &&
			umount /dev/shm/mnt 2>&1) &&
	   said+=$'\n'$(if [ "$type" = xfs ]; then
			xfs_repair -n /dev/shm/image 2>&1
		else
			e2fsck -fn /dev/shm/image 2>&1
		fi); then
		echo "ok - $name: ${said%%$'\n'*}"
	else
		echo "not ok - $name"
		echo "$said" | sed 's/^/#   /'
		dmesg | tail -n 5 | sed 's/^/#   /'
		umount /dev/shm/mnt 2>/dev/null
	fi
done
