#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs a command as root, with bash, in a guest that sees this machine's files.
# "make vm" builds what is needed and calls this script.
#
#	boot.sh <command>
#
# The command's output and error output are printed here as they are written, and
# the script ends with the command's status, except for
#
#	98	the guest ended before the command did
#	99	the guest's kernel complained (oops, WARNING, lockdep, KASAN,
#		KCSAN, ...);
#		a command that provokes this says so first: vm-expect <regex>
#	124	TIMEOUT
#	125	the guest could not be set up
#
# make turns every failure into status 2; call this script if you need the number.
#
# Environment variables select the guest (BUILD and CACHE must be set):
#
#	KERNEL=6.1|6.12|debug|kcsan	the kernel (default: 6.1)
#	VARIANT=name		the build of the module (see module.mk)
#	CLOCK=real|virtual	virtual: the time is the count of instructions,
#				1 ns each, on one CPU; it repeats exactly
#	CPUS=2 MEM=2G		of the guest; the virtual clock has one CPU
#	SCM=1G			/dev/pmem0 of this size, on top of MEM
#	UNPLUG=512M		more memory, in a module that the guest can eject
#				(online as movable; echo 1 to the file eject of
#				/sys/bus/acpi/devices/PNP0C80:00)
#	DISKS='1G /my/file'	disks /dev/vda, /dev/vdb, ...: a size is an empty
#				disk that is lost afterwards, a file keeps what
#				is written
#	ARGS='...'		more arguments for the kernel
#	TIMEOUT=600		seconds
#	ALONE=1			wait until no other guest runs, and make others wait
#	NAME=name		the kernel's log goes to BUILD/vm/name.log
#	VERBOSE=1		show the kernel's log while it is written
#	KVM=0			do not try KVM
#	MODULE=0		make vm: use the module as it is, or none; do not
#				build it
#	HOST=1			run the command here, as root, with the module
#				loaded: on the machine's own kernel, clock and
#				disks, so variables that ask for others are
#				refused
#
# The guest sees everything at the same place as the host.  What it writes is lost,
# except for files in the directory $VM_OUT (BUILD/vm/out).
#
# How it works: QEMU boots an unchanged kernel with an initramfs.  Its init (init.c)
# mounts the host's root by 9p below a tmpfs overlay, and relays the command's
# output through a virtio-serial port to relay.c, under which QEMU runs.  Several
# guests may run at once.  They do not disturb a guest with the virtual clock: three
# such guests beside a busy one, on two cores, gave fio latencies within 0.3% of
# each other.  If you doubt it, use ALONE=1.
set -euo pipefail

# In braces: bash reads all of the script before it runs it, so the script may be
# changed while it runs.
{
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
: "${BUILD:=$top/build}" "${CACHE:=$top/.cache}"
: "${KERNEL:=6.1}" "${VARIANT:=}" "${CLOCK:=real}" "${MEM:=2G}" "${SCM:=}"
: "${UNPLUG:=}" "${DISKS:=}" "${ARGS:=}" "${TIMEOUT:=600}" "${VERBOSE:=}" "${KVM:=}"
: "${HOST:=}" "${ALONE:=}" "${CPUS:=$([ "$CLOCK" = virtual ] && echo 1 || echo 2)}"
: "${NAME:=$KERNEL${VARIANT:+-$VARIANT}-$CLOCK}"

fail() {
	echo "vm: $*" >&2
	exit 125
}

[ $# = 1 ] || fail "usage: boot.sh <command>"
case $CLOCK in
real|virtual) ;;
*) fail "CLOCK is real or virtual" ;;
esac
[ "$CLOCK" = real ] || [ "$CPUS" = 1 ] || fail "the virtual clock has one CPU"

out=$BUILD/vm/out
mkdir -p "$out"
run=$(mktemp -d "$BUILD/vm/run.XXXXXX")
console=$run/console.log
touch "$console"
trap 'rm -rf "$run"; kill $(jobs -p) 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM

to_mib() {
	case $1 in
	*G|*g) echo $((${1%?} * 1024)) ;;
	*M|*m) echo "${1%?}" ;;
	*) fail "$1: a size ends in M or G" ;;
	esac
}

# Writes the command behind the settings that it needs; it keeps its own quoting.
write_command() {
	local config=$BUILD/module-$KERNEL${VARIANT:+-$VARIANT}/config
	local path=$here/bin:$BUILD/tools:$BUILD/tests:$BUILD/userlib
	path+=:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	{
		if [ -z "$HOST" ]; then
			# variables that the boot left in the environment
			echo "unset HPM_RUN HPM_OUT HPM_MODULES BOOT_IMAGE"
			echo "export HOME=/root TERM=dumb LANG=C"
		else
			path=$run/bin:$path:$PATH
		fi
		printf 'export PATH=%q\n' "$path"
		[ ! -d "$BUILD/userlib" ] || printf \
			'export LD_LIBRARY_PATH=%q\n' "$BUILD/userlib"
		printf 'export TOP=%q BUILD=%q CACHE=%q VM_OUT=%q\n' \
			"$top" "$BUILD" "$CACHE" "$out"
		printf 'export VM_KERNEL=%q VM_CLOCK=%q\n' "$KERNEL" "$CLOCK"
		# whether the module was built with the interceptor: y, n, or ""
		printf 'export VM_INTERCEPT=%q\n' "$(sed -n \
			's/.*DM_HPMAPPER_INTERCEPT=\([^ ]*\).*/\1/p' "$config" 2>/dev/null)"
		# no udevd runs here, so libdevmapper makes the nodes
		[ -n "$HOST" ] || echo "export DM_DISABLE_UDEV=1"
		printf 'cd %q || exit 125\n' "${VM_CWD:-$PWD}"
		# vm-leaks scans when it is needed; a scan takes a minute
		[ "$KERNEL" != debug ] ||
			echo "echo scan=off >/sys/kernel/debug/kmemleak"
		# nothing loads modules for new devices here
		[ -n "$HOST" ] || [ -z "$DISKS" ] ||
			echo "modprobe virtio_blk || exit 125"
		if [ -n "$SCM" ]; then
			echo "for m in libnvdimm nd_pmem nd_e820; do"
			echo "	modprobe \$m || exit 125"
			echo "done"
			# another thread probes the device
			echo "n=0; until [ -e /dev/pmem0 ]; do"
			echo "	sleep 0.05; [ \$((++n)) -lt 200 ] || exit 125"
			echo "done; unset m n"
		fi
		printf '%s\n' "$1"
	} >"$run/cmd"
}

# Scripts call modprobe to get the module.  This one loads the module that was
# built, which is not installed.
write_modprobe() {		# write_modprobe KO
	mkdir "$run/bin"
	{
		echo '#!/bin/sh'
		echo 'case "$*" in dm-hpmapper|dm_hpmapper) ;;'
		printf '*) exec %q "$@" ;;\nesac\n' "$(command -v modprobe)"
		printf '[ -d /sys/module/dm_hpmapper ] || exec insmod %q\n' "$1"
	} >"$run/bin/modprobe"
	chmod +x "$run/bin/modprobe"
}

run_on_host() {
	local ko=$BUILD/module-host${VARIANT:+-$VARIANT}/dm-hpmapper.ko dep
	[ "$CLOCK" = real ] || fail "HOST=1: only a guest has a virtual clock"
	[ -z "$DISKS$SCM$UNPLUG" ] ||
		fail "HOST=1: only a guest can be given DISKS, SCM, UNPLUG"
	[ "$(id -u)" = 0 ] || fail "HOST=1: must be run as root"
	[ -e "$ko" ] || fail "$ko: not built (make modules KERNEL=host)"
	KERNEL=host
	write_modprobe "$ko"
	write_command "$1"
	for dep in $(modinfo -F depends "$ko" | tr , ' '); do
		modprobe "$dep" ||
			fail "HOST=1: this host does not load modules ($dep)"
	done
	# it may be of another build
	[ ! -d /sys/module/dm_hpmapper ] || rmmod dm_hpmapper ||
		fail "HOST=1: dm-hpmapper is loaded already, and in use"
	insmod "$ko" || fail "HOST=1: this host does not load $ko"
	bash "$run/cmd"
}

# KVM may be present and not work, so it is tried once, with a real boot.
kvm_works() {
	local known
	known=$CACHE/kvm-$(uname -r)-$("$qemu" --version | sed 's/[^0-9.]//g;q')
	[ "$KVM" != 0 ] && [ -r /dev/kvm ] && [ -w /dev/kvm ] || return 1
	if [ ! -e "$known" ]; then
		local answer=no
		! KVM=1 CLOCK=real KERNEL=6.1 VARIANT='' TIMEOUT=15 CPUS=1 \
			MEM=1G ARGS='' SCM='' UNPLUG='' DISKS='' VERBOSE='' NAME=kvm \
			VM_NO_LOCK=1 ALONE='' "$here/boot.sh" true \
			>/dev/null 2>&1 || answer=yes
		echo "$answer" >"$known.$$"
		mv "$known.$$" "$known"
	fi
	[ "$(cat "$known")" = yes ]
}

# A guest that waits to be alone holds the gate, so that a stream of other guests
# cannot make it wait for ever.
wait_for_turn() {
	local lock=${TMPDIR:-/tmp}/hpm-guests
	[ -z "${VM_NO_LOCK:-}" ] || return 0
	(umask 0; : >>"$lock.gate"; : >>"$lock.lock") 2>/dev/null || :
	exec 8<"$lock.gate" 9<"$lock.lock"
	local how=-s
	[ -z "$ALONE" ] || how=-x
	if ! flock -xn 8 || ! flock $how -n 9; then
		echo "vm: waiting for other guests to end" >&2
		flock -x 8
		flock $how 9
	fi
	exec 8<&-
}

# Prints the complaints in the kernel's log that no test may cause.
complaints() {
	local pattern expected lines
	pattern='BUG:|BUG at|WARNING:|Oops|Kernel panic|KASAN:|UBSAN:'
	pattern+='|general protection fault|Unable to handle kernel'
	pattern+='|possible (circular|recursive)|inconsistent lock state'
	pattern+='|invalid context|scheduling while atomic'
	pattern+='|suspicious RCU usage|self-detected stall|detected stalls'
	pattern+='|blocked for more than|soft lockup|hard LOCKUP'
	pattern+='|refcount_t:|list_(add|del) corruption|Bad page state'
	pattern+='|suspected memory leak|lock held when returning'
	pattern+='|Bad rss-counter|trying to register non-static'
	lines=$(grep -aE "$pattern" "$console" | grep -av 'hpm-vm: expect' || :)
	expected=$(sed -n 's/.*hpm-vm: expect //p' "$console" | tr -d '\r' |
		paste -sd '|')
	[ -z "$expected" ] ||
		lines=$(grep -vE "$expected" <<<"$lines" || :)
	[ -n "$lines" ] || return 1
	echo "vm: the guest's kernel complained:" >&2
	# from the first complaint on, enough to see what it was
	grep -aFA 60 -m 1 "$(head -n 1 <<<"$lines")" "$console" >&2
	# and what there is besides, without the times
	printf '%s\n' "$lines" | sed 's/^\[[^]]*\] *//' | tr -d '\r' |
		sort | uniq -c | sed 's/^/vm: /' >&2
}

if [ -n "$HOST" ]; then
	run_on_host "$1"
	exit
fi

qemu=$(command -v qemu-system-x86_64) || fail "no qemu-system-x86_64"
kdir=$CACHE/kernels/$KERNEL
modules=$BUILD/vm/modules-$KERNEL${VARIANT:+-$VARIANT}
[ -e "$kdir/release" ] || fail "no kernel $KERNEL (make kernels)"
[ -d "$modules" ] || fail "no $modules (make vm builds it)"
case $run$out$modules in
*[[:space:],]*) fail "no blank or comma may be in the path of $BUILD" ;;
esac
write_command "$1"
# A copy, because the module may be built again while this guest runs.
flock "$BUILD/vm/lock" cp -a "$modules/lib" "$run/"

args="console=ttyS0 loglevel=7 panic=-1 oops=panic mitigations=off apparmor=0"
# TCG's TSC is as good as any clock, and each read of hpet costs an exit.  Stalls of
# a busy host are not the guest's fault.
args+=" tsc=reliable watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120"
args+=" printk.time=1 random.trust_cpu=on HPM_RUN=$run HPM_OUT=$out"
args+=" HPM_MODULES=$run/lib/modules/$(cat "$kdir/release")"
machine=pc
mib=$(to_mib "$MEM")
if [ "$KERNEL" = debug ] || [ "$KERNEL" = kcsan ]; then
	# the default machine type stalls in ACPI's PCI routing
	machine=q35
fi
if [ -n "$SCM" ]; then
	# Memory above 2 GiB begins at 4 GiB, and the SCM is at its start.
	machine+=,max-ram-below-4g=2G
	args+=" memmap=$(to_mib "$SCM")M!4096M"
	[ "$mib" -gt 2048 ] || mib=2048
	mib=$((mib + $(to_mib "$SCM")))
fi
if [ "$CLOCK" = real ]; then
	# The guest's TSC is this machine's.  If a guest on a busy machine has to
	# measure it against a timer, the result may be wrong by a factor of sixty.
	khz=$("$BUILD/vm/relay" tsc)
	[ -z "$khz" ] || args+=" tsc_early_khz=$khz"
fi
if [ "$CLOCK" = virtual ]; then
	# TCG counts each byte of a rep movsb as an instruction, and copies would
	# look slow.
	args+=" clearcpuid=erms,fsrm"
	accel=(-accel tcg -icount "shift=0,sleep=off" -cpu max)
elif [ "$KVM" = 1 ] || kvm_works; then
	accel=(-accel kvm -cpu host)
else
	accel=(-accel "tcg,thread=multi" -cpu max)
fi

memory=${mib}M
if [ -n "$UNPLUG" ]; then
	memory+=,slots=1,maxmem=$((mib + $(to_mib "$UNPLUG") + 1024))M
	args+=" memhp_default_state=online_movable"
fi

options=(
	-nodefaults -no-user-config -no-reboot -display none
	-machine "$machine" "${accel[@]}" -smp "$CPUS" -m "$memory"
	-kernel "$kdir/vmlinuz" -initrd "$BUILD/vm/initramfs-$KERNEL"
	-append "$args $ARGS"
	-chardev "file,id=console,path=$console,append=on"
	-serial chardev:console
	-add-fd "fd=5,set=1"
	-chardev "file,id=hpm,path=/dev/fdset/1,append=on"
	-device virtio-serial-pci -device "virtserialport,chardev=hpm,name=hpm"
	-fsdev "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on"
	-device "virtio-9p-pci,fsdev=root,mount_tag=root"
	-fsdev "local,id=out,path=$out,security_model=none"
	-device "virtio-9p-pci,fsdev=out,mount_tag=out"
	-object "rng-random,id=rng,filename=/dev/urandom"
	-device "virtio-rng-pci,rng=rng"
)
[ -z "$UNPLUG" ] || options+=(
	-object "memory-backend-ram,id=unplug,size=$UNPLUG"
	-device "pc-dimm,id=dimm,memdev=unplug"
)
n=0
for size in $DISKS; do
	file=$size
	if [[ $size != /* ]]; then
		file=$run/disk$n
		truncate -s "$size" "$file"
	fi
	options+=(
		-drive "file=$file,id=disk$n,if=none,format=raw,cache=unsafe,discard=unmap"
		-device "virtio-blk-pci,drive=disk$n,serial=disk$n"
	)
	n=$((n + 1))
done

wait_for_turn
[ -z "$VERBOSE" ] || tail -f "$console" >&2 &

boot() {
	status=0
	"$BUILD/vm/relay" "$TIMEOUT" "$run/qemu.log" "$qemu" "${options[@]}" \
		8<&- </dev/null || status=$?
}

# Under TCG a kernel sometimes hangs during its boot, before our programs run.
boot
if [ $status = 97 ]; then
	echo "vm: the guest did not boot; once more" >&2
	tail -n 3 "$console" >&2
	echo >"$console"
	boot
	[ $status != 97 ] || status=124
fi

cp "$console" "$BUILD/vm/$NAME.log.$$"
mv "$BUILD/vm/$NAME.log.$$" "$BUILD/vm/$NAME.log"
if complaints; then
	echo "vm: all of it: $BUILD/vm/$NAME.log" >&2
	exit 99
fi
if [ $status = 98 ]; then
	echo "vm: the guest ended before the command did" >&2
	cat "$run/qemu.log" >&2
	tail -n 20 "$console" >&2
elif [ $status = 124 ]; then
	echo "vm: the kernel's log: $BUILD/vm/$NAME.log" >&2
fi
exit $status
}
