/* SPDX-License-Identifier: GPL-2.0-only */
/* The most metadata space that a record takes. */
#ifndef HPM_COST_H
#define HPM_COST_H

#include "metadata.h"

/*
 * The most metadata blocks that one record takes.  cost.c says how they are
 * computed, credit.c what they are used for.
 *
 *	blocks	all but copies of blocks of the counts; a new block of the
 *		counts is counted twice, as it will have to be copied like the
 *		others; includes the table's path of a volume that the record
 *		makes dirty
 *	counts	copies of blocks of the counts, each of them once in an epoch
 *	high	blocks of the upper halves of counts: new ones, if there are so
 *		many trees that a count may need one (hpm_counts_may_carry()),
 *		and copies of those that exist
 *	high_all  all blocks that the upper halves can have
 */
struct hpm_cost {
	u32 blocks, counts, high, high_all;
	u8 height;			/* the highest since the opening */
};

/*
 * _height(): a map has got this height.  _resized(): the size of the data
 * device has changed.  md->lock held.
 */
void hpm_cost_height(struct hpm_md *md, u8 height);
void hpm_cost_resized(struct hpm_md *md);

/* Blocks of the volume table's path, which a cut copies for a dirty volume. */
#define HPM_META_PER_VOLUME	4

#endif /* HPM_COST_H */
