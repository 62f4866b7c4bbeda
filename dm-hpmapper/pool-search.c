// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking for credit and for blocks, on behalf of who waits for them (pool-waiters.c)
 */
#include "pool-priv.h"
#include "trace.h"

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

void hpm_pool_search_init(struct hpm_pool *pool)
{
	pool->searched_record = U64_MAX;
	INIT_WORK(&pool->retry_work, do_retry);
	INIT_WORK(&pool->search_work, do_search);
}
