// SPDX-License-Identifier: GPL-2.0-only
/*
 * Searches for credits and blocks, for the bios that wait in pool-waiters.c
 */
#include "pool-priv.h"
#include "trace.h"

/* The number of reclaim steps before the caller looks for room again. */
#define RECLAIM_STEPS	64

/*
 * Returns 1 if something was given back and there may be more, 0 if nothing is
 * dying, -ERESTART if the rest must wait for others, or another error.
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

/*
 * Waits until there is a credit for @use, which it does not keep.  -ENOSPC: the
 * metadata device is full.  -ERESTART: others hold what is needed, and it takes
 * some time.
 */
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

/* Retries or ends the writes that wait for a credit.  True: they wait on. */
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

/*
 * The same for unmaps.  They may use room that writes must leave, so they do
 * not wait for space, but end with an error if that room is used up.
 */
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
 * The engine kicks when a credit comes back, but this can be before a refused
 * bio is on the list.  So this work does not rely on the kick: it asks the
 * engine until there is a credit, and then retries the bios that are on the
 * list.  A bio that is refused again comes back here.
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

/*
 * Tries everything that can give space back.  While a full pool is written to,
 * this is called for each write.  If nothing has been recorded since the last
 * search, there is nothing to commit and to drain.
 *
 * Returns SPACE if there was some, even if others have taken it by now: a bio
 * that still finds none asks for another search.  Returns NO_SPACE if nothing
 * is left to try, and the error of an apply or a commit that failed.
 */
enum { SPACE, NO_SPACE };

static int search_space(struct hpm_pool *pool)
{
	struct hpm_md_stats st;
	int r;

	hpm_volumes_return_stock(pool);
	/* Before the drain, which may take as long as the slowest I/O. */
	hpm_md_get_stats(pool->md, &st);
	if (st.data_free_now)
		return SPACE;
	if (st.record == pool->searched_record && !st.nr_dying)
		return NO_SPACE;

	/*
	 * A round settles and drains only records that were published before it.
	 * If a tree was dying when the round began and none is now, the reclaim
	 * worker may have freed blocks after the drain, so there is one more round.
	 */
	do {
		hpm_md_get_stats(pool->md, &st);
		r = hpm_pool_settle(pool);
		if (r)
			return r;
		hpm_pool_drain_wait(pool);
		if (hpm_pool_data_free(pool))
			return SPACE;
		r = reclaim_some(pool);
	} while (r > 0 || r == -ERESTART || (!r && st.nr_dying));

	if (hpm_pool_data_free(pool))
		return SPACE;
	if (!r)
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

/* May take until all I/O has ended that is in flight: see pool-drain.c. */
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

void hpm_pool_search_init(struct hpm_pool *pool)
{
	pool->searched_record = U64_MAX;
	INIT_WORK(&pool->retry_work, do_retry);
	INIT_WORK(&pool->search_work, do_search);
}
