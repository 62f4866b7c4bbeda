/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The proof: the bytes of a copy are the bytes of the block.
 */
#ifndef HPM_PROOF_H
#define HPM_PROOF_H

#include "share.h"

/* False: not in this interrupt. */
bool hpm_block_fingerprint(struct hpm_share *cache, const void *block, u64 *fp);
/*
 * Copies the block to @to, which nobody else sees, from wherever it is cached; *fp
 * is its fingerprint.  False: from nowhere, and what is at @to is anything.
 */
bool hpm_take_block(struct hpm_share *cache, u64 pbn, void *to, u64 *fp);

#endif /* HPM_PROOF_H */
