// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who waits for space, and how it comes back
 *
 * A writer needs two things before it starts: credit (room in the journal and
 * in the metadata) and a place for its data.  A bio that gets one of them not
 * at once waits here, on a list, and holds nothing meanwhile: no in-flight
 * token (or the drain that is to free space would wait for it), no credit, no
 * change.  When it goes on it starts from the beginning.
 *
 * credit_bios wait for room that the engine is about to make by applying and
 * checkpointing; that always ends.  space_bios wait for somebody to delete, to
 * discard or to grow a device; how long they may is the user's word: not at
 * all (error_if_no_space) or until the timeout (queue_if_no_space).
 *
 * A device is full only when nothing more is to be had: before a write fails,
 * dying volumes are given back, all records are made durable, what they freed
 * is drained, and reservations that volumes hold for later are taken back.
 */
#include "pool-priv.h"
#include "trace.h"

static void take_bios(struct hpm_pool *pool, struct bio_list *from,
		      struct bio_list *to)
{
	unsigned long flags;

	bio_list_init(to);
	spin_lock_irqsave(&pool->lock, flags);
	bio_list_merge(to, from);
	bio_list_init(from);
	spin_unlock_irqrestore(&pool->lock, flags);
}

static void end_bios(struct bio_list *bios, blk_status_t status)
{
	struct bio *bio;

	while ((bio = bio_list_pop(bios))) {
		bio->bi_status = status;
		bio_endio(bio);
	}
}

static void retry_bios(struct bio_list *bios)
{
	struct bio *bio;

	while ((bio = bio_list_pop(bios)))
		hpm_volume_retry(bio);
}

static void retry_list(struct hpm_pool *pool, struct bio_list *list)
{
	struct bio_list bios;

	take_bios(pool, list, &bios);
	retry_bios(&bios);
}

void hpm_pool_retry_now(struct hpm_pool *pool)
{
	retry_list(pool, &pool->credit_bios);
	retry_list(pool, &pool->space_bios);
}

void hpm_pool_end_waiters(struct hpm_pool *pool, blk_status_t status)
{
	struct bio_list bios;

	take_bios(pool, &pool->credit_bios, &bios);
	end_bios(&bios, status);
	take_bios(pool, &pool->space_bios, &bios);
	end_bios(&bios, status);
}

/*
 *----------------------------------------------------------------
 * Credit
 *--------------------------------------------------------------
 */

void hpm_pool_wait_credit(struct hpm_pool *pool, struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	bio_list_add(&pool->credit_bios, bio);
	spin_unlock_irqrestore(&pool->lock, flags);

	queue_work(pool->apply_wq, &pool->retry_work);
}

/* Reclaim steps between two looks at whether there is room now. */
#define RECLAIM_STEPS	64

/* 1: something was given back, there may be more; 0: nothing is dying. */
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

static int wait_for_credit(struct hpm_pool *pool)
{
	int r;

	do {
		r = hpm_credit_wait(pool->md, 1, HPM_FOR_WRITE);
	} while (r == -ENOSPC && reclaim_some(pool) > 0);

	if (!r)
		hpm_credit_put(pool->md, 1);
	return r;
}

/*
 * The engine says when credit comes back, but that may be before the bio that
 * was refused is on the list.  So this does not rely on being called: it waits
 * in the engine until there is credit, and what was on the list then is tried
 * again.  What is refused once more comes back here.
 */
static void do_retry(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, retry_work);
	unsigned int noio = hpm_noio_begin();
	struct bio_list bios;
	struct bio *bio;
	int r;

	take_bios(pool, &pool->credit_bios, &bios);
	if (bio_list_empty(&bios))
		goto out;

	r = wait_for_credit(pool);
	if (!r) {
		hpm_pool_set_meta_full(pool, false);
		retry_bios(&bios);
	} else if (r == -ENOSPC) {
		hpm_pool_set_meta_full(pool, true);
		while ((bio = bio_list_pop(&bios)))
			hpm_pool_no_space(pool, bio);
	} else {
		end_bios(&bios, errno_to_blk_status(r));
	}
out:
	hpm_noio_end(noio);
}

/*
 *----------------------------------------------------------------
 * Room for data
 *--------------------------------------------------------------
 */

static u64 data_free(struct hpm_pool *pool)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(pool->md, &st);
	return st.data_free_now;
}

/*
 * Everything that could give space back has its turn.  While a full pool is
 * written to, this is called for each write; when nothing has been recorded
 * since the last time there is nothing to commit and to drain.
 */
static int search_space(struct hpm_pool *pool)
{
	struct hpm_md_stats st;
	int r;

	hpm_volumes_return_stock(pool);

	hpm_md_get_stats(pool->md, &st);
	if (st.record == pool->searched_record && !st.nr_dying)
		return 0;

	do {
		r = hpm_pool_settle(pool);
		if (r)
			return r;
		hpm_pool_drain_wait(pool);
	} while (!data_free(pool) && reclaim_some(pool) > 0);

	hpm_md_get_stats(pool->md, &st);
	if (!st.nr_dying && st.record_durable == st.record)
		pool->searched_record = st.record;
	return 0;
}

int hpm_pool_make_space(struct hpm_pool *pool)
{
	int seen = atomic_read(&pool->searches);
	unsigned int noio = hpm_noio_begin();
	ktime_t start = ktime_get();
	int r = 0;

	mutex_lock(&pool->space_lock);
	/* One that began after we were called, and is over, serves us too. */
	if (atomic_read(&pool->searches) == seen) {
		atomic_inc(&pool->searches);
		r = search_space(pool);
	}
	mutex_unlock(&pool->space_lock);

	if (!r && !data_free(pool)) {
		r = -ENOSPC;
		hpm_pool_set_out_of_data(pool, true);
	}
	trace_hpm_space(pool, start, r);

	hpm_noio_end(noio);
	return r;
}

void hpm_pool_no_space(struct hpm_pool *pool, struct bio *bio)
{
	blk_status_t status = BLK_STS_OK;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	if (pool->mode >= HPM_MODE_READ_ONLY) {
		status = BLK_STS_IOERR;
	} else if (!pool->out_of_data && !pool->meta_full) {
		/* It came while the bio was on its way here. */
		bio_list_add(&pool->credit_bios, bio);
		queue_work(pool->apply_wq, &pool->retry_work);
	} else if (pool->features.error_if_no_space || pool->timed_out) {
		status = BLK_STS_NOSPC;
	} else {
		bio_list_add(&pool->space_bios, bio);
	}
	spin_unlock_irqrestore(&pool->lock, flags);

	if (status) {
		bio->bi_status = status;
		bio_endio(bio);
	}
}

void hpm_pool_space_came(struct hpm_pool *pool)
{
	bool retry = false;

	if (READ_ONCE(pool->out_of_data) && data_free(pool)) {
		hpm_pool_set_out_of_data(pool, false);
		retry = true;
	}

	if (READ_ONCE(pool->meta_full) && !hpm_credit_get(pool->md, 1)) {
		hpm_credit_put(pool->md, 1);
		hpm_pool_set_meta_full(pool, false);
		retry = true;
	}

	if (retry)
		retry_list(pool, &pool->space_bios);
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

void hpm_pool_space_init(struct hpm_pool *pool)
{
	bio_list_init(&pool->credit_bios);
	bio_list_init(&pool->space_bios);
	mutex_init(&pool->space_lock);
	pool->searched_record = U64_MAX;
	INIT_WORK(&pool->retry_work, do_retry);
}
