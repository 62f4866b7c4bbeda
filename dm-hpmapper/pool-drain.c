// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way of freed blocks
 *
 * A data block that no mapping names any more is not free yet.  It may be
 * given to somebody else, or discarded on the device, only when
 *
 *	1. the record that freed it is durable: before that, a crash brings the
 *	   old mapping back, and it must find its data;
 *	2. nobody reads or writes it any more: a bio that looked the old mapping
 *	   up has the block number in its hand until its I/O ends, and holds an
 *	   in-flight token (tokens.h) from before the look-up until then;
 *	3. the index of cached copies has forgotten it, which only now can be
 *	   for good, as such a bio was allowed to enter it;
 *	4. its discard is done: a discard that overtakes the next owner's write
 *	   would destroy it.
 *
 * The engine hands batches over that have passed 1; this does the rest, in
 * this order, one grace period for all batches that are there.  The known
 * price: a single bio that hangs in the data device, or that io.max holds back,
 * keeps all freed space of the pool from being used again, as it holds the grace
 * period up.  Nothing else waits for it: the worker holds no lock meanwhile, and
 * only those wait for the worker who need the very blocks that it is about.
 */
#include "cache.h"
#include "io-kernel.h"
#include "pool-priv.h"
#include "trace.h"

static void pass_down(struct hpm_pool *pool, struct hpm_free_batch *b)
{
	int r;

	if (!READ_ONCE(pool->features.discard_passdown))
		return;

	r = hpm_io_discard(pool->io, b->ext, b->nr);
	if (r && !pool->passdown_failed) {
		pool->passdown_failed = true;
		DMWARN("%s: the data device refused a discard: error %d",
		       pool->name, r);
	}
}

static void drain_batch(struct hpm_pool *pool, struct hpm_free_batch *b)
{
	pass_down(pool, b);
	hpm_free_done(pool->md, b);
}

static bool take_batches(struct hpm_pool *pool, struct list_head *batches)
{
	spin_lock_irq(&pool->lock);
	list_splice_init(&pool->drain_batches, batches);
	spin_unlock_irq(&pool->lock);

	return !list_empty(batches);
}

/* Until nobody has a block in his hand that was mapped before this call. */
static void wait_for_readers(struct hpm_pool *pool)
{
	ktime_t start = ktime_get();

	hpm_pool_wait_tokens(pool);
	trace_hpm_grace(pool, start, 0);
}

/* Batches that came during a turn have a turn of their own. */
static void drain_more(struct hpm_pool *pool)
{
	spin_lock_irq(&pool->lock);
	if (!list_empty(&pool->drain_batches) && !pool->quiet)
		queue_work(pool->drain_wq, &pool->drain_work);
	spin_unlock_irq(&pool->lock);
}

/*
 * One turn: a grace period, and what was freed before it is free.  The work ends
 * after each turn, so that hpm_pool_drain_wait() waits for the turn that is under
 * way and for the next one, and for no more, however often others free blocks
 * meanwhile.
 */
static void do_drain(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, drain_work);
	unsigned int noio = hpm_noio_begin();
	struct hpm_free_batch *b, *next;
	LIST_HEAD(batches);

	if (take_batches(pool, &batches)) {
		wait_for_readers(pool);
		hpm_index_drop(pool, &batches);
		list_for_each_entry_safe(b, next, &batches, list) {
			list_del(&b->list);
			drain_batch(pool, b);
		}
		hpm_pool_space_freed(pool);
	}

	hpm_pool_space_came(pool);
	drain_more(pool);
	hpm_noio_end(noio);
}

void hpm_pool_drain(void *ctx, struct list_head *batches)
{
	struct hpm_pool *pool = ctx;

	spin_lock_irq(&pool->lock);
	list_splice_tail_init(batches, &pool->drain_batches);
	if (!pool->quiet)
		queue_work(pool->drain_wq, &pool->drain_work);
	spin_unlock_irq(&pool->lock);
}

/* A work that runs and is queued again runs again before it counts as flushed. */
void hpm_pool_drain_wait(struct hpm_pool *pool)
{
	queue_work(pool->drain_wq, &pool->drain_work);
	flush_work(&pool->drain_work);
}

void hpm_pool_drain_drop(struct hpm_pool *pool)
{
	struct hpm_free_batch *b, *next;
	LIST_HEAD(batches);

	take_batches(pool, &batches);
	list_for_each_entry_safe(b, next, &batches, list) {
		list_del(&b->list);
		hpm_free_done(pool->md, b);
	}
}

void hpm_pool_drain_init(struct hpm_pool *pool)
{
	INIT_LIST_HEAD(&pool->drain_batches);
	INIT_WORK(&pool->drain_work, do_drain);
}
