#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Records a load in a guest and replays crashes of it.
#
#	run.sh crash <steps> <points> <exports>
#	run.sh faults <steps> [<fault>...]
#	run.sh order
#
# crash: there must be no violation, and a kernel that mounts the file systems of
# some points must find its files, and nothing to repair.
#
# faults: with each fault planted (dm-hpmapper/fault.h) there must be a violation.
#
# order: tests, without a pool, whether the recorder keeps the order of flushes.
#
# SEED in the environment is the seed of the load and of the replay.  BUILD, CACHE
# and KERNEL are as in boot.sh.
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

# in_guest NAME COMMAND...: runs the command with two CPUs, and $out/NAME.log as the
# disk
in_guest() {
	local name=$1

	shift
	rm -rf "${out:?}/$name" "$out/$name.log" "$BUILD/vm/out/crash-$name"
	mkdir -p "$out/$name"
	truncate -s 8G "$out/$name.log"
	NAME=crash-$name CPUS=2 MEM=3G TIMEOUT=900 DISKS=$out/$name.log \
		"$here/../vm/boot.sh" "$*" >"$out/$name/guest.log" 2>&1
}

# record NAME STEPS FLUSH_MS LARGE [FAULT]: records into $out/NAME.log and the
# directory $out/NAME
record() {
	local name=$1 steps=$2 flush=$3 large=$4 fault=${5:-none} status

	in_guest "$name" \
		"$here/record.sh pool /dev/vda \$VM_OUT/crash-$name" \
		"$seed $flush $large $steps $fault"
	status=$?
	mv "$BUILD/vm/out/crash-$name"/* "$out/$name/" 2>/dev/null
	rm -rf "$BUILD/vm/out/crash-$name"
	return $status
}

crash() {
	local steps=$1 points=$2 exports=$3

	echo "# recording $steps steps of load, seed $seed"
	if record crash "$steps" 1 512; then
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
	# the files are large, and not needed any more
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

# find_fault POINTS OPTION...: finds the first violation in the record of $fault, or
# none
find_fault() {
	local points=$1 report=$out/faults-$fault.txt status=0

	shift
	"$out/replay-faults" --log "$out/faults.log" --dir "$out/faults" \
		--load-seed "$seed" --seed "$seed" --points "$points" --stop \
		"$@" >"$report" 2>&1 || status=$?
	case $status in
	0) found=none ;;
	1) found=$(grep -m 1 'violation at' "$report") ;;
	*) found="the replay fails" ;;
	esac
	last=$(tail -n 1 "$report")
}

# record_fault NAME: makes a record with the fault planted, and looks for a
# violation
#
# The replayer's engine has no fault, unless the fault is one of the recovery.  The
# replayer first looks at points from all of the record, then at more of them.
record_fault() {
	local fault=$1 options=()

	[ "$fault" != stale_batch ] || options=(--fault "$fault")
	record faults "$steps" 30 4096 "$fault" ||
		echo "# $fault: $(tail -n 1 "$out/faults/guest.log")"
	find_fault 5000 "${options[@]}"
	[ "$found" != none ] || find_fault 60000 "${options[@]}"
}

# On a disk whose flushes take long, much happens between the record of a change and
# its commit.  With the largest large blocks a pool has few free ones, and a freed
# one is soon used again.
faults() {
	local steps=$1 fault found last

	export VARIANT=faults
	shift
	record_fault none
	if [ "$found" = none ]; then
		ok "nothing planted, nothing found:$last"
	else
		not_ok "nothing planted: $found, $last"
	fi
	for fault; do
		record_fault "$fault"
		case $found in
		*violation*) ok "$fault is caught:$found" ;;
		*) not_ok "$fault is caught: $found, $last" ;;
		esac
	done
	rm -rf "$out/faults.log"
}

# order_of FLUSH_MS: replays a record of plain writers
order_of() {
	local report=$out/order-$1.txt status=0

	in_guest order "$here/record.sh plain /dev/vda $seed $1" ||
		tail -n 5 "$out/order/guest.log"
	"$out/replay" --plain --log "$out/order.log" --dir "$out/order" \
		--load-seed "$seed" >"$report" 2>&1 || status=$?
	case $status in
	0) found=none ;;
	1) found=$(grep -m 1 'violation at' "$report") ;;
	*) found="the replay fails" ;;
	esac
	tail -n 1 "$report"
}

order() {
	local found try

	order_of 1
	if [ "$found" = none ]; then
		ok "one flush after another: what the log says is true"
	else
		not_ok "one flush after another: $found"
	fi
	# it is a matter of chance, but there are thousands of flushes
	for try in 1 2 3; do
		echo "# record $try of flushes side by side"
		order_of 0
		[ "$found" = none ] || break
	done
	if [[ $found == *violation* ]]; then
		ok "flushes side by side: it is not, $found"
	else
		not_ok "flushes side by side: it is not ($found)"
	fi
	rm -f "$out/order.log"
}

"$@"
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
