// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fingerprint of a block
 *
 * What is asked of it.  The owner of a volume chooses the bytes of his pages,
 * among them of pages that are stale: that stand where the index says a block
 * is cached, and are something else by now.  If such a page had the block's
 * fingerprint, another volume would be given its bytes.  So no choice of two
 * different blocks may have equal fingerprints more often than by luck, luck
 * being the key's, which he does not know.  Seeding a hash that is merely good
 * does not give this: for xxh64 there are pairs of blocks that collide under
 * half of all seeds, and a CRC collides for a difference under all of them.
 *
 * What it is.  Let m be the block's 512 words of 64 bits, k and f the key.
 *
 *	NH(m) = sum of (m[2i] + k[2i] mod 2^64) * (m[2i+1] + k[2i+1] mod 2^64)
 *		over i = 0..255, mod 2^128
 *	fingerprint = upper half of (f0 + f1 * low(NH) + f2 * high(NH) mod 2^128)
 *
 * The bound.  Let m and m' differ, say in word 2i (word 2i+1: the same with the
 * roles changed).  Fix all of the key but k[2i+1]; then x = m[2i+1] + k[2i+1]
 * mod 2^64 is uniform, and with a = m[2i] + k[2i], a' = m'[2i] + k[2i] (mod 2^64,
 * so a != a') and constants c, d, NH(m) = NH(m') says
 *
 *	a * x = a' * y + c mod 2^128, where y = x + d mod 2^64.
 *
 * Not two x > x' can fulfil this, y and y' belonging to them.  The difference
 * of the two equations is a * (x - x') = a' * (y - y') mod 2^128, and y - y' is
 * either x - x' or x - x' - 2^64.  In the first case (a - a') * (x - x') would be
 * 0 mod 2^128, but neither factor is 0 and both are below 2^64 in magnitude.  In
 * the second, a * (x - x') + a' * (2^64 - (x - x')) would be, but it is a sum of
 * terms >= 0, not both 0, and below 2^128.  So NH collides under 1 key in 2^64.
 *
 * Two different NH of 128 bits, say their low halves differ by d != 0, with t
 * trailing zeroes.  Fix f2.  f1 * d mod 2^128 is uniform over the multiples of
 * 2^t, and f0 makes the first sum uniform and independent of that.  The upper
 * halves are equal only if the difference of the sums lies in one window of
 * 2^64 consecutive values; 2^(64-t) of the 2^(128-t) possible ones do, since
 * t < 64: 1 in 2^64.  Together, at most 2^-63 for any pair chosen without
 * knowledge of the key; the only thing a wrong try tells is that it was wrong,
 * so q tries succeed with q * 2^-63.  The key is 4 KiB and new with each
 * activation of a pool.
 */
#include "fingerprint.h"

static unsigned __int128 wide(const u64 *half)
{
	return (unsigned __int128)half[1] << 64 | half[0];
}

/*
 * A quarter of the time goes into counting if it is not unrolled, and a reader
 * waits for this.
 */
u64 hpm_fingerprint(const struct hpm_fp_key *key, const void *block)
{
	const u64 *m = block, *k = key->nh;
	unsigned __int128 nh = 0, sum;
	unsigned int i;

#pragma GCC unroll 8
	for (i = 0; i < HPM_FP_WORDS; i += 2)
		nh += (unsigned __int128)(m[i] + k[i]) * (m[i + 1] + k[i + 1]);

	sum = wide(key->finish);
	sum += wide(key->finish + 2) * (u64)nh;
	sum += wide(key->finish + 4) * (u64)(nh >> 64);
	return sum >> 64;
}
