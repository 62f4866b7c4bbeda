#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests a volume as a block device: odd sizes and offsets, zeroes with and without
# unmapping, polled and throttled I/O, and the ways in which fio verifies.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

# (The queues are configured before power-on, because completions are polled for.)
NULLB_OPTS="poll_queues=1 submit_queues=2" DISK_MODE=softirq devices 16 384
pool_up || exit
vol_new v 0 64 || exit

#----------------------------------------------------------------------
note "direct I/O, aligned and not"
#----------------------------------------------------------------------

check "sectors, from and to anywhere" dio /dev/mapper/v 512
msg create_snap 1 0
check "the same over a snapshot" dio /dev/mapper/v 512
fails "less than a sector is refused" dd if=/dev/zero of=/dev/mapper/v bs=256 count=1 oflag=direct
fails "so is what starts inside one" dd if=/dev/mapper/v of=/dev/null bs=512 count=1 \
	iflag=direct,skip_bytes skip=100
fails "nothing is written behind the end" dd if=/dev/zero of=/dev/mapper/v bs=4k \
	count=1 seek=$((64 * 256)) oflag=direct

#----------------------------------------------------------------------
note "zeroes and discards"
#----------------------------------------------------------------------

head -c 1M /dev/urandom >"$tmp/data"
dd if="$tmp/data" of=/dev/mapper/v bs=1M oflag=direct conv=notrunc status=none
msg create_snap 2 0
was=$(dd if=/dev/mapper/v bs=1M count=1 iflag=direct status=none | md5sum)
check "zeroes, unaligned at both ends" blkdiscard -z -o 5632 -l 37376 /dev/mapper/v
equal "read as zeroes" "$(foreign nonzero /dev/mapper/v 11 73)" 0
equal "what is before them stays" "$(dd if=/dev/mapper/v bs=512 count=11 iflag=direct status=none | md5sum)" \
	"$(dd if="$tmp/data" bs=512 count=11 status=none | md5sum)"
equal "and what is behind" "$(dd if=/dev/mapper/v bs=512 skip=84 count=900 iflag=direct status=none | md5sum)" \
	"$(dd if="$tmp/data" bs=512 skip=84 count=900 status=none | md5sum)"
# The block layer punches holes only where all devices below can write zeroes.
ways=("-z" "-z -n")
[ "$(cat "/sys/dev/block/$(stat -Lc '%Hr:%Lr' /dev/mapper/v)/queue/write_zeroes_max_bytes")" = 0 ] ||
	ways+=("-p")
for args in "${ways[@]}"; do
	check "fallocate $args" fallocate $args -o 65536 -l 65536 /dev/mapper/v
	equal "fallocate $args: reads as zeroes" "$(foreign nonzero /dev/mapper/v 128 128)" 0
done
vol_up s 2 64
equal "the snapshot has its own" "$(dd if=/dev/mapper/s bs=1M count=1 iflag=direct status=none | md5sum)" "$was"
vol_down s
check "all of it is discarded" blkdiscard /dev/mapper/v
equal "and reads as zeroes" "$(foreign nonzero /dev/mapper/v)" 0
check "a discard of nothing mapped" blkdiscard -o 4096 -l 8192 /dev/mapper/v
msg delete 1
msg delete 2

#----------------------------------------------------------------------
note "polled and throttled"
#----------------------------------------------------------------------

job() {	# job NAME OPTIONS...: fio ends without an error
	local name=$1

	shift
	check "$name" fio --name=x --filename=/dev/mapper/v --thread --minimal \
		--size=8M --randseed=7 "$@"
}

# (If it is polled, null_blk allocates its pages under RCU.)
dmsetup suspend v && dmsetup suspend pool && fill_disks
dmsetup resume pool && dmsetup resume v
job "polled writes, verified" --rw=randwrite --bs=4k --ioengine=io_uring \
	--hipri=1 --direct=1 --iodepth=8 --verify=crc32c --verify_fatal=1
job "polled reads of a cold map" --rw=randread --bs=4k --ioengine=io_uring \
	--hipri=1 --direct=1 --iodepth=1
job "polled, one at a time" --rw=randwrite --bs=4k --ioengine=pvsync2 --hipri=1 \
	--direct=1 --size=2M --verify=crc32c

cg=/sys/fs/cgroup
mountpoint -q $cg || mount -t cgroup2 none $cg
if echo +io >$cg/cgroup.subtree_control 2>/dev/null; then
	mkdir -p $cg/slow
	dev=$(stat -Lc '%Hr:%Lr' /dev/mapper/v)
	check "a limit for the volume is taken" bash -c \
		"echo '$dev wbps=16777216 wiops=2000 rbps=16777216' >$cg/slow/io.max"
	msg create_snap 3 0
	check "throttled copies on write, verified" bash -c "echo \$\$ >$cg/slow/cgroup.procs
		exec fio --name=x --filename=/dev/mapper/v --rw=randwrite --bs=4k --size=4M \
		--direct=1 --ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 --minimal"
	is "what was written is on the cgroup's account" \
		"$(sed -n "s/^$dev .*wbytes=\([0-9]*\).*/\1/p" $cg/slow/io.stat)" -ge $((4 << 20))
	# A throttled volume must not delay the snapshot of another one.
	echo "$dev wiops=20" >$cg/slow/io.max
	bash -c "echo \$\$ >$cg/slow/cgroup.procs
		exec fio --name=x --filename=/dev/mapper/v --rw=randwrite --bs=4k --size=8M \
		--direct=1 --ioengine=libaio --iodepth=32 --minimal --time_based --runtime=60" \
		>/dev/null 2>&1 &
	slow=$!
	sleep 1
	check "a snapshot under throttled writes does not wait for them" \
		timeout 20 dmsetup message pool 0 "create_snap 4 0"
	check "nor does a commit" timeout 20 dmsetup message pool 0 checkpoint
	kill $slow
	echo "$dev wiops=max wbps=max rbps=max" >$cg/slow/io.max
	wait $slow 2>/dev/null
	within 10 rmdir $cg/slow
	msg delete 3
	msg delete 4
else
	note "no io controller here"
fi

#----------------------------------------------------------------------
note "fio's ways to verify"
#----------------------------------------------------------------------

for v in crc32c md5 xxhash sha256 crc64; do
	job "verify=$v" --rw=randrw --rwmixread=40 --bs=4k --direct=1 \
		--ioengine=libaio --iodepth=8 --verify=$v --verify_fatal=1 --do_verify=1
done
msg create_snap 5 0
job "verify_async, several sizes" --rw=randwrite --bssplit=512/10:4k/60:64k/20:256k/10 \
	--blockalign=512 --direct=1 --ioengine=libaio --iodepth=16 --verify=crc32c \
	--verify_async=2 --verify_fatal=1
job "verify_backlog: read back soon" --rw=randwrite --bs=8k --direct=1 --ioengine=libaio \
	--iodepth=16 --verify=crc32c --verify_backlog=64 --verify_backlog_batch=16 --verify_fatal=1
job "verify_interval below a block" --rw=write --bs=64k --direct=1 --ioengine=psync \
	--verify=crc32c --verify_interval=1k --verify_fatal=1
job "a pattern, with the offset in it" --rw=write --bs=128k --direct=1 --ioengine=libaio \
	--iodepth=4 --verify=pattern --verify_pattern=%o --verify_interval=512 --verify_fatal=1
job "overlapping writes, one after the other" --rw=randwrite --bs=12k --bs_unaligned=1 \
	--direct=1 --ioengine=libaio --iodepth=16 --norandommap --serialize_overlap=1
job "trims between, verified" --rw=randtrimwrite --bs=16k --direct=1 --ioengine=libaio \
	--iodepth=4
job "buffered, with syncs" --rw=randwrite --bs=1k --ioengine=psync --fsync=32 \
	--end_fsync=1 --verify=crc32c --verify_fatal=1 --size=2M
job "mapped" --rw=randwrite --bs=4k --ioengine=mmap --verify=crc32c --verify_fatal=1 --size=4M
job "vectored, with FUA" --rw=randwrite --bs=4k --ioengine=pvsync2 --direct=1 --sync=dsync \
	--verify=crc32c --verify_fatal=1 --size=2M
vol_down v
pool_down
check "the metadata is whole" hpm_check $meta
