// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a record takes of the metadata space at the worst.
 */
#include "engine.h"
#include "array.h"
#include "cost.h"
#include "map.h"

/*----------------------------------------------------------------
 * What a record takes at the worst
 *
 * A record that is in the journal cannot be refused, so the blocks that it may
 * take are reserved before it is written.  They are bounded by construction, in
 * whatever tree it finds: one that an earlier version made with a leaf for each
 * entry, and one whose every node is shared.
 *
 * The map.  MAP, LARGE, COLLAPSE, MOVE and UNMAP are one splice each, inside one
 * large block; what a MAP or an UNMAP does to a base that it hides is decided
 * before the splice and is part of it.  PUNCH is one splice, or changes counts
 * alone.  So each takes what map.c says of one splice.  A tree may have become
 * higher between the record's reservation and its application, by one at the
 * most: the two levels that a small tree may gain in one backlog are counted from
 * the start, and a root that has two children needs more new leaves to fill up
 * than a backlog makes.  RECLAIM and DELETE change no map, but an element of the
 * table of volumes and one of the dying trees, each with its path: fewer blocks.
 * CREATE, SNAP and the rest take theirs when the volume is written, at the cut.
 *
 * New nodes of the counts.  What a record names stands in one run of blocks, and
 * so in two neighbouring leaves of each array at the most (or in one large block,
 * whose punched bits do).  Each is reserved twice, see struct hpm_cost.
 *
 * Nodes of the counts that are there.  They are copied once in an epoch, so
 * besides this bound there is that of all nodes which the epoch has not copied
 * yet.  An entry is counted
 *
 *	- in the first and the last leaf, if these were shared and are copied now;
 *	- in the leaves between them, if they were not shared and are gone: all
 *	  entries of one large block but the two that stand in those leaves;
 *	- in the leaf behind, which is copied if it is not nearly full.
 *
 * For each the element of the small or the large array changes, and if the count
 * falls to nothing that of its large block as well.  That is less than COUNTED
 * elements in either array.  A RECLAIM has the entries of HPM_RECLAIM_LEAVES
 * leaves.  If all of those are bases with punched bits, each has its large block's
 * small elements in two leaves.
 *
 * The upper halves of counts.  Their blocks are made when a count passes
 * HPM_SMALL_COUNT, which takes as many trees: struct hpm_cost has them apart.  What
 * raises a count above one is the copy of a shared leaf, and a splice copies three at
 * the most.  Each entry's half may be in a leaf of its own, and the array may become
 * higher, by one block a level: fewer than COUNTED.  Once there are any, they may
 * have to be copied like the others.
 *--------------------------------------------------------------*/

#define COUNTED_SPLICE	(3u * HPM_LEAF_MAX + HPM_SPLICE_MAX)
#define COUNTED_RECLAIM	(2u * HPM_RECLAIM_LEAVES * HPM_LEAF_MAX)
#define COUNTED		max(COUNTED_SPLICE, COUNTED_RECLAIM)

/* What is added is the level that a tree may gain meanwhile. */
#define COST_HEIGHT(h)	min_t(u32, max_t(u32, h, 2) + 1, HPM_MAP_HEIGHT)

static void cost_update(struct hpm_md *md)
{
	const struct hpm_array *large = &md->array[HPM_ARR_LARGE];
	const struct hpm_array *small = &md->array[HPM_ARR_SMALL];
	const struct hpm_array *high = &md->array[HPM_ARR_SMALL_HI];
	u64 nr_large = md->space.nr_large, nr_small = md->space.nr_blocks;
	struct hpm_cost *c = &md->cost;

	WRITE_ONCE(c->blocks, 3 * COST_HEIGHT(c->height) + 1 +
		   2 * hpm_array_worst_new(large, nr_large) +
		   2 * hpm_array_worst_new(small, nr_small) +
		   HPM_META_PER_VOLUME);
	WRITE_ONCE(c->counts,
		   hpm_array_worst_touched(large, nr_large, COUNTED) +
		   hpm_array_worst_touched(small, nr_small, COUNTED));
	WRITE_ONCE(c->high, hpm_array_worst_touched(high, nr_small, COUNTED));
	WRITE_ONCE(c->high_all, hpm_array_worst_touched(high, nr_small, U32_MAX));
}

void hpm_cost_height(struct hpm_md *md, u8 height)
{
	if (height <= md->cost.height)
		return;
	md->cost.height = height;
	cost_update(md);
}

void hpm_cost_resized(struct hpm_md *md)
{
	cost_update(md);
}
