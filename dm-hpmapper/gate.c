// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: it stops a volume's bios, all or some, and a caller can wait until
 * those in flight are done.
 *
 * A bio takes its in-flight token, then reads the gate, then looks up the
 * blocks that it touches.  It keeps the token until its I/O has ended and, if
 * it writes to a new place, its change is published.  A caller that needs the
 * volume quiet shuts the gate, then waits for the tokens (tokens.c), then acts.
 *
 * Why that is enough: between counting a token and reading the gate there is a
 * full barrier, and between shutting the gate and adding up the tokens there is
 * another.  So either the bio sees the gate shut, or the waiter sees the bio's
 * token and waits until its I/O has ended.  No bio escapes both.  A bio that
 * finds the gate open writes nothing that another CPU writes, too, so no cache
 * line bounces.
 *
 * A bio puts its token before it waits, at the gate or elsewhere.  Else the
 * caller that shut the gate would wait for a bio that waits for the gate.
 *
 * How long the wait is
 * --------------------
 * It takes microseconds if no I/O is in flight, and else as long as the slowest
 * I/O that is waited for.  That can be half an hour, if io.max throttles the
 * tenant or if the part of the device that has its blocks hangs.  So each
 * volume has its own tokens, and of several kinds (tokens.h): an operation on
 * one volume waits only for the I/O of that volume, and only for its writes if
 * reads do no harm.  No caller holds message_lock while it waits for tokens,
 * not even for those of the volume that its message is about, as the messages
 * of all others would wait, too (pool-message.c; a snapshot holds it for a
 * moment, see PARK_MOMENT).
 *
 * What each bit is for, and why it excludes what must not happen:
 *
 * PARK, for a snapshot.  A write in place that has looked its block up and has
 *	not ended when the snapshot's record gets its number would land in a
 *	block that both volumes have.  With the writes parked and those in
 *	flight published, each write is either in a record before the
 *	snapshot's, or it looks up after that number was given, when the
 *	snapshot's blocks are seen as shared, whether or not the record is
 *	applied (volume-apply.c).
 *	It is enough to wait for the origin's WRITE tokens.  No other volume
 *	can write such a block in place: in each of them the block is shared
 *	already.  A read in flight of the origin gets the content of the block,
 *	which the snapshot does not change; and if the block is freed, the
 *	drain waits for that read.
 *
 * MOVE, for a range that defrag.c copies elsewhere.  A write in place that
 *	lands in the old block after the copy has read it would be lost, so the
 *	move waits for the volume's WRITE tokens.  Reads go on, from the old
 *	place, until the change is published.  The drain waits for those in
 *	flight then, before the old blocks are used again.
 *
 * STOP, for the pool's suspension: the pool must be able to commit, write its
 *	checkpoint and close its devices.  This waits for all volumes.
 *
 * RETURN does not shut the gate.  While it is set, a bio that would have to
 *	wait is returned to device-mapper core, which keeps it until the volume
 *	has a table again: a noflush suspend must not wait for bios that wait
 *	for other volumes.
 */
#include <linux/jiffies.h>
#include <linux/sched/signal.h>

#include "fault.h"
#include "volume.h"

void hpm_gate_init(struct hpm_volume *v)
{
	spin_lock_init(&v->lock);
	INIT_LIST_HEAD(&v->held);
	INIT_LIST_HEAD(&v->starved);
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
	int r = 0;

	*token = hpm_volume_token_get(v, mask == HPM_GATE_WRITES ?
				      HPM_TOKEN_WRITE : HPM_TOKEN_READ);
	if (hpm_gate_shut(v, mask)) {
		r = hpm_gate_wait(v, hb, mask);
		if (r)
			hpm_volume_token_put(v, *token);
	}
	return r;
}

void hpm_gate_close(struct hpm_volume *v, unsigned int bits)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	WRITE_ONCE(v->gate, v->gate | bits);
	spin_unlock_irqrestore(&v->lock, flags);
}

/*
 * Moves all waiting bios to @held; those that may not pass yet come back.
 * v->lock held.
 */
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
 * Fair shares
 *--------------------------------------------------------------
 */

/*
 * A write to a new place has a credit from before its data is written until its
 * record is published.  A tenant whose writes are throttled would in time have
 * all credits, with 2,048 such writes, or with 200 if the metadata device is
 * small.  Then nobody else could write, or create or delete a volume, until
 * that I/O ends.  So a write gets a credit only if as many credits as its
 * volume has out stay free behind it (hpm_credit_get_fair()): one volume can
 * have half of them, the next one half of what is left, and so on.  After a
 * dozen such volumes none are left for the writes of a volume that has none,
 * and these wait.  But some credits are not for writes at all, so messages and
 * discards always get one.  A write that gets no credit waits here until a
 * credit of its own volume comes back.
 */
int hpm_gate_starve(struct hpm_volume *v, struct hpm_bio *hb)
{
	unsigned long flags;
	int r = HPM_WAITS;

	spin_lock_irqsave(&v->lock, flags);
	if (v->gate & HPM_GATE_RETURN) {
		r = HPM_REQUEUE;
		goto out;
	}
	list_add_tail(&hb->wait, &v->starved);
	/* Listed before v->credits is read: pairs with hpm_gate_feed(). */
	smp_mb();
	if (!atomic_read(&v->credits)) {
		list_del(&hb->wait);
		r = 0;
	}
out:
	spin_unlock_irqrestore(&v->lock, flags);
	return r;
}

/*
 * Two bios for one credit, so that the number of writes in flight can grow
 * again.
 */
#define FED_AT_ONCE	2

void hpm_gate_feed(struct hpm_volume *v)
{
	/* A full barrier: pairs with hpm_gate_starve(). */
	int left = atomic_dec_return(&v->credits);
	unsigned long flags;
	unsigned int i;
	LIST_HEAD(fed);

	if (likely(list_empty_careful(&v->starved)))
		return;
	spin_lock_irqsave(&v->lock, flags);
	if (!left)
		list_splice_tail_init(&v->starved, &fed);
	for (i = 0; i < FED_AT_ONCE && !list_empty(&v->starved); i++)
		list_move_tail(v->starved.next, &fed);
	spin_unlock_irqrestore(&v->lock, flags);
	hpm_bio_queue_all(&fed);
}

/*
 *----------------------------------------------------------------
 * Patience.  All sleep.
 *--------------------------------------------------------------
 */

static bool is_out_of_patience(const void *ctx)
{
	const struct hpm_patience *p = ctx;

	return time_after_eq(jiffies, p->end) || (p->stop && READ_ONCE(*p->stop));
}

bool hpm_volume_wait(struct hpm_volume *v, const struct hpm_patience *p)
{
	bool (*over)(const void *ctx) = p ? is_out_of_patience : NULL;

	return (hpm_fault(HPM_FAULT_DRAIN_WRITES) ||
		hpm_tokens_wait_unless(&v->tokens, HPM_TOKEN_READ, over, p)) &&
	       (hpm_fault(HPM_FAULT_DRAIN_READS) ||
		hpm_tokens_wait_unless(&v->tokens, HPM_TOKEN_WRITE, over, p));
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

/* The tokens that a snapshot waits for. */
static enum hpm_token_kind parked_kind(void)
{
	return hpm_fault(HPM_FAULT_SNAP_READS) ? HPM_TOKEN_READ :
						 HPM_TOKEN_WRITE;
}

/* Other messages may wait this long, too.  A disk's writes take no longer. */
#define PARK_MOMENT	msecs_to_jiffies(20)

bool hpm_volume_is_parked(struct hpm_volume *v)
{
	struct hpm_patience p = { .end = jiffies + PARK_MOMENT };

	return hpm_tokens_wait_unless(&v->tokens, parked_kind(),
				      is_out_of_patience, &p);
}

static bool is_killed(const void *ctx)
{
	return fatal_signal_pending(current);
}

int hpm_volume_wait_parked(struct hpm_volume *v)
{
	return hpm_tokens_wait_unless(&v->tokens, parked_kind(), is_killed,
				      NULL) ? 0 : -EINTR;
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

/* A move that would have to wait longer is given up. */
#define MOVE_PATIENCE	HZ

bool hpm_gate_move_begin(struct hpm_volume *v, u64 vbn, u32 nr,
			 const bool *stop)
{
	struct hpm_patience p = { .end = jiffies + MOVE_PATIENCE, .stop = stop };
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->move_vbn = vbn;
	v->move_nr = nr;
	WRITE_ONCE(v->gate, v->gate | HPM_GATE_MOVE);
	spin_unlock_irqrestore(&v->lock, flags);
	return hpm_tokens_wait_unless(&v->tokens, HPM_TOKEN_WRITE,
				      is_out_of_patience, &p);
}

void hpm_gate_move_end(struct hpm_volume *v)
{
	hpm_gate_open(v, HPM_GATE_MOVE);
}

/*
 *----------------------------------------------------------------
 * The volume's end
 *--------------------------------------------------------------
 */

/*
 * There are no bios any more.  But the contexts that ended the last ones may
 * still have to put their tokens, and workers may still have to return.  The
 * volume must not be freed before.
 */
void hpm_gate_wait_last(struct hpm_volume *v)
{
	hpm_tokens_wait(&v->tokens, HPM_TOKEN_READ);
	hpm_tokens_wait(&v->tokens, HPM_TOKEN_WRITE);
	hpm_tokens_wait(&v->tokens, HPM_TOKEN_HOP);
}
