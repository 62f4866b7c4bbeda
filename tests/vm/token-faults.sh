#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests suite/tokens.sh: plants each fault in waiting for I/O in flight, in a build
# for that; the check that looks for the fault must fail (make test-token-faults,
# which sets BUILD and CACHE).
#
#	token-faults.sh <fault>...
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
passed=0 failed=0

for fault; do
	case $fault in
	snap_reads)
		says='it is what it was when the write is over' ;;
	drain_writes)
		says='what was read is what had been there' ;;
	drain_reads)
		says='it has what was written to it' ;;
	*)
		echo "$fault: there is no such fault"
		exit 2 ;;
	esac
	VARIANT=faults NAME=fault-$fault TIMEOUT=${TIMEOUT:-300} \
		"$here/boot.sh" "FAULT=$fault $here/suite/tokens.sh" >"$out" 2>&1
	if grep -q "^not ok .*$says" "$out"; then
		passed=$((passed + 1))
		echo "ok - $fault is caught: $(grep -m 1 '^not ok' "$out")"
	else
		failed=$((failed + 1))
		echo "not ok - $fault is caught"
		tail -n 30 "$out" | sed 's/^/# /'
	fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
