# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Horizontal bars in panels, by gnuplot: sourced by the scripts that draw figures.

# panel FILE TITLE [FORMAT]: prints the commands for one panel.  Each line of FILE is a
# bar: a label in quotes, a number, and 1 (a peer, grey) or 2 (ours, blue).
panel() {
	echo "set title \"$2\"
plot \"$1\" using (0):0:(0):2:(\$0-0.35):(\$0+0.35):3:ytic(1) with boxxyerror linecolor variable, \
	\"\" using 2:0:(sprintf(\"${3:-%.0f}\", \$2)) with labels left offset 0.5,0"
}

# bars OUTPUT.svg HEIGHT ROWS LAYOUT <<<COMMANDS: draws the panels that COMMANDS print;
# ROWS is the largest number of bars in one, LAYOUT what "set multiplot" takes.
bars() {
	gnuplot <<PLOT
set terminal svg size 860,$2 font "sans,12" background "white"
set output "$1"
set linetype 1 lc rgb "#9aa5b1"
set linetype 2 lc rgb "#3b6ea5"
set style fill solid 0.9 noborder
set border 1
unset key
unset xtics
set ytics nomirror scale 0
set yrange [$3 - 0.4:-0.6]
set xrange [0:*]
set offsets 0, graph 0.3, 0, 0
set multiplot $4
$(cat)
unset multiplot
PLOT
}
