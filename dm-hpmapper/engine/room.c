// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making room: waiting for a credit, and reclaiming dying trees.
 *
 * The two call each other: a step of a reclaim is a record, which needs a
 * credit, and a caller that waits for a credit reclaims if metadata space is
 * short.
 */
#include "engine.h"
#include "applier.h"
#include "busy.h"
#include "checkpoint.h"
#include "credit.h"
#include "dying.h"
#include "journal.h"
#include "map.h"
#include "room.h"
#include "volume-apply.h"

/* A waiter that missed a wake-up looks again after this time. */
#define CREDIT_NAP	(HZ / 50)

/*
 * Waits until a credit that is out is returned, or until a new record can be
 * applied.  Returns false if no credit is out or, in user space, if nobody
 * could return one.
 */
static bool wait_for_others(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	u64 next = READ_ONCE(j->next_record);
	int out = atomic_read(&j->in_flight);

	if (!out)
		return false;
	return wait_event_timeout(j->credit_wq,
				  atomic_read(&j->in_flight) < out ||
				  READ_ONCE(j->next_record) != next,
				  CREDIT_NAP) || HPM_OTHERS_RUN;
}

/* A caller that waits for a credit. */
struct credit_wanted {
	unsigned int n;
	enum hpm_credit_use use;
	unsigned int naps;
};

/* The number of waits for others after which a caller gives up. */
#define CREDIT_NAPS	4

/*
 * The credits of others are returned when their I/O ends, which can take as
 * long as their io.max makes it.  The caller may hold what others need, so it
 * does not wait for long: it returns, lets go of everything and begins again.
 */
static int nap(struct hpm_md *md, struct credit_wanted *want)
{
	if (HPM_OTHERS_RUN && want->naps++ >= CREDIT_NAPS)
		return -ERESTART;
	return wait_for_others(md) ? 0 : -ENOSPC;
}

/*
 * Metadata space is short.  A checkpoint makes the blocks usable that were
 * given back in the last epochs.  If there are no such blocks and nothing is
 * dying, a checkpoint gains nothing.  Then all that helps is to wait for the
 * credits that are out: how much of its reservation a record leaves unused is
 * known only when the record is applied or its credit is returned.  The device
 * is full if the space would not suffice even with all credits returned.
 */
static int make_meta_room(struct hpm_md *md, struct credit_wanted *want)
{
	int r = hpm_md_apply(md);

	if (r)
		return r;
	if (hpm_room_to_gain(md))
		return hpm_md_make_room(md);
	if (want->use != HPM_FOR_RECLAIM && hpm_is_dying(md)) {
		r = hpm_md_reclaim_step(md);
		if (r != -ENOSPC)
			return min(r, 0);
	}
	if (!hpm_credit_has_meta(md, want->n, want->use))
		return -ENOSPC;
	/* If no credit is out, there is room by now. */
	if (!atomic_read(&md->journal.in_flight))
		return 0;
	return nap(md, want);
}

static int clear_wall(struct hpm_md *md, enum hpm_credit_wall wall,
		      struct credit_wanted *want)
{
	int r;

	switch (wall) {
	case CREDIT_BATCH:
		return hpm_md_commit(md);
	case CREDIT_META:
		return make_meta_room(md, want);
	case CREDIT_RING:
		r = hpm_md_apply(md);
		return r ? r : hpm_md_checkpoint(md);
	default:
		return hpm_md_apply(md);
	}
}

/* Does by itself what hpm_credit_get() asks workers for. */
int hpm_credit_wait(struct hpm_md *md, unsigned int n, enum hpm_credit_use use)
{
	struct credit_wanted want = { .n = n, .use = use };
	enum hpm_credit_wall wall, last = CREDIT_FREE;
	int r;

	do {
		if (READ_ONCE(md->mode) >= HPM_MODE_READ_ONLY)
			return -EROFS;
		wall = hpm_credit_try(md, n, use);
		if (wall == CREDIT_FREE)
			return 0;
		/* The step for the same reason has not helped. */
		if (wall == last && wall != CREDIT_META &&
		    nap(md, &want) == -ERESTART)
			return -ERESTART;
		last = wall;
		r = clear_wall(md, wall, &want);
		cond_resched();
	} while (!r);
	return r;
}

int hpm_change_refuse(struct hpm_md *md, int err)
{
	mutex_unlock(&md->lock);
	hpm_credit_put(md, 1);
	return err;
}

/* Attempts to record a step before anything else is published. */
#define LET_GO_TRIES	8

/*
 * The bound must fit the state in which the record is applied.  But writes are
 * published without md->lock, and each may separate a leaf of the living table
 * from the held one, and a tree from its copy, so that one more tree dies.  If
 * such writes do not stop, the step gets a bound for which they make no
 * difference.  Drops md->lock, and the credit on failure, like
 * hpm_change_refuse().
 */
static int let_go_record(struct hpm_md *md)
{
	union hpm_record_buf buf;
	unsigned int tries = 0;
	bool few;
	u64 to;
	int r;

	do {
		few = tries++ == LET_GO_TRIES;
		r = hpm_apply_all(md);
		if (!r)
			r = few ? hpm_let_go_few(md, &to) : hpm_let_go_bound(md, &to);
		if (r)
			return hpm_change_refuse(md, r);
		hpm_record_init(&buf, HPM_REC_RECLAIM, 0, to);
		r = few ? hpm_record_now(md, &buf) : hpm_record_next(md, &buf);
	} while (r == -EAGAIN);
	mutex_unlock(&md->lock);
	return r ? r : 1;
}

/* How long a caller waits before it is told to try again, if nothing changes. */
#define LET_GO_NAP	(HZ / 50)

/*
 * A snapshot stays prepared until the writes to its origin have ended, which
 * can take as long as their io.max makes it.  There is more to give back, so
 * the caller tries again; this waits a little first.
 */
static int let_go_later(struct hpm_md *md)
{
	wait_event_timeout(md->journal.credit_wq,
			   !READ_ONCE(md->snap_prepared), LET_GO_NAP);
	return -ERESTART;
}

/* One step of letting a held table go, when no tree is dying. */
static int let_go_step(struct hpm_md *md)
{
	int r = hpm_credit_wait(md, 1, HPM_FOR_RECLAIM);

	if (r)
		return r;
	mutex_lock(&md->lock);
	if (!md->letting_go || md->stuck || !hpm_dying_room(md, HPM_LET_GO_TREES))
		return hpm_change_refuse(md, md->stuck ? -EIO : !!md->letting_go);
	/* A prepared snapshot has taken the next serial: snapshot_prepare(). */
	if (smp_load_acquire(&md->snap_prepared)) {
		hpm_change_refuse(md, 0);
		return let_go_later(md);
	}
	return let_go_record(md);
}

/* One step of giving a dying tree back. */
static int reclaim_step(struct hpm_md *md)
{
	union hpm_record_buf buf;
	struct hpm_dying *d;
	u64 to;
	int r = hpm_credit_wait(md, 1, HPM_FOR_RECLAIM);

	if (r)
		return r;
	mutex_lock(&md->lock);
	d = list_first_entry_or_null(&md->dying, struct hpm_dying, list);
	if (!d || md->stuck)
		return hpm_change_refuse(md, d ? -EIO : !!md->letting_go);
	r = hpm_map_reclaim_bound(md, d->root, d->cursor, &to);
	if (r)
		return hpm_change_refuse(md, r);
	hpm_record_init(&buf, HPM_REC_RECLAIM, d->serial, to);
	r = hpm_record_now(md, &buf);
	mutex_unlock(&md->lock);
	return r ? r : 1;
}

/*
 * A record is in the journal before it is applied, so a commit can write it in
 * between.  That commit finds no freed blocks to hand out, and there may be no
 * other commit.  So whoever applies the record hands them out as well.
 */
int hpm_md_reclaim_step(struct hpm_md *md)
{
	int r = 0;

	if (!list_empty(&md->dying))
		r = reclaim_step(md);
	else if (READ_ONCE(md->letting_go))
		r = let_go_step(md);
	hpm_hand_out_freed(md);
	return r;
}
