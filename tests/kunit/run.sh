#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the KUnit suite: copies the metadata engine and the tests into an unpacked
# Debian linux-source, and lets its kunit.py build and run a user-mode kernel.
#
# usage: run.sh SOURCE_TARBALL WORK_DIRECTORY
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
tarball=$1
work=$2
tree=$work/linux
dir=$tree/drivers/md/dm-hpmapper-kunit

if [ ! -e "$tree/.unpacked" ]; then
	echo "UNPACK    ${tarball##*/}"
	rm -rf "$tree"
	mkdir -p "$tree"
	tar -xf "$tarball" -C "$tree" --strip-components=1
	printf 'source "drivers/md/dm-hpmapper-kunit/Kconfig"\n' \
		>>"$tree/lib/Kconfig.debug"
	printf 'obj-$(CONFIG_DM_HPMAPPER_KUNIT_TEST) += dm-hpmapper-kunit/\n' \
		>>"$tree/drivers/md/Makefile"
	# Kbuild does not enter drivers/md without the RAID and LVM menu.
	printf 'obj-$(CONFIG_DM_HPMAPPER_KUNIT_TEST) += md/\n' \
		>>"$tree/drivers/Makefile"
	touch "$tree/.unpacked"
fi

# The engine consists of the files that the module's Kbuild names in engine/.
mkdir -p "$dir"
rsync -a --delete --include='*.h' --include='engine/***' --exclude='*' \
	"$top/dm-hpmapper/" "$dir/"
mapfile -t engine < <(grep -oE '\bengine/[a-z-]+\.o\b' "$top/dm-hpmapper/Kbuild")
cp -p "$top/dm-hpmapper/tokens.c" "$dir/"
cp -p "$here"/*.[ch] "$here/Kconfig" "$dir/"
{
	echo 'obj-y += hpm-kunit.o'
	echo 'ccflags-y := -I$(srctree)/$(src)'
	echo "hpm-kunit-y := hpm_kunit.o kunit_io.o tokens.o ${engine[*]}"
} >"$dir/Makefile"

cd "$tree"
log=$work/kunit.log
status=0
./tools/testing/kunit/kunit.py run --arch=um --jobs="$(nproc)" \
	--kunitconfig="$here/kunitconfig" --build_dir="$work/build" \
	'dm-hpmapper*' 2>&1 | tee "$log" || status=$?
passed=$(grep -cE '\[PASSED\] test_' "$log" || :)
failed=$(grep -cE '\[(FAILED|CRASHED|ERROR)\] test_' "$log" || :)
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed"
exit "$status"
