// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data space in memory: which blocks may be allocated now.
 *
 * The arrays on disk (space.c) say which small blocks are in use, as of the
 * last record that was applied.  Two kinds of blocks are free by the arrays but
 * must not be allocated:
 *
 *  reserved	Given to a writer, which will write to it, then record it.
 *		Allocation runs ahead of the records and is not recorded itself.
 *		After a crash there are no reservations.  The writes that they
 *		were for never became visible, so no block leaks, and there is
 *		nothing to replay.
 *
 *  freed	The count fell to zero, but the record that freed the block may
 *		not be durable yet, I/O on the block may be in flight, and the
 *		block may still be in an index or wait for its discard on the
 *		data device.  If it were allocated, a crash could bring back the
 *		old mapping to a block with the new owner's data, or a late
 *		write could overwrite these.
 *
 * Both kinds are "busy".  One bit is enough for both, as no block is of both
 * kinds: a reserved block has no count that could fall.  A block can be
 * allocated when it is free by the arrays and not busy, so at any time
 *
 *	allocatable = nr_blocks - used - nr_busy - lost
 *
 * except between the moment when the counts of reserved blocks are raised and
 * hpm_space_settle(): then the sum is too low by these blocks.
 *
 * "lost" is the number of free blocks in large blocks that are set aside.  Only
 * the counts that cannot be read tell this number.  So it is 0 until a search
 * of the whole device finds no free block although there should be some: then
 * it is the number of blocks that should have been free.
 *
 * The life of a block; each step and the change of its busy bit are one section
 * under space.lock:
 *
 *	allocatable -> stock -> taken -> counted up, settled -> in use
 *	in use -> counted down, in the open batch -> durable, taken by the
 *	commit -> drained, passed down -> hpm_free_done() -> allocatable
 *
 * Blocks become busy only under md->lock, with memory that was allocated before
 * anything is changed (spare_busy, spare).  They cease to be busy under
 * space.lock alone, which takes no memory, so bio completion may give blocks
 * back.
 */
#include "engine.h"
#include "busy.h"
#include "cost.h"

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

/*
 * Allocation reads it under md->lock alone, while bio completion gives blocks
 * back.
 */
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
	if (old == HPM_LARGE_ASIDE) {
		/*
		 * It may have held some of the lost blocks: the next search
		 * finds out.
		 */
		sp->nr_aside--;
		sp->lost = 0;
	}
	if (state == HPM_LARGE_ASIDE)
		sp->nr_aside++;
	if (old == HPM_LARGE_PART)
		sp->nr_part--;
	if (state == HPM_LARGE_PART)
		sp->nr_part++;
	if ((old == HPM_LARGE_FREE || state == HPM_LARGE_FREE) &&
	    !__hpm_busy_find(sp, large))
		__add_free_large(sp, state == HPM_LARGE_FREE ? 1 : -1);
}

/*----------------------------------------------------------------
 * Busy blocks.  Functions with the prefix __ need space.lock held.
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
	u64 taken = sp->used + sp->nr_busy + sp->lost;

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
 * Prepares batches with an extent for each run of @gone.  The room in the open
 * batch is not counted on: a commit may take that batch away at any moment.
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

/*
 * Returns the open batch, with room for one more extent; spare batches were
 * prepared.
 */
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
 * Moves batches whose records are durable to @out.  The caller needs no lock.
 *
 * Record numbers ascend along the list, and the open batch is the last.  It may
 * be taken in the middle of the record that is being applied: that record is
 * durable then, and readers find its change in the chains until it has been
 * applied.
 */
static void take_freed(struct hpm_md *md, u64 durable, struct list_head *out)
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

static void __count_freed(struct hpm_space *sp, s64 nr)
{
	WRITE_ONCE(sp->nr_freed, sp->nr_freed + nr);
}

void hpm_free_done(struct hpm_md *md, struct hpm_free_batch *b)
{
	struct hpm_space *sp = &md->space;
	unsigned long flags;
	unsigned int i;
	u64 nr = 0;

	for (i = 0; i < b->nr; i++) {
		nr += b->ext[i].nr;
		if (!hpm_fault(HPM_FAULT_REUSE_EARLY))
			busy_clear(md, b->ext[i].pbn, b->ext[i].nr);
	}
	spin_lock_irqsave(&sp->lock, flags);
	__count_freed(sp, -nr);
	spin_unlock_irqrestore(&sp->lock, flags);
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
		__count_freed(sp, nr);
		sp->used -= nr;
	}
	if (b && hpm_fault(HPM_FAULT_REUSE_EARLY))
		__busy_put(sp, b);
}

/*
 * A replay may make checkpoints before the space is loaded, and each checkpoint
 * has the number of blocks in use.  So this number is kept up to date from the
 * superblock's value.  Loading counts the blocks in use anew and computes the
 * rest.
 */
void hpm_space_account(struct hpm_md *md, u64 large, enum hpm_large_state state,
		       u32 gained, u32 lost, const unsigned long *gone)
{
	struct hpm_space *sp = &md->space;
	unsigned long flags;

	lockdep_assert_held(&md->lock);
	if (!sp->loaded) {
		/* The pool is not in use yet. */
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

/* Nothing else runs: the pool is being opened or closed. */
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
	sp->nr_aside = 0;
	sp->lost = 0;
	sp->nr_freed = 0;
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

/* md->lock held.  A tail that is smaller than a large block is left unused. */
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

/* There is no owner that could have I/O in flight on freed blocks. */
static void free_at_once(struct hpm_md *md, struct list_head *batches)
{
	struct hpm_free_batch *b, *next;

	list_for_each_entry_safe(b, next, batches, list) {
		list_del(&b->list);
		hpm_free_done(md, b);
	}
}

void hpm_hand_out_freed(struct hpm_md *md)
{
	u64 durable = READ_ONCE(md->journal.durable);
	LIST_HEAD(batches);

	if (hpm_fault(HPM_FAULT_DISCARD_EARLY))
		durable = U64_MAX;
	take_freed(md, durable, &batches);
	if (list_empty(&batches))
		return;

	if (md->ops && md->ops->drain)
		md->ops->drain(md->ctx, &batches);
	else
		free_at_once(md, &batches);
}
