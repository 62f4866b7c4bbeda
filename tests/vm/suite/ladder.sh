#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the failure ladder, write -> out_of_data_space -> read_only -> fail.  Each
# step is reached by its real cause; the script tests what must hold on the step,
# and the way back.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

M=16 D=96		# MiB
# The disks have a volatile cache; otherwise they would get no FLUSH.
export NULLB_OPTS="cache_size=8"
devices $M $D
modprobe dm-flakey

#----------------------------------------------------------------------
# Devices that fail
#----------------------------------------------------------------------

# The layout of a metadata device of 16 MiB, in blocks.
journal="32 288" counts="288 303" nodes="303 4096"

# swap NAME: loads another table, from the standard input, while the device is in
# use
swap() {
	dmsetup reload "$1" && dmsetup suspend --noflush --nolockfs "$1" &&
		dmsetup resume "$1"
}

whole() {	# whole NAME: as it was
	case $1 in
	meta) echo "0 $(mib $M) linear $(nullb_path hmeta) 0" ;;
	data) echo "0 $(mib $D) linear $(nullb_path hdata) 0" ;;
	esac | swap "$1"
}

# part FROM TO error|drop_writes|error_writes: makes these blocks of the metadata
# device fail
part() {
	local from=$(($1 * 8)) to=$(($2 * 8)) end disk

	end=$(mib $M)
	disk=$(nullb_path hmeta)
	[ $from = 0 ] || echo "0 $from linear $disk 0"
	case $3 in
	error)	echo "$from $((to - from)) error" ;;
	*)	echo "$from $((to - from)) flakey $disk $from 0 180 1 $3" ;;
	esac
	[ $to = "$end" ] || echo "$to $((end - to)) linear $disk $to"
}

# A data device whose writes and flushes fail, and whose reads succeed.
no_writes() {
	echo "0 $(mib $D) flakey $(nullb_path hdata) 0 0 180 1 error_writes"
}

#----------------------------------------------------------------------
# The pool
#----------------------------------------------------------------------

# read_only WHAT REASON: the pool has become read-only, and has reported it
read_only() {
	check "$1: the pool is read-only" within 10 mode_is ro
	log_has "$1: the log says why" \
		"switching from (write|out_of_data_space) to read_only mode: $2"
	is "$1: there was an event" \
		"$(dmsetup info -c --noheadings -o events pool)" -gt "$events"
	fails "$1: nothing is written" put v 4k 1 7
	fails "$1: nor made" dmsetup message pool 0 "create_thin 9"
	intact "$1: everything is read"
}

# The content that must stay: the first 8 MiB of v.  The tests write data that may
# be lost only behind them.
synced() {
	echo "$(sum /dev/mapper/v 8) $(sum /dev/mapper/s)"
}

start() {
	fresh
	safe=$(synced)
	dmesg -C
}

# The pool is not active and needs a check.  Before the check it opens for reading.
check_it() {	# check_it WHAT: checked, it is up, without volumes
	local was

	was=$(sum $meta)
	dmesg -C
	check "$1: before a check it opens" pool_up
	log_has "$1: but not for writing" \
		'switching from write to read_only mode: .*needs a check \(hpm_check\)'
	equal "$1: as the status says" "$(word 8) $(word 11)" "ro needs_check"
	vol_up v 0 16 && vol_up s 1 16
	equal "$1: what was synced is read" "$(synced)" "$safe"
	fails "$1: nothing is written before a check" put v 4k 1 7
	fails "$1: nor made before it" dmsetup message pool 0 "create_thin 9"
	vol_down v s
	pool_down
	equal "$1: the metadata is as it was" "$(sum $meta)" "$was"
	check "$1: the check" hpm_check --clear-needs-check-flag $meta
	differ "$1: writes, which is seen" "$(sum $meta)" "$was"
	check "$1: lets it be opened" pool_up
	equal "$1: for writing" "$(word 8) $(word 11)" "rw -"
}

# Deactivates the pool and activates it again as an administrator would.
come_back() {	# come_back WHAT
	vol_down v s
	pool_down
	whole meta
	whole data
	check_it "$1"
	vol_up v 0 16 && vol_up s 1 16
	equal "$1: what was synced is there" "$(synced)" "$safe"
	msg delete 2 2>/dev/null && msg delete 3 && within 20 nothing_dying
	check "$1: and it is written" put v 4k 9 900 fsync
	vol_down v s
	pool_down
}

#----------------------------------------------------------------------
note "write -> out_of_data_space -> write"
#----------------------------------------------------------------------

start
vol_new f 2 256
vol_new g 3 256
fio --name=f --filename=/dev/mapper/f --rw=write --bs=64k --size=80M --thread \
	--direct=1 --ioengine=psync --minimal >/dev/null 2>&1 &
fio --name=g --filename=/dev/mapper/g --rw=randwrite --bs=4k --size=80M --thread \
	--direct=1 --ioengine=psync --minimal >/dev/null 2>&1 &
check "two writers fill the data device" within 60 mode_is out_of_data_space
wait
log_has "the log says so" 'switching from write to out_of_data_space'
is "there was an event" "$(dmsetup info -c --noheadings -o events pool)" -gt "$events"
equal "that needs no check" "$(word 11)" -
intact "other volumes are read"
check "and written in place" dd if=/dev/mapper/v of=/dev/mapper/v bs=4k count=50 \
	skip=100 seek=100 oflag=direct conv=notrunc
vol_down f
msg delete 2
check "a delete brings it back" within 20 mode_is rw
check "and it is written" put g 64k 16 1

#----------------------------------------------------------------------
note "out_of_data_space -> read_only"
#----------------------------------------------------------------------

vol_new f 2 256
dd if=/dev/zero of=/dev/mapper/f bs=64k oflag=direct status=none 2>/dev/null
check "it is full again" within 20 mode_is out_of_data_space
dmesg -C
no_writes | swap data
fails "a FLUSH fails" sync -d /dev/mapper/g
read_only "a full pool whose data is not flushed" "data flush failed"
vol_down f g
come_back "a full pool"

#----------------------------------------------------------------------
note "write -> read_only: a data flush that fails"
#----------------------------------------------------------------------

start
put v 4k 20 3000
no_writes | swap data
fails "fsync tells of it" sync -d /dev/mapper/v
whole data
fails "fsync is not well later either, as the data may be lost" put v 4k 1 3000 fsync
equal "needs_check is set" "$(word 11)" needs_check
# Data that was not flushed is there as long as the pool is active.
sum_v=$(sum /dev/mapper/v)
read_only "a data flush that fails" "data flush failed"
come_back "a data flush that fails"

#----------------------------------------------------------------------
note "a data device whose reads or writes fail costs nothing but those"
#----------------------------------------------------------------------

start
no_writes | swap data
fails "a write to a new block fails" put v 4k 1 3000
fails "a copy on write fails" put s 4k 1 0
fails "a write in place fails" put v 4k 1 100
whole data
equal "the pool does not mind" "$(pool_mode) $(word 11)" "rw -"
check "and what failed can be done again" put s 4k 1 4000 fsync
echo "0 $(mib $D) error" | swap data
fails "a read fails" dd if=/dev/mapper/s of=/dev/null bs=4k count=1 iflag=direct
fails "a part of a block cannot be merged" put s 512 1 81
whole data
equal "the pool does not mind that either" "$(pool_mode) $(word 11)" "rw -"
vol_down v s
msg checkpoint
pool_down
check "and the metadata is whole" hpm_check $meta

#----------------------------------------------------------------------
note "write -> read_only: the metadata device"
#----------------------------------------------------------------------

start
part $journal error | swap meta
fails "a journal that cannot be written: FLUSH fails" put v 4k 1 3000 fsync
sum_v=$(sum /dev/mapper/v)
read_only "a journal write that fails" "journal write failed"
come_back "a journal write that fails"

start
part $nodes error_writes | swap meta
fails "nodes that cannot be written: no checkpoint" dmsetup message pool 0 checkpoint
read_only "a node write that fails" "checkpoint failed"
come_back "a node write that fails"

start
part $counts error_writes | swap meta
fails "counts that cannot be written: no checkpoint" dmsetup message pool 0 checkpoint
read_only "a write of counts that fails" "checkpoint failed"
come_back "a write of counts that fails"

start
part 8 25 error_writes | swap meta
fails "superblocks that cannot be written: no checkpoint" dmsetup message pool 0 checkpoint
check "the pool is read-only" within 10 mode_is ro
log_has "the flag could not be set" 'cannot set needs_check'
intact "everything is read"
# When the device works again, the end of the pool repeats the attempt.
whole meta
come_back "superblocks that cannot be written"

# The device loses writes that it has confirmed; only the superblock is kept.
start
vol_down v s
msg "create_thin 5"
part $nodes drop_writes | swap meta
check "writes that are lost are not seen at once" dmsetup message pool 0 checkpoint
msg checkpoint
dmsetup remove --force pool >/dev/null 2>&1
dmsetup info pool >/dev/null 2>&1 && dmsetup remove pool
whole meta
dmesg -C
pool_up 2>/dev/null
for i in 0 1; do
	dmsetup info pool >/dev/null 2>&1 && vol_up v $i 16 2>/dev/null &&
		dd if=/dev/mapper/v of=/dev/null bs=64k iflag=direct status=none 2>/dev/null
	dmsetup info v >/dev/null 2>&1 && dmsetup remove v
done
log_has "but when they are needed: the block is named" 'metadata block [0-9]+'
equal "hpm_check names it, too" \
	"$(dmsetup remove pool 2>/dev/null; hpm_check $meta 2>&1 | grep -cE 'block [0-9]+ \(.*\)' | sed 's/[1-9][0-9]*/some/')" some

start
echo "0 $(mib $M) error" | swap meta
fails "no metadata device: nothing is durable" put v 4k 1 3000 fsync
check "the pool is read-only" within 10 mode_is ro
equal "what is in memory is read" "$(sum /dev/mapper/s)" "$sum_s"
check "another table does not need it" pool_reload
check "it is read-only with it" mode_is ro
equal "and reads what it read" "$(sum /dev/mapper/s)" "$sum_s"
fails "the module stays" rmmod dm_hpmapper
vol_down v s
pool_down
fails "it is not opened like this" pool_up
whole meta
check "with the device back it is" pool_up
vol_up s 1 16
equal "with what it had" "$(sum /dev/mapper/s)" "$sum_s"
vol_down s
pool_down

#----------------------------------------------------------------------
note "read_only -> fail"
#----------------------------------------------------------------------

start
part $journal error | swap meta
put v 4k 1 3000 fsync 2>/dev/null
within 10 mode_is ro
dmsetup remove --force pool >/dev/null 2>&1
matches "without its table the pool has failed" "$(dmsetup status v)" ' Fail$'
fails "then nothing is read" dd if=/dev/mapper/v of=/dev/null bs=4k count=1 iflag=direct
fails "nor written" put v 4k 1 0
fails "and the module stays" rmmod dm_hpmapper
vol_down v s
dmsetup info pool >/dev/null 2>&1 && dmsetup remove pool
whole meta
check "then it goes" rmmod dm_hpmapper
modprobe dm-hpmapper
hpm_check -q --clear-needs-check-flag $meta
check "and the pool is opened again" pool_up
pool_down

#----------------------------------------------------------------------
note "disks that are pulled"
#----------------------------------------------------------------------

pull() {	# pull WHAT DISK: under I/O
	local what=$1 n

	start
	fio --name=x --filename=/dev/mapper/v --rw=randwrite --bs=4k --iodepth=8 \
		--ioengine=libaio --direct=1 --size=4M --offset=12M --fsync=16 \
		--time_based --runtime=600 --thread --minimal >/dev/null 2>&1 &
	n=$!
	sleep 1
	echo 0 >"/sys/kernel/config/nullb/$2/power"
	# On a fast machine all blocks have been written to by now.  Overwriting them
	# in place needs no metadata; a snapshot does.
	msg create_snap 9 0 2>/dev/null
	check "$what is pulled: I/O ends" timeout 30 tail --pid=$n -f /dev/null
	wait $n
	fails "$what is pulled: fsync fails" sync -d /dev/mapper/v
	check "$what is pulled: the pool is read-only" within 10 mode_is ro
	check "$what is pulled: volumes can be removed" timeout 20 dmsetup remove v s
	check "$what is pulled: and the pool" timeout 20 dmsetup remove pool
	dmsetup remove meta
	dmsetup remove data
	rmdir /sys/kernel/config/nullb/hmeta /sys/kernel/config/nullb/hdata
	devices $M $D
}

pull "the data disk" hdata
pull "the metadata disk" hmeta
