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
 * While the pool is suspended ("quiet") nothing runs.  A kick that comes then
 * is dropped; on resume every worker has a look for itself.
 *
 * Who waits for what
 * ------------------
 * A queue may have a single worker: when there is no memory for others, only its
 * rescuer is left, and that carries out one work after the other.  So whatever
 * waits in a queue waits for all that the works before it wait for.  The queues
 * are cut by that:
 *
 *	queue	  works				each waits for at most
 *	--------------------------------------------------------------------
 *	end_wq	  the end of a read that is	the data device, to take a bio
 *		  entered (lead_work), of one
 *		  that is merged with a write
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
 *		  defrag			nobody waits for idle_wq
 *
 * and the cache has a queue for its scans and evictions, for which nobody waits
 * either (evict.c).
 *
 * What is waited for and is not a device's are tokens and credits.
 *
 *  - A token is given back by the end of its I/O, in whatever context that is
 *    called, or by end_wq, where nothing is queued that waits for a token, for a
 *    credit or for another queue.  It is never given back by a work that stands
 *    in a queue behind one that may wait for tokens: those are the drain, alone
 *    on its queue, the search, alone on its own, and defrag, on idle_wq.
 *  - A bio in a worker takes its token last, and between that and the submission
 *    of its I/O waits for nothing.
 *  - A credit becomes a record when the I/O has ended, and is free again when
 *    the record is applied, which everybody who waits for a credit does himself;
 *    or it is given back by the worker, which waits for nothing first, when the
 *    bio that had it has gone to a list.  defrag
 *    has credits while it waits for tokens.  Whoever has a token and would wait
 *    for a credit gives the token back first.  Nobody waits in one go until others'
 *    credits come back, which may take as long as their io.max likes: after some
 *    naps hpm_credit_wait() says so (-ERESTART).  A message lets its lock go then,
 *    the retry asks for itself to be run again, others leave it.
 *  - A bio that finds no credit or no block occupies no worker: it waits in a
 *    list (pool-waiters.c), and one worker for all of them, on apply_wq or on
 *    space_wq, does what has to be done.  256 workers of io_wq that all waited
 *    for space would leave none for the bio whose token the drain waits for.
 *  - A mutex of the engine (checkpoint_lock, commit_lock, lock, in this order)
 *    is held over I/O on the metadata device and flushes, never over a wait for
 *    credits, tokens or a queue.  pool->table_lock is held over nothing that
 *    sleeps long.  pool->message_lock and defrag_lock, under which works are
 *    waited for, are taken by processes only, never by a work.
 *
 * So each arrow points down this list, and there is no circle:
 *
 *	idle, space, apply, io -> credits
 *	idle, space -> drain
 *	idle (defrag), drain, credits -> tokens
 *	the ends of I/O, which give tokens back -> end
 *	all -> commit, the devices
 *
 * With one worker: no arrow is to a work of the same queue, so each queue may be
 * a single thread.  A build for tests makes them so (one_worker).  With
 * the rescuers alone: that is the same, as every queue on which something else
 * may come to depend has one (WQ_MEM_RECLAIM); what allocates in a work does so
 * without I/O (hpm_noio_begin()) or from a mempool whose elements come back by
 * the ends of I/O.  idle_wq has none, for nobody depends on it: a search gives
 * dying volumes back itself, and credits are waited for by applying.
 *
 * In a suspend: the volumes are stopped, which waits for tokens and io_wq, while
 * all queues run; then "quiet" is set, and each work is cancelled or waited for,
 * in hpm_pool_quiesce(), by a process, which holds nothing that a work wants.
 * A bio that a search or a retry lets go after that ends at its gate.
 *
 * In a hibernation: as dm core's, the queues that somebody waits for are not
 * freezable.  Whoever writes the image, or syncs, may write through us, and would
 * wait for the thaw.  But what begins to write by itself after the image was made
 * must not: memory comes back as it was in the image, and the pool would go on
 * from a superblock that is older than the one on the device, over nodes that
 * the newer one names.  All that does so is on idle_wq and on the cache's queue
 * (iput() may delete a file), and these are frozen like the kernel's own
 * writeback.  What was under way when the image was made goes on in both worlds
 * in the same way, and writes the same twice.  (The image itself does not belong
 * on a volume of a pool: its blocks would be mapped in one world only.)
 *
 * At the end of a pool
 * --------------------
 * A work that is queued while its queue is destroyed is waited for; a timer that
 * is pending then goes off afterwards and queues its work on freed memory.  So
 * nothing delayed may be armed by then, and nothing may arm it:
 *
 *	tick		arms itself unless quiet, under pool->lock
 *	apply_soon	kicks, likewise
 *	no_space_timeout
 *			likewise; all three are cancelled by quiesce after quiet
 *			is set, and a pool that never was resumed is quiet
 *	defrag		messages, itself unless told to stop; stopped under
 *			defrag_lock before the quiesce
 *	streams.idle	a bio of the volume, itself; cancelled when the volume
 *			has no table, and so no bios, any more
 *	late_work	a read of a volume, itself; there are no volumes any
 *			more: cancelled by hpm_share_stop()
 *	scan_work	itself, surplus_work, the cache's shrinker, messages
 *	surplus_work	a read that is entered; both are cancelled by
 *			hpm_share_stop() when the shrinker is gone
 *
 * There is no other timer.  hpm_pool_work_exit() says so if one is pending all
 * the same.  Of the works that are queued at once, a kick is dropped while quiet,
 * whoever's end_io it comes from; lists of bios are empty, as each bio belongs
 * to a table of a volume, and the pool outlives those; what is left are mode and
 * event, which other works queue: their queue is destroyed last.
 */
#include "pool-priv.h"
#include "trace.h"

#define TICK	HZ

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

/* dm_table_event() sleeps, and wants a table that stays. */
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
	/* Finds out about everything but what waits in a list. */
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
	/* Somebody's bio may wait for this one. */
	flush_work(&pool->commit_work);
	/* What they leave on their lists is tried again on resume. */
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
/* Each queue is one thread, as with the rescuers alone: see above. */
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

/* Whoever queues on another's queue is waited for before the other goes. */
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
