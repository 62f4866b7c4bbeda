#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Extracts the tar file of a kernel's source from its Debian package.
#
#	source.sh <package> <output>
set -euo pipefail

package=$1 output=$2
[ ! -e "$output" ] || exit 0
tmp=$(mktemp -d "$(dirname "$output")/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

echo "SOURCE    $package" >&2
chmod 755 "$tmp"
cd "$tmp"
apt-get -q -o Acquire::Retries=3 download "$package" >log 2>&1 || {
	sudo=(sudo -n)
	[ "$(id -u)" != 0 ] || sudo=()
	"${sudo[@]}" apt-get -q update >/dev/null 2>&1 || :
	apt-get -q -o Acquire::Retries=3 download "$package" >log 2>&1 ||
		{ cat log >&2; exit 1; }
}
dpkg-deb --fsys-tarfile "$package"_*.deb |
	tar -x "./usr/src/$package.tar.xz"
mv "usr/src/$package.tar.xz" "$output"
