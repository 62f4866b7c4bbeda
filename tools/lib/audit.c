// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures what records take, where blocks are allocated.
 *
 * The number of free blocks is noted when a record begins.  Each time the
 * record takes a block, this computes how many blocks it has taken, apart from
 * copies of blocks of the counts, and what it owes: blocks of the counts that
 * it made, and volumes that it made dirty.  The maximum is compared with
 * hpm_record_blocks(), the copies with hpm_record_counts().  New blocks of the
 * upper halves are compared separately, with hpm_record_high(), and there must
 * be none while there are too few trees.
 */
#include "audit.h"
#include "engine.h"

static struct {
	struct hpm_md *md; /* the engine that applies a record */
	u64 nr_free, left, made, dirty, high;
	u32 blocks;
	hpm_audit_fn fn;
	struct hpm_audit_most most[HPM_REC_RELEASE + 1];
} audit;

void hpm_audit_set(hpm_audit_fn fn)
{
	memset(&audit, 0, sizeof(audit));
	audit.fn = fn;
}

struct hpm_audit_most hpm_audit_most(u8 type)
{
	BUG_ON(type > HPM_REC_RELEASE);
	return audit.most[type];
}

void hpm_audit_begin(struct hpm_md *md)
{
	audit.md = md;
	audit.nr_free = md->refs.nr_free;
	audit.left = md->counts_left;
	audit.made = md->counts_made;
	audit.dirty = md->nr_dirty_vols;
	audit.high = md->array[HPM_ARR_SMALL_HI].nodes;
	audit.blocks = 0;
}

/* The number of new blocks of the upper halves so far. */
static u32 high_made(struct hpm_md *md)
{
	return md->array[HPM_ARR_SMALL_HI].nodes - audit.high;
}

void hpm_audit_look(struct hpm_md *md)
{
	s64 gone;

	if (audit.md != md)
		return;
	gone = (s64)audit.nr_free - (s64)md->refs.nr_free;
	gone -= (s64)(audit.left - md->counts_left);
	gone += (s64)(md->counts_made - audit.made);
	gone -= 2 * (s64)high_made(md);
	gone += ((s64)md->nr_dirty_vols - (s64)audit.dirty) *
		HPM_META_PER_VOLUME;
	if (gone > (s64)audit.blocks)
		audit.blocks = gone;
}

void hpm_audit_end(struct hpm_md *md, const struct hpm_disk_record *rec)
{
	struct hpm_audit_most *most;
	u32 counts, high_most = 0;

	if (hpm_counts_may_carry(md, 1))
		high_most = hpm_record_high(md);
	hpm_audit_look(md);
	audit.md = NULL;
	if (rec->type > HPM_REC_RELEASE)
		return;
	counts = audit.left - md->counts_left;
	most = &audit.most[rec->type];
	most->blocks = max(most->blocks, audit.blocks);
	most->counts = max(most->counts, counts);
	if (audit.fn &&
	    (audit.blocks > hpm_record_blocks(md) ||
	     counts > hpm_record_counts(md) || high_made(md) > high_most))
		audit.fn(rec->type, audit.blocks, counts);
}
