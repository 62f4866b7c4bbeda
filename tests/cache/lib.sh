# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Functions that the tests of the cache in a guest share, sourced by them.

# shellcheck source=../vm/lib.sh disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/../vm/lib.sh"

if ! has_interceptor; then
	echo "# SKIP the module was built without the interceptor"
	echo "0 passed, 0 failed"
	exit 0
fi

passed=0 failed=0
FS=${FS:-ext4}
sectors=2097152
# Programs and libraries in tmpfs are not read into the page cache again.
PATH=/dev/shm:$PATH

# Returns what the check did, so that a test can end where the rest makes no sense.
result() {
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
		echo "ok - $1"
	else
		failed=$((failed + 1))
		echo "not ok - $1"
	fi
	return "$2"
}

# check WHAT COMMAND...
check() {
	local what=$1

	shift
	"$@"
	result "$what" $?
}

# fails WHAT COMMAND...
fails() {
	local what=$1

	shift
	! "$@"
	result "$what" $?
}

# within SECONDS COMMAND...: repeats the command until it succeeds
within() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -le $end ] || return 1
		sleep 0.05
	done
}

the_end() {
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
	exit
}

# The value of a key in the pool's status.
value() {
	dmsetup status --noflush pool | tr ' ' '\n' | grep -A 1 -x "$1" |
		tail -n 1
}
copies() { value copies | cut -d/ -f1; }

msg() { dmsetup message pool 0 "$*"; }

# Selects one of the kernel's two LRUs; without LRU, the kernel's default.
choose_lru() {
	local switch=/sys/kernel/mm/lru_gen/enabled

	case ${LRU:=} in
	classic) [ ! -e $switch ] || echo 0 >$switch || exit 1 ;;
	mglru)	 echo y >$switch || exit 1 ;;
	esac
	echo "# $(uname -r), $FS, lru_gen $(cat $switch 2>/dev/null || echo none), disk ${DISK:=softirq}"
}

# Prints how much the data device has read, in KiB.
device_read() {
	awk '{ print int($3 / 2) }' "/sys/block/$(basename "$(readlink -f "$data")")/stat"
}

# Makes the data disk in memory; on a "slow" one, readers wait for the reads of
# others.
make_disk() {
	case ${DISK:=softirq} in
	slow) nullb hdata 1536 timer 3000000 ;;
	*)    nullb hdata 1536 "$DISK" ;;
	esac
	data=$(nullb_path hdata)
}

pool_up() {
	modprobe dm-hpmapper || exit 1
	choose_lru
	[ -e /sys/kernel/config/nullb/hmeta ] || nullb hmeta 128 inline
	[ -e /sys/kernel/config/nullb/hdata ] || make_disk
	dmsetup create pool --table "0 3145728 hpmapper-pool $(nullb_path hmeta) ${DATA:-$data} 4096 0"
}

make_fs() {
	case $FS in
	ext4)
		mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 -b 4096 \
			"${@:2}" "$1" 128M ;;
	xfs)
		mkfs.xfs -q -f -d size=512m "${@:2}" "$1" ;;
	esac
}

# activate NAME [ID]; mounted NAME [OPTION,...]
activate() {
	dmsetup create "v$1" \
		--table "0 $sectors hpmapper /dev/mapper/pool ${2:-$1}"
}

mounted() {
	local options=noatime${2:+,$2}

	[ "$FS" != xfs ] || options+=,nouuid
	mkdir -p "/mnt/$1"
	mount -t "$FS" -o "$options" "/dev/mapper/v$1" "/mnt/$1"
}

# up ID [MOUNT OPTION,...]
up() {
	activate "$1" && mounted "$@"
}

down() {
	local id

	for id; do
		umount "/mnt/$id" && dmsetup remove --retry "v$id" || return
	done
}

# clone ID...: clones the image, which is volume 0
clone() {
	local id

	for id; do msg create_snap "$id" 0 || return; done
}

# Drops only pages: 3 would shrink the index as well.
drop_caches() { echo 1 >/proc/sys/vm/drop_caches; }
