#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests make install and make uninstall with DESTDIR, and that Debian's DKMS builds and
# installs the module from the source that is installed.  DKMS gets trees of its own, so
# the machine's modules stay what they are.  It wants to be called by root, and makes
# its key for signatures in /var/lib/dkms if it has none.
#
#	run.sh <kernel>...	directories of CACHE/kernels
#
# The last kernel's module is built with INTERCEPT=n.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
house=$(mktemp -d)
trap 'rm -rf "$house"' EXIT
root=$house/root modules=$house/modules
version=$(sed -n 's/^MODULE_VERSION("\(.*\)");/\1/p' "$top/dm-hpmapper/main.c")
name=dm-hpmapper/$version
source=$root/usr/src/dm-hpmapper-$version
passed=0 failed=0

# check WHAT COMMAND...: the command must succeed; if not, its output is shown
check() {
	local what=$1

	shift
	if "$@" >"$house/said" 2>&1; then
		passed=$((passed + 1))
		echo "ok - $what"
	else
		failed=$((failed + 1))
		echo "not ok - $what"
		tail -n 30 "$house/said" | sed 's/^/# /'
	fi
}

mk() {
	${MAKE:-make} --no-print-directory -C "$top" "$@" DESTDIR="$root" PREFIX=/usr
}

dkms_does() {		# dkms_does ACTION [OPTION...]
	dkms "$@" --dkmstree "$house/dkms" --sourcetree "$root/usr/src" \
		--installtree "$modules" "$name"
}

# What the module is made of; the rest of its directory is for this tree.
sources() {
	(cd "$1" && find . -type f ! -name '.*' ! -name '*.mk' ! -name 'dkms.conf*' | sort)
}
same_sources() { diff <(sources "$top/dm-hpmapper") <(sources "$source"); }

intercepts() { nm "$1" | grep -qw hpm_intercept_map; }
intercepts_not() { [ -s "$1" ] && ! intercepts "$1"; }
is_for() { [[ $(modinfo -F vermagic "$1") == "$2 "* ]]; }
is_version() { [ "$(modinfo -F version "$1")" = "$version" ]; }
no_files() { ! find "$@" -mindepth 1 ! -type d | grep .; }

# A kernel that is older than the oldest that the module is for.
refused() {
	! dkms_does build -k "$1" --kernelsourcedir "$CACHE/kernels/6.1/build" \
		>"$house/refused" 2>&1 &&
		grep BUILD_EXCLUSIVE "$house/refused"
}

kernel() {		# kernel NAME [OPTION OF make install]
	local headers=$CACHE/kernels/$1/build release ko
	local what="$1${2:+, $2}"

	release=$(cat "$CACHE/kernels/$1/release")
	ko=$modules/$release/updates/dkms/dm-hpmapper.ko
	mkdir -p "$house/dkms" "$source/engine" "$modules/$release"
	# of an older state of the same version
	touch "$source/main.h" "$source/engine/gone.h"
	check "$what: make install" mk install "${@:2}"
	check "$what: with the module's files, and no other" same_sources
	check "$what: DKMS takes the source" dkms_does add
	check "$what: refuses an old kernel" refused 5.10.0-9-amd64
	check "$what: and another" refused 6.0.0-6-amd64
	check "$what: builds the module" dkms_does build -k "$release" \
		--kernelsourcedir "$headers"
	check "$what: and installs it" dkms_does install -k "$release" \
		--kernelsourcedir "$headers" --no-depmod
	check "$what: it is for this kernel" is_for "$ko" "$release"
	check "$what: and of this version" is_version "$ko"
	case ${2:-} in
	INTERCEPT=n)
		check "$what: without the interceptor" intercepts_not "$ko" ;;
	*)
		check "$what: with the interceptor" intercepts "$ko" ;;
	esac
	check "$what: DKMS removes it" dkms_does remove --all --no-depmod
	check "$what: from the kernel" no_files "$modules"
	check "$what: hpmctl is there" "$root/usr/sbin/hpmctl" --version
	check "$what: make uninstall" mk uninstall
	check "$what: leaves no file" no_files "$root"
}

for k in "${@:1:$#-1}"; do
	kernel "$k"
done
kernel "${@: -1}" INTERCEPT=n
echo "$passed passed, $failed failed"
[ $failed = 0 ]
