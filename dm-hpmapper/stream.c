// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams: large blocks for sequential writes that come in smaller pieces.
 *
 * A large entry means that a whole large block is the volume's.  So it can be
 * made only when the volume has written all of the block: the rest still holds
 * data of its former owner.  Therefore a sequential write that reaches a new
 * large block gets one reserved, in memory only, and each run of the stream is
 * recorded as small blocks, at its own place in the reservation.  When the last
 * run is published, a COLLAPSE record makes one entry of them, on condition
 * that all of them are at that place and none is shared.  Nothing is copied.
 *
 * The stream need not be strictly sequential, and other changes of the range do
 * no harm.  A bit for each small block of the reservation tells whether it was
 * taken, and it is taken only once.  If some blocks of the range were written
 * elsewhere, discarded or shared by a snapshot meanwhile, the COLLAPSE changes
 * nothing when it is applied, and the mapping by small blocks stays as correct
 * as the large entry would have been.
 *
 * A reservation does not survive a crash.  Blocks that were not taken are named
 * by no record, so they are free after recovery; blocks that were taken and
 * recorded are mapped.
 *
 * A volume has a few reservations.  A new one replaces the one that was idle
 * longest.  All that are idle for STREAM_REST are given back, and so are all
 * when the pool runs short of space.  Only blocks that were not taken are given
 * back.
 */
#include <linux/sched/mm.h>

#include "volume.h"

/* A write of this many blocks or more begins a stream, whatever came before. */
#define STREAM_BEGIN	16

#define STREAM_REST	(5 * HZ)

static u32 offset_in(const struct hpm_volume *v, u64 vbn)
{
	return vbn & (hpm_large_size(v) - 1);
}

static struct hpm_stream *__find(struct hpm_volume *v, u64 vbn)
{
	u64 start = hpm_large_start(v, vbn);
	unsigned int i;

	for (i = 0; i < HPM_STREAMS; i++)
		if (v->streams.slot[i].vbn == start)
			return &v->streams.slot[i];
	return NULL;
}

/* Returns the stream whose reservation has @pbn as @vbn's place, or NULL. */
static struct hpm_stream *__find_at(struct hpm_volume *v, u64 vbn, u64 pbn)
{
	struct hpm_stream *s = __find(v, vbn);

	return s && s->pbn + offset_in(v, vbn) == pbn ? s : NULL;
}

static void __remove(struct hpm_volume *v, struct hpm_stream *s)
{
	s->vbn = HPM_NO_VBN;
	WRITE_ONCE(v->streams.nr, v->streams.nr - 1);
}

/* Frees the blocks that were not taken, and the slot. */
static void __give_back(struct hpm_volume *v, struct hpm_stream *s)
{
	unsigned int from, to;

	for_each_clear_bitrange(from, to, s->taken, hpm_large_size(v))
		hpm_space_unreserve(v->pool->md, s->pbn + from, to - from);
	__remove(v, s);
}

/*
 *----------------------------------------------------------------
 * Writes
 *--------------------------------------------------------------
 */

static u32 __take(struct hpm_volume *v, u64 vbn, u32 want, u64 *pbn)
{
	struct hpm_stream *s = __find(v, vbn);
	u32 first = offset_in(v, vbn), end;

	if (!s)
		return 0;
	end = min(first + want, hpm_large_size(v));
	end = find_next_bit(s->taken, end, first);
	bitmap_set(s->taken, first, end - first);
	s->used = jiffies;
	*pbn = s->pbn + first;
	return end - first;
}

u32 hpm_stream_take(struct hpm_volume *v, u64 vbn, u32 want, u64 *pbn)
{
	unsigned long flags;
	u32 nr;

	if (!READ_ONCE(v->streams.nr))
		return 0;
	spin_lock_irqsave(&v->streams.lock, flags);
	nr = __take(v, vbn, want, pbn);
	spin_unlock_irqrestore(&v->streams.lock, flags);
	return nr;
}

void hpm_stream_untake(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr)
{
	struct hpm_stream *s;
	unsigned long flags;

	spin_lock_irqsave(&v->streams.lock, flags);
	s = __find_at(v, vbn, pbn);
	if (s)
		bitmap_clear(s->taken, offset_in(v, vbn), nr);
	else
		hpm_space_unreserve(v->pool->md, pbn, nr);
	spin_unlock_irqrestore(&v->streams.lock, flags);
}

void hpm_stream_written(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr)
{
	struct hpm_stream *s;
	unsigned long flags;

	spin_lock_irqsave(&v->streams.lock, flags);
	s = __find_at(v, vbn, pbn);
	if (s) {
		s->written += nr;
		if (s->written == hpm_large_size(v))
			queue_work(v->pool->io_wq, &v->streams.complete);
	}
	spin_unlock_irqrestore(&v->streams.lock, flags);
}

static int __find_end(const struct hpm_streams *st, u64 vbn)
{
	int i;

	for (i = 0; i < HPM_STREAM_ENDS; i++)
		if (st->end[i] == vbn)
			return i;
	return -1;
}

/*
 * Is the write at the beginning of its large block, and either large enough or
 * just behind the end of a recent new write?
 */
bool hpm_stream_wants(struct hpm_volume *v, u64 vbn, u32 nr)
{
	unsigned long flags;
	bool wants;

	if (offset_in(v, vbn))
		return false;
	spin_lock_irqsave(&v->streams.lock, flags);
	wants = !__find(v, vbn) &&
		(nr >= STREAM_BEGIN || __find_end(&v->streams, vbn) >= 0);
	spin_unlock_irqrestore(&v->streams.lock, flags);
	return wants;
}

void hpm_stream_note(struct hpm_volume *v, u64 vbn, u32 nr)
{
	struct hpm_streams *st = &v->streams;
	unsigned long flags;
	int i;

	spin_lock_irqsave(&st->lock, flags);
	i = __find_end(st, vbn);
	if (i < 0)
		i = st->next_end++ % HPM_STREAM_ENDS;
	st->end[i] = vbn + nr;
	spin_unlock_irqrestore(&st->lock, flags);
}

/*
 *----------------------------------------------------------------
 * Reservations
 *--------------------------------------------------------------
 */

/* Returns a free slot, or frees that of the stream that was idle longest. */
static struct hpm_stream *__make_room(struct hpm_volume *v)
{
	struct hpm_stream *s = v->streams.slot;
	struct hpm_stream *oldest = s, *end = s + HPM_STREAMS;

	for (; s < end; s++) {
		if (s->vbn == HPM_NO_VBN)
			return s;
		if (time_before(s->used, oldest->used))
			oldest = s;
	}
	__give_back(v, oldest);
	return oldest;
}

static void __begin(struct hpm_volume *v, u64 vbn, u64 pbn)
{
	struct hpm_stream *s = __make_room(v);

	s->vbn = vbn;
	s->pbn = pbn;
	s->written = 0;
	s->used = jiffies;
	bitmap_zero(s->taken, hpm_large_size(v));
	WRITE_ONCE(v->streams.nr, v->streams.nr + 1);
}

int hpm_stream_reserve(struct hpm_volume *v, u64 vbn)
{
	unsigned long flags;
	u64 pbn;
	int r;

	r = hpm_space_take_large(v->pool->md, &pbn);
	if (r)
		return r;
	spin_lock_irqsave(&v->streams.lock, flags);
	if (__find(v, vbn))
		hpm_space_unreserve(v->pool->md, pbn, hpm_large_size(v));
	else
		__begin(v, vbn, pbn);
	spin_unlock_irqrestore(&v->streams.lock, flags);
	queue_delayed_work(v->pool->io_wq, &v->streams.idle, STREAM_REST);
	return 0;
}

/* Gives back the reservations that were idle for @rest jiffies. */
static void drop_rested(struct hpm_volume *v, unsigned long rest)
{
	struct hpm_stream *s;
	unsigned long flags;

	spin_lock_irqsave(&v->streams.lock, flags);
	for (s = v->streams.slot; s < v->streams.slot + HPM_STREAMS; s++)
		if (s->vbn != HPM_NO_VBN &&
		    time_after_eq(jiffies, s->used + rest))
			__give_back(v, s);
	spin_unlock_irqrestore(&v->streams.lock, flags);
}

void hpm_streams_drop(struct hpm_volume *v)
{
	drop_rested(v, 0);
}

static void do_idle(struct work_struct *work)
{
	struct hpm_volume *v = container_of(to_delayed_work(work),
					    struct hpm_volume, streams.idle);

	drop_rested(v, STREAM_REST);
	if (READ_ONCE(v->streams.nr))
		queue_delayed_work(v->pool->io_wq, &v->streams.idle,
				   STREAM_REST);
}

/*
 *----------------------------------------------------------------
 * The end of a stream
 *--------------------------------------------------------------
 */

static bool stands_at(struct hpm_volume *v, const struct hpm_change *c)
{
	struct hpm_run run;

	if (hpm_map_load(v->vol, c->vbn) ||
	    hpm_find_run(v, c->vbn, c->nr, &run))
		return false;
	return run.mapped && !run.shared && run.nr == c->nr &&
	       run.pbn == c->pbn;
}

void hpm_collapse(struct hpm_volume *v, u64 vbn, u64 pbn)
{
	struct hpm_md *md = v->pool->md;
	struct hpm_change *c;
	LIST_HEAD(waiters);

	/* If no credit can be had soon, the small blocks stay. */
	if (hpm_credit_wait(md, 1, HPM_FOR_DATA))
		return;
	c = hpm_change_alloc(md, GFP_NOIO);
	if (!c)
		goto out;
	c->vol = v->vol;
	c->type = HPM_REC_COLLAPSE;
	c->vbn = vbn;
	c->pbn = pbn;
	c->nr = hpm_large_size(v);
	if (stands_at(v, c) && !hpm_change_lock(c, NULL)) {
		hpm_change_publish(c, &waiters);
		hpm_bio_queue_all(&waiters);
		return;
	}
	hpm_change_free(md, c);
out:
	hpm_credit_put(md, 1);
}

static bool take_complete(struct hpm_volume *v, u64 *vbn, u64 *pbn)
{
	struct hpm_stream *s;
	bool found = false;
	unsigned long flags;

	spin_lock_irqsave(&v->streams.lock, flags);
	for (s = v->streams.slot; s < v->streams.slot + HPM_STREAMS; s++) {
		if (s->vbn == HPM_NO_VBN || s->written != hpm_large_size(v))
			continue;
		*vbn = s->vbn;
		*pbn = s->pbn;
		__remove(v, s);
		found = true;
		break;
	}
	spin_unlock_irqrestore(&v->streams.lock, flags);
	return found;
}

static void do_complete(struct work_struct *work)
{
	struct hpm_volume *v = container_of(work, struct hpm_volume,
					    streams.complete);
	unsigned int noio = memalloc_noio_save();
	u64 vbn, pbn;

	while (take_complete(v, &vbn, &pbn))
		hpm_collapse(v, vbn, pbn);
	memalloc_noio_restore(noio);
}

/*
 *----------------------------------------------------------------
 * Beginning and end
 *--------------------------------------------------------------
 */

void hpm_streams_init(struct hpm_volume *v)
{
	struct hpm_streams *st = &v->streams;
	unsigned int i;

	spin_lock_init(&st->lock);
	for (i = 0; i < HPM_STREAMS; i++)
		st->slot[i].vbn = HPM_NO_VBN;
	for (i = 0; i < HPM_STREAM_ENDS; i++)
		st->end[i] = HPM_NO_VBN;
	INIT_WORK(&st->complete, do_complete);
	INIT_DELAYED_WORK(&st->idle, do_idle);
}

void hpm_streams_exit(struct hpm_volume *v)
{
	cancel_delayed_work_sync(&v->streams.idle);
	cancel_work_sync(&v->streams.complete);
	hpm_streams_drop(v);
}
