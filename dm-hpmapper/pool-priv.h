/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the pool target have to do with each other.
 *
 *	pool.c		a live pool: who it is, its birth and its end
 *	pool-table.c	the target: tables, suspend and resume
 *	pool-work.c	the workers
 *	pool-kick.c	what makes them run
 *	pool-commit.c	commits, and who waits for one
 *	pool-waiters.c	who waits for space, and how it comes back
 *	pool-search.c	looking for credit and for blocks
 *	pool-space.c	what comes of it; the low water marks
 *	pool-drain.c	the way of freed blocks
 *	pool-mode.c	the failure ladder
 *	pool-message.c	messages (parse.c has their words)
 *	pool-status.c	status and table lines
 */
#ifndef HPM_POOL_PRIV_H
#define HPM_POOL_PRIV_H

#include <linux/sched/mm.h>

#include "metadata-pool.h"
#include "pool.h"

/* A table of a pool; at a reload a pool has two of them. */
struct hpm_table {
	struct dm_target *ti;
	struct hpm_pool *pool;
	struct dm_dev *meta_dev;
	struct dm_dev *data_dev;
	u64 data_blocks;		/* by the table's length, small blocks */
	unsigned int large_shift;	/* in small blocks */
	u64 low_water;			/* small blocks */
	struct hpm_features features;	/* as they were asked for */
};

/*
 * Whatever may be waited for by a writer, or holds what a writer waits for,
 * must not start writeback to get memory.  All calls of the engine that sleep
 * stand between these two, in messages as in workers.
 */
static inline unsigned int hpm_noio_begin(void)
{
	return memalloc_noio_save();
}

static inline void hpm_noio_end(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

/*
 *----------------------------------------------------------------
 * pool.c
 *--------------------------------------------------------------
 */

/*
 * The pool for a table: the live one of these devices, or a new one, opened
 * (and the metadata device formatted if it may be).  The table is counted.
 * *why is a sentence on failure.  Changes nothing about a pool that is live.
 */
struct hpm_pool *hpm_pool_attach(const struct hpm_table *t,
				 struct mapped_device *md, const char **why);
/* The opposite; a pool that loses its last table is shut down.  Sleeps. */
void hpm_pool_detach(struct hpm_pool *pool);

/*
 *----------------------------------------------------------------
 * pool-kick.c
 *--------------------------------------------------------------
 */

/* The engine's ops->kick().  Any context. */
void hpm_pool_kick(void *ctx, enum hpm_kick what);
/* Raises a dm event.  Any context. */
void hpm_pool_event(struct hpm_pool *pool);

/*
 *----------------------------------------------------------------
 * pool-commit.c
 *--------------------------------------------------------------
 */

void hpm_pool_commit_init(struct hpm_pool *pool);
/* Applies and commits.  Sleeps. */
int hpm_pool_settle(struct hpm_pool *pool);

/*
 *----------------------------------------------------------------
 * pool-work.c
 *--------------------------------------------------------------
 */

int hpm_pool_work_init(struct hpm_pool *pool);
void hpm_pool_work_exit(struct hpm_pool *pool);

/* Lets the background work go on from where it was. */
void hpm_pool_wake(struct hpm_pool *pool);
/*
 * Stops it, once everything is in place that was published.  The volumes have
 * been stopped.  Sleeps.
 */
void hpm_pool_quiesce(struct hpm_pool *pool);

/*
 *----------------------------------------------------------------
 * pool-waiters.c
 *--------------------------------------------------------------
 */

void hpm_pool_waiters_init(struct hpm_pool *pool);
/* Ends the writes that wait for credit or space.  Sleeps or not. */
void hpm_pool_end_writes(struct hpm_pool *pool, blk_status_t status);
/* Ends everything that waits for credit or space, discards too.  Sleeps or not. */
void hpm_pool_end_waiters(struct hpm_pool *pool, blk_status_t status);
/* Any context: all that are on the list @from are on @to, and on no other. */
void hpm_waiters_take(struct hpm_pool *pool, struct bio_list *from,
		      struct bio_list *to);
void hpm_waiters_end(struct bio_list *bios, blk_status_t status);
void hpm_waiters_retry(struct bio_list *bios);
/* What somebody was busy with for the bios on @list has come to @r. */
void hpm_waiters_answer(struct hpm_pool *pool, struct bio_list *list, int r);
bool hpm_waiters_none(struct hpm_pool *pool, struct bio_list *list);

/*
 *----------------------------------------------------------------
 * pool-space.c
 *--------------------------------------------------------------
 */

/* Small blocks that could be allocated now. */
u64 hpm_pool_data_free(struct hpm_pool *pool);
/* Space may have come: whoever waits for it goes on if so.  Sleeps. */
void hpm_pool_space_came(struct hpm_pool *pool);
/* Blocks have been freed, even if some volume's stock has them by now.  Sleeps. */
void hpm_pool_space_freed(struct hpm_pool *pool);
/* Low water marks.  Sleeps. */
void hpm_pool_check_low_water(struct hpm_pool *pool);
/* The metadata low water mark, in metadata blocks. */
u64 hpm_pool_meta_low_water(const struct hpm_md_stats *st);

/*
 *----------------------------------------------------------------
 * pool-drain.c
 *--------------------------------------------------------------
 */

void hpm_pool_drain_init(struct hpm_pool *pool);
/* The engine's ops->drain(). */
void hpm_pool_drain(void *ctx, struct list_head *batches);
/* Returns when all that was freed before the call is free.  Sleeps. */
void hpm_pool_drain_wait(struct hpm_pool *pool);
/* The pool is no more: gives the batches back as they are.  Sleeps. */
void hpm_pool_drain_drop(struct hpm_pool *pool);

/*
 *----------------------------------------------------------------
 * pool-search.c
 *--------------------------------------------------------------
 */

void hpm_pool_search_init(struct hpm_pool *pool);

/*
 *----------------------------------------------------------------
 * pool-mode.c
 *--------------------------------------------------------------
 */

void hpm_pool_mode_init(struct hpm_pool *pool);
/* The engine's ops->failed().  Any context. */
void hpm_pool_failed_op(void *ctx, enum hpm_mode mode, const char *why,
			int err);
/* Works the mode out anew; pool->lock held. */
void __hpm_pool_update_mode(struct hpm_pool *pool);
/* A word of the mode has changed: worked out anew, and told.  Any context. */
void hpm_pool_update_mode(struct hpm_pool *pool);
/* Time runs for queue_if_no_space, if it does; pool->lock held. */
void __hpm_pool_start_timeout(struct hpm_pool *pool);
void hpm_pool_set_out_of_data(struct hpm_pool *pool, bool is);
void hpm_pool_set_meta_full(struct hpm_pool *pool, bool is);

/*
 *----------------------------------------------------------------
 * pool-table.c, pool-message.c, pool-status.c
 *--------------------------------------------------------------
 */

int hpm_pool_target_init(void);
void hpm_pool_target_exit(void);

int hpm_pool_message(struct dm_target *ti, unsigned int argc, char **argv,
		     char *result, unsigned int maxlen);
void hpm_pool_status(struct dm_target *ti, status_type_t type,
		     unsigned int status_flags, char *result,
		     unsigned int maxlen);

#endif /* HPM_POOL_PRIV_H */
