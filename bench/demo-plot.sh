#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Draws the table that the demo printed: demo-plot.sh TABLE OUTPUT.svg
set -euo pipefail

table=$1
out=$2

value() {
	awk -v what="$1" 'index($0, what) == 1 { print $NF }' "$table"
}

mib() {
	awk -v b="$(value "$1")" 'BEGIN { printf "%.1f", b / 256 }'
}

count=$(value containers)
data=$(mktemp)
trap 'rm -f "$data"' EXIT
{
	echo "\"what the $((count + 2)) volumes map\" $(mib '4 KiB blocks that the volumes map')"
	echo "\"what the pool stores for them\" $(mib '4 KiB blocks stored')"
	echo "\"read from the disk by $count containers\" $(value 'read from the disk')"
	echo "\"written to it by them\" $(value 'written to the disk')"
} >"$data"

gnuplot <<PLOT
set terminal svg size 760,300 font "sans,13" background "white"
set output "$out"
set title "An image in two layers and $count containers of it, each with a redis-server"
set xlabel "MiB"
set style fill solid 0.85 noborder
unset key
set border 3
set tics nomirror
set yrange [3.6:-0.6]
set xrange [0:*]
set offsets 0, graph 0.12, 0, 0
set lmargin 34
plot "$data" using (\$2*0.5):0:(\$2*0.5):(0.3):ytic(1) with boxxyerror linecolor rgb "#3b6ea5", \
     "" using 2:0:(sprintf(" %.0f", \$2)) with labels left offset 0.5,0
PLOT
