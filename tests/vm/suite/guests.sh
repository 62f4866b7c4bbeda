#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boots a guest for each kernel, runs scripts in it and counts their checks.
#
#	guests.sh <kernel>[:<script>,<script>...]...
#
# If a guest ends for another reason than a failed check, or its kernel has
# complained, the guest counts as one more failure.
set -u -o pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
passed=0 failed=0
# settings that the guest's scripts get from here
settings=
for name in SCRIPT_TIMEOUT STRESS_TIME STRESS_SEED FIO_SIZE PATIENCE; do
	[ -z "${!name:-}" ] || settings+="export $name=${!name}; "
done

for guest; do
	kernel=${guest%%:*}
	scripts=
	[ "$kernel" = "$guest" ] || scripts=${guest#*:}
	echo "# === $kernel"
	# A merged slab cache of the module would stay as long as its other users.
	ARGS="${ARGS:-} slab_nomerge" KERNEL=$kernel NAME=suite-$kernel TIMEOUT=${TIMEOUT:-7200} \
		MEM=${MEM:-3G} "$here/../boot.sh" "$settings
		$here/run.sh ${scripts//,/ }" 2>&1 | tee "$out"
	status=$?
	good=$(grep -c '^ok' "$out")
	bad=$(grep -c '^not ok' "$out")
	if [ $status != 0 ] && [ "$bad" = 0 ] || [ $status -gt 1 ]; then
		echo "not ok - the guest of $kernel ends well (status $status)"
		bad=$((bad + 1))
	fi
	passed=$((passed + good))
	failed=$((failed + bad))
done

echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
