# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Functions about memory-backed disks and the module, sourced by scripts that run in
# the guest.

# Does the module have the interceptor?  Loads it.  Tests are skipped for the answer
# no, so it must be that of the build (boot.sh): a module that cannot be loaded, or
# that lacks what it was built with, ends the script.
has_interceptor() {
	local has=n

	modprobe dm-hpmapper || {
		echo "not ok - the module can be loaded"
		exit 1
	}
	! grep -qw hpm_intercept_map /proc/kallsyms || has=y
	if [ $has != "${VM_INTERCEPT:-unknown}" ]; then
		echo "not ok - the module is as it was built: has the interceptor: $has, built with it: ${VM_INTERCEPT:-unknown}"
		exit 1
	fi
	[ $has = y ]
}

# nullb NAME MIB inline|softirq|timer [NSEC]
#
# NULLB_OPTS has more attributes, for example "cache_size=1 ...".
nullb() {
	local dir=/sys/kernel/config/nullb/$1 opt

	modprobe null_blk nr_devices=0
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	mkdir "$dir"
	echo "$2" >"$dir/size"
	echo 1 >"$dir/memory_backed"
	echo 1 >"$dir/discard"
	case $3 in
	inline)	 echo 0 >"$dir/queue_mode"; echo 0 >"$dir/irqmode" ;;
	softirq) echo 2 >"$dir/queue_mode"; echo 1 >"$dir/irqmode" ;;
	timer)	 echo 2 >"$dir/queue_mode"; echo 2 >"$dir/irqmode"
		 echo "${4:-80000}" >"$dir/completion_nsec" ;;
	esac
	for opt in ${NULLB_OPTS:-}; do
		echo "${opt#*=}" >"$dir/${opt%%=*}"
	done
	echo 1 >"$dir/power"
}

# Prints the path of the disk: newer kernels name the disk like its directory.
nullb_path() {
	if [ -b "/dev/$1" ]; then
		echo "/dev/$1"
	else
		echo "/dev/nullb$(cat "/sys/kernel/config/nullb/$1/index")"
	fi
}

nullb_remove() {
	rmdir "/sys/kernel/config/nullb/$1"
}
