#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Restarts a machine by its firmware, or by kexec, while pools are active, mounted
# and written to.  Nothing is unmounted, synced or removed before.  "make
# test-reboot" calls this script; it prints TAP and ends with a count.
#
#	reboot.sh <kernel>...
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

# result <what> <status>: prints the result of a test; status 0 is a success
result() {
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) - $1"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) - $1"
		sed 's/^/# /' "$tmp/out" | tail -n 30
	fi
}

# guest <command>: runs the command with the two disks, which keep what is written
guest() {
	rc=0
	NAME=reboot-$KERNEL TIMEOUT=${TIMEOUT:-300} CPUS=2 \
		DISKS="$tmp/meta $tmp/data" "$here/boot.sh" "$1" >"$tmp/out" 2>&1 || rc=$?
}

# Functions that the machine needs before and after the restart.  (Expanded in the
# guest.)
# shellcheck disable=SC2016
common='
table="0 524288 hpmapper-pool /dev/vda /dev/vdb 1024 0"
m=/dev/shm/m; mkdir -p $m/v $m/c
volume() { dmsetup create "$1" --table "0 262144 hpmapper /dev/mapper/pool $2"; }
'

# The origin is written to and the clone is read without a pause; meanwhile synced
# files are written to the clone.
# shellcheck disable=SC2016
first=$common'
set -e
dmsetup create pool --table "$table"
dmsetup message pool 0 create_thin 0
volume v 0
mkfs.ext4 -q /dev/mapper/v
mount /dev/mapper/v $m/v
head -c 20M /dev/urandom >$m/v/image
md5sum <$m/v/image >$m/v/sum
fsfreeze -f $m/v
dmsetup message pool 0 "create_snap 1 0"
fsfreeze -u $m/v
volume c 1
mount /dev/mapper/c $m/c
(while :; do dd if=/dev/urandom of=$m/v/load bs=64k count=64 status=none; done) &
(while :; do md5sum <$m/c/image >/dev/null; echo 3 >/proc/sys/vm/drop_caches; done) &
for i in $(seq 40); do
	head -c 100000 /dev/urandom >$m/c/$i
	(cd $m/c && md5sum $i >$i.sum && sync $i $i.sum .)
done
echo written
'

# shellcheck disable=SC2016
second=$common'
fail() { echo "$*"; exit 3; }
hpm_check /dev/vda || fail "hpm_check: $?"
dmsetup create pool --table "$table" || fail "the pool does not open"
volume v 0 || fail "v"
volume c 1 || fail "c"
mount /dev/mapper/v $m/v || fail "mount v"
mount /dev/mapper/c $m/c || fail "mount c"
for i in $(seq 40); do
	(cd $m/c && md5sum -c --quiet $i.sum) || fail "file $i"
done
for d in v c; do
	[ "$(md5sum <$m/$d/image)" = "$(cat $m/$d/sum)" ] || fail "the image in $d"
	umount $m/$d
	e2fsck -fn /dev/mapper/$d || fail "e2fsck $d"
done
dmsetup remove v; dmsetup remove c; dmsetup remove pool
hpm_check /dev/vda || fail "hpm_check: $?"
echo all is there
'

# kexec starts the running kernel again, with the same arguments and one more.
# shellcheck disable=SC2016
kexec='
kexec -l "$KDIR/vmlinuz" --initrd="$INITRD" --command-line="$(cat /proc/cmdline) again" || exit 4
kexec -e
sleep 60
'

fresh() {
	rm -f "$tmp/meta" "$tmp/data"
	truncate -s 32M "$tmp/meta"
	truncate -s 256M "$tmp/data"
}

for KERNEL in "$@"; do
	export KERNEL
	fresh
	guest "$first"'echo b >/proc/sysrq-trigger; sleep 60'
	[ $rc = 98 ] && grep -qx written "$tmp/out"
	result "$KERNEL: a machine is reset under load" $?
	guest "$second"
	result "$KERNEL: what was synced is there" $rc

	fresh
	guest "$first"'reboot -f; sleep 60'
	[ $rc = 98 ] && grep -qx written "$tmp/out"
	result "$KERNEL: the kernel restarts under load" $?
	guest "$second"
	result "$KERNEL: what was synced is there" $rc

	fresh
	guest "export KDIR=$CACHE/kernels/$KERNEL INITRD=$BUILD/vm/initramfs-$KERNEL
		if grep -qw again /proc/cmdline; then $second
		else $first$kexec
		fi"
	grep -qx written "$tmp/out" && [ $rc = 0 ] && grep -qx "all is there" "$tmp/out"
	result "$KERNEL: a kernel is started by kexec under load, and finds all that was synced" $?
done

echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
