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
#include "trace.h"
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

/*
 *----------------------------------------------------------------
 * Credit
 *--------------------------------------------------------------
 */

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

/* Reclaim steps between two looks at whether there is room now. */
#define RECLAIM_STEPS	64

/*
 * 1: something was given back, there may be more; 0: nothing is dying; -ERESTART:
 * what is there waits for others.
 */
static int reclaim_some(struct hpm_pool *pool)
{
	int r = 0, i;

	for (i = 0; i < RECLAIM_STEPS; i++) {
		r = hpm_md_reclaim_step(pool->md);
		if (r <= 0)
			break;
	}

	return i ? 1 : r;
}

/* -ERESTART: it depends on others, who take their time. */
static int wait_for_credit(struct hpm_pool *pool, enum hpm_credit_use use)
{
	int r, more;

	do {
		r = hpm_credit_wait(pool->md, 1, use);
		more = r == -ENOSPC ? reclaim_some(pool) : 0;
	} while (more > 0);

	if (!r)
		hpm_credit_put(pool->md, 1);
	return more == -ERESTART ? more : r;
}

/* True: they wait on. */
static bool retry_writes(struct hpm_pool *pool)
{
	int r;

	if (hpm_waiters_none(pool, &pool->credit_bios))
		return false;
	r = wait_for_credit(pool, HPM_FOR_DATA);
	if (r == -ERESTART)
		return true;
	if (!r || r == -ENOSPC)
		hpm_pool_set_meta_full(pool, r);
	hpm_waiters_answer(pool, &pool->credit_bios, r);
	return false;
}

/* Those who have more to draw on than writes do not wait for more, either. */
static bool retry_unmaps(struct hpm_pool *pool)
{
	struct bio_list bios;
	int r;

	if (hpm_waiters_none(pool, &pool->unmap_bios))
		return false;
	r = wait_for_credit(pool, HPM_FOR_DISCARD);
	if (r == -ERESTART)
		return true;
	hpm_waiters_take(pool, &pool->unmap_bios, &bios);
	if (!r)
		hpm_waiters_retry(&bios);
	hpm_waiters_end(&bios, errno_to_blk_status(r));
	return false;
}

/*
 * The engine says when credit comes back, but that may be before the bio that
 * was refused is on the list.  So this does not rely on being called: it asks the
 * engine, again and again, until there is credit, and what is on the list then is
 * tried again.  What is refused once more comes back here.
 */
static void do_retry(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, retry_work);
	unsigned int noio = hpm_noio_begin();
	bool again;

	again = retry_unmaps(pool);
	again |= retry_writes(pool);
	if (again)
		hpm_pool_kick(pool, HPM_KICK_CREDIT);
	hpm_noio_end(noio);
}

/*
 *----------------------------------------------------------------
 * Room for data
 *--------------------------------------------------------------
 */

u64 hpm_pool_data_free(struct hpm_pool *pool)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(pool->md, &st);
	return st.data_free_now;
}

void hpm_pool_wait_space(struct hpm_pool *pool, struct bio *bio)
{
	wait_in(pool, &pool->search_bios, bio, pool->space_wq,
		&pool->search_work);
}

/*
 * Everything that could give space back has its turn.  While a full pool is
 * written to, this is called for each write; when nothing has been recorded
 * since the last time there is nothing to commit and to drain.
 *
 * Returns SPACE when there was some, even if others have taken it by now: whoever
 * still finds none asks for another search.  NO_SPACE is the end of a search that
 * left nothing out.  A negative error is that of the commit.
 */
enum { SPACE, NO_SPACE };

static int search_space(struct hpm_pool *pool)
{
	struct hpm_md_stats st;
	int r;

	hpm_volumes_return_stock(pool);
	/* The drain may take as long as the slowest I/O of anybody's. */
	hpm_md_get_stats(pool->md, &st);
	if (st.data_free_now)
		return SPACE;
	if (st.record == pool->searched_record && !st.nr_dying)
		return NO_SPACE;

	do {
		r = hpm_pool_settle(pool);
		if (r)
			return r;
		hpm_pool_drain_wait(pool);
		if (hpm_pool_data_free(pool))
			return SPACE;
		r = reclaim_some(pool);
	} while (r > 0 || r == -ERESTART);

	hpm_md_get_stats(pool->md, &st);
	if (st.data_free_now)
		return SPACE;
	if (!st.nr_dying && st.record_durable == st.record)
		pool->searched_record = st.record;
	return NO_SPACE;
}

static void begin_search(struct hpm_pool *pool)
{
	spin_lock_irq(&pool->lock);
	bio_list_merge(&pool->searched_bios, &pool->search_bios);
	bio_list_init(&pool->search_bios);
	spin_unlock_irq(&pool->lock);
}

/* Which ends when all I/O ends that is in flight: see pool-drain.c. */
static void do_search(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, search_work);
	unsigned int noio = hpm_noio_begin();
	ktime_t start = ktime_get();
	int r;

	begin_search(pool);
	if (!hpm_waiters_none(pool, &pool->searched_bios)) {
		r = search_space(pool);
		if (r == NO_SPACE) {
			r = -ENOSPC;
			hpm_pool_set_out_of_data(pool, true);
		}
		trace_hpm_space(pool, start, r);
		hpm_waiters_answer(pool, &pool->searched_bios, r);
	}
	hpm_noio_end(noio);
}

void hpm_pool_space_came(struct hpm_pool *pool)
{
	bool retry = false;

	if (READ_ONCE(pool->out_of_data) && hpm_pool_data_free(pool)) {
		hpm_pool_set_out_of_data(pool, false);
		retry = true;
	}

	if (READ_ONCE(pool->meta_full) && !hpm_credit_get(pool->md, 1, HPM_FOR_DATA)) {
		hpm_credit_put(pool->md, 1);
		hpm_pool_set_meta_full(pool, false);
		retry = true;
	}

	if (retry)
		hpm_waiters_answer(pool, &pool->space_bios, 0);
}

/*
 *----------------------------------------------------------------
 * Low water
 *--------------------------------------------------------------
 */

/* As dm-thin's: a quarter of a small device, 4 MiB of any other. */
u64 hpm_pool_meta_low_water(const struct hpm_md_stats *st)
{
	return min_t(u64, st->meta_total / 4, 1024);
}

/*
 * True once for each time that @free sinks to the mark.  What is free moves up
 * and down with each checkpoint and drain: it has risen again only when it is
 * clear of the mark.
 */
static bool sank(struct hpm_pool *pool, bool *told, u64 free, u64 mark)
{
	bool tell = false;

	spin_lock_irq(&pool->lock);
	if (free <= mark) {
		tell = !*told;
		*told = true;
	} else if (free > mark + mark / 4) {
		*told = false;
	}
	spin_unlock_irq(&pool->lock);

	return tell;
}

void hpm_pool_check_low_water(struct hpm_pool *pool)
{
	struct hpm_md_stats st;
	bool data, meta;

	hpm_md_get_stats(pool->md, &st);

	data = sank(pool, &pool->low_water_told, st.data_free_now,
		    pool->low_water);
	if (data)
		DMWARN("%s: reached low water mark for data device: sending event",
		       pool->name);

	meta = sank(pool, &pool->meta_low_told, st.meta_free_now,
		    hpm_pool_meta_low_water(&st));
	if (meta)
		DMWARN("%s: reached low water mark for metadata device: sending event",
		       pool->name);

	if (data || meta)
		hpm_pool_event(pool);
}

void hpm_pool_waiters_init(struct hpm_pool *pool)
{
	bio_list_init(&pool->credit_bios);
	bio_list_init(&pool->unmap_bios);
	bio_list_init(&pool->search_bios);
	bio_list_init(&pool->searched_bios);
	bio_list_init(&pool->space_bios);
}

void hpm_pool_search_init(struct hpm_pool *pool)
{
	pool->searched_record = U64_MAX;
	INIT_WORK(&pool->retry_work, do_retry);
	INIT_WORK(&pool->search_work, do_search);
}
