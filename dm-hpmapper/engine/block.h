/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Metadata blocks as such: memory for them, heads, checksums.
 */
#ifndef HPM_BLOCK_H
#define HPM_BLOCK_H

#include "env.h"
#include "format.h"

struct hpm_md;

/* Allocates a buffer for one block, aligned to its size. */
void *hpm_block_alloc(gfp_t gfp);
void hpm_block_free(void *p);

static inline bool hpm_block_is_zero(const void *block)
{
	return !memchr_inv(block, 0, HPM_BLOCK_SIZE);
}

/* _init() fills in the head without the checksum, _seal() adds the checksum. */
void hpm_block_init(struct hpm_md *md, void *block, u8 type, u64 nr, u64 epoch);
void hpm_block_seal(u32 seed, void *block);
/* Describes what is wrong with a block; NULL: nothing. */
const char *hpm_block_fault(u32 seed, const void *block, u8 type, u64 nr);
/* Returns 0, or -EUCLEAN if anything is wrong with the block. */
int hpm_block_check(u32 seed, const void *block, u8 type, u64 nr);

#endif /* HPM_BLOCK_H */
