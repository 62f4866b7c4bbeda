/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata engine: what only volumes call, in the path of a bio and in the
 * background; metadata.h has what all callers need.
 */
#ifndef HPM_METADATA_VOLUME_H
#define HPM_METADATA_VOLUME_H

#include "metadata.h"

/* Opening loads the root; at most one struct hpm_vol exists for a volume. */
int hpm_vol_open(struct hpm_md *md, u32 id, struct hpm_vol **volp);
void hpm_vol_put(struct hpm_vol *vol);
void hpm_vol_get_info(struct hpm_vol *vol, struct hpm_vol_info *info);
/* Highest mapped VBN, or -ENOENT; sleeps. */
int hpm_vol_highest(struct hpm_vol *vol, u64 *vbn);
/* Is the last record durable that changed @vol?  Any context. */
bool hpm_vol_durable(struct hpm_vol *vol);

/* Are all published records durable?  Any context. */
bool hpm_md_all_durable(struct hpm_md *md);

/*
 * Must be called if a flush of the data device fails that the engine did not
 * issue, and before the bio of that flush ends.  Any context.
 */
void hpm_md_data_flush_failed(struct hpm_md *md, int err);

/*----------------------------------------------------------------
 * Looking up
 *--------------------------------------------------------------*/

struct hpm_run {
	u64 pbn;
	u32 nr;			/* >= 1; all alike and contiguous */
	bool mapped;
	bool shared;		/* must not be written in place */
	bool base;		/* reached through a large block's entry */
};

/*
 * Looks up what @vbn and up to @max - 1 blocks after it map to.  Any context,
 * takes no lock.  -EAGAIN: a node is not in memory; the caller must call
 * hpm_map_load() in a worker, and look up again.
 */
int hpm_map_lookup(struct hpm_vol *vol, u64 vbn, u32 max, struct hpm_run *run);
/* Reads the nodes that a look-up of @vbn needs.  Sleeps. */
int hpm_map_load(struct hpm_vol *vol, u64 vbn);
/*
 * Sets *nr to the number of unmapped blocks from @vbn on, at most @max; for a
 * worker that skips holes.  Sleeps.
 */
int hpm_map_hole(struct hpm_vol *vol, u64 vbn, u64 max, u64 *nr);

/*
 * Describes the base of the large block that starts at @vbn, for defrag.
 * Sleeps.
 */
struct hpm_survey {
	u64 base;		/* the base's PBN; HPM_PBN_HOLE: none */
	u32 hidden;		/* overridden blocks of it, not given back */
	bool punchable;		/* HPM_REC_PUNCH would give them back */
};

int hpm_map_survey(struct hpm_vol *vol, u64 vbn, struct hpm_survey *s);

/*----------------------------------------------------------------
 * Changing a mapping
 *--------------------------------------------------------------*/

enum hpm_change_state {
	HPM_CHANGE_IDLE,
	HPM_CHANGE_LOCKED,	/* range locked; readers see the old mapping */
	HPM_CHANGE_PUBLISHED,	/* recorded; readers see the new mapping */
};

/*
 * One change of one volume's map, inside one large block.  It is the lock on
 * its VBN range, and then the record, which readers look up until it is applied
 * to the tree.  Once it is published, the engine owns and frees it.
 */
struct hpm_change {
	struct hlist_node hash;		/* RCU; changed under the volume's lock */
	struct list_head fifo;		/* journal order; under the journal lock */
	struct list_head waiters;	/* under the volume's lock */
	struct hpm_md *md;
	struct hpm_vol *vol;
	u64 vbn;
	u64 pbn;
	u64 old;			/* MOVE: the PBN it must still be at */
	u64 record;			/* its number, once published */
	u32 nr;
	u8 type;			/* enum hpm_record_type */
	u8 state;			/* enum hpm_change_state */
	struct rcu_head rcu;
};

struct hpm_change *hpm_change_alloc(struct hpm_md *md, gfp_t gfp);
/* Only for a change that was never locked. */
void hpm_change_free(struct hpm_md *md, struct hpm_change *c);

/*
 * Locks the range c->vbn..+c->nr of c->vol; c->type must be set, c->pbn may be
 * set later.  If a locked change overlaps, queues @waiter on it (unless NULL)
 * and returns -EBUSY; publish or cancel hands @waiter back.  Any context.
 */
int hpm_change_lock(struct hpm_change *c, struct list_head *waiter);
/*
 * Records the change and makes it visible; uses one credit.  Moves the waiters
 * for its range to @waiters.  Any context.
 */
void hpm_change_publish(struct hpm_change *c, struct list_head *waiters);
/*
 * Unlocks the range and frees the change after an RCU grace period.  Moves the
 * waiters to @waiters.  The caller must return its credit and its PBNs.  Any
 * context.
 */
void hpm_change_cancel(struct hpm_change *c, struct list_head *waiters);

/*----------------------------------------------------------------
 * Data space
 *--------------------------------------------------------------*/

/*
 * A stock of small blocks that an owner (a volume) can take from in any
 * context.  What it holds is reserved in memory only.
 */
#define HPM_STOCK_EXTENTS	8
struct hpm_stock {
	spinlock_t lock;		/* all but md */
	struct hpm_md *md;		/* set by the first refill */
	unsigned int nr;
	u32 blocks;
	struct hpm_extent ext[HPM_STOCK_EXTENTS];
};

void hpm_stock_init(struct hpm_stock *st);

/*
 * Takes up to @want contiguous blocks of one large block; returns how many, 0:
 * refill first.  A run shorter than @want is given only if no extent is longer.
 */
u32 hpm_stock_take(struct hpm_stock *st, u32 want, u64 *pbn);
/*
 * Returns blocks that were taken and not used.  They stay reserved, but if the
 * stock is full, its smallest extent is unreserved.  Any context.
 */
void hpm_stock_give(struct hpm_stock *st, u64 pbn, u32 nr);

/* Sleeps.  -ENOSPC: nothing is allocatable now. */
int hpm_space_refill(struct hpm_md *md, struct hpm_stock *st);
void hpm_space_return(struct hpm_md *md, struct hpm_stock *st);
/* Reserves a whole large block; -ENOSPC: none is free.  Sleeps. */
int hpm_space_take_large(struct hpm_md *md, u64 *pbn);
/* Gives back reserved blocks that no record will name.  Any context. */
void hpm_space_unreserve(struct hpm_md *md, u64 pbn, u32 nr);

#endif /* HPM_METADATA_VOLUME_H */
