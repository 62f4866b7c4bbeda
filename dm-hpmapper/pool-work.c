// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workers, and what makes them run
 *
 *	commit		ends the bios that wait for durability
 *	checkpoint	when the journal or the dirty nodes have grown
 *	apply		lets the trees catch up with what was published: much at
 *			a time, or after a moment the little that was left, which
 *			every look-up of the volume would have to go past
 *	reclaim		gives a deleted volume's blocks back, bit by bit
 *	tick		once a second: what nobody has asked for in time
 *
 * A commit must not wait behind anything that waits for a metadata read, nor
 * may the drain wait behind a commit, so each kind has a queue of its own; all
 * of them can make progress when there is no memory.  What somebody waits for
 * runs on the CPU where it was asked for.
 *
 * While the pool is suspended ("quiet") nothing runs.  A kick that comes then
 * is dropped; on resume every worker has a look for itself.
 */
#include "pool-priv.h"
#include "trace.h"

#define TICK	HZ
#define SOON	(HZ / 50)

/*
 *----------------------------------------------------------------
 * Commit
 *--------------------------------------------------------------
 */

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

/*
 *----------------------------------------------------------------
 * The others.  The engine tells of its errors by ops->failed().
 *--------------------------------------------------------------
 */

static void do_checkpoint(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool,
					     checkpoint_work);
	unsigned int noio = hpm_noio_begin();
	ktime_t start = ktime_get();
	int r;

	r = hpm_md_checkpoint(pool->md);
	trace_hpm_checkpoint(pool, start, r);
	hpm_noio_end(noio);
}

static void apply(struct hpm_pool *pool)
{
	unsigned int noio = hpm_noio_begin();
	ktime_t start = ktime_get();
	int r;

	r = hpm_md_apply(pool->md);
	trace_hpm_apply(pool, start, r);
	hpm_noio_end(noio);
}

static void do_apply(struct work_struct *ws)
{
	apply(container_of(ws, struct hpm_pool, apply_work));
}

static void do_apply_soon(struct work_struct *ws)
{
	apply(container_of(to_delayed_work(ws), struct hpm_pool, apply_soon));
}

/* One step a run: whatever else is on the queue has its turn between two. */
static void do_reclaim(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, reclaim_work);
	unsigned int noio = hpm_noio_begin();
	ktime_t start = ktime_get();
	int r;

	r = hpm_md_reclaim_step(pool->md);
	trace_hpm_reclaim(pool, start, r);
	hpm_noio_end(noio);

	/* After an error the tick tries again, if there is any use in it. */
	if (r > 0)
		hpm_pool_kick(pool, HPM_KICK_RECLAIM);
}

static void do_tick(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(to_delayed_work(ws),
					     struct hpm_pool, tick);
	unsigned int noio = hpm_noio_begin();
	struct hpm_md_stats st;

	hpm_pool_check_low_water(pool);

	if (!hpm_pool_refuses_writes(pool)) {
		hpm_md_get_stats(pool->md, &st);
		if (st.record_applied != st.record)
			hpm_pool_kick(pool, HPM_KICK_APPLY);
		if (st.record_durable != st.record)
			hpm_pool_kick(pool, HPM_KICK_COMMIT);
		if (st.nr_dying)
			hpm_pool_kick(pool, HPM_KICK_RECLAIM);
		hpm_pool_space_came(pool);
	}
	hpm_noio_end(noio);

	spin_lock_irq(&pool->lock);
	if (!pool->quiet)
		queue_delayed_work(pool->apply_wq, &pool->tick, TICK);
	spin_unlock_irq(&pool->lock);
}

/* dm_table_event() sleeps, and wants a table that stays. */
static void do_event(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, event_work);

	mutex_lock(&pool->table_lock);
	if (pool->ti)
		dm_table_event(pool->ti->table);
	mutex_unlock(&pool->table_lock);
}

void hpm_pool_event(struct hpm_pool *pool)
{
	queue_work(pool->drain_wq, &pool->event_work);
}

/*
 *----------------------------------------------------------------
 * Starting and stopping
 *--------------------------------------------------------------
 */

void hpm_pool_kick(void *ctx, enum hpm_kick what)
{
	struct hpm_pool *pool = ctx;
	unsigned long flags;

	/* The lock is what keeps a kick from slipping past a quiesce. */
	spin_lock_irqsave(&pool->lock, flags);
	if (pool->quiet)
		goto out;

	switch (what) {
	case HPM_KICK_APPLY:
		queue_work(pool->apply_wq, &pool->apply_work);
		break;
	case HPM_KICK_APPLY_SOON:
		queue_delayed_work(pool->apply_wq, &pool->apply_soon, SOON);
		break;
	case HPM_KICK_COMMIT:
		queue_work(pool->commit_wq, &pool->commit_work);
		break;
	case HPM_KICK_CHECKPOINT:
		queue_work(pool->commit_wq, &pool->checkpoint_work);
		break;
	case HPM_KICK_RECLAIM:
		queue_work(pool->apply_wq, &pool->reclaim_work);
		break;
	case HPM_KICK_CREDIT:
		queue_work(pool->apply_wq, &pool->retry_work);
		break;
	}
out:
	spin_unlock_irqrestore(&pool->lock, flags);
}

void hpm_pool_wake(struct hpm_pool *pool)
{
	spin_lock_irq(&pool->lock);
	pool->quiet = false;
	__hpm_pool_start_timeout(pool);
	/* Finds out about everything but what waits in a list. */
	queue_delayed_work(pool->apply_wq, &pool->tick, 0);
	queue_work(pool->apply_wq, &pool->retry_work);
	queue_work(pool->drain_wq, &pool->drain_work);
	spin_unlock_irq(&pool->lock);
}

static void settle_for_suspend(struct hpm_pool *pool)
{
	int r;

	if (hpm_pool_refuses_writes(pool))
		return;

	r = hpm_pool_settle(pool);
	if (!r)
		r = hpm_md_checkpoint(pool->md);
	if (r)
		DMERR("%s: cannot write the metadata back for suspend: error %d",
		      pool->name, r);
}

void hpm_pool_quiesce(struct hpm_pool *pool)
{
	unsigned int noio = hpm_noio_begin();

	spin_lock_irq(&pool->lock);
	pool->quiet = true;
	spin_unlock_irq(&pool->lock);

	cancel_delayed_work_sync(&pool->tick);
	cancel_delayed_work_sync(&pool->no_space_timeout);
	cancel_work_sync(&pool->reclaim_work);
	cancel_work_sync(&pool->apply_work);
	cancel_delayed_work_sync(&pool->apply_soon);
	cancel_work_sync(&pool->checkpoint_work);
	/* Somebody's bio may wait for this one. */
	flush_work(&pool->commit_work);
	/* What it leaves on its list is tried again on resume. */
	cancel_work_sync(&pool->retry_work);

	settle_for_suspend(pool);
	hpm_pool_drain_wait(pool);
	queue_work(pool->drain_wq, &pool->mode_work);
	flush_work(&pool->mode_work);

	hpm_noio_end(noio);
}

/*
 *----------------------------------------------------------------
 * Queues
 *--------------------------------------------------------------
 */

int hpm_pool_work_init(struct hpm_pool *pool)
{
	bio_list_init(&pool->flush_bios);
	INIT_WORK(&pool->commit_work, do_commit);
	INIT_WORK(&pool->checkpoint_work, do_checkpoint);
	INIT_WORK(&pool->apply_work, do_apply);
	INIT_DELAYED_WORK(&pool->apply_soon, do_apply_soon);
	INIT_WORK(&pool->reclaim_work, do_reclaim);
	INIT_WORK(&pool->event_work, do_event);
	INIT_DELAYED_WORK(&pool->tick, do_tick);

	pool->commit_wq = alloc_workqueue("hpm_commit/%s", WQ_MEM_RECLAIM |
					  WQ_HIGHPRI | HPM_WQ_PERCPU, 0,
					  pool->name);
	pool->io_wq = alloc_workqueue("hpm_io/%s", WQ_MEM_RECLAIM |
				      WQ_HIGHPRI | HPM_WQ_PERCPU, 0,
				      pool->name);
	pool->apply_wq = alloc_workqueue("hpm_apply/%s", WQ_MEM_RECLAIM |
					 WQ_UNBOUND, 0, pool->name);
	pool->drain_wq = alloc_workqueue("hpm_drain/%s", WQ_MEM_RECLAIM |
					 WQ_UNBOUND, 0, pool->name);
	if (pool->commit_wq && pool->io_wq && pool->apply_wq && pool->drain_wq)
		return 0;

	hpm_pool_work_exit(pool);
	return -ENOMEM;
}

static void destroy_queue(struct workqueue_struct **wq)
{
	if (*wq)
		destroy_workqueue(*wq);
	*wq = NULL;
}

void hpm_pool_work_exit(struct hpm_pool *pool)
{
	/* A worker may queue on another's queue; drains only on its own. */
	destroy_queue(&pool->io_wq);
	destroy_queue(&pool->commit_wq);
	destroy_queue(&pool->apply_wq);
	destroy_queue(&pool->drain_wq);
}
