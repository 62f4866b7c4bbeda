#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs after other scripts in the same guest, and tests that none of them has leaked
# memory.  Only the debug kernel can tell.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

if [ -e /sys/kernel/debug/kmemleak ]; then
	check "kmemleak finds nothing" vm-leaks
else
	note "this kernel does not look for leaks"
fi
