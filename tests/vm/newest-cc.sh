#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The compiler for the headers of the newest kernel, which expect a newer gcc than
# Debian 12 has: gcc without the flags that gcc 12 does not know.  These flags
# concern alignment and padding, and do not decide what is valid C.
args=()
for a in "$@"; do
	case $a in
	-fmin-function-alignment=*|-fzero-init-padding-bits*) ;;
	*) args+=("$a") ;;
	esac
done
exec gcc "${args[@]}"
