// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who waits for space, and how it comes back
 *
 * A writer needs two things before it starts: credit (room in the journal and
 * in the metadata) and a place for its data.  A bio that does not get one of
 * them at once waits here, on a list, and holds nothing meanwhile: no in-flight
 * token (or the drain that is to free space would wait for it), no credit, no
 * change, and no worker.  When it goes on it starts from the beginning.
 *
 * credit_bios wait for room that the engine is about to make by applying and
 * checkpointing, or for credits of others, which come back when their I/O ends.
 * unmap_bios do so as well: they may have more of the room, so they do not wait for
 * what writes wait for.  One worker asks for both, and never for long, so that each
 * kind gets what there is for it.  search_bios found no block: everything that
 * could give blocks back is to have its turn before a write fails (dying volumes
 * are given back, all records are made durable, what they freed is drained, and
 * reservations that volumes hold for later are taken back).  One worker does
 * that for all of them.  searched_bios are those that waited when it began; one
 * that came later may have found nothing before a discard that its owner sent,
 * and so gets a search of its own.  space_bios wait for somebody to delete, to
 * discard or to grow a device; how long they may is the user's word: not at all
 * (error_if_no_space) or until the timeout (queue_if_no_space).
 *
 * Whoever puts a bio on a list asks first whether its volume is being suspended
 * without a flush, under the lock of the lists: see hpm_gate_return().  A bio
 * stays on its list for as long as a worker is busy with what it waits for, so
 * that such a suspend finds it there and need not wait for the worker.
 */
#include "pool-priv.h"
#include "volume.h"

static struct hpm_bio *hb_of(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct hpm_bio));
}

/*
 * The only way onto the lists.  BLK_STS_OK: it is there; else the bio is to end
 * with this status, once pool->lock is given up.
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

/* On @list, for which @work does something: on resume, if it is too late now. */
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

/* Their parts may be under way still, so they end when those have. */
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

/* Nothing is to be had: an error, or a wait until somebody does something. */
static void no_space(struct hpm_pool *pool, struct bio *bio)
{
	blk_status_t status;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	if (!pool->out_of_data && !pool->meta_full) {
		/* Some came while the bio was on its way here. */
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
