#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs test programs and prints how many tests passed and failed.
#
#	run.sh <program>...
#
# SEED and SCALE in the environment are for the programs (rig.h).  A program that
# dies counts as one failed test; its last output tells the reason.
set -uo pipefail

export SEED SCALE
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

passed=0 failed=0
for program in "$@"; do
	name=$(basename "$program")
	log=$program.log
	start=$SECONDS
	"$program" >"$log" 2>&1
	status=$?
	ok=$(grep -c '^\[       OK \]' "$log")
	bad=$(grep -c '^\[  FAILED  \] .*:.*\|^\[  FAILED  \] [a-z_0-9]*$' "$log")
	if [ $status != 0 ] && [ "$bad" = 0 ]; then
		bad=1
	fi
	[ $status = 0 ] && bad=0
	printf '%-14s %3d passed %s(%d s)\n' "$name" "$ok" \
		"$([ "$bad" = 0 ] || echo "$bad failed ")" $((SECONDS - start))
	if [ $status != 0 ]; then
		tail -n 60 "$log" | sed 's/^/    /'
	fi
	passed=$((passed + ok))
	failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
