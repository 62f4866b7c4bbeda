/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The proof: the bytes of a copy are the bytes of the block.
 */
#ifndef HPM_PROOF_H
#define HPM_PROOF_H

#include "cache-priv.h"

/*
 * Any context.  Returns false if the fingerprint needs vector registers and
 * this interrupt cannot use them.
 */
bool hpm_block_fingerprint(struct hpm_cache *cache, const void *block, u64 *fp);
/*
 * Copies the block to @to, which must be private, from one of its copies; *fp
 * becomes its fingerprint.  Returns false if no copy was proved; the bytes at
 * @to are undefined then.  Any context; the caller holds a token.
 */
bool hpm_take_block(struct hpm_cache *cache, u64 pbn, void *to, u64 *fp);

#endif /* HPM_PROOF_H */
