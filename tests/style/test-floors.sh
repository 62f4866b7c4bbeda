#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Checks that floors.sh finds planted faults: a small set of objects with one fault
# at a time and, with a build of the module, a copy of it with one call upwards.
#
#	test-floors.sh [BUILD]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
house=$(mktemp -d)
trap 'rm -rf "$house"' EXIT
failed=0

# file NAME CALLED...: an object that defines NAME and calls the others.
file() {
	local name=$1 at=$house/$1 called

	shift
	mkdir -p "$(dirname "$at")"
	{
		for called; do
			echo "void ${called//[^a-z]/_}(void);"
		done
		echo "void ${name//[^a-z]/_}(void) {"
		for called; do
			echo "${called//[^a-z]/_}();"
		done
		echo "}"
	} | gcc -O0 -x c -c -o "$at.o" -
	grep -qx "$name.o" "$house/dm-hpmapper.mod" 2>/dev/null ||
		echo "$name.o" >>"$house/dm-hpmapper.mod"
}

# Builds the set of objects without a fault.
build() {
	rm -rf "${house:?}"/*
	file ground
	file engine/low ground
	file engine/mid engine/low ground
	file engine/high engine/mid engine/low
	file one engine/high two
	file two engine/low one
	file three one
	cat >"$house/list" <<-LIST
	part ground 0
	floor ground
	part engine 1
	inside engine
	leave engine ground
	floor engine/low
	floor engine/mid
	floor engine/high
	part targets 1
	floor one two
	pair one two
	floor three
	LIST
}

# expect SENTENCE: floors.sh must fail and print it; without one, it must succeed.
expect() {
	local said status=0

	said=$("$here/floors.sh" "${2:-$house}" "${3:-$house/list}") || status=$?
	if [ -z "$1" ] && [ "$status" = 0 ]; then
		return
	elif [ -n "$1" ] && [ "$status" != 0 ] && grep -qF "$1" <<<"$said"; then
		return
	fi
	echo "test-floors.sh: expected \"${1:-no complaint}\", exit $status:"
	echo "$said"
	failed=1
}

edit() {
	sed -i "$@" "$house/list"
}

build
expect ""

file engine/low ground engine/high
expect "engine/low calls engine/high (engine_high), which is above it"

build
file engine/low ground one
expect "engine/low calls one (one), and leaves the part \"engine\""

build
edit 's|^floor engine/low|& engine/mid|; /^floor engine\/mid$/d'
expect "engine/mid calls engine/low (engine_low), which is on its own floor"

build
edit '/^pair/d'
expect "one calls two (two), which is on its own floor"

build
file two engine/low
expect "one and two are no pair on one floor any more"

build
edit 's/^part targets 1/part targets 0/'
expect "more pairs in targets than 0"

build
file four
expect "four has no floor"

build
edit 's/^floor three/& four/'
expect "four is not in the module"

build
mkdir -p "$house/engine"
echo "x := $house/engine/engine.h" >"$house/engine/.high.o.cmd"
expect ""
cp "$house/engine/.high.o.cmd" "$house/.three.o.cmd"
expect "three includes engine/engine.h, a header of the part \"engine\" alone"

if [ $# -gt 0 ]; then
	rm -rf "${house:?}"/*
	cp -r "$1"/dm-hpmapper.mod "$1"/*.o "$1"/*/ "$house/"
	sed -i "s|$(cd "$1" && pwd)/||g" "$house/dm-hpmapper.mod"
	expect "" "$house" "$here/floors.list"
	echo 'void hpm_md_open(void); void planted(void) { hpm_md_open(); }' |
		gcc -x c -c -o "$house/planted.o" -
	ld -r -o "$house/both.o" "$house/engine/block.o" "$house/planted.o"
	mv "$house/both.o" "$house/engine/block.o"
	expect "engine/block calls engine/open (hpm_md_open), which is above it" \
		"$house" "$here/floors.list"
fi
exit $failed
