/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The keyed fingerprint of a block: equal fingerprints prove equal bytes, even
 * to somebody who chooses the bytes but does not know the key.
 */
#ifndef HPM_FINGERPRINT_H
#define HPM_FINGERPRINT_H

#include "env.h"
#include "format.h"

#define HPM_FP_WORDS	(HPM_BLOCK_SIZE / sizeof(u64))

/* Uniform random bits, all of them; secret, and new whenever it is made. */
struct hpm_fp_key {
	u64 nh[HPM_FP_WORDS] __aligned(16);
	u64 finish[6];		/* three multipliers of 128 bits, low half first */
};

/*
 * Any context.  @block is HPM_BLOCK_SIZE bytes, aligned to 8, that nobody
 * changes meanwhile.  The result must not become known to anybody: whoever
 * learns results learns the key.
 */
u64 hpm_fingerprint(const struct hpm_fp_key *key, const void *block);

/*
 * Others, for processors that have PCLMULQDQ.  The caller may use the vector
 * registers (kernel_fpu_begin()); @key, @to and @block are aligned to 16.
 */
u64 hpm_fingerprint_clmul(const struct hpm_fp_key *key, const void *block);

/*
 * Copies @from, which may be changing, to @to, which nobody else sees: the
 * fingerprint is of what is there then.  Each byte is read once.
 */
u64 hpm_fingerprint_clmul_copy(const struct hpm_fp_key *key, void *to,
			       const void *from);

/* The same, with the same result, for those that have AVX2, and VPCLMULQDQ. */
u64 hpm_fingerprint_avx2_copy(const struct hpm_fp_key *key, void *to,
			      const void *from);
u64 hpm_fingerprint_vpclmul_copy(const struct hpm_fp_key *key, void *to,
				 const void *from);

#endif /* HPM_FINGERPRINT_H */
