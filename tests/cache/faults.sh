#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the tests: plants each fault in a build for that; the test that looks for
# the fault must fail (make test-cache-faults, which sets BUILD and CACHE).
#
#	faults.sh [<fault>...]
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
passed=0 failed=0
export VARIANT=faults CPUS=2

# caught FAULT WHAT IT SAYS, COMMAND...: the command must print this and fail
caught() {
	local fault=$1 says=$2 status

	shift 2
	NAME=fault-$fault TIMEOUT=${TIMEOUT:-300} \
		"$here/../vm/boot.sh" "FAULT=$fault $*" >"$out" 2>&1
	status=$?
	if [ $status = 0 ] && grep -q '^# SKIP ' "$out"; then
		sed -n "s/^# SKIP /&$fault: /p" "$out"
	elif [ $status != 0 ] && grep -qP "$says" "$out"; then
		passed=$((passed + 1))
		echo "ok - $fault is caught: $(grep -P -m 1 "$says" "$out")"
	else
		failed=$((failed + 1))
		echo "not ok - $fault is caught (status $status)"
		tail -n 30 "$out" | sed 's/^/# /'
	fi
}

[ $# -gt 0 ] || set -- prove_nothing show_early direct_source evict_frozen
for fault; do
	case $fault in
	prove_nothing)
		# Either wrong bytes in a file are reported or, if blocks of the file
		# system itself are wrong, any error of any call; without the fault,
		# both programs find no error (make test-torture-short).
		caught "$fault" '^(torture|sharefiles): (?!usage|dmsetup)' \
			TIME=100 "$here/torture.sh" ;;
	show_early)
		caught "$fault" '^not ok - (the reader.s buffer|nor has it)' \
			"$here/races.sh" direct_buffer ;;
	direct_source)
		caught "$fault" '^not ok - (another reads the same|and is no source)' \
			"$here/races.sh" direct_leader ;;
	evict_frozen)
		# a process that hangs then keeps the guest from ending
		TIMEOUT=150 caught "$fault" '^not ok - (a frozen|clone . can be thawed)' \
			"$here/races.sh" frozen ;;
	*)
		echo "$fault: there is no such fault"
		exit 2 ;;
	esac
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
