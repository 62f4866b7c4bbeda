#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests every command of hpmctl, with the module, in a guest:
#
#	make vm CMD='tests/vm/suite/hpmctl.sh'
#
# The output is TAP.  "hpmctl.sh <word>..." runs only the groups whose names contain
# one of the words.  Without a word, all groups run except those whose names end in
# "faults", and "page", because these take minutes.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
# shellcheck source=../lib.sh
. "$top/tests/vm/lib.sh"
: "${HPMCTL:=${BUILD:-$top/build}/tools/hpmctl}"
: "${FAULT:=${BUILD:-$top/build}/tests/hpmctl/fault.so}"
work=$(mktemp -d)
out=$work/out
err=$work/err
n=0
bad=0

ok() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		bad=$((bad + 1))
		sed 's/^/# /' "$out" "$err" 2>/dev/null | head -n 40
	fi
}

# skip <what> <reason>: counts neither as passed nor as failed (tests/suites.sh)
skip() {
	echo "# SKIP $1: $2"
}

h() {
	timeout 300 "$HPMCTL" "$@" >"$out" 2>"$err" </dev/null
}

# works <argument>...: the command succeeds
works() {
	h "$@"
	ok $? "hpmctl $*"
}

# fails <status> <words> <argument>...: the command fails with these
fails() {
	local want=$1 words=$2 status wrong=0
	shift 2
	h "$@"
	status=$?
	[ $status = "$want" ] || wrong=1
	grep -qF -- "$words" "$err" || wrong=1
	ok $wrong "hpmctl $*: refused with status $want ($status): $words"
}

# json <jq expression> <argument>...: the document satisfies it
json() {
	local expr=$1
	shift
	h "$@" --json && [ -s "$out" ] &&
		jq -e "$expr" "$out" >/dev/null 2>>"$err"
	ok $? "hpmctl $* --json: $expr"
}

check() {
	local what=$1
	shift
	"$@" >"$out" 2>"$err"
	ok $? "$what"
}

# said <what> <words>: the last command printed the words on standard error
said() {
	grep -qF -- "$2" "$err"
	ok $? "$1"
}

# told <what> <pattern>: the last command printed the pattern on standard output
told() {
	grep -q -- "$2" "$out"
	ok $? "$1"
}

no_device() {
	! [ -e "/dev/mapper/$1" ] && ! dmsetup info "$1" >/dev/null 2>&1
}

# Writes blocks that all differ, at little cost.
pattern() (	# pattern <device> <seed> <MiB>
	set +o pipefail	# seq is stopped by head
	seq -f "$2 %04080.0f" 1 100000000 | head -c "$(($3 << 20))" |
		dd of="$1" bs=1M iflag=fullblock conv=fsync status=none
)

sum() {	# sum <device> <MiB>
	dd if="$1" bs=1M count="$2" iflag=direct status=none | sha256sum
}

small_pool() {
	h pool create "$1" --file "$work/$1.pool" --size "${2:-512M}" || {
		sed 's/^/# /' "$err"
		return 1
	}
}

# Prints everything that a failing command must leave unchanged: devices, tables,
# loop devices, files, volumes, and the blocks at the places in $heads (DEVICE@MIB)
# where a pool begins.  (The numbers of loop devices and of volumes' devices may
# change.)
heads=
state() {
	local p
	for p in $heads; do
		echo "$p $(dd if="${p%@*}" bs=128K skip="$((${p#*@} * 8))" count=1 iflag=direct status=none | cksum)"
	done
	dmsetup info -c --noheadings -o name,attr,uuid | sort
	dmsetup table | sort
	losetup -n -l -O BACK-FILE | sort
	(cd "$work" && find . -path ./mnt -prune -o -name 's_*' -o -name out -o -name err -o -type f -printf '%p %s\n' | sort)
	for p in $("$HPMCTL" pool list -q); do
		"$HPMCTL" volume list "$p" --json
		"$HPMCTL" pool status "$p" --json |
			jq -c '.pool | [.name, .mode, .data.total, .metadata.total]'
	done
}

said_done() {
	grep -q 'note: it is done, but cannot be shown' "$err"
}

# faulty <n>[,<n>...] <argument>...: makes the command's <n>-th call fail; s_log
# names the call if the command gets that far.
faulty() {
	local at=$1
	shift
	rm -f "$work/s_log"
	timeout 60 env FAULT_AT="$at" FAULT_LOG="$work/s_log" LD_PRELOAD="$FAULT" \
		"$HPMCTL" "$@" >"$out" 2>"$err" </dev/null
}

# faults <undo> <argument>...: makes each call of the command fail in turn; after
# each failure everything must be unchanged.  If the command succeeds nevertheless,
# <undo> undoes it.  If <undo> is "true", the command cannot be undone; such a run
# is the last one, and must have said that it failed only to show its result.  Sets
# $last to the number of the last call whose failure made the command fail.  With
# again=yes, a failed command must succeed when it is repeated.
faults() {
	local undo=$1 i status hits=0 wrong=0
	shift
	last=0
	state >"$work/s_before"
	for ((i = 1; i < 200; i++)); do
		faulty $i "$@"
		status=$?
		[ -e "$work/s_log" ] || break
		hits=$((hits + 1))
		if [ $status = 0 ] && [ "$undo" = true ]; then
			said_done || wrong=1
			break
		fi
		[ $status = 0 ] || last=$i
		[ $status != 0 ] || eval "$undo" >/dev/null 2>&1
		state >"$work/s_after"
		if ! diff "$work/s_before" "$work/s_after" >"$work/s_diff"; then
			wrong=1
			{
				echo "call $i ($(cat "$work/s_log")), status $status:"
				cat "$work/s_diff"
			} >>"$err"
			break
		fi
		if [ $status = 0 ] || [ "${again:-}" != yes ]; then
			continue
		fi
		if ! h "$@"; then
			wrong=1
			echo "once more after call $i ($(cat "$work/s_log"))" >>"$err"
			break
		fi
		eval "$undo" >/dev/null 2>&1
	done
	[ $wrong = 0 ] && [ $hits -gt 2 ] && [ $status = 0 ]
	ok $? "hpmctl $*: each of $hits calls fails, all stays as it was"
	eval "$undo" >/dev/null 2>&1
}

group_faults() {
	faults 'h pool remove e --wipe' pool create e --file "$work/e" --size 16M
	works pool create e --file "$work/e" --size 16M
	works volume create e kept --size 1M
	works pool remove e
	was=$(cksum <"$work/e.meta")
	for i in 1 4 7 10 12; do
		faulty $i pool create e --file "$work/e" --size 8M --force && break
		[ "$(cksum <"$work/e.meta")" = "$was" ] || break
	done
	[ "$(cksum <"$work/e.meta") $(stat -c %s "$work/e")" = "$was $((16 << 20))" ]
	ok $? 'files that were to be replaced are as they were'
	faults 'h pool remove e' pool activate e --file "$work/e"
	works pool activate e --file "$work/e"
	faulty 4 pool checkpoint e --json && jq -e '.note | test("it is done, but")' "$out" >/dev/null && said_done
	ok $? 'what is done but cannot be shown is done'
	fails 4 'is in use by the loop device' pool create g --file "$work/e" --size 64M --force
	faults true pool grow e --data 24M --meta 12M
	works volume create e a --size 32M --activate
	works volume create e b --size 16M --activate
	works volume create e c --size 16M
	works volume create e d --size 16M
	faults 'h volume remove e n' volume create e n --size 1M --activate
	faults 'h volume remove e n' volume snapshot e a n --size 64M --activate
	faults 'h volume deactivate e c d' volume activate e c d
	faults 'h volume activate e a b' volume deactivate e a b
	faults 'h volume rename e z a' volume rename e a z
	faults true volume resize e a 48M
	faults 'h volume create e d --size 16M --id 3' volume remove e d
	mkfs.ext4 -q /dev/mapper/e-b
	mkdir -p "$work/mnt"
	mount /dev/mapper/e-b "$work/mnt"
	faults 'h volume remove e n' volume snapshot e b n --freeze
	check 'nothing stays frozen' timeout 10 touch "$work/mnt/f"
	umount "$work/mnt"
	# (the low water mark is the one from before the pool grew)
	faults 'h pool activate e --file "$work/e" --low-water 1M; h volume activate e a b' pool remove e --force
	drop_pool e
}

# If a pool cannot be made, what the kernel has formatted for it is zeroed again.
group_create_faults() {
	local was at
	rmmod brd 2>/dev/null
	modprobe brd rd_nr=4 rd_size=65536 max_part=0
	check 'devices that hold nothing' cmp -n $((64 << 20)) /dev/zero /dev/ram0
	heads='/dev/ram0@0 /dev/ram0@8'
	again=yes faults 'h pool remove k --wipe' pool create k --disk /dev/ram0
	create_undo_fails 'k k-data k-meta' /dev/ram0 --disk /dev/ram0
	heads='/dev/ram0@8 /dev/ram1@0'
	works pool create k --disk /dev/ram0
	faults true pool grow k --add /dev/ram1
	works pool remove k
	faults 'h pool remove k' pool activate k --disk /dev/ram0 --add /dev/ram1
	works pool create k --disk /dev/ram0 --force
	works pool remove k --wipe

	heads='/dev/ram2@0 /dev/ram3@0'
	again=yes faults 'h pool remove k --wipe' pool create k --meta /dev/ram2 --data /dev/ram3
	create_undo_fails k /dev/ram2 --meta /dev/ram2 --data /dev/ram3
	at=$last
	works pool create k --meta /dev/ram2 --data /dev/ram3
	works pool remove k
	heads=/dev/ram3@0
	faults 'h pool remove k' pool activate k --meta /dev/ram2 --data /dev/ram3
	# The content that --force would overwrite stays until it is overwritten.
	was=$(state)
	faulty $((at - 1)) pool create k --meta /dev/ram2 --data /dev/ram3 --force
	check "the kernel did not come to the old pool's mark" test "$(state)" = "$was"
	fails 4 'holds the data of a pool' pool create k --meta /dev/ram2 --data /dev/ram3
	faulty "$at" pool create k --meta /dev/ram2 --data /dev/ram3 --force
	works pool create k --meta /dev/ram2 --data /dev/ram3
	works pool remove k --wipe
	heads=
}

# create_undo_fails <devices> <where> <argument>...: "pool create" fails and cannot
# remove what it has made so far.  $last is the number of its call that makes the
# pool live.
create_undo_fails() {
	local devices=$1 where=$2 i
	shift 2
	for i in 2 3; do
		faulty "$last,$((last + i))" pool create k "$@"
		[ $? = 1 ] && grep -q "note: $where .*--force" "$err"
		ok $? "it is said what stays on $where ($(tail -n 1 "$work/s_log"))"
		check "no device stays, though" no_device k
		works pool create k "$@" --force
		works pool remove k --wipe
	done
	faulty "$last,$((last + 1))" pool create k "$@"
	[ $? = 1 ] && said_stays k && grep -q "note: $where .*--force" "$err"
	ok $? 'it is said that the device stays'
	for i in $devices; do dmsetup remove "$i"; done
	works pool create k "$@" --force
	works pool remove k --wipe
}

said_stays() {
	grep -q "note: the device $1 could not be removed: .*\"dmsetup remove $1\"" "$err"
}

# Makes each call of an import, or of mkfs, fail.
group_import_faults() {
	mkdir -p "$work/tree4/bin" "$work/up4/bin"
	echo old >"$work/tree4/bin/old"
	ln -s old "$work/tree4/bin/link"
	ln "$work/tree4/bin/old" "$work/tree4/bin/hard"
	echo new >"$work/up4/bin/new"
	touch "$work/up4/bin/.wh.old"
	make_oci "$work/oci4" "$work/tree4" "$work/up4"
	small_pool e 64M
	faults 'h volume remove e i i.layer1' import e i "$work/oci4" --size 16M
	check 'no mount stays' bash -c '! grep /dev/mapper/e- /proc/mounts'
	drop_pool e
}

# Another command removes a volume at the same time: its removal must still succeed.
group_races() {
	local i bad_status=0
	small_pool r 128M
	for i in {1..8}; do
		h volume create r v --size 8M --activate
		exec 9</dev/mapper/r-v
		h volume deactivate r v --deferred
		(exec 9<&-; sleep 0.0$((i % 10)); exec 9</dev/null) &
		exec 9<&-
		h volume remove r v || bad_status=$?
	done
	wait
	ok $bad_status 'volume remove beside a deferred removal succeeds'
	check 'and no volume stays' test -z "$("$HPMCTL" volume list r -q)"
	# removed by another command between the look and the removal
	bad_status=0
	for i in {1..4}; do
		h volume create r v --size 8M --activate
		dmsetup remove r-v &
		h volume remove r v || bad_status=$?
		wait
	done
	ok $bad_status 'volume remove beside dmsetup remove succeeds'
	bad_status=0
	for i in {1..4}; do
		h volume create r v --size 8M --activate
		"$HPMCTL" volume remove r v >"$work/o1" 2>&1 &
		h volume remove r v || [ $? = 3 ] || bad_status=1
		wait
	done
	ok $bad_status 'two that remove the same volume: none fails but for want of it'
	check 'and no volume stays' test -z "$("$HPMCTL" volume list r -q)"
	# lists are printed while volumes come and go
	bad_status=0
	(for i in {1..12}; do
		"$HPMCTL" volume create r x --size 8M --activate
		"$HPMCTL" volume remove r x
	done) >/dev/null 2>&1 &
	while kill -0 $! 2>/dev/null; do
		h volume list r --json || bad_status=1
		h pool status --json || bad_status=1
	done
	ok $bad_status 'lists beside volumes that come and go'
	drop_pool r
}

# Tests the messages, and that nothing is done before them.
group_words() {
	small_pool a 128M
	small_pool a-b 128M
	works volume create a b-c --size 8M --activate
	fails 4 'with the id 0 of the pool a' volume create a-b c --size 8M --activate
	check 'no volume stays of it' test -z "$("$HPMCTL" volume list a-b -q)"
	works volume create a-b c --size 8M
	fails 4 'devices are named POOL-VOLUME' volume activate a-b c
	works volume rename a-b c d
	works volume activate a-b d
	fails 4 'with the id 0 of the pool a' volume rename a-b d c
	works volume rename a-b d d
	works volume remove a-b d
	works volume create a v --size 64M --activate
	mkfs.ext4 -q /dev/mapper/a-v
	mkdir -p "$work/mnt" "$work/mnt2"
	mount /dev/mapper/a-v "$work/mnt"
	fails 4 "mounted at $work/mnt" volume deactivate a v
	fails 4 "mounted at $work/mnt" volume remove a v
	fails 4 "mounted at $work/mnt" pool remove a --force
	check 'the other volume is still active' test -b /dev/mapper/a-b-c
	fsfreeze -f "$work/mnt"
	fails 4 "fsfreeze -u $work/mnt" volume snapshot a v s --freeze
	fsfreeze -u "$work/mnt"
	dmsetup suspend a-v
	fails 4 'dmsetup resume a-v' volume snapshot a v s --freeze
	dmsetup resume a-v
	umount "$work/mnt"
	unshare -m sh -c "mount /dev/mapper/a-v $work/mnt2 && touch $work/inside && exec sleep 60" &
	for _ in {1..100}; do [ -e "$work/inside" ] && break; sleep 0.1; done
	fails 4 "mounted at $work/mnt2 in the mount namespace of process $!" volume deactivate a v
	kill $!
	wait $! 2>/dev/null
	mkswap /dev/mapper/a-v >/dev/null 2>&1
	if swapon /dev/mapper/a-v 2>/dev/null; then
		fails 4 'used as swap' volume deactivate a v
		swapoff /dev/mapper/a-v
	fi
	dmsetup create above --table '0 2048 linear /dev/mapper/a-v 0'
	fails 4 'below the device /dev/mapper/above' volume deactivate a v
	dmsetup remove above
	works volume deactivate a v
	works volume create a x --size 400M --activate
	if mkfs.xfs -q /dev/mapper/a-x 2>/dev/null; then
		h volume snapshot a x y --activate
		said 'a clone of an xfs is mounted with nouuid' '-o nouuid'
	fi
	works volume create a one --size 1M
	works volume create a two --size 1M --activate
	fails 3 'has no volume nope' volume remove a one two nope
	fails 2 'are the same volume' volume remove a one two one
	exec 9</dev/mapper/a-two
	fails 4 'cannot remove the device a-two' volume remove a one two
	exec 9<&-
	json '.volume.active' volume stat a two
	json '.volume.active == false' volume stat a one
	fails 4 'is active already' volume activate a one two
	fails 3 'is not active' volume deactivate a two one
	json '.volume.active' volume stat a two
	json '.volumes | map(.name) == ["one", "two"]' volume stat a one two
	json '.volumes | map(.removed) == ["one", "two"]' volume remove a one two
	# the terminal, and documents
	dmsetup message a 0 "create_thin 77 2048 $(printf 'caf\351')" 2>/dev/null
	json '.volumes | length > 1' volume list a
	j() {
		"$HPMCTL" "$@" >"$out" 2>"$err" </dev/null
		[ "$(wc -l <"$out")" = 1 ] && jq -es 'length == 1' "$out" >/dev/null
		ok $? "hpmctl $*: one document"
	}
	j pool list -q --json
	j volume list a -q --json
	j volume stat a x nope --json
	j volume stat a $'caf\351' --json
	j pool status nope --json
	j top nope -n 1 --json
	j volume deactivate a x nope --json
	j volume remove a nope --json
	drop_pool a-b
	drop_pool a
	j pool list --json
	j pool status --json
}

# The host file system is full, but the metadata file's space was allocated before.
group_host_full() {
	mkdir -p "$work/host"
	mount -t tmpfs -o size=48M tmpfs "$work/host"
	fails 1 'has no space for' pool create h --file "$work/host/p" --size 64M --meta-size 64M
	check 'nothing stays of it' test -z "$(ls "$work/host")"
	works pool create h --file "$work/host/p" --size 64M
	works volume create h v --size 64M --activate
	check 'the host runs full' bash -c "! head -c 100M /dev/zero >$work/host/full 2>/dev/null"
	dd if=/dev/urandom of=/dev/mapper/h-v bs=4k count=2000 oflag=direct status=none 2>/dev/null
	for i in {1..40}; do h volume snapshot h v s$i; done
	works pool checkpoint h
	json '.pool.mode == "rw" and (.pool.needs_check | not)' pool status h
	rm "$work/host/full"
	check 'with space again it is written' dd if=/dev/zero of=/dev/mapper/h-v bs=1M count=8 oflag=direct status=none
	# a sparse metadata file, as older pools have it
	works pool remove h --force
	fallocate -d "$work/host/p.meta"
	works pool activate h --file "$work/host/p"
	check 'gets its space when the pool is activated' test "$(stat -c %b "$work/host/p.meta")" -ge $((8 << 11))
	drop_pool h
	umount "$work/host"
}

drop_pool() {
	h pool remove "$1" --force --wipe || sed 's/^/# /' "$err"
}

#----------------------------------------------------------------------

group_file_pool() {
	works pool create f --file "$work/f.pool" --size 256M
	told 'it says that the data are sparse' 'f.pool is sparse'
	[ "$(wc -l <"$out")" -le 4 ]
	ok $? 'and what was made, in a few lines'
	check 'a file for data' test "$(stat -c %s "$work/f.pool")" = $((256 << 20))
	check 'a file for metadata' test "$(stat -c %s "$work/f.pool.meta")" = $((8 << 20))
	check 'the file for data is sparse' test "$(stat -c %b "$work/f.pool")" -lt 2048
	check 'the file for metadata has all its space' test "$(stat -c %b "$work/f.pool.meta")" -ge $((8 << 11))
	check 'the node is there' test -b /dev/mapper/f
	json '.pool.mode == "rw" and .pool.data.total == 268435456 and .pool.large_block == 262144 and (.pool.uuid | length == 36)' pool status f
	json ".pool.data_device.file == \"$work/f.pool\"" pool status f
	json '.pools | length == 1 and .[0].name == "f"' pool list
	json '.pools[0].counters.volumes == 0' pool status
	check 'list -q' test "$("$HPMCTL" pool list -q)" = f
	works pool list
	works pool status f
	fails 4 'there is a device f already' pool create f --file "$work/g" --size 64M
	fails 4 'File exists' pool create g --file "$work/f.pool" --size 64M
	fails 4 'is in use by the loop device' pool activate g --file "$work/f.pool"
	works pool checkpoint f
	works pool set f defrag status
	works pool set f map-cache 2000
	works pool set f transaction-id 0 7
	json '.pool.transaction_id == 7' pool status f
	fails 1 'refused the message' pool set f transaction-id 0 8
	said 'the kernel said why' 'the kernel says: ' 
	works pool set f metadata-snap reserve
	works pool set f metadata-snap release
	works volume create f v --size 1G
	works pool remove f
	check 'its node is gone' no_device f
	check 'no loop device stays' test -z "$(losetup -n -l -O BACK-FILE | grep "$work/f")"
	works pool activate f --file "$work/f.pool"
	json '.volumes | length == 1 and .[0].name == "v" and .[0].bytes == 1073741824' volume list f
	json '.pool.transaction_id == 7' pool status f
	fails 3 'empty.meta: No such file' pool activate g --file "$work/empty"
	works pool remove f
	# Whatever characters a path has, it is one line and does not move the
	# cursor.
	mkdir "$work"/$'a\e[31m\nf: rw'
	touch "$work"/$'a\e[31m'
	h pool create e --file "$work"/$'a\e[31m\nf: rw/p' --size 64M
	! grep -e $'\e' -e '^f:' "$out" && [ "$(grep -c '\[31m.*f: rw/p' "$out")" = 3 ]
	ok $? 'a path is escaped when it is told'
	h pool status e
	! grep -e $'\e' -e '^f:' "$out" && [ "$(grep -c '\[31m.*f: rw/p' "$out")" = 2 ]
	ok $? 'and in the status'
	json '.pool.data_device.file | test("/p$")' pool status e
	works pool remove e --wipe
	check 'the files are gone, and none that is called like a part of them' test -e "$work"/$'a\e[31m' -a -z "$(ls "$work"/a*/)"
	works pool activate f --file "$work/f.pool"
	works pool remove f --wipe
	check 'wiped: the files are gone' test ! -e "$work/f.pool" -a ! -e "$work/f.pool.meta"
	fails 3 'there is no active pool f' pool status f
	json '.pools == []' pool list
}

group_file_errors() {
	fails 2 '--file needs --size' pool create e --file "$work/e"
	check 'nothing stays of a pool without a size' test ! -e "$work/e.meta"
	fails 2 "at least 4 MiB" pool create e --file "$work/e" --size 64M --meta-size 1M
	fails 2 'at least one large block (256 KiB)' pool create e --file "$work/e" --size 1K
	fails 2 'less than 256 TiB' pool create e --file "$work/e" --size 1P --meta-size 16M
	fails 2 'at most 16 GiB' pool create e --file "$work/e" --size 1G --meta-size 17G
	check 'nothing stays of a pool with too little metadata' test ! -e "$work/e" -a ! -e "$work/e.meta"
	check 'no device either' no_device e
	fails 3 'cannot make the file' pool create e --file /nowhere/e --size 64M
}

group_devices() {
	modprobe brd rd_nr=4 rd_size=65536 max_part=0
	fails 2 'not a block device' pool create d --meta /dev/null --data /dev/ram1
	fails 3 'cannot use' pool create d --meta /dev/nowhere --data /dev/ram1
	fails 2 'both the metadata and the data device' pool create d --meta /dev/ram0 --data /dev/ram0
	mkfs.ext4 -q /dev/ram1
	fails 4 'a signature of type ext4' pool create d --meta /dev/ram0 --data /dev/ram1
	mkdir -p "$work/mnt"
	mount /dev/ram1 "$work/mnt"
	fails 4 'is in use' pool create d --meta /dev/ram0 --data /dev/ram1 --force
	umount "$work/mnt"
	works pool create d --meta /dev/ram0 --data /dev/ram1 --force --large-block 64K --low-water 16M --no-discard-passdown
	json '.pool.large_block == 65536 and .pool.low_water == 16777216 and .pool.discard == "no_discard_passdown"' pool status d
	fails 4 'in use' pool create e --meta /dev/ram0 --data /dev/ram2
	fails 2 'are not in a file' pool grow d --data +1G
	fails 2 '--add is for pools' pool grow d --add /dev/ram2
	works volume create d v --size 64M --activate
	pattern /dev/mapper/d-v one 8
	was=$(sum /dev/mapper/d-v 8)
	fails 4 'are active' pool remove d
	works volume deactivate d v
	works pool remove d
	fails 4 'holds a pool' pool create e --meta /dev/ram0 --data /dev/ram2
	fails 3 'there is no pool on' pool activate d --meta /dev/ram2 --data /dev/ram1
	works pool activate d --meta /dev/ram0 --data /dev/ram1 --read-only
	json '.pool.mode == "ro" and .pool.large_block == 65536' pool status d
	works volume activate d v
	check 'a read-only pool is read' test "$(sum /dev/mapper/d-v 8)" = "$was"
	fails 1 'the pool is read-only' volume create d w --size 1M
	works pool remove d --force
	works pool activate d --meta /dev/ram0 --data /dev/ram1 --queue-if-no-space
	json '.pool.no_space == "queue_if_no_space"' pool status d
	works pool remove d --wipe
	fails 3 'there is no pool on' pool activate d --meta /dev/ram0 --data /dev/ram1
}

group_disk() {
	modprobe brd rd_nr=4 rd_size=65536 max_part=0
	fails 2 'too small for a pool' pool create k --disk /dev/ram0 --meta-size 63M
	works pool create k --disk /dev/ram0 --force
	check 'a linear device for metadata' test "$(blockdev --getsize64 /dev/mapper/k-meta)" = $((8 << 20))
	check 'a linear device for data' test "$(blockdev --getsize64 /dev/mapper/k-data)" = $((56 << 20))
	works volume create k v --size 128M --activate
	pattern /dev/mapper/k-v two 16
	was=$(sum /dev/mapper/k-v 16)
	fails 4 'below the device /dev/mapper/k-' pool grow k --add /dev/ram0
	mkswap /dev/ram1 >/dev/null 2>&1
	fails 4 'a signature of type swap' pool grow k --add /dev/ram1
	works pool grow k --add /dev/ram1 --force
	json '.pool.data.total == ((56 + 62) * 1048576)' pool status k
	works pool grow k --add /dev/ram2
	check 'what was written is still there' test "$(sum /dev/mapper/k-v 16)" = "$was"
	works volume create k w --size 140M --activate
	check 'the added space is used' pattern /dev/mapper/k-w three 140
	big=$(sum /dev/mapper/k-w 140)
	works pool remove k --force
	check 'the linear devices are gone' no_device k-data
	fails 4 'is a further disk of a pool' pool create l --disk /dev/ram1
	small_add_fails /dev/ram1
	fails 1 'smaller' pool activate k --disk /dev/ram0
	check 'and nothing stays of it' no_device k-meta
	fails 5 'in the order' pool activate k --disk /dev/ram0 --add /dev/ram2 --add /dev/ram1
	fails 5 'was not added' pool activate k --disk /dev/ram0 --add /dev/ram3
	works pool activate k --disk /dev/ram0 --add /dev/ram1 --add /dev/ram2
	works volume activate k v w
	check 'the data of the first disk' test "$(sum /dev/mapper/k-v 16)" = "$was"
	check 'the data of all disks' test "$(sum /dev/mapper/k-w 140)" = "$big"
	works pool remove k --force --wipe
	works pool create k --disk /dev/ram0
	works pool remove k --wipe
}

# If a disk cannot be added to this pool, another pool's content on it must stay.
small_add_fails() {
	local disk
	truncate -s 3M "$work/small"
	dd if="$1" of="$work/small" bs=4k count=1 conv=notrunc iflag=direct status=none
	cp "$work/small" "$work/small.was"
	disk=$(losetup -f --show "$work/small")
	works pool create l --disk /dev/ram3
	fails 2 'is too small' pool grow l --add "$disk" --force
	losetup -d "$disk"
	check 'its mark stays' cmp "$work/small" "$work/small.was"
	works pool remove l --wipe
}

# Makes a pool on two devices, whose volume v has the pool's name in it; sets $uuid.
named_pool() {	# named_pool NAME META DATA
	works pool create "$1" --meta "$2" --data "$3" --force
	uuid=$("$HPMCTL" pool status "$1" --json | jq -r .pool.uuid)
	h volume create "$1" v --size 32M --activate
	yes "of $1" | head -c 12M | dd of="/dev/mapper/$1-v" bs=1M oflag=direct iflag=fullblock status=none
	works pool remove "$1" --force
}

has_name() {	# has_name NAME: the pool is active, and its volume its own
	works volume activate "$1" v
	check "$1 reads its own bytes" test "$(dd if="/dev/mapper/$1-v" bs=12M count=1 iflag=direct status=none | sort -u)" = "of $1"
}

refused() {	# refused WORDS META DATA: with status 5, and nothing is made
	fails 5 "$1" pool activate wa --meta "$2" --data "$3"
	check 'no device is made' no_device wa
}

group_wrong_pair() {
	local a=/dev/ram0 da=/dev/ram1 b=/dev/ram2 db=/dev/ram3 uuid first second
	rmmod brd 2>/dev/null
	modprobe brd rd_nr=5 rd_size=65536 max_part=0
	named_pool wa $a $da
	first=$uuid
	named_pool wb $b $db
	second=$uuid
	refused "those of the pool with uuid $first" $a $db
	refused "holds the data of the pool with uuid $second" $a $db
	refused 'were the two mixed up' $da $a
	refused "holds no data of this pool, but a pool's metadata" $a $b
	fails 2 'both the metadata and the data device' pool activate wa --meta $a --data $a
	# The kernel checks by itself.
	check 'nor does the kernel take it' bash -c "! dmsetup create wa --table '0 131072 hpmapper-pool $a $db 512 0'"
	dmsetup remove wa 2>/dev/null
	fails 4 'holds the data of a pool' pool create wc --meta /dev/ram4 --data $db
	fails 4 'holds a pool' pool create wc --meta $a --data /dev/ram4
	works pool activate wa --meta $a --data $da
	fails 4 'in use' pool activate wc --meta $a --data $db
	fails 4 'in use' pool activate wc --meta $b --data $da
	has_name wa
	works pool remove wa --force
	works pool activate wb --meta $b --data $db
	has_name wb
	works pool remove wb --force

	# The first block of the right device is overwritten.
	dd if=/dev/zero of=$da bs=4k count=1 oflag=direct status=none
	refused 'then --adopt-data writes the mark again' $a $da
	works pool activate wa --meta $a --data $da --adopt-data --read-only
	has_name wa
	works pool remove wa --force
	refused 'does not begin with the mark' $a $da
	works pool activate wa --meta $a --data $da --adopt-data
	check 'that is not said again by the table' bash -c '! dmsetup table wa | grep adopt'
	has_name wa
	works pool remove wa --force
	works pool activate wa --meta $a --data $da
	has_name wa
	works pool remove wa --force

	# The data has moved to another device, and the old device has another
	# pool's data.
	dd if=$da of=/dev/ram4 bs=1M oflag=direct status=none
	works pool activate wa --meta $a --data /dev/ram4
	has_name wa
	works pool remove wa --force
	dd if=$db of=/dev/ram4 bs=1M oflag=direct status=none
	refused "those of the pool with uuid $first" $a /dev/ram4
	works pool create wc --meta $b --data $db --force
	works pool remove wc --wipe
	refused 'does not begin with the mark' $a $db
	rmmod brd
	wrong_files
}

wrong_files() {
	small_pool wd 64M
	small_pool we 64M
	works pool remove wd
	works pool remove we
	mv "$work/wd.pool.meta" "$work/wd.meta"
	cp "$work/we.pool.meta" "$work/wd.pool.meta"
	fails 5 'holds the data of the pool' pool activate wd --file "$work/wd.pool"
	check 'no loop device stays' test -z "$(losetup -n -l -O BACK-FILE | grep "$work/wd")"
	mv "$work/wd.meta" "$work/wd.pool.meta"
	works pool activate wd --file "$work/wd.pool"
	drop_pool wd
	rm -f "$work"/we.pool*
}

# The dump of a disk with metadata and data is restored to it, and the data stays.
group_disk_restored() {
	local disk bin=${HPMCTL%/*} way
	truncate -s 512M "$work/rd.disk"
	disk=$(losetup -f --show "$work/rd.disk")
	works pool create rd --disk "$disk"
	works volume create rd v --size 100M --activate
	pattern /dev/mapper/rd-v restored 64
	was=$(sum /dev/mapper/rd-v 64)
	works pool remove rd --force
	for way in restore repair; do
		check 'the disk can be checked' "$bin/hpm_check" -q "$disk"
		check 'and dumped' "$bin/hpm_dump" -o "$work/rd.xml" "$disk"
		if [ $way = repair ]; then
			dd if="$disk" of="$work/rd.meta" bs=1M count=8 status=none
			check 'repaired to the disk' "$bin/hpm_repair" -i "$work/rd.meta" -o "$disk"
		else
			check 'restored to the disk' "$bin/hpm_restore" -i "$work/rd.xml" -o "$disk"
		fi
		said 'no more of it is taken than before' 'take the first 2048 of the 131072 blocks'
		works pool activate rd --disk "$disk"
		works volume activate rd v
		check 'the volume is what it was' test "$(sum /dev/mapper/rd-v 64)" = "$was"
		works pool remove rd --force
	done
	losetup -d "$disk"
	rm -f "$work"/rd.*
}

group_grow_too_far() {
	small_pool w 64M
	fails 2 'at most' pool grow w --data 1P
	fails 2 'at most 16 GiB' pool grow w --meta +17G --data +64M
	check 'the file has the size that it had' test "$(stat -c %s "$work/w.pool")" = $((64 << 20))
	works pool remove w
	# as an older hpmctl, which did not check first, has left it
	truncate -s 300T "$work/w.pool"
	works pool activate w --file "$work/w.pool"
	json '.pool.data.total > 2e14 and .pool.mode == "rw"' pool status w
	drop_pool w
}

# The metadata has the largest possible size, and the device is larger.
group_grow_to_limit() {
	local meta data to
	truncate -s 8M "$work/l.meta"
	truncate -s 256M "$work/l.data"
	meta=$(losetup -f --show "$work/l.meta")
	data=$(losetup -f --show "$work/l.data")
	works pool create l --meta "$meta" --data "$data"
	works volume create l v --size 128M --activate
	pattern /dev/mapper/l-v limit 32
	was=$(sum /dev/mapper/l-v 32)
	for to in 1G 17179865088 16G; do
		truncate -s $to "$work/l.meta"
		losetup -c "$meta"
		works pool grow l
		json ".pool.metadata.total == $(stat -c %s "$work/l.meta") and .pool.mode == \"rw\"" pool status l
	done
	works volume snapshot l v s
	# The rest of the device is reported, and is no reason to refuse the device.
	truncate -s 20G "$work/l.meta"
	truncate -s 512M "$work/l.data"
	losetup -c "$meta"
	losetup -c "$data"
	works pool grow l
	said 'it says what is not used' 'a pool has at most 16 GiB of metadata'
	json '.pool.metadata.total == 17179869184 and .pool.data.total == 536870912' pool status l
	works pool checkpoint l
	works pool remove l --force
	check 'it is whole' "${HPMCTL%/*}/hpm_check" -q "$work/l.meta"
	works pool activate l --meta "$meta" --data "$data"
	works volume activate l v s
	check 'the volume is what it was' test "$(sum /dev/mapper/l-v 32)" = "$was"
	check 'and so is its snapshot' test "$(sum /dev/mapper/l-s 32)" = "$was"
	check 'it is written' dd if=/dev/zero of=/dev/mapper/l-v bs=1M count=16 oflag=direct status=none
	works pool remove l --force --wipe
	check 'files of loop devices that were there before stay' test -e "$work/l.meta" -a -e "$work/l.data"
	works pool create l --meta "$meta" --data "$data"
	said 'a new pool is told, too' 'at most 16 GiB of metadata'
	json '.pool.metadata.total == 17179869184' pool status l
	works pool remove l
	losetup -d "$meta" "$data"
	rm -f "$work"/l.*
}

group_grow_file() {
	small_pool g 64M
	works volume create g v --size 512M --activate
	check 'more than the pool has does not fit' bash -c "! dd if=/dev/zero of=/dev/mapper/g-v bs=1M count=80 oflag=direct status=none"
	works pool grow g --data +192M
	json '.pool.data.total == (256 * 1048576) and .pool.mode == "rw"' pool status g
	check 'now it fits' pattern /dev/mapper/g-v four 80
	works pool grow g --meta 16M
	json '.pool.metadata.total == (16 * 1048576)' pool status g
	fails 2 'cannot shrink' pool grow g --data 64M
	works pool remove g --force
	works pool activate g --file "$work/g.pool"
	json '.pool.data.total == (256 * 1048576) and .pool.metadata.total == (16 * 1048576)' pool status g
	drop_pool g
}

group_volumes() {
	small_pool v
	works volume create v a --size 100M
	json '.volume.id == 1 and .volume.bytes == 1048576 and .volume.active == false and .volume.parent == null' volume create v b --size 1M
	works volume create v c --size 1000001 --id 7
	json '.volume.bytes == 1003520' volume stat v c
	json '.volume.id == 2' volume create v d --size 1M
	fails 4 'has a volume a already' volume create v a --size 1M
	fails 4 'with the id 7 already' volume create v e --size 1M --id 7
	fails 3 'there is no active pool nope' volume create nope a --size 1M
	works volume list v
	check 'the names' test "$("$HPMCTL" volume list v -q | xargs)" = 'a b d c'
	works volume activate v a
	fails 3 'is not a pool' volume list v-a
	check 'its node has its size' test "$(blockdev --getsize64 /dev/mapper/v-a)" = $((100 << 20))
	fails 4 'is active already' volume activate v a
	fails 3 'has no volume nope' volume activate v nope
	pattern /dev/mapper/v-a five 20
	was=$(sum /dev/mapper/v-a 20)
	json '.volume.parent == "a" and .volume.active and .volume.device == "/dev/mapper/v-s"' volume snapshot v a s --activate
	check 'the snapshot is its origin' test "$(sum /dev/mapper/v-s 20)" = "$was"
	pattern /dev/mapper/v-s six 4
	check 'its origin stays as it was' test "$(sum /dev/mapper/v-a 20)" = "$was"
	json '.volume.bytes == 209715200' volume snapshot v 0 larger --size 200M
	json '.volume.mapped == 20971520 and .volume.io.written_bytes == 20971520 and .volume.highest_mapped_sector == 40959' volume stat v a
	works volume stat v a s c
	works volume rename v s t
	check 'its device is renamed' test -b /dev/mapper/v-t -a ! -e /dev/mapper/v-s
	fails 4 '' volume rename v t a
	works volume rename v t s
	works volume resize v a +28M
	check 'the device has grown' test "$(blockdev --getsize64 /dev/mapper/v-a)" = $((128 << 20))
	fails 4 'deactivate it' volume resize v a 1M
	fails 2 '--force does it' volume resize v c 4096
	works volume resize v c 4096 --force
	json '.volume.bytes == 4096' volume stat v c
	exec 9</dev/mapper/v-s
	fails 4 'cannot remove the device' volume deactivate v s
	said 'it says by which process' "open in process $$ ("
	fails 4 'cannot remove the device' volume remove v s
	works volume deactivate v s --deferred
	check 'it stays while it is open' dmsetup info v-s
	exec 9<&-
	check 'and goes then' bash -c 'for i in {1..50}; do dmsetup info v-s >/dev/null 2>&1 || exit 0; sleep 0.1; done; exit 1'
	works volume set v b readonly on
	works volume activate v b
	check 'a read-only volume cannot be written' bash -c '! dd if=/dev/zero of=/dev/mapper/v-b bs=4k count=1 oflag=direct status=none'
	fails 4 'the volume is active' volume set v b readonly off
	works volume deactivate v b
	works volume set v b readonly off
	works volume activate v b --read-only
	check 'nor one that was activated so' test "$(blockdev --getro /dev/mapper/v-b)" = 1
	works volume deactivate v b
	works volume set v b sharing off
	json '.volume.sharing == false' volume stat v b
	dmsetup message v 0 'create_thin 99'
	fails 2 'no size of its own' volume activate v 99
	works volume activate v 99 --size 8M
	check 'one without a name is called by its id' test -b /dev/mapper/v-99
	works volume rename v 99 named
	check 'until it has a name' test -b /dev/mapper/v-named
	dmsetup create other --table "0 2048 hpmapper $(dmsetup info -c --noheadings -o major,minor --separator : v) 2"
	json '.volume.device == "/dev/mapper/other"' volume stat v d
	works volume remove v d
	check 'also one that has another device name' no_device other
	works volume remove v s a larger
	check 'what is deleted is gone' no_device v-a
	fails 3 'has no volume a' volume remove v a
	json '.volumes | map(.name) == ["b", "c", "named"]' volume list v
	fails 4 'volumes of the pool v are active' pool remove v
	drop_pool v
}

group_many() {
	small_pool m
	for i in $(seq 0 299); do
		echo "create_thin $i 2048 a-volume-with-a-rather-long-name-$i"
	done | while read -r line; do dmsetup message m 0 "$line"; done
	json '.volumes | length == 300 and (map(.id) == [range(300)])' volume list m
	works volume remove m 17
	json '.volume.id == 17' volume create m again --size 1M
	drop_pool m
}

group_freeze() {
	small_pool z
	works volume create z fs --size 200M --activate
	mkfs.ext4 -q /dev/mapper/z-fs
	mkdir -p "$work/mnt space"
	mount /dev/mapper/z-fs "$work/mnt space"
	dd if=/dev/urandom of="$work/mnt space/f" bs=1M count=5 status=none
	works volume snapshot z fs frozen --freeze --activate
	check 'the snapshot needs no repair' bash -c 'dumpe2fs -h /dev/mapper/z-frozen 2>/dev/null | grep -q "Filesystem features" && ! dumpe2fs -h /dev/mapper/z-frozen 2>/dev/null | grep -q needs_recovery'
	check 'the origin goes on' timeout 10 touch "$work/mnt space/g"
	works volume snapshot z fs hot --activate
	check 'without it, the journal repairs' e2fsck -fy /dev/mapper/z-hot
	fails 4 'has a volume hot already' volume snapshot z fs hot --freeze
	check 'a failed snapshot does not leave it frozen' timeout 10 touch "$work/mnt space/h"
	umount "$work/mnt space"
	h volume snapshot z fs idle --freeze
	said 'one that is not mounted is said so' 'nothing to freeze' 
	drop_pool z
}

make_tree() {
	mkdir -p "$1/etc" "$1/bin" "$1/dev"
	echo base >"$1/etc/name"
	echo gone >"$1/etc/gone"
	seq -f %0999.0f 1000000 | head -c 5000000 >"$1/bin/big"
	ln "$1/bin/big" "$1/bin/again"
	ln -s bin "$1/sbin"
	mknod "$1/dev/null" c 1 3
	chown 33:33 "$1/etc/name"
	setfattr -n trusted.x -v y "$1/etc/name"
	chmod 4755 "$1/bin/big"
	truncate -s 100M "$1/hole"
}

# Describes a tree for comparison, without the entries that mkfs adds.
tree_sum() {
	(cd "$1" || exit
		find . -path ./lost+found -prune -o \
			-type d -printf '%p d %m %U:%G %T@\n' -o \
			-printf '%p %y %m %U:%G %s %n %l %T@\n' | grep -v '^\. ' | sort
		find . -type f -exec sha256sum {} + | sort
		getfattr -R -d -m trusted . 2>/dev/null)
}

group_import_tar() {
	local fs
	small_pool t 1G
	make_tree "$work/tree"
	tar -C "$work/tree" --xattrs --xattrs-include='*' -cf "$work/base.tar" .
	mkdir -p "$work/up/etc" "$work/mnt"
	echo upper >"$work/up/etc/name"
	touch "$work/up/etc/.wh.gone"
	tar -C "$work/up" -czf "$work/upper.tar.gz" .
	for fs in ext4 xfs; do
		works import t $fs "$work/base.tar" --fs $fs --size 400M
		told 'one line for a layer' "volume $fs, id"
		json '.volume.read_only and .volume.active == false' volume stat t $fs
		works volume activate t $fs
		mount -o "ro,$([ $fs = xfs ] && echo nouuid || echo noatime)" "/dev/mapper/t-$fs" "$work/mnt"
		tree_sum "$work/tree" >"$work/want"
		tree_sum "$work/mnt" >"$work/have"
		check "$fs: the volume holds what the archive holds" diff "$work/want" "$work/have"
		check "$fs: and nothing else" test ! -e "$work/mnt/lost+found"
		umount "$work/mnt"
		works volume deactivate t $fs
		json ".layers[0].whiteouts == 1 and .name == \"$fs-up\"" import t $fs-up "$work/upper.tar.gz" --from $fs
		json ".volume.parent == \"$fs\" and .volume.read_only" volume stat t $fs-up
		works volume snapshot t $fs-up $fs-c --activate
		mount -o "$([ $fs = xfs ] && echo nouuid || echo noatime)" "/dev/mapper/t-$fs-c" "$work/mnt"
		check "$fs: the second layer replaced a file" grep -q upper "$work/mnt/etc/name"
		check "$fs: and deleted one" test ! -e "$work/mnt/etc/gone"
		check "$fs: the container can write" cp /etc/passwd "$work/mnt/etc/passwd"
		umount "$work/mnt"
	done
	fails 4 'has a volume ext4 already' import t ext4 "$work/base.tar"
	fails 3 'cannot read' import t x "$work/nowhere.tar"
	fails 3 'has no volume nope' import t x "$work/base.tar" --from nope
	fails 2 'are for OCI layouts' import t x "$work/base.tar" --ref v1
	head -c 1000000 "$work/base.tar" >"$work/cut.tar"
	fails 5 'runcated' import t x "$work/cut.tar" --size 200M
	fails 1 'No space left' import t x "$work/base.tar" --size 4M
	h volume list t
	! grep -qw x "$out"
	ok $? 'a failed import leaves no volume'
	check 'nor a device' no_device t-x
	check 'nor a mount' bash -c '! grep -qE "/hpmctl-[A-Za-z0-9]{6} " /proc/mounts'
	drop_pool t
}

group_import_stream() {
	small_pool s 512M
	make_tree "$work/tree2"
	tar -C "$work/tree2" -c . | "$HPMCTL" import s piped - --size 200M >"$out" 2>"$err"
	ok $? 'an archive comes on standard input'
	[ ! -s "$err" ]
	ok $? 'the bar is not for pipes'
	script -qec "$HPMCTL import s seen $work/seen.tar --size 300M" /dev/null >"$out" 2>"$err" </dev/null
	ok $((! $?)) 'a missing file fails on a terminal, too'
	tar -C "$work/tree2" -cf "$work/seen.tar" .
	script -qec "$HPMCTL import s seen $work/seen.tar --size 300M" /dev/null >"$out" 2>"$err" </dev/null
	told 'on a terminal there is a bar' '%.* MB/s.*K'
	(cd "$work" && mkdir -p save && cp "$work/seen.tar" save/layer.tar &&
		echo '[{"Config":"c.json","Layers":["layer.tar"]}]' >save/manifest.json &&
		echo '{}' >save/c.json && tar -C save -cf save.tar .)
	"$HPMCTL" import s saved - --size 200M <"$work/save.tar" >"$out" 2>"$err"
	[ $? = 5 ]
	ok $? 'what "docker save" writes is not taken for a file system on standard input'
	said 'and why is said' 'not a file system but an image'
	# ^C in the middle
	mkfifo "$work/fifo"
	"$HPMCTL" import s stopped - --size 200M <"$work/fifo" >"$out" 2>"$err" &
	pid=$!
	exec 8>"$work/fifo"
	tar -C "$work/tree2" -c . | head -c 1000000 >&8
	for _ in {1..50}; do
		h volume list s
		grep -q stopped "$out" && break
		sleep 0.1
	done
	kill -INT $pid
	sleep 0.2
	wait $pid
	status=$?
	[ $status = 130 ]
	ok $? "interrupted: status 130 ($status)"
	exec 8>&-
	h volume list s -q
	! grep -q stopped "$out"
	ok $? 'an interrupted import leaves nothing'
	check 'nor a device of it' no_device s-stopped
	drop_pool s
}

# Makes a layout of two layers by hand, as the specification says.
make_oci() {
	local dir=$1 d1 d2 m
	mkdir -p "$dir/blobs/sha256"
	put() {
		local s
		s=$(sha256sum <"$1" | cut -d' ' -f1)
		mv "$1" "$dir/blobs/sha256/$s"
		echo "$s"
	}
	size() { stat -c %s "$dir/blobs/sha256/$1"; }
	tar -C "${2:-$work/tree3}" -czf "$work/l1" .
	d1=$(put "$work/l1")
	tar -C "${3:-$work/up3}" --zstd -cf "$work/l2" .
	d2=$(put "$work/l2")
	cat >"$work/m" <<-END
		{"schemaVersion":2,"layers":[
		{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$d1","size":$(size "$d1")},
		{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"sha256:$d2","size":$(size "$d2")}]}
	END
	m=$(put "$work/m")
	echo '{"imageLayoutVersion":"1.0.0"}' >"$dir/oci-layout"
	echo "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:$m\",\"size\":$(size "$m")}]}" >"$dir/index.json"
	layer2=$dir/blobs/sha256/$d2
}

group_import_oci() {
	small_pool o 1G
	make_tree "$work/tree3"
	mkdir -p "$work/up3/bin" "$work/mnt"
	echo new >"$work/up3/bin/new"
	touch "$work/up3/bin/.wh..wh..opq"
	make_oci "$work/oci"
	works import o img "$work/oci" --size 300M
	[ "$(grep -c '^layer [12]/2 sha256:' "$out")" = 2 ]
	ok $? 'a line for each layer'
	json '.volumes | map(.name) == ["img.layer1", "img"] and .[1].parent == "img.layer1" and (map(.read_only) | all)' volume list o
	works volume activate o img img.layer1
	mount -o ro,noload /dev/mapper/o-img "$work/mnt"
	check 'the top layer has both' grep -q base "$work/mnt/etc/name"
	check 'its opaque directory has only its own' test "$(ls "$work/mnt/bin")" = new
	umount "$work/mnt"
	mount -o ro,noload /dev/mapper/o-img.layer1 "$work/mnt"
	check 'the layer below is as it was' cmp "$work/tree3/bin/big" "$work/mnt/bin/big"
	umount "$work/mnt"
	tar -C "$work/oci" -cf "$work/oci.tar" .
	json '.layers | length == 2' import o tarred "$work/oci.tar" --size 300M
	json '.layers | length == 2' import o onto "$work/oci" --from img
	json '.volumes | map(select(.name == "onto.layer1"))[0].parent == "img"' volume list o
	printf x | dd of="$layer2" bs=1 seek=40 conv=notrunc status=none
	fails 5 '' import o hurt "$work/oci" --size 300M
	h volume list o -q
	! grep -q hurt "$out"
	ok $? 'a damaged image leaves no volume'
	check 'and no device' no_device o-hurt
	drop_pool o
}

# Makes an archive as "docker save" wrote it before it wrote layouts.
make_docker() {
	local dir=$1 config
	mkdir -p "$dir/1111111111111111" "$dir/2222222222222222"
	tar -C "$work/tree3" -cf "$dir/1111111111111111/layer.tar" .
	tar -C "$work/up3" -cf "$dir/2222222222222222/layer.tar" .
	jq -n --arg a "sha256:$(sha256sum <"$dir/1111111111111111/layer.tar" | cut -d' ' -f1)" \
		--arg b "sha256:$(sha256sum <"$dir/2222222222222222/layer.tar" | cut -d' ' -f1)" \
		'{os: "linux", rootfs: {diff_ids: [$a, $b]}}' >"$work/config"
	config=$(sha256sum <"$work/config" | cut -d' ' -f1).json
	mv "$work/config" "$dir/$config"
	echo "[{\"Config\":\"$config\",\"RepoTags\":[\"x/y:1\"],\"Layers\":[\"1111111111111111/layer.tar\",\"2222222222222222/layer.tar\"]}]" >"$dir/manifest.json"
}

group_import_docker() {
	small_pool n 1G
	make_tree "$work/tree3"
	mkdir -p "$work/up3/bin" "$work/mnt"
	echo new >"$work/up3/bin/new"
	make_docker "$work/docker"
	tar -C "$work/docker" -czf "$work/docker.tgz" .
	json '.layers | length == 2' import n img "$work/docker.tgz" --size 300M --ref x/y:1
	works volume activate n img
	mount -o ro,noload /dev/mapper/n-img "$work/mnt"
	check 'both layers are there' grep -q new "$work/mnt/bin/new" "$work/mnt/etc/name"
	check 'and nothing of the archive itself' test ! -e "$work/mnt/manifest.json"
	umount "$work/mnt"
	# the compression reports damage that is behind everything that is read
	cp "$work/docker.tgz" "$work/bad.tgz"
	printf '\0\0\0\0' | dd of="$work/bad.tgz" bs=1 seek="$(($(stat -c %s "$work/bad.tgz") - 8))" conv=notrunc status=none
	fails 5 'incorrect data check' import n bad "$work/bad.tgz" --size 300M
	head -c -4 "$work/docker.tgz" >"$work/cut.tgz"
	fails 5 'runcated' import n bad "$work/cut.tgz" --size 300M
	head -c 3000 "$work/docker.tgz" >"$work/cut.tgz"
	fails 5 'runcated' import n bad "$work/cut.tgz" --size 300M
	check 'of none anything stays' test "$("$HPMCTL" volume list n -q | xargs)" = 'img.layer1 img'
	fails 3 'x/y:1' import n other "$work/docker" --ref nope
	echo x >>"$work/docker/2222222222222222/layer.tar"
	fails 5 'damaged' import n hurt "$work/docker" --size 300M
	check 'nothing stays of it' test "$("$HPMCTL" volume list n -q | xargs)" = 'img.layer1 img'
	drop_pool n
}

# nothing_stays <pool>: nothing of an import is left, whatever stopped it
nothing_stays() {
	"$HPMCTL" volume list "$1" >"$out" 2>"$err"
	! grep -q . < <("$HPMCTL" volume list "$1" -q) && ! dmsetup ls | grep "^$1-" >>"$out" &&
		! ls -d /run/hpmctl-* >>"$out" 2>/dev/null
	ok $? "nothing stays: $2"
}

# Starts an import that waits for the rest of its archive.
begin_import() {
	mkfifo "$work/slow"
	"$HPMCTL" import i slow - --size 200M <"$work/slow" >"$work/slow.out" 2>&1 &
	pid=$!
	exec 8>"$work/slow"
	head -c 1000000 "$work/plain.tar" >&8
	for _ in {1..100}; do
		"$HPMCTL" volume list i -q | grep -q '^slow.importing-' && break
		sleep 0.1
	done
	worker=$(pgrep -P "$pid")
}

end_import() {
	wait "$pid" 2>/dev/null
	exec 8>&-
	rm "$work/slow"
	for _ in {1..100}; do
		kill -0 "$worker" 2>/dev/null || break
		sleep 0.1
	done
}

group_import_undone() {
	local i pid worker
	small_pool i 128M
	mkdir -p "$work/many" "$work/plain"
	truncate -s 32T "$work/huge" &&
		tar -C "$work" -S -cf "$work/huge.tar" huge
	fails 5 'an impossible file: huge' import i v "$work/huge.tar" --size 64M
	nothing_stays i 'a sparse file of 32 TiB'
	(cd "$work/many" && seq 1 6000 | xargs touch)
	tar -C "$work/many" -cf "$work/many.tar" .
	fails 1 'no inodes left' import i v "$work/many.tar" --size 16M
	nothing_stays i 'no inodes'
	fails 2 '--size 300M' import i v "$work/many.tar" --fs xfs --size 100M
	head -c 150M /dev/urandom >"$work/plain/big"
	tar -C "$work/plain" -cf "$work/plain.tar" .
	fails 1 'the pool i is full' import i v "$work/plain.tar" --size 400M
	said 'what to do is said' 'pool grow i'
	nothing_stays i 'a full pool'
	works pool grow i --data 512M
	begin_import
	kill -9 "$worker"
	end_import
	grep -q 'ended by signal 9' "$work/slow.out"
	ok $? 'who kills the worker is told so'
	nothing_stays i 'the worker was killed'
	begin_import
	kill -9 "$pid"
	end_import
	nothing_stays i 'the waiting process was killed'
	begin_import
	fails 2 'cannot be the name' volume rename i 0 "x.importing-"
	works import i beside "$work/many.tar" --size 64M
	check 'an import leaves another one alone' grep -q '^slow.importing-' <("$HPMCTL" volume list i -q)
	works volume remove i beside
	kill -STOP "$worker"
	kill -9 "$pid" "$worker"
	end_import
	check 'of one that was killed as a whole something stays' grep -q '^slow.importing-' <("$HPMCTL" volume list i -q)
	works import i slow "$work/many.tar" --size 64M
	check 'until the next import' test "$("$HPMCTL" volume list i -q)" = slow
	works volume remove i slow
	works pool remove i --force
	works pool activate i --file "$work/i.pool" --read-only
	fails 1 '' import i v "$work/many.tar" --size 64M
	nothing_stays i 'a read-only pool'
	drop_pool i
}

group_top() {
	small_pool p
	works volume create p v --size 64M --activate
	works top p -n 1 -d 0.2
	told 'it tells of the volume' '^v '
	(for _ in {1..30}; do
		dd if=/dev/zero of=/dev/mapper/p-v bs=1M count=16 oflag=direct status=none
		sleep 0.05
	done) &
	h top p -n 3 -d 0.5 --json
	[ "$(wc -l <"$out")" = 3 ]
	ok $? 'three documents, a line each'
	jq -es 'map(.pools[0].active_volumes[0].rates.written_bytes_per_s) | max > 1000000' "$out" >/dev/null 2>>"$err"
	ok $? 'with rates'
	wait
	fails 3 'there is no active pool nope' top nope -n 1 -d 0.1
	drop_pool p
	works top -n 1 -d 0.1
}

group_sharing() {
	if ! has_interceptor; then
		skip sharing 'the module was built without the interceptor'
		return
	fi
	works pool create p --file "$work/p.pool" --size 256M
	check 'it is the default' test -z "$(dmsetup table p | grep sharing)"
	works volume create p v --size 64M --activate
	mkfs.ext4 -q -b 4096 /dev/mapper/p-v
	mkdir -p "$work/a" "$work/b"
	mount -t ext4 /dev/mapper/p-v "$work/a"
	head -c 4M /dev/urandom >"$work/a/file"
	umount "$work/a"
	works volume snapshot p v c1
	works volume snapshot p v c2
	works volume activate p c1
	works volume activate p c2
	mount -t ext4 /dev/mapper/p-c1 "$work/a"
	mount -t ext4 /dev/mapper/p-c2 "$work/b"
	check 'the clones have the same bytes' cmp "$work/a/file" "$work/b/file"
	json '.pool.counters | .hits > 900 and .not_read > 3600000 and .copies.used > 1000 and .copies_limit.set == 2' pool status p
	works top p -n 1 -d 0.1
	told 'it tells of the cache' '^cache .* copies of .* blocks .* evicted .* hits .* not read'
	json '.pools[0].data_rates | has("cache_hits_per_s") and has("cache_bytes_per_s")' top p -n 1 -d 0.1
	works pool set p cache copies_limit 1
	json '.pool.counters.copies_limit.set == 1' pool status p
	works pool set p cache scan_ms 500
	works pool set p cache entries 100
	json '.pool.counters.copies.used <= 128' pool status p
	works pool set p cache evict
	works pool set p cache share off
	json '.pool.counters | .share == "off" and .copies.used == 0' pool status p
	works pool set p cache share on
	fails 1 'refused the message' pool set p cache copies_limit 0
	umount "$work/a" "$work/b"
	works pool remove p --force
	works pool activate p --file "$work/p.pool" --no-sharing
	check 'now it is not wanted' grep -q ' 1 no_sharing$' <(dmsetup table p)
	works pool set p cache share on
	json '.pool.counters.share == "off"' pool status p
	drop_pool p
}

group_udev() {
	local daemon=/lib/systemd/systemd-udevd
	DM_DISABLE_UDEV=1 "$HPMCTL" pool create u --file "$work/u.pool" --size 64M >"$out" 2>"$err"
	check 'DM_DISABLE_UDEV: the node is there' test -b /dev/mapper/u
	drop_pool u
	if [ ! -x $daemon ]; then
		skip 'with udev' 'no udevd here'
		return
	fi
	$daemon --daemon && udevadm trigger --subsystem-match=block && udevadm settle
	works pool create u --file "$work/u.pool" --size 256M
	check 'with udev: the pool node is there at once' test -e /dev/mapper/u
	works volume create u v --size 64M --activate
	check 'with udev: the volume node is there at once' test -e /dev/mapper/u-v
	mkfs.ext4 -q /dev/mapper/u-v
	works volume deactivate u v
	check 'with udev: it is gone at once' test ! -e /dev/mapper/u-v
	make_tree "$work/tree4"
	tar -C "$work/tree4" -cf "$work/u.tar" .
	works import u img "$work/u.tar" --size 200M
	works volume rename u v w
	check 'no cookie stays' bash -c '[ "$(dmsetup udevcookies | tail -n +2 | wc -l)" = 0 ]'
	drop_pool u
	check 'with udev: the pool node is gone' test ! -e /dev/mapper/u
	udevadm control --exit
}

group_table() {
	small_pool b 128M
	works volume create b v --size 64M --activate
	check "the pool's table can be loaded again" bash -c 'dmsetup table b | dmsetup reload b && dmsetup resume b'
	check "the volume's table, too" bash -c 'dmsetup table b-v | dmsetup reload b-v && dmsetup resume b-v'
	json '.volume.active' volume stat b v
	drop_pool b
}

# shellcheck source=page.sh
. "$top/tests/vm/suite/page.sh"

modprobe loop
for g in file_pool file_errors devices disk wrong_pair disk_restored grow_file grow_too_far grow_to_limit host_full \
	races words volumes many freeze \
	import_tar import_stream import_oci import_docker import_undone top sharing table udev faults create_faults import_faults page; do
	# These take minutes, and run only when they are named.
	if [ $# = 0 ] && [[ $g == *faults || $g == page ]]; then
		continue
	fi
	if [ $# -gt 0 ]; then
		for word; do [[ $g == *$word* ]] && break; done
		[[ $g == *$word* ]] || continue
	fi
	echo "# $g"
	group_$g
done
echo "1..$n"
echo "$((n - bad)) passed, $bad failed"
[ $bad = 0 ]
