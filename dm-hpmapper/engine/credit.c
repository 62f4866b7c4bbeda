// SPDX-License-Identifier: GPL-2.0-only
/*
 * Credits: what a record will need is kept for it before there is a record.
 *
 * A writer takes a credit before it locks anything.  A credit is room for one
 * record in the open batch, a place in the backlog between journal and trees,
 * and the metadata blocks that the record may take at the worst.  So appending
 * never waits and applying never runs out of space half way; and a writer that
 * has to wait for a commit or a checkpoint waits for it with nothing in its
 * hands that the commit or the checkpoint could need.
 *
 * Why the blocks suffice
 * ----------------------
 * With m credits out (records not applied included), a record taking at most P
 * blocks that are no copies of blocks of the counts and C that are, u blocks of
 * the counts that the open epoch has not copied yet, c that it has made, and d
 * volumes whose elements the cut has to write, this holds at any time:
 *
 *	free >= m * P + min(m * C, u) + c + 4 * d			(1)
 *
 * A credit is given only if it holds with it, and some more (credit_floor()).
 * Applying a record keeps it: what it copies of the counts leaves u, what it
 * makes there is paid for twice, a volume that becomes dirty has its four; and P
 * goes, for it is not out any more.  Flushing a volume keeps it.  The cut makes
 * u = n, all blocks of the counts, and c = 0.  If (1) does not hold then, nothing
 * may be applied before there is more: md->lock is kept until the checkpoint is
 * durable, and its superblock is written once more, over the older one (checkpoint.c,
 * settle()).  Then all is free that is not in use.  That is what was free before the
 * cut, and for each block of the counts that had been copied, n - u - c of them, the
 * old one: at least m * P + min(m * C, u) + c + (n - u - c), so (1) holds.
 *
 * The upper halves of counts (space.c) come to be when a count passes 2^15, and one
 * record may then need H new blocks for them, hundreds.  With h of them not made yet,
 * 2 * min(m * H, h) is added to the right side, which falls by two for each that is
 * made, and that adds one to c.  It is added only if the trees that there are and the
 * m records that may add one each can be so many that a count gets there: otherwise
 * none of the m makes such a block.  That sum does not change when a record is
 * applied, and a credit is given only if (1) holds with it; a metadata snapshot, which
 * keeps as many trees as there are volumes, is counted before (1) is looked at
 * (volume-ops.c, hold_fits()).  What deletes and reclaims do adds no tree and only lowers
 * counts, so none is kept for the one that asks.
 *
 * A replay runs in one epoch what the records took one epoch or more to do, from
 * what was free when the epoch began; it needs no more than they did.
 *
 * The floors.  Let s be what is free when nothing is out and checkpoints have
 * settled.  After a write s is no less than it was at the credit, but for P: so
 * four P are left, beside C for the counts.  A discard leaves two, and needs not
 * give anything back, in a tree that is shared.  A delete leaves one if trees are
 * dying: what it takes for good is a place in the list of dying trees, and a
 * reclaim, which takes nothing for good, can go on by what is left.  One that
 * finds too little reclaims (make_meta_room()).  So a full pool can be emptied.
 * While a volume table is held, what deletes copy of the living one stays copied:
 * so all of it that is shared is left, too (volume-apply.c).
 */
#include "engine.h"
#include "credit.h"
#include "refs.h"

void hpm_credit_progress(struct hpm_md *md)
{
	hpm_wake_waiters(&md->journal);
	/* What came back before who wants it: pairs with hpm_credit_get(). */
	smp_mb();
	if (READ_ONCE(md->journal.credit_wanted)) {
		WRITE_ONCE(md->journal.credit_wanted, false);
		hpm_kick(md, HPM_KICK_CREDIT);
	}
}

/* What upper halves of counts may take that @raise records raise, each twice. */
static u64 high_need(struct hpm_md *md, u64 raise)
{
	const struct hpm_array *high = &md->array[HPM_ARR_SMALL_HI];
	u64 all = READ_ONCE(md->cost.high_all), made = READ_ONCE(high->nodes);

	if (likely(!hpm_counts_may_carry(md, raise)))
		return 0;
	return 2 * min_t(u64, raise * hpm_record_high(md), all - min(all, made));
}

/*
 * Blocks that may be had at once, in excess of what @out records may need, @raise of
 * them such that raise counts.
 */
static s64 meta_room(struct hpm_md *md, u64 out, u64 raise)
{
	u64 need = out * hpm_record_blocks(md) + high_need(md, raise);
	u64 counts = out * hpm_record_counts(md);

	need += min_t(u64, counts, READ_ONCE(md->counts_left));
	need += READ_ONCE(md->counts_made);
	need += (u64)READ_ONCE(md->nr_dirty_vols) * HPM_META_PER_VOLUME;
	/* What a record took last: pairs with count_node(), count_dirty(). */
	smp_rmb();
	return (s64)READ_ONCE(md->refs.nr_free) - (s64)need;
}

/* Those that are out: any of them may raise counts. */
static s64 room_beside(struct hpm_md *md)
{
	u64 out = atomic_read(&md->journal.in_flight);

	return meta_room(md, out, out);
}

bool hpm_credit_tight(struct hpm_md *md)
{
	/* The new epoch before the credits: pairs with hpm_credit_try(). */
	smp_mb();
	return room_beside(md) < 0;
}

/* Could a checkpoint gain anything? */
bool hpm_room_to_gain(struct hpm_md *md)
{
	return hpm_refs_limbo(md) || READ_ONCE(md->nr_dirty_vols);
}

/* Records that a pool has room for while nobody need worry. */
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

/* What must stay free beside the record that asks. */
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
		/* With nothing to reclaim there is nothing to keep it for. */
		return hpm_is_dying(md) ? blocks : 0;
	default:
		return 0;
	}
}

/*
 * What writes of volumes leave to messages: their credits come back when their I/O
 * ends, and with enough volumes whose owners throttle them all would be out.  Of a
 * small device it is an eighth of what there is, so that it can be filled.
 */
static bool leaves_kept(struct hpm_md *md, u64 out, s64 room, s64 floor)
{
	s64 each = (s64)(hpm_record_blocks(md) + hpm_record_counts(md));
	s64 high;

	if (room >= HPM_CREDITS_KEPT * each)
		return true;
	if (room < max_t(s64, (meta_room(md, 0, 0) - floor) >> 3, 0))
		return false;
	/* One message, at least, that upper halves of counts make dear. */
	high = high_need(md, out + 1);
	return !high || room >= each + high - (s64)high_need(md, out);
}

/* Is there metadata for @out records, one of @use among them? */
bool hpm_credit_has_meta(struct hpm_md *md, u64 out, enum hpm_credit_use use)
{
	s64 floor = credit_floor(md, use), room;
	/* What gives back only lowers counts. */
	u64 lowers = use >= HPM_FOR_DELETE;

	room = meta_room(md, out, out - lowers) - floor;

	return use == HPM_FOR_DATA ? leaves_kept(md, out, room, floor) : room >= 0;
}

static unsigned int credits_kept(struct hpm_md *md, enum hpm_credit_use use)
{
	return use == HPM_FOR_DATA ? md->journal.kept : 0;
}

/* @out: the credits that are out, with the @n that are asked for. */
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
 * Adds first and looks afterwards: however many do so at a time, the last of
 * them sees the credits of all.  One that is turned away has perhaps turned
 * away another; whoever that was, has kicked somebody who wakes it again.
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
	/* Announce first, try again after: progress in between is not lost. */
	WRITE_ONCE(md->journal.credit_wanted, true);
	/* Pairs with hpm_credit_progress(). */
	smp_mb();
	wall = hpm_credit_try(md, n, use);
	if (wall == CREDIT_FREE)
		return 0;
	credit_kick(md, wall);
	return -EAGAIN;
}

/* Whoever has many out leaves as many to others. */
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
	/* Not only for its own sake: others would have to wait as well. */
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
