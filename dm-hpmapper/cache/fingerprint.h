/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The keyed fingerprint of a block.  Equal fingerprints prove equal bytes, even
 * if an attacker who does not know the key chooses the bytes.
 */
#ifndef HPM_FINGERPRINT_H
#define HPM_FINGERPRINT_H

#include "env.h"
#include "format.h"

#define HPM_FP_WORDS	(HPM_BLOCK_SIZE / sizeof(u64))

/* Uniformly random bits.  Secret; a new one is made whenever a cache is. */
struct hpm_fp_key {
	u64 nh[HPM_FP_WORDS] __aligned(16);
	u64 finish[6];		/* three numbers of 128 bits, low half first */
};

/*
 * Any context.  @block has HPM_BLOCK_SIZE bytes, is aligned to 8, and must not
 * change meanwhile.  The result must be kept secret: results reveal the key.
 */
u64 hpm_fingerprint(const struct hpm_fp_key *key, const void *block);

/*
 * Another fingerprint, for processors that have PCLMULQDQ.  The caller has
 * called kernel_fpu_begin(), as these functions use vector registers; @key, @to
 * and @block are aligned to 16.
 */
u64 hpm_fingerprint_clmul(const struct hpm_fp_key *key, const void *block);

/*
 * Copies @from, which may change meanwhile, to @to, which must be private, and
 * returns the fingerprint of the bytes in @to.  Each byte of @from is read
 * once.
 */
u64 hpm_fingerprint_clmul_copy(const struct hpm_fp_key *key, void *to,
			       const void *from);

/* The same, with the same result, for processors with AVX2, and VPCLMULQDQ. */
u64 hpm_fingerprint_avx2_copy(const struct hpm_fp_key *key, void *to,
			      const void *from);
u64 hpm_fingerprint_vpclmul_copy(const struct hpm_fp_key *key, void *to,
				 const void *from);

#endif /* HPM_FINGERPRINT_H */
