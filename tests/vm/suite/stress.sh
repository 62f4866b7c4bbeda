#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Random everything for a while, and then: is it all there?
#
#	STRESS_TIME=60 STRESS_SEED=1 stress.sh
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

: "${STRESS_TIME:=60}" "${STRESS_SEED:=1}"
RANDOM=$STRESS_SEED
note "seed $STRESS_SEED, $STRESS_TIME s"

devices 16 512
large=512
pool_up || exit
vol_new base 90 64
dd if=/dev/urandom of=/dev/mapper/base bs=1M count=64 oflag=direct status=none
base=$(sum /dev/mapper/base)
msg create_thin 0
vol_up v0 0 64
for i in 1 2 3; do
	snap_new v$i $i 90 64
done

# (On a slow machine it took a while to get here.)
end=$((SECONDS + STRESS_TIME))

# Each writer has a volume for itself and finds out what it holds.
load() {	# load VOLUME OPTIONS...
	local i=$1 n=0

	shift
	while [ $SECONDS -lt $end ]; do
		n=$((n + 1))
		stamps --device /dev/mapper/v$i --pool pool --origin $i --size 16M \
			--skip $((n * 5 % 48))M --seconds 6 --snapshots 8 \
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

# Meanwhile, everything that a person could do.
events=0
while [ $SECONDS -lt $end ]; do
	i=$((RANDOM % 4)) id=$((500 + RANDOM % 30))
	case $((RANDOM % 16)) in
	0) dmsetup suspend v$i; dmsetup resume v$i ;;
	1) dmsetup suspend --noflush v$i; dmsetup resume v$i ;;
	2) dmsetup suspend pool; dmsetup resume pool ;;
	3) dmsetup suspend --noflush pool; sleep 0.2; dmsetup resume pool ;;
	4) dmsetup reload v$i --table "$(dmsetup table v$i)"
	   dmsetup suspend v$i; dmsetup resume v$i ;;
	5) pool_reload $((RANDOM % 100)) ;;
	6) msg defrag start $((1000 + RANDOM * 10)) ;;
	7) msg defrag stop ;;
	8|9) msg create_snap $id $i 2>/dev/null ;;
	10|11) msg delete $id 2>/dev/null ;;
	12) msg checkpoint ;;
	13) dmsetup status >/dev/null ;;
	14) msg create_snap $id 90 2>/dev/null
	    vol_up extra $id 64 2>/dev/null &&
		dd if=/dev/urandom of=/dev/mapper/extra bs=$((512 * (1 + RANDOM % 300))) \
			count=20 seek=$((RANDOM % 50)) oflag=direct status=none
	    dmsetup info extra >/dev/null 2>&1 && vol_down extra ;;
	15) msg map_cache $((50 + RANDOM)); msg list >/dev/null ;;
	esac
	events=$((events + 1))
done
for i in 0 1 2 3; do
	wait ${loads[$i]}
	equal "volume $i: $(grep -c '^# stamps' "$tmp/load$i") runs, no error" \
		"$? $(grep -v '^#' "$tmp/load$i" | head)" "0 "
done
note "$events events, $(grep -ho '[0-9]* writes' "$tmp"/load? | awk '{ n += $1 } END { print n }') writes"
equal "what they shared is as it was" "$(sum /dev/mapper/base)" "$base"
equal "the pool is well" "$(pool_mode) $(word 11)" "rw -"
before=$(for i in 0 1 2 3; do sum /dev/mapper/v$i; done)
vol_down base v0 v1 v2 v3
pool_down
pool_up || exit
for i in 0 1 2 3; do
	vol_up v$i $i 64
done
equal "opened again, all is as it was" \
	"$(for i in 0 1 2 3; do sum /dev/mapper/v$i; done)" "$before"
vol_down v0 v1 v2 v3
dmsetup message pool 0 list | sed 's/^\([0-9]*\) .*/delete \1/' | messages pool >/dev/null
check "all deleted, nothing is used" within 60 used_is 0
check "nor dying" within 10 nothing_dying
pool_down
