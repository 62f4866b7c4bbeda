#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: run.sh BUILD/fuzz SECONDS TARGET...
#
# Runs the fuzzers one after another, each for its share of the time, and prints how
# many inputs each has tried.  Each fuzzer first tries the inputs that earlier runs
# found.
set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=$1 seconds=$2
shift 2
each=$((seconds / $# > 0 ? seconds / $# : 1))
passed=0 failed=0

# The tools' buffers are large and short-lived.  ASan would map a new shadow for
# each of them, and half of the time would go into page faults.
export ASAN_OPTIONS=clear_shadow_mmap_threshold=1073741824:${ASAN_OPTIONS:-}

for target in "$@"; do
	dir=$out/$target
	case $target in
	fuzz_hpm_restore) seeds=$out/corpus/text ;;
	fuzz_hpm_*) seeds=$out/corpus/edits ;;
	*) seeds=$out/corpus/${target#fuzz_} ;;
	esac
	words=()
	case $target in
	fuzz_table|fuzz_message) words=(-dict="$here/words.dict") ;;
	esac
	mkdir -p "$dir/corpus" "$dir/found"
	status=0
	for f in "$dir"/found/*; do
		[ -e "$f" ] || continue
		"$out/$target.bin" "$f" >"$dir/log" 2>&1 || status=1
	done
	if [ $status = 0 ]; then
		"$out/$target.bin" -max_total_time="$each" -timeout=20 "${words[@]}" \
			-rss_limit_mb=2048 -max_len=2048 -print_final_stats=1 \
			-artifact_prefix="$dir/found/" \
			"$dir/corpus" "$seeds" >"$dir/log" 2>&1 || status=1
	fi
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log")
	if [ $status = 0 ]; then
		passed=$((passed + 1))
		echo "$target: $runs inputs in $each s, nothing found"
	else
		failed=$((failed + 1))
		echo "$target: FAILED, the input is in $dir/found"
		grep -E 'ERROR|SUMMARY|runtime error|BUG' "$dir/log" | head -5
	fi
done
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
