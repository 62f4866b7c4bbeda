/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data space on disk: the counts.  md->lock held.
 */
#ifndef HPM_SPACE_H
#define HPM_SPACE_H

#include "metadata.h"

struct hpm_entry;

/*
 * Reads the states from the arrays.  Comes after the replay: until then counts
 * are counted and nothing else, as what a replayed record frees is free.
 */
int hpm_space_load(struct hpm_md *md);
/*
 * @delta is 1 or -1.  What one record both raises and lowers is raised first:
 * a block whose count touches zero is given back, whatever comes later.
 */
int hpm_space_count_small(struct hpm_md *md, u64 pbn, u32 nr, int delta);
int hpm_space_count_large(struct hpm_md *md, u64 pbn, int delta);
/* One entry's worth; holes count for nothing. */
int hpm_space_count_entry(struct hpm_md *md, const struct hpm_entry *e,
			  int delta);
/* Gives the small blocks in @mask (n bits) back from under the base. */
int hpm_space_punch(struct hpm_md *md, u64 pbn, const unsigned long *mask);
/* Leaves that have it as a base, and small blocks given back from under it. */
int hpm_space_base(struct hpm_md *md, u64 pbn, u32 *refs, u32 *punched);

/* At most this many small blocks are free by the counts; < 0: error. */
int hpm_space_free_bound(struct hpm_md *md, u64 large);
/* Sets the bits of those that are. */
int hpm_space_free_map(struct hpm_md *md, u64 large, unsigned long *map);

#endif /* HPM_SPACE_H */
