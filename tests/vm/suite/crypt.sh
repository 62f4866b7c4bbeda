#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests dm-crypt below a pool and above its volumes.  dm-crypt above a volume reads
# into the pages of its file system and decrypts them in place, so such a page must
# never be taken for a copy of the pool's block.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

key=$(printf '%064d' 7)
modprobe dm-crypt || exit

# crypt NAME DEVICE: all use the same key, so that a snapshot can be opened
crypt() {
	dmsetup create "$1" --table \
		"0 $(blockdev --getsz "$2") crypt aes-xts-plain64 $key 0 $2 0 1 allow_discards"
}

#----------------------------------------------------------------------
note "below both devices of the pool"
#----------------------------------------------------------------------

nullb hmeta 16 softirq
nullb hdata 256 softirq
crypt meta "$(nullb_path hmeta)" || exit
crypt data "$(nullb_path hdata)" || exit
# Unwritten blocks decrypt to noise, which must not be taken for an empty device.
fails "noise is not formatted" pool_up
dd if=/dev/zero of=$meta bs=128k count=1 oflag=direct status=none
pool_up || exit
vol_new v 0 64
check "written and verified" fio --name=x --filename=/dev/mapper/v --thread --minimal \
	--rw=randwrite --bsrange=512-64k --blockalign=512 --size=3M --direct=1 --ioengine=libaio \
	--iodepth=8 --fsync=64 --verify=crc32c --verify_fatal=1 --randseed=7
was=$(sum /dev/mapper/v 16)
snap_new s 1 0 64
put v 4k 100 50 fsync
equal "a snapshot has what its origin had" "$(sum /dev/mapper/s 16)" "$was"
check "a discard" blkdiscard /dev/mapper/v
vol_down v s
pool_down
check "the metadata is whole" hpm_check $meta
check "it opens again" pool_up
vol_up s 1 64
equal "with what was written" "$(sum /dev/mapper/s 16)" "$was"
vol_down s
pool_down
dmsetup remove meta
dmsetup remove data

#----------------------------------------------------------------------
note "above volumes"
#----------------------------------------------------------------------

slice meta hmeta 16
slice data hdata 256
dd if=/dev/zero of=$meta bs=128k count=1 oflag=direct status=none
pool_up || exit
vol_new v 0 128
crypt cv /dev/mapper/v
mkfs.ext4 -q /dev/mapper/cv
mkdir -p "$tmp"/{a,b,c}
mount /dev/mapper/cv "$tmp/a"
head -c 6M /dev/urandom >"$tmp/a/file"
want=$(md5sum <"$tmp/a/file")
umount "$tmp/a"
snap_new b 1 0 128
snap_new c 2 0 128
crypt cb /dev/mapper/b
crypt cc /dev/mapper/c
mount /dev/mapper/cv "$tmp/a"
mount /dev/mapper/cb "$tmp/b"
mount /dev/mapper/cc "$tmp/c"
# In turn, so that each volume finds pages that the one before may have cached.
for round in 1 2 3; do
	echo 3 >/proc/sys/vm/drop_caches
	for d in a b c; do
		equal "round $round: $d reads what was written" "$(md5sum <"$tmp/$d/file")" "$want"
	done
done
if intercepts; then
	note "served $(key hits), caught $(key caught)"
	is "its pages are not taken for copies" "$(key caught)" -lt 100
fi
for d in b c; do
	check "$d is written" fio --name=x --directory="$tmp/$d" --thread --minimal --rw=randrw \
		--bs=4k --size=4M --ioengine=psync --fsync=32 --verify=crc32c --verify_fatal=1
done
equal "the origin is as it was" "$(md5sum <"$tmp/a/file")" "$want"
for d in a b c; do
	umount "$tmp/$d"
done
vol_down cv cb cc
for d in v b c; do
	crypt again /dev/mapper/$d
	check "the file system on $d is whole" e2fsck -fn /dev/mapper/again
	dmsetup remove --retry again
done
vol_down v b c
pool_down
check "the metadata is whole" hpm_check $meta
