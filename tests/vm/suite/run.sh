#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs scripts of this directory one after another, in one guest.
#
#	run.sh [<name of a script, without .sh>...]
#
# Each script must leave a clean machine: no device-mapper device and no disk of its
# own, and the module can be unloaded.  TAP goes to the standard output.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
names=("$@")
if [ $# = 0 ]; then
	for f in "$here"/*.sh; do
		case ${f##*/} in
		run.sh|lib.sh|guests.sh|stress.sh|leaks.sh|hpmctl.sh) ;;
		*) names+=("$(basename "$f" .sh)") ;;
		esac
	done
fi

left() {
	dmsetup info -c --noheadings -o name 2>/dev/null | grep -v '^No devices'
	ls -d /sys/kernel/config/nullb/h* 2>/dev/null
}

status=0
for name in "${names[@]}"; do
	start=$SECONDS
	echo "# --- $name"
	timeout -k 10 "${SCRIPT_TIMEOUT:-1800}" bash "$here/$name.sh" </dev/null 2>&1
	rc=$?
	[ $rc = 0 ] || status=1
	if [ $rc = 124 ] || [ $rc = 137 ]; then
		echo "not ok - $name ends in time"
		dmsetup table
		dmsetup status --noflush
		echo w >/proc/sysrq-trigger
		dmesg | grep -A 30 'task:' | tail -n 150 | sed 's/^/# /'
		exit 1
	fi
	seen=$(left)
	if [ -n "$seen" ]; then
		echo "not ok - $name leaves nothing behind"
		echo "#   ${seen//$'\n'/ }"
		exit 1
	fi
	if ! rmmod dm_hpmapper; then
		echo "not ok - the module can be removed after $name"
		exit 1
	fi
	modprobe dm-hpmapper
	echo "# $name took $((SECONDS - start)) s"
done
# the number of accesses at which KCSAN has waited for another access
sed -n 's/^setup_watchpoints: /# accesses watched: /p' \
	/sys/kernel/debug/kcsan 2>/dev/null
exit $status
