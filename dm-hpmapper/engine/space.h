/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data space on disk: the counts.  md->lock held.
 */
#ifndef HPM_SPACE_H
#define HPM_SPACE_H

#include "metadata.h"

struct hpm_entry;

/*
 * Computes the states in memory from the arrays, after the replay.  A replay
 * only updates the counts: blocks that a replayed record frees are free at
 * once.
 */
int hpm_space_load(struct hpm_md *md);
/*
 * @delta is 1 or -1.  If a record both raises and lowers counts, the caller
 * raises first, since a block whose count falls to 0 is freed even if the same
 * record would raise the count again.
 */
int hpm_space_count_small(struct hpm_md *md, u64 pbn, u32 nr, int delta);
int hpm_space_count_large(struct hpm_md *md, u64 pbn, int delta);
/* The same for one map entry; a hole changes no count. */
int hpm_space_count_entry(struct hpm_md *md, const struct hpm_entry *e,
			  int delta);
/*
 * Frees the small blocks under a base whose bits are set in @mask (large_size
 * bits).
 */
int hpm_space_punch(struct hpm_md *md, u64 pbn, const unsigned long *mask);
/*
 * *refs becomes the number of leaves that have it as a base, *punched the
 * number of its small blocks that were freed.
 */
int hpm_space_base(struct hpm_md *md, u64 pbn, u32 *refs, u32 *punched);

/* Returns an upper bound of the free small blocks by the counts; < 0: error. */
int hpm_space_free_bound(struct hpm_md *md, u64 large);
/* Sets the bits of the small blocks that are free by the counts. */
int hpm_space_free_map(struct hpm_md *md, u64 large, unsigned long *map);

#endif /* HPM_SPACE_H */
