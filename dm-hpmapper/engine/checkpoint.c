// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commits and checkpoints.
 *
 * The crash rule
 * --------------
 * A pool behaves like a disk with a volatile write cache.  Data that was
 * written before a completed FLUSH, or with FUA, is there after a crash; a
 * snapshot has what its origin had at that instant; a superblock and the
 * journal that follows it give consistent metadata at every instant, without a
 * repair.  This holds because:
 *
 *  1. The trees are the last checkpoint with the records of the journal
 *     applied to it.  Only records change them, in order, by one function
 *     (apply.c).  So the state after a crash is the state after some record,
 *     and each of these states is consistent.
 *
 *  2. A record is in a durable batch only if its data is durable (journal.c),
 *     and a FLUSH ends only when a commit that began after it has ended.
 *
 *  3. A checkpoint is a cut at a record R.  While no other records are
 *     applied, everything up to R is applied, the roots are noted and the epoch
 *     is raised; from then on a node of the old epoch is never changed, but
 *     copied.  The batch up to R is committed first, then the nodes and the
 *     reference counts are written to blocks that no durable superblock uses,
 *     then the device is flushed, and only then one superblock block is
 *     written, PREFLUSH|FUA.  A crash at any point finds either the old
 *     superblock, with everything it refers to untouched and the journal behind
 *     it, or the new one.
 *
 *     Commits wait for the cut and its batch, but not for the nodes, of which
 *     there may be thousands.  What they write meanwhile are records after R.
 *     Their places in the ring follow the place that the new superblock will
 *     name, which is noted together with the batch of the cut.  So these
 *     records follow the old superblock as well as the new one.
 *
 *  4. The two superblocks are written in turn, and the nodes and the part of
 *     the journal that the older one needs are kept until the next one is
 *     durable.  So both lead to the same state, and if one of them becomes
 *     unreadable nothing is lost.
 *
 *  5. A data block is given to another owner only after the record that freed
 *     it is durable and no I/O on it is in flight (ops->drain), so a crash
 *     never brings back a mapping to a block that has another owner's data.
 *
 *  6. When metadata space is short, the newest superblock is written once
 *     more, over the older one (settle()).  A crash during this write leaves
 *     the newest superblock untouched, beside the older one, torn or whole;
 *     afterwards both have the same content.  Blocks that only the older state
 *     needed are used again after that, and not before.
 */
#include "engine.h"
#include "applier.h"
#include "array.h"
#include "block.h"
#include "busy.h"
#include "checkpoint.h"
#include "credit.h"
#include "journal.h"
#include "node.h"
#include "refs.h"
#include "volumes.h"

/*----------------------------------------------------------------
 * Superblocks
 *--------------------------------------------------------------*/

static u64 other_super(u64 block)
{
	return block == HPM_SUPER_A ? HPM_SUPER_B : HPM_SUPER_A;
}

/* Writes @sb over the older superblock; if this succeeds, @sb is the newest. */
static int super_write(struct hpm_md *md, struct hpm_super *sb)
{
	u64 block = other_super(md->super_block);
	void *data = sb;
	int r;

	hpm_block_init(md, sb, HPM_BT_SUPER, block,
		       le64_to_cpu(sb->head.epoch));
	sb->generation = cpu_to_le64(md->generation + 1);
	hpm_block_seal(md->seed, sb);
	r = hpm_io_write_run(md->io, block, &data, 1,
			     HPM_IO_PREFLUSH | HPM_IO_FUA);
	if (r)		/* it may be there or not: write the same bytes again */
		r = hpm_io_write_run(md->io, block, &data, 1,
				     HPM_IO_PREFLUSH | HPM_IO_FUA);
	if (r)
		return r;
	md->super_block = block;
	md->generation++;
	memcpy(md->sb, sb, sizeof(*sb));
	return 0;
}

/* Fills in the superblock at a cut, from the state under md->lock. */
static void super_fill(struct hpm_md *md, struct hpm_super *sb, u64 record)
{
	unsigned int i;

	memset(sb, 0, sizeof(*sb));
	sb->head.epoch = cpu_to_le64(md->epoch);
	memcpy(sb->uuid, md->uuid, HPM_UUID_SIZE);
	sb->flags = cpu_to_le32(md->sb_flags);
	sb->time = cpu_to_le32(md->time);
	sb->transaction_id = cpu_to_le64(md->transaction_id);
	sb->next_serial = cpu_to_le64(md->next_serial);
	sb->data_blocks = cpu_to_le64(md->space.nr_blocks);
	sb->meta_blocks = cpu_to_le64(md->meta_blocks);
	sb->data_used = cpu_to_le64(md->space.used);
	sb->nr_volumes = cpu_to_le64(md->nr_volumes);
	sb->record = cpu_to_le64(record);
	for (i = 0; i < HPM_NR_ARRAYS; i++) {
		hpm_root_to_disk(&sb->array[i], md->array[i].root);
		sb->array_nodes[i] = cpu_to_le64(md->array[i].nodes);
	}
	if (md->has_held || md->letting_go)
		hpm_root_to_disk(&sb->held, md->held.root);
	sb->held_time = cpu_to_le32(md->held_time);
	if (md->letting_go)
		sb->held_flags = cpu_to_le32(HPM_HELD_GOING);
	else if (md->has_held)
		sb->held_flags = cpu_to_le32(HPM_HELD);
}

/*----------------------------------------------------------------
 * Checkpoint
 *--------------------------------------------------------------*/

/* What remains to be written after a cut. */
struct cut {
	struct list_head nodes;
	struct hpm_refs_write refs;
	struct hpm_super *sb;
	bool tight;		/* md->lock is held to the end */
};

/*
 * Under all three locks.  Applies everything that is published and fills in the
 * superblock from the trees; whoever changes a node after this must copy it
 * first.
 */
static int cut_make(struct hpm_md *md, struct cut *cut)
{
	u64 record;
	int r;

	record = hpm_journal_seal(md);
	r = hpm_apply_upto(md, record);
	if (!r)
		r = hpm_vols_flush(md);
	if (r)
		return r;
	super_fill(md, cut->sb, record);
	hpm_refs_cut(md, md->epoch, &cut->refs, cut->sb);
	hpm_nodes_seal(md, &cut->nodes);
	hpm_counts_epoch(md);
	if (!hpm_fault(HPM_FAULT_EPOCH_OPEN))
		WRITE_ONCE(md->epoch, md->epoch + 1);
	return 0;
}

static void cut_lock(struct hpm_md *md, struct cut *cut)
{
	if (!cut->tight)
		mutex_lock(&md->lock);
}

static void cut_unlock(struct hpm_md *md, struct cut *cut)
{
	if (!cut->tight)
		mutex_unlock(&md->lock);
}

/* Makes the cut and writes the batch up to it.  Both locks held. */
static int cut_begin(struct hpm_md *md, struct cut *cut)
{
	struct hpm_journal *j = &md->journal;
	u64 served = atomic64_read(&j->tickets);
	int r;

	lockdep_assert_held(&md->checkpoint_lock);
	lockdep_assert_held(&md->commit_lock);
	INIT_LIST_HEAD(&cut->nodes);
	cut->sb = md->next_sb;
	if (READ_ONCE(md->mode) >= HPM_MODE_READ_ONLY)
		return -EROFS;
	mutex_lock(&md->lock);
	r = cut_make(md, cut);
	cut->tight = !r && hpm_credit_tight(md);
	cut_unlock(md, cut);
	if (!r)
		r = hpm_journal_write(md, true);
	if (r)
		return r;
	hpm_journal_describe(md, cut->sb);
	j->served = served;
	return 0;
}

/* The copies have homes that nothing durable names, so they can be written again. */
static int write_counts(struct hpm_md *md, const struct hpm_refs_write *w)
{
	int r;

	if (!w->nr)
		return 0;
	r = hpm_io_write(md->io, w->vec, w->nr);
	return r ? hpm_io_write(md->io, w->vec, w->nr) : 0;
}

static int cut_write(struct hpm_md *md, struct cut *cut)
{
	int r;

	if (hpm_fault(HPM_FAULT_SUPER_EARLY))
		super_write(md, cut->sb);
	r = hpm_nodes_write(md, &cut->nodes);
	if (r)		/* they are all in memory, so write them again */
		r = hpm_nodes_write(md, &cut->nodes);
	if (!r)
		r = write_counts(md, &cut->refs);
	if (!r)
		r = hpm_io_flush_meta(md->io);
	if (!r && !hpm_fault(HPM_FAULT_SUPER_EARLY))
		r = super_write(md, cut->sb);
	return r;
}

/*
 * Writes the newest superblock a second time, over the older one, so that both
 * places have the same state, with the same journal behind it.  After that,
 * nothing needs the blocks that were given back in the epoch that this
 * superblock closed, and nothing had to be applied or committed for that.
 * checkpoint_lock and md->lock held.
 */
static int settle(struct hpm_md *md)
{
	int r;

	memcpy(md->next_sb, md->sb, sizeof(*md->sb));
	r = super_write(md, md->next_sb);
	if (r) {
		hpm_md_fail(md, HPM_MODE_READ_ONLY,
			    "a superblock could not be written", r);
		return r;
	}
	hpm_journal_checkpointed(md, md->sb);
	hpm_refs_settled(md);
	return 0;
}

/*
 * Settles as well if metadata space is short, or if applying is stopped for
 * want of it.
 */
static int cut_done(struct hpm_md *md, struct cut *cut)
{
	int r = 0;

	hpm_journal_checkpointed(md, cut->sb);
	md->checkpoints++;
	hpm_nodes_written(md, &cut->nodes);
	cut_lock(md, cut);
	hpm_refs_cut_done(md, &cut->refs);
	if (md->refs.nr_older && (cut->tight || hpm_meta_short(md)))
		r = settle(md);
	mutex_unlock(&md->lock);
	hpm_hand_out_freed(md);
	hpm_credit_progress(md);
	return r;
}

static void cut_failed(struct hpm_md *md, struct cut *cut, int err)
{
	cut_lock(md, cut);
	hpm_nodes_unseal(md, &cut->nodes);
	hpm_refs_cut_failed(md, &cut->refs);
	mutex_unlock(&md->lock);
	hpm_md_fail(md, HPM_MODE_READ_ONLY, "checkpoint failed", err);
}

/* @r is the result of cut_begin().  commit_lock may be held or not. */
static int cut_end(struct hpm_md *md, struct cut *cut, int r)
{
	lockdep_assert_held(&md->checkpoint_lock);
	if (!r)
		r = cut_write(md, cut);
	if (!r)
		return cut_done(md, cut);
	cut_failed(md, cut, r);
	return r;
}

static int checkpoint_locked(struct hpm_md *md)
{
	struct cut cut = { 0 };
	int r;

	mutex_lock(&md->commit_lock);
	r = cut_begin(md, &cut);
	mutex_unlock(&md->commit_lock);
	return cut_end(md, &cut, r);
}

int hpm_checkpoint_alone(struct hpm_md *md)
{
	struct cut cut = { 0 };
	int r = cut_begin(md, &cut);

	return cut_end(md, &cut, r);
}

int hpm_md_checkpoint(struct hpm_md *md)
{
	int r;

	mutex_lock(&md->checkpoint_lock);
	r = checkpoint_locked(md);
	mutex_unlock(&md->checkpoint_lock);
	return r;
}

int hpm_md_make_room(struct hpm_md *md)
{
	int r;

	mutex_lock(&md->checkpoint_lock);
	r = checkpoint_locked(md);
	mutex_lock(&md->lock);
	if (!r && md->refs.nr_older)
		r = settle(md);
	mutex_unlock(&md->lock);
	mutex_unlock(&md->checkpoint_lock);
	if (!r)
		hpm_credit_progress(md);
	return r;
}

/*----------------------------------------------------------------
 * Commit
 *--------------------------------------------------------------*/

static int commit_locked(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	u64 served = atomic64_read(&j->tickets);
	int r;

	lockdep_assert_held(&md->commit_lock);
	if (READ_ONCE(md->mode) >= HPM_MODE_READ_ONLY)
		return -EROFS;
	hpm_journal_seal(md);
	r = hpm_journal_write(md, false);
	if (r)
		return r;
	if (hpm_fault(HPM_FAULT_LATE_JOIN))
		served = atomic64_read(&j->tickets);
	j->commits++;
	j->served = served;
	hpm_hand_out_freed(md);
	return 0;
}

static int make_ring_room(struct hpm_md *md)
{
	unsigned int i;
	int r = 0;

	mutex_lock(&md->checkpoint_lock);
	/* Two checkpoints, as the older superblock keeps a part of the ring, too. */
	for (i = 0; !r && i < 2 && hpm_journal_tight(md); i++)
		r = checkpoint_locked(md);
	mutex_unlock(&md->checkpoint_lock);
	return r;
}

int hpm_md_commit(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	u64 ticket = atomic64_inc_return(&j->tickets);
	int r = 0;

	/*
	 * A commit serves the tickets that were drawn before it issued its data
	 * flush.  If a ticket is served while its caller waits for the lock,
	 * that flush covers the caller's data and that batch its records.
	 */
	mutex_lock(&md->commit_lock);
	while (!r && j->served < ticket) {
		if (likely(!hpm_journal_tight(md))) {
			r = commit_locked(md);
			continue;
		}
		/* checkpoint_lock must be taken before commit_lock. */
		mutex_unlock(&md->commit_lock);
		r = make_ring_room(md);
		mutex_lock(&md->commit_lock);
	}
	mutex_unlock(&md->commit_lock);
	return r;
}

bool hpm_md_all_durable(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;

	return READ_ONCE(j->next_record) - 1 == READ_ONCE(j->durable);
}

int hpm_md_set_needs_check(struct hpm_md *md)
{
	struct hpm_super *sb = md->next_sb;
	int r;

	mutex_lock(&md->checkpoint_lock);
	WRITE_ONCE(md->sb_flags, md->sb_flags | HPM_SB_NEEDS_CHECK);
	memcpy(sb, md->sb, sizeof(*sb));
	sb->flags |= cpu_to_le32(HPM_SB_NEEDS_CHECK);
	r = super_write(md, sb);
	if (!r)		/* both superblocks must have the flag */
		r = super_write(md, sb);
	mutex_unlock(&md->checkpoint_lock);
	return r;
}
