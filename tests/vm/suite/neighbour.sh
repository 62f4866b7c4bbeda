#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that a tenant's slow I/O delays no other tenant.  One volume's reads or
# writes take minutes, because io.max or the device holds them back.  Meanwhile
# every operation on other volumes has to end.  The checks assert the order: the
# operation has ended, and the slow I/O is still pending.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

# meanwhile WHAT COMMAND...: the command must end well before the slow I/O does.  If
# it hung, it would end with the slow I/O, some minutes later.
meanwhile() {
	local what=$1 seen

	shift
	if ! seen=$(timeout 60 "$@" 2>&1 </dev/null); then
		not_passed "$what" "status $? of: $*" "$seen"
	elif ! kill -0 $slow 2>/dev/null; then
		not_passed "$what" "the slow I/O has ended before: $(<"$tmp/tenant")"
	else
		passed "$what"
	fi
}

# over: lets the slow I/O go on, which must succeed
over() {
	limit max
	ends "$1" $slow
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# ends WHAT PROCESS: a child of this shell must succeed
ends() {
	check "$1" within 60 gone "$2"
	wait "$2"
	equal "$1: well" $? 0
}

small_write() {
	dd if=/dev/urandom of="/dev/mapper/$1" bs=4k count=1 seek="${2:-0}" \
		oflag=direct conv=notrunc,fsync status=none
}
export -f small_write

# Replaces a table by one with the same content.
reload() {
	dmsetup reload w --table "$(dmsetup table w)" && dmsetup resume w
}
export -f reload

# The operations that happen to volumes all the time.  w is another active volume; c
# is the slow volume; base is the origin of c.
short_lives() {	# short_lives WHAT
	meanwhile "$1: a snapshot of another volume" dmsetup message pool 0 create_snap 10 2
	meanwhile "$1: a write of its origin" bash -c 'small_write w 3'
	meanwhile "$1: a part of a block" dd if=/dev/zero of=/dev/mapper/w bs=512 \
		count=1 seek=77 oflag=direct conv=notrunc status=none
	meanwhile "$1: the snapshot is activated" \
		dmsetup create x --table "0 $(mib 16) hpmapper $pool 10"
	meanwhile "$1: written to" bash -c 'small_write x 5'
	meanwhile "$1: removed" dmsetup remove x
	meanwhile "$1: deleted" dmsetup message pool 0 delete 10
}

lives() {	# lives WHAT
	short_lives "$1"
	meanwhile "$1: a discard" blkdiscard -o 1M -l 1M /dev/mapper/w
	meanwhile "$1: a volume is made" dmsetup message pool 0 create_thin 11
	meanwhile "$1: named" dmsetup message pool 0 set_name 11 eleven
	meanwhile "$1: made read-only" dmsetup message pool 0 set_readonly 11 on
	meanwhile "$1: and deleted" dmsetup message pool 0 delete 11
	meanwhile "$1: sharing of a volume is switched off" \
		dmsetup message pool 0 set_sharing 2 off
	meanwhile "$1: and on" dmsetup message pool 0 set_sharing 2 on
	if intercepts; then
		meanwhile "$1: sharing of the pool is switched off" \
			dmsetup message pool 0 cache share off
		meanwhile "$1: and on" dmsetup message pool 0 cache share on
	fi
	meanwhile "$1: a metadata snapshot is held" \
		dmsetup message pool 0 reserve_metadata_snap
	meanwhile "$1: and let go" dmsetup message pool 0 release_metadata_snap
	meanwhile "$1: the list" dmsetup message pool 0 list
	meanwhile "$1: the status" dmsetup status
	meanwhile "$1: defragmentation starts" dmsetup message pool 0 defrag start
	meanwhile "$1: and stops" dmsetup message pool 0 defrag stop
	meanwhile "$1: another volume is suspended" dmsetup suspend w
	meanwhile "$1: and resumed" dmsetup resume w
	meanwhile "$1: suspended without a flush" dmsetup suspend --noflush w
	meanwhile "$1: and resumed" dmsetup resume w
	meanwhile "$1: its table is replaced" bash -c reload
}

modprobe dm-delay
devices 16 256
tenancy
pool_up || exit
vol_new base 0 32
put base 1M 32 0
vol_new w 2 16
put w 1M 8 0
snap_new c 1 0 32

#----------------------------------------------------------------------

limit 16384
tenant dd if=/dev/mapper/c of=/dev/null bs=4M count=1 iflag=direct
lives "a throttled reader"
meanwhile "a snapshot of what it reads" dmsetup message pool 0 create_snap 12 1
meanwhile "which is deleted" dmsetup message pool 0 delete 12
over "the reader ends"

limit 16384
tenant dd if=/dev/zero of=/dev/mapper/c bs=4M count=1 oflag=direct conv=notrunc
lives "a throttled writer"
meanwhile "a snapshot of its origin" dmsetup message pool 0 create_snap 13 0
meanwhile "which is deleted" dmsetup message pool 0 delete 13

# The snapshot of the slow volume has to wait, but no other operation waits for it.
dmsetup message pool 0 create_snap 14 1 &
snap=$!
sleep 0.3
meanwhile "its own snapshot waits" kill -0 $snap
short_lives "a snapshot that waits for a throttled writer"
kill -9 $snap
meanwhile "whoever waits for it can be killed" \
	bash -c "until ! kill -0 $snap 2>/dev/null; do sleep 0.1; done"
wait $snap 2>/dev/null
fails "then there is no such volume" dmsetup message pool 0 info 14
dmsetup message pool 0 create_snap 14 1 &
snap=$!
over "the writer ends"
ends "and its snapshot is made" $snap
msg delete 14

# The journal and the metadata reserve room for each of its writes.
limit 4096
tenant fio --name=hog --filename=/dev/mapper/c --rw=write --bs=4k --offset=4M \
	--size=16M --ioengine=libaio --iodepth=4096 --iodepth_batch=4096 \
	--direct=1 --thread --minimal
short_lives "a throttled writer with a deep queue"
over "its writes end"

# More volumes than it takes to use all of the reserved room.
jobs=()
for i in $(seq 20 35); do
	snap_new "c$i" "$i" 0 32
	jobs+=(--name="hog$i" --filename="/dev/mapper/c$i")
done
limit 4096
tenant fio --rw=write --bs=4k --size=6M --ioengine=libaio --iodepth=1500 \
	--iodepth_batch=1500 --direct=1 --thread --minimal "${jobs[@]}"
meanwhile "16 throttled writers with deep queues: a snapshot of another volume" \
	dmsetup message pool 0 create_snap 10 2
meanwhile "16: it is activated" dmsetup create x --table "0 $(mib 16) hpmapper $pool 10"
meanwhile "16: removed" dmsetup remove x
meanwhile "16: deleted" dmsetup message pool 0 delete 10
meanwhile "16: a volume is made" dmsetup message pool 0 create_thin 11
meanwhile "16: and deleted" dmsetup message pool 0 delete 11
meanwhile "16: discards" blkdiscard -o 1M -l 4M /dev/mapper/w
meanwhile "16: one of them, of another volume of the tenant's" \
	dmsetup message pool 0 create_snap 12 1
meanwhile "16: which is deleted" dmsetup message pool 0 delete 12
over "their writes end"
for i in $(seq 20 35); do
	vol_down "c$i"
	msg delete "$i"
done

# Writes of less than a block, which read the rest of the block first.
limit 512
tenant fio --name=parts --filename=/dev/mapper/c --rw=write --bs=512 \
	--bsrange=512-512 --offset=21M --size=3M --zonemode=strided --zonesize=512 \
	--zonerange=4k --ioengine=libaio --iodepth=600 --iodepth_batch=600 \
	--direct=1 --thread --minimal --number_ios=600
short_lives "a throttled writer of parts of blocks"
over "its writes end"

# The pool is suspended so that it can grow: the suspension waits, and the other
# volumes continue until then.
limit 16384
tenant dd if=/dev/mapper/c of=/dev/null bs=4M count=1 iflag=direct
dmsetup suspend pool &
suspend=$!
sleep 0.5
meanwhile "the suspension of the pool waits for a throttled reader" kill -0 $suspend
meanwhile "others write meanwhile" bash -c 'small_write w 9'
meanwhile "and take snapshots" dmsetup message pool 0 create_snap 15 2
over "the reader ends"
ends "then the pool is suspended" $suspend
check "and goes on" dmsetup resume pool
msg delete 15

#----------------------------------------------------------------------

# Reads of one part of the device hang.
size=$(blockdev --getsz $data)
echo 3 >/proc/sys/vm/drop_caches
hang() {	# hang READ_MS WRITE_MS
	local disk

	disk=$(nullb_path hdata)
	dmsetup reload data --table \
		"0 $size delay $disk 0 $1 $disk 0 $2 $disk 0 0" &&
		dmsetup suspend data && dmsetup resume data
}
check "reads of the device take minutes from now on" hang 600000 0
dd if=/dev/mapper/c of=/dev/null bs=64k count=1 iflag=direct status=none &
slow=$!
sleep 0.3
: >"$tmp/tenant"
meanwhile "a reader of a device that hangs: a snapshot" \
	dmsetup message pool 0 create_snap 10 2
meanwhile "a write of whole blocks" bash -c 'small_write w 11'
meanwhile "the snapshot is activated" \
	dmsetup create x --table "0 $(mib 16) hpmapper $pool 10"
meanwhile "and removed" dmsetup remove x
meanwhile "and deleted" dmsetup message pool 0 delete 10
check "the device answers again" hang 0 0
ends "and the reader ends" $slow

# A wait for all I/O in flight is for the I/O that was in flight at its beginning,
# and not for I/O that came to one volume during the wait for another.
check "reads of the device take ten seconds" hang 10000 0
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/mapper/w of=/dev/null bs=64k count=1 iflag=direct status=none &
first=$!
sleep 0.3
blkdiscard -o 4M -l 1M /dev/mapper/w
dmsetup message pool 0 checkpoint &
drain=$!
sleep 4
dd if=/dev/mapper/c of=/dev/null bs=64k count=1 skip=5 iflag=direct status=none &
slow=$!
check "a read that was there before a drain ends" within 30 gone $first
meanwhile "and the drain, though there is a later one of another volume" \
	tail --pid=$drain -f /dev/null
check "the device answers again" hang 0 0
ends "the drain has ended well" $drain
wait $slow

# A tenant that always has a slow read in flight, and another that frees blocks all the
# time: each turn of the drain takes as long as such a read, and the next turn has work
# already.  -f: without it, blkdiscard reads the device first, slowly.
free_blocks() {
	while kill -0 "$1"; do
		small_write w 600
		blkdiscard -f -o 2400k -l 4k /dev/mapper/w
		sync /dev/mapper/w
		echo >>"$tmp/freed"
	done
}

frees() {	# frees N: this many blocks more
	local before

	before=$(wc -l <"$tmp/freed")
	within 30 eval "[ \$(wc -l <'$tmp/freed') -ge $((before + $1)) ]"
}

check "reads of the device take two seconds" hang 2000 0
echo 3 >/proc/sys/vm/drop_caches
fio --name=always --filename=/dev/mapper/c --rw=randread --bs=4k --size=16M \
	--ioengine=libaio --iodepth=8 --direct=1 --time_based --runtime=75 --thread \
	--minimal >"$tmp/tenant" 2>&1 &
slow=$!
free_blocks $slow 2>/dev/null &
freeing=$!
: >"$tmp/freed"
check "blocks are freed while reads are slow" frees 3
meanwhile "slow reads all the time, and blocks freed all the time: a drain" \
	dmsetup message pool 0 checkpoint
meanwhile "and another" dmsetup message pool 0 checkpoint
check "and blocks are freed still" frees 3
kill $slow
wait $slow 2>/dev/null
ends "and there is no more of that" $freeing
check "the device answers again" hang 0 0
dd if=/dev/mapper/c of=/dev/null bs=64k count=1 skip=5 iflag=direct status=none &
slow=$!
ends "the later read ends" $slow
slice data hdata 256

vol_down c w base
pool_down
check "the pool is whole" hpm_check $meta

#----------------------------------------------------------------------

# The metadata is full except for the room that is reserved for a throttled write.
# Fills it until a snapshot is refused, or a write waits for the reserved room.
fill_metadata() {
	local id

	for id in $(seq 10 200); do
		timeout 60 dmsetup message pool 0 create_snap "$id" 2 2>/dev/null ||
			return 0
		touch_leaves /dev/mapper/w 8000 >/dev/null 2>&1 &
		within 5 gone $! || return 0
	done
	return 1
}

has_written() {
	! pgrep -x xfs_io
}

slice meta hmeta 4
wipe
pool_up 0 error_if_no_space || exit
vol_new w 2 64
fio --name=x --filename=/dev/mapper/w --rw=write:4k --bs=4k --size=64M \
	--io_size=16M --direct=1 --ioengine=psync --thread --minimal >/dev/null
vol_new c 1 16
limit 4
tenant dd if=/dev/zero of=/dev/mapper/c bs=4k count=1 oflag=direct conv=notrunc
# the answer does not matter, but there must be one
attempt() {
	dmsetup message pool 0 "$@"
	[ $? -le 1 ]
}
export -f attempt
check "metadata is filled while a write is throttled" fill_metadata
meanwhile "full: it is told of a snapshot" bash -c 'attempt create_snap 300 2'
meanwhile "full: of a volume" bash -c 'attempt create_thin 301'
meanwhile "full: a volume is activated" \
	dmsetup create x --table "0 $(mib 64) hpmapper $pool 10"
meanwhile "full: removed" dmsetup remove x
meanwhile "full: deleted" dmsetup message pool 0 delete 10
for id in $(seq 11 30); do
	msg delete "$id" 2>/dev/null
done
check "then a volume is made" within 20 dmsetup message pool 0 create_thin 302
meanwhile "and the write is throttled still" true
over "the write ends"
check "and what waited for it goes on" within 20 has_written
vol_down c w
pool_down
check "the pool is whole" hpm_check $meta
rmdir $cgroup
