#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs checkpatch.pl over the module's sources, and prints nothing if all is well.
#
#	checkpatch.sh <checkpatch.pl> <file>...
#
# .checkpatch.conf above the sources lists the checks that do not apply to them.
# Four exceptions are narrower than a line of that file can be:
#
#  - compat.h compares kernel versions and defines types that an older kernel does not
#    have;
#  - the macros of trace headers have the layout of all tracepoint headers;
#  - the lists in fault.h, pause.h and parse.h are macros that take a macro, and
#    tables are made of them;
#  - the ruled titles of sections, as everywhere in drivers/md, end in " *---*/", and
#    checkpatch takes them for a block comment with a wrong end.
set -uo pipefail

checkpatch=$1
shift
compat=LINUX_VERSION_CODE,CONSTANT_COMPARISON,NEW_TYPEDEFS
trace=OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT,SPACING
list=BRACKET_SPACE,COMPLEX_MACRO,MACRO_ARG_REUSE
status=0
export HOME=${HOME:-/}

rule_ends_here() {
	sed -n "$2p" "$1" | grep -qE '^ \*-{20,}\*/$'
}

for path in "$@"; do
	at=$(dirname "$path")
	until [ -e "$at/.checkpatch.conf" ] || [ "$at" = / ]; do
		at=$(dirname "$at")
	done
	cd "$at" || exit 1
	file=${path#"$at"/}
	options=(--terse --no-summary --show-types --color=never)
	[ "${file##*/}" != compat.h ] || options+=(--ignore "$compat")
	[[ "$file" != *trace.h ]] || options+=(--ignore "$trace")
	[[ "${file##*/}" != @(fault|pause|parse|pool-message).[ch] ]] || options+=(--ignore "$list")
	while IFS= read -r said; do
		line=${said#*:}
		line=${line%%:*}
		case $said in
		*:BLOCK_COMMENT_STYLE:*)
			rule_ends_here "$file" "$line" && continue ;;
		esac
		echo "$said"
		status=1
	done < <(perl "$checkpatch" "${options[@]}" -f "$file" 2>&1)
done
exit $status
