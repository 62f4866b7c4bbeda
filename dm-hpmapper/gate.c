// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: how others stop a volume's bios, all or some, and know when those
 * in flight are done.
 *
 * A bio takes its in-flight token, then reads the gate, then looks up what it
 * touches; it keeps the token until its I/O is over and, if it writes to a new
 * place, the change is published.  Whoever wants the volume quiet shuts the
 * gate, then waits for the tokens (tokens.c), then acts.
 *
 * Why that is enough: taking a token is a full barrier between counting the
 * reader and reading the gate, and the wait begins with a full barrier between
 * shutting the gate and counting the readers.  So either the bio sees the gate
 * shut, or the wait sees the bio's token and is not over before the I/O is.
 * No bio gets through that does neither.  Nothing in the path of a bio that
 * finds the gate open is written by two CPUs, so nothing bounces.
 *
 * A bio that waits, at the gate or elsewhere, has given its token back first;
 * else the one who shut the gate would wait for a bio that waits for him.
 * Tokens are the pool's, so the wait also covers the I/O of other volumes:
 * it lasts as long as the longest I/O in flight, and is microseconds otherwise.
 *
 * What each bit is for, with the argument why the history it bars is barred:
 *
 * PARK, for a snapshot.  A write in place that has looked its block up and is
 *	not finished when the snapshot's record gets its number would land in a
 *	block that both volumes have.  With the writes parked and those in
 *	flight published, every write is either in a record before the
 *	snapshot's, or begins its look-up when what the snapshot has is seen as
 *	shared: that is from the number on, whenever it is applied (vols.c).
 *
 * MOVE, for a range that defrag.c copies elsewhere.  A write in place that
 *	lands in the old block after it was read would be lost with it.  Reads
 *	go on, from the old place, until the change is published.
 *
 * STOP, for the pool's suspension: the pool must be able to commit, write its
 *	checkpoint and close its devices.
 *
 * RETURN shuts nothing.  While it is set what would have to wait is given back
 *	to device-mapper core, which keeps it until the volume has a table
 *	again: a noflush suspend must not wait for what waits for others.
 */
#include "index.h"
#include "volume.h"

void hpm_gate_init(struct hpm_volume *v)
{
	spin_lock_init(&v->lock);
	INIT_LIST_HEAD(&v->held);
	v->gate = 0;
	v->parkers = 0;
	v->parkings = 0;
}

static bool __is_move_in_way(const struct hpm_volume *v,
			     const struct hpm_bio *hb)
{
	u64 first = hpm_bio_sector(hb) / HPM_BLOCK_SECTORS;
	u64 end = DIV_ROUND_UP_ULL(hpm_bio_sector(hb) + hb->sectors - hb->done,
				   HPM_BLOCK_SECTORS);

	return first < v->move_vbn + v->move_nr && v->move_vbn < end;
}

static bool __is_shut(const struct hpm_volume *v, const struct hpm_bio *hb,
		      unsigned int mask)
{
	unsigned int shut = v->gate & mask;

	if (shut == HPM_GATE_MOVE)
		return __is_move_in_way(v, hb);
	return shut;
}

int hpm_gate_wait(struct hpm_volume *v, struct hpm_bio *hb, unsigned int mask)
{
	unsigned long flags;
	int r = 0;

	spin_lock_irqsave(&v->lock, flags);
	if (__is_shut(v, hb, mask)) {
		if (v->gate & HPM_GATE_RETURN) {
			r = HPM_REQUEUE;
		} else {
			list_add_tail(&hb->wait, &v->held);
			r = HPM_WAITS;
		}
	}
	spin_unlock_irqrestore(&v->lock, flags);
	return r;
}

int hpm_gate_enter(struct hpm_volume *v, struct hpm_bio *hb, unsigned int mask,
		   int *token)
{
	struct hpm_pool *pool = v->pool;
	int r = 0;

	*token = hpm_pool_token_get(pool);
	if (hpm_gate_shut(v, mask)) {
		r = hpm_gate_wait(v, hb, mask);
		if (r)
			hpm_pool_token_put(pool, *token);
	}
	return r;
}

static void gate_shut(struct hpm_volume *v, unsigned int bits)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	WRITE_ONCE(v->gate, v->gate | bits);
	spin_unlock_irqrestore(&v->lock, flags);
}

/* Those for whom it is still shut will find out. */
static void __gate_clear(struct hpm_volume *v, unsigned int bits,
			 struct list_head *held)
{
	WRITE_ONCE(v->gate, v->gate & ~bits);
	list_splice_tail_init(&v->held, held);
}

void hpm_gate_open(struct hpm_volume *v, unsigned int bits)
{
	unsigned long flags;
	LIST_HEAD(held);

	spin_lock_irqsave(&v->lock, flags);
	__gate_clear(v, bits, &held);
	spin_unlock_irqrestore(&v->lock, flags);
	hpm_bio_queue_all(&held);
}

/*
 *----------------------------------------------------------------
 * Snapshots
 *--------------------------------------------------------------
 */

void hpm_volume_park(struct hpm_volume *v)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->parkers++;
	v->parkings++;
	WRITE_ONCE(v->gate, v->gate | HPM_GATE_PARK);
	spin_unlock_irqrestore(&v->lock, flags);
}

void hpm_volume_wait_parked(struct hpm_volume *v)
{
	hpm_tokens_wait(&v->pool->tokens);
}

void hpm_volume_unpark(struct hpm_volume *v)
{
	unsigned long flags;
	LIST_HEAD(held);

	spin_lock_irqsave(&v->lock, flags);
	if (!--v->parkers)
		__gate_clear(v, HPM_GATE_PARK, &held);
	spin_unlock_irqrestore(&v->lock, flags);
	hpm_bio_queue_all(&held);
}

/*
 *----------------------------------------------------------------
 * Moves
 *--------------------------------------------------------------
 */

void hpm_gate_move_begin(struct hpm_volume *v, u64 vbn, u32 nr)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->move_vbn = vbn;
	v->move_nr = nr;
	WRITE_ONCE(v->gate, v->gate | HPM_GATE_MOVE);
	spin_unlock_irqrestore(&v->lock, flags);
	hpm_tokens_wait(&v->pool->tokens);
}

void hpm_gate_move_end(struct hpm_volume *v)
{
	hpm_gate_open(v, HPM_GATE_MOVE);
}

/*
 *----------------------------------------------------------------
 * Suspension of the pool, and of the volume without a flush
 *--------------------------------------------------------------
 */

/*
 * The pool says that it is suspended, so no volume comes to the list any more.
 * What is in a worker holds no token while it reads metadata or waits for
 * credit, so the queue is waited for as well; everything in it ends at the
 * gate.  That also takes refills and the ends of streams.
 */
void hpm_volumes_stop(struct hpm_pool *pool)
{
	struct hpm_volume *v = NULL;

	while ((v = hpm_volume_next(pool, v)))
		gate_shut(v, HPM_GATE_STOP);
	hpm_tokens_wait(&pool->tokens);
	flush_workqueue(pool->io_wq);
	hpm_volumes_return_stock(pool);
}

void hpm_volumes_start(struct hpm_pool *pool)
{
	struct hpm_volume *v = NULL;

	while ((v = hpm_volume_next(pool, v)))
		hpm_gate_open(v, HPM_GATE_STOP);
}

/*
 * What waits at the gate comes out through a worker, which then requeues it.
 * Whoever puts a bio on a list of the pool's asks hpm_gate_returns() under the
 * lock of the list; so when the list is gone through under that lock, later, it
 * either has the bio, or the bio never gets there.
 */
void hpm_gate_return(struct hpm_volume *v)
{
	unsigned long flags;
	LIST_HEAD(held);

	spin_lock_irqsave(&v->lock, flags);
	WRITE_ONCE(v->gate, v->gate | HPM_GATE_RETURN);
	list_splice_tail_init(&v->held, &held);
	spin_unlock_irqrestore(&v->lock, flags);
	hpm_bio_queue_all(&held);

	hpm_tokens_wait(&v->pool->tokens);
	hpm_intercept_kick(v->pool);
	flush_workqueue(v->pool->io_wq);
	hpm_pool_return_bios(v->pool, v);
}
