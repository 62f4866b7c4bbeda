#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Downloads the headers of the newest kernel that Debian has, from suites that this
# machine is not configured with.
#
#	newest.sh <directory>
#
# apt gets a configuration and a state of its own in the directory, so the machine's
# own sources do not change.  The result:
#
#	<directory>/release		what uname -r prints in that kernel
#	<directory>/build		where to build a module against it
set -euo pipefail

dir=$1
[ ! -e "$dir/release" ] || exit 0
echo "KERNEL    newest" >&2

apt=$dir/apt
rm -rf "$dir"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts" \
	"$dir/debs"
chmod 755 "$dir" "$dir/debs"
: >"$apt/status"

# the mirror that this machine uses already
# shellcheck disable=SC2016 # apt's own variables
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
	'Origin: Debian' 2>/dev/null | grep -v security | sort -u | head -n 1)
: "${mirror:=http://deb.debian.org/debian}"
for suite in sid trixie-backports; do
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"$mirror $suite main"
done >"$apt/sources.list"

private=(-q -o "Dir::Etc::SourceList=$apt/sources.list"
	-o "Dir::Etc::SourceParts=$apt/parts"
	-o "Dir::Etc::Preferences=$apt/none"
	-o "Dir::Etc::PreferencesParts=$apt/parts"
	-o "Dir::State::Lists=$apt/lists" -o "Dir::State::status=$apt/status"
	-o "Dir::Cache=$apt/cache" -o Acquire::Retries=3
	# An outdated mirror is good enough to compile against.
	-o Acquire::Check-Valid-Until=false)

# One suite is enough, so the failure of another one is no reason to stop yet.
apt-get "${private[@]}" update >"$apt/log" 2>&1 || :
version=$(apt-cache "${private[@]}" madison linux-headers-amd64 |
	awk -F'|' '{ print $2 }' | tr -d ' ' | sort -V | tail -n 1)
[ -n "$version" ] || { cat "$apt/log" >&2; exit 1; }
headers=$(apt-cache "${private[@]}" show "linux-headers-amd64=$version" |
	grep -oE 'linux-headers-[0-9][^ ,]*' | head -n 1)
release=${headers#linux-headers-}

debs=("$headers")
for d in $(apt-cache "${private[@]}" depends "$headers" |
		sed -n 's/^[ |]*Depends: //p'); do
	case $d in
	linux-headers-*-common*|linux-kbuild-*) debs+=("$d") ;;
	esac
done
(cd "$dir/debs" && apt-get "${private[@]}" download "${debs[@]}") \
	>>"$apt/log" 2>&1 || { cat "$apt/log" >&2; exit 1; }

for d in "$dir"/debs/*.deb; do
	dpkg-deb -x "$d" "$dir"
done
rm -rf "$dir/debs" "$apt"
# The headers name each other by the absolute path they are installed at.
sed -i "s,/usr/src/,$dir/usr/src/,g" "$dir/usr/src/$headers/Makefile"
ln -sfn "usr/src/$headers" "$dir/build"
echo "$release" >"$dir/release"
