#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs test suites.  Each is a make target whose output ends with a line
#
#	N passed, N failed
#
# It shows the output of each while it runs, keeps it in build/test/<suite>.log, and
# ends with a table and one such line for all.  A suite that fails without a count
# of failed tests counts as one failure; so does one that runs no test.
#
# What cannot be tested here is neither passed nor failed: the suite prints a line
#
#	# SKIP [<the part that is left out>: ]<reason>
#
# and succeeds; if it has no other tests, it is skipped.  The reasons follow the table.
#
# Most suites keep one CPU busy, a guest that emulates one above all.  So two of
# them run at a time where the machine has two CPUs and 8 GiB of memory (a guest
# takes 3); each line then says which suite it comes from.
#
# usage: [LANES=1] tests/suites.sh SUITE...	(the make target is the suite's
# name; put the longest first, so that none is left to run alone)
set -u -o pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
logs=${BUILD:-$top/build}/test
mkdir -p "$logs"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# If the user stops this, the suites and their guests stop as well.
trap 'trap - INT TERM; kill -TERM 0; exit 130' INT TERM

mib=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
if [ -z "${LANES:-}" ]; then
	LANES=1
	[ "$(nproc)" -lt 2 ] || [ "$mib" -lt 7500 ] || [ $# -lt 2 ] || LANES=2
fi

# A line is written at once, so lines of two suites do not mix.
show() {			# show SUITE
	if [ "$LANES" = 1 ]; then
		cat
	else
		sed -u "s/^/$1: /"
	fi
}

skips() {			# skips SUITE: what it has left out, and why
	sed -n 's/^# SKIP //p' "$logs/$1.log" 2>/dev/null | sort -u
}

run_suite() {			# run_suite SUITE: its row goes to $work/SUITE
	local suite=$1 log=$logs/$1.log status=0 start=$SECONDS counts
	local passed=0 failed=0

	echo "=== $suite"
	${MAKE:-make} --no-print-directory -C "$top" "$suite" 2>&1 |
		tee "$log" | show "$suite" || status=$?
	counts=$(grep -oE '[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
	if [ -n "$counts" ]; then
		passed=${counts%% passed*}
		failed=${counts##*, }
		failed=${failed%% failed*}
	fi
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		failed=1
	elif [ -n "$counts" ] && [ $((passed + failed)) -eq 0 ] &&
			[ -n "$(skips "$suite")" ]; then
		echo "=== $suite: skipped"
	elif [ $((passed + failed)) -eq 0 ]; then
		echo "$suite ran no test"
		failed=1
	fi
	echo "$suite $passed $failed $((SECONDS - start))" >"$work/$suite"
	[ "$failed" = 0 ] || echo "=== $suite: $failed failed"
}

show_failures() {		# show_failures SUITE: at most 40 lines
	local log=$logs/$1.log

	echo "$1 failed; its output is in $log:"
	if grep -q '^not ok' "$log" 2>/dev/null; then
		grep -A 8 '^not ok' "$log" | head -n 40
	else
		tail -n 20 "$log"
	fi | sed 's/^/    /'
	echo
}

# Takes suites from the list until there is none.
run_lane() {
	local suite

	while suite=$(flock "$work/list" sh -c \
			'head -n 1 "$1" && sed -i 1d "$1"' - "$work/suites") &&
			[ -n "$suite" ]; do
		run_suite "$suite"
	done
}

: >"$work/list"
printf '%s\n' "$@" >"$work/suites"
for ((lane = 0; lane < LANES; lane++)); do
	run_lane &
done
wait

total_passed=0 total_failed=0 not_passed=()
printf '\n%-18s %7s %7s %8s\n' suite passed failed time
for suite in "$@"; do
	read -r name passed failed seconds 2>/dev/null <"$work/$suite" || {
		echo "$suite did not end"
		name=$suite passed=0 failed=1 seconds=0
	}
	if [ $((passed + failed)) -eq 0 ]; then
		printf '%-18s %-15s %6d s\n' "$name" skipped "$seconds"
	else
		printf '%-18s %7d %7d %6d s\n' "$name" "$passed" "$failed" "$seconds"
	fi
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	[ "$failed" = 0 ] || not_passed+=("$suite")
done
printf '\n%-18s %7s %7s %6d s\n\n' "all, $LANES at a time" '' '' $SECONDS
skipped=$(for suite; do skips "$suite" | sed "s/^/    $suite: /"; done)
[ -z "$skipped" ] || printf 'Skipped, neither passed nor failed:\n%s\n\n' "$skipped"
# Prints the failures again, for a reader who sees only the end of the log.
for suite in "${not_passed[@]}"; do
	show_failures "$suite"
done
echo "$total_passed passed, $total_failed failed"
[ "$total_failed" -eq 0 ]
