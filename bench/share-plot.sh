#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Draws the table that make bench-share printed: share-plot.sh TABLE OUTPUT.svg
set -euo pipefail
# shellcheck source=bars.sh disable=SC1091
. "$(dirname "$0")/bars.sh"

table=$1
out=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The line with the number of containers also names the peers.
read -r count _ peers < <(grep -m 1 -E '^[0-9]+ containers' "$table")
declare -A shown=([thin]=dm-thin)

# rows FILE ROW DIVISOR: a bar for each peer
rows() {
	local figures p n=0

	figures=$(sed -n "s/^row: $2 *//p" "$table")
	for p in $peers; do
		n=$((n + 1))
		echo "\"${shown[$p]:-$p}\" $(awk -v n=$n -v by="$3" '{ print $n / by }' <<<"$figures") $([ "$p" = hpmapper ] && echo 2 || echo 1)"
	done >"$dir/$1"
}

rows 1 'read, MB' 1
rows 2 'written, MB' 1
rows 3 'cached at the end, MB' 1
rows 4 'time, ms' 1000
{
	panel "$dir/1" 'MB read'
	panel "$dir/2" 'MB written'
	panel "$dir/3" 'MB cached at the end'
	panel "$dir/4" seconds %.1f
} | bars "$out" 300 "$(wc -w <<<"$peers")" "layout 2,2 title \"$count containers of one image, one after another\" margins 0.1,0.97,0.05,0.82 spacing 0.13,0.17"
