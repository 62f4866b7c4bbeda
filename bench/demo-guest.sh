#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The part of the demo that runs in the guest: imports an image in two layers,
# clones containers from it, starts a service in each, and prints what they take.
# See demo.mk.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
: "${IMAGE:?}" "${VM_OUT:?}" "${MSGTIME:?}" "${COUNT:=8}" "${DISK:=/dev/vda}"
pool=demo
root=/run/demo
rows=$root/rows
mkdir -p "$root"
modprobe dm-hpmapper

say() {
	printf '\n== %s\n' "$*"
}

sector_stat() {		# sectors read and written at the disk so far
	awk '{ print $3, $7 }' "/sys/block/$(basename "$DISK")/stat"
}

mib() {
	awk -v s="$1" 'BEGIN { printf "%.1f", s / 2048 }'
}

now_us() {
	local t=$EPOCHREALTIME
	echo "${t/./}"
}

volume_sum() {
	xxh128sum <"/dev/mapper/$pool-$1"
}

differ() {
	! cmp -s "/dev/mapper/$pool-$1" "/dev/mapper/$pool-$2"
}

blocks_stored() {	# 4 KiB blocks of the data device that are in use
	hpmctl pool checkpoint $pool >/dev/null
	dmsetup status $pool | awk '{ split($6, u, "/"); print u[1] }'
}

say "a pool on $DISK, by one command"
hpmctl pool create $pool --disk "$DISK"

say "the image, layer by layer"
hpmctl import $pool base "$IMAGE/base.tar" --size 512M
hpmctl import $pool redis "$IMAGE/redis.tar" --from base
hpmctl volume activate $pool base >/dev/null
hpmctl volume activate $pool redis >/dev/null
base_before=$(volume_sum base)
redis_before=$(volume_sum redis)
hpmctl volume list $pool
echo 3 >/proc/sys/vm/drop_caches

container() {		# container NAME: clone, mount, start, write
	local name=$1 t0 t1 dir=$root/$1 i

	t0=$(now_us)
	hpmctl volume snapshot $pool redis "$name" >/dev/null
	t1=$(now_us)
	hpmctl volume activate $pool "$name" >/dev/null
	mkdir -p "$dir/rootfs"
	mount -o noatime "/dev/mapper/$pool-$name" "$dir/rootfs"
	sed "s/@NAME@/$name/" "$here/demo-config.json" >"$dir/config.json"
	crun --root "$root/crun" run --detach --bundle "$dir" "$name" \
		</dev/null >"$dir/log" 2>&1 || { cat "$dir/log"; return 1; }
	for ((i = 0; i < 40; i++)); do
		crun --root "$root/crun" exec "$name" \
			redis-cli ping 2>/dev/null | grep -q PONG && break
		sleep 0.2
	done
	[ "$i" -lt 40 ] || {
		echo "$name does not answer:"
		crun --root "$root/crun" list
		cat "$dir/log"
		return 1
	}
	crun --root "$root/crun" exec "$name" redis-cli set owner "$name" >/dev/null
	crun --root "$root/crun" exec "$name" redis-cli save >/dev/null
	echo "I am $name" >"$dir/rootfs/root/who"
	sync -f "$dir/rootfs"
	echo "$name $((t1 - t0))" >>"$rows"
	printf '   %s: redis answers "%s"\n' "$name" \
		"$(crun --root "$root/crun" exec "$name" redis-cli get owner)"
}

say "$COUNT containers, cloned from it, each with its own redis-server"
used_by_image=$(blocks_stored)
read -r read0 written0 < <(sector_stat)
for ((k = 1; k <= COUNT; k++)); do
	container "c$k"
done
read -r read1 written1 < <(sector_stat)

say "stop them and compare"
for ((k = 1; k <= COUNT; k++)); do
	crun --root "$root/crun" kill "c$k" KILL
	sleep 0.2
	crun --root "$root/crun" delete --force "c$k"
	[ "$(cat "$root/c$k/rootfs/root/who")" = "I am c$k" ] || {
		echo "c$k lost what was written to it"
		exit 1
	}
	umount "$root/c$k/rootfs"
	for other in redis $(seq -f 'c%g' 1 $((k - 1))); do
		differ "c$k" "$other" || {
			echo "c$k and $other are the same"
			exit 1
		}
	done
done
echo "   the $COUNT containers differ from each other and from the image"
if [ "$(volume_sum base)" != "$base_before" ] ||
   [ "$(volume_sum redis)" != "$redis_before" ]; then
	echo "the image has changed"
	exit 1
fi
echo "   the two layers of the image are what they were"

# Times the message alone, on an image that is in use: the median of twenty.
snap_ms=$("$MSGTIME" $pool 'create_snap 1000%d 1' 20 |
	awk '{ printf "%.2f", $2 / 1000 }')
for ((k = 1; k <= 20; k++)); do
	dmsetup message $pool 0 "delete 1000$k"
done

used=$(blocks_stored)
hpmctl volume list $pool --json >"$VM_OUT/demo-volumes.json"
hpmctl pool status $pool --json >"$VM_OUT/demo-pool.json"
# Computes what all volumes map, and what the pool has stored for them.
mapped=0
for v in base redis $(seq -f 'c%g' 1 "$COUNT"); do
	m=$(dmsetup status "$pool-$v" | awk '{ print $4 / 8 }')
	mapped=$((mapped + m))
done

{
	printf '%-44s %12s\n' 'containers' "$COUNT"
	printf '%-44s %12d\n' '4 KiB blocks that the volumes map' "$mapped"
	printf '%-44s %12d\n' '4 KiB blocks stored' "$used"
	printf '%-44s %12d\n' '  of these, for the containers alone' $((used - used_by_image))
	printf '%-44s %12d\n' '4 KiB blocks shared instead of stored' $((mapped - used))
	printf '%-44s %12s\n' 'read from the disk by the containers, MiB' "$(mib $((read1 - read0)))"
	printf '%-44s %12s\n' 'written to the disk by the containers, MiB' "$(mib $((written1 - written0)))"
	printf '%-44s %12s\n' 'time for a snapshot (the message), ms' "$snap_ms"
	printf '%-44s %12s\n' 'time for a snapshot (hpmctl, its start), ms' \
		"$(awk '{ s += $2 } END { printf "%.1f", s / NR / 1000 }' "$rows")"
} | tee "$VM_OUT/demo-table.txt" | sed 's/^/   /; 1i\\n'
for v in base redis $(seq -f 'c%g' 1 "$COUNT"); do
	hpmctl volume deactivate $pool "$v" >/dev/null
done
hpmctl pool remove $pool >/dev/null
