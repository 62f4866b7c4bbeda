#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Checks that the kernel exports all symbols that an object needs.  modpost would
# check this, but the modpost of a newer Debian does not run on an older one.
#
#	newest-check.sh <object> <Module.symvers>
set -euo pipefail

object=$1 symvers=$2
# __this_module is made by modpost; the rest is in every kernel.
missing=$(comm -23 \
	<(nm -u "$object" | awk '{ print $2 }' | grep -vx __this_module |
		sort -u) \
	<(cut -f2 "$symvers" | sort -u))
[ -n "$missing" ] || exit 0
echo "not exported by the newest kernel:" >&2
echo "${missing//$'\n'/ }" >&2
exit 1
