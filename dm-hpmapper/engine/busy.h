/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data space in memory: blocks that are free by the counts, but busy.
 */
#ifndef HPM_BUSY_H
#define HPM_BUSY_H

#include "metadata-pool.h"

#define HPM_BUSY_HASH_BITS	10

/* The busy small blocks of one large block; freed when none is left. */
struct hpm_busy {
	struct hlist_node hash;
	u64 large;
	unsigned int nr;
	unsigned long bits[];		/* large_size bits */
};

enum hpm_large_state {
	HPM_LARGE_FREE = 0,	/* wholly free by the counts */
	HPM_LARGE_PART = 1,	/* some of its small blocks are free */
	HPM_LARGE_FULL = 2,
	HPM_LARGE_ASIDE = 3,	/* its counts could not be read */
};

#define HPM_LARGE_NONE		U64_MAX
#define HPM_LOOK_MAX		32	/* limit of hpm_space.look */

/*
 * To change the counts, or to make a block busy, takes md->lock and space.lock.
 * To make a block no longer busy takes space.lock only.
 */
struct hpm_space {
	spinlock_t lock;	/* as each field says */
	u64 record;		/* set before a record is applied */
	bool loaded;		/* the states are valid; md->lock */

	/* written under both locks; read under either */
	u64 nr_blocks;		/* small blocks, whole large ones */
	u64 nr_large;
	u64 used;		/* small blocks, by the counts */
	u64 *state;		/* two bits a large block */
	u64 nr_part;		/* large blocks in state PART */
	u64 nr_aside;		/* ... in state ASIDE */

	/* under space.lock */
	u64 nr_free_large;	/* in state FREE and not busy */
	u64 nr_busy;		/* small blocks */
	u64 nr_freed;		/* those of nr_busy that wait for hpm_free_done() */
	u64 lost;		/* free small blocks that are set aside */
	struct hlist_head busy[1 << HPM_BUSY_HASH_BITS];
	struct hpm_free_batch *open;	/* takes what a record frees */
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
/* The number of small blocks that can be allocated at once.  Any context. */
u64 hpm_space_free_now(struct hpm_md *md);
/* The counts have these reserved blocks now: they are no longer busy. */
void hpm_space_settle(struct hpm_md *md, u64 pbn, u32 nr);
/* Passes freed blocks whose records are durable to ops->drain().  Sleeps. */
void hpm_hand_out_freed(struct hpm_md *md);

/* Finds the next run of set bits behind the run (*start, *nr), first (0, 0). */
bool hpm_next_run(const unsigned long *map, unsigned int size,
		  unsigned int *start, unsigned int *nr);

/* Large blocks whose states, of two bits each, share one word. */
#define HPM_STATES	32u

static inline enum hpm_large_state hpm_get_state(const struct hpm_space *sp,
						 u64 large)
{
	return sp->state[large / HPM_STATES] >> large % HPM_STATES * 2 & 3;
}

/* md->lock and space.lock held. */
void __hpm_set_state(struct hpm_space *sp, u64 large,
		     enum hpm_large_state state);
/*
 * Allocates memory so that marking blocks of one large block cannot fail
 * afterwards.  md->lock held.
 */
void hpm_busy_prepare(struct hpm_md *md);
/*
 * _find() returns the busy blocks of a large block, or NULL.  _get() makes the
 * structure if there is none, from the memory of hpm_busy_prepare().
 * space.lock held.
 */
struct hpm_busy *__hpm_busy_find(struct hpm_space *sp, u64 large);
struct hpm_busy *__hpm_busy_get(struct hpm_space *sp, u64 large);
void __hpm_busy_mark(struct hpm_space *sp, struct hpm_busy *b,
		     unsigned int start, unsigned int nr);

/* The interface to the counts (space.c). */

/*
 * Resets everything to "not busy, not freed, FREE", which is the state before
 * loading.
 */
void hpm_space_reset(struct hpm_md *md);
/*
 * Allocates memory for freeing the blocks that are set in @gone (large_size
 * bits).  Sleeps.
 */
void hpm_space_prepare(struct hpm_md *md, const unsigned long *gone);
/*
 * The counts of a large block have changed: @gained small blocks came into use,
 * and @lost small blocks, those set in @gone, went out of use.
 */
void hpm_space_account(struct hpm_md *md, u64 large, enum hpm_large_state state,
		       u32 gained, u32 lost, const unsigned long *gone);

#endif /* HPM_BUSY_H */
