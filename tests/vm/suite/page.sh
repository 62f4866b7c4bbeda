# SPDX-License-Identifier: GPL-2.0-only
#
# Sourced by hpmctl.sh: runs the commands of Documentation/when-things-go-wrong.rst
# as they stand there.  A comment ".. try: NAME" in the page names the trouble.  For
# each NAME, page_NAME here brings a pool "fast" into that trouble, and after_NAME,
# if it exists, tests what must hold after the commands.

page=$top/Documentation/when-things-go-wrong.rst

# Prints the commands behind ".. try: $1": the next literal block.
page_commands() {
	awk -v name="$1" '
		$1 == ".." && $2 == "try:" { on = $3 == name; next }
		on && $0 == "::" { block = 1; next }
		block && /^[^ ]/ { exit }
		block { sub(/^  /, ""); print }' "$page"
}

loop_disk() {	# loop_disk LINK MIB: a disk of that name
	truncate -s "$2M" "$work/disk.${1##*/}"
	ln -sfn "$(losetup -f --show "$work/disk.${1##*/}")" "$1"
}

# A disk whose writes behind the first $3 MiB can be made to fail.
bad_disk() {	# bad_disk LINK MIB MIB
	local dev sectors=$(($2 << 11)) good=$(($3 << 11))
	truncate -s "$2M" "$work/disk.${1##*/}"
	dev=$(losetup -f --show "$work/disk.${1##*/}")
	dmsetup create page-bad --table "0 $sectors linear $dev 0"
	ln -sfn /dev/mapper/page-bad "$1"
	{
		[ $good = 0 ] || echo "0 $good linear $dev 0"
		echo "$good $((sectors - good)) flakey $dev $good 0 60 1 error_writes"
	} >"$work/bad.table"
	echo "0 $sectors linear $dev 0" >"$work/good.table"
}

swap_disk() {	# swap_disk bad|good
	dmsetup suspend --noflush page-bad
	dmsetup reload page-bad "$work/$1.table"
	dmsetup resume page-bad
}

on_file() {
	h pool create fast --file /srv/fast --size "${1:-64M}" --meta-size "${2:-8M}"
}

on_two() {
	mkdir -p /dev/vg
	loop_disk /dev/vg/meta 8
	loop_disk /dev/vg/data 96
	h pool create fast --meta /dev/vg/meta --data /dev/vg/data
}

on_disk() {
	loop_disk /dev/sdb 128
	h pool create fast --disk /dev/sdb
}

a_volume() {	# a_volume NAME MIB: with bytes in it
	h volume create fast "$1" --size "$2M" --activate
	pattern "/dev/mapper/fast-$1" "$1" "$2"
}

fill() {	# until the data are full
	h volume create fast v --size 400M --activate
	! dd if=/dev/zero of=/dev/mapper/fast-v bs=1M oflag=direct status=none 2>/dev/null
}

writable() {
	sleep 1	# what was freed comes back in the background
	check "$1: the pool is written again" dd if=/dev/zero of=/dev/mapper/fast-v bs=4k count=16 seek=2000 oflag=direct status=none
	json '.pool.mode == "rw"' pool status fast
}

page_full_data() { on_file 96M && a_volume old 40 && fill; }
after_full_data() { writable 'full data'; }
page_full_file() { on_file && fill; }
after_full_file() { writable 'full data, files'; }
page_full_disk() { on_disk && loop_disk /dev/sdc 64 && fill; }
after_full_disk() { writable 'full data, a disk'; }
page_full_two() {
	on_two && fill
	truncate -s 160M "$work/disk.data"
	losetup -c "$(readlink /dev/vg/data)"
}
after_full_two() { writable 'full data, two devices'; }

# Every second block of 96 MiB: 12,288 entries in the map.
every_second() {
	yes "$(printf '%04096d' 0)$(printf '%04095d' 0 | tr 0 1)" | tr '1\n' '\0\0' |
		head -c 96M |
		dd of="$1" bs=4k iflag=fullblock oflag=direct conv=sparse,notrunc status=none
}

# Makes an old volume, and snapshots with a root of their own, until the metadata is
# full.
page_full_meta() {
	local i
	on_file 128M 4M
	h volume create fast v --size 32M --activate
	h volume create fast old --size 96M --activate
	every_second /dev/mapper/fast-old
	for ((i = 1; i < 3000; i++)); do
		dmsetup message fast 0 "create_snap $((100 + i)) 0" 2>/dev/null || break
		dd if=/dev/zero of=/dev/mapper/fast-v bs=4k count=1 oflag=direct status=none 2>/dev/null || break
	done
	echo "$i snapshots"
	[ $i -lt 3000 ]
}
after_full_meta() { json '.pool.mode == "rw"' pool status fast; }
page_full_meta_file_goes_on() { :; }
after_full_meta_file_goes_on() {
	writable 'full metadata, files'
	json '.volume.name == "more"' volume snapshot fast v more
}

# A flush of the data device fails: the metadata is sound, but the pool cannot know
# that.
fail_flush() {
	a_volume v 8
	was=$(sum /dev/mapper/fast-v 8)
	swap_disk bad
	! dd if=/dev/zero of=/dev/mapper/fast-v bs=4k count=4 seek=1000 conv=fsync status=none 2>/dev/null
	swap_disk good
	"$HPMCTL" pool status fast --json | jq -e '.pool.mode == "ro" and .pool.needs_check'
}
goes_on() {
	json '.pool.mode == "rw" and (.pool.needs_check | not)' pool status fast
	works volume activate fast v
	check "$1: the volume is as it was" test "$(sum /dev/mapper/fast-v "${2:-3}")" = "$was"
}
page_needs_check_disk() {
	bad_disk /dev/sdb 128 8 && h pool create fast --disk /dev/sdb && fail_flush
	was=$(sum /dev/mapper/fast-v 3)
}
after_needs_check_disk() { goes_on 'a check, a disk'; }
page_needs_check_two() {
	mkdir -p /dev/vg
	loop_disk /dev/vg/meta 8
	bad_disk /dev/vg/data 96 0
	h pool create fast --meta /dev/vg/meta --data /dev/vg/data && fail_flush
	was=$(sum /dev/mapper/fast-v 3)
}
after_needs_check_two() { goes_on 'a check, two devices'; }

# Files as an older hpmctl made them: both are sparse, and the host becomes full.
page_host_full() {
	local a b i
	on_file 64M && a_volume v 4 && h pool remove fast --force
	# Digging holes would leave what was allocated and never written.
	cp --sparse=always /srv/fast.meta /srv/sparse && mv /srv/sparse /srv/fast.meta
	a=$(losetup -f --show /srv/fast.meta)
	b=$(losetup -f --show /srv/fast)
	dmsetup create fast --table "0 131072 hpmapper-pool $a $b 512 0 1 no_discard_passdown"
	losetup -d "$a" "$b"
	h volume activate fast v
	was=$(sum /dev/mapper/fast-v 3)
	head -c 1G /dev/zero >/srv/full 2>/dev/null
	# Each turn leaves a snapshot with map nodes of its own, and needs no space for
	# data, of which the host has none either.
	for ((i = 0; i < 250; i++)); do
		dmsetup message fast 0 "create_snap $((100 + i)) 0" 2>/dev/null || break
		blkdiscard -f -o $((3 << 20 | i << 12)) -l 4096 /dev/mapper/fast-v 2>/dev/null || break
		((i % 25)) || dmsetup message fast 0 checkpoint 2>/dev/null || break
	done
	echo "$i snapshots"
	dmsetup message fast 0 checkpoint 2>/dev/null
	rm /srv/full
	"$HPMCTL" pool status fast --json | jq -e '.pool.mode == "ro"'
}
after_host_full() {
	goes_on 'a full host'
	check 'the metadata have their space' test "$(stat -c %b /srv/fast.meta)" -ge $((8 << 11))
}
page_needs_check_file() { page_host_full; }
after_needs_check_file() { goes_on 'a check, files'; }

# leaves DEVICE: the leaves of the maps, each a line: block number, first bytes
leaves() {
	blockdev --flushbufs "$1" 2>/dev/null
	head -c 8M "$1" | od -v -A n -t x1 -w4096 | cut -c1-48 |
		awk '$5 $6 $7 $8 $9 == "48504d5005" { print NR - 1, $0 }' | sort
}

# Makes two volumes, and overwrites a leaf of the first one's map, so that its data
# is lost.  The leaf is one that existed before the second volume was made.
damage() {	# damage DEVICE
	local block _
	a_volume v 8 && h pool checkpoint fast
	leaves "$1" >/srv/leaves
	a_volume other 4
	was=$(sum /dev/mapper/fast-other 4)
	h pool checkpoint fast && h pool remove fast --force
	leaves "$1" | comm -12 - /srv/leaves >/srv/leaves-of-v
	while read -r block _; do
		dd if=/dev/urandom of="$1" bs=4k seek="$block" count=1 conv=notrunc,fsync status=none
		"${HPMCTL%/*}/hpm_check" -q "$1" || return 0
	done </srv/leaves-of-v
	return 1
}
whole() {	# whole WHAT MODE: the volume that was not damaged is there
	json ".pool.mode == \"$2\"" pool status fast
	works volume activate fast other
	check "$1: all that can be had is there" test "$(sum /dev/mapper/fast-other 4)" = "$was"
}
page_damaged_file() { on_file && damage /srv/fast.meta; }
after_damaged_file() { whole 'damaged, files' ro; }
page_damaged_file_goes_on() { :; }
after_damaged_file_goes_on() { whole 'damaged, files' rw; }
page_damaged_two() { on_two && loop_disk /dev/vg/meta2 12 && damage /dev/vg/meta; }
after_damaged_two() { whole 'damaged, two devices' ro; }
page_damaged_two_goes_on() { :; }
after_damaged_two_goes_on() { whole 'damaged, two devices' rw; }
page_damaged_disk() { on_disk && damage /dev/sdb; }
after_damaged_disk() { whole 'damaged, a disk' ro; }
page_damaged_disk_goes_on() { :; }
after_damaged_disk_goes_on() { whole 'damaged, a disk' rw; }

# Whether the wrong pair is refused depends on whether the pools have marks.
page_wrong_pair() {
	on_two && a_volume v 8
	head -c 4096 /dev/mapper/fast-v >/srv/first-block-of-v
	h pool remove fast --force
	loop_disk /dev/vg/meta3 8
	loop_disk /dev/vg/data3 96
	h pool create other --meta /dev/vg/meta3 --data /dev/vg/data3
	h pool remove other
	h pool activate fast --meta /dev/vg/meta --data /dev/vg/data3 ||
		h pool activate fast --meta /dev/vg/meta --data /dev/vg/data --read-only
}
page_wrong_pair_goes_on() { :; }
after_wrong_pair_goes_on() { json '.pool.mode == "rw"' pool status fast; }

page_busy_volume() { on_file && a_volume v 4 && exec 9</dev/mapper/fast-v; }
after_busy_volume() {
	exec 9<&-
	check 'it goes when it is let go of' bash -c 'for i in {1..50}; do dmsetup info fast-v >/dev/null 2>&1 || exit 0; sleep 0.1; done; exit 1'
}

page_clone_xfs() {
	on_file 512M && h volume create fast v --size 320M --activate
	mkfs.xfs -q /dev/mapper/fast-v && mkdir -p /srv/mnt /srv/mnt2 &&
		mount /dev/mapper/fast-v /srv/mnt2 &&
		h volume snapshot fast v clone --freeze --activate
}
after_clone_xfs() { umount /srv/mnt /srv/mnt2; }

page_frozen() {
	on_file && h volume create fast v --size 32M --activate
	mkfs.ext4 -q /dev/mapper/fast-v && mkdir -p /srv/mnt &&
		mount /dev/mapper/fast-v /srv/mnt && fsfreeze -f /srv/mnt
}
after_frozen() {
	umount /srv/mnt
	json '.volume.parent == "v"' volume stat fast s
}

page_end() {
	umount /srv/mnt /srv/mnt2 2>/dev/null
	h pool remove fast --force --wipe
	h pool remove other --force --wipe
	dmsetup remove page-bad 2>/dev/null
	losetup -n -l -O NAME,BACK-FILE | awk '/disk\./ { print $1 }' | xargs -r -n1 losetup -d
	rm -rf "$work"/disk.* /dev/vg /dev/sdb /dev/sdc
	umount /srv
}

page_try() {
	page_commands "$1" >"$work/page.cmd"
	[ -s "$work/page.cmd" ]
	ok $? "the page says what to do: $1"
	page_"$1" >"$out" 2>"$err"
	ok $? "the trouble is there: $1"
	PATH=${HPMCTL%/*}:$PATH timeout 300 bash -euo pipefail "$work/page.cmd" >"$out" 2>"$err" </dev/null
	ok $? "the page's commands: $1"
	[ "$(type -t after_"$1")" != function ] || after_"$1"
}

group_page() {
	local name first=1
	for name in ${PAGE:-$(awk '$1 == ".." && $2 == "try:" { print $3 }' "$page")}; do
		case $name in
		*_goes_on) ;;
		*)
			[ $first ] || page_end
			first=
			mkdir -p /srv && mount -t tmpfs -o size=700M tmpfs /srv
			[ "$name" != host_full ] && [ "$name" != needs_check_file ] ||
				mount -o remount,size=40M /srv
			;;
		esac
		if [ "$name" = clone_xfs ] && ! command -v mkfs.xfs >/dev/null; then
			skip "$name" 'no mkfs.xfs'
			continue
		fi
		page_try "$name"
	done
	page_end
}
