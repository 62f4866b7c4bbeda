#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In the guest, on the virtual clock: how long a pool takes to come up that has
# crashed with as many records as there can be (tail.c).
#
#	recovery.sh <metadata image> <sectors of the data device>
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../vm/lib.sh
. "$here/../vm/lib.sh"

nullb hmeta 1024 timer 80000
meta=$(nullb_path hmeta)
dd if="$1" of="$meta" bs=1M oflag=direct conv=sparse status=none
# nothing is read from or written to the data
modprobe dm-hpmapper
dmsetup create data --table "0 $2 zero"
cp "$(command -v dmsetup)" /dev/shm/
dmsetup=/dev/shm/dmsetup
$dmsetup version >/dev/null


start=$(date +%s%N)
$dmsetup create pool --table "0 $2 hpmapper-pool $meta /dev/mapper/data 4096 0 0"
end=$(date +%s%N)
status=$($dmsetup status pool)
echo "$status" | cut -c1-300
echo "recovery took $(((end - start) / 1000)) us"
[[ $status == *" rw "* ]]
