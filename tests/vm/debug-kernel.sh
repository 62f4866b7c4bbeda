#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build a kernel with run-time checks from Debian's linux-source-6.1.
#
#	debug-kernel.sh debug|kcsan <directory> <jobs>
#
# The kernel "debug" has the options of debug.config; "kcsan" has those too,
# overridden by kcsan.config.
#
# The directory is laid out as kernels.sh lays out Debian's kernels.  Of the
# sources, only what is needed to build a module is kept.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1 dir=$2 jobs=$3
src=$dir/src
log=$dir/build.log
configs=("$here/debug.config")
make=(make -C "$src" -j "$jobs" KBUILD_BUILD_HOST=hpm KBUILD_BUILD_USER=hpm
	LOCALVERSION=-hpm-"$name")
case $name in
debug) ;;
kcsan)
	configs+=("$here/kcsan.config")
	# Only the module's accesses are watched.  The kernel's own files are
	# compiled with nothing but the calls that mark barriers: without the
	# barriers of its locks, KCSAN_WEAK_MEMORY would report races in the
	# module that do not exist.
	make+=(CFLAGS_KCSAN=-D__KCSAN_INSTRUMENT_BARRIERS__) ;;
*)
	echo "debug-kernel.sh: no kernel \"$name\"" >&2
	exit 2 ;;
esac

run() {
	if ! "$@" >>"$log" 2>&1; then
		grep -E 'error|Error|undefined' "$log" | head -n 20 >&2 ||
			tail -n 20 "$log" >&2
		echo "debug-kernel.sh: $* failed, see $log" >&2
		exit 1
	fi
}

# Print the last line about each option.
options() {
	cat "${configs[@]}" | awk -F= '
		/^CONFIG_/ { if (!($1 in said)) name[n++] = $1; said[$1] = $0 }
		END { for (i = 0; i < n; i++) print said[name[i]] }'
}

# Check that .config has every option.  One with "=n" must be absent.
check_config() {
	local line bad=0
	while read -r line; do
		if [[ $line = *=n ]]; then
			! grep -q "^${line%n}" "$src/.config"
		else
			grep -qxF "$line" "$src/.config"
		fi || { echo "not in .config: $line" >&2; bad=1; }
	done < <(options)
	[ $bad = 0 ] || exit 1
}

# Build again only if an option or a command has changed.  The times of the
# files do not tell: a fresh check-out sets them, and a comment changes nothing.
key=$(grep -hvE '^[[:space:]]*(#|$)' "${configs[@]}" "$0" | sha256sum)
if [ -e "$dir/release" ] && [ "$(cat "$dir/key" 2>/dev/null)" = "$key" ]; then
	touch "$dir/release"
	exit 0
fi

mkdir -p "$dir"
rm -f "$dir/release"
if [ ! -e "$src/Makefile" ] || [ -e "$src/.trimmed" ]; then
	echo "UNPACK    linux-source-6.1" >&2
	rm -rf "$src" "$dir/src.tmp"
	mkdir -p "$dir/src.tmp"
	tar -xf "$CACHE/kernels/source/linux-source-6.1.tar.xz" \
		-C "$dir/src.tmp" --strip-components=1
	mv "$dir/src.tmp" "$src"
fi

echo "KERNEL    $name (takes a while: $log)" >&2
: >"$log"
cat "$src/kernel/configs/tiny.config" "$src/arch/x86/configs/tiny.config" \
	2>/dev/null >"$dir/all.config" || :
# the options of our files come last and win
options | cut -d= -f1 | sort >"$dir/ours"
grep -vwFf "$dir/ours" "$dir/all.config" >"$dir/all.new" || :
cat "$dir/all.new" <(options | grep -v '=n$') >"$dir/all.config"
run "${make[@]}" KCONFIG_ALLCONFIG="$dir/all.config" allnoconfig
check_config
run "${make[@]}" bzImage modules
run "${make[@]}" INSTALL_MOD_PATH="$dir" INSTALL_MOD_STRIP=1 modules_install

release=$("${make[@]}" -s kernelrelease)
cp "$src/arch/x86/boot/bzImage" "$dir/vmlinuz"
rm -f "$dir/lib/modules/$release/source"
ln -sfn ../../../src "$dir/lib/modules/$release/build"
ln -sfn src "$dir/build"

cd "$src"
: >.trimmed
find . -mindepth 1 -maxdepth 1 \( -name '.*' -o -name include -o -name arch \
	-o -name scripts -o -name tools -o -name Makefile -o -name Kbuild \
	-o -name Kconfig -o -name Module.symvers -o -name System.map \) -prune \
	-o -exec rm -rf {} +
find arch -mindepth 1 -maxdepth 1 ! -name x86 ! -name Kconfig \
	-exec rm -rf {} +
find tools -mindepth 1 -maxdepth 1 ! -name objtool ! -name include \
	! -name build ! -name scripts ! -name lib ! -name arch -exec rm -rf {} +
rm -f .tmp_vmlinux* .vmlinux*
find arch include \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' \
	-o -name 'vmlinux*' -o -name bzImage \) -type f ! -path '*/vdso/*' \
	! -name '*.lds' -delete
cd /
rm -f "$dir/all.config" "$dir/all.new" "$dir/ours"
echo "$key" >"$dir/key"
echo "$release" >"$dir/release"
