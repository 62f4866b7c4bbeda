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

# check WHAT COMMAND...: it succeeds
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

# ends_well WHAT PID: of a child of this shell, which check() could not wait for
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

# Tests for refuse.c, one a line; what they must not change is the pool's state.
# no KIND ERRNO REGEX TEXT
no() {
	local IFS=$'\t'

	echo "$*" >>"$tmp/refusals"
}

refusals() {
	tap refuse pool <"$tmp/refusals"
	rm "$tmp/refusals"
}

# tap PROGRAM...: it writes TAP, which is counted here
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

# How many times the usual something may take before it counts as hung, or as
# never to come.  No check is of how fast something is: on a busy machine, or on
# a kernel that checks everything that it does, it is slow.
case ${VM_KERNEL:-} in
debug|kcsan) : "${PATIENCE:=10}" ;;
*) : "${PATIENCE:=3}" ;;
esac

# timeout SECONDS COMMAND..., for those whom these scripts start as well
timeout() {
	command timeout $(($1 * PATIENCE)) "${@:2}"
}
export PATIENCE
export -f timeout

# within SECONDS COMMAND...: waits until it succeeds
within() {
	local end=$((SECONDS + $1 * PATIENCE))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -le $end ] || return 1
		sleep 0.1
	done
}

# log_has WHAT REGEX: in the kernel's log since the last look
log_has() {
	local said

	said=$(dmesg)
	if grep -qE "$2" <<<"$said"; then
		passed "$1"
	else
		not_passed "$1" "no \"$2\" in:" "$said"
	fi
}

#----------------------------------------------------------------------
# Devices
#----------------------------------------------------------------------

# A table's size is in sectors, everything else's in MiB.
mib() {
	echo $(($1 * 2048))
}

# slice NAME DISK MIB: a linear device on the first part of a disk, made or
# given another size
slice() {
	local table

	table="0 $(mib "$3") linear $(nullb_path "$2") 0"
	if [ -e "/dev/mapper/$1" ]; then
		dmsetup reload "$1" --table "$table" && dmsetup resume "$1"
	else
		dmsetup create "$1" --table "$table"
	fi
}

# devices [META MIB] [DATA MIB]: the disks have room to grow to four times that
meta=/dev/mapper/meta data=/dev/mapper/data
devices() {
	local m=${1:-16} d=${2:-256}

	nullb hmeta $((m * 4)) "${DISK_MODE:-inline}"
	nullb hdata $((d * 4)) "${DISK_MODE:-inline}"
	slice meta hmeta "$m"
	slice data hdata "$d"
}

# Each block of both disks is written, as it is: null_blk takes a page for one that
# never was, wherever it is, and a test may not want it to.  Nobody else may write.
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

# The same device with another table.
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

# touch_leaves DEVICE LAST: writes a block in each of so many leaves of its map, up to
# block LAST.  Every one of them is copied after a snapshot.
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

# The pool's status, as words from 0 on.  A program takes long to start in the
# guest, so one is all that these cost.
pool_words() {
	local line

	line=$(dmsetup status "$@" pool)
	read -ra status <<<"$line"
}

# word N: as cut(1) counts them
word() {
	pool_words
	echo "${status[$1 - 1]}"
}

pool_mode() {
	pool_words --noflush
	echo "${status[7]}"
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

# key NAME [--noflush]: one of the pairs behind them
key() {
	local i

	pool_words "${@:2}"
	for ((i = 12; i < ${#status[@]}; i += 2)); do
		case ${status[i]} in
		"$1")
			echo "${status[i + 1]}" ;;
		journal|nodes|defrag)
			;;
		esac
	done
}

# All deleted volumes are given back, down to the data device.
nothing_dying() {
	[ "$(key dying)" = 0 ]
}

used_is() {
	[ "$(data_used)" = "$1" ]
}

# sum DISK [MIB]: by direct reads.  A disk that a pool or another device holds open
# keeps its page cache, so a buffered read shows it as it was at the first look: a
# comparison of two of those cannot fail.
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

	# volumes, then the pool, then what is below
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
	# what a program made of the name of a device that was not there
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

# traced COMMAND...: what was sent to the devices meanwhile is in $tmp/trace, and
# what pools committed in $tmp/commits
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

# limit BYTES PER SECOND|max, of what the tenant reads and writes
limit() {
	echo "$(stat -Lc '%Hr:%Lr' "$(nullb_path hdata)") rbps=$1 wbps=$1" \
		>$cgroup/io.max
}

# tenant COMMAND...: in the background, as the tenant; $slow is its process
tenant() {
	bash -c 'echo $$ >"$0" && exec "$@"' $cgroup/cgroup.procs "$@" \
		>"$tmp/tenant" 2>&1 &
	slow=$!
	within 10 grep -q "^$slow\$" $cgroup/cgroup.procs
	# until it has sent what it has to send
	sleep 0.5
}

#----------------------------------------------------------------------
# Two volumes that share, under which something goes wrong
#----------------------------------------------------------------------

# Two volumes that share, and what must be there whatever happens.
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

# The metadata as it was kept in $tmp/meta.
restore() {
	dd if="$tmp/meta" of=$meta bs=1M oflag=direct status=none
	dmesg -C
}
