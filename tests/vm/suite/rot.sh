#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Damages blocks of the metadata.  Any damaged block must be found, named and not
# used.  Damage to one superblock loses nothing, and no acknowledged change is lost
# silently.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 16 96

#----------------------------------------------------------------------
note "blocks that rot"
#----------------------------------------------------------------------

fresh
vol_down v s
pool_down
dd if=$meta of="$tmp/meta" bs=1M iflag=direct status=none

# The superblock with the higher generation is the newer one.
generation() {
	od -An -t u8 -j $(($1 * 4096 + 80)) -N 8 "$tmp/meta" | tr -d ' '
}
newest=8
[ "$(generation 8)" -gt "$(generation 24)" ] || newest=24
rot $newest
check "the newest superblock is destroyed: the pool opens" pool_up
log_has "it is named" "superblock at metadata block $newest is not usable"
vol_up v 0 16 && vol_up s 1 16
intact "nothing is lost"
vol_down v s
pool_down
restore
dd if=/dev/zero of=$meta bs=512 count=3 seek=$((newest * 8)) oflag=direct status=none
check "torn: the pool opens" pool_up
vol_up v 0 16 && vol_up s 1 16
intact "and nothing is lost"
vol_down v s
pool_down
restore
rot 8
rot 24
fails "both superblocks: it is not opened" pool_up
log_has "they are named" 'metadata blocks 8 and 24'
restore
rot 0
fails "the label: it is not opened" pool_up
log_has "it is named" 'metadata block 0'

# If the tools call a block damaged, the module must name it and not use it.
seen_of() {	# what volume ID reads as, or "error"
	local x=error

	if vol_up v "$1" 16 2>/dev/null; then
		x=$(dd if=/dev/mapper/v bs=1M iflag=direct status=none 2>/dev/null | md5sum)
		[ "${PIPESTATUS[0]}" = 0 ] || x=error
		dd if=/dev/mapper/v of=/dev/null bs=1M iflag=direct status=none 2>/dev/null || x=error
		dmsetup remove v
	fi
	echo "${x%% *}"
}

n=0
for b in 288 289 $(seq 303 400); do
	[ $n -lt 6 ] || break
	cp "$tmp/meta" "$tmp/copy"
	rot $b "$tmp/copy"
	hpm_check "$tmp/copy" >"$tmp/out" 2>&1 && continue
	n=$((n + 1))
	bad=
	grep -q "block $b " "$tmp/out" || bad+=" hpm_check does not name it"
	dd if="$tmp/copy" of=$meta bs=1M oflag=direct status=none
	dmesg -C
	if pool_up 2>/dev/null; then
		seen="$(seen_of 0) $(seen_of 1)"
		pool_down
	else
		seen="error error"
	fi
	read -r a b1 <<<"$seen"
	[[ $a = error || $a = "$sum_v" ]] || bad+=" v reads wrong"
	[[ $b1 = error || $b1 = "$sum_s" ]] || bad+=" s reads wrong"
	# (A block that was not needed, for example with counts, is not noticed.)
	said=$(dmesg)
	[ "$seen" = "$sum_v $sum_s" ] || grep -qE "metadata block $b( |:)" <<<"$said" ||
		bad+=" the log does not name it: $said"
	equal "block $b damaged: found, named, not believed" "$bad" ""
done
is "blocks were damaged" $n -ge 5
restore
check "the pool is whole without damage" hpm_check $meta
