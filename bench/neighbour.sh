#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures how long others wait for a neighbour whose I/O io.max holds back: some
# messages, an activation, a removal and a write, first alone, then beside a
# throttled reader of 16 MiB, then beside a throttled writer of as much.  Prints
# milliseconds of the guest's clock; starting a program takes some of them.
# shellcheck source=../tests/vm/suite/lib.sh disable=SC1091,SC2154
. "$(dirname "$0")/../tests/vm/suite/lib.sh"

ms() {	# ms COMMAND...
	local start end

	start=$(date +%s%3N)
	timeout 600 "$@" >/dev/null 2>&1 || echo "failed: $*" >&2
	end=$(date +%s%3N)
	echo $((end - start))
}

neighbours() {	# neighbours WHAT
	local id=$((++last_id + 100))

	printf '%-18s %10s' "$1" "$(ms dmsetup message pool 0 create_snap $id 2)"
	printf ' %10s' "$(ms dd if=/dev/zero of=/dev/mapper/w bs=4k count=1 \
		oflag=direct conv=notrunc)"
	printf ' %10s' "$(ms dmsetup create x --table "0 $(mib 16) hpmapper $pool $id")"
	printf ' %10s' "$(ms dmsetup remove x)"
	printf ' %10s\n' "$(ms dmsetup message pool 0 delete $id)"
}

devices 16 256
tenancy
pool_up || exit
vol_new v 0 32
put v 1M 32 0
vol_new w 2 16
put w 1M 8 0
snap_new c 1 0 32

printf '%-18s %10s %10s %10s %10s %10s\n' ms create_snap write create remove delete
neighbours alone
limit 65536
tenant dd if=/dev/mapper/c of=/dev/null bs=16M count=1 iflag=direct
neighbours "throttled reader"
kill -0 "$slow" || echo "the reader has ended before" >&2
limit max
wait "$slow"
limit 65536
tenant dd if=/dev/zero of=/dev/mapper/c bs=16M count=1 oflag=direct conv=notrunc
neighbours "throttled writer"
kill -0 "$slow" || echo "the writer has ended before" >&2
limit max
wait "$slow"
vol_down c w v
pool_down
rmdir "$cgroup"
