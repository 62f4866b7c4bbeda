/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reference counts of metadata blocks.
 */
#ifndef HPM_REFS_H
#define HPM_REFS_H

#include "env.h"
#include "format.h"
#include "io.h"

struct hpm_md;

/*
 * All counts are in memory.  A block is usable when its count is 0 and no
 * durable superblock's state needs it.  A block whose count fell to 0 moves
 * from bitmap to bitmap until then (refs.c).
 */
struct hpm_refs {
	u64 nr_blocks;
	u32 nr_pages;
	u32 *count;		/* by block */
	unsigned long *barred;	/* by block: not usable, for any reason */
	unsigned long *freed;	/* by block: fell to 0 in the open epoch */
	unsigned long *sealed;	/* ... in the epoch being written */
	unsigned long *older;	/* ... in the one of the newest superblock */
	unsigned long *dirty;	/* by page: to be written at the cut */
	__le32 *csum;		/* by page: of its newest home; 0: none */
	u8 *home;		/* by page: which the newest superblock uses */
	u8 *home_old;		/* by page: ... and the older superblock */
	u64 cursor;
	u64 nr_free;		/* usable now */
	u64 nr_used;		/* count > 0, fixed areas included */
	u64 nr_older;		/* in `older' */
	u64 reserve;
	u32 nr_segments;
	struct {
		u32 first, nr;
		u64 start;
	} segment[HPM_MAX_SEGMENTS];
};

int hpm_refs_init(struct hpm_md *md, u64 nr_blocks);
void hpm_refs_exit(struct hpm_md *md);
/*
 * For a new pool: the homes of the pages start at @homes.  These blocks and all
 * in front of them are reserved for good.
 */
int hpm_refs_format(struct hpm_md *md, u64 homes);
/* Reads the counts that a superblock describes. */
int hpm_refs_load(struct hpm_md *md, const struct hpm_super *sb);
/* Bars the blocks that the other superblock's state uses. */
int hpm_refs_load_other(struct hpm_md *md, const struct hpm_super *sb);
/*
 * How many of @nr_blocks, the size of the device, can be used: new pages of
 * counts need room for their homes.  md->lock held, also for hpm_refs_grow().
 */
u64 hpm_refs_usable(struct hpm_md *md, u64 nr_blocks);
/* Grows to @nr_blocks, which must be what hpm_refs_usable() returned. */
int hpm_refs_grow(struct hpm_md *md, u64 nr_blocks);
/* Adds @nr_blocks blocks behind the device's end, which are never written. */
int hpm_refs_beyond(struct hpm_md *md, u64 nr_blocks);

/* The number of blocks given back that are not usable yet.  Any context. */
u64 hpm_refs_limbo(struct hpm_md *md);

/* md->lock held for all functions below. */

/*
 * Returns -EUCLEAN if the block is out of range or free, or if the count would
 * overflow.
 */
int hpm_refs_inc(struct hpm_md *md, u64 block);
/* Returns the new count; < 0: error.  @born: epoch of the node in the block. */
int hpm_refs_dec(struct hpm_md *md, u64 block, u64 born);
int hpm_refs_alloc(struct hpm_md *md, u64 *block);

/*
 * Copies of the dirty pages at the cut, each for a home that neither durable
 * superblock uses.
 */
struct hpm_refs_write {
	struct hpm_io_vec *vec;
	u32 *page;
	u8 *home;
	unsigned int nr;
};

void hpm_refs_cut(struct hpm_md *md, u64 epoch, struct hpm_refs_write *w,
		  struct hpm_super *sb);
/*
 * The superblock is durable: the homes are current, and older freed blocks are
 * usable.
 */
void hpm_refs_cut_done(struct hpm_md *md, struct hpm_refs_write *w);
/* Both superblocks have the newest state: older freed blocks are usable. */
void hpm_refs_settled(struct hpm_md *md);
/* The checkpoint failed: the pages are dirty again. */
void hpm_refs_cut_failed(struct hpm_md *md, struct hpm_refs_write *w);

#endif /* HPM_REFS_H */
