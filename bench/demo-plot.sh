#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Draws the table that the demo printed: demo-plot.sh TABLE OUTPUT.svg
set -euo pipefail

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
mapped=$(mib '4 KiB blocks that the volumes map')
read -r alone <<<"$(mib '  of these, for the containers alone')"
cat >"$dir/space" <<END
"the $((count + 2)) volumes map" $mapped 1
"the pool stores" $(mib '4 KiB blocks stored') 2
"for the containers alone" $alone 2
END
cat >"$dir/disk" <<END
"read from the disk" $(value 'read from the disk') 2
"written to the disk" $(value 'written to the disk') 2
END

panel() {		# panel FILE TITLE
	echo "set title \"$2\"
plot \"$dir/$1\" using (0):0:(0):2:(\$0-0.35):(\$0+0.35):3:ytic(1) with boxxyerror linecolor variable, \
	\"\" using 2:0:(sprintf(\"%.0f\", \$2)) with labels left offset 0.5,0"
}

gnuplot <<PLOT
set terminal svg size 860,220 font "sans,12" background "white"
set output "$out"
set linetype 1 lc rgb "#9aa5b1"
set linetype 2 lc rgb "#3b6ea5"
set style fill solid 0.9 noborder
set border 1
unset key
unset xtics
set ytics nomirror scale 0
set yrange [2.6:-0.6]
set xrange [0:*]
set offsets 0, graph 0.3, 0, 0
set multiplot layout 1,2 title "An image in two layers and $count containers of it, each with a redis-server" margins 0.19,0.97,0.08,0.68 spacing 0.2
$(panel space "MiB of the data device")
$(panel disk "MiB of I/O by the $count containers")
unset multiplot
PLOT
