#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests memory shortage.  Each allocation that a message, a table or an I/O makes
# fails once (progs/starve.c); then random allocations of the workers fail.  The
# script needs a kernel with fault injection.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

debug=/sys/kernel/debug
mountpoint -q $debug || mount -t debugfs none $debug
if [ ! -d $debug/failslab ] || [ ! -d $debug/fail_page_alloc ]; then
	note "this kernel's allocations cannot be made to fail"
	exit 0
fi

# attr NAME VALUE: for slabs and for pages
attr() {
	echo "$2" >$debug/failslab/"$1" && echo "$2" >$debug/fail_page_alloc/"$1"
}

# The number of allocations that may fail, and of those that have failed.
many=1000000
failed() {
	echo $((many - $(cat $debug/"$1"/times)))
}

attr probability 0
attr verbose 0
attr times $many
attr ignore-gfp-wait N	# allocations that may wait fail, too
echo N >$debug/fail_page_alloc/ignore-gfp-highmem
echo 0 >$debug/fail_page_alloc/min-order

#----------------------------------------------------------------------
note "allocations fail, one at a time"
#----------------------------------------------------------------------

# op WHAT may|must UNDO
op() {
	local IFS=$'\t'

	echo "$*" >>"$tmp/ops"
}

starved() {
	tap starve pool <"$tmp/ops"
	rm "$tmp/ops"
	equal "the pool is as well as before" "$(pool_mode) $(word 11)" "rw -"
}

devices 16 256
fill_disks
pool_up 0 no_discard_passdown || exit
vol_new base 0 32
put base 1M 32 0
base=$(sum /dev/mapper/base)
snap_new v 1 0 32
snap_new w 2 0 32
volume="0 $(mib 32) hpmapper $pool"

op "message list" may -
op "message info 0" may -
op "message create_thin 10" may "message delete 10"
op "message create_snap 10 0" may "message delete 10"
msg create_thin 11
op "message delete 11" may "message create_thin 11"
op "message set_name 0 other" may "message set_name 0 base"
op "message set_size 11 4096" may "message set_size 11 0"
op "message set_readonly 11 on" may "message set_readonly 11 off"
op "message set_sharing 11 off" may "message set_sharing 11 on"
op "message set_transaction_id 0 1" may "message set_transaction_id 1 0"
op "message reserve_metadata_snap" may "message release_metadata_snap"
op "message checkpoint" may -
op "message map_cache 100" may -
intercepts && op "message cache share off" may "message cache share on"
op "message defrag start 1000" may "message defrag stop"
op "status pool" may -
op "status v" may -
starved

op "create x $volume 11" may "remove x"
op "load v $volume 1" may "clear v"
op "load pool $(pool_table 0 no_discard_passdown)" may "clear pool"
dmsetup suspend w
op "resume w" may "suspend w"
starved
dmsetup resume w

op "read v 0 4096" must -
op "read v next 16384" must -
op "write v 4096 4096" must -
op "write v next 512" must -
op "write v next 16384" must -
op "write x 0 4096" must -
op "write x next 16384" must -
op "discard v 16777216 16384" must -
op "sync v" must -
vol_up x 11 32
starved
vol_down x
check "what volumes share is as it was" [ "$(sum /dev/mapper/base)" = "$base" ]
check "also where it was not written" cmp -n $((8 << 20)) -i $((24 << 20)) \
	/dev/mapper/base /dev/mapper/v

vol_down base v w
pool_down

#----------------------------------------------------------------------
note "the workers' fail by chance"
#----------------------------------------------------------------------

# workers 1|0: allocations of all workers, and of the thread that starts new ones,
# may fail
workers() {
	local task name

	for task in /proc/[0-9]*; do
		{ read -r name <"$task/comm"; } 2>/dev/null || continue
		case $name in
		kworker/*|kthreadd)
			echo "$1" 2>/dev/null >"$task/make-it-fail" ;;
		esac
	done
}

# load VOLUME OPTIONS...: writes, and verifies the data and the snapshots
load() {
	stamps --device /dev/mapper/"$1" --size 4M --seconds 20 --seed 7 "${@:2}" \
		>"$tmp/$1" 2>&1
}

wipe
pool_up 0 no_discard_passdown || exit
vol_new base 90 32
put base 1M 32 0
base=$(sum /dev/mapper/base)
vol_new v0 0 32
for i in 1 2; do
	snap_new v$i $i 90 32
done
msg map_cache 100	# nodes come and go
attr task-filter Y
attr times $many
workers 1
attr probability 5
load v0 --pool pool --origin 0 --first 1000 --unit 2048 --max 2048 &
loads[0]=$!
load v1 --pool pool --origin 1 --first 2000 --discards 10 --zeroes 10 --threads 3 &
loads[1]=$!
load v2 --unit 1 --threads 6 --syncs 20 &
loads[2]=$!
while [ -n "$(jobs -r)" ]; do
	msg checkpoint
	msg defrag start 10000
	sleep 1
done
attr probability 0
attr task-filter N
workers 0
for i in 0 1 2; do
	wait ${loads[i]}
	equal "volume $i: no error" "$? $(grep -v '^#' "$tmp/v$i" | head)" "0 "
done
is "slabs have failed" "$(failed failslab)" -gt 10
is "pages have failed" "$(failed fail_page_alloc)" -gt 10
note "$(failed failslab) slabs, $(failed fail_page_alloc) pages"
equal "the pool is as well as before" "$(pool_mode) $(word 11)" "rw -"
equal "what volumes share is as it was" "$(sum /dev/mapper/base)" "$base"
vol_down base v0 v1 v2
pool_down
check "the metadata is whole" hpm_check $meta

#----------------------------------------------------------------------
note "requests fail by chance"
#----------------------------------------------------------------------

# ladder.sh tests each step of the ladder; here the steps come at random.
requests=$debug/fail_make_request

# flaky 0|1
flaky() {
	local disk

	for disk in hmeta hdata; do
		echo "$1" >"/sys/block/$(basename "$(nullb_path $disk)")/make-it-fail"
	done
}

some_load() {
	local i

	for ((i = 0; i < 12; i++)); do
		put v 4k 8 $((2100 + RANDOM % 1900)) fsync
		put s 64k 2 $((128 + RANDOM % 100))
		msg create_snap $((10 + i)) 0
		dd if=/dev/mapper/v of=/dev/null bs=64k count=32 skip=$((RANDOM % 200)) \
			iflag=direct
		[ $((RANDOM % 3)) != 0 ] || msg delete $((10 + RANDOM % (i + 1)))
		[ $((RANDOM % 3)) != 0 ] || msg checkpoint
	done
} >/dev/null 2>&1

# The first 8 MiB of both volumes were synced, and are not written again.
synced() {
	echo "$(sum /dev/mapper/v 8) $(sum /dev/mapper/s 8)"
}

echo 0 >$requests/verbose
RANDOM=7
for round in 1 2 3 4; do
	fresh
	safe=$(synced)
	echo $many >$requests/times
	echo $((round * 4)) >$requests/probability
	flaky 1
	some_load
	flaky 0
	echo 0 >$requests/probability
	note "round $round: $(failed fail_make_request) requests, $(pool_mode) $(word 11)"
	vol_down v s
	pool_down
	check "round $round: the metadata is whole" \
		hpm_check --clear-needs-check-flag $meta
	pool_up
	vol_up v 0 16 && vol_up s 1 16
	equal "round $round: what was synced is there" "$(synced)" "$safe"
	check "round $round: and it is written" put v 4k 9 900 fsync
	vol_down v s
	pool_down
done
