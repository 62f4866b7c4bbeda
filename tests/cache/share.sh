#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests that clones of one image read each other's cached copies, and never a wrong
# byte.  Runs in the guest (make test-share).  For CHURN seconds, some clones change
# their files while others read theirs.
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"
set -uo pipefail

: "${CLONES:=6}" "${FILES:=300}" "${CHURN:=20}"

right() {
	"$files" check "${@:2}" "/mnt/$1" "$FILES" 1 >/dev/null
}

cp "$(command -v sharefiles)" /dev/shm/
files=/dev/shm/sharefiles
pool_up || exit
dmsetup message pool 0 "create_thin 0"
activate 0
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 -b 4096 /dev/mapper/v0 64M
mounted 0
$files fill /mnt/0 "$FILES" 1
down 0
for ((i = 1; i <= 2 * CLONES; i++)); do
	dmsetup message pool 0 "create_snap $i 0"
done
echo 3 >/proc/sys/vm/drop_caches

# One after another: only the first clone reads from the device.
for ((i = 1; i <= CLONES; i++)); do
	before=$(device_read)
	up "$i"
	check "clone $i has the image's bytes" right "$i"
	read_now=$(($(device_read) - before))
	[ "$i" != 1 ] || first=$read_now
	echo "# clone $i: $read_now KiB read"
done
check "the last one reads next to nothing" [ "$read_now" -le $((first / 50)) ]

# The latest copies of blocks that every clone changes never hold the block any
# more; nor do those of blocks that the file system changes when it is mounted.
change() {
	local file

	find "/mnt/$1" -type f | sort | head -n 10 | while read -r file; do
		dd if=/dev/urandom of="$file" bs=300 seek=1 count=1 \
			conv=notrunc status=none
	done
}
reads=()
for ((i = 2 * CLONES + 1; i <= 2 * CLONES + 8; i++)); do
	dmsetup message pool 0 "create_snap $i 0"
	before=$(device_read)
	up "$i"
	change "$i"
	reads+=($(($(device_read) - before)))
	echo "# clone $i, changing ten files: ${reads[-1]} KiB read"
done
# Reading all of it again is 150 KiB.  One clone in eight may do so: a page that is
# being used at that moment is no source.
median=$(printf '%s\n' "${reads[@]}" | sort -n | sed -n 4p)
check "what each of them changes is not read again and again" [ "$median" -le 40 ]
for ((i = 2 * CLONES + 1; i <= 2 * CLONES + 8; i++)); do
	down "$i"
	dmsetup message pool 0 "delete $i"
done

# Metadata that a file system reads into memory of its own, as xfs does, is also
# read only once.
FS=xfs
msg create_thin 900
activate 900
make_fs /dev/mapper/v900
mounted 900
mkdir /mnt/900/{1..100}
touch /mnt/900/{1..100}/{1..20}
down 900
look_through() {	# look_through ID: prints how many KiB are read
	local before

	before=$(device_read)
	msg "create_snap $1 900"
	up "$1" ro,norecovery
	find "/mnt/$1" -type f -size +0
	down "$1"
	echo $(($(device_read) - before))
	msg "delete $1"
}
xfs_first=$(look_through 901)
xfs_next=$(look_through 902)
echo "# xfs: $xfs_first KiB of metadata by the first, $xfs_next by the next"
check "nor is what a file system keeps for itself" [ "$xfs_next" -le $((xfs_first / 10)) ]
msg delete 900
FS=ext4

# Direct reads and reads through a mapping are served.
before=$(device_read)
check "direct reads are right" right 2 -d
check "mapped reads are right" right 3 -m
check "and do not go to the device" [ $(($(device_read) - before)) -le $((first / 50)) ]

# Surplus copies are evicted.
dmsetup message pool 0 "cache scan_ms 500"
for ((i = 0; i < 20; i++)); do
	sleep 1
	[ "$(copies)" -gt $((2 * $(value blocks) + 200)) ] || break
done
echo "# $(dmsetup status --noflush pool | sed 's/.* share /share /')"
check "two copies of a block stay" [ "$(copies)" -le $((2 * $(value blocks) + 200)) ]
check "the others were evicted" [ "$(value evicted)" -gt 0 ]

# An entry is worth a page, not just the few bytes of its memory.  (The files are
# kept open, because unused inodes would be reclaimed with their pages.)
known=$(value blocks)
find "/mnt/$CLONES" -type f >/dev/shm/list
while read -r file; do exec {fd}<"$file" && fds+=("$fd"); done </dev/shm/list
echo 2 >/proc/sys/vm/drop_caches
check "who asks all slabs for memory gets a part of the index" \
	[ "$(copies)" -gt $((known / 8)) ]
echo "# $(copies) copies left of $known blocks"
for fd in "${fds[@]}"; do exec {fd}<&-; done

# All clones start at once with an empty cache: each block is still read once.
for ((i = 1; i <= CLONES; i++)); do down "$i"; done
echo 3 >/proc/sys/vm/drop_caches
# No scan becomes due.
dmsetup message pool 0 "cache scan_ms 4000000"
before=$(device_read)
for ((i = CLONES + 1; i <= 2 * CLONES; i++)); do
	(up "$i" && right "$i") &
	pids[i]=$!
done
for ((i = CLONES + 1; i <= 2 * CLONES; i++)); do
	check "clone $i, one of many at once, is right" wait "${pids[i]}"
done
read_now=$(($(device_read) - before))
echo "# $read_now KiB read by all, $first by the first alone; $(value waited) bios waited"
check "many at once read what one reads" [ "$read_now" -le $((first * 13 / 10)) ]
few_left() { [ "$(copies)" -le $((2 * $(value blocks) + 4096)) ]; }
check "and their surplus goes before it is time to scan" within 10 few_left
echo "# $(copies) copies of $(value blocks) blocks, $(value scans) scans"
dmsetup message pool 0 "cache scan_ms 500"

# Some clones change their files, others check theirs.
for ((i = 1; i <= 3; i++)); do
	up "$i"
	$files churn -t "$CHURN" "/mnt/$i" "$FILES" "$i" >/dev/null &
	churn[i]=$!
done
end=$((SECONDS + CHURN))
bad=0
while [ $SECONDS -lt $end ]; do
	for ((i = CLONES + 1; i <= 2 * CLONES; i++)); do
		case $((RANDOM % 4)) in
		0) right "$i" -d || bad=1 ;;
		1) right "$i" -m || bad=1 ;;
		2) down "$i" && up "$i" && right "$i" || bad=1 ;;
		3) echo 1 >/proc/sys/vm/drop_caches; right "$i" || bad=1 ;;
		esac
		dmsetup message pool 0 "cache evict"
	done
done
for ((i = 1; i <= 3; i++)); do wait "${churn[i]}" || bad=1; done
check "no wrong byte while others change their files" [ $bad = 0 ]
echo "# $(dmsetup status --noflush pool | sed 's/.* share /share /')"
check "no block has changed" [ "$(value changed)" = 0 ]

# Sharing can be switched off.
dmsetup message pool 0 "cache share off"
check "switched off, nothing is known" [ "$(copies)" = 0 ]
hits=$(value hits)
echo 3 >/proc/sys/vm/drop_caches
check "and reads are right" right $((CLONES + 1))
check "from the device" [ "$(value hits)" = "$hits" ]
dmsetup message pool 0 "cache share on"
dmsetup message pool 0 "set_sharing $((CLONES + 2)) off"
check "a volume that does not share is right" right $((CLONES + 2)) -d
check "and is not served" [ "$(value hits)" = "$hits" ]

for i in 1 2 3 $(seq $((CLONES + 1)) $((2 * CLONES))); do
	check "volume $i can be removed" down "$i"
done
check "so can the pool" dmsetup remove --retry pool
check "and the module" rmmod dm-hpmapper
the_end
