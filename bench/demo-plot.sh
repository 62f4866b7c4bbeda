#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Draws the table that the demo printed: demo-plot.sh TABLE OUTPUT.svg
set -euo pipefail
# shellcheck source=bars.sh disable=SC1091
. "$(dirname "$0")/bars.sh"

table=$1
out=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

value() {		# value ROW
	awk -v what="$1" 'index($0, what) == 1 { print $NF }' "$table"
}

mib() {			# mib ROW: a number of 4 KiB blocks
	awk -v b="$(value "$1")" 'BEGIN { printf "%.1f", b / 256 }'
}

count=$(value containers)
cat >"$dir/space" <<END
"the $((count + 2)) volumes map" $(mib '4 KiB blocks that the volumes map') 1
"the pool stores" $(mib '4 KiB blocks stored') 2
"for the containers alone" $(mib '  of these, for the containers alone') 2
END
cat >"$dir/disk" <<END
"read from the disk" $(value 'read from the disk') 2
"written to the disk" $(value 'written to the disk') 2
END

{
	panel "$dir/space" "MiB of the data device"
	panel "$dir/disk" "MiB of I/O by the $count containers"
} | bars "$out" 220 3 "layout 1,2 title \"An image in two layers and $count containers of it, each with a redis-server\" margins 0.19,0.97,0.08,0.68 spacing 0.2"
