// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fingerprint of a block
 *
 * The requirement.  The owner of a volume chooses the bytes of its pages, also
 * of pages that are stale: the index names them as copies of a block, but their
 * bytes are others by now.  If such a page had the block's fingerprint, another
 * volume would be given its bytes.  So for any choice of two different blocks,
 * their fingerprints may be equal only under a tiny share of the keys, as the
 * owner does not know the key.  A good hash with a seed does not guarantee
 * this: for xxh64 there are pairs of blocks that collide under half of all
 * seeds, and with a CRC two blocks collide under all seeds or under none.
 *
 * The definition.  Let m be the block's 512 words of 64 bits, k and f the key.
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
 * At most one x fulfils this.  Suppose that x > x' both do, with y and y'.  The
 * difference of the two equations is a * (x - x') = a' * (y - y') mod 2^128,
 * and y - y' is either x - x' or x - x' - 2^64.  In the first case (a - a') *
 * (x - x') would be 0 mod 2^128, but neither factor is 0 and both are below
 * 2^64 in magnitude.  In the second case a * (x - x') + a' * (2^64 - (x - x'))
 * would be 0 mod 2^128, but it is a sum of terms >= 0, not both 0, and below
 * 2^128.  So NH collides under 1 key in 2^64.
 *
 * Now let two NH of 128 bits be different, say their low halves differ by d !=
 * 0 with t trailing zeroes.  Fix f2.  f1 * d mod 2^128 is uniform over the
 * multiples of 2^t, and f0 makes the first sum uniform and independent of that.
 * The upper halves are equal only if the difference of the sums lies in one
 * window of 2^64 consecutive values; 2^(64-t) of the 2^(128-t) possible ones
 * do, since t < 64: 1 in 2^64.  So the fingerprints of a pair that was chosen
 * without knowledge of the key are equal with a probability of at most 2^-63.
 * A wrong try tells only that it was wrong, so q tries succeed with at most q *
 * 2^-63.  The key has 4 KiB, and each activation of a pool makes a new one.
 *
 * Without carries.  With processors that multiply polynomials over GF(2), the
 * same works with addition and multiplication there (D. Lemire, O. Kaser:
 * Faster 64-bit universal hashing using carry-less multiplications, 2016):
 *
 *	CLNH(m) = xor of (m[2i] ^ k[2i]) x (m[2i+1] ^ k[2i+1]), 127 bits
 *
 * The bound is simpler.  With a != a' as above, CLNH(m) = CLNH(m') says that
 * (a ^ a') x k[2i+1] is some constant, and as polynomials have no divisors of
 * zero, at most one k[2i+1] fulfils it: 1 in 2^64.  The rest is as before.
 *
 * CLNH takes 16 bytes at a time and copies them as well, in half the time that
 * a copy and NH take.  With AVX2, 32 bytes are copied at a time, and with
 * VPCLMULQDQ two products are computed at a time, too; the result is the same.
 * A pool uses either NH or CLNH, never both, as their fingerprints cannot be
 * compared.
 */
#include "fingerprint.h"

static unsigned __int128 wide(const u64 *half)
{
	return (unsigned __int128)half[1] << 64 | half[0];
}

static u64 finish(const struct hpm_fp_key *key, u64 low, u64 high)
{
	unsigned __int128 sum = wide(key->finish);

	sum += wide(key->finish + 2) * low;
	sum += wide(key->finish + 4) * high;
	return sum >> 64;
}

/*
 * The loop is unrolled because a reader waits for the result, and otherwise the
 * loop's counter would take a quarter of the time.
 */
u64 hpm_fingerprint(const struct hpm_fp_key *key, const void *block)
{
	const u64 *m = block, *k = key->nh;
	unsigned __int128 nh = 0;
	unsigned int i;

#pragma GCC unroll 8
	for (i = 0; i < HPM_FP_WORDS; i += 2)
		nh += (unsigned __int128)(m[i] + k[i]) * (m[i + 1] + k[i + 1]);

	return finish(key, nh, nh >> 64);
}

#ifdef __x86_64__
/*
 * One turn of the loop takes eight registers of 16 bytes each, which .irp
 * writes out; @at counts up to zero.  Two registers hold the sums, of the even
 * and of the odd ones.  The assembler does not declare which vector registers
 * it changes, so the compiler must not use any here; in the kernel it never
 * does.
 */
static __always_inline __attribute__((target("general-regs-only")))
u64 clnh(const struct hpm_fp_key *key, void *to, const void *from,
	 const bool copy)
{
	long at = -(long)HPM_BLOCK_SIZE;
	struct { u64 low, high; } sum;

	asm volatile("pxor %%xmm8, %%xmm8\n\t"
		     "pxor %%xmm9, %%xmm9\n"
		     "1:\n\t"
		     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
		     "movdqu 16*\\n(%[from],%[at]), %%xmm\\n\n\t"
		     ".endr\n\t"
		     ".if %c[copy]\n\t"
		     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
		     "movdqa %%xmm\\n, 16*\\n(%[to],%[at])\n\t"
		     ".endr\n\t"
		     ".endif\n\t"
		     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
		     "pxor 16*\\n(%[key],%[at]), %%xmm\\n\n\t"
		     "pclmulqdq $0x10, %%xmm\\n, %%xmm\\n\n\t"
		     ".endr\n\t"
		     ".irp n, 0, 2, 4, 6\n\t"
		     "pxor %%xmm\\n, %%xmm8\n\t"
		     ".endr\n\t"
		     ".irp n, 1, 3, 5, 7\n\t"
		     "pxor %%xmm\\n, %%xmm9\n\t"
		     ".endr\n\t"
		     "add $128, %[at]\n\t"
		     "jnz 1b\n\t"
		     "pxor %%xmm9, %%xmm8\n\t"
		     "movdqu %%xmm8, %[sum]"
		     : [at] "+r" (at), [sum] "=m" (sum)
		     : [from] "r" (from + HPM_BLOCK_SIZE),
		       [to] "r" (to + HPM_BLOCK_SIZE),
		       [key] "r" ((const u8 *)key->nh + HPM_BLOCK_SIZE),
		       [copy] "i" (copy)
		     : "memory");
	return finish(key, sum.low, sum.high);
}

/*
 * The same in registers of 32 bytes.  Without @wide, the products are computed
 * in registers of 16 bytes.
 */
static __always_inline __attribute__((target("general-regs-only")))
u64 clnh_avx2_copy(const struct hpm_fp_key *key, void *to, const void *from,
		   const bool wide)
{
	long at = -(long)HPM_BLOCK_SIZE;
	struct { u64 low, high; } sum;

	asm volatile("vpxor %%xmm8, %%xmm8, %%xmm8\n\t"
		     "vpxor %%xmm9, %%xmm9, %%xmm9\n"
		     "1:\n\t"
		     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
		     "vmovdqu 32*\\n(%[from],%[at]), %%ymm\\n\n\t"
		     ".endr\n\t"
		     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
		     "vmovdqu %%ymm\\n, 32*\\n(%[to],%[at])\n\t"
		     "vpxor 32*\\n(%[key],%[at]), %%ymm\\n, %%ymm\\n\n\t"
		     ".endr\n\t"
		     ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
		     ".if %c[wide]\n\t"
		     "vpclmulqdq $0x10, %%ymm\\n, %%ymm\\n, %%ymm\\n\n\t"
		     "vpxor %%ymm\\n, %%ymm8, %%ymm8\n\t"
		     ".else\n\t"
		     "vextracti128 $1, %%ymm\\n, %%xmm10\n\t"
		     "vpclmulqdq $0x10, %%xmm\\n, %%xmm\\n, %%xmm\\n\n\t"
		     "vpclmulqdq $0x10, %%xmm10, %%xmm10, %%xmm10\n\t"
		     "vpxor %%xmm\\n, %%xmm8, %%xmm8\n\t"
		     "vpxor %%xmm10, %%xmm9, %%xmm9\n\t"
		     ".endif\n\t"
		     ".endr\n\t"
		     "add $256, %[at]\n\t"
		     "jnz 1b\n\t"
		     ".if %c[wide]\n\t"
		     "vextracti128 $1, %%ymm8, %%xmm9\n\t"
		     ".endif\n\t"
		     "vpxor %%xmm9, %%xmm8, %%xmm8\n\t"
		     "vmovdqu %%xmm8, %[sum]\n\t"
		     "vzeroupper"
		     : [at] "+r" (at), [sum] "=m" (sum)
		     : [from] "r" (from + HPM_BLOCK_SIZE),
		       [to] "r" (to + HPM_BLOCK_SIZE),
		       [key] "r" ((const u8 *)key->nh + HPM_BLOCK_SIZE),
		       [wide] "i" (wide)
		     : "memory");
	return finish(key, sum.low, sum.high);
}

__attribute__((target("general-regs-only")))
u64 hpm_fingerprint_avx2_copy(const struct hpm_fp_key *key, void *to,
			      const void *from)
{
	return clnh_avx2_copy(key, to, from, false);
}

__attribute__((target("general-regs-only")))
u64 hpm_fingerprint_vpclmul_copy(const struct hpm_fp_key *key, void *to,
				 const void *from)
{
	return clnh_avx2_copy(key, to, from, true);
}

__attribute__((target("general-regs-only")))
u64 hpm_fingerprint_clmul_copy(const struct hpm_fp_key *key, void *to,
			       const void *from)
{
	return clnh(key, to, from, true);
}

__attribute__((target("general-regs-only")))
u64 hpm_fingerprint_clmul(const struct hpm_fp_key *key, const void *block)
{
	return clnh(key, NULL, block, false);
}
#else
/*
 * On other architectures hpm_simd_best() returns HPM_SIMD_NONE, so these are
 * not called.
 */
u64 hpm_fingerprint_clmul_copy(const struct hpm_fp_key *key, void *to,
			       const void *from)
{
	memcpy(to, from, HPM_BLOCK_SIZE);
	return hpm_fingerprint(key, to);
}

u64 hpm_fingerprint_avx2_copy(const struct hpm_fp_key *key, void *to,
			      const void *from)
{
	return hpm_fingerprint_clmul_copy(key, to, from);
}

u64 hpm_fingerprint_vpclmul_copy(const struct hpm_fp_key *key, void *to,
				 const void *from)
{
	return hpm_fingerprint_clmul_copy(key, to, from);
}

u64 hpm_fingerprint_clmul(const struct hpm_fp_key *key, const void *block)
{
	return hpm_fingerprint(key, block);
}
#endif
