#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the test programs and the tests of the command line, shows the tests that
# fail, and ends with the count of all.
#
#	HPMCTL=<path> run.sh <program>...
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
passed=0
failed=0

for t in "$@" "$here/cmdline.sh"; do
	CMOCKA_MESSAGE_OUTPUT=TAP ASAN_OPTIONS=detect_leaks=1 "$t" >"$out" 2>&1
	status=$?
	ok=$(grep -cE '^ok ' "$out")
	bad=$(grep -cE '^not ok ' "$out")
	# A program that dies prints nothing about the rest of its tests.
	[ $status != 0 ] && [ "$bad" = 0 ] && bad=1
	[ "$ok" = 0 ] && [ "$bad" = 0 ] && bad=1
	[ "$bad" != 0 ] && { echo "# $(basename "$t"): status $status"; cat "$out"; }
	printf '%-16s %3d passed, %d failed\n' "$(basename "$t")" "$ok" "$bad"
	passed=$((passed + ok))
	failed=$((failed + bad))
done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
