#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the guest: runs the load over a pool whose devices are recorded.
#
#	record.sh pool <log device> <output directory> <seed> <flush ms>
#		<large block sectors> <steps> [<fault>]
#	record.sh plain <log device> <seed> <flush ms>
#
# Both devices of the pool are slices of one device, which dm-log-writes records, so
# that the log has the writes to both in one order.  A flush in the log carries the
# first sector of its slice (dm-linear adds it), which tells which device the flush
# was for.
#
# dm-log-writes assigns a write to the first flush that is sent after it.
# Therefore, of two flushes that are under way at once, the one sent later must not
# end earlier, or the log says that it flushed nothing.  So every flush passes
# through dm-delay, whose worker sends one flush after another, and a flush of the
# disk below ends before its submission returns.  With <flush ms> 0 there is no such
# queue.
#
# plain: without a pool, the same writers write to a slice itself.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../vm/lib.sh
. "$here/../vm/lib.sh"

what=$1 log=$2
meta_room=$((16 * 2048)) data_room=$((256 * 2048))	# load.h
work=/dev/shm/crash
bin=$work/bin

mkdir -p "$bin"
# programs that run often are copied, so that they are not read by 9p each time
cp "$(command -v load)" "$(command -v dmsetup)" "$bin/"
export PATH=$bin:$PATH

# recorder FLUSH_MS: makes $disk, the device that is recorded
recorder() {
	local size=$((meta_room + data_room))

	nullb hbase $((size / 2048)) timer 400000
	modprobe -a dm-log-writes dm-delay
	dmsetup create rec --table "0 $size log-writes $(nullb_path hbase) $log"
	disk=/dev/mapper/rec
	[ "$1" != 0 ] || return 0
	dmsetup create queue --table \
		"0 $size delay $disk 0 0 $disk 0 0 $disk 0 $1"
	disk=/dev/mapper/queue
}

recorder_end() {
	dmsetup status rec
	[ ! -e /dev/mapper/queue ] || dmsetup remove --retry queue
	dmsetup remove --retry rec
	nullb_remove hbase
}

if [ "$what" = plain ]; then
	seed=$3
	recorder "$4"
	dmsetup create v1 --table "0 16384 linear $disk $meta_room"
	load --plain --seed "$seed"
	dmsetup remove --retry v1
	recorder_end
	exit
fi

out=$3 seed=$4 flush_ms=$5 large=$6 steps=$7 fault=${8:-none}
mkdir -p "$out"

slices() {
	echo "0 $1 linear $disk 0" >"$work/meta"
	echo "0 $2 linear $disk $meta_room" >"$work/data"
	for name in meta data; do
		if [ -e /dev/mapper/$name ]; then
			dmsetup reload $name "$work/$name"
			dmsetup resume $name
		else
			dmsetup create $name "$work/$name"
		fi
	done
}

pool_table() {
	echo "0 $1 hpmapper-pool /dev/mapper/meta /dev/mapper/data $large 0 0"
}

recorder "$flush_ms"

# The pool's devices grow under load; load.c runs this.
cat >"$bin/crash-grow" <<END
#!/bin/bash
set -e
$(declare -f slices pool_table)
work=$work meta_room=$meta_room data_room=$data_room disk=$disk large=$large
slices \$meta_room \$data_room
dmsetup reload pool --table "\$(pool_table \$data_room)"
dmsetup suspend pool
dmsetup resume pool
END
chmod +x "$bin/crash-grow"

modprobe dm-hpmapper
if [ "$fault" != none ]; then
	echo "$fault" >/sys/module/dm_hpmapper/parameters/fault
fi
slices $((meta_room / 2)) $((data_room * 5 / 8))
dmsetup create pool --table "$(pool_table $((data_room * 5 / 8)))"

# make_tree TYPE VOLUME DIR
make_tree() {
	local dev=/dev/mapper/v$2

	dmsetup message pool 0 create_thin "$2"
	load --mark "C,$2"
	dmsetup create "v$2" --table "0 131072 hpmapper /dev/mapper/pool $2"
	if [ "$1" = xfs ]; then
		# mkfs.xfs makes a file system this small only for its own tests
		TEST_DIR=1 TEST_DEV=1 QA_CHECK_FS=1 \
			mkfs.xfs -q -f -l size=8m -d agcount=2 "$dev"
	else
		mkfs.ext4 -q -J size=4 "$dev"
	fi
	mkdir -p "$3"
	mount -t "$1" "$dev" "$3"
}

make_tree ext4 500 $work/ext4
make_tree xfs 600 $work/xfs
load --steps "$steps" --seed "$seed" --out "$out" \
	--tree ext4:500:$work/ext4 --tree xfs:600:$work/xfs
dmsetup status pool
umount $work/ext4-clone $work/xfs-clone $work/ext4 $work/xfs
for name in $(dmsetup table | awk -F: '/ hpmapper / { print $1 }') pool; do
	dmsetup remove --retry "$name"
done

# Another pool on the same devices.
load --mark X
dd if=/dev/zero of=/dev/mapper/meta bs=4k count=1 oflag=direct conv=fsync status=none
dmsetup create pool --table "$(pool_table $data_room)"
load --mark Y
load --again --seed "$seed"
dmsetup remove --retry v900
dmsetup remove --retry pool
dmsetup remove --retry meta
dmsetup remove --retry data
recorder_end
