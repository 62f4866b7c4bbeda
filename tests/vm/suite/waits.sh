#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that a worker never waits for work that is queued behind it; the essay is in
# pool-work.c.  (make test-one-worker runs this with one worker for each queue.)
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

parameters=/sys/module/dm_hpmapper/parameters
one=$parameters/one_worker
[ ! -e $one ] || note "one worker for each queue: $(<$one)"

# A CPU has 256 workers; all I/O that is to meet in one queue is sent from one CPU.
here() {
	taskset 1 "$@"
}

# data_delay MILLISECONDS: sets how long a read of the data device takes.  A change
# releases the reads that are being delayed.
data_delay() {
	here dmsetup suspend --nolockfs data
	dmsetup reload data --table "0 $(mib 64) delay $disk 0 $1 $disk 0 0"
	dmsetup resume data
}

# hops N: at least this many bios have come to a worker since $before
hops() {
	[ $(($(key hops --noflush) - before)) -ge "$1" ]
}

modprobe dm-delay
nullb hmeta 64 inline
nullb hdata 256 timer
disk=$(nullb_path hdata)
slice meta hmeta 16
slice data hdata 64

# The pool is full.  A read of 128 KiB, which a worker enters when it ends, delays
# the drain, and 400 writes wait for the space that the drain will free.
pool_up || exit
vol_new v 0 24 && put v 1M 24 0 fsync
vol_new x 5 8 && put x 4k 2048 0 fsync
vol_down x
vol_new f 6 40
dd if=/dev/zero of=/dev/mapper/f bs=1M oflag=direct status=none 2>/dev/null
snap_new c 1 0 24
snap_new p 2 0 24
equal "the pool is full" "$(pool_mode)" out_of_data_space
data_delay 600000
echo 3 >/proc/sys/vm/drop_caches
blockdev --setra 256 /dev/mapper/c
here dd if=/dev/mapper/c of=/dev/null bs=128k count=1 status=none &
reader=$!
sleep 0.3
msg delete 5
before=$(key hops --noflush)
here fio --name=x --filename=/dev/mapper/c --rw=randwrite --bs=4k --size=16M --offset=8M \
	--io_size=1600k --direct=1 --ioengine=libaio --iodepth=400 --thread \
	--minimal >"$tmp/fio" 2>&1 &
writer=$!
# writes of less than a block, which read the block that they merge with
here fio --name=y --filename=/dev/mapper/p --rw=randwrite --bs=512 --size=16M --offset=8M \
	--io_size=32k --direct=1 --ioengine=libaio --iodepth=64 --thread \
	--minimal >"$tmp/fio2" 2>&1 &
merger=$!
check "400 writers want space" within 30 hops "$([ "$(cat $one 2>&1)" = Y ] && echo 1 || echo 256)"
check "and a read holds it up" kill -0 $reader
data_delay 0
check "it ends" timeout 60 tail --pid=$reader -f /dev/null
check "and then the writers do" timeout 60 tail --pid=$writer -f /dev/null
ends_well "without an error" $writer
check "writes of less than a block, too" timeout 60 tail --pid=$merger -f /dev/null
ends_well "without an error" $merger
check "the space came back" within 20 nothing_dying

# A write waits for the search for space, which another volume's read delays; its
# volume can be suspended and removed meanwhile.
dd if=/dev/zero of=/dev/mapper/f bs=1M oflag=direct status=none 2>/dev/null
equal "full again" "$(pool_mode)" out_of_data_space
data_delay 8000
dd if=/dev/mapper/v of=/dev/null bs=4k count=1 iflag=direct status=none &
reader=$!
sleep 0.3
msg create_thin 7 && msg delete 7
dd if=/dev/zero of=/dev/mapper/c bs=4k count=1 oflag=direct conv=notrunc status=none \
	2>/dev/null &
writer=$!
sleep 0.5
check "a volume whose write waits for space is suspended" \
	timeout 20 dmsetup suspend --noflush --nolockfs c
check "and resumed" dmsetup resume c
data_delay 0
wait $reader $writer
vol_down v f c p
pool_down

# The metadata is full, and writes wait without a limit: a write is still asking for
# a credit, on a slow metadata device, when its volume is suspended.
meta_delay() {
	dmsetup suspend --nolockfs slow
	dmsetup reload slow --table "0 $(mib 4) delay $slice 0 0 $slice 0 $1"
	dmsetup resume slow
}

fill_metadata() {
	while [ ! -e "$tmp/stop" ]; do
		id=$((id + 1))
		msg create_snap $id 0 2>/dev/null
		touch_leaves /dev/mapper/v 12000 >/dev/null 2>&1
	done
}

# The room that is reserved for writes in flight can make the metadata seem full for
# a moment.
stays_full() {
	local i

	for i in 1 2 3 4; do
		[ "$(key metadata --noflush)" = full ] || return
		sleep 1
	done
}

# If a driver below has no memory for a flush, it has not tried the flush: the pool
# repeats it.  (Only a build with faults has this option.)
if [ -w $parameters/fault ]; then
	wipe
	pool_up && vol_new u 0 8 || exit
	echo untried >$parameters/fault
	check "a flush that a driver has not tried is repeated" \
		dd if=/dev/zero of=/dev/mapper/u bs=4k count=1 conv=fsync status=none
	echo none >$parameters/fault
	equal "and the pool is written to" "$(pool_mode)" rw
	vol_down u
	pool_down
fi

# hold FUNCTION: holds the next thread that enters it
hold() {
	echo "$1" >$parameters/pause_at && echo probe >$parameters/pause
}

held() {
	[ "$(<$parameters/pause)" = held ]
}

go_on() {
	echo none >$parameters/pause
	echo none >$parameters/pause_at
}

all_durable() {
	[ "$(key durable --noflush)" = "$(key record --noflush)" ]
}

# The blocks that volume w maps, as far as records have been applied.
mapped() {
	local line

	line=$(dmsetup status --noflush w)
	read -ra status <<<"$line"
	echo $((status[3] / 8))
}

ended() {
	! kill -0 "$1"
}

maps_more_than() {
	[ "$(mapped)" -gt "$1" ]
}

# A build with pauses can stop a worker between two of its steps.  No check here asks
# for a status that makes the pool settle, which would help it over a lost step.
if [ -w $parameters/pause_at ]; then
	# A commit writes the record of a reclaim before the record is applied.
	slice data hdata 32
	wipe
	pool_up || exit
	vol_new v 0 24 && put v 1M 24 0 fsync
	vol_new w 1 16
	dd if=/dev/zero of=/dev/mapper/w bs=1M oflag=direct status=none 2>/dev/null
	equal "a pool is full" "$(pool_mode)" out_of_data_space
	vol_down w
	hold hpm_apply_reclaim
	msg delete 1 &
	deleter=$!
	check "a record that frees blocks is being applied" within 20 held
	check "while a flush" dd if=/dev/zero of=/dev/mapper/v bs=4k count=1 oflag=direct \
		conv=notrunc,fsync status=none
	check "makes it durable" within 20 all_durable
	go_on
	ends_well "the delete succeeds" $deleter
	check "and the blocks can be written to" within 20 mode_is rw
	vol_down v
	pool_down

	# The stock of one volume takes freed blocks before the pool looks for what is
	# free.  They are for those that have waited, too.  (The pool also looks each
	# second, and may do so in time: then once more.)
	wipe
	pool_up 0 queue_if_no_space || exit
	vol_new v 0 24 && put v 1M 24 0 fsync
	vol_new w 1 16
	dd if=/dev/zero of=/dev/mapper/w bs=4k oflag=direct status=none 2>/dev/null &
	writer=$!
	hidden=no
	for at in 0 1 2 3 4 5 6 7; do
		within 20 mode_is out_of_data_space
		sleep 0.5
		before=$(mapped)
		hold hpm_pool_space_freed
		blkdiscard -o $((at << 20)) -l 65536 /dev/mapper/v
		within 20 held
		put v 4k 1 $((at * 256)) &
		within 2 ended $!
		! mode_is out_of_data_space || maps_more_than "$before" || hidden=yes
		go_on
		wait $!
		[ $hidden = no ] || break
	done
	equal "freed blocks are in another volume's stock" $hidden yes
	check "and a waiting write gets one" within 20 maps_more_than "$before"
	vol_down v
	msg delete 0
	check "it goes on when there is more" timeout 30 tail --pid=$writer -f /dev/null
	vol_down w
	pool_down
	slice data hdata 64
	wipe
fi

timeout_was=$(<$parameters/no_space_timeout)
echo 0 >$parameters/no_space_timeout
slice meta hmeta 4
slice=$meta
dmsetup create slow --table "0 $(mib 4) delay $slice 0 0 $slice 0 0"
meta=/dev/mapper/slow
wipe
pool_up 0 queue_if_no_space || exit
vol_new v 0 64
fio --name=x --filename=/dev/mapper/v --rw=write:4k --bs=4k --size=64M \
	--io_size=32M --direct=1 --ioengine=psync --thread --minimal >/dev/null
id=0
fill_metadata &
filler=$!
check "the metadata is full" within 90 stays_full
touch "$tmp/stop"
meta_delay 300
dd if=/dev/zero of=/dev/mapper/v bs=4k count=1 seek=12002 oflag=direct conv=notrunc \
	status=none &
writer=$!
sleep 0.3
check "a volume whose write waits for credit is suspended" \
	timeout 20 dmsetup suspend --noflush --nolockfs v
check "the write waits on" kill -0 $writer
dmsetup resume v
meta_delay 0
for id in $(seq 100); do
	msg delete "$id" 2>/dev/null
done
check "until something is deleted" timeout 30 tail --pid=$writer -f /dev/null
ends_well "and succeeds" $writer
check "as do those that filled it" timeout 60 tail --pid=$filler -f /dev/null
echo "$timeout_was" >$parameters/no_space_timeout
vol_down v
pool_down
dmsetup remove slow
