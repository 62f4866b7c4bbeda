#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Downloads one of Debian's kernels and unpacks it, without installing it.
#
#	kernels.sh <name> <meta package of the image> <directory>
#
# Installing a linux-image would rebuild the host's initramfs and boot menu, and the
# 6.12 headers depend on an image.  Therefore the script downloads the packages with
# apt, from the sources that this machine is configured with, and unpacks them:
#
#	<directory>/release			what uname -r prints in it
#	<directory>/vmlinuz			the kernel
#	<directory>/lib/modules/<release>	its modules, with modules.dep
#	<directory>/build			where to build a module against it
#
# The script takes the newest version that apt knows.  It does not touch an existing
# directory; remove the directory to get a newer version.
set -euo pipefail

name=$1 meta=$2 dir=$3

[ -e "$dir/release" ] && exit 0
echo "KERNEL    $name" >&2

tmp=$dir.tmp
rm -rf "$tmp" "$dir"
mkdir -p "$tmp/debs"
# apt reads the packages as another user
chmod 755 "$tmp" "$tmp/debs"
log=$tmp/log

depends() {
	apt-cache depends --important "$1" 2>/dev/null |
		sed -n 's/^[ |]*Depends: //p'
}

update() {
	local sudo=(sudo -n)
	[ "$(id -u)" != 0 ] || sudo=()
	"${sudo[@]}" apt-get -q update 2>&1 | cat >>"$log" || :
}

fetch() {
	local image release
	image=$(depends "$meta" | grep -E '^linux-image-[0-9]' | head -n 1)
	[ -n "$image" ] || return 1
	release=${image#linux-image-}
	release=${release%-unsigned}
	local headers=linux-headers-$release
	local debs=("$image" "$headers")
	local d
	for d in $(depends "$headers"); do
		case $d in
		linux-headers-*-common*|linux-kbuild-*) debs+=("$d") ;;
		esac
	done
	(cd "$tmp/debs" && apt-get -q -o Acquire::Retries=3 \
		download "${debs[@]}" >>"$log" 2>&1) || return 1
	echo "$release" >"$tmp/release"
}

update
if ! fetch; then
	cat "$log" >&2
	echo "kernels.sh: cannot download $meta" >&2
	exit 1
fi

release=$(cat "$tmp/release")
for d in "$tmp"/debs/*.deb; do
	dpkg-deb -x "$d" "$tmp"
done
rm -rf "$tmp/debs" "$log"
mv "$tmp/boot/vmlinuz-$release" "$tmp/vmlinuz"

# The headers name each other by the absolute path they are installed at.
headers=usr/src/linux-headers-$release
sed -i "s,/usr/src/,$dir/usr/src/,g" "$tmp/$headers/Makefile"
ln -sfn "$headers" "$tmp/build"
ln -sfn "../../../$headers" "$tmp/lib/modules/$release/build"
rm -f "$tmp/lib/modules/$release/source"

# xz is slow in an emulated guest, and depmod runs after every build.
find "$tmp/lib/modules" -name '*.ko.xz' -print0 | xargs -0r -P 2 -n 100 xz -d

"$(command -v depmod || echo /sbin/depmod)" -b "$tmp" "$release"
mv "$tmp" "$dir"
