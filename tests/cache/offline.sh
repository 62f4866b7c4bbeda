#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Takes memory offline, and its struct pages with it, while pages in it are known as
# copies and read from.  Runs in a guest with movablecore= (make test-offline).
set -uo pipefail
# shellcheck source=lib.sh disable=SC1091
. "$(dirname "$0")/lib.sh"

FILES=200
cp "$(command -v sharefiles)" /dev/shm/
pool_up
msg create_thin 0
activate 0
make_fs /dev/mapper/v0
mounted 0
sharefiles fill /mnt/0 $FILES 1
down 0
drop_caches
clone 1 2
up 1
up 2
msg cache scan_ms 1000

# Clone 2 reads all the time, and is served from clone 1 if possible.
reader() {
	until [ -e /dev/shm/enough ]; do
		racer drop /mnt/2/d0/f0
		for f in /mnt/2/d*/f*; do racer drop "$f"; done
		sharefiles check /mnt/2 $FILES 1 >/dev/null || return
	done
}

movable() {
	grep -l Movable /sys/devices/system/memory/memory*/valid_zones
}

cp "$(command -v racer)" /dev/shm/
sharefiles check /mnt/1 $FILES 1 >/dev/null
reader & pid=$!
gone=0
for ((round = 0; round < ${ROUNDS:-3}; round++)); do
	for dir in $(movable); do
		dir=${dir%/*}
		timeout 60 bash -c "echo offline >$dir/state" 2>/dev/null || continue
		gone=$((gone + 1))
		sharefiles check /mnt/1 $FILES 1 >/dev/null
		result "clone 1 is right without ${dir##*/}" $?
		echo online_movable >"$dir/state"
	done
done
touch /dev/shm/enough
wait $pid
result "no wrong byte while $gone blocks of memory went" $?
check "some did" [ $gone -gt 0 ]
check "there were hits" [ "$(value hits)" -gt 0 ]
check "no block has changed" [ "$(value changed)" = 0 ]
echo "# $(dmsetup status --noflush pool | sed 's/.* share /share /')"
down 1 2
check "the pool can be removed" dmsetup remove --retry pool
check "and the module" rmmod dm-hpmapper
the_end
