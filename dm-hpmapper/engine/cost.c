// SPDX-License-Identifier: GPL-2.0-only
/*
 * The most metadata space that a record takes.
 */
#include "engine.h"
#include "array.h"
#include "cost.h"
#include "map.h"

/*----------------------------------------------------------------
 * The most that a record takes
 *
 * A record that is in the journal cannot be refused, so the blocks that it may
 * take are reserved before it is written.  Their number is bounded by
 * construction in every tree, even in one that an earlier version made with a
 * leaf for each entry, and in one with all nodes shared.
 *
 * The map.  MAP, LARGE, COLLAPSE, MOVE and UNMAP are one splice each, inside
 * one large block; what a MAP or an UNMAP does to a base that it hides is
 * decided before the splice and is part of it.  PUNCH is one splice, or changes
 * only counts.  So each takes what map.c says of one splice.  Between the
 * reservation of a record and its application, a tree may become higher by one
 * level at most: a small tree may gain two levels in one backlog, which are
 * counted from the start, and a root with two children needs more new leaves to
 * fill up than a backlog makes.  RECLAIM and DELETE change no map, but an
 * element of the volume table and one of the dying trees, each with its path;
 * these are fewer blocks.  CREATE, SNAP and the rest take blocks when the
 * volume is written, at the cut.
 *
 * New nodes of the counts.  A record names one run of blocks, or one large
 * block with punched bits, whose counts are in two neighbouring leaves of each
 * array at most.  Each new node is reserved twice, see struct hpm_cost.
 *
 * Existing nodes of the counts.  They are copied once in an epoch, so a second
 * bound is the number of all nodes that the epoch has not copied yet.  A record
 * changes the counts of the entries
 *
 *	- in the first and the last leaf, if these were shared and are copied now;
 *	- in the leaves between them, if they were not shared and are gone: all
 *	  entries of one large block but the two that stand in those leaves;
 *	- in the leaf behind, which is copied if it is not nearly full.
 *
 * For each entry, an element of the small or of the large array changes and, if
 * the count falls to 0, that of its large block as well.  These are fewer than
 * COUNTED elements in either array.  A RECLAIM changes the counts of the
 * entries of HPM_RECLAIM_LEAVES leaves.  If all of these are bases with punched
 * bits, the small elements of each large block are in two leaves.
 *
 * The upper halves of counts.  Their blocks are made when a count passes
 * HPM_SMALL_COUNT, which takes that many trees; struct hpm_cost has them as
 * separate figures.  Only the copy of a shared leaf raises a count above one,
 * and a splice copies three leaves at most.  The upper half for each entry may
 * be in a leaf of its own, and the array may become higher, by one block a
 * level; these are fewer than COUNTED.  Blocks of upper halves that exist may
 * have to be copied like the others.
 *--------------------------------------------------------------*/

#define COUNTED_SPLICE	(3u * HPM_LEAF_MAX + HPM_SPLICE_MAX)
#define COUNTED_RECLAIM	(2u * HPM_RECLAIM_LEAVES * HPM_LEAF_MAX)
#define COUNTED		max(COUNTED_SPLICE, COUNTED_RECLAIM)

/* One level is added that a tree may gain meanwhile. */
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
