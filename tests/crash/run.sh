#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Records a load in a guest and replays the crashes of it.
#
#	run.sh crash <steps> <points> <exports>
#	run.sh faults <steps> [<fault>...]
#
# crash: no violation may be found, and a kernel that mounts the file systems
# of some points must find its files, and nothing to repair.
#
# faults: with each fault planted (dm-hpmapper/fault.h) there must be one.
#
# SEED in the environment: of the load and of the replay.  BUILD, CACHE and
# KERNEL as in boot.sh.
set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=$BUILD/crash
seed=${SEED:-1}
passed=0 failed=0
mkdir -p "$out"

ok() {
	passed=$((passed + 1))
	echo "ok - $*"
}

not_ok() {
	failed=$((failed + 1))
	echo "not ok - $*"
}

# record NAME STEPS [FAULT]: into $out/NAME.log and the directory $out/NAME
#
# One CPU, and no preemption where the kernel might sleep: of two flushes that
# are under way at once, dm-log-writes hands what was written before them to the
# one that was sent first, so if the other ends first the log says that it
# flushed nothing.  So neither can overtake, as a flush of this disk ends before
# anything else runs.
record() {
	local name=$1 steps=$2 fault=${3:-none}

	rm -rf "${out:?}/$name" "$out/$name.log" "$BUILD/vm/out/crash-$name"
	mkdir -p "$out/$name"
	truncate -s 8G "$out/$name.log"
	NAME=crash-$name CPUS=1 MEM=3G ARGS=preempt=none \
		TIMEOUT=900 DISKS=$out/$name.log \
		VARIANT=$([ "$fault" = none ] || echo faults) \
		"$here/../vm/boot.sh" "$here/record.sh /dev/vda \
		\$VM_OUT/crash-$name $seed $steps $fault" \
		>"$out/$name/guest.log" 2>&1
	local status=$?
	mv "$BUILD/vm/out/crash-$name"/* "$out/$name/" 2>/dev/null
	rm -rf "$BUILD/vm/out/crash-$name"
	return $status
}

crash() {
	local steps=$1 points=$2 exports=$3

	echo "# recording $steps steps of load, seed $seed"
	if record crash "$steps"; then
		ok "the load runs to its end"
	else
		tail -n 20 "$out/crash/guest.log"
		not_ok "the load runs to its end"
		return
	fi
	if "$out/replay" --log "$out/crash.log" --dir "$out/crash" \
			--load-seed "$seed" --seed "$seed" --points "$points" \
			--fsck 100 --exports "$exports" | tee "$out/replay.txt"; then
		ok "no violation"
	else
		not_ok "no violation (replay with $out/replay --log $out/crash.log --dir $out/crash --load-seed $seed)"
	fi
	[ "$exports" = 0 ] || mount_exports
	# what nobody will look at again is large
	[ $failed != 0 ] || rm -rf "$out/crash.log" "$out/crash/export"
}

mount_exports() {
	local line

	CPUS=2 MEM=2G TIMEOUT=600 NAME=crash-fsck "$here/../vm/boot.sh" \
		"$here/fsck.sh $out/crash/export" >"$out/fsck.txt" 2>&1
	while read -r line; do
		case $line in
		"ok - "*) ok "${line#ok - }" ;;
		"not ok - "*) not_ok "${line#not ok - }" ;;
		esac
	done <"$out/fsck.txt"
	if ! grep -q '^ok - ' "$out/fsck.txt"; then
		cat "$out/fsck.txt"
		not_ok "file systems of crash points are mounted"
	fi
}

# What a fault in the recovery alone needs no record of its own.
faults() {
	local steps=$1 fault

	shift
	for fault; do
		record faults "$steps" "$fault"
		if "$out/replay-faults" --log "$out/faults.log" \
				--dir "$out/faults" --load-seed "$seed" \
				--seed "$seed" --points 60000 --stop \
				--fault "$fault" >"$out/faults-$fault.txt" 2>&1; then
			not_ok "$fault is caught: $(tail -n 1 "$out/faults-$fault.txt")"
		elif grep -q violation\ at "$out/faults-$fault.txt"; then
			ok "$fault is caught: $(grep -m 1 'violation at' "$out/faults-$fault.txt")"
		else
			tail -n 5 "$out/faults/guest.log" "$out/faults-$fault.txt"
			not_ok "$fault is caught"
		fi
	done
	rm -rf "$out/faults.log"
}

"$@"
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
