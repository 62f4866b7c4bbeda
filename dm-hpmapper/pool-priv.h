/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions and types that the files of the pool target share.
 *
 *	pool.c		live pools: the list, creation and shutdown
 *	pool-table.c	the target: tables, suspend and resume
 *	pool-work.c	the workers
 *	pool-kick.c	queues work for the engine, and dm events
 *	pool-commit.c	commits, and the bios that wait for one
 *	pool-waiters.c	the lists of bios that wait for credits or blocks
 *	pool-search.c	finds credits and blocks for these bios
 *	pool-space.c	space that becomes free; the low water marks
 *	pool-drain.c	makes freed blocks allocatable again
 *	pool-mode.c	the failure ladder
 *	pool-message.c	carries out messages (parse.c parses them)
 *	pool-status.c	status and table lines
 */
#ifndef HPM_POOL_PRIV_H
#define HPM_POOL_PRIV_H

#include <linux/sched/mm.h>

#include "metadata-pool.h"
#include "pool.h"

/* A table of a pool; during a reload a pool has two of them. */
struct hpm_table {
	struct dm_target *ti;
	struct hpm_pool *pool;
	struct dm_dev *meta_dev;
	struct dm_dev *data_dev;
	u64 data_blocks;		/* small blocks; the table's length */
	unsigned int large_shift;	/* in small blocks */
	u64 low_water;			/* small blocks */
	struct hpm_features features;	/* as in the table line */
};

/*
 * Code for which a writer may wait must not start writeback to get memory: the
 * writeback could wait for the same code.  So all calls of the engine that
 * sleep are made between these two, in messages as well as in workers.
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
 * Returns the pool for a table: the live pool of these devices, or a new one,
 * which is opened (and whose metadata device is formatted if the table allows
 * it).  Counts the table and takes a reference.  On failure returns an ERR_PTR,
 * and *why is a sentence.  Changes nothing about a pool that is live.  Sleeps.
 */
struct hpm_pool *hpm_pool_attach(const struct hpm_table *t,
				 struct mapped_device *mapped, const char **why);
/* Undoes it; a pool that loses its last table is shut down.  Sleeps. */
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
/* Applies all published records and commits them.  Sleeps. */
int hpm_pool_settle(struct hpm_pool *pool);

/*
 *----------------------------------------------------------------
 * pool-work.c
 *--------------------------------------------------------------
 */

int hpm_pool_work_init(struct hpm_pool *pool);
void hpm_pool_work_exit(struct hpm_pool *pool);

/* Starts the background work. */
void hpm_pool_wake(struct hpm_pool *pool);
/*
 * Stops the background work and writes the metadata back.  The volumes must be
 * stopped.  Sleeps.
 */
void hpm_pool_quiesce(struct hpm_pool *pool);

/*
 *----------------------------------------------------------------
 * pool-waiters.c
 *--------------------------------------------------------------
 */

void hpm_pool_waiters_init(struct hpm_pool *pool);
/* Ends the writes that wait for credit or space.  Any context. */
void hpm_pool_end_writes(struct hpm_pool *pool, blk_status_t status);
/* Ends all bios that wait for credit or space, also discards.  Any context. */
void hpm_pool_end_waiters(struct hpm_pool *pool, blk_status_t status);
/* Moves all bios of the list @from to the caller's list @to.  Any context. */
void hpm_waiters_take(struct hpm_pool *pool, struct bio_list *from,
		      struct bio_list *to);
void hpm_waiters_end(struct bio_list *bios, blk_status_t status);
void hpm_waiters_retry(struct bio_list *bios);
/*
 * Deals with the bios on @list after a search for credit or space: 0 retries
 * them, -ENOSPC queues them for space or ends them, as the table says, and any
 * other error ends them.  Any context.
 */
void hpm_waiters_answer(struct hpm_pool *pool, struct bio_list *list, int r);
bool hpm_waiters_none(struct hpm_pool *pool, struct bio_list *list);

/*
 *----------------------------------------------------------------
 * pool-space.c
 *--------------------------------------------------------------
 */

/* The number of small blocks that can be allocated now. */
u64 hpm_pool_data_free(struct hpm_pool *pool);
/* If the pool was full and has space now, retries waiting bios.  Sleeps. */
void hpm_pool_space_came(struct hpm_pool *pool);
/* Blocks have been freed, even if some volume's stock has them by now.  Sleeps. */
void hpm_pool_space_freed(struct hpm_pool *pool);
/* Reports free space that has sunk to a low water mark.  Sleeps. */
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
/* Waits until the blocks handed over before the call are free.  Sleeps. */
void hpm_pool_drain_wait(struct hpm_pool *pool);
/*
 * For the end of a pool: hands the batches that are left back to the engine,
 * without a grace period or a discard.  Sleeps.
 */
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
/* Computes the mode; pool->lock held. */
void __hpm_pool_update_mode(struct hpm_pool *pool);
/*
 * Computes the mode, and queues the work that reports it.  To be called after
 * one of its causes has changed.  Any context.
 */
void hpm_pool_update_mode(struct hpm_pool *pool);
/* Starts no_space_timeout if the pool is full and queues; pool->lock held. */
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
