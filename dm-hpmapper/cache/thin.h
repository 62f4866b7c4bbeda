/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Thinning: choosing victims among the copies of a block that has too many.
 */
#ifndef HPM_THIN_H
#define HPM_THIN_H

#include "surplus.h"

/*
 * The state of a scan, in which the cache manager looks at all copies.  It
 * drops those whose frame holds another page, sorts the others into the lists
 * by their heat, and makes victims of the surplus copies of each block.
 * Victims leave the index at once.
 */
#define HPM_LOOK_COPIES	512	/* the most that are looked at, of a block */

struct hpm_look {
	bool hurry;		/* young copies may become victims, too */
	unsigned int limit;	/* this many copies of a block may stay */
	unsigned int nr_young;	/* of the block that is looked at */
	unsigned long nr_spared;	/* above the limit, but young */
	struct hpm_victims victims;
	u8 heat[HPM_LOOK_COPIES];
	unsigned int chosen[HPM_LOOK_COPIES];
};

/* Might the victims of one more block not fit? */
static inline bool hpm_look_full(const struct hpm_look *look)
{
	return look->victims.nr > HPM_MAX_VICTIMS - HPM_LOOK_COPIES;
}

/*
 * Looks at the blocks in a bucket until @look, which must not be full, is full.
 * The caller holds a token.
 */
void hpm_index_thin_bucket(struct hpm_cache *cache, unsigned int shard,
			   unsigned long bucket, struct hpm_look *look);

#endif /* HPM_THIN_H */
