// SPDX-License-Identifier: GPL-2.0-only
/*
 * Credits: reserve what a record needs before the record is made.
 *
 * A writer takes a credit before it locks anything.  A credit reserves room for
 * one record in the open batch, a place in the backlog between journal and
 * trees, and the most metadata blocks that the record may take.  So appending a
 * record never waits, and applying it never runs out of space half way.  And a
 * writer that must wait for a commit or a checkpoint holds nothing meanwhile
 * that the commit or the checkpoint could need.
 *
 * Why the blocks suffice
 * ----------------------
 * Let m be the number of credits that are out, including records that are not
 * applied.  A record takes at most C blocks for copies of blocks of the counts,
 * and at most P other blocks.  Let u be the number of blocks of the counts that
 * the open epoch has not copied yet, c the number of those that it has made,
 * and d the number of volumes whose elements the cut must write.  This holds at
 * any time:
 *
 *	free >= m * P + min(m * C, u) + c + 4 * d			(1)
 *
 * A credit is given only if (1) still holds with it and some blocks more stay
 * free (credit_floor()).  Applying a record preserves (1): a block of the
 * counts that it copies reduces u, one that it makes has been reserved twice, P
 * includes the four blocks of a volume that becomes dirty, and m falls by one.
 * Flushing a volume preserves it, too.  The cut sets u = n, the number of all
 * blocks of the counts, and c = 0.  If (1) does not hold then, no record may be
 * applied until more blocks are free: md->lock is kept until the checkpoint is
 * durable, and its superblock is written once more, over the older one
 * (checkpoint.c, settle()).  After that every block is free that is not in use.
 * These are the blocks that were free before the cut and, for each block of the
 * counts that had been copied (n - u - c of them), the old block: at least
 * m * P + min(m * C, u) + c + (n - u - c), so (1) holds.
 *
 * The upper halves of counts (space.c) are made when a count passes 2^15.  One
 * record may then need H new blocks for them, which can be hundreds.  If h of
 * these blocks are not made yet, the right side of (1) gets the term
 * 2 * min(m * H, h).  It falls by two for each such block that is made, while c
 * grows by one.  It is added only if a count can become that large, by the
 * number of the trees that exist and of the m records, which may add a tree
 * each; if not, none of the m records makes such a block.  That number does not
 * change when a record is applied, and a credit is given only if (1) holds with
 * the term.  A metadata snapshot keeps as many trees as there are volumes; they
 * are counted before (1) is tested (volume-ops.c, hold_fits()).  Deletes and
 * reclaims add no tree and only lower counts, so a credit for one of these
 * needs no such blocks.
 *
 * A replay applies in a single epoch what took one or more epochs at run time,
 * and it begins with the blocks that were free when the first of them began; it
 * needs no more than was needed then.
 *
 * The floors.  Let s be the number of free blocks when no credit is out and
 * checkpoints have settled.  A write reduces s by P at most, so a credit for a
 * write must leave 4 * P, besides C for the counts.  A credit for a discard
 * must leave 2 * P, as a discard need not give anything back in a tree that is
 * shared.  A credit for a delete must leave P if trees are dying: a delete
 * takes for good only a place in the list of dying trees, and a reclaim, which
 * takes nothing for good, can go on with what is left.  A delete that finds too
 * little space reclaims first (make_meta_room()).  So a full pool can be
 * emptied.  While a volume table is held, the blocks of the living table that
 * deletes copy are not given back, so writes and discards must leave as many
 * blocks as are shared, too (volume-apply.c).
 */
#include "engine.h"
#include "credit.h"
#include "refs.h"

void hpm_credit_progress(struct hpm_md *md)
{
	hpm_wake_waiters(&md->journal);
	/*
	 * What was returned is visible before the flag is read: pairs with
	 * hpm_credit_get().
	 */
	smp_mb();
	if (READ_ONCE(md->journal.credit_wanted)) {
		WRITE_ONCE(md->journal.credit_wanted, false);
		hpm_kick(md, HPM_KICK_CREDIT);
	}
}

/*
 * The blocks that upper halves of counts may take if @raise records raise
 * counts, each of them counted twice.
 */
static u64 high_need(struct hpm_md *md, u64 raise)
{
	const struct hpm_array *high = &md->array[HPM_ARR_SMALL_HI];
	u64 all = READ_ONCE(md->cost.high_all), made = READ_ONCE(high->nodes);

	if (likely(!hpm_counts_may_carry(md, raise)))
		return 0;
	return 2 * min_t(u64, raise * hpm_record_high(md), all - min(all, made));
}

/*
 * The free blocks in excess of what @out records may need, of which @raise
 * records may raise counts.
 */
static s64 meta_room(struct hpm_md *md, u64 out, u64 raise)
{
	u64 need = out * hpm_record_blocks(md) + high_need(md, raise);
	u64 counts = out * hpm_record_counts(md);

	need += min_t(u64, counts, READ_ONCE(md->counts_left));
	need += READ_ONCE(md->counts_made);
	need += (u64)READ_ONCE(md->nr_dirty_vols) * HPM_META_PER_VOLUME;
	/* What the newest record took: pairs with count_node(), count_dirty(). */
	smp_rmb();
	return (s64)READ_ONCE(md->refs.nr_free) - (s64)need;
}

/* The same for the credits that are out: any of their records may raise counts. */
static s64 room_beside(struct hpm_md *md)
{
	u64 out = atomic_read(&md->journal.in_flight);

	return meta_room(md, out, out);
}

bool hpm_credit_tight(struct hpm_md *md)
{
	/*
	 * The new epoch must be visible before the credits: pairs with
	 * hpm_credit_try().
	 */
	smp_mb();
	return room_beside(md) < 0;
}

/* Are there blocks that a checkpoint would make usable? */
bool hpm_room_to_gain(struct hpm_md *md)
{
	return hpm_refs_limbo(md) || READ_ONCE(md->nr_dirty_vols);
}

/* With room for this many records, a pool is not short of metadata space. */
#define META_AT_EASE	64

bool hpm_meta_short(struct hpm_md *md)
{
	return READ_ONCE(md->refs.nr_free) <
	       md->refs.reserve + hpm_record_blocks(md) * META_AT_EASE &&
	       hpm_room_to_gain(md);
}

static bool records_full(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;

	return READ_ONCE(j->next_record) - READ_ONCE(j->super_record) >
	       2 * HPM_CHECKPOINT_RECORDS;
}

/* The number of blocks that a credit for @use must leave free. */
static s64 credit_floor(struct hpm_md *md, enum hpm_credit_use use)
{
	u64 reserve = md->refs.reserve, blocks = hpm_record_blocks(md);

	switch (use) {
	case HPM_FOR_DATA:
	case HPM_FOR_WRITE:
		return max(reserve, 4 * blocks) + READ_ONCE(md->table_shared);
	case HPM_FOR_DISCARD:
		return max(reserve / 2, 2 * blocks) +
		       READ_ONCE(md->table_shared);
	case HPM_FOR_DELETE:
		/* If there is nothing to reclaim, nothing is kept for it. */
		return hpm_is_dying(md) ? blocks : 0;
	default:
		return 0;
	}
}

/*
 * Do writes of volumes leave enough to messages?  Their credits are returned
 * when their I/O ends, so if the owners of enough volumes throttle them, all
 * credits could be out.  On a small device, writes leave one eighth of the
 * space only, so that it can be filled.
 */
static bool leaves_kept(struct hpm_md *md, u64 out, s64 room, s64 floor)
{
	s64 each = (s64)(hpm_record_blocks(md) + hpm_record_counts(md));
	s64 high;

	if (room >= HPM_CREDITS_KEPT * each)
		return true;
	if (room < max_t(s64, (meta_room(md, 0, 0) - floor) >> 3, 0))
		return false;
	/*
	 * At least one message must fit, whose cost the upper halves of counts
	 * can raise.
	 */
	high = high_need(md, out + 1);
	return !high || room >= each + high - (s64)high_need(md, out);
}

/* Is there metadata space for @out records, one of them for @use? */
bool hpm_credit_has_meta(struct hpm_md *md, u64 out, enum hpm_credit_use use)
{
	s64 floor = credit_floor(md, use), room;
	/* A delete or a reclaim only lowers counts. */
	u64 lowers = use >= HPM_FOR_DELETE;

	room = meta_room(md, out, out - lowers) - floor;

	return use == HPM_FOR_DATA ? leaves_kept(md, out, room, floor) : room >= 0;
}

static unsigned int credits_kept(struct hpm_md *md, enum hpm_credit_use use)
{
	return use == HPM_FOR_DATA ? md->journal.kept : 0;
}

/* @out: the credits that are out, including the @n that are asked for. */
static enum hpm_credit_wall credit_wall(struct hpm_md *md, unsigned int n,
					unsigned int out,
					enum hpm_credit_use use)
{
	unsigned int kept = credits_kept(md, use);
	struct hpm_journal *j = &md->journal;

	if (out + kept > HPM_MAX_BACKLOG)
		return CREDIT_BACKLOG;
	if (records_full(md))
		return CREDIT_RING;
	if (!hpm_credit_has_meta(md, out, use))
		return CREDIT_META;
	if (atomic_sub_return(n, &j->room) < (int)kept) {
		atomic_add(n, &j->room);
		return CREDIT_BATCH;
	}
	return CREDIT_FREE;
}

/*
 * Adds to the count first and looks afterwards: if several callers do this at
 * once, the last of them sees the credits of all.  A caller that is refused may
 * have caused another to be refused; but that one has kicked a worker, which
 * wakes it again.
 */
enum hpm_credit_wall hpm_credit_try(struct hpm_md *md, unsigned int n,
				    enum hpm_credit_use use)
{
	struct hpm_journal *j = &md->journal;
	enum hpm_credit_wall wall;

	wall = credit_wall(md, n, atomic_add_return(n, &j->in_flight), use);
	if (unlikely(wall != CREDIT_FREE))
		atomic_sub(n, &j->in_flight);
	return wall;
}

u64 hpm_credit_spare(struct hpm_md *md)
{
	s64 room = room_beside(md) - credit_floor(md, HPM_FOR_WRITE);

	return max_t(s64, room, 0);
}

static void credit_kick(struct hpm_md *md, enum hpm_credit_wall wall)
{
	hpm_kick(md, HPM_KICK_APPLY);
	if (wall == CREDIT_BATCH)
		hpm_kick(md, HPM_KICK_COMMIT);
	else if (wall == CREDIT_RING ||
		 (wall == CREDIT_META && hpm_room_to_gain(md)))
		hpm_kick(md, HPM_KICK_CHECKPOINT);
}

int hpm_credit_get(struct hpm_md *md, unsigned int n, enum hpm_credit_use use)
{
	enum hpm_credit_wall wall;

	if (READ_ONCE(md->mode) >= HPM_MODE_READ_ONLY)
		return -EROFS;
	wall = hpm_credit_try(md, n, use);
	if (likely(wall == CREDIT_FREE)) {
		struct hpm_journal *j = &md->journal;

		if (unlikely(READ_ONCE(j->next_record) -
			     READ_ONCE(j->super_record) >
			     HPM_CHECKPOINT_RECORDS))
			hpm_kick(md, HPM_KICK_CHECKPOINT);
		return 0;
	}
	/* Set the flag, then try again, so that progress in between is not lost. */
	WRITE_ONCE(md->journal.credit_wanted, true);
	/* Pairs with hpm_credit_progress(). */
	smp_mb();
	wall = hpm_credit_try(md, n, use);
	if (wall == CREDIT_FREE)
		return 0;
	credit_kick(md, wall);
	return -EAGAIN;
}

/* A volume that has @held credits out must leave as many to others. */
static enum hpm_credit_wall fair_wall(struct hpm_md *md, unsigned int held)
{
	unsigned int n = held + 1, kept = md->journal.kept;
	unsigned int out = atomic_read(&md->journal.in_flight) + n;

	if (out + kept > HPM_MAX_BACKLOG)
		return CREDIT_BACKLOG;
	if (atomic_read(&md->journal.room) < (int)(n + kept))
		return CREDIT_BATCH;
	if (!hpm_credit_has_meta(md, out, HPM_FOR_DATA))
		return CREDIT_META;
	return CREDIT_FREE;
}

int hpm_credit_get_fair(struct hpm_md *md, unsigned int held)
{
	enum hpm_credit_wall wall = held ? fair_wall(md, held) : CREDIT_FREE;

	if (likely(wall == CREDIT_FREE))
		return hpm_credit_get(md, 1, HPM_FOR_DATA);
	/* Kick only if others would have to wait, too. */
	if (fair_wall(md, 0) != CREDIT_FREE)
		credit_kick(md, wall);
	return -EBUSY;
}

void hpm_credit_put(struct hpm_md *md, unsigned int n)
{
	atomic_add(n, &md->journal.room);
	atomic_sub(n, &md->journal.in_flight);
	hpm_credit_progress(md);
}
