/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Thinning: of a block that has too many copies, which go.
 */
#ifndef HPM_THIN_H
#define HPM_THIN_H

#include "surplus.h"

/*
 * The cache manager looks at copies: those that are none any more are dropped,
 * the others filed by their heat, and of a block that has too many those that
 * are to go become victims.  They are known no more from then on.
 */
#define HPM_LOOK_COPIES	512	/* of a block are looked at, at most */

struct hpm_look {
	bool hurry;		/* young ones go, too */
	unsigned int limit;	/* so many copies may stay */
	unsigned int nr_young;	/* of the block that is looked at */
	unsigned long nr_spared;	/* too many, but young */
	struct hpm_victims victims;
	u8 heat[HPM_LOOK_COPIES];
	unsigned int chosen[HPM_LOOK_COPIES];
};

/* There may be no room for the victims of one more block. */
static inline bool hpm_look_full(const struct hpm_look *look)
{
	return look->victims.nr > HPM_MAX_VICTIMS - HPM_LOOK_COPIES;
}

/*
 * At the blocks in a bucket, at as many as fit.  @look is not full, and the caller
 * holds a token.
 */
void hpm_index_thin_bucket(struct hpm_share *cache, unsigned int shard,
			   unsigned long bucket, struct hpm_look *look);

#endif /* HPM_THIN_H */
