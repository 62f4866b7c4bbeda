// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lists of bios that wait for credits or blocks
 *
 * A write needs two things before it starts: a credit (room in the journal and
 * in the metadata) and blocks for its data.  A bio that does not get one of
 * them at once waits here, on a list, and holds nothing meanwhile: no in-flight
 * token (or the drain, which has to free space, would wait for it), no credit,
 * no change, and no worker.  When it goes on, it starts from the beginning.
 *
 * credit_bios wait for room that the engine is about to make by applying and
 * checkpointing, or for credits of others, which come back when their I/O ends.
 * unmap_bios do so, too, but may use more of the room, so they need not wait
 * until there is room for writes.  One worker asks for both, and never for
 * long, so that each kind gets the room that there is for it.
 *
 * search_bios found no block.  Before a write fails, everything that can give
 * blocks back is tried: dying volumes are given back, all records are made
 * durable, the blocks that they freed are drained, and the reservations that
 * volumes hold for later are taken back.  One worker does this for all of them.
 * searched_bios are those that waited when it began.  A bio that comes later
 * gets a search of its own, as its owner may have sent a discard that the
 * running search has missed.
 *
 * space_bios wait until somebody deletes, discards or grows a device.  The
 * table says how long they may wait: not at all (error_if_no_space) or until
 * the timeout (queue_if_no_space).
 *
 * A bio is put on a list only if its volume is not being suspended without a
 * flush, which is checked under the lock of the lists: see hpm_gate_return().
 * It stays on its list while a worker tries to get what it waits for, so such a
 * suspend finds it there and need not wait for the worker.
 */
#include "pool-priv.h"
#include "volume.h"

static struct hpm_bio *hb_of(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct hpm_bio));
}

/*
 * The only function that puts bios on the lists.  BLK_STS_OK: the bio is on the
 * list.  If not, the caller must end the bio with this status after it has
 * released pool->lock.
 */
static blk_status_t __wait_in(struct hpm_pool *pool, struct bio_list *list,
			      struct bio *bio)
{
	lockdep_assert_held(&pool->lock);

	if (pool->mode >= HPM_MODE_READ_ONLY)
		return BLK_STS_IOERR;
	if (hpm_gate_returns(hb_of(bio)->v))
		return BLK_STS_DM_REQUEUE;
	bio_list_add(list, bio);
	return BLK_STS_OK;
}

/*
 * Puts the bio on @list and queues @work, which serves the list.  If the pool
 * is quiet, hpm_pool_wake() will queue the work.
 */
static void wait_in(struct hpm_pool *pool, struct bio_list *list,
		    struct bio *bio, struct workqueue_struct *wq,
		    struct work_struct *work)
{
	blk_status_t status;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	status = __wait_in(pool, list, bio);
	if (!status && !pool->quiet)
		queue_work(wq, work);
	spin_unlock_irqrestore(&pool->lock, flags);

	if (status)
		hpm_bio_put(hb_of(bio), status);
}

void hpm_waiters_take(struct hpm_pool *pool, struct bio_list *from,
		      struct bio_list *to)
{
	unsigned long flags;

	bio_list_init(to);
	spin_lock_irqsave(&pool->lock, flags);
	bio_list_merge(to, from);
	bio_list_init(from);
	spin_unlock_irqrestore(&pool->lock, flags);
}

/* A bio whose parts are still in flight ends when they have ended. */
void hpm_waiters_end(struct bio_list *bios, blk_status_t status)
{
	struct bio *bio;

	while ((bio = bio_list_pop(bios)))
		hpm_bio_put(hb_of(bio), status);
}

void hpm_waiters_retry(struct bio_list *bios)
{
	struct bio *bio;

	while ((bio = bio_list_pop(bios)))
		hpm_bio_queue(hb_of(bio));
}

static void end_list(struct hpm_pool *pool, struct bio_list *list,
		     blk_status_t status)
{
	struct bio_list bios;

	hpm_waiters_take(pool, list, &bios);
	hpm_waiters_end(&bios, status);
}

void hpm_pool_end_writes(struct hpm_pool *pool, blk_status_t status)
{
	end_list(pool, &pool->credit_bios, status);
	end_list(pool, &pool->search_bios, status);
	end_list(pool, &pool->searched_bios, status);
	end_list(pool, &pool->space_bios, status);
}

void hpm_pool_end_waiters(struct hpm_pool *pool, blk_status_t status)
{
	hpm_pool_end_writes(pool, status);
	end_list(pool, &pool->unmap_bios, status);
}

static void __take_of(struct bio_list *list, const struct hpm_volume *v,
		      struct bio_list *to)
{
	struct bio_list others = BIO_EMPTY_LIST;
	struct bio *bio;

	while ((bio = bio_list_pop(list)))
		bio_list_add(hb_of(bio)->v == v ? to : &others, bio);
	*list = others;
}

void hpm_pool_return_bios(struct hpm_pool *pool, struct hpm_volume *v)
{
	struct bio_list bios = BIO_EMPTY_LIST;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	__take_of(&pool->credit_bios, v, &bios);
	__take_of(&pool->unmap_bios, v, &bios);
	__take_of(&pool->search_bios, v, &bios);
	__take_of(&pool->searched_bios, v, &bios);
	__take_of(&pool->space_bios, v, &bios);
	spin_unlock_irqrestore(&pool->lock, flags);

	hpm_waiters_end(&bios, BLK_STS_DM_REQUEUE);
}

/* There is no space: ends the bio with an error, or queues it for space. */
static void no_space(struct hpm_pool *pool, struct bio *bio)
{
	blk_status_t status;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	if (!pool->out_of_data && !pool->meta_full) {
		/* Space has come since the search ended. */
		status = __wait_in(pool, &pool->credit_bios, bio);
		if (!status && !pool->quiet)
			queue_work(pool->apply_wq, &pool->retry_work);
	} else if (pool->features.error_if_no_space || pool->timed_out) {
		status = BLK_STS_NOSPC;
	} else {
		status = __wait_in(pool, &pool->space_bios, bio);
	}
	spin_unlock_irqrestore(&pool->lock, flags);

	if (status)
		hpm_bio_put(hb_of(bio), status);
}

void hpm_waiters_answer(struct hpm_pool *pool, struct bio_list *list, int r)
{
	struct bio_list bios;
	struct bio *bio;

	hpm_waiters_take(pool, list, &bios);
	if (!r)
		hpm_waiters_retry(&bios);
	while (r == -ENOSPC && (bio = bio_list_pop(&bios)))
		no_space(pool, bio);
	hpm_waiters_end(&bios, errno_to_blk_status(r));
}

bool hpm_waiters_none(struct hpm_pool *pool, struct bio_list *list)
{
	bool empty;

	spin_lock_irq(&pool->lock);
	empty = bio_list_empty(list);
	spin_unlock_irq(&pool->lock);
	return empty;
}

void hpm_pool_wait_credit(struct hpm_pool *pool, struct bio *bio)
{
	wait_in(pool, &pool->credit_bios, bio, pool->apply_wq,
		&pool->retry_work);
}

void hpm_pool_wait_unmap(struct hpm_pool *pool, struct bio *bio)
{
	wait_in(pool, &pool->unmap_bios, bio, pool->apply_wq,
		&pool->retry_work);
}

void hpm_pool_wait_space(struct hpm_pool *pool, struct bio *bio)
{
	wait_in(pool, &pool->search_bios, bio, pool->space_wq,
		&pool->search_work);
}

void hpm_pool_waiters_init(struct hpm_pool *pool)
{
	bio_list_init(&pool->credit_bios);
	bio_list_init(&pool->unmap_bios);
	bio_list_init(&pool->search_bios);
	bio_list_init(&pool->searched_bios);
	bio_list_init(&pool->space_bios);
}
