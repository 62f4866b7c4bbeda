#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Installs Debian packages, but only those that are missing.
#
#	packages.sh <stamp file> <package>...
#
# The script asks dpkg about every package each time, which takes milliseconds, so a
# cache directory that was copied to a fresh machine does no harm.  It calls apt
# only when a package is missing, and downloads apt's lists only when they do not
# have a package or are out of date.  The stamp names the packages.  It is rewritten
# only when the list changes, so targets that depend on it are not rebuilt
# needlessly.
set -euo pipefail

stamp=$1
shift
want=$*

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n -- "$@"
	else
		echo "These packages are missing: ${missing[*]}" >&2
		echo "Install them as root:" >&2
		echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
		exit 1
	fi
}

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}

# Several of these may be wanted at a time (make -j); apt's lists have one user.
mkdir -p "$(dirname "$stamp")"
exec 9>"$(dirname "$stamp")/.lock"
flock 9

missing=()
for p in "$@"; do
	installed "$p" || missing+=("$p")
done

if [ ${#missing[@]} -gt 0 ]; then
	echo "PACKAGES  ${missing[*]}" >&2
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	install=(install --no-install-recommends -- "${missing[@]}")
	# A source that cannot be reached must not stop us while the other sources
	# have the packages, so the status of the update is ignored.
	if ! apt_get "${install[@]}" >"$log" 2>&1; then
		apt_get update >>"$log" 2>&1 || :
		if ! apt_get "${install[@]}" >>"$log" 2>&1; then
			cat "$log" >&2
			exit 1
		fi
	fi
fi

if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
	echo "$want" >"$stamp"
fi
