// SPDX-License-Identifier: GPL-2.0-only
/* Stocks: reserved small blocks that an owner can take from in any context. */
#include "engine.h"
#include "busy.h"

void hpm_stock_init(struct hpm_stock *st)
{
	memset(st, 0, sizeof(*st));
	spin_lock_init(&st->lock);
}

/* The fill level is also read without the lock. */
static void __stock_count(struct hpm_stock *st, unsigned int nr, u32 blocks)
{
	WRITE_ONCE(st->nr, nr);
	WRITE_ONCE(st->blocks, blocks);
}

/* Prefers the smallest extent that is large enough, or else the largest one. */
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

/* Extents are not joined across the boundaries of large blocks. */
static bool adjacent(struct hpm_stock *st, const struct hpm_extent *a,
		     const struct hpm_extent *b)
{
	return st->md && a->pbn + a->nr == b->pbn &&
	       b->pbn & (st->md->large_size - 1);
}

/* Moves all extents of the stock that are adjacent to @e into @e. */
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

/* If all extents are in use, @e becomes the smallest of them and itself. */
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
 * No block is lost if the stock is full: blocks cease to be busy without memory
 * and without sleeping, so what does not fit becomes allocatable again.
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
	/*
	 * A full stock that was never refilled was given blocks that came from
	 * no stock.
	 */
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
