# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Functions that the benchmarks share, sourced by scripts that run in the guest as
# root.  Only fio's own figures are timed here.

# shellcheck source=../tests/vm/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tests/vm/lib.sh"

bench_dir=/dev/shm/bench
mkdir -p "$bench_dir"

bench_fail() {
	echo "bench: $*" >&2
	exit 1
}

# Copies a program and its libraries into memory: a wait for the host's files would
# make the virtual clock jump.
bench_program() {
	local prog lib dir=$bench_dir/$1

	prog=$(command -v "$1") || bench_fail "no $1"
	mkdir -p "$dir"
	cp "$prog" "$dir/prog"
	ldd "$prog" | grep -oE '/[^ ]+' | while read -r lib; do
		cp -L "$lib" "$dir/"
	done
	printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' \
		"$dir/$(basename "$(ldd "$prog" | grep -oE '/[^ ]*ld-linux[^ ]*')")" \
		"$dir" "$dir/prog" >"$bench_dir/$1.sh"
	chmod +x "$bench_dir/$1.sh"
}

# Makes a root in memory with these programs, for chroot: the same for whole
# scripts.
bench_root() {		# bench_root DIR PROGRAM...
	local root=$1 prog lib

	mkdir -p "$root"/{bin,dev,etc,mnt,proc,sys,tmp,run}
	shift
	for prog in "$@"; do
		prog=$(command -v "$prog") || bench_fail "no program"
		cp -L "$prog" "$root/bin/"
		{ ldd "$prog" || :; } | { grep -oE '/[^ ]+' || :; } |
		while read -r lib; do
			mkdir -p "$root$(dirname "$lib")"
			cp -L "$lib" "$root$lib"
		done
	done 2>/dev/null
	for prog in dev proc sys; do
		mount --rbind "/$prog" "$root/$prog"
	done
}

# bench_again DIR ARGUMENT...: runs this script again in that root.  IN_MEMORY is
# set there, and the files to source are at the same place as in the tree.
bench_again() {
	local root=$1 top script file

	shift
	top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
	script=$(realpath "$0")
	script=${script#"$top"/}
	for file in "$script" bench/lib.sh tests/vm/lib.sh; do
		mkdir -p "$root/src/$(dirname "$file")"
		cp "$top/$file" "$root/src/$file"
	done
	cp "$BUILD/bench/startup" "$root/bin/"
	IN_MEMORY=1 exec chroot "$root" /bin/bash "/src/$script" "$@"
}

# Prints the times of 300 direct reads of the disk "canary", in us.
bench_canary() {
	startup canary "$(nullb_path canary)"
}

# fio_lat read|write DEVICE OPTIONS...: prints the mean latency of a fio job, in us.
fio_lat() {
	local dir=$1 dev=$2 field

	shift 2
	field=40
	[ "$dir" = read ] || field=81
	"$bench_dir/fio.sh" --name=b --filename="$dev" --ioengine=psync \
		--direct=1 --thread --randrepeat=1 --allow_mounted_write=1 \
		--output-format=terse --terse-version=3 "$@" |
		cut -d';' -f$field
}

dev_mib() {
	echo $(($(blockdev --getsize64 "$1") >> 20))
}

ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'
}
