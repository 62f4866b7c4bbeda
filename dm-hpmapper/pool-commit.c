// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commits, and the bios that wait for one
 */
#include "pool-priv.h"
#include "trace.h"

static int commit(struct hpm_pool *pool)
{
	/* The engine has written nothing, so everything is durable. */
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

/* Moves the bios that wait for a commit to the end of @bios. */
static void take_flushes(struct hpm_pool *pool, struct bio_list *bios)
{
	spin_lock_irq(&pool->lock);
	bio_list_merge(bios, &pool->flush_bios);
	bio_list_init(&pool->flush_bios);
	spin_unlock_irq(&pool->lock);
}

/*
 * The list is taken before the commit begins, as its data flush covers only the
 * bios that wait by then.  A bio that comes later queues the work again, and
 * the next commit serves all bios that have come meanwhile.
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
