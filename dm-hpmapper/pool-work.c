// SPDX-License-Identifier: GPL-2.0-only
/*
 * The workers, and what makes them run
 *
 *	commit		ends the bios that wait for durability
 *	checkpoint	runs when the journal or the dirty nodes have grown
 *	apply		applies published records to the trees: at once if there
 *			are many, and a few after a moment, as each look-up of
 *			the volume must also search what is not applied
 *	reclaim		gives a deleted volume's blocks back, step by step
 *	tick		once a second: starts what was not kicked in time
 *
 * While the pool is suspended ("quiet"), nothing runs.  A kick that comes then
 * is dropped; on resume, hpm_pool_wake() queues the works that find out what is
 * due.
 *
 * Who waits for what
 * ------------------
 * A queue may have a single worker: if there is no memory for more, only its
 * rescuer is left, which runs one work after the other.  So a work in a queue
 * may have to wait for all that the works before it wait for.  The works are
 * divided among the queues by what they wait for:
 *
 *	queue	  works				each waits for at most
 *	--------------------------------------------------------------------
 *	end_wq	  the end of a read that is	the data device, to take a bio
 *		  entered (lead_work), or
 *		  merged with a write
 *	commit_wq commit, checkpoint, mode,	the metadata device, a flush of
 *		  event, no_space_timeout	the data device
 *	io_wq	  deferred bios, refills, ends	the same; memory; the data
 *		  of streams (collapse, idle);	device, to take a bio; for a
 *		  the timer of followers	collapse, credits that are out,
 *		  (late_work)			for a moment
 *	apply_wq  apply, retry			the metadata device; credits
 *						that are out, for a moment
 *	space_wq  search			the same, and drain_wq
 *	drain_wq  drain				in-flight tokens; discards on
 *						the data device
 *	idle_wq	  tick, reclaim, apply_soon,	all of these, which is why
 *		  defrag			nothing waits for idle_wq
 *
 * The cache has a queue for its scans and evictions; nothing waits for it,
 * either (evict.c).
 *
 * Apart from the devices, works wait for tokens and credits.
 *
 *  - A token is put by the end of its I/O, in any context, or by end_wq, on
 *    which no work waits for a token, a credit or another queue.  It is never
 *    put by a work that is queued behind one that may wait for tokens.  Those
 *    are the drain and the search, each alone on its queue, and defrag, on
 *    idle_wq.
 *  - A bio in a worker takes its token last, and then submits its I/O without
 *    waiting for anything.
 *  - A credit becomes a record when the I/O has ended, and is free again when
 *    the record is applied, which each waiter for a credit does itself.  If the
 *    bio that had the credit goes to a list instead, the worker returns the
 *    credit without waiting for anything first.  defrag holds credits while it
 *    waits for tokens.  A holder of a token that would have to wait for a
 *    credit puts the token first.  No caller waits in one go until the credits
 *    of others come back, which io.max can delay without limit: after some
 *    naps, hpm_credit_wait() returns -ERESTART.  Then a message drops its lock,
 *    the retry work kicks itself, the search repeats its step, and others give
 *    up.
 *  - A bio that finds no credit or no block occupies no worker: it waits in a
 *    list (pool-waiters.c), and one worker for all of them, on apply_wq or on
 *    space_wq, does what has to be done.  If all 256 workers of io_wq waited
 *    for space, none would be left for the bio for whose token the drain waits.
 *  - A mutex of the engine (checkpoint_lock, commit_lock, lock, in this order)
 *    is held during I/O on the metadata device and flushes, but never during a
 *    wait for credits, tokens or a queue.  pool->table_lock is not held during
 *    long sleeps.  pool->message_lock and defrag_lock, which are held during
 *    waits for works, are taken by processes only, never by a work.
 *
 * So each arrow ("waits for") points down this list, and there is no cycle:
 *
 *	idle, space, apply, io -> credits
 *	idle, space -> drain
 *	idle (defrag), drain, credits -> tokens
 *	the ends of I/O, which put tokens -> end
 *	all -> commit, the devices
 *
 * With one worker per queue: no work waits for a work of its own queue, so each
 * queue may be a single thread.  A build for tests makes them so (one_worker).
 * With the rescuers alone: this is the same, as each queue on which something
 * else can depend has a rescuer (WQ_MEM_RECLAIM), and works allocate memory
 * without I/O (hpm_noio_begin()) or from mempools whose elements come back when
 * I/O ends.  idle_wq has no rescuer, as nothing depends on it: a search gives
 * dying volumes back itself, and a waiter for a credit applies records itself.
 *
 * In a suspend: first the volumes are stopped, which waits for tokens and io_wq
 * while all queues run.  Then "quiet" is set, and hpm_pool_quiesce() cancels
 * each work or waits for it.  A process does this, and holds nothing that a
 * work needs.  A bio that a search or a retry lets go after that waits at its
 * gate.
 *
 * In a hibernation: as in dm core, queues for which something waits are not
 * freezable.  The process that writes the image, or syncs, may write to a
 * volume, and would wait for the thaw.  But nothing may begin to write by
 * itself after the image was made: a resume restores memory as it is in the
 * image, so the pool would go on from a superblock that is older than the one
 * on the device, and overwrite nodes to which the newer one refers.  All works
 * that write by themselves are on idle_wq or on the cache's queue (iput() may
 * delete a file), which are frozen like the kernel's own writeback.  I/O that
 * was in flight when the image was made goes on in the same way before the
 * power-off and after the resume, and is written twice with the same content.
 * (The image itself must not be on a volume of a pool: its blocks would be
 * mapped only in the kernel that writes it.)
 *
 * At the end of a pool
 * --------------------
 * If a work is queued while its queue is destroyed, destroy_workqueue() waits
 * for it.  But a timer that is still pending then would queue its work on freed
 * memory later.  So no delayed work may be armed by then, and nothing may arm
 * it any more.  These arm them:
 *
 *	tick		itself unless quiet, under pool->lock
 *	apply_soon	kicks, likewise
 *	no_space_timeout
 *			likewise; all three are cancelled by quiesce after quiet
 *			is set, and a pool that never was resumed is quiet
 *	defrag		messages, itself unless it shall stop; stopped under
 *			defrag_lock before the quiesce
 *	streams.idle	a bio of the volume, itself; cancelled when the volume
 *			has no table, and so no bios, any more
 *	late_work	a read of a volume, itself; cancelled by
 *			hpm_cache_stop(), when there are no volumes any more
 *	scan_work	itself, surplus_work, the cache's shrinker, messages
 *	surplus_work	a read that is entered; both are cancelled by
 *			hpm_cache_stop() when the shrinker is gone
 *
 * There is no other timer.  hpm_pool_work_exit() warns if one of the first
 * three is pending all the same.  Of the works without a timer, those that are
 * kicked are not queued while quiet, whichever end_io kicks.  The lists of bios
 * are empty, as each bio belongs to a table of a volume, and the pool outlives
 * those.  What is left are mode and event, which other works queue: their queue
 * is destroyed last.
 */
#include "pool-priv.h"
#include "trace.h"

#define TICK	HZ

/*
 *----------------------------------------------------------------
 * Works.  The engine reports its errors by ops->failed().
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

/* One step a run, so that other works on the queue can run in between. */
static void do_reclaim(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, reclaim_work);
	unsigned int noio = hpm_noio_begin();
	ktime_t start = ktime_get();
	int r;

	r = hpm_md_reclaim_step(pool->md);
	trace_hpm_reclaim(pool, start, r);
	hpm_noio_end(noio);

	/* After an error, the tick kicks again if trees are still dying. */
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
		/* hpm_md_apply() also hands out freed blocks. */
		if (st.record_applied != st.record || st.data_freed)
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
		queue_delayed_work(pool->idle_wq, &pool->tick, TICK);
	spin_unlock_irq(&pool->lock);
}

/* dm_table_event() sleeps, and the table must not be destroyed meanwhile. */
static void do_event(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, event_work);

	mutex_lock(&pool->table_lock);
	if (pool->ti)
		dm_table_event(pool->ti->table);
	mutex_unlock(&pool->table_lock);
}

/*
 *----------------------------------------------------------------
 * Starting and stopping
 *--------------------------------------------------------------
 */

void hpm_pool_wake(struct hpm_pool *pool)
{
	spin_lock_irq(&pool->lock);
	pool->quiet = false;
	WRITE_ONCE(pool->remembers, false);
	__hpm_pool_start_timeout(pool);
	/* The tick kicks what is due; the other works serve lists. */
	queue_delayed_work(pool->idle_wq, &pool->tick, 0);
	queue_work(pool->apply_wq, &pool->retry_work);
	queue_work(pool->space_wq, &pool->search_work);
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
	/* Bios may wait for this one, so it must run. */
	flush_work(&pool->commit_work);
	/* Bios that stay on the lists of these two are retried on resume. */
	cancel_work_sync(&pool->retry_work);
	cancel_work_sync(&pool->search_work);

	settle_for_suspend(pool);
	hpm_pool_drain_wait(pool);
	hpm_volumes_remember(pool);
	queue_work(pool->commit_wq, &pool->mode_work);
	flush_work(&pool->mode_work);

	hpm_noio_end(noio);
}

/*
 *----------------------------------------------------------------
 * Queues
 *--------------------------------------------------------------
 */

#ifdef CONFIG_DM_HPMAPPER_FAULTS
/* Makes each queue a single thread, as with the rescuers alone: see above. */
static bool one_worker;
module_param(one_worker, bool, 0644);
MODULE_PARM_DESC(one_worker, "queues of pools that are made now have one worker");
#else
#define one_worker false
#endif

#define RECLAIM_PERCPU	(WQ_MEM_RECLAIM | WQ_HIGHPRI | HPM_WQ_PERCPU)
#define RECLAIM_UNBOUND	(WQ_MEM_RECLAIM | WQ_UNBOUND)

static struct workqueue_struct *make_queue(struct hpm_pool *pool,
					   const char *what, unsigned int flags)
{
	if (one_worker)
		return alloc_ordered_workqueue("hpm_%s/%s",
					       flags & (WQ_MEM_RECLAIM |
							WQ_FREEZABLE),
					       what, pool->name);
	return alloc_workqueue("hpm_%s/%s", flags, 0, what, pool->name);
}

int hpm_pool_work_init(struct hpm_pool *pool)
{
	hpm_pool_commit_init(pool);
	INIT_WORK(&pool->checkpoint_work, do_checkpoint);
	INIT_WORK(&pool->apply_work, do_apply);
	INIT_DELAYED_WORK(&pool->apply_soon, do_apply_soon);
	INIT_WORK(&pool->reclaim_work, do_reclaim);
	INIT_WORK(&pool->event_work, do_event);
	INIT_DELAYED_WORK(&pool->tick, do_tick);

	pool->end_wq = make_queue(pool, "end", RECLAIM_PERCPU);
	pool->commit_wq = make_queue(pool, "commit", RECLAIM_PERCPU);
	pool->io_wq = make_queue(pool, "io", RECLAIM_PERCPU);
	pool->apply_wq = make_queue(pool, "apply", RECLAIM_UNBOUND);
	pool->space_wq = make_queue(pool, "space", RECLAIM_UNBOUND);
	pool->drain_wq = make_queue(pool, "drain", RECLAIM_UNBOUND);
	pool->idle_wq = make_queue(pool, "idle", WQ_UNBOUND | WQ_FREEZABLE);
	if (pool->end_wq && pool->commit_wq && pool->io_wq && pool->apply_wq &&
	    pool->space_wq && pool->drain_wq && pool->idle_wq)
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

/* A queue whose works queue works on another queue is destroyed before that. */
void hpm_pool_work_exit(struct hpm_pool *pool)
{
	WARN_ON_ONCE(delayed_work_pending(&pool->tick) ||
		     delayed_work_pending(&pool->apply_soon) ||
		     delayed_work_pending(&pool->no_space_timeout));

	destroy_queue(&pool->idle_wq);
	destroy_queue(&pool->end_wq);
	destroy_queue(&pool->io_wq);
	destroy_queue(&pool->space_wq);
	destroy_queue(&pool->apply_wq);
	destroy_queue(&pool->drain_wq);
	destroy_queue(&pool->commit_wq);
}
