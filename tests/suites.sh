#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs test suites, each a make target whose output ends with a line
#
#	N passed, N failed
#
# one after another, shows what each does while it runs, keeps its output in
# build/test/<suite>.log, and ends with a table and one such line for all.  A
# suite that fails without saying how many tests failed counts as one failure.
#
# usage: tests/suites.sh SUITE...      (the make target is the suite's name)
set -u -o pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
logs=${BUILD:-$top/build}/test
mkdir -p "$logs"

total_passed=0 total_failed=0
rows=()

run_suite() {
	local suite=$1 log=$logs/$1.log status=0 start=$SECONDS counts
	local passed=0 failed=0

	echo "=== $suite"
	${MAKE:-make} --no-print-directory -C "$top" "$suite" 2>&1 |
		tee "$log" || status=$?
	counts=$(grep -oE '[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
	if [ -n "$counts" ]; then
		passed=${counts%% passed*}
		failed=${counts##*, }
		failed=${failed%% failed*}
	fi
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		failed=1
	elif [ "$status" -eq 0 ] && [ $((passed + failed)) -eq 0 ]; then
		echo "$suite ran no test"
		failed=1
	fi
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	rows+=("$(printf '%-16s %7d %7d %6d s' "$suite" "$passed" "$failed" \
		$((SECONDS - start)))")
}

for suite in "$@"; do
	run_suite "$suite"
done

printf '\n%-16s %7s %7s %8s\n' suite passed failed time
printf '%s\n' "${rows[@]}"
echo
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" -eq 0 ]
