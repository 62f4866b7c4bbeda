#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests table lines: which ones are refused, with which words, and reloading.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 8 64
size=$(mib 64)

bad() {
	no create "$@"
}

# device-mapper's error for a device that does not exist.
absent=ENOENT
[[ $(uname -r) != 6.1.* ]] || absent=ENODEV

blank=$(sum $meta)
p="0 $size hpmapper-pool"
bad EINVAL 'Invalid argument count' "$p $meta $data 1024"
bad EINVAL 'Invalid argument count' "$p"
bad EINVAL 'Error opening metadata|Invalid' "$p"
for n in 0 64 127 129 1000 8192 x -1 1024x; do
	bad EINVAL 'power of two from 128 to 4096' "$p $meta $data $n 0"
done
for n in x -1 18446744073709551616; do
	bad EINVAL 'Invalid low water mark' "$p $meta $data 1024 $n"
done
bad EINVAL 'Invalid number of pool feature arguments' "$p $meta $data 1024 0 x"
bad EINVAL 'Invalid number of pool feature arguments' "$p $meta $data 1024 0 99"
bad EINVAL 'not enough arguments|Invalid|nsufficient' "$p $meta $data 1024 0 2 read_only"
bad EINVAL 'Unrecognised pool feature' "$p $meta $data 1024 0 1 fast"
bad EINVAL 'left over' "$p $meta $data 1024 0 0 read_only"
bad EINVAL 'left over' "$p $meta $data 1024 0 1 read_only ignore_discard"
bad EINVAL 'exclude each other' \
	"$p $meta $data 1024 0 2 error_if_no_space queue_if_no_space"
bad EINVAL 'exclude each other' "$p $meta $data 1024 0 2 no_sharing sharing"
bad EINVAL 'are the same' "$p $data $data 1024 0"
bad $absent 'Error opening metadata device|No such device' "$p /dev/nowhere $data 1024 0"
bad $absent 'Error opening data device|No such device' "$p $meta /dev/nowhere 1024 0"
bad EINVAL 'data device is smaller than the pool' \
	"0 $((size + 8)) hpmapper-pool $meta $data 1024 0"
bad ENOSPC 'smaller than one large block' "0 1016 hpmapper-pool $meta $data 1024 0"
bad ENODATA 'there is no pool' "$p $meta $data 1024 0 1 read_only"
refusals
slice small hdata 3
bad ENOSPC 'smaller than 4 MiB' "$p /dev/mapper/small $data 1024 0"
refusals
dmsetup remove small
equal "none of these wrote to the metadata device" "$(sum $meta)" "$blank"

# Other formats on the metadata device.
mkfs.ext4 -q $meta
before=$(sum $meta)
bad EINVAL 'holds something' "$p $meta $data 1024 0"
refusals
equal "an ext4 is left alone" "$(sum $meta)" "$before"
fsck.ext4 -fn $meta >/dev/null 2>&1
equal "and is whole" $? 0
# its first block is cleared, and the rest is still there
wipe
before=$(sum $meta)
bad EINVAL 'begins with zeroes but holds something else' "$p $meta $data 1024 0"
refusals
equal "what is left of it, too" "$(sum $meta)" "$before"

dd if=/dev/zero of=$meta bs=1M count=8 oflag=direct status=none
if modprobe dm-thin-pool 2>/dev/null; then
	dmsetup create thin --table "0 $size thin-pool $meta $data 128 0"
	dmsetup message thin 0 "create_thin 0"
	dmsetup remove thin
	before=$(sum $meta)
	bad EINVAL 'holds something that is not a pool' "$p $meta $data 1024 0"
	refusals
	equal "a thin pool is left alone" "$(sum $meta)" "$before"
fi
head -c 4096 /dev/urandom | dd of=$meta bs=4k oflag=direct status=none
bad EINVAL 'holds something that is not a pool' "$p $meta $data 1024 0"

# A pool whose table or label is wrong.
refusals
dd if=/dev/zero of=$meta bs=1M count=8 oflag=direct status=none
pool_up || exit
msg create_thin 0
pool_down
before=$(sum $meta)
bad EINVAL 'another large block size' "$p $meta $data 2048 0"
refusals
dd if=$meta of="$tmp/label" bs=4k count=1 iflag=direct status=none
flip() {	# flip OFFSET: a byte of the label
	local byte

	byte=$(od -An -tu1 -j"$1" -N1 "$tmp/label")
	cp "$tmp/label" "$tmp/hurt"
	printf '%b' "\\x$(printf %02x $((byte ^ 255)))" |
		dd of="$tmp/hurt" bs=1 seek="$1" conv=notrunc status=none
	dd if="$tmp/hurt" of=$meta bs=4k oflag=direct status=none
}
# the version is the first field behind the head of 64 bytes
flip 64
bad EUCLEAN 'label .* is damaged' "$p $meta $data 1024 0"
refusals
if command -v label-version >/dev/null; then
	label-version "$tmp/label" 2 >"$tmp/two"
	dd if="$tmp/two" of=$meta bs=4k oflag=direct status=none
	bad EOPNOTSUPP 'format has another version' "$p $meta $data 1024 0"
	refusals
	for flags in 1 0x80000000; do
		label-version "$tmp/label" 1 $flags >"$tmp/two"
		dd if="$tmp/two" of=$meta bs=4k oflag=direct status=none
		bad EOPNOTSUPP 'uses features that this version does not know' \
			"$p $meta $data 1024 0"
		refusals
	done
fi
flip 0
bad EUCLEAN 'label .* is damaged' "$p $meta $data 1024 0"
refusals
flip 4
bad EINVAL 'something that is not a pool' "$p $meta $data 1024 0"
refusals
dd if="$tmp/label" of=$meta bs=4k oflag=direct status=none
equal "nothing of this changed the pool" "$(sum $meta)" "$before"
pool_up
msg create_thin 1
differ "as would be seen, also of a device that a pool holds" "$(sum $meta)" "$before"
msg delete 1
pool_down
slice meta hmeta 4
bad EINVAL 'metadata device is smaller than the pool' "$p $meta $data 1024 0"
refusals
slice meta hmeta 8
bad EINVAL 'data device is smaller than' "0 $(mib 32) hpmapper-pool $meta $data 1024 0"

# While the pool is active.
refusals
pool_up || exit
bad EBUSY 'in use by another pool' "$p $meta $data 1024 0"
refusals
slice other hdata 64
bad EBUSY 'in use by another pool' "$p $meta /dev/mapper/other 1024 0"
no reload EINVAL 'cannot shrink' "0 $(mib 32) hpmapper-pool $meta $data 1024 0"
no reload EINVAL 'another large block size' "$p $meta $data 2048 0"
no reload EINVAL 'cannot change its devices' "$p $meta /dev/mapper/other 1024 0"
no reload EINVAL 'cannot be changed' "$p $meta $data 1024 0 1 ignore_discard"
no reload EINVAL 'cannot use itself' "$p $meta $pool 1024 0"
refusals
dmsetup remove other

# Volumes.
v="0 2048 hpmapper"
bad EINVAL 'Expected <pool dev> <volume id>' "$v $pool"
bad EINVAL 'Expected <pool dev> <volume id>' "$v"
bad EINVAL 'Expected <pool dev> <volume id>' "$v $pool 0 1"
for id in x -1 16777216 0x0; do
	bad EINVAL 'Invalid volume id' "$v $pool $id"
done
bad ENOENT 'no volume with this id' "$v $pool 5"
bad EINVAL 'is not an hpmapper pool' "$v $data 0"
bad $absent 'Cannot open the pool device|No such device' "$v /dev/nowhere 0"
bad EINVAL 'longer than a volume can be' "0 $((1 << 40)) hpmapper $pool 0"
refusals
vol_up v0 0 32 || exit
bad EBUSY 'active on another device' "$v $pool 0"
bad EINVAL 'not an hpmapper pool' "$v /dev/mapper/v0 0"
bad EINVAL 'is not an hpmapper pool|Invalid|No such' "0 2048 hpmapper $meta 0"
refusals
msg create_thin 1
bad EINVAL 'only once' "0 2048 hpmapper $pool 1;2048 2048 hpmapper $pool 1"
refusals
check "a table of two volumes" dmsetup create two --table "0 2048 hpmapper $pool 1
2048 2048 linear /dev/mapper/v0 0"
dmsetup remove two

dmsetup suspend pool
bad EINVAL 'The pool is suspended' "$v $pool 1"
refusals
dmsetup resume pool
check "the same when it is resumed" dmsetup create v1 --table "$v $pool 1"

# A printed table can be loaded.
stamps --device /dev/mapper/v0 --size 16M --seconds 1 --threads 2 \
	>"$tmp/out" 2>&1 || note "$(cat "$tmp/out")"
was=$(sum /dev/mapper/v0)
for dev in pool v0 v1; do
	line=$(dmsetup table $dev)
	check "$dev: its own table can be loaded" dmsetup reload $dev --table "$line"
	dmsetup suspend $dev
	check "$dev: and resumed" dmsetup resume $dev
	equal "$dev: and is the same" "$(dmsetup table $dev)" "$line"
done
equal "the volume is what it was" "$(sum /dev/mapper/v0)" "$was"
vol_down v1
check "a reload that is taken back" dmsetup reload v0 --table "$(dmsetup table v0)"
dmsetup clear v0
vol_down v0
pool_down
for features in "1 ignore_discard" "1 no_discard_passdown" \
	"2 no_discard_passdown queue_if_no_space" "1 queue_if_no_space" \
	"1 read_only" "1 no_sharing" \
	"5 ignore_discard no_discard_passdown read_only queue_if_no_space no_sharing"; do
	line="$p $(stat -c '%Hr:%Lr' -L $meta) $(stat -c '%Hr:%Lr' -L $data) 1024 99 $features"
	dmsetup create pool --table "$line"
	equal "features are printed as they were given" "$(dmsetup table pool)" "$line"
	check "and can be loaded" dmsetup reload pool --table "$(dmsetup table pool)"
	dmsetup resume pool
	pool_down
done
dmsetup create pool --table "$p $meta $data 1024 0 3 error_if_no_space sharing skip_block_zeroing"
matches "the defaults are not printed" "$(dmsetup table pool)" ' 1024 0 0$'
pool_down
