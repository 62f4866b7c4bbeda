// SPDX-License-Identifier: GPL-2.0-only
/*
 * The applier: applies published records to the trees, in the order of their
 * numbers, and then removes the changes from the chains that readers search
 * before the tree (change.c).
 */
#include "engine.h"
#include "applier.h"
#include "apply.h"
#include "audit.h"
#include "busy.h"
#include "change.h"
#include "credit.h"
#include "journal.h"

static void set_stuck(struct hpm_md *md, int err)
{
	if (md->stuck)
		return;
	md->stuck = true;
	hpm_md_fail(md, HPM_MODE_READ_ONLY, "a record could not be applied",
		    err);
}

static int apply_one(struct hpm_md *md, const struct hpm_disk_record *rec,
		     u64 record)
{
	int r;

	if (md->stuck)
		return -EIO;
	md->space.record = record;
	hpm_audit_begin(md);
	r = hpm_apply_record(md, rec);
	hpm_audit_end(md, rec);
	if (r)
		set_stuck(md, r);
	else	/* its effects become visible first: __snap_pending() */
		smp_store_release(&md->journal.applied, record);
	return r;
}

/* Returns the credit of a record that was applied. */
static void credit_used(struct hpm_journal *j)
{
	/* What the record took must be visible first: pairs with hpm_credit_try(). */
	smp_mb__before_atomic();
	atomic_dec(&j->in_flight);
}

/* The oldest published change, if its number is not above @record. */
static struct hpm_change *fifo_pop(struct hpm_journal *j, u64 record)
{
	struct hpm_change *c;
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	c = list_first_entry_or_null(&j->fifo, struct hpm_change, fifo);
	if (c && c->record > record)
		c = NULL;
	if (c)
		list_del_init(&c->fifo);
	spin_unlock_irqrestore(&j->lock, flags);
	return c;
}

static void fifo_unpop(struct hpm_journal *j, struct hpm_change *c)
{
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	list_add(&c->fifo, &j->fifo);
	spin_unlock_irqrestore(&j->lock, flags);
}

static int apply_changes(struct hpm_md *md, u64 record)
{
	struct hpm_journal *j = &md->journal;
	union hpm_record_buf buf;
	struct hpm_change *c;
	LIST_HEAD(done);
	int r = 0;

	while (!r && (c = fifo_pop(j, record))) {
		hpm_change_record(c, &buf);
		r = apply_one(md, &buf.rec, c->record);
		if (r) {
			/*
			 * The change stays in the chains, so readers still find
			 * it.
			 */
			fifo_unpop(j, c);
		} else {
			hpm_change_retire(c);
			list_add(&c->fifo, &done);
			credit_used(j);
		}
	}
	hpm_changes_free(&done);
	return r;
}

static bool __snap_pending(struct hpm_journal *j)
{
	/*
	 * A caller that sees it applied also sees its effects, even without
	 * md->lock.
	 */
	return j->snap.record > smp_load_acquire(&j->applied);
}

u64 hpm_snap_pending(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	unsigned long flags;
	u64 record;

	spin_lock_irqsave(&j->lock, flags);
	record = __snap_pending(j) ? j->snap.record : 0;
	spin_unlock_irqrestore(&j->lock, flags);
	return record;
}

/*
 * A pending snapshot is included, and is not counted twice while it is being
 * applied.  The next snapshot cannot be prepared before this lock is released.
 */
void hpm_snap_stats(struct hpm_md *md, struct hpm_md_stats *st)
{
	struct hpm_journal *j = &md->journal;
	unsigned long flags;
	bool pending;

	spin_lock_irqsave(&j->lock, flags);
	pending = __snap_pending(j);
	if (pending) {
		st->time = j->snap.time;
		st->nr_volumes = j->snap.nr_volumes;
	} else {
		/* For display: a record may be being applied at this moment. */
		st->time = data_race(md->time);
		/* Likewise. */
		st->nr_volumes = data_race(md->nr_volumes);
	}
	spin_unlock_irqrestore(&j->lock, flags);
}

int hpm_apply_upto(struct hpm_md *md, u64 record)
{
	u64 snap = hpm_snap_pending(md);
	int r = 0;

	lockdep_assert_held(&md->lock);
	if (md->stuck)
		return -EIO;
	if (snap && snap <= record) {
		r = apply_changes(md, snap - 1);
		if (!r)
			r = apply_one(md, &md->journal.snap.buf.rec, snap);
		if (!r)
			credit_used(&md->journal);
	}
	return r ? r : apply_changes(md, record);
}

int hpm_apply_snap_pending(struct hpm_md *md)
{
	u64 snap = hpm_snap_pending(md);

	return snap ? hpm_apply_upto(md, snap) : 0;
}

/*
 * The most records that are applied under one hold of md->lock.  A record takes
 * 0.15 ms if it must copy a leaf, and messages wait for the lock.
 */
#define APPLY_STRETCH	4

int hpm_md_apply(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	u64 goal = READ_ONCE(j->next_record) - 1, applied;
	int r;

	do {
		mutex_lock(&md->lock);
		applied = READ_ONCE(j->applied);
		r = hpm_apply_upto(md, min(goal, applied + APPLY_STRETCH));
		applied = READ_ONCE(j->applied);
		mutex_unlock(&md->lock);
		hpm_credit_progress(md);
		cond_resched();
	} while (!r && applied < goal);
	hpm_hand_out_freed(md);
	if (hpm_meta_short(md) ||
	    /*
	     * An approximate value will do: the checkpoint may come a little
	     * early or late.
	     */
	    data_race(md->nodes.nr_dirty) > READ_ONCE(md->nodes.limit) / 2)
		hpm_kick(md, HPM_KICK_CHECKPOINT);
	return r;
}

/* The record has a number, so its credit is used even if it cannot be applied. */
static int apply_numbered(struct hpm_md *md, union hpm_record_buf *buf,
			  u64 record)
{
	int r = hpm_apply_upto(md, record);

	if (!r)
		r = apply_one(md, &buf->rec, record);
	credit_used(&md->journal);
	return r;
}

int hpm_record_now(struct hpm_md *md, union hpm_record_buf *buf)
{
	struct hpm_journal *j = &md->journal;
	unsigned long flags;
	u64 record;

	lockdep_assert_held(&md->lock);
	spin_lock_irqsave(&j->lock, flags);
	record = hpm_journal_add(md, buf);
	spin_unlock_irqrestore(&j->lock, flags);
	return apply_numbered(md, buf, record);
}

int hpm_record_next(struct hpm_md *md, union hpm_record_buf *buf)
{
	struct hpm_journal *j = &md->journal;
	unsigned long flags;
	u64 record = 0;

	lockdep_assert_held(&md->lock);
	spin_lock_irqsave(&j->lock, flags);
	if (j->next_record == j->applied + 1)
		record = hpm_journal_add(md, buf);
	spin_unlock_irqrestore(&j->lock, flags);
	return record ? apply_numbered(md, buf, record) : -EAGAIN;
}

int hpm_apply_all(struct hpm_md *md)
{
	return hpm_apply_upto(md, READ_ONCE(md->journal.next_record) - 1);
}
