/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data space in memory: what is free by the counts and must not be allocated.
 */
#ifndef HPM_BUSY_H
#define HPM_BUSY_H

#include "metadata-pool.h"

#define HPM_BUSY_HASH_BITS	10

/* The busy small blocks of one large block; gone when there are none. */
struct hpm_busy {
	struct hlist_node hash;
	u64 large;
	unsigned int nr;
	unsigned long bits[];		/* large_size of them */
};

enum hpm_large_state {
	HPM_LARGE_FREE = 0,	/* wholly free by the counts */
	HPM_LARGE_PART = 1,	/* some small blocks of it are */
	HPM_LARGE_FULL = 2,
	HPM_LARGE_ASIDE = 3,	/* its counts could not be read */
};

#define HPM_LARGE_NONE		U64_MAX
#define HPM_LOOK_MAX		32	/* PART blocks that one refill looks at */

/*
 * What changes the counts, or makes a block busy, holds md->lock as well as
 * space.lock; making a block no longer busy needs no more than space.lock.
 */
struct hpm_space {
	spinlock_t lock;	/* as each field says */
	u64 record;		/* being applied; whoever applies sets it */
	bool loaded;		/* the states are right; md->lock */

	/* under both locks; either is enough for reading */
	u64 nr_blocks;		/* small blocks, whole large ones */
	u64 nr_large;
	u64 used;		/* small blocks by the counts */
	u64 *state;		/* two bits a large block */
	u64 nr_part;		/* large blocks in state PART */
	u64 nr_aside;		/* ... in state ASIDE */

	/* under space.lock */
	u64 nr_free_large;	/* in state FREE and not busy */
	u64 nr_busy;		/* small blocks */
	u64 lost;		/* small blocks: free, and in what is set aside */
	struct hlist_head busy[1 << HPM_BUSY_HASH_BITS];
	struct hpm_free_batch *open;	/* what applying frees goes here */
	struct list_head freed;	/* full and closed batches, oldest first */

	/* under md->lock */
	u64 cursor_free, cursor_part;
	u64 carved;		/* the large block that is being cut up */
	unsigned int look;	/* how many PART blocks a refill looks at */
	struct hpm_busy *spare_busy;
	struct list_head spare;	/* empty batches */
	unsigned int nr_spare;
};

int hpm_space_init(struct hpm_md *md);
void hpm_space_exit(struct hpm_md *md);
int hpm_space_resize(struct hpm_md *md, u64 nr_blocks);
/* Any context: small blocks that could be allocated at once. */
u64 hpm_space_free_now(struct hpm_md *md);
/* Recorded now: no longer busy for being reserved. */
void hpm_space_settle(struct hpm_md *md, u64 pbn, u32 nr);
/* Gives the freed blocks whose records are durable to ops->drain().  Sleeps. */
void hpm_hand_out_freed(struct hpm_md *md);

/* The run of set bits behind the run (*start, *nr); begin with 0, 0. */
bool hpm_next_run(const unsigned long *map, unsigned int size,
		  unsigned int *start, unsigned int *nr);

/* States are two bits a large block, so many of them in a word. */
#define HPM_STATES	32u

static inline enum hpm_large_state hpm_get_state(const struct hpm_space *sp,
						 u64 large)
{
	return sp->state[large / HPM_STATES] >> large % HPM_STATES * 2 & 3;
}

/* Both locks held. */
void __hpm_set_state(struct hpm_space *sp, u64 large,
		     enum hpm_large_state state);
/* md->lock held: one large block's worth of marking cannot fail after this. */
void hpm_busy_prepare(struct hpm_md *md);
/* space.lock held: its busy blocks, or NULL; it, made of what was prepared. */
struct hpm_busy *__hpm_busy_find(struct hpm_space *sp, u64 large);
struct hpm_busy *__hpm_busy_get(struct hpm_space *sp, u64 large);
void __hpm_busy_mark(struct hpm_space *sp, struct hpm_busy *b,
		     unsigned int start, unsigned int nr);

/* What the counts (space.c) have to say, and ask. */

/* Nothing busy, nothing freed, all FREE: the state before loading. */
void hpm_space_reset(struct hpm_md *md);
/* Memory for freeing what is set in @gone (large_size bits), sought while one may sleep. */
void hpm_space_prepare(struct hpm_md *md, const unsigned long *gone);
/*
 * The counts of a large block have changed: @gained small blocks came into
 * use, the @lost ones that are set in @gone went out of it.
 */
void hpm_space_account(struct hpm_md *md, u64 large, enum hpm_large_state state,
		       u32 gained, u32 lost, const unsigned long *gone);

#endif /* HPM_BUSY_H */
