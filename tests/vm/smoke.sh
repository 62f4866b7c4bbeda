#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the test machine itself.  "make test-vm-smoke" calls this script; it prints
# TAP and fails if a test does.
#
#	smoke.sh <kernel>...
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
count=0 failed=0

# result <what> <status>: prints the result of a test; status 0 is a success
result() {
	count=$((count + 1))
	if [ "$2" = 0 ]; then
		echo "ok $count - $1"
	else
		echo "not ok $count - $1"
		sed 's/^/# /' "$tmp/out" "$tmp/err" | tail -n 30
		failed=$((failed + 1))
	fi
}

# guest <command>: leaves the output in $tmp/out and $tmp/err, the status in $rc
guest() {
	rc=0
	NAME=smoke-${KERNEL:-6.1} TIMEOUT=${TIMEOUT:-120} \
		"$here/boot.sh" "$1" >"$tmp/out" 2>"$tmp/err" || rc=$?
}

check() {
	local what=$1
	shift
	"$@" >/dev/null 2>&1
	result "$what" $?
}

# An SSD made of RAM, and a dm device on it that fio writes and verifies.
# shellcheck disable=SC2016 # expanded in the guest
disk='
set -e
modprobe null_blk nr_devices=0
d=/sys/kernel/config/nullb/nullb0
mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
mkdir $d
echo 64 >$d/size
echo 1 >$d/memory_backed
echo 2 >$d/irqmode
echo 80000 >$d/completion_nsec
echo 1 >$d/power
cp /usr/bin/fio /dev/shm/
cd /dev/shm
'

linear=$disk'
dmsetup version >&2
modprobe dm-mod
echo "0 131072 linear /dev/nullb0 0" | dmsetup create smoke
dmsetup status smoke
fio --name=v --filename=/dev/mapper/smoke --rw=randwrite --bs=4k --size=64k \
	--direct=1 --verify=crc32c --minimal >/dev/null
dmsetup remove smoke
[ ! -e /dev/mapper/smoke ]
'

latency=$disk'
./fio --name=l --filename=/dev/nullb0 --rw=randread --bs=4k --size=4m \
	--io_size=2m --direct=1 --ioengine=psync --minimal | cut -d";" -f40
'

# The guest stands for a machine that loads modules, for HOST=1.
# shellcheck disable=SC2016
on_host='
b=/dev/shm/build
mkdir $b || exit
ln -s "$BUILD"/* $b/
ln -sfn "$BUILD/module-$VM_KERNEL" $b/module-host
BUILD=$b HOST=1 "$TOP/tests/vm/boot.sh" "
	uname -r
	modprobe dm-hpmapper
	\"$TOP/tests/vm/suite/limits.sh\" || exit
	exit 7"
'

for KERNEL in "$@"; do
	export KERNEL

	guest 'uname -r; echo on stderr >&2; exit 7'
	check "$KERNEL: the status is the command's" [ "$rc" = 7 ]
	check "$KERNEL: it is the kernel asked for" grep -q "^$KERNEL\." \
		"$tmp/out"
	check "$KERNEL: error output comes apart" grep -qx "on stderr" \
		"$tmp/err"

	guest 'seq 1 200000; seq 1 200000 >&2'
	check "$KERNEL: output is whole" cmp "$tmp/out" <(seq 1 200000)
	check "$KERNEL: error output is whole" cmp "$tmp/err" <(seq 1 200000)

	guest "$linear"
	check "$KERNEL: null_blk below dm-linear, verified by fio" \
		[ "$rc" = 0 ]
	check "$KERNEL: dmsetup speaks with the kernel" \
		grep -q '^0 131072 linear' "$tmp/out"

	# shellcheck disable=SC2016
	DISKS=100M SCM=256M guest '
		set -ex
		[ "$(blockdev --getsize64 /dev/vda)" = 104857600 ]
		[ "$(blockdev --getsize64 /dev/pmem0)" = 268435456 ]
		grep -q cgroup2 /proc/mounts
		ping -c 1 127.0.0.1 || echo >/dev/udp/127.0.0.1/9
		echo here >"$VM_OUT/smoke"
		echo lost >'"$tmp"'/smoke
	'
	check "$KERNEL: disks, SCM, mounts, loopback" [ "$rc" = 0 ]
	check "$KERNEL: VM_OUT is written through" \
		grep -q here "$BUILD/vm/out/smoke"
	check "$KERNEL: nothing else is" [ ! -e "$tmp/smoke" ]

	guest 'echo "<4>WARNING: smoke" >/dev/kmsg; true'
	check "$KERNEL: a complaint of the kernel fails the run" [ "$rc" = 99 ]
	guest 'vm-expect "WARNING: smoke"; echo "<4>WARNING: smoke" >/dev/kmsg'
	check "$KERNEL: an expected one does not" [ "$rc" = 0 ]
	guest 'echo c >/proc/sysrq-trigger; sleep 60'
	check "$KERNEL: a panic ends the run" [ "$rc" = 99 ]
	TIMEOUT=12 guest 'sleep 100'
	check "$KERNEL: TIMEOUT ends it too" [ "$rc" = 124 ]

	guest "$on_host"
	check "$KERNEL: HOST=1 runs a command, and gives its status" [ "$rc" = 7 ]
	check "$KERNEL: on that kernel" grep -q "^$KERNEL\." "$tmp/out"
	check "$KERNEL: with the module" grep -q '^ok .* a volume.s status' \
		"$tmp/out"

	export CLOCK=virtual
	guest "$latency"
	first=$(cat "$tmp/out")
	guest "$latency"
	second=$(cat "$tmp/out")
	echo "# fio's mean read latency: $first us, then $second us"
	check "$KERNEL: the virtual clock repeats" awk -v a="$first" \
		-v b="$second" 'BEGIN { exit !(a > 80 && a < 120 &&
			b / a > 0.99 && b / a < 1.01) }'
	unset CLOCK
done

echo "1..$count"
exit $((failed != 0))
