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
 * else whoever shut the gate would wait for a bio that waits for him.
 *
 * How long the wait is
 * --------------------
 * As long as the slowest I/O that it is about, and microseconds otherwise.  A
 * tenant under io.max, or one whose blocks are on a part of the device that
 * hangs, has I/O that takes half an hour.  So tokens are the volume's own, and
 * are of kinds (tokens.h): what is done to one volume waits for its I/O alone, and
 * for writes alone where reads do no harm.  What it waits with matters as well:
 * nobody keeps message_lock while he waits for tokens, be they his own volume's,
 * as everybody else's messages would wait along (pool-message.c).
 *
 * What each bit is for, with the argument why the history it bars is barred:
 *
 * PARK, for a snapshot.  A write in place that has looked its block up and is
 *	not finished when the snapshot's record gets its number would land in a
 *	block that both volumes have.  With the writes parked and those in
 *	flight published, every write is either in a record before the
 *	snapshot's, or begins its look-up when what the snapshot has is seen as
 *	shared: that is from the number on, whenever it is applied
 *	(volume-apply.c).
 *	The origin's WRITE tokens are all that there is to wait for.  Nobody
 *	else can write such a block in place: in every other volume that has it
 *	the block is shared already.  A read in flight of the origin gets what
 *	is in the block, which the snapshot does not change; and should the
 *	block be freed, the drain waits for that read.
 *
 * MOVE, for a range that defrag.c copies elsewhere.  A write in place that
 *	lands in the old block after it was read would be lost with it, so the
 *	volume's WRITE tokens are waited for.  Reads go on, from the old place,
 *	until the change is published, and those in flight then are the
 *	drain's to wait for.
 *
 * STOP, for the pool's suspension: the pool must be able to commit, write its
 *	checkpoint and close its devices.  That does wait for all volumes.
 *
 * RETURN shuts nothing.  While it is set what would have to wait is given back
 *	to device-mapper core, which keeps it until the volume has a table
 *	again: a noflush suspend must not wait for what waits for others.
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
 * Fair shares
 *--------------------------------------------------------------
 */

/*
 * A write to a new place has a credit from before its data is written until its
 * record is published.  A tenant whose writes are throttled would in time have all
 * the credits that there are, with 2,048 such writes, or with 200 if the metadata
 * device is small: then nobody could write, make a volume or delete one before he
 * lets them go.  So a write gets a credit only if as many as its volume has out
 * already stay free behind it (hpm_credit_get_fair()): one volume can have half of
 * them, the next half of what is left, and so on.  After a dozen such tenants there
 * are none left for the writes of one that has none, and they wait; but some are not
 * for writes at all, so that messages and discards never do.  A write that gets none
 * waits here, and goes on when a credit of its own volume's comes back.
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
	/* Listed before it is asked whether there is one to wait for. */
	smp_mb();
	if (!atomic_read(&v->credits)) {
		list_del(&hb->wait);
		r = 0;
	}
out:
	spin_unlock_irqrestore(&v->lock, flags);
	return r;
}

/* Two for one, so that there are as many under way again as there can be. */
#define FED_AT_ONCE	2

void hpm_gate_feed(struct hpm_volume *v)
{
	/* A barrier: pairs with the one above. */
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

/* What a snapshot waits for. */
static enum hpm_token_kind parked_kind(void)
{
	return hpm_fault(HPM_FAULT_SNAP_READS) ? HPM_TOKEN_READ :
						 HPM_TOKEN_WRITE;
}

/* So long may others wait along: a disk's writes take no longer. */
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

/* A move that has to wait longer is better made another time. */
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
 * There are no bios any more.  But those who have ended the last ones may be about
 * to give their tokens back, and workers about to return; the volume must be
 * there until they have.
 */
void hpm_gate_wait_last(struct hpm_volume *v)
{
	hpm_tokens_wait(&v->tokens, HPM_TOKEN_READ);
	hpm_tokens_wait(&v->tokens, HPM_TOKEN_WRITE);
	hpm_tokens_wait(&v->tokens, HPM_TOKEN_HOP);
}
