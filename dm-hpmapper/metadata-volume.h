/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata engine as volumes see it, on the way of a bio and in the background;
 * metadata.h has what is for everybody.
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
/* Any context: the last record that changed @vol is durable. */
bool hpm_vol_durable(struct hpm_vol *vol);

/* Any context: nothing published waits for a commit. */
bool hpm_md_all_durable(struct hpm_md *md);

/*
 * Any context.  A flush of the data device that the engine did not issue has
 * failed; to be told before what was flushed is heard of it.
 */
void hpm_md_data_flush_failed(struct hpm_md *md, int err);

/*----------------------------------------------------------------
 * Looking up
 *--------------------------------------------------------------*/

struct hpm_run {
	u64 pbn;
	u32 nr;			/* >= 1, all of it alike and contiguous */
	bool mapped;
	bool shared;		/* must not be written in place */
	bool base;		/* reached through a large block's entry */
};

/*
 * What @vbn and up to @max - 1 blocks behind it map to.  Any context, takes no
 * lock.  -EAGAIN: a node is not in memory; hpm_map_load() from a worker, then
 * again.
 */
int hpm_map_lookup(struct hpm_vol *vol, u64 vbn, u32 max, struct hpm_run *run);
/* Brings what a look-up of @vbn needs into memory.  Sleeps. */
int hpm_map_load(struct hpm_vol *vol, u64 vbn);
/*
 * Length in blocks of the unmapped stretch at @vbn, up to @max; for a worker
 * that skips holes.  Sleeps.
 */
int hpm_map_hole(struct hpm_vol *vol, u64 vbn, u64 max, u64 *nr);

/*
 * What the large block that starts at @vbn stands on, for the background job.
 * Sleeps.
 */
struct hpm_survey {
	u64 base;		/* its base's PBN, HPM_PBN_HOLE: it has none */
	u32 hidden;		/* blocks of it hidden, and not given back */
	bool punchable;		/* HPM_REC_PUNCH would give them back */
};

int hpm_map_survey(struct hpm_vol *vol, u64 vbn, struct hpm_survey *s);

/*----------------------------------------------------------------
 * Changing a mapping
 *--------------------------------------------------------------*/

enum hpm_change_state {
	HPM_CHANGE_IDLE,
	HPM_CHANGE_LOCKED,	/* the range is ours, readers see the old */
	HPM_CHANGE_PUBLISHED,	/* recorded; readers see the new */
};

/*
 * One change of one volume's map, inside one large block.  It is at once the
 * lock on its VBN range, the record, and, until the trees have caught up, what
 * readers look up.  The engine owns and frees it once it is published.
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
/* Only for one that was never locked. */
void hpm_change_free(struct hpm_md *md, struct hpm_change *c);

/*
 * Takes the range c->vbn..+c->nr of c->vol; c->type is set, c->pbn may be set
 * later.  Any context.  If a locked change overlaps: @waiter is queued on it
 * (unless NULL) and -EBUSY is returned; publish or cancel hands it back.
 */
int hpm_change_lock(struct hpm_change *c, struct list_head *waiter);
/*
 * Records the change and makes it visible; uses one credit.  Any context.
 * What waited for the range is moved to @waiters.
 */
void hpm_change_publish(struct hpm_change *c, struct list_head *waiters);
/*
 * Gives the range up and frees the change (after RCU readers); its credit and
 * its PBNs are the caller's to return.
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
 * Any context: what was taken and not used goes back (reserved still, unless
 * the stock is full: then its smallest extent is no longer).
 */
void hpm_stock_give(struct hpm_stock *st, u64 pbn, u32 nr);

/* Sleeps.  -ENOSPC: nothing is allocatable now. */
int hpm_space_refill(struct hpm_md *md, struct hpm_stock *st);
void hpm_space_return(struct hpm_md *md, struct hpm_stock *st);
/* A whole large block, reserved.  Sleeps.  -ENOSPC. */
int hpm_space_take_large(struct hpm_md *md, u64 *pbn);
/* Any context: reserved blocks that no record will name. */
void hpm_space_unreserve(struct hpm_md *md, u64 pbn, u32 nr);

#endif /* HPM_METADATA_VOLUME_H */
