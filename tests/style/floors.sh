#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Checks that each file of the module calls only files of the floors below its own.
#
#	floors.sh BUILD [LIST]
#
# BUILD is the directory in which kbuild has built the module.  The objects show
# which file calls which; the commands that kbuild keeps beside them show which
# headers a file includes.  LIST says what is allowed (default: floors.list).
# Prints the floors, and fails if anything does not agree with the list.
set -euo pipefail

build=$(cd "$1" && pwd)
list=${2:-$(dirname "$0")/floors.list}

# "is FILE", "def FILE SYMBOL", "use FILE SYMBOL", "has FILE HEADER": files as in Kbuild.
objects() {
	local object file cmd

	tr ' ' '\n' <"$build/dm-hpmapper.mod" | grep '\.o$' | while read -r object; do
		object=$build/${object#"$build/"}
		file=${object#"$build/"}
		file=${file%.o}
		echo "is $file"
		nm "$object" | awk -v file="$file" '
			$(NF - 1) == "U" { print "use", file, $NF }
			$(NF - 1) ~ /^[TDBRC]$/ { print "def", file, $NF }'
		cmd=$(dirname "$object")/.$(basename "$object").cmd
		[ ! -e "$cmd" ] || grep -oE "[^ ]+\.h" "$cmd" | sort -u |
			sed -n "s|^$build/|has $file |p"
	done
}

objects | awk -v list="$list" '
function bad(text)
{
	print "  " text
	failed = 1
}

# Notes the first symbol for which a file calls another.
function note(from, to, symbol)
{
	if (!((from, to) in calls))
		calls[from, to] = symbol
}

function place(file, n)
{
	if (file in floor)
		bad(file " stands in the list twice")
	floor[file] = n
	part[file] = now
	order[++files] = file
}

function read_list(	line, w, i, n)
{
	while ((getline line <list) > 0) {
		sub(/#.*/, "", line)
		n = split(line, w, " ")
		if (!n)
			continue
		if (w[1] == "part") {
			now = w[2]
			parts[++nr_parts] = now
			budget[now] = w[3]
		} else if (w[1] == "leave") {
			for (i = 3; i <= n; i++)
				door[w[2], w[i]] = 1
			shut[w[2]] = 1
		} else if (w[1] == "inside") {
			inside[w[2]] = 1
		} else if (w[1] == "floor") {
			floors++
			for (i = 2; i <= n; i++)
				place(w[i], floors)
		} else if (w[1] == "pair" && n == 3) {
			pair[w[2], w[3]] = pair[w[3], w[2]] = 1
			pairs[part[w[2]]]++
			left[++nr_pairs] = w[2]
			right[nr_pairs] = w[3]
		} else {
			bad("not understood: " line)
		}
	}
}

function show(n,	i, text)
{
	for (i = 1; i <= files; i++)
		if (floor[order[i]] == n)
			text = text " " order[i]
	printf "%4d %s\n", n - 1, text
}

function judge(from, to,	why)
{
	why = from " calls " to " (" calls[from, to] ")"
	if ((part[from] in shut) && part[to] != part[from] &&
	    !((part[from], to) in door))
		bad(why ", and leaves the part \"" part[from] "\"")
	else if (floor[to] > floor[from])
		bad(why ", which is above it")
	else if (floor[to] == floor[from] && !((from, to) in pair))
		bad(why ", which is on its own floor")
}

BEGIN { read_list() }

$1 == "is" { seen[$2] = 1 }
$1 == "def" { owner[$3] = $2 }
$1 == "use" { use[$2, $3] = 1 }
$1 == "has" { has[$2, $3] = 1 }

END {
	for (key in use) {
		split(key, w, SUBSEP)
		if ((w[2] in owner) && owner[w[2]] != w[1])
			note(w[1], owner[w[2]], w[2])
	}
	for (i = 1; i <= floors; i++)
		show(i)
	for (file in seen)
		if (!(file in floor))
			bad(file " has no floor")
	for (i = 1; i <= files; i++)
		if (!(order[i] in seen))
			bad(order[i] " is not in the module")
	for (key in calls) {
		split(key, w, SUBSEP)
		if ((w[1] in floor) && (w[2] in floor))
			judge(w[1], w[2])
	}
	for (key in has) {
		split(key, w, SUBSEP)
		dir = w[2]
		if (sub(/\/.*/, "", dir) && (dir in inside) && part[w[1]] != dir)
			bad(w[1] " includes " w[2] ", a header of the part \"" dir "\" alone")
	}
	for (i = 1; i <= nr_pairs; i++) {
		a = left[i]
		b = right[i]
		if (!((a, b) in calls) || !((b, a) in calls) || floor[a] != floor[b])
			bad(a " and " b " are no pair on one floor any more")
	}
	for (i = 1; i <= nr_parts; i++)
		if (pairs[parts[i]] > budget[parts[i]])
			bad("more pairs in " parts[i] " than " budget[parts[i]])
	printf "%d files on %d floors; pairs: %d\n", files, floors, nr_pairs
	exit failed
}'
