// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of a volume's map, from the writer to the tree.
 *
 * A struct hpm_change has three states in turn.  A locked change keeps its
 * range of virtual blocks for one writer.  Other writers that want a part of
 * the range queue on it, so two writers of one block never both start from the
 * same old state.  A published change is a record in the open batch, and
 * readers find it before they search the tree.  When it is applied, the tree
 * has its mapping, and it is removed from the chains.
 *
 * Publishing takes the volume's lock and, inside it, the journal's: so records
 * are numbered, seen by readers and applied in the same order.
 *
 * Short runs, which lie inside sixteen aligned small blocks, are in one set of
 * hash chains; longer runs, inside one large block, are in another.  A reader
 * searches both, or none if the volume has no changes.
 */
#include "engine.h"
#include "change.h"
#include "credit.h"
#include "journal.h"

/*----------------------------------------------------------------
 * The chains
 *--------------------------------------------------------------*/

static bool change_is_short(const struct hpm_change *c)
{
	return c->vbn >> HPM_SMALL_RUN_SHIFT ==
	       (c->vbn + c->nr - 1) >> HPM_SMALL_RUN_SHIFT;
}

static struct hlist_head *small_chain(struct hpm_vol *vol, u64 vbn)
{
	return &vol->changes->small[(vbn >> HPM_SMALL_RUN_SHIFT) %
				    HPM_SMALL_BUCKETS];
}

static struct hlist_head *large_chain(struct hpm_vol *vol, u64 vbn)
{
	return &vol->changes->large[(vbn >> vol->md->large_shift) %
				    HPM_LARGE_BUCKETS];
}

static bool overlaps(const struct hpm_change *c, u64 vbn, u64 nr)
{
	return c->vbn < vbn + nr && vbn < c->vbn + c->nr;
}

/* Does a published change of this type map or unmap blocks? */
static bool maps(u8 type)
{
	return type == HPM_REC_MAP || type == HPM_REC_LARGE ||
	       type == HPM_REC_UNMAP || type == HPM_REC_MOVE;
}

/*
 * What look-ups find in a chain: the newest change at @vbn, and where the next
 * begins.
 */
struct chain_view {
	const struct hpm_change *at;
	u64 next;
};

static void view_chain(struct hlist_head *chain, u64 vbn, struct chain_view *v)
{
	struct hpm_change *c;

	hlist_for_each_entry_rcu(c, chain, hash) {
		/*
		 * The state must be read before the record number:
		 * hpm_change_publish().
		 */
		if (smp_load_acquire(&c->state) != HPM_CHANGE_PUBLISHED ||
		    !maps(c->type))
			continue;
		if (c->vbn > vbn)
			v->next = min(v->next, c->vbn);
		else if (c->vbn + c->nr > vbn &&
			 (!v->at || c->record > v->at->record))
			v->at = c;
	}
}

/* If the volume has changes, one look-up goes no further than this. */
#define LOOK_AHEAD	256u

static void view_range(struct hpm_vol *vol, u64 vbn, u32 max,
		       struct chain_view *v)
{
	u64 at, end = vbn + max;

	for (at = vbn; at < end && at < v->next;
	     at = round_down(at, 1ULL << HPM_SMALL_RUN_SHIFT) +
		  (1ULL << HPM_SMALL_RUN_SHIFT))
		view_chain(small_chain(vol, at), vbn, v);
	for (at = vbn; at < end && at < v->next;
	     at = round_down(at, (u64)vol->md->large_size) +
		  vol->md->large_size)
		view_chain(large_chain(vol, at), vbn, v);
}

bool hpm_changes_lookup(struct hpm_vol *vol, u64 vbn, u32 *max,
			struct hpm_run *run)
{
	struct chain_view v = { .next = U64_MAX };

	if (!atomic_read(&vol->nr_changes)) {
		/* Pairs with hpm_change_retire(). */
		smp_rmb();
		return false;
	}
	*max = min(*max, LOOK_AHEAD);
	view_range(vol, vbn, *max, &v);
	if (v.next - vbn < *max)
		*max = v.next - vbn;
	if (!v.at) {
		/* Pairs with hpm_change_retire(). */
		smp_rmb();
		return false;
	}
	*run = (struct hpm_run){
		.nr = min_t(u64, *max, v.at->vbn + v.at->nr - vbn),
		.mapped = v.at->type != HPM_REC_UNMAP,
		.pbn = v.at->pbn + (vbn - v.at->vbn),
	};
	run->shared = run->mapped &&
		      v.at->record < READ_ONCE(vol->seen_record);
	return true;
}

/*----------------------------------------------------------------
 * Locking, publishing, giving up
 *--------------------------------------------------------------*/

struct hpm_change *hpm_change_alloc(struct hpm_md *md, gfp_t gfp)
{
	struct hpm_change *c;

	/* A caller that may sleep can be in writeback, which must not fail. */
	if (gfp & __GFP_DIRECT_RECLAIM)
		gfp |= __GFP_NOFAIL;
	c = kmem_cache_alloc(md->change_cache, gfp);
	if (!c)
		return NULL;
	INIT_HLIST_NODE(&c->hash);
	INIT_LIST_HEAD(&c->fifo);
	INIT_LIST_HEAD(&c->waiters);
	c->md = md;
	c->vol = NULL;
	c->old = 0;
	c->record = 0;
	c->state = HPM_CHANGE_IDLE;
	return c;
}

void hpm_change_free(struct hpm_md *md, struct hpm_change *c)
{
	kmem_cache_free(md->change_cache, c);
}

/* Frees the change and those that are linked to it. */
static void change_free_rcu(struct rcu_head *head)
{
	struct hpm_change *c = container_of(head, struct hpm_change, rcu);
	struct hpm_change *other, *next;

	list_for_each_entry_safe(other, next, &c->fifo, fifo)
		hpm_change_free(c->md, other);
	hpm_change_free(c->md, c);
}

void hpm_changes_free(struct list_head *list)
{
	struct hpm_change *c;

	c = list_first_entry_or_null(list, struct hpm_change, fifo);
	if (!c)
		return;
	list_del_init(list);
	call_rcu(&c->rcu, change_free_rcu);
}

static struct hpm_change *chain_conflict(struct hlist_head *chain, u64 vbn,
					 u64 nr)
{
	struct hpm_change *c;

	hlist_for_each_entry(c, chain, hash)
		if (c->state == HPM_CHANGE_LOCKED && overlaps(c, vbn, nr))
			return c;
	return NULL;
}

static struct hpm_change *find_conflict(struct hpm_change *c)
{
	struct hpm_change *other;
	u64 at, end = c->vbn + c->nr;

	other = chain_conflict(large_chain(c->vol, c->vbn), c->vbn, c->nr);
	for (at = c->vbn; !other && at < end;
	     at = round_down(at, 1ULL << HPM_SMALL_RUN_SHIFT) +
		  (1ULL << HPM_SMALL_RUN_SHIFT))
		other = chain_conflict(small_chain(c->vol, at), c->vbn, c->nr);
	return other;
}

int hpm_change_lock(struct hpm_change *c, struct list_head *waiter)
{
	struct hpm_vol *vol = c->vol;
	struct hpm_change *other = NULL;
	unsigned long flags;

	spin_lock_irqsave(&vol->lock, flags);
	if (atomic_read(&vol->nr_changes))
		other = find_conflict(c);
	if (other) {
		if (waiter)
			list_add_tail(waiter, &other->waiters);
	} else {
		WRITE_ONCE(c->state, HPM_CHANGE_LOCKED);
		atomic_inc(&vol->nr_changes);
		hlist_add_head_rcu(&c->hash, change_is_short(c) ?
				   small_chain(vol, c->vbn) :
				   large_chain(vol, c->vbn));
	}
	spin_unlock_irqrestore(&vol->lock, flags);
	return other ? -EBUSY : 0;
}

void hpm_change_record(const struct hpm_change *c, union hpm_record_buf *buf)
{
	buf->rec = (struct hpm_disk_record){
		.type = c->type,
		.slots = 1,
		.nr = cpu_to_le16(c->nr),
		.arg_lo = cpu_to_le32((u32)c->old),
		.serial = cpu_to_le64(c->vol->serial),
		.vbn = cpu_to_le64(c->vbn | c->old >> 32 << HPM_REC_ARG_SHIFT),
		.pbn = cpu_to_le64(c->pbn),
	};
}

/* The applier is kicked at once when this many records are not applied. */
#define APPLY_KICK	64

void hpm_change_publish(struct hpm_change *c, struct list_head *waiters)
{
	struct hpm_vol *vol = c->vol;
	struct hpm_md *md = vol->md;
	struct hpm_journal *j = &md->journal;
	union hpm_record_buf buf;
	unsigned long flags;
	bool kick, first;

	hpm_change_record(c, &buf);
	spin_lock_irqsave(&vol->lock, flags);
	spin_lock(&j->lock);
	c->record = hpm_journal_add(md, &buf);
	WRITE_ONCE(vol->last_record, c->record);
	first = list_empty(&j->fifo);
	list_add_tail(&c->fifo, &j->fifo);
	kick = c->record - READ_ONCE(j->applied) >= APPLY_KICK;
	/* The record number must be visible first: readers order changes by it. */
	smp_store_release(&c->state, HPM_CHANGE_PUBLISHED);
	spin_unlock(&j->lock);
	list_splice_tail_init(&c->waiters, waiters);
	spin_unlock_irqrestore(&vol->lock, flags);

	hpm_wake_waiters(j);
	if (kick)
		hpm_kick(md, HPM_KICK_APPLY);
	else if (first)
		hpm_kick(md, HPM_KICK_APPLY_SOON);
	if (atomic_read(&j->room) < (int)HPM_SLOTS_PER_BLOCK)
		hpm_kick(md, HPM_KICK_COMMIT);
}

void hpm_snap_publish(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	struct hpm_vol *vol = j->snap.origin;
	unsigned long flags;

	spin_lock_irqsave(&vol->lock, flags);
	spin_lock(&j->lock);
	j->snap.record = hpm_journal_add(md, &j->snap.buf);
	WRITE_ONCE(vol->seen_record, j->snap.record);
	WRITE_ONCE(vol->seen_time, j->snap.time);
	spin_unlock(&j->lock);
	spin_unlock_irqrestore(&vol->lock, flags);

	hpm_wake_waiters(j);
	hpm_kick(md, HPM_KICK_APPLY_SOON);
}

void hpm_change_cancel(struct hpm_change *c, struct list_head *waiters)
{
	struct hpm_vol *vol = c->vol;
	unsigned long flags;

	spin_lock_irqsave(&vol->lock, flags);
	hlist_del_rcu(&c->hash);
	/* Readers may still look at it: view_chain(). */
	WRITE_ONCE(c->state, HPM_CHANGE_IDLE);
	list_splice_tail_init(&c->waiters, waiters);
	spin_unlock_irqrestore(&vol->lock, flags);
	atomic_dec(&vol->nr_changes);
	call_rcu(&c->rcu, change_free_rcu);
}

void hpm_change_retire(struct hpm_change *c)
{
	struct hpm_vol *vol = c->vol;
	unsigned long flags;

	/*
	 * The tree must be visible before the chains: pairs with
	 * hpm_changes_lookup().
	 */
	smp_wmb();
	spin_lock_irqsave(&vol->lock, flags);
	hlist_del_rcu(&c->hash);
	spin_unlock_irqrestore(&vol->lock, flags);
	/* The chains must be visible before the count. */
	smp_mb__before_atomic();
	atomic_dec(&vol->nr_changes);
}
