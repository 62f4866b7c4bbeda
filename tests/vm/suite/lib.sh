# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Functions that the scripts of this suite share.  Each script is a program of its
# own.  run.sh starts it in the guest; you can do so with
#
#	make vm CMD='tests/vm/suite/run.sh <script's name>...'
#
# A check prints one TAP line; if it fails, the observed values follow.

suite=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lib.sh
. "$suite/../lib.sh"

tmp=$(mktemp -d /dev/shm/suite.XXXXXX)
checks=0 failures=0
pool=/dev/mapper/pool

trap leave EXIT

leave() {
	local status=$?

	clean_up
	rm -rf "$tmp"
	[ $status = 0 ] || echo "not ok $((checks + 1)) - the script runs to its end"
	echo "# $checks checks, $failures failed"
	[ $status = 0 ] && [ $failures = 0 ]
	exit
}

#----------------------------------------------------------------------
# Checks
#----------------------------------------------------------------------

passed() {
	checks=$((checks + 1))
	echo "ok $checks - $1"
}

# not_passed WHAT SEEN...
not_passed() {
	checks=$((checks + 1))
	failures=$((failures + 1))
	echo "not ok $checks - $1"
	shift
	printf '%s\n' "$@" | tail -n 25 | sed 's/^/#   /'
}

note() {
	echo "# $*"
}

# check WHAT COMMAND...: the command must succeed
check() {
	local what=$1 seen

	shift
	if seen=$("$@" 2>&1 </dev/null); then
		passed "$what"
	else
		not_passed "$what" "status $? of: $*" "$seen" \
			"$(dmesg | tail -n 8)"
	fi
}

# fails WHAT COMMAND...
fails() {
	local what=$1 seen

	shift
	if seen=$("$@" 2>&1 </dev/null); then
		not_passed "$what" "succeeded: $*" "$seen"
	else
		passed "$what"
	fi
}

# equal WHAT SEEN WANTED
equal() {
	if [ "$2" = "$3" ]; then
		passed "$1"
	else
		not_passed "$1" "seen:   $2" "wanted: $3"
	fi
}

differ() {
	if [ "$2" != "$3" ]; then
		passed "$1"
	else
		not_passed "$1" "both are: $2"
	fi
}

# ends_well WHAT PID: a child of this shell must succeed; check() could not wait for
# it
ends_well() {
	local status=0

	wait "$2" || status=$?
	equal "$1" "$status" 0
}

# is WHAT A OP B: integers, as test(1) has it
is() {
	if test "$2" "$3" "$4"; then
		passed "$1"
	else
		not_passed "$1" "$2 $3 $4 does not hold"
	fi
}

matches() {
	if [[ $2 =~ $3 ]]; then
		passed "$1"
	else
		not_passed "$1" "seen:   $2" "wanted: $3"
	fi
}

# no KIND ERRNO REGEX TEXT: adds a test for refuse.c.  refusals() runs these tests;
# none of them may change the pool's state.
no() {
	local IFS=$'\t'

	echo "$*" >>"$tmp/refusals"
}

refusals() {
	tap refuse pool <"$tmp/refusals"
	rm "$tmp/refusals"
}

# tap PROGRAM...: runs a program that writes TAP, and counts its tests
tap() {
	local line status=0

	"$@" >"$tmp/tap" 2>&1 || status=$?
	[ $status = 0 ] || grep -q '^not ok' "$tmp/tap" ||
		echo "not ok - $1 ends well (status $status)" >>"$tmp/tap"
	while IFS= read -r line; do
		case $line in
		"ok - "*)
			passed "${line#ok - }" ;;
		"not ok - "*)
			checks=$((checks + 1))
			failures=$((failures + 1))
			echo "not ok $checks - ${line#not ok - }" ;;
		*)
			echo "$line" ;;
		esac
	done <"$tmp/tap"
}

# A command counts as hung, or a condition as never fulfilled, after this many times
# the usual limit.  No check is about speed, because everything is slow on a busy
# machine, or on a kernel that checks everything that it does.
case ${VM_KERNEL:-} in
debug|kcsan) : "${PATIENCE:=10}" ;;
*) : "${PATIENCE:=3}" ;;
esac

# timeout SECONDS COMMAND..., exported so that the programs of these scripts get it,
# too
timeout() {
	command timeout $(($1 * PATIENCE)) "${@:2}"
}
export PATIENCE
export -f timeout

# within SECONDS COMMAND...: repeats the command until it succeeds
within() {
	local end=$((SECONDS + $1 * PATIENCE))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -le $end ] || return 1
		sleep 0.1
	done
}

# log_has WHAT REGEX: the kernel's log must have it since the last look
log_has() {
	local said

	said=$(dmesg)
	if grep -qE "$2" <<<"$said"; then
		passed "$1"
	else
		not_passed "$1" "no \"$2\" in:" "$said"
	fi
}

# Does the module have the interceptor?  (make test-vm INTERCEPT=n)
intercepts() {
	has_interceptor && return
	note "SKIP what needs the interceptor: the module was built without it"
	return 1
}

#----------------------------------------------------------------------
# Devices
#----------------------------------------------------------------------

# Sizes in tables are in sectors; all other sizes are in MiB.
mib() {
	echo $(($1 * 2048))
}

# slice NAME DISK MIB: makes a linear device on the first part of a disk, or resizes
# it
slice() {
	local table

	table="0 $(mib "$3") linear $(nullb_path "$2") 0"
	if [ -e "/dev/mapper/$1" ]; then
		dmsetup reload "$1" --table "$table" && dmsetup resume "$1"
	else
		dmsetup create "$1" --table "$table"
	fi
}

# devices [META MIB] [DATA MIB]: the disks can grow to four times these sizes
meta=/dev/mapper/meta data=/dev/mapper/data
devices() {
	local m=${1:-16} d=${2:-256}

	nullb hmeta $((m * 4)) "${DISK_MODE:-inline}"
	nullb hdata $((d * 4)) "${DISK_MODE:-inline}"
	slice meta hmeta "$m"
	slice data hdata "$d"
}

# Rewrites each block of both disks with its own content.  null_blk allocates a page
# when a block is first written, and a test may not want that.  Nobody else may
# write meanwhile.
fill_disks() {
	local disk

	for disk in $meta $data; do
		dd if="$disk" of="$disk" bs=1M iflag=direct oflag=direct \
			conv=notrunc status=none || return
	done
}

# pool_table [LOW WATER] [FEATURE...]
: "${large:=1024}"
pool_table() {
	local low=${1:-0}

	shift
	echo "0 $(blockdev --getsz $data) hpmapper-pool $meta $data $large $low $# $*"
}

pool_up() {
	dmsetup create pool --table "$(pool_table "$@")"
}

# Loads another table into the pool.
pool_reload() {
	dmsetup reload pool --table "$(pool_table "$@")" &&
		dmsetup suspend pool && dmsetup resume pool
}

pool_down() {
	dmsetup remove --retry pool
}

wipe() {
	dd if=/dev/zero of=$meta bs=4k count=1 oflag=direct status=none
}

# touch_leaves DEVICE LAST: writes one block in each leaf of the map, up to block
# LAST. After a snapshot, each of these leaves is copied.
touch_leaves() {
	local args=() i

	for i in $(seq 0 400 "$2"); do
		args+=(-c "pwrite -q $((i * 4096)) 4096")
	done
	xfs_io -d "${args[@]}" "$1"
}

msg() {
	dmsetup message pool 0 "$*"
}

# vol_up NAME ID MIB [OPTION OF dmsetup create...]
vol_up() {
	local name=$1 id=$2 size=$3

	shift 3
	dmsetup create "$name" "$@" --table "0 $(mib "$size") hpmapper $pool $id"
}

vol_down() {
	local name

	for name; do
		dmsetup remove --retry "$name" || return
	done
}

# vol_new NAME ID MIB
vol_new() {
	msg create_thin "$2" && vol_up "$1" "$2" "$3"
}

# snap_new NAME ID ORIGIN MIB
snap_new() {
	msg create_snap "$2" "$3" && vol_up "$1" "$2" "$4"
}

# Reads the pool's status into an array of words, numbered from 0.  Starting a
# program takes long in the guest, so all these functions start only one.
pool_words() {
	local line

	line=$(dmsetup status "$@" pool)
	read -ra status <<<"$line"
}

# word N: numbered as by cut(1)
word() {
	pool_words
	echo "${status[$1 - 1]}"
}

pool_mode() {
	pool_words --noflush
	echo "${status[7]}"
}

mode_is() {
	[ "$(pool_mode)" = "$1" ]
}

# In blocks of 4 KiB.
data_used() {
	pool_words
	echo "${status[5]%/*}"
}

meta_used() {
	pool_words
	echo "${status[4]%/*}"
}

# key NAME [--noflush]: prints the value of one of the pairs behind these words
key() {
	local i

	pool_words "${@:2}"
	for ((i = 12; i < ${#status[@]}; i += 2)); do
		case ${status[i]} in
		"$1")
			echo "${status[i + 1]}" ;;
		esac
	done
}

# All deleted volumes are reclaimed, down to the data device.
nothing_dying() {
	[ "$(key dying)" = 0 ]
}

used_is() {
	[ "$(data_used)" = "$1" ]
}

# sum DISK [MIB]: reads directly.  A disk that a pool or another device holds open
# keeps its page cache, so a buffered read would return what the first look has
# read, and two such reads would always be equal.
sum() {
	local line

	line=$(dd if="$1" bs=1M iflag=direct status=none ${2:+count="$2"} | md5sum)
	echo "${line%% *}"
}

put() {	# put NAME BS COUNT SEEK [CONV]
	dd if=/dev/urandom of="/dev/mapper/$1" bs="$2" count="$3" seek="$4" \
		oflag=direct conv=notrunc${5:+,$5} status=none
}

clean_up() {
	local name d

	# first volumes, then the pool, then the devices below it
	for name in $(dmsetup table 2>/dev/null |
			awk -F: '/ hpmapper / { print $1 }') pool \
			$(dmsetup ls 2>/dev/null | awk '/^[a-z]/ { print $1 }'); do
		[ "$name" != No ] || continue
		dmsetup info "$name" >/dev/null 2>&1 || continue
		mount | grep -q "^/dev/mapper/$name " &&
			umount "/dev/mapper/$name"
		dmsetup remove --retry "$name" 2>/dev/null ||
			dmsetup remove --force "$name"
	done
	# files that a program has made in the place of a missing device
	find /dev/mapper -type f -delete
	for d in /sys/kernel/config/nullb/h*; do
		[ ! -d "$d" ] || rmdir "$d"
	done
}

#----------------------------------------------------------------------
# What is sent to the devices
#----------------------------------------------------------------------

dev_number() {	# as the trace has it
	stat -Lc '%Hr,%Lr' "$1"
}

# traced COMMAND...: records the requests to the devices in $tmp/trace, and the
# commits of pools in $tmp/commits
traced() {
	local trace=/sys/kernel/tracing on=()

	[ -e $trace/trace ] || mount -t tracefs none $trace
	on=("$trace/events/"{block/block_bio_queue,hpmapper/hpm_commit}/enable)
	echo >$trace/trace
	echo 1 | tee "${on[@]}" >/dev/null
	"$@"
	echo 0 | tee "${on[@]}" >/dev/null
	# e.g. "block_bio_queue: 253,1 FWFS 0 + 0 [dd]"
	grep -oE 'block_bio_queue: .*' $trace/trace | cut -d' ' -f2- >"$tmp/trace"
	# e.g. "hpm_commit: 253:0 for 1 bios took 82 us, result 0"
	grep -oE 'hpm_commit: .*' $trace/trace | cut -d' ' -f2- >"$tmp/commits"
}

#----------------------------------------------------------------------
# A tenant whose I/O is slow, as its cgroup has io.max
#----------------------------------------------------------------------

cgroup=/sys/fs/cgroup/tenant

tenancy() {
	echo +io >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p $cgroup
}

# limit BYTES PER SECOND|max: limits the reads and the writes of the tenant
limit() {
	echo "$(stat -Lc '%Hr:%Lr' "$(nullb_path hdata)") rbps=$1 wbps=$1" \
		>$cgroup/io.max
}

# tenant COMMAND...: runs the command in the background as the tenant; $slow is its
# process
tenant() {
	bash -c 'echo $$ >"$0" && exec "$@"' $cgroup/cgroup.procs "$@" \
		>"$tmp/tenant" 2>&1 &
	slow=$!
	within 10 grep -q "^$slow\$" $cgroup/cgroup.procs
	# waits until it has sent its I/O
	sleep 0.5
}

#----------------------------------------------------------------------
# Two volumes that share, under which something goes wrong
#----------------------------------------------------------------------

# Makes two volumes that share blocks, and remembers the content that must stay.
fresh() {
	wipe
	pool_up || exit
	vol_new v 0 16 || exit
	put v 64k 64 0
	snap_new s 1 0 16 || exit
	put v 4k 50 100 fsync
	sum_v=$(sum /dev/mapper/v) sum_s=$(sum /dev/mapper/s)
	dmesg -C
	events=$(dmsetup info -c --noheadings -o events pool)
}

intact() {	# intact WHAT
	equal "$1" "$(sum /dev/mapper/v) $(sum /dev/mapper/s)" "$sum_v $sum_s"
}

rot() {	# rot BLOCK [FILE]: some of its bytes
	dd if=/dev/urandom of="${2:-$meta}" bs=64 count=1 seek=$(($1 * 64 + 30)) \
		conv=notrunc,fsync status=none
}

# Restores the metadata from $tmp/meta.
restore() {
	dd if="$tmp/meta" of=$meta bs=1M oflag=direct status=none
	dmesg -C
}
