// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocation of data space: what a stock gets when it is refilled.
 */
#include "engine.h"
#include "busy.h"
#include "space.h"

#define HPM_HOLE_MIN		8	/* shorter holes are used last */
#define HPM_LOOK_MIN		2
#define HPM_LOOK_SPAN		0x100000u	/* large blocks in one look */
#define HPM_PLENTY_LARGE	64	/* above this, take whole blocks */
#define HPM_CARVE_MIN		16
#define HPM_UNREAD_MAX		8	/* failed reads that end a search */

/* Sets of states to search for. */
#define HPM_MAYBE_FREE		BIT(HPM_LARGE_FREE)
#define HPM_MAYBE_PART		BIT(HPM_LARGE_PART)

/*----------------------------------------------------------------
 * States: two bits a large block, 32 states in a word
 *--------------------------------------------------------------*/

#define HPM_STATE_LOW		0x5555555555555555ULL

/* Returns a word with the lower bit of each pair set whose state is in @states. */
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

/* Returns the first large block in [from, to) with one of @states, or @to. */
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

/* A search that goes once round the device, at most: md->lock held. */
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
 * Allocation.  md->lock held.
 *--------------------------------------------------------------*/

/*
 * Where a refill looks, in this order:
 *
 *  1. Holes in large blocks that are partly in use, so that free large blocks
 *     stay free.  Short holes scatter what is written, so they are used only if
 *     there is nothing else.  The search is bounded, and each search that finds
 *     nothing halves the bound of the next: in a pool full of short holes, an
 *     unbounded search would read all of the count array for nothing.
 *  2. A free large block.  While there are many, the stock gets the whole
 *     block.  When few are left it gets a part, and the next refill, of any
 *     stock, gets the next part, so that reservations do not use up a small
 *     pool.
 *  3. Any free block, however long the search takes.
 */
struct fill {
	struct hpm_md *md;
	struct hpm_stock *st;
	u32 want;		/* blocks that are still wanted */
	unsigned int room;	/* extents that still fit */
	u32 got;
	unsigned int unread;	/* failed reads */
};

static void mask_out(unsigned long *map, const unsigned long *what,
		     unsigned int size)
{
	unsigned int i;

	for (i = 0; i < BITS_TO_LONGS(size); i++)
		map[i] &= ~what[i];
}

/*
 * Marks blocks of @free that are not busy as busy, in runs of at least @least
 * blocks.
 */
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
 * If a base has been punched, PART may be wrong: blocks that were freed under
 * it may have been used again.  This corrects the state.
 */
static void not_part(struct hpm_space *sp, u64 large)
{
	unsigned long flags;

	spin_lock_irqsave(&sp->lock, flags);
	__hpm_set_state(sp, large, HPM_LARGE_FULL);
	spin_unlock_irqrestore(&sp->lock, flags);
}

/* The error says nothing about the counts: a later try may well read them. */
static bool is_passing(int err)
{
	return err == -ENOMEM || err == -EAGAIN || err == -ERESTART ||
	       err == -ENODEV;
}

/*
 * Returns the range of large blocks whose counts are in the same leaf as those
 * of @large, which could not be read.  If the counts of @large are in two
 * leaves, the range is @large alone, as it is not known which leaf failed.
 */
static u64 same_leaf(struct hpm_md *md, u64 large, u64 *end)
{
	u32 per_leaf = md->array[HPM_ARR_SMALL].per_leaf;
	u64 from = div_u64(large << md->large_shift, per_leaf) * per_leaf;

	*end = min((from + per_leaf) >> md->large_shift, md->space.nr_large);
	if (large < *end)
		return (from + md->large_size - 1) >> md->large_shift;
	*end = large + 1;
	return large;
}

/*
 * Sets large blocks aside.  If this were not done, each search, for any stock,
 * would come to them again and end there with the error.  They stay aside until
 * the pool is opened again, or until their counts have changed, which proves
 * that the counts can be read.
 */
static void set_aside(struct hpm_md *md, u64 large, int err)
{
	unsigned int states = HPM_MAYBE_FREE | HPM_MAYBE_PART;
	struct hpm_space *sp = &md->space;
	unsigned long flags;
	u64 at, end;

	at = same_leaf(md, large, &end);
	spin_lock_irqsave(&sp->lock, flags);
	while ((at = find_state(sp, states, at, end)) < end)
		__hpm_set_state(sp, at++, HPM_LARGE_ASIDE);
	spin_unlock_irqrestore(&sp->lock, flags);
	hpm_err_ratelimited(md, "the counts of large block %llu (data block %llu) cannot be read (%d): until the pool is opened again nothing is allocated where they belong; hpm_check tells more, hpm_repair builds new counts",
			    (unsigned long long)large,
			    (unsigned long long)large << md->large_shift, err);
}

/*
 * If some blocks are set aside, a block that is free by the sums has its counts
 * read, too, before it is given out: if a record found them damaged, the pool
 * would stop.
 */
static bool is_sound(struct hpm_md *md, u64 large, unsigned int *unread)
{
	DECLARE_BITMAP(free, 1 << HPM_MAX_LARGE_SHIFT);
	int r;

	if (likely(!md->space.nr_aside))
		return true;
	r = hpm_space_free_map(md, large, free);
	if (!r || is_passing(r))
		return true;
	set_aside(md, large, r);
	++*unread;
	return false;
}

/* Takes what it can from a large block that is not FULL. */
static int fill_from(struct fill *f, u64 large, u32 least)
{
	DECLARE_BITMAP(free, 1 << HPM_MAX_LARGE_SHIFT);
	struct hpm_space *sp = &f->md->space;
	int r;

	if (hpm_get_state(sp, large) == HPM_LARGE_FREE && !sp->nr_aside) {
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

/* A returned error ends the search. */
static int look_in(struct fill *f, u64 large, u32 least)
{
	int r = fill_from(f, large, least);

	if (!r || is_passing(r))
		return r;
	set_aside(f->md, large, r);
	return ++f->unread < HPM_UNREAD_MAX ? 0 : r;
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
		r = look_in(f, large, least);
		if (r)
			return r;
		/* The next refill begins here, as the block may have more. */
		sp->cursor_part = f->want && f->room ? rd.at : large;
	}
	if (sp->nr_part)
		sp->look = f->got ? HPM_LOOK_MAX :
				    max_t(u32, HPM_LOOK_MIN, sp->look / 2);
	return 0;
}

static u64 find_free_large(struct hpm_md *md, unsigned int *unread)
{
	struct hpm_space *sp = &md->space;
	struct round rd = {
		.states = HPM_MAYBE_FREE,
		.at = sp->cursor_free,
		.left = sp->nr_large,
	};
	u64 large;

	if (!READ_ONCE(sp->nr_free_large))
		return HPM_LARGE_NONE;
	do {
		large = *unread < HPM_UNREAD_MAX ? round_next(sp, &rd) :
						   HPM_LARGE_NONE;
	} while (large != HPM_LARGE_NONE &&
		 (busy_in(sp, large) || !is_sound(md, large, unread)));
	sp->cursor_free = rd.at;
	return large;
}

static int fill_carve(struct fill *f)
{
	struct hpm_space *sp = &f->md->space;
	int r;

	if (sp->carved != HPM_LARGE_NONE &&
	    hpm_get_state(sp, sp->carved) <= HPM_LARGE_PART) {
		r = look_in(f, sp->carved, 1);
		if (r || f->got)
			return r;
	}
	sp->carved = find_free_large(f->md, &f->unread);
	return sp->carved == HPM_LARGE_NONE ? 0 : look_in(f, sp->carved, 1);
}

/*
 * The round has found nothing, so all that was free when it began is in what is
 * set aside.  If this were still counted as free, a caller that found nothing
 * would be told to try again for ever.
 */
static void write_off(struct hpm_space *sp, u64 nr)
{
	unsigned long flags;

	spin_lock_irqsave(&sp->lock, flags);
	if (sp->nr_aside)
		sp->lost += nr;
	spin_unlock_irqrestore(&sp->lock, flags);
}

static int fill_anything(struct fill *f)
{
	struct hpm_space *sp = &f->md->space;
	struct round rd = {
		.states = HPM_MAYBE_PART | HPM_MAYBE_FREE,
		.at = sp->cursor_part,
		.left = sp->nr_large,
	};
	u64 free = hpm_space_free_now(f->md), large;
	int r = 0;

	while (!r && !f->got && hpm_space_free_now(f->md)) {
		large = round_next(sp, &rd);
		if (large == HPM_LARGE_NONE) {
			write_off(sp, free);
			break;
		}
		r = look_in(f, large, 1);
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
	if (!f.got && !is_passing(r))
		r = fill_carve(&f);
	if (!f.got && !is_passing(r))
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
	unsigned int unread = 0;
	u64 large = find_free_large(md, &unread);
	unsigned long flags;

	if (large == HPM_LARGE_NONE)
		return -ENOSPC;
	hpm_busy_prepare(md);
	/* It is still free and not busy, as a change of either takes md->lock. */
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
