#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The compiler for the newest kernel's headers, which want a newer gcc than
# Debian 12 has: gcc without the flags that gcc 12 does not know.  They are
# about alignment and about padding, not about what is right C.
args=()
for a in "$@"; do
	case $a in
	-fmin-function-alignment=*|-fzero-init-padding-bits*) ;;
	*) args+=("$a") ;;
	esac
done
exec gcc "${args[@]}"
