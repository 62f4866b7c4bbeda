// SPDX-License-Identifier: GPL-2.0-only
/*
 * The drain: makes freed blocks allocatable again
 *
 * A data block that no mapping names any more is not yet free.  It may be
 * allocated again, or discarded on the device, only when
 *
 *	1. the record that freed it is durable: before that, a crash brings the
 *	   old mapping back, and the block must still have its data;
 *	2. no I/O on it is in flight: a bio that has looked up the old mapping
 *	   uses the block number until its I/O ends, and holds an in-flight
 *	   token (tokens.h) from before the look-up until then;
 *	3. the index of cached copies has dropped it: this must come after 2, as
 *	   such a bio could have entered the block into the index again;
 *	4. its discard has ended: a discard that overtook the next owner's write
 *	   would destroy the new data.
 *
 * The engine hands over batches for which 1 holds.  The drain does the rest, in
 * this order, with one grace period for all batches that are there.  The known
 * price: a single bio that hangs in the data device, or that io.max throttles,
 * delays the grace period, so no freed space of the pool can be used again
 * until the bio ends.  Nothing else is delayed: the worker holds no lock
 * meanwhile, and only callers that need the freed blocks wait for the worker.
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

/* Waits for all I/O that could use a mapping from before the call. */
static void wait_for_readers(struct hpm_pool *pool)
{
	ktime_t start = ktime_get();

	hpm_pool_wait_tokens(pool);
	trace_hpm_grace(pool, start, 0);
}

/* Batches that came during a turn get a turn of their own. */
static void drain_more(struct hpm_pool *pool)
{
	spin_lock_irq(&pool->lock);
	if (!list_empty(&pool->drain_batches) && !pool->quiet)
		queue_work(pool->drain_wq, &pool->drain_work);
	spin_unlock_irq(&pool->lock);
}

/*
 * One turn: after one grace period, the blocks freed before it become free.
 * The work ends after each turn, so hpm_pool_drain_wait() waits for the turn
 * that runs and for the next one, but not for more, however many blocks are
 * freed meanwhile.
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
	} else {
		hpm_pool_space_came(pool);
	}
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

/* If the work runs now, flush_work() waits for the next run, too. */
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
