// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data space in memory: what may be allocated now.
 *
 * The arrays on disk (space.c) say which small blocks are in use, and say so
 * only when a record has been applied.  Two kinds of blocks are free by the
 * arrays and must not be allocated all the same:
 *
 *  reserved	Given to somebody who will write to it, then record it.
 *		Allocation runs ahead of the records and is not recorded itself.
 *		After a crash there are no reservations, and what they were for
 *		never became visible: nothing leaks and nothing is replayed.
 *
 *  freed	The count fell to zero, but the record that did this may not be
 *		durable yet, I/O on the block may be in flight, the block may
 *		still stand in an index or wait for its discard below.  Were it
 *		allocated, a crash would bring the old mapping back over the new
 *		owner's data, or a late write would land in them.
 *
 * Both are "busy".  One bit for the two is enough, as no block is both: what is
 * reserved has no count that could fall.  A block is allocatable when it is
 * free by the arrays and not busy, and at any time
 *
 *	allocatable = nr_blocks - used - nr_busy
 *
 * but for the instant between the counting up of a reserved block and
 * hpm_space_settle(), when it is too low by what is being settled.
 *
 * The path of a block, where space.lock makes each step one with its busy bit:
 *
 *	allocatable -> stock -> taken -> counted up, settled -> in use
 *	in use -> counted down, in the open batch -> durable, taken by the
 *	commit -> drained, passed down -> hpm_free_done() -> allocatable
 *
 * Blocks become busy under md->lock only, from memory got before anything is
 * changed (spare_busy, spare).  They cease to be under space.lock alone, which
 * needs no memory: hence bio completion may give blocks back.
 */
#include "md.h"

#define HPM_HOLE_MIN		8	/* holes below this are left for later */
#define HPM_LOOK_MAX		32	/* PART blocks that one refill looks at */
#define HPM_LOOK_MIN		2
#define HPM_LOOK_SPAN		0x100000u	/* ... among so many blocks */
#define HPM_PLENTY_LARGE	64	/* more free ones: carve by the whole */
#define HPM_CARVE_MIN		16

/* Sets of states, for searches. */
#define HPM_MAYBE_FREE		BIT(HPM_LARGE_FREE)
#define HPM_MAYBE_PART		BIT(HPM_LARGE_PART)

bool hpm_next_run(const unsigned long *map, unsigned int size,
		  unsigned int *start, unsigned int *nr)
{
	unsigned int s = find_next_bit(map, size, *start + *nr);

	if (s >= size)
		return false;
	*nr = find_next_zero_bit(map, size, s) - s;
	*start = s;
	return true;
}

/*----------------------------------------------------------------
 * States: two bits a large block, 32 of them in a word
 *--------------------------------------------------------------*/

#define HPM_STATE_LOW		0x5555555555555555ULL

/* Allocation looks at it with md->lock alone, while bios give blocks back. */
static void __add_free_large(struct hpm_space *sp, s64 nr)
{
	WRITE_ONCE(sp->nr_free_large, sp->nr_free_large + nr);
}

void __hpm_set_state(struct hpm_space *sp, u64 large,
		     enum hpm_large_state state)
{
	unsigned int shift = large % HPM_STATES * 2;
	u64 *word = &sp->state[large / HPM_STATES];
	enum hpm_large_state old = hpm_get_state(sp, large);

	if (old == state)
		return;
	*word = (*word & ~(3ULL << shift)) | (u64)state << shift;
	if (old == HPM_LARGE_PART)
		sp->nr_part--;
	if (state == HPM_LARGE_PART)
		sp->nr_part++;
	if ((old == HPM_LARGE_FREE || state == HPM_LARGE_FREE) &&
	    !__hpm_busy_find(sp, large))
		__add_free_large(sp, state == HPM_LARGE_FREE ? 1 : -1);
}

/* The lower bit of each pair whose state is in @states. */
static u64 match_states(u64 word, unsigned int states)
{
	u64 low = word & HPM_STATE_LOW, high = word >> 1 & HPM_STATE_LOW;
	u64 match = 0;

	if (states & HPM_MAYBE_FREE)
		match |= ~(low | high) & HPM_STATE_LOW;
	if (states & HPM_MAYBE_PART)
		match |= low & ~high;
	return match;
}

/* The first large block in [from, to) with such a state, or @to. */
static u64 find_state(struct hpm_space *sp, unsigned int states, u64 from,
		      u64 to)
{
	u64 at = from, match;

	while (at < to) {
		match = match_states(sp->state[at / HPM_STATES], states);
		match >>= at % HPM_STATES * 2;
		if (match)
			return min(to, at + __ffs64(match) / 2);
		at = (at / HPM_STATES + 1) * HPM_STATES;
	}
	return to;
}

/* A search that goes round once, at most: md->lock held. */
struct round {
	unsigned int states;
	u64 at;
	u64 left;
};

static u64 round_next(struct hpm_space *sp, struct round *rd)
{
	u64 end, found;

	while (rd->left) {
		if (rd->at >= sp->nr_large)
			rd->at = 0;
		end = min(sp->nr_large, rd->at + rd->left);
		found = find_state(sp, rd->states, rd->at, end);
		rd->left -= found - rd->at;
		rd->at = found;
		if (found == end)
			continue;
		rd->left--;
		rd->at++;
		return found;
	}
	return HPM_LARGE_NONE;
}

/*----------------------------------------------------------------
 * Busy blocks.  Those called __* want space.lock held.
 *--------------------------------------------------------------*/

static struct hlist_head *busy_bucket(struct hpm_space *sp, u64 large)
{
	return &sp->busy[hash_64(large, HPM_BUSY_HASH_BITS)];
}

struct hpm_busy *__hpm_busy_find(struct hpm_space *sp, u64 large)
{
	struct hpm_busy *b;

	hlist_for_each_entry(b, busy_bucket(sp, large), hash)
		if (b->large == large)
			return b;
	return NULL;
}

void hpm_busy_prepare(struct hpm_md *md)
{
	struct hpm_space *sp = &md->space;

	if (!sp->spare_busy)
		sp->spare_busy = kzalloc(sizeof(*sp->spare_busy) +
					 BITS_TO_LONGS(md->large_size) *
					 sizeof(long), HPM_GFP_MUST);
}

struct hpm_busy *__hpm_busy_get(struct hpm_space *sp, u64 large)
{
	struct hpm_busy *b = __hpm_busy_find(sp, large);

	if (b)
		return b;
	b = sp->spare_busy;
	sp->spare_busy = NULL;
	b->large = large;
	hlist_add_head(&b->hash, busy_bucket(sp, large));
	if (hpm_get_state(sp, large) == HPM_LARGE_FREE)
		__add_free_large(sp, -1);
	return b;
}

static void __busy_put(struct hpm_space *sp, struct hpm_busy *b)
{
	if (b->nr)
		return;
	if (hpm_get_state(sp, b->large) == HPM_LARGE_FREE)
		__add_free_large(sp, 1);
	hlist_del(&b->hash);
	kfree(b);
}

void __hpm_busy_mark(struct hpm_space *sp, struct hpm_busy *b,
		     unsigned int start, unsigned int nr)
{
	unsigned int i;

	for (i = start; i < start + nr; i++) {
		if (__test_and_set_bit(i, b->bits))
			continue;
		b->nr++;
		sp->nr_busy++;
	}
}

static void __busy_clear(struct hpm_space *sp, u64 large, unsigned int start,
			 unsigned int nr)
{
	struct hpm_busy *b = __hpm_busy_find(sp, large);
	unsigned int i;

	if (!b)
		return;
	for (i = start; i < start + nr; i++) {
		if (!__test_and_clear_bit(i, b->bits))
			continue;
		b->nr--;
		sp->nr_busy--;
	}
	__busy_put(sp, b);
}

/* Any context; the lock is dropped between large blocks. */
static void busy_clear(struct hpm_md *md, u64 pbn, u32 nr)
{
	struct hpm_space *sp = &md->space;
	unsigned int start, run;
	unsigned long flags;

	while (nr) {
		start = pbn & (md->large_size - 1);
		run = min(nr, md->large_size - start);
		spin_lock_irqsave(&sp->lock, flags);
		__busy_clear(sp, pbn >> md->large_shift, start, run);
		spin_unlock_irqrestore(&sp->lock, flags);
		pbn += run;
		nr -= run;
	}
}

void hpm_space_settle(struct hpm_md *md, u64 pbn, u32 nr)
{
	busy_clear(md, pbn, nr);
}

void hpm_space_unreserve(struct hpm_md *md, u64 pbn, u32 nr)
{
	busy_clear(md, pbn, nr);
}

static u64 __free_now(struct hpm_space *sp)
{
	u64 taken = sp->used + sp->nr_busy;

	return taken < sp->nr_blocks ? sp->nr_blocks - taken : 0;
}

u64 hpm_space_free_now(struct hpm_md *md)
{
	struct hpm_space *sp = &md->space;
	unsigned long flags;
	u64 nr;

	spin_lock_irqsave(&sp->lock, flags);
	nr = __free_now(sp);
	spin_unlock_irqrestore(&sp->lock, flags);
	return nr;
}

/*----------------------------------------------------------------
 * Free batches
 *--------------------------------------------------------------*/

/*
 * @gone may be cut into so many extents.  The room in the open batch is not
 * reckoned with: a commit may take that batch away at any moment.
 */
void hpm_space_prepare(struct hpm_md *md, const unsigned long *gone)
{
	struct hpm_space *sp = &md->space;
	unsigned int start = 0, nr = 0, runs = 0;
	struct hpm_free_batch *b;

	if (!sp->loaded)
		return;
	while (hpm_next_run(gone, md->large_size, &start, &nr))
		runs++;
	if (!runs)
		return;
	while (sp->nr_spare * HPM_FREE_EXTENTS < runs) {
		b = kzalloc(sizeof(*b), HPM_GFP_MUST);
		list_add(&b->list, &sp->spare);
		sp->nr_spare++;
	}
	hpm_busy_prepare(md);
}

static bool extend(struct hpm_extent *e, u64 pbn, u32 nr)
{
	if (e->nr > U32_MAX - nr)
		return false;
	if (e->pbn + e->nr == pbn) {
		e->nr += nr;
		return true;
	}
	if (pbn + nr == e->pbn) {
		e->pbn = pbn;
		e->nr += nr;
		return true;
	}
	return false;
}

/* The open batch with room for one more; spares were prepared. */
static struct hpm_free_batch *__open_batch(struct hpm_space *sp)
{
	if (sp->open && sp->open->nr == HPM_FREE_EXTENTS) {
		list_add_tail(&sp->open->list, &sp->freed);
		sp->open = NULL;
	}
	if (!sp->open) {
		sp->open = list_first_entry(&sp->spare, struct hpm_free_batch,
					    list);
		list_del(&sp->open->list);
		sp->nr_spare--;
	}
	return sp->open;
}

static void __batch_add(struct hpm_space *sp, u64 pbn, u32 nr)
{
	struct hpm_free_batch *b = sp->open;

	if (!b || !extend(&b->ext[b->nr - 1], pbn, nr)) {
		b = __open_batch(sp);
		b->ext[b->nr].pbn = pbn;
		b->ext[b->nr++].nr = nr;
	}
	b->record = sp->record;
}

/*
 * Record numbers ascend along the list, the open batch last.  It may be taken
 * in the middle of the record that is being applied: that record is durable
 * then, and readers find its change in the overlay until it has been applied.
 */
void hpm_space_take_freed(struct hpm_md *md, u64 durable,
			  struct list_head *out)
{
	struct hpm_space *sp = &md->space;
	struct hpm_free_batch *b, *next;
	unsigned long flags;

	spin_lock_irqsave(&sp->lock, flags);
	if (sp->open && sp->open->record <= durable) {
		list_add_tail(&sp->open->list, &sp->freed);
		sp->open = NULL;
	}
	list_for_each_entry_safe(b, next, &sp->freed, list) {
		if (b->record > durable)
			break;
		list_move_tail(&b->list, out);
	}
	spin_unlock_irqrestore(&sp->lock, flags);
}

void hpm_free_done(struct hpm_md *md, struct hpm_free_batch *b)
{
	unsigned int i;

	for (i = 0; i < b->nr && !hpm_fault(HPM_FAULT_REUSE_EARLY); i++)
		busy_clear(md, b->ext[i].pbn, b->ext[i].nr);
	kfree(b);
}

/*----------------------------------------------------------------
 * What the counts tell
 *--------------------------------------------------------------*/

static void __give_up(struct hpm_md *md, u64 large, const unsigned long *gone)
{
	struct hpm_space *sp = &md->space;
	unsigned int start = 0, nr = 0;
	struct hpm_busy *b = NULL;

	while (hpm_next_run(gone, md->large_size, &start, &nr)) {
		if (!b)
			b = __hpm_busy_get(sp, large);
		if (!hpm_fault(HPM_FAULT_REUSE_EARLY))
			__hpm_busy_mark(sp, b, start, nr);
		__batch_add(sp, (large << md->large_shift) + start, nr);
		sp->used -= nr;
	}
	if (b && hpm_fault(HPM_FAULT_REUSE_EARLY))
		__busy_put(sp, b);
}

/*
 * A replay may make checkpoints before anything is loaded, and each of them says
 * how much is in use.  So that is kept up from what the superblock said.  Loading
 * finds out the rest, and counts all that is in use anew.
 */
void hpm_space_account(struct hpm_md *md, u64 large, enum hpm_large_state state,
		       u32 gained, u32 lost, const unsigned long *gone)
{
	struct hpm_space *sp = &md->space;
	unsigned long flags;

	lockdep_assert_held(&md->lock);
	if (!sp->loaded) {
		/* Nobody else has the pool yet. */
		sp->used += gained;
		sp->used -= lost;
		return;
	}
	spin_lock_irqsave(&sp->lock, flags);
	sp->used += gained;
	if (lost)
		__give_up(md, large, gone);
	__hpm_set_state(sp, large, state);
	spin_unlock_irqrestore(&sp->lock, flags);
}

/*----------------------------------------------------------------
 * Stocks
 *--------------------------------------------------------------*/

void hpm_stock_init(struct hpm_stock *st)
{
	memset(st, 0, sizeof(*st));
	spin_lock_init(&st->lock);
}

/* How full it is, is looked at without the lock as well. */
static void __stock_count(struct hpm_stock *st, unsigned int nr, u32 blocks)
{
	WRITE_ONCE(st->nr, nr);
	WRITE_ONCE(st->blocks, blocks);
}

/* The smallest that is large enough, or else the largest. */
static bool better(const struct hpm_extent *a, const struct hpm_extent *b,
		   u32 want)
{
	if (b->nr >= want)
		return a->nr >= want && a->nr < b->nr;
	return a->nr > b->nr;
}

u32 hpm_stock_take(struct hpm_stock *st, u32 want, u64 *pbn)
{
	struct hpm_extent *e = st->ext;
	unsigned long flags;
	unsigned int i;
	u32 nr = 0;

	spin_lock_irqsave(&st->lock, flags);
	for (i = 1; i < st->nr; i++)
		if (better(&st->ext[i], e, want))
			e = &st->ext[i];
	if (st->nr) {
		nr = min(want, e->nr);
		*pbn = e->pbn;
		e->pbn += nr;
		e->nr -= nr;
		__stock_count(st, st->nr - !e->nr, st->blocks - nr);
		if (!e->nr)
			*e = st->ext[st->nr];
	}
	spin_unlock_irqrestore(&st->lock, flags);
	return nr;
}

/* Extents are not joined across the bounds of large blocks. */
static bool adjacent(struct hpm_stock *st, const struct hpm_extent *a,
		     const struct hpm_extent *b)
{
	return st->md && a->pbn + a->nr == b->pbn &&
	       b->pbn & (st->md->large_size - 1);
}

/* Moves everything in the stock that @e touches over to @e. */
static void __stock_absorb(struct hpm_stock *st, struct hpm_extent *e)
{
	struct hpm_extent *o;
	unsigned int i = 0;

	while (i < st->nr) {
		o = &st->ext[i];
		if (!adjacent(st, o, e) && !adjacent(st, e, o)) {
			i++;
			continue;
		}
		e->pbn = min(e->pbn, o->pbn);
		e->nr += o->nr;
		__stock_count(st, st->nr - 1, st->blocks - o->nr);
		*o = st->ext[st->nr];
	}
}

/* If all extents are in use, the smallest is left over in @e. */
static void __stock_put(struct hpm_stock *st, struct hpm_extent *e)
{
	struct hpm_extent *o = st->ext;
	unsigned int i;

	if (st->nr < HPM_STOCK_EXTENTS) {
		st->ext[st->nr] = *e;
		__stock_count(st, st->nr + 1, st->blocks + e->nr);
		e->nr = 0;
		return;
	}
	for (i = 1; i < st->nr; i++)
		if (st->ext[i].nr < o->nr)
			o = &st->ext[i];
	if (o->nr >= e->nr)
		return;
	__stock_count(st, st->nr, st->blocks + e->nr - o->nr);
	swap(*o, *e);
}

/*
 * A full stock loses nothing: as blocks cease to be busy without memory and
 * without sleeping, what does not fit is simply allocatable again.
 */
void hpm_stock_give(struct hpm_stock *st, u64 pbn, u32 nr)
{
	struct hpm_extent e = { .pbn = pbn, .nr = nr };
	unsigned long flags;

	if (!nr)
		return;
	spin_lock_irqsave(&st->lock, flags);
	__stock_absorb(st, &e);
	__stock_put(st, &e);
	spin_unlock_irqrestore(&st->lock, flags);
	/* Eight extents and no refill: blocks of no stock were given. */
	if (e.nr && !WARN_ON_ONCE(!st->md))
		hpm_space_unreserve(st->md, e.pbn, e.nr);
}

void hpm_space_return(struct hpm_md *md, struct hpm_stock *st)
{
	u64 pbn;
	u32 nr;

	while ((nr = hpm_stock_take(st, U32_MAX, &pbn)))
		hpm_space_unreserve(md, pbn, nr);
}

/*----------------------------------------------------------------
 * Allocation.  md->lock held.
 *--------------------------------------------------------------*/

/*
 * Where a refill looks, in this order:
 *
 *  1. Holes in large blocks that are partly in use, so that whole ones stay
 *     whole.  Short holes scatter what is written and are left alone as long
 *     as there is something else.  The look is bounded, and each that finds
 *     nothing halves the next: in a pool full of short holes the search would
 *     read all of the count array, bit by bit, for nothing.
 *  2. A free large block.  While there are many the stock gets all of it;
 *     later a part, and the next refill, whosever, gets the next part: a small
 *     pool is not to be eaten up by reservations.
 *  3. Anything, anywhere, however long that takes.
 */
struct fill {
	struct hpm_md *md;
	struct hpm_stock *st;
	u32 want;		/* blocks, still */
	unsigned int room;	/* extents, still */
	u32 got;
};

static void mask_out(unsigned long *map, const unsigned long *what,
		     unsigned int size)
{
	unsigned int i;

	for (i = 0; i < BITS_TO_LONGS(size); i++)
		map[i] &= ~what[i];
}

/* What of @free is not busy becomes so, in runs of at least @least blocks. */
static unsigned int __reserve_runs(struct fill *f, u64 large,
				   unsigned long *free, u32 least,
				   struct hpm_extent *out)
{
	struct hpm_space *sp = &f->md->space;
	struct hpm_busy *b = __hpm_busy_find(sp, large);
	unsigned int start = 0, nr = 0, found = 0;

	if (b)
		mask_out(free, b->bits, f->md->large_size);
	while (f->want && f->room &&
	       hpm_next_run(free, f->md->large_size, &start, &nr)) {
		if (nr < least)
			continue;
		nr = min(nr, f->want);
		if (!b)
			b = __hpm_busy_get(sp, large);
		__hpm_busy_mark(sp, b, start, nr);
		out[found].pbn = (large << f->md->large_shift) + start;
		out[found++].nr = nr;
		f->want -= nr;
		f->got += nr;
		f->room--;
	}
	return found;
}

static void reserve_runs(struct fill *f, u64 large, unsigned long *free,
			 u32 least)
{
	struct hpm_space *sp = &f->md->space;
	struct hpm_extent ext[HPM_STOCK_EXTENTS];
	unsigned int i, found;
	unsigned long flags;

	hpm_busy_prepare(f->md);
	spin_lock_irqsave(&sp->lock, flags);
	found = __reserve_runs(f, large, free, least, ext);
	spin_unlock_irqrestore(&sp->lock, flags);
	for (i = 0; i < found; i++)
		hpm_stock_give(f->st, ext[i].pbn, ext[i].nr);
}

static unsigned int busy_in(struct hpm_space *sp, u64 large)
{
	struct hpm_busy *b;
	unsigned long flags;
	unsigned int nr;

	spin_lock_irqsave(&sp->lock, flags);
	b = __hpm_busy_find(sp, large);
	nr = b ? b->nr : 0;
	spin_unlock_irqrestore(&sp->lock, flags);
	return nr;
}

/*
 * PART is a guess where a base has been punched: blocks given back from under
 * it may have been used again since.  Here is where the guess is put right.
 */
static void not_part(struct hpm_space *sp, u64 large)
{
	unsigned long flags;

	spin_lock_irqsave(&sp->lock, flags);
	__hpm_set_state(sp, large, HPM_LARGE_FULL);
	spin_unlock_irqrestore(&sp->lock, flags);
}

/* Takes what it can of a large block that is not FULL. */
static int fill_from(struct fill *f, u64 large, u32 least)
{
	DECLARE_BITMAP(free, 1 << HPM_MAX_LARGE_SHIFT);
	struct hpm_space *sp = &f->md->space;
	int r;

	if (hpm_get_state(sp, large) == HPM_LARGE_FREE) {
		bitmap_fill(free, f->md->large_size);
		reserve_runs(f, large, free, least);
		return 0;
	}
	r = hpm_space_free_bound(f->md, large);
	if (r < 0)
		return r;
	if ((u32)r < busy_in(sp, large) + least)
		return 0;
	r = hpm_space_free_map(f->md, large, free);
	if (r)
		return r;
	if (bitmap_empty(free, f->md->large_size)) {
		not_part(sp, large);
		return 0;
	}
	reserve_runs(f, large, free, least);
	return 0;
}

static int fill_holes(struct fill *f, u32 least)
{
	struct hpm_space *sp = &f->md->space;
	struct round rd = {
		.states = HPM_MAYBE_PART,
		.at = sp->cursor_part,
		.left = min_t(u64, sp->nr_large, HPM_LOOK_SPAN),
	};
	unsigned int look = sp->nr_part ? sp->look : 0;
	u64 large;
	int r;

	for (; look && f->want && f->room; look--) {
		large = round_next(sp, &rd);
		if (large == HPM_LARGE_NONE)
			break;
		r = fill_from(f, large, least);
		if (r)
			return r;
		/* There may be more in it for the next one who asks. */
		sp->cursor_part = f->want && f->room ? rd.at : large;
	}
	if (sp->nr_part)
		sp->look = f->got ? HPM_LOOK_MAX :
				    max_t(u32, HPM_LOOK_MIN, sp->look / 2);
	return 0;
}

static u64 find_free_large(struct hpm_space *sp)
{
	struct round rd = {
		.states = HPM_MAYBE_FREE,
		.at = sp->cursor_free,
		.left = sp->nr_large,
	};
	u64 large;

	if (!READ_ONCE(sp->nr_free_large))
		return HPM_LARGE_NONE;
	do {
		large = round_next(sp, &rd);
	} while (large != HPM_LARGE_NONE && busy_in(sp, large));
	sp->cursor_free = rd.at;
	return large;
}

static int fill_carve(struct fill *f)
{
	struct hpm_space *sp = &f->md->space;
	int r;

	if (sp->carved != HPM_LARGE_NONE &&
	    hpm_get_state(sp, sp->carved) != HPM_LARGE_FULL) {
		r = fill_from(f, sp->carved, 1);
		if (r || f->got)
			return r;
	}
	sp->carved = find_free_large(sp);
	return sp->carved == HPM_LARGE_NONE ? 0 : fill_from(f, sp->carved, 1);
}

static int fill_anything(struct fill *f)
{
	struct hpm_space *sp = &f->md->space;
	struct round rd = {
		.states = HPM_MAYBE_PART | HPM_MAYBE_FREE,
		.at = sp->cursor_part,
		.left = sp->nr_large,
	};
	u64 large;
	int r = 0;

	while (!r && !f->got && hpm_space_free_now(f->md)) {
		large = round_next(sp, &rd);
		if (large == HPM_LARGE_NONE)
			break;
		r = fill_from(f, large, 1);
	}
	sp->cursor_part = rd.at;
	return r;
}

static int refill(struct hpm_md *md, struct hpm_stock *st)
{
	struct hpm_space *sp = &md->space;
	u64 free = hpm_space_free_now(md);
	u64 free_large = READ_ONCE(sp->nr_free_large);
	bool plenty = free_large > HPM_PLENTY_LARGE;
	bool scarce = !free_large || free < div_u64(sp->nr_blocks, 10);
	struct fill f = { .md = md, .st = st };
	int r;

	if (!free)
		return -ENOSPC;
	f.want = plenty ? md->large_size :
			  max_t(u32, HPM_CARVE_MIN, md->large_size / 8);
	f.room = max_t(int, 1, HPM_STOCK_EXTENTS - (int)READ_ONCE(st->nr));
	r = fill_holes(&f, scarce ? 1 : HPM_HOLE_MIN);
	if (!r && !f.got)
		r = fill_carve(&f);
	if (!r && !f.got)
		r = fill_anything(&f);
	if (f.got)
		return 0;
	return r ? r : -ENOSPC;
}

int hpm_space_refill(struct hpm_md *md, struct hpm_stock *st)
{
	unsigned long flags;
	int r;

	spin_lock_irqsave(&st->lock, flags);
	st->md = md;
	spin_unlock_irqrestore(&st->lock, flags);

	mutex_lock(&md->lock);
	r = refill(md, st);
	mutex_unlock(&md->lock);
	return r;
}

static int take_large(struct hpm_md *md, u64 *pbn)
{
	struct hpm_space *sp = &md->space;
	u64 large = find_free_large(sp);
	unsigned long flags;

	if (large == HPM_LARGE_NONE)
		return -ENOSPC;
	hpm_busy_prepare(md);
	/* Still free and not busy: both would take md->lock. */
	spin_lock_irqsave(&sp->lock, flags);
	__hpm_busy_mark(sp, __hpm_busy_get(sp, large), 0, md->large_size);
	spin_unlock_irqrestore(&sp->lock, flags);
	*pbn = large << md->large_shift;
	return 0;
}

int hpm_space_take_large(struct hpm_md *md, u64 *pbn)
{
	int r;

	mutex_lock(&md->lock);
	r = take_large(md, pbn);
	mutex_unlock(&md->lock);
	return r;
}

/*----------------------------------------------------------------
 * Beginning and end
 *--------------------------------------------------------------*/

int hpm_space_init(struct hpm_md *md)
{
	struct hpm_space *sp = &md->space;
	unsigned int i;

	memset(sp, 0, sizeof(*sp));
	spin_lock_init(&sp->lock);
	INIT_LIST_HEAD(&sp->freed);
	INIT_LIST_HEAD(&sp->spare);
	for (i = 0; i < ARRAY_SIZE(sp->busy); i++)
		INIT_HLIST_HEAD(&sp->busy[i]);
	sp->carved = HPM_LARGE_NONE;
	sp->look = HPM_LOOK_MAX;
	return 0;
}

static void free_batches(struct list_head *list)
{
	struct hpm_free_batch *b, *next;

	list_for_each_entry_safe(b, next, list, list) {
		list_del(&b->list);
		kfree(b);
	}
}

static void drop_busy(struct hpm_space *sp)
{
	struct hlist_node *next;
	struct hpm_busy *b;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sp->busy); i++)
		hlist_for_each_entry_safe(b, next, &sp->busy[i], hash) {
			hlist_del(&b->hash);
			kfree(b);
		}
	sp->nr_busy = 0;
}

static u64 state_words(u64 nr_large)
{
	return DIV_ROUND_UP_ULL(nr_large, HPM_STATES);
}

/* Nothing else is going on: the pool is being opened, or closed. */
void hpm_space_reset(struct hpm_md *md)
{
	struct hpm_space *sp = &md->space;

	drop_busy(sp);
	free_batches(&sp->freed);
	kfree(sp->open);
	sp->open = NULL;
	if (sp->state)
		memset(sp->state, 0, state_words(sp->nr_large) * sizeof(u64));
	sp->nr_free_large = sp->nr_large;
	sp->nr_part = 0;
	sp->used = 0;
	sp->loaded = true;
}

void hpm_space_exit(struct hpm_md *md)
{
	struct hpm_space *sp = &md->space;

	hpm_space_reset(md);
	free_batches(&sp->spare);
	kfree(sp->spare_busy);
	kvfree(sp->state);
	sp->spare_busy = NULL;
	sp->state = NULL;
	sp->nr_spare = 0;
	sp->loaded = false;
}

/* md->lock held.  A tail that makes no large block is left unused. */
int hpm_space_resize(struct hpm_md *md, u64 nr_blocks)
{
	struct hpm_space *sp = &md->space;
	u64 nr_large = nr_blocks >> md->large_shift;
	unsigned long flags;
	u64 *state, *old = sp->state;

	if (nr_large < sp->nr_large || nr_blocks > HPM_PBN_HOLE)
		return -EINVAL;
	state = kvzalloc((state_words(nr_large) + 1) * sizeof(u64), GFP_NOIO);
	if (!state)
		return -ENOMEM;
	if (old)
		memcpy(state, old, state_words(sp->nr_large) * sizeof(u64));
	spin_lock_irqsave(&sp->lock, flags);
	__add_free_large(sp, nr_large - sp->nr_large);
	sp->nr_large = nr_large;
	sp->nr_blocks = nr_large << md->large_shift;
	sp->state = state;
	spin_unlock_irqrestore(&sp->lock, flags);
	kvfree(old);
	hpm_cost_resized(md);
	return 0;
}
