#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs random operations for a while, and then verifies all data.
#
#	STRESS_TIME=60 STRESS_SEED=1 stress.sh
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

: "${STRESS_TIME:=60}" "${STRESS_SEED:=1}"
RANDOM=$STRESS_SEED
note "seed $STRESS_SEED, $STRESS_TIME s"

devices 16 384
large=512
pool_up || exit
vol_new base 90 32
dd if=/dev/urandom of=/dev/mapper/base bs=1M count=32 oflag=direct status=none
base=$(sum /dev/mapper/base)
msg create_thin 0
vol_up v0 0 32
for i in 1 2 3; do
	snap_new v$i $i 90 32
done

# Each writer has a volume for itself and verifies its content.  (The writers are
# many, and leave most of the machine to the processes that suspend and reload.)
load() {	# load VOLUME OPTIONS...
	local i=$1 n=0

	shift
	until [ -e "$tmp/enough" ]; do
		n=$((n + 1))
		nice -n 19 stamps --device /dev/mapper/v$i --pool pool \
			--origin $i --size 4M --skip $((n * 5 % 28))M --seconds 6 --snapshots 8 \
			--first $((1000 * (i + 1) + n * 10)) \
			--seed $((STRESS_SEED * 1000 + i * 100 + n)) "$@" \
			>>"$tmp/load$i" 2>&1 || return
	done
}

load 0 --unit 2048 --max 2048 --syncs 3 &
loads[0]=$!
load 1 --discards 10 --zeroes 10 --threads 3 &
loads[1]=$!
load 2 --unit 1 --threads 6 &
loads[2]=$!
load 3 --discards 3 --syncs 20 --pause 20 &
loads[3]=$!

# Meanwhile, random administrative operations.  must() runs those that may not fail;
# others may find that a volume exists already, or is gone.
must() {
	"$@" >"$tmp/said" 2>&1 && return
	echo "at $SECONDS s: $*: $(cat "$tmp/said")" >>"$tmp/failed"
}

# how DEVICE: suspends the device in one of four ways, for a moment, and resumes it
how() {
	local options=("" --noflush --nolockfs "--noflush --nolockfs")

	must dmsetup suspend ${options[RANDOM % 4]} "$1"
	[ $((RANDOM % 2)) = 0 ] || sleep 0.$((RANDOM % 4))
	must dmsetup resume "$1"
}

# The features that a pool can change while it is in use.
features=()
other_features() {
	features=()
	[ $((RANDOM % 2)) = 0 ] || features+=(queue_if_no_space)
	[ $((RANDOM % 2)) = 0 ] || features+=(no_discard_passdown)
	[ $((RANDOM % 2)) = 0 ] || features+=(no_sharing)
}

# swap DEVICE TABLE: loads a table, which replaces the active one at the resume;
# sometimes it is cleared again
swap() {
	must dmsetup reload "$1" --table "$2"
	if [ $((RANDOM % 4)) = 0 ]; then
		must dmsetup clear "$1"
	else
		how "$1"
	fi
}

size_data=384 size_meta=16 size_v=(32 32 32 32)
declare -A done_so_far=()
events=0
# (On a slow machine a minute is not enough.)
end=$((SECONDS + STRESS_TIME))
while [ $SECONDS -lt $end ] || [ $events -lt 64 ]; do
	i=$((RANDOM % 4)) id=$((500 + RANDOM % 30))
	case $((RANDOM % 16)) in
	0|1) what=suspend-volume
		how v$i ;;
	2) what=suspend-pool
		how pool ;;
	3) what=suspend-all
		for d in v$i pool; do
			must dmsetup suspend --noflush $d
		done
		must dmsetup resume pool
		must dmsetup resume v$i ;;
	4) what=reload-volume
		[ $((RANDOM % 3)) != 0 ] || size_v[i]=$((size_v[i] + 4))
		swap v$i "0 $(mib ${size_v[i]}) hpmapper $pool $i" ;;
	5|6) what=reload-pool
		other_features
		swap pool "$(pool_table $((RANDOM % 100)) "${features[@]}")" ;;
	7) what=grow
		if [ $size_data -lt 768 ]; then
			size_data=$((size_data + 8)) size_meta=$((size_meta + 1))
			[ $((RANDOM % 2)) = 0 ] || must slice meta hmeta $size_meta
			must slice data hdata $size_data
			must pool_reload 0 "${features[@]}"
		fi ;;
	8) what=defrag
		msg defrag start $((1000 + RANDOM * 10)) 2>/dev/null
		[ $((RANDOM % 2)) = 0 ] || msg defrag stop ;;
	9|10) what=create_snap
		msg create_snap $id $i 2>/dev/null ;;
	11|12) what=delete
		msg delete $id 2>/dev/null ;;
	13) what=checkpoint
		must msg checkpoint
		must dmsetup status ;;
	14) what=volume
		msg create_snap $id 90 2>/dev/null
		if vol_up extra $id 32 2>/dev/null; then
			must dd if=/dev/urandom of=/dev/mapper/extra \
				bs=$((512 * (1 + RANDOM % 300))) count=20 \
				seek=$((RANDOM % 50)) oflag=direct status=none
			must vol_down extra
		fi ;;
	15) what=map_cache
		must msg map_cache $((50 + RANDOM))
		must msg list ;;
	esac
	done_so_far[$what]=$((${done_so_far[$what]:-0} + 1))
	events=$((events + 1))
done
touch "$tmp/enough"
note "$events events in $((SECONDS - end + STRESS_TIME)) s"
equal "what may not fail has not failed" "$(cat "$tmp/failed" 2>/dev/null)" ""
for i in 0 1 2 3; do
	wait ${loads[$i]}
	seen="$? $(grep -v '^#' "$tmp/load$i" | head)"
	equal "volume $i: $(grep -c '^# stamps' "$tmp/load$i") runs, no error" "$seen" "0 "
done
note "$(for what in "${!done_so_far[@]}"; do echo "$what ${done_so_far[$what]}"; done | sort | paste -sd ,)"
note "$(grep -ho '[0-9]* writes' "$tmp"/load? | awk '{ n += $1 } END { print n }') writes"
equal "what they shared is as it was" "$(sum /dev/mapper/base)" "$base"
equal "the pool is well" "$(pool_mode) $(word 11)" "rw -"
before=$(for i in 0 1 2 3; do sum /dev/mapper/v$i 32; done)
vol_down base v0 v1 v2 v3
pool_down
pool_up || exit
for i in 0 1 2 3; do
	vol_up v$i $i 32
done
equal "opened again, all is as it was" \
	"$(for i in 0 1 2 3; do sum /dev/mapper/v$i 32; done)" "$before"
vol_down v0 v1 v2 v3
dmsetup message pool 0 list | sed 's/^\([0-9]*\) .*/delete \1/' | messages pool >/dev/null
check "all deleted, nothing is used" within 60 used_is 0
check "nor dying" within 10 nothing_dying
pool_down
