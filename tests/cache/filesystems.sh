#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests what file systems other than ext4 and xfs do with the pages that they read
# into.  Some decompress over the bytes that they have read: such a page is no copy
# of the block, and must not be entered as one.  Runs in the guest (make
# test-filesystems).
#
#	filesystems.sh [all|<test>...]	the short tests, all, or those named
set -uo pipefail
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"

# The short tests, and the long ones.
: "${tests:=erofs erofs_lz4 squashfs f2fs_lz4}"
all="erofs erofs_lz4 erofs_big squashfs squashfs_plain f2fs f2fs_lz4 btrfs btrfs_zstd xfs rewritten"
cp "$(command -v racer)" /dev/shm/
tree=/dev/shm/tree

# Files of 100 blocks each that can be compressed.
FILES=8
make_tree() {
	local i

	mkdir $tree
	for ((i = 0; i < FILES; i++)); do
		seq "$i" 7 2000000 | head -c 409600 >$tree/f$i
	done
	(cd $tree && md5sum f*) >/dev/shm/sums
}

# The files in /mnt/ID must be those of the tree.
right() {
	(cd "/mnt/$1" && md5sum --quiet -c /dev/shm/sums)
}

# image COMMAND...: makes an image with this command, to which volume 0's device is
# added
image() {
	msg create_thin 0
	activate 0
	"$@" /dev/mapper/v0 >/dev/shm/mkfs.log 2>&1 || {
		cat /dev/shm/mkfs.log
		return 1
	}
}

# The same for a file system that is written to when it is mounted.
filled_image() {
	local mkfs=$1 type=$2 options=$3

	# shellcheck disable=SC2086
	image $mkfs || return
	mkdir -p /mnt/0
	mount -t "$type" -o "noatime,$options" /dev/mapper/v0 /mnt/0 || return
	cp $tree/* /mnt/0/
	umount /mnt/0
}

# up_as ID TYPE OPTIONS
up_as() {
	msg create_snap "$1" 0 && activate "$1" && mkdir -p "/mnt/$1" &&
		mount -t "$2" -o "noatime,$3" "/dev/mapper/v$1" "/mnt/$1"
}

gone() {
	local id

	for id; do
		! mountpoint -q "/mnt/$id" || umount "/mnt/$id" || return
		[ ! -e "/dev/mapper/v$id" ] ||
			dmsetup remove --retry "v$id" || return
		msg delete "$id"
	done
}

forget_pages() {
	local f

	for f in /mnt/"$1"/f*; do racer drop "$f"; done
}

# begin: empties the cache and the index, and notes the counters
begin() {
	! [ -e /dev/mapper/v0 ] || dmsetup remove --retry v0
	drop_caches
	msg cache share off
	msg cache share on
	caught=$(value caught) hits=$(value hits) entered=$(value entered)
	stale=$(value miss_stale)
}

# well: checks the counters since begin
well() {
	caught=$(($(value caught) - caught)) hits=$(($(value hits) - hits))
	entered=$(($(value entered) - entered))
	stale=$(($(value miss_stale) - stale))
	echo "# $hits hits, $entered entered, $caught caught, $stale stale, $(value blocks) blocks known"
	check "no page is taken for what it is not" [ $caught -le $FILES ]
	check "no volume is barred" [ "$(value barred)" = 0 ]
}

# clones TYPE OPTIONS: reads two clones of the image one after the other, and the
# first one again when its pages have been dropped
clones() {
	local id

	begin
	for id in 1 2; do
		check "clone $id is mounted" up_as $id "$@"
		check "its bytes are right" right $id
	done
	forget_pages 1
	check "the first one's are right again" right 1
	well
}

# Files whose pages equal their blocks on the device must be served to the two
# readings after the first one.
all_served() {
	check "what one has read the others are served" \
		[ "$hits" -ge $((FILES * 100 * 2 * 9 / 10)) ]
}

# Files whose pages differ from their blocks on the device must not be entered.
not_entered() {
	check "what is on the device in another form is not entered" \
		[ "$entered" -le $((FILES * 4)) ]
}

test_erofs() {
	image_of() { mkfs.erofs "$1" $tree; }
	check "an image" image image_of || return
	clones erofs ro
	all_served
}

test_erofs_lz4() {
	image_of() { mkfs.erofs -zlz4 "$1" $tree; }
	check "an image" image image_of || return
	clones erofs ro
	not_entered
}

# Clusters of 64 KiB.
test_erofs_big() {
	image_of() { mkfs.erofs -zlz4hc,12 -C 65536 "$1" $tree; }
	check "an image" image image_of || return
	clones erofs ro
	not_entered
}

test_squashfs() {
	image_of() { mksquashfs $tree "$1" -noappend -quiet; }
	check "an image" image image_of || return
	clones squashfs ro
	not_entered
}

test_squashfs_plain() {
	image_of() {
		mksquashfs $tree "$1" -noappend -quiet -noI -noD -noF -noX
	}
	check "an image" image image_of || return
	clones squashfs ro
	not_entered
}

test_f2fs() {
	check "an image" filled_image "mkfs.f2fs -q -f" f2fs rw || return
	clones f2fs rw
	all_served
}

test_f2fs_lz4() {
	check "an image" filled_image \
		"mkfs.f2fs -q -f -O extra_attr,inode_checksum,compression" f2fs \
		compress_algorithm=lz4,compress_extension=\* || return
	clones f2fs ro,compress_algorithm=lz4
	# some clusters do not become smaller, and are stored uncompressed
	check "no page is entered that is none of the file's" \
		[ $stale -le $FILES ]
}

# The kernel identifies a btrfs by its UUID.  Before 6.7 it does not mount a second one
# with the same UUID; since then it gives that one a temporary UUID.
beside() {
	case $(uname -r) in
	[1-5].* | 6.[0-6].*)
		fails "a clone cannot be mounted beside it as long as its UUID is the same" \
			mount -t btrfs /dev/mapper/v2 /mnt/2 ;;
	*)
		check "a clone is mounted beside it under a temporary UUID" \
			mount -t btrfs /dev/mapper/v2 /mnt/2
		check "its bytes are right" right 2
		check "so are clone 1's" right 1
		umount /mnt/2 ;;
	esac
}

btrfs_clones() {
	begin
	check "clone 1 is mounted" up_as 1 btrfs rw
	check "its bytes are right" right 1
	msg create_snap 2 0
	activate 2
	mkdir -p /mnt/2
	beside
	umount /mnt/1
	check "clone 2 is mounted after it" mount -t btrfs /dev/mapper/v2 /mnt/2
	check "its bytes are right" right 2
	umount /mnt/2
	dmsetup remove --retry v1
	check "with a UUID of its own" btrfstune -f -u /dev/mapper/v2
	check "clone 2 is mounted" mount -t btrfs /dev/mapper/v2 /mnt/2
	check "beside clone 3" up_as 3 btrfs rw
	check "its bytes are right" right 3
	check "so are clone 2's" right 2
	well
	not_entered
}

test_btrfs() {
	check "an image" filled_image "mkfs.btrfs -q -f" btrfs rw || return
	btrfs_clones
}

test_btrfs_zstd() {
	check "an image" filled_image "mkfs.btrfs -q -f" btrfs \
		compress-force=zstd || return
	btrfs_clones
}

test_xfs() {
	check "an image" filled_image "mkfs.xfs -q -f" xfs rw || return
	msg create_snap 3 0
	activate 3
	check "a clone is mounted" up_as 1 xfs rw
	fails "another one beside it only if it is told not to mind the UUID" \
		mount -t xfs /dev/mapper/v3 /mnt/3
	gone 1 3
	clones xfs nouuid
	all_served
}

# A clone writes other bytes to files that it and others have read.
test_rewritten() {
	local i

	check "an image" filled_image "mkfs.ext4 -q" ext4 rw || return
	begin
	check "clone 1 is mounted" up_as 1 ext4 rw
	check "its bytes are right" right 1
	for ((i = 0; i < FILES; i++)); do
		dd if=/dev/urandom of=/mnt/1/f$i bs=4k count=100 conv=notrunc \
			status=none
	done
	sync -f /mnt/1
	check "clone 2 is mounted" up_as 2 ext4 rw
	check "its bytes are right" right 2
	echo "# $(($(value caught) - caught)) caught"
	check "no volume is barred" [ "$(value barred)" = 0 ]
}

modprobe -a erofs squashfs f2fs btrfs xfs || exit
make_tree
pool_up || exit
[ $# = 0 ] || tests=$*
[ "$tests" != all ] || tests=$all
for name in $tests; do
	echo "# $name"
	"test_$name"
	result "$name runs to its end" $?
	gone 3 2 1 0
done
check "no block has changed" [ "$(value changed)" = 0 ]
echo "# $(dmsetup status --noflush pool | sed 's/.* share /share /')"
check "the pool can be removed" dmsetup remove --retry pool
check "and the module" rmmod dm-hpmapper
the_end
