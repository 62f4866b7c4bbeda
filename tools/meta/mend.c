// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lowers counts that are too high, through the engine: blocks are copied before
 * they change, and a checkpoint completes the repair, so a crash in the middle
 * leaves the pool as it was.
 *
 * This is the only code outside of the engine that uses its internals: there is
 * no record type for this, as no record may make a count wrong.
 */
#include "engine.h"
#include "refs.h"
#include "space.h"
#include "volumes.h"

#include "check.h"
#include "mend.h"

static int lower_meta(struct hpm_md *md, const struct leak *l)
{
	u32 i;
	int r = 0;

	for (i = 0; i < l->by && r >= 0; i++)
		r = hpm_refs_dec(md, l->index, 0);
	return r < 0 ? r : 0;
}

static int lower_data(struct hpm_md *md, const struct leak *l)
{
	u32 i;
	int r = 0;

	for (i = 0; i < l->by && !r; i++)
		r = l->kind == LEAK_SMALL ?
			    hpm_space_count_small(md, l->index, 1, -1) :
			    hpm_space_count_large(md, l->index, -1);
	return r;
}

static int lower_all(struct hpm_md *md, const struct report *rep)
{
	u64 i;
	int r = 0;

	mutex_lock(&md->lock);
	for (i = 0; i < rep->nr_leak && !r; i++) {
		if (rep->leak[i].kind == LEAK_META)
			r = lower_meta(md, &rep->leak[i]);
		else
			r = lower_data(md, &rep->leak[i]);
	}
	mutex_unlock(&md->lock);
	return r;
}

int mend_leaks(struct pool *p, const struct report *rep)
{
	const struct hpm_md_params params = {
		.name = p->dev.path,
		.ignore_needs_check = true,
	};
	struct hpm_io *io = dev_io(&p->dev, p->data_blocks, true);
	struct hpm_md *md = NULL;
	const char *why = "out of memory";
	int r = -ENOMEM;

	if (io)
		r = hpm_md_open(io, &params, &tool_md_ops, NULL, &md, &why);
	if (!r) {
		why = "a count could not be lowered";
		r = lower_all(md, rep);
		if (!r)
			r = hpm_md_shutdown(md);
		hpm_md_close(md);
	}
	dev_io_free(io);
	return r ? complain("the pool could not be mended: %s (%s)", why,
			    strerror(-r)) :
		   0;
}

static int share_all(struct hpm_md *md)
{
	struct hpm_vol *vol;
	unsigned int i;

	if (md->time >= HPM_MAX_TIME)
		return -EOVERFLOW;
	mutex_lock(&md->lock);
	md->time++;
	md->sb_flags &= ~HPM_SB_NEEDS_CHECK;
	for (i = 0; i < 1 << HPM_VOL_HASH_BITS; i++) {
		hlist_for_each_entry(vol, &md->vols_by_id[i], by_id)
		{
			vol->snap_time = md->time;
			hpm_vol_mark_dirty(vol);
		}
	}
	mutex_unlock(&md->lock);
	return 0;
}

int settle_rebuilt(struct pool *p, const char **why)
{
	const struct hpm_md_params params = {
		.name = p->dev.path,
		.ignore_needs_check = true,
	};
	struct hpm_io *io = dev_io(&p->dev, p->data_blocks, true);
	struct hpm_md *md = NULL;
	int r = -ENOMEM;

	*why = "out of memory";
	if (io)
		r = hpm_md_open(io, &params, &tool_md_ops, NULL, &md, why);
	if (!r) {
		if (md->has_held)
			r = hpm_md_release(md, why);
		while (r >= 0 && md->letting_go)
			r = hpm_md_reclaim_step(md);
		r = min(r, 0);
		*why = "it could not be finished";
		if (!r)
			r = share_all(md);
		if (!r)
			r = hpm_md_shutdown(md);
		/*
		 * A second checkpoint, so that both superblocks have the new
		 * state.
		 */
		if (!r)
			r = hpm_md_checkpoint(md);
		hpm_md_close(md);
	}
	dev_io_free(io);
	return r;
}

int clear_needs_check(struct pool *p)
{
	u64 newest = le64_to_cpu(p->sb->head.blocknr);
	u64 block = newest == HPM_SUPER_A ? HPM_SUPER_B : HPM_SUPER_A;
	struct hpm_super *sb = blocks_alloc(1);
	int r = -ENOMEM;

	if (sb) {
		memcpy(sb, p->sb, sizeof(*sb));
		sb->flags &= cpu_to_le32(~HPM_SB_NEEDS_CHECK);
		sb->generation = cpu_to_le64(le64_to_cpu(sb->generation) + 1);
		sb->head.blocknr = cpu_to_le64(block);
		block_seal(p->seed, sb);
		r = dev_flush(&p->dev);
		if (!r)
			r = dev_write(&p->dev, block, 1, sb);
		if (!r)
			r = dev_flush(&p->dev);
	}
	free(sb);
	return r ? complain("the superblock cannot be written: %s",
			    strerror(-r)) :
		   0;
}
