#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests a thousand active volumes: the memory that each of them takes, and that all
# operations work as with a few volumes.  bench/many.sh prints how long the
# operations take, beside dm-linear.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

: "${VOLUMES:=1000}"

# Prints the memory, in kilobytes, that cannot be reclaimed: neither free, nor
# cached, nor reclaimable at once.
taken() {
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^MemTotal:/ { t = $2 } /^(MemFree|Buffers|Cached|SReclaimable):/ { t -= $2 }
		END { print t }' /proc/meminfo
}

# each WHAT KIB: checks the memory that each device has taken since $before, beyond
# that of a linear device
each() {
	local kib=$((($(taken) - before + VOLUMES - 1) / VOLUMES))

	note "$1: $kib KiB"
	is "$1 takes at most $2 KiB more than a linear device" $((kib - linear)) -le $2
}

devices 32 256
check "dm-linear: $VOLUMES are made" many create $VOLUMES "0 8192 linear $data %u"
check "and removed" many remove $VOLUMES
before=$(taken)
many create $VOLUMES "0 8192 linear $data %u" >/dev/null
linear=$((($(taken) - before) / VOLUMES))
note "a linear device: $linear KiB"
many remove $VOLUMES >/dev/null

pool_up || exit
msg create_thin 0
vol_up base 0 16
put base 1M 4 0 fsync
vol_down base
check "a snapshot for each" eval \
	"for i in \$(seq $VOLUMES); do echo create_snap \$i 0; done | messages pool"
# Memory that the first activation allocates once for all volumes does not count.
check "all are activated" many create $VOLUMES "0 8192 hpmapper $pool %u"
check "and removed" many remove $VOLUMES
before=$(taken)
check "and once more" many create $VOLUMES "0 8192 hpmapper $pool %u"
dmsetup mknodes
each "an active volume" 64
sum=$(sum /dev/mapper/m0 4)
equal "the last one reads as the first" "$(sum /dev/mapper/m$((VOLUMES - 1)) 4)" "$sum"
check "all tell their status" many status $VOLUMES
for i in 1 250 500 $((VOLUMES - 1)); do
	put m$i 4k 64 128 || break
done
each "an active volume, some of them written," 64
check "each is suspended and resumed" many suspend $VOLUMES
check "the pool is suspended and resumed below all of them" eval \
	"dmsetup suspend pool && dmsetup resume pool"
check "a snapshot of one among them" msg create_snap $((VOLUMES + 1)) 500
check "a new table for the pool" pool_reload
equal "they read as before" "$(sum /dev/mapper/m0 4)" "$sum"
check "all are removed" many remove $VOLUMES
dmsetup mknodes
pool_down
check "the metadata is whole" hpm_check $meta
