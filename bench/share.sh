#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures containers cloned from one image: what they read, write and cache, and
# how long they take, with overlay2, btrfs, dm-thin with 64 KiB blocks and
# dm-hpmapper, in one run.  Runs in the guest under the virtual clock (make
# bench-share).
#
# Each container is cloned, mounts its volume (noatime), reads half of the image's
# files, changes four of them and writes 256 KiB with fsync (startup.c).  First the
# containers start one after another, then all at once, then with little memory.
# The disks are RAM-backed and answer after 80 us.
#
#	PEERS='overlay2 btrfs thin hpmapper'  COUNT=64  FILES=1400  READ=4096
#	CASES='row once scarce'  FS=ext4|xfs
#
# All programs that run meanwhile are in memory, including this script and its
# shell: a wait for the host's files would make the virtual clock jump.  Before and
# after each case, 300 direct reads of such a disk test whether the clock is right;
# if it is not, the case runs again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

: "${PEERS:=overlay2 btrfs thin hpmapper}" "${CASES:=row once scarce}"
: "${COUNT:=64}" "${FILES:=1400}" "${SIZE:=1024}"
: "${READ:=4096}" "${HPM_CACHE:=}" "${FS:=ext4}"

if [ -z "${IN_MEMORY:-}" ]; then
	root=/dev/shm/root
	modprobe null_blk nr_devices=0
	modprobe -a overlay btrfs ext4 xfs dm-thin-pool dm-hpmapper
	mount -t configfs none /sys/kernel/config
	bench_root $root bash dmsetup mount umount mountpoint mkdir rmdir ln rm \
		sleep basename dirname awk sed sync btrfs mkfs.btrfs mkfs.ext4 mkfs.xfs
	cp /etc/mke2fs.conf $root/etc/
	export PEERS CASES COUNT FILES SIZE READ HPM_CACHE FS
	bench_again $root
fi

PATH=/bin
modprobe() { :; }
volume_sectors=$((SIZE * 2048))
disk_mib=6144
table=/tmp/table

#----------------------------------------------------------------
# Measuring
#----------------------------------------------------------------

# now_us VAR: needs no subshell, which would cost a container half a millisecond.
now_us() {
	printf -v "$1" '%s' "${EPOCHREALTIME/./}"
}

disk_stat() {		# 3: sectors read, 7: sectors written
	local n sum=0 f

	for n in data meta; do
		read -ra f <"/sys/block/$(basename "$(nullb_path $n)")/stat"
		sum=$((sum + f[$1 - 1]))
	done
	echo "$sum"
}

# Prints the pages of files and devices, in KiB, without those of tmpfs.
cached() {
	local key value _ sum=0

	while read -r key value _; do
		case $key in
		Cached:|Buffers:) sum=$((sum + value)) ;;
		Shmem:) sum=$((sum - value)) ;;
		esac
	done </proc/meminfo
	echo "$sum"
}

available() {
	awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo
}

drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

cpu_idle() {		# idle time of the CPUs, in hundredths of a second
	local f

	read -ra f </proc/stat
	echo $((f[4] + f[5]))
}

# Waits until the machine is idle: deleted volumes are reclaimed in the background,
# and journals are written every few seconds, which would delay the canary.
settle() {
	local n before

	sync
	for ((n = 0; n < 60; n++)); do
		before=$(cpu_idle)
		sleep 0.5
		[ $(($(cpu_idle) - before)) -lt 48 ] || return 0
	done
	echo "# something goes on for half a minute" >&2
}

tenth() {		# KiB as MB with one decimal
	awk -v k="$1" 'BEGIN { printf "%.1f", k * 1024 / 1e6 }'
}

#----------------------------------------------------------------
# Peers.  _image makes the image on /dev/nullb; _up and _down make and remove what
# all containers need; _clone N makes a container with its root at /mnt/N; _drop N
# removes it.
#----------------------------------------------------------------

data() { nullb_path data; }
meta() { nullb_path meta; }

make_fs() {
	case $FS in
	ext4) mkfs.ext4 -q -b 4096 -E lazy_itable_init=0 "$1" ;;
	xfs) mkfs.xfs -q "$1" ;;
	*) bench_fail "no file system: $FS" ;;
	esac
}

mount_fs() {		# mount_fs DEVICE DIR; a clone has the UUID of the image
	local options=noatime

	[ "$FS" != xfs ] || options+=,nouuid
	mount -t "$FS" -o "$options" "$1" "$2"
}

fill_image() {		# fill_image DIR
	startup fill "$1" "$FILES"
	sum=$(startup sum "$1" "$FILES")
}

overlay2_image() {
	make_fs "$(data)"
	overlay2_up
	mkdir /mnt/disk/image
	fill_image /mnt/disk/image
	overlay2_down
}
overlay2_up() { mount_fs "$(data)" /mnt/disk; }
overlay2_down() { umount /mnt/disk; }
overlay2_clone() {
	local c=/mnt/disk/c$1

	mkdir -p "$c/upper" "$c/work"
	mount -t overlay -o "noatime,lowerdir=/mnt/disk/image,upperdir=$c/upper,workdir=$c/work" \
		overlay "/mnt/$1"
}
overlay2_drop() { umount "/mnt/$1"; rm -rf "/mnt/disk/c$1"; }

btrfs_image() {
	mkfs.btrfs -q "$(data)"
	btrfs_up
	btrfs -q subvolume create /mnt/disk/image
	fill_image /mnt/disk/image
	btrfs_down
}
btrfs_up() { mount -t btrfs -o noatime "$(data)" /mnt/disk; }
btrfs_down() { umount /mnt/disk; }
btrfs_clone() {
	btrfs -q subvolume snapshot /mnt/disk/image "/mnt/disk/c$1"
	mount --bind "/mnt/disk/c$1" "/mnt/$1"
}
btrfs_drop() {
	umount "/mnt/$1"
	btrfs -q subvolume delete -c "/mnt/disk/c$1" >/dev/null
}

# The two device-mapper peers; $1 is the pool's table, $2 a volume's target.
dm_image() {
	dmsetup create pool --table "$1"
	dmsetup message pool 0 "create_thin 0"
	dmsetup create image --table "0 $volume_sectors $2 /dev/mapper/pool 0"
	make_fs /dev/mapper/image
	mount_fs /dev/mapper/image /mnt/disk
	fill_image /mnt/disk
	umount /mnt/disk
	dmsetup remove --retry image
	dmsetup remove --retry pool
}
dm_clone() {
	dmsetup message pool 0 "create_snap $1 0"
	dmsetup create "c$1" --table "0 $volume_sectors $2 /dev/mapper/pool $1"
	mount_fs "/dev/mapper/c$1" "/mnt/$1"
}
dm_drop() {
	umount "/mnt/$1"
	dmsetup remove --retry "c$1"
	dmsetup message pool 0 "delete $1"
}

thin_table() {
	echo "0 $((disk_mib * 2048)) thin-pool $(meta) $(data) 128 0 1 skip_block_zeroing"
}
thin_image() { dm_image "$(thin_table)" thin; }
thin_up() { dmsetup create pool --table "$(thin_table)"; }
thin_down() { dmsetup remove --retry pool; }
thin_clone() { dm_clone "$1" thin; }
thin_drop() { dm_drop "$1"; }

hpmapper_table() {
	echo "0 $((disk_mib * 2048)) hpmapper-pool $(meta) $(data) 4096 0"
}
hpmapper_image() { dm_image "$(hpmapper_table)" hpmapper; }
hpmapper_up() {
	local words

	dmsetup create pool --table "$(hpmapper_table)"
	for words in $HPM_CACHE; do
		dmsetup message pool 0 "cache ${words/=/ }"
	done
}
hpmapper_down() { dmsetup remove --retry pool; }
hpmapper_clone() { dm_clone "$1" hpmapper; }
hpmapper_drop() { dm_drop "$1"; }

#----------------------------------------------------------------
# Cases
#----------------------------------------------------------------

container() {		# container PEER N: prints the us of its four parts
	local t0 t1

	now_us t0
	"$1_clone" "$2"
	now_us t1
	echo "$((t1 - t0)) $(startup start "/mnt/$2" "$FILES" "$READ")"
}

case_row() {
	local n

	for ((n = 1; n <= COUNT; n++)); do
		container "$1" "$n"
	done >/tmp/parts
}

case_once() {
	local n

	for ((n = 1; n <= COUNT; n++)); do
		container "$1" "$n" >"/tmp/part.$n" &
	done
	wait
	for ((n = 1; n <= COUNT; n++)); do
		echo "$(<"/tmp/part.$n")"
	done >/tmp/parts
}

# When all containers have been started, each reads its files again; this is timed.
case_scarce() {
	local n

	case_row "$1"
	now_us work_began
	for ((n = 1; n <= COUNT; n++)); do
		startup again "/mnt/$n" "$FILES" "$READ" >/dev/null
	done
}

# Takes memory away, and leaves a fourth of what dm-thin would cache.
take_memory() {
	local leave=$((COUNT * 26500 / 4)) size=2048

	echo $((($(available) - leave) / size)) >/proc/sys/vm/nr_hugepages
	echo "# $(($(available) / 1024)) MiB are left" >&2
}

give_memory() {
	echo 0 >/proc/sys/vm/nr_hugepages
}

check() {		# check PEER: the bytes of eight containers
	local n

	for ((n = 1; n <= COUNT; n += COUNT / 8)); do
		[ "$(startup sum "/mnt/$n" "$FILES")" = "$sum" ] ||
			bench_fail "$1: container $n has wrong bytes"
		startup changed "/mnt/$n" "$FILES" ||
			bench_fail "$1: container $n lost a change"
	done
}

tell_parts() {
	awk -v who="$1 $2" '{
			for (i = 1; i <= 4; i++) {
				sum[i] += $i
				if ($i > most[i])
					most[i] = $i
			}
		}
		END {
			split("clone read change fsync", name)
			printf "# %s: mean and longest, ms:", who
			for (i = 1; i <= 4; i++)
				printf " %s %.1f %.1f", name[i], sum[i] / NR / 1e3, most[i] / 1e3
			print ""
		}' /tmp/parts >&2
}

measure() {		# measure PEER CASE: a row of the table
	local peer=$1 case=$2 before after t0 t1 r0 w0 c0 r1 w1 c1 c2 line
	local work_began=

	drop_caches
	[ "$case" != scarce ] || take_memory
	settle
	before=$(bench_canary)
	r0=$(disk_stat 3) w0=$(disk_stat 7) c0=$(cached)
	now_us t0
	"case_$case" "$peer"
	now_us t1
	c1=$(cached) r1=$(disk_stat 3)
	sleep 10
	c2=$(cached)
	settle
	after=$(bench_canary)
	[ "$case" != scarce ] || give_memory
	w1=$(disk_stat 7)
	tell_parts "$peer" "$case"
	[ "$peer" != hpmapper ] ||
		echo "# $(dmsetup status pool | sed 's/.* share /share /')" >&2
	echo "# canary: $before us before, $after us after" >&2
	check "$peer"
	awk -v a="$before" -v b="$after" \
		'BEGIN { exit !(a < 110 && b < 110) }' || return 1
	line="$peer $case $(tenth $(((r1 - r0) / 2))) $(tenth $(((w1 - w0) / 2))) $(tenth $((c1 - c0))) $(((t1 - t0) / 1000)) $(tenth $((c2 - c0)))"
	line+=" $(((t1 - ${work_began:-$t1}) / 1000))"
	echo "# $line" >&2
	echo "$line" >>"$table"
}

run_case() {		# run_case PEER CASE
	local n tries ok

	for ((tries = 0, ok = 0; !ok; tries++)); do
		[ $tries -lt 3 ] || bench_fail "$1 $2: the clock cannot be believed"
		"$1_up"
		if measure "$1" "$2"; then ok=1; fi
		for ((n = 1; n <= COUNT; n++)); do
			"$1_drop" "$n"
		done
		"$1_down"
	done
}

figure() {		# figure PEER CASE COLUMN
	awk -v p="$1" -v c="$2" -v n="$3" '$1 == p && $2 == c { print $n }' "$table"
}

row() {
	local line p

	line=$(printf '%-34s' "$1")
	for p in $PEERS; do
		line+=$(printf ' %12s' "$(figure "$p" "$2" "$3")")
	done
	echo "$line"
}

print_table() {
	local case

	echo
	[ "$FS" = ext4 ] || echo "# on $FS"
	printf '%-34s' "$COUNT containers"
	printf ' %12s' $PEERS
	echo
	for case in $CASES; do
		row "$case: read, MB" "$case" 3
		row "$case: written, MB" "$case" 4
		row "$case: cached at the end, MB" "$case" 5
		row "$case: cached 10 s later, MB" "$case" 7
		row "$case: time, ms" "$case" 6
		[ "$case" != scarce ] || row "$case: of that the work" "$case" 8
	done
}

mkdir -p /mnt/disk
for ((n = 1; n <= COUNT; n++)); do
	mkdir -p "/mnt/$n"
done
: >"$table"
nullb canary 16 timer
for peer in $PEERS; do
	nullb data $disk_mib timer
	nullb meta 128 timer
	"${peer}_image"
	for case in $CASES; do
		run_case "$peer" "$case"
	done
	nullb_remove meta
	nullb_remove data
done
print_table
