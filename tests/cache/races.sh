#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Provokes each race of a read that is served from a cached page: stops a thread at
# the critical point (dm-hpmapper/pause.h; VARIANT=faults) while another thread does
# what must not harm it.  Runs in the guest:
#
#	races.sh [<test>...]	all tests, or those named
#
# FAULT=name plants a fault; then one of the checks must fail.
set -uo pipefail
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"

: "${FAULT:=none}" "${FILES:=20}"
: "${tests:=identity rewritten moved truncate journal dma encrypted neighbour invalidate direct_buffer direct_leader pair failing throttled surplus umount freeze frozen suspend frames metadata defaults}"
param=/sys/module/dm_hpmapper/parameters

# A thread that is stopped and cannot sleep occupies its CPU: keep this shell on the
# other.
taskset -cp 1 $$ >/dev/null
cp "$(command -v racer)" "$(command -v sharefiles)" /dev/shm/

#----------------------------------------------------------------------
# Stopping threads
#----------------------------------------------------------------------

# hold POINT [SKIP]
hold() {
	echo "${2:-0}" >$param/pause_skip
	echo "$1" >$param/pause
}

hold_function() {
	echo "$1" >$param/pause_at && hold probe
}

held() { [ "$(cat $param/pause)" = held ]; }
go_on() { echo none >$param/pause; }
no_function() { go_on; echo none >$param/pause_at; }
runs() { kill -0 "$1" 2>/dev/null; }

#----------------------------------------------------------------------
# Clones
#----------------------------------------------------------------------

# reads ID [-d|-m]: reads all of the file $big of a clone, which must be right
reads() {
	sharefiles check -o "$big" "${@:2}" "/mnt/$1" "$FILES" 1 >/dev/null
}

export -f reads

file() { echo "/mnt/$1/d0/f$big"; }

# stale NAME...: removes these clones of the image
stale() {
	local name

	for name; do
		! mountpoint -q "/mnt/$name" || umount "/mnt/$name" || exit 1
		[ ! -e "/dev/mapper/v$name" ] ||
			dmsetup remove --retry "v$name" || exit 1
	done
}

# new NAME [MOUNT OPTION]: makes a clone
next_id=100
new() {
	next_id=$((next_id + 1))
	clone $next_id && activate "$1" $next_id && mounted "$@" || exit 1
}

# fresh: makes clones 1 and 2, and empties the cache and the index, because pages
# that the pool kept for an earlier test would serve, too
fresh() {
	stale 1 2 3
	new 1 "${1:-}"
	new 2
	drop_caches
	forget
}

forget() {
	msg cache share off
	msg cache share on
}

# warm ID: caches everything about the file except its contents, so that a reader
# that can sleep reads only the contents next
warm() {
	cat "$(file "$1")" >/dev/null
	racer drop "$(file "$1")"
}

# The same for both clones, with an empty index.
unknown() {
	warm 1
	warm 2
	forget
}

# more KEY COMMAND...: the command must succeed and raise that value of the status
more() {
	local key=$1 before

	before=$(value "$key")
	shift
	"$@" && [ "$(value "$key")" -gt "$before" ]
}

same() {
	local key=$1 before

	before=$(value "$key")
	shift
	"$@" && [ "$(value "$key")" = "$before" ]
}

#----------------------------------------------------------------------
# Pages that no longer hold the block
#----------------------------------------------------------------------

# The page leaves its file between the look-up and the copy.
test_identity() {
	local pid

	warm 2
	reads 1
	hold looked_up
	taskset -c 0 bash -c reads\ 2 & pid=$!
	check "a reader has looked its block up" within 20 held
	fallocate -p -o 0 -l 65536 "$(file 1)"
	go_on
	check "and is not served from a hole that was punched since" wait $pid
	check "which it noticed" [ "$(value miss_stale)" -gt 0 ]
}

# The file, the place and the frame are the same, the page is clean, and the bytes
# differ.
test_rewritten() {
	reads 1
	dd if=/dev/zero of="$(file 1)" bs=4k count=4 conv=notrunc,fsync status=none
	check "a page rewritten and clean again is caught" more caught reads 2
	check "as it is by a direct read" reads 2 -d
	cat "$(file 1)" >/dev/null
	racer drop "$(file 2)"
	# It must not be written back before it is read.
	echo 0 >/proc/sys/vm/dirty_writeback_centisecs
	printf x | dd of="$(file 1)" bs=1 seek=30000 conv=notrunc status=none
	check "a dirty page is left alone" more miss_busy reads 2
	echo 500 >/proc/sys/vm/dirty_writeback_centisecs
}

test_moved() {
	reads 1
	check "a file's extents are moved" racer move "$(file 1)"
	check "a clone still reads its own" reads 2
	check "so does the file itself" reads 1 -d
}

# truncate() zeroes the rest of the last page long before it marks the page.
test_truncate() {
	local pid

	reads 1
	hold_function ext4_truncate || return
	taskset -c 0 truncate -s -2000 "$(file 1)" & pid=$!
	check "truncate has zeroed the page's end and not yet said so" \
		within 20 held
	check "that page is caught" more caught reads 2 -d
	check "while truncate stood there" held
	no_function
	wait $pid
}

# The journal has changed a block, and its page says that it is clean.
test_journal() {
	fresh commit=300
	find /mnt/1 -type f -exec chmod 600 {} +
	check "a clone mounts while the journal holds the other's inodes" new 3
	check "and sees its own modes" \
		[ "$(find /mnt/3/d0 -type f -perm 644 | wc -l)" = "$FILES" ]
	sync -f /mnt/1
	umount /mnt/3
	check "also when they are committed" mounted 3
	check "it sees its own modes" \
		[ "$(find /mnt/3/d0 -type f -perm 644 | wc -l)" = "$FILES" ]
	check "and the other one's are there" \
		[ "$(find /mnt/1/d0 -type f -perm 600 | wc -l)" = "$FILES" ]
}

# A device writes into a page that is clean and write-protected.
test_dma() {
	local pid slow bad=0

	modprobe dm-delay
	nullb hslow 8 softirq
	slow=$(nullb_path hslow)
	tr '\0' Z </dev/zero | dd of="$slow" bs=4k count=4 oflag=direct \
		iflag=fullblock status=none
	dmsetup create slow --table "0 8192 delay $slow 0 1500"
	reads 1
	racer into /dev/mapper/slow "$(file 1)" 8192 & pid=$!
	sleep 0.3
	sync "$(file 1)"
	check "the read into the mapped page is under way" runs $pid
	while runs $pid; do reads 2 -d || bad=1; done
	wait $pid
	check "no clone sees what comes into another's page" [ $bad = 0 ]
	sync "$(file 1)"
	check "nor afterwards" reads 2 -d
	dmsetup remove --retry slow
	nullb_remove hslow
}

# A page that is decrypted in place is no copy of the block.
test_encrypted() {
	local id

	msg create_thin 10
	activate 10
	make_fs /dev/mapper/v10 -O encrypt
	mounted 10
	mkdir /mnt/10/e
	check "a directory is encrypted" racer encrypt /mnt/10/e
	sharefiles fill /mnt/10/e "$FILES" 1
	down 10
	for id in 11 12; do
		msg create_snap $id 10
		up $id
		racer key /mnt/$id/e
		check "encrypted files of clone $id are right" \
			sharefiles check /mnt/$id/e "$FILES" 1
	done
	racer drop "/mnt/11/e/d0/f$big"
	before=$(value entered)
	check "they are once more" sharefiles check -o "$big" /mnt/11/e "$FILES" 1
	check "their pages are not entered" [ $(($(value entered) - before)) -lt 5 ]
	down 11 12
	for id in 11 12 10; do msg delete $id; done
}

#----------------------------------------------------------------------
# Waiting
#----------------------------------------------------------------------

# A reader holds the locks of pages that others are served from.
test_neighbour() {
	local pid

	new 3
	warm 2
	reads 1
	hold copied 5
	taskset -c 0 bash -c reads\ 2 & pid=$!
	check "a reader has five pages locked, and entered" within 20 held
	check "another is served from them without waiting" reads 3
	check "while they were locked" held
	go_on
	check "the first goes on" wait $pid
}

# The source page is dropped while it is being copied.
test_invalidate() {
	local pid

	warm 2
	reads 1
	hold got
	taskset -c 0 bash -c reads\ 2 & pid=$!
	check "a reader is about to copy a page" within 20 held
	check "it can be dropped from its file" racer drop "$(file 1)"
	check "and the file truncated" truncate -s 0 "$(file 1)"
	check "both while the reader had it" held
	go_on
	check "the reader is right" wait $pid
}

# The owner of the buffer of a direct read can see all bytes that are put into it.
test_direct_buffer() {
	local pid i bad=0

	warm 2
	reads 1
	tr '\0' S </dev/zero | dd of="$(file 1)" bs=4k count=8 \
		iflag=fullblock conv=notrunc,fsync status=none
	hold copied
	taskset -c 0 racer peek "$(file 2)" 4096 & pid=$!
	check "another's secret is copied, not yet found out" within 20 held
	sleep 0.2
	go_on
	check "the reader's buffer has not shown it" wait $pid
	for ((i = 0; i < 8; i++)); do
		racer peek "$(file 2)" $((i * 4096)) || bad=1
	done
	check "nor has it without a pause" [ $bad = 0 ]
}

# Other readers must not get what the owner writes into the buffer meanwhile.
test_direct_leader() {
	local pid

	unknown
	hold end
	before=$(value entered)
	taskset -c 0 racer plant "$(file 2)" 8192 & pid=$!
	check "a direct read has its bytes, and is not over" within 20 held
	check "another reads the same and waits for nobody" same waited reads 1
	check "while it stood there" held
	go_on
	check "the direct read ends" wait $pid
	check "and is no source" same changed reads 2
	check "for anybody" reads 1 -d
	check "nothing has changed" [ "$(value changed)" = 0 ]
}

# Follower and leader are in one plug of one task: map() must not sleep.
test_pair() {
	check "one task reads a block twice in one submission" \
		racer pair "$(file 1)" "$(file 2)" 16384
	check "its first clone is right" reads 1
	check "its second is" reads 2
}

# below TABLE: replaces the data device's table while it is in use
below() {
	dmsetup suspend --noflush --nolockfs below
	dmsetup reload below --table "0 3145728 $*"
	dmsetup resume below
}

# If a read fails, its followers read the block themselves.
test_failing() {
	local leader follower

	unknown
	dmsetup suspend --noflush --nolockfs below
	cat "$(file 1)" >/dev/null 2>&1 & leader=$!
	sleep 0.5
	hold step
	before=$(value waited)
	taskset -c 0 bash -c reads\ 2 & follower=$!
	check "a read waits for another's" within 20 held
	check "as a follower" [ "$(value waited)" -gt "$before" ]
	dmsetup reload below --table "0 3145728 error"
	dmsetup resume below
	fails "the leader fails" wait $leader
	below linear "$data" 0
	go_on
	check "the follower does not" wait $follower
}

# A throttled leader of another cgroup does not delay its followers for long.
test_throttled() {
	local group=/sys/fs/cgroup/slow leader dev before

	unknown
	dev=$(dmsetup info -c --noheadings --separator : -o major,minor below)
	echo "+io" >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p $group
	echo "$dev rbps=4096" >$group/io.max || return
	(
		echo $BASHPID >$group/cgroup.procs
		exec cat "$(file 1)" >/dev/null
	) &
	leader=$!
	sleep 0.5
	before=$(value waited)
	check "a reader beside a throttled one is right" reads 2
	check "it has waited for it" [ "$(value waited)" -gt "$before" ]
	check "not to its end" runs $leader
	new 3
	warm 3
	check "a read that must not wait does not" \
		racer nowait "$(file 3)" 16384
	check "it did not" runs $leader
	racer drop "$(file 2)"
	cat "$(file 2)" >/dev/null & pid=$!
	check "a volume whose bio waits can be suspended without a flush" \
		dmsetup suspend --noflush --nolockfs v2
	check "and resumed" dmsetup resume v2
	check "its read ends well" wait $pid
	echo "$dev rbps=max" >$group/io.max
	wait $leader
	result "the throttled one ends" $?
	rmdir $group
}

#----------------------------------------------------------------------
# The worker that evicts
#----------------------------------------------------------------------

# Both clones cache the file, and one copy of it is to stay.
crowd() {
	reads 1
	reads 2
	msg cache copies_limit 1
}

kicked_and_held() {
	local i

	for ((i = 0; i < 8; i++)); do
		msg cache evict
		within 1 held && return
	done
	return 1
}

# Thaws in the background, because a hanging fsfreeze could not be killed.
thaw() {
	rm -f /dev/shm/thawed
	(fsfreeze -u "/mnt/$1" && touch /dev/shm/thawed) >/dev/null 2>&1 &
	within 10 [ -e /dev/shm/thawed ]
}

# While the worker is busy, more copies are entered than can wait for it.  No scan
# is due.
test_surplus() {
	local entered evicted

	crowd
	new 3
	hold evict
	check "the worker is about to evict" kicked_and_held
	entered=$(value entered) evicted=$(value evicted)
	check "another clone reads a file, again and again" \
		racer again "$(file 3)" 40
	check "more copies come than can wait" [ $(($(value entered) - entered)) -gt 2048 ]
	check "and none goes meanwhile" [ "$(value evicted)" = "$evicted" ]
	check "as the worker is busy" held
	go_on
	check "they do not stay" within 10 is_single
	msg cache copies_limit 2
}

# One copy of each block is left, and some metadata that is in use.
is_single() { [ "$(copies)" -le $(($(value blocks) + 10)) ]; }

test_umount() {
	local pid before

	crowd
	before=$(dmesg | grep -c 'Busy inodes')
	hold evict
	check "the worker is about to evict" kicked_and_held
	umount /mnt/1 & pid=$!
	umount /mnt/2 & pid2=$!
	sleep 0.5
	go_on
	check "one file system can be unmounted" wait $pid
	check "and the other" wait $pid2
	check "without a busy inode" \
		[ "$(dmesg | grep -c 'Busy inodes')" = "$before" ]
	msg cache copies_limit 2
}

# A freeze begins while the worker is at work.
test_freeze() {
	local pid id

	crowd
	hold evict
	check "the worker is about to evict" kicked_and_held
	for id in 1 2; do
		fsfreeze -f /mnt/$id & pid[id]=$!
	done
	sleep 0.5
	go_on
	for id in 1 2; do
		check "clone $id can be frozen" wait "${pid[id]}"
		check "and thawed" thaw $id
	done
	msg cache copies_limit 2
}

# The freeze has begun before, and a process holds a file that is unlinked.
test_frozen() {
	local id pid scans

	crowd
	rm -f /dev/shm/let_go /dev/shm/open.*
	for id in 1 2; do
		(
			exec 7<"$(file $id)"
			rm "$(file $id)"
			touch /dev/shm/open.$id
			until [ -e /dev/shm/let_go ]; do sleep 0.05; done
		) >/dev/null 2>&1 &
		pid[id]=$!
		within 5 [ -e /dev/shm/open.$id ]
		fsfreeze -f /mnt/$id
	done
	hold evict
	scans=$(value scans)
	kicked_and_held
	result "a frozen file system is left alone" $((! $?))
	check "by a worker that works" [ "$(value scans)" -gt "$scans" ]
	touch /dev/shm/let_go
	sleep 0.3
	go_on
	sleep 0.3
	for id in 1 2; do
		check "clone $id can be thawed" thaw $id
	done
	[ "$FAULT" != none ] || wait "${pid[@]}"
	msg cache copies_limit 2
}

# The worker has the last reference to an unlinked file, and the device is
# suspended.
test_suspend() {
	local id pid

	new 3
	umount /mnt/3
	crowd
	rm -f /dev/shm/let_go
	for id in 1 2; do
		(
			exec 7<"$(file $id)"
			rm "$(file $id)"
			until [ -e /dev/shm/let_go ]; do sleep 0.05; done
		) &
		pid[id]=$!
	done
	hold evict
	check "the worker is about to evict" kicked_and_held
	touch /dev/shm/let_go
	wait "${pid[@]}"
	check "a volume can be suspended meanwhile" \
		dmsetup suspend --nolockfs v1
	check "and the other" dmsetup suspend --nolockfs v2
	go_on
	sleep 0.5
	check "a third can be removed while the worker hangs" \
		dmsetup remove --retry v3
	check "they can be resumed" dmsetup resume v1
	check "both" dmsetup resume v2
	msg cache copies_limit 2
}

#----------------------------------------------------------------------
# The rest
#----------------------------------------------------------------------

# The page frames are reused for other things: heap, slab, page tables.
test_frames() {
	sharefiles check /mnt/1 "$FILES" 1 >/dev/null
	umount /mnt/1
	drop_caches
	racer hog $(($(awk '/MemAvailable/ { print $2 }' /proc/meminfo) / 1024 / 2))
	check "pages that are others' by now are not copied from" \
		more miss_stale sharefiles check /mnt/2 "$FILES" 1
	mounted 1
}

# Metadata that every mount reads again is served, too.
test_metadata() {
	local before

	find /mnt/1 -type f >/dev/null
	before=$(device_read)
	new 3
	find /mnt/3 -type f >/dev/null
	check "a mount and a look around read next to nothing ($(($(device_read) - before)) KiB)" \
		[ $(($(device_read) - before)) -lt 200 ]
}

test_defaults() {
	check "two copies stay if nobody says otherwise" \
		[ "$(value copies_limit | cut -d/ -f2)" = 2 ]
}

#----------------------------------------------------------------------

modprobe dm-mod
nullb hmeta 128 inline
make_disk
export FILES
dmsetup create below --table "0 3145728 linear $data 0"
export DATA=/dev/mapper/below
pool_up
echo "$FAULT" >$param/fault || exit 1
msg create_thin 0
activate 0
make_fs /dev/mapper/v0
mounted 0
sharefiles fill /mnt/0 "$FILES" 1
export big
big=$(find /mnt/0 -name 'f*' -size +120k | sed 's/.*f//' | sort -n | head -n 1)
down 0

msg cache scan_ms 4000000
[ $# = 0 ] || tests=$*
for name in $tests; do
	echo "# $name"
	[ "$name" = journal ] || fresh
	echo "#   $SECONDS s"
	"test_$name" || result "$name runs to its end" 1
	no_function
done
check "no block has changed" [ "$(value changed)" = 0 ]
[ "$FAULT" = none ] || the_end
echo "# $(dmsetup status --noflush pool | sed 's/.* share /share /')"
stale 1 2 3
check "with the pool" dmsetup remove --retry pool
check "and the module" rmmod dm-hpmapper
the_end
