#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Plants one fault after another in the engine (dm-hpmapper/fault.h) and runs the
# test that looks for it; that test must fail.  Each of these tests must pass when
# nothing is planted.
#
#	planted.sh <directory of the programs>
#
# SEED in the environment is the seed of the programs.
set -u

dir=$1
passed=0 failed=0

# run FAULT PROGRAM TEST [SCALE]
run() {
	# the shell would print a message for each abort
	{ FAULT=$1 ONLY=$3 SCALE=${4:-1} timeout 120 "$dir/$2" >"$dir/$1-$3.log" 2>&1; } 2>/dev/null
}

# catches FAULT PROGRAM TEST [SCALE]: the test must fail, with SCALE times the
# histories
catches() {
	run "$@"
	local status=$?

	# 124 is a timeout, which does not count as found
	if [ $status != 0 ] && [ $status != 124 ] &&
	   ! grep -q 'there is no fault' "$dir/$1-$3.log"; then
		passed=$((passed + 1))
		echo "ok - $1 is caught by $3 of $2"
	else
		failed=$((failed + 1))
		echo "not ok - $1 is caught by $3 of $2 (status $status)"
	fi
}

# sound PROGRAM TEST: the test must pass with nothing planted
sound() {
	if run none "$1" "$2"; then
		passed=$((passed + 1))
		echo "ok - nothing planted, $2 of $1"
	else
		failed=$((failed + 1))
		echo "not ok - nothing planted, $2 of $1"
		tail -n 20 "$dir/none-$2.log"
	fi
}

while read -r fault program test scale; do
	catches "$fault" "$program" "$test" "$scale"
	tests+=" $program:$test"
done <<'END'
flush_batch	test_crash	test_writes
flush_super	test_crash	test_writes
late_join	test_model	test_tasks	20
record_early	test_model	test_plain
discard_early	test_crash	test_reuse
reuse_early	test_crash	test_reuse
super_early	test_crash	test_writes
epoch_open	test_crash	test_snapshots
stale_batch	test_crash	test_torn_twice
old_super	test_open	test_format_over
END
for pair in $(tr ' ' '\n' <<<"$tests" | sort -u); do
	sound "${pair%:*}" "${pair#*:}"
done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
