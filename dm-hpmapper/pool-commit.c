// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commits, and the bios that wait for one
 */
#include "pool-priv.h"
#include "trace.h"

static int commit(struct hpm_pool *pool)
{
	/* Nothing was ever written, so everything is durable. */
	if (pool->opened_read_only)
		return 0;

	return hpm_md_commit(pool->md);
}

int hpm_pool_settle(struct hpm_pool *pool)
{
	int r;

	if (pool->opened_read_only)
		return 0;

	r = hpm_md_apply(pool->md);
	if (r)
		return r;
	return hpm_md_commit(pool->md);
}

/* Puts what waits for a commit behind @bios. */
static void take_flushes(struct hpm_pool *pool, struct bio_list *bios)
{
	spin_lock_irq(&pool->lock);
	bio_list_merge(bios, &pool->flush_bios);
	bio_list_init(&pool->flush_bios);
	spin_unlock_irq(&pool->lock);
}

/*
 * The list is taken before the commit is called: only what waited by then is
 * covered by its data flush.  What comes later queues the work anew, and so
 * gets a commit of its own together with everything else that came meanwhile.
 */
static void do_commit(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, commit_work);
	unsigned int noio = hpm_noio_begin();
	ktime_t start = ktime_get();
	struct bio_list bios;
	struct bio *bio;
	int r;

	bio_list_init(&bios);
	take_flushes(pool, &bios);
	r = commit(pool);
	if (hpm_fault(HPM_FAULT_LATE_JOIN))
		take_flushes(pool, &bios);
	trace_hpm_commit(pool, start, bio_list_size(&bios), r);
	while ((bio = bio_list_pop(&bios)))
		hpm_volume_commit_done(bio, r);

	hpm_noio_end(noio);
}

void hpm_pool_commit_bio(struct hpm_pool *pool, struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	bio_list_add(&pool->flush_bios, bio);
	spin_unlock_irqrestore(&pool->lock, flags);

	queue_work(pool->commit_wq, &pool->commit_work);
}

void hpm_pool_commit_init(struct hpm_pool *pool)
{
	bio_list_init(&pool->flush_bios);
	INIT_WORK(&pool->commit_work, do_commit);
}
