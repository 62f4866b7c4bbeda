#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Draws the table that make bench-share printed: share-plot.sh TABLE OUTPUT.svg
set -euo pipefail

table=$1
out=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The line with the number of containers also names the peers.
read -r count _ peers < <(grep -m 1 -E '^[0-9]+ containers' "$table")
declare -A shown=([thin]=dm-thin)

panel() {		# panel FILE ROW
	local figures p n=0

	figures=$(sed -n "s/^row: $2 *//p" "$table")
	for p in $peers; do
		n=$((n + 1))
		echo "\"${shown[$p]:-$p}\" $(awk -v n=$n '{ print $n }' <<<"$figures") $([ "$p" = hpmapper ] && echo 2 || echo 1)"
	done >"$dir/$1"
}

panel 1 'read, MB'
panel 2 'written, MB'
panel 3 'cached at the end, MB'
panel 4 'time, ms'

plots=
titles=(- 'MB read' 'MB written' 'MB cached at the end' 'seconds')
for ((i = 1; i <= 4; i++)); do
	by=1
	form=%.0f
	[ $i != 4 ] || { by=1000; form=%.1f; }
	plots+="set title \"${titles[i]}\"
plot \"$dir/$i\" using (0):0:(0):(\$2/$by):(\$0-0.35):(\$0+0.35):3:ytic(1) with boxxyerror linecolor variable, \
	\"\" using (\$2/$by):0:(sprintf(\"$form\", \$2/$by)) with labels left offset 0.5,0
"
done

gnuplot <<PLOT
set terminal svg size 860,300 font "sans,12" background "white"
set output "$out"
last = $(wc -w <<<"$peers") - 1
set linetype 1 lc rgb "#9aa5b1"
set linetype 2 lc rgb "#3b6ea5"
set style fill solid 0.9 noborder
set border 1
unset key
unset xtics
set ytics nomirror scale 0
set yrange [last + 0.6:-0.6]
set xrange [0:*]
set offsets 0, graph 0.3, 0, 0
set multiplot layout 2,2 title "$count containers of one image, one after another" margins 0.1,0.97,0.05,0.82 spacing 0.13,0.17
$plots
unset multiplot
PLOT
