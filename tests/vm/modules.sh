#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the directory that a guest sees as /lib/modules/$(uname -r): the kernel's
# own modules and, beside them, our build of dm-hpmapper.
#
#	modules.sh <kernel directory> <our .ko or ""> <output directory>
#
# The kernel's modules are a link, so this takes half a second and no space.  The
# link is absolute, and the guest sees its target at the same place as the host.
set -euo pipefail

kernel=$1 ko=$2 output=$3
release=$(cat "$kernel/release")
from=$kernel/lib/modules/$release
to=$output/lib/modules/$release
PATH=$PATH:/usr/sbin:/sbin

rm -rf "$output"
mkdir -p "$to/extra"
ln -s "$from/kernel" "$to/kernel"
for f in order builtin builtin.modinfo; do
	[ ! -e "$from/modules.$f" ] || cp "$from/modules.$f" "$to/"
done
[ -z "$ko" ] || cp "$ko" "$to/extra/"
depmod -b "$output" "$release"
