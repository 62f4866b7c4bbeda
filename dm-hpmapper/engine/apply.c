// SPDX-License-Identifier: GPL-2.0-only
/*
 * Applying records: trees, counts and times change here and nowhere else.
 *
 * The same function applies a record that has just been published and a record
 * that a recovery reads back, always in the journal's order and to the state
 * that the records before it made.  So records need not be idempotent, and what
 * a record does not say, such as which counts a copied node raises, has the
 * same result in both cases.  The stamp of a mapping is the pool's time at the
 * record's place in this order, so it can be compared with the time of a
 * snapshot.
 *
 * If a record cannot be applied, the metadata is damaged or the device has
 * failed: the caller stops applying for good, and the pool becomes read-only.
 */
#include "engine.h"
#include "apply.h"
#include "busy.h"
#include "map.h"
#include "space.h"
#include "volume-apply.h"
#include "volumes.h"

/* A record's fields in the host's order. */
struct rec {
	struct hpm_vol *vol;
	u64 vbn, pbn, arg;
	u32 nr;
	u64 lvbn;		/* where the large block of vbn starts */
};

static int rec_decode(struct hpm_md *md, const struct hpm_disk_record *r,
		      struct rec *rec)
{
	u64 vbn = le64_to_cpu(r->vbn);

	rec->vol = hpm_vol_by_serial(md, le64_to_cpu(r->serial));
	if (!rec->vol)
		return -EUCLEAN;
	rec->vbn = vbn & ((1ULL << HPM_REC_ARG_SHIFT) - 1);
	rec->arg = le32_to_cpu(r->arg_lo) | vbn >> HPM_REC_ARG_SHIFT << 32;
	rec->pbn = le64_to_cpu(r->pbn);
	rec->nr = le16_to_cpu(r->nr);
	rec->lvbn = round_down(rec->vbn, (u64)md->large_size);
	if (!rec->nr || rec->vbn >> HPM_VBN_BITS ||
	    rec->vbn + rec->nr > rec->lvbn + md->large_size)
		return -EUCLEAN;
	return 0;
}

static bool pbn_valid(struct hpm_md *md, u64 pbn, u32 nr)
{
	return pbn < md->space.nr_blocks && nr <= md->space.nr_blocks - pbn;
}

/* Does the large block at @lvbn have a base? */
static int has_base(struct hpm_md *md, struct hpm_vol *vol, u64 lvbn,
		    bool *base)
{
	u64 value;
	int r = hpm_map_value(md, vol->root, hpm_key_base(lvbn), &value);

	*base = !r;
	return r == -ENOENT ? 0 : r;
}

/* Of @nr small blocks, how many were mapped before the splice @sp. */
static u32 visible(const struct hpm_splice *sp, bool base, u32 nr)
{
	return base ? nr - sp->holes : sp->small;
}

static void set_mapped(struct hpm_vol *vol, u32 before, u32 after)
{
	vol->mapped += after;
	vol->mapped -= before;
	hpm_vol_mark_dirty(vol);
}

/* Replaces all entries of the large block by @nr others. */
static int replace_large(struct hpm_md *md, const struct rec *rec,
			 const struct hpm_entry *e, unsigned int nr,
			 struct hpm_splice *sp)
{
	return hpm_map_splice(rec->vol, hpm_key_base(rec->lvbn),
			      hpm_key_base(rec->lvbn + md->large_size), e, nr,
			      sp);
}

static bool is_whole(struct hpm_md *md, const struct rec *rec)
{
	return rec->vbn == rec->lvbn && rec->nr == md->large_size;
}

static int apply_large(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_entry e = {
		.key = hpm_key_base(rec->vbn),
		.value = hpm_value(md->time, rec->pbn),
	};
	struct hpm_splice sp;
	int r;

	if (!is_whole(md, rec) || !pbn_valid(md, rec->pbn, rec->nr) ||
	    rec->pbn & (md->large_size - 1))
		return -EUCLEAN;
	r = replace_large(md, rec, &e, 1, &sp);
	if (r)
		return r;
	set_mapped(rec->vol, visible(&sp, sp.large, rec->nr), rec->nr);
	hpm_space_settle(md, rec->pbn, rec->nr);
	return 0;
}

/* Collects all entries of a large block in md->scratch; the base comes first. */
static int collect_large(struct hpm_md *md, const struct rec *rec,
			 struct hpm_entry **e, unsigned int *nr)
{
	*e = md->scratch + HPM_SCRATCH_APPLY;
	return hpm_map_collect(md, rec->vol->root, hpm_key_base(rec->lvbn),
			       hpm_key_base(rec->lvbn + md->large_size), *e,
			       md->large_size + 1, nr);
}

/*
 * The entries @e override all of a large block.  Nothing of its base is visible
 * any more, so the base is removed, and so are the holes that hid it.
 */
static int drop_base(struct hpm_md *md, const struct rec *rec,
		     struct hpm_entry *e, unsigned int nr, unsigned int *left,
		     struct hpm_splice *sp)
{
	unsigned int i, k;

	for (i = 0, k = 0; i < nr; i++)
		if (hpm_value_pbn(e[i].value) != HPM_PBN_HOLE)
			e[k++] = e[i];
	*left = k;
	return replace_large(md, rec, e, k, sp);
}

/*
 * Would a base be completely hidden if the entries at @new, all of the
 * record's, were put among the present entries of the large block?  If so, @e
 * has the overrides of the whole block as they would be.
 */
static int would_hide(struct hpm_md *md, const struct rec *rec,
		      const struct hpm_entry *new, struct hpm_entry **e,
		      bool *hidden)
{
	struct hpm_entry *all = md->scratch + HPM_SCRATCH_WHOLE;
	unsigned int nr, lo = 1, hi;
	int r;

	r = hpm_map_collect(md, rec->vol->root, hpm_key_base(rec->lvbn),
			    hpm_key_base(rec->lvbn + md->large_size), all,
			    md->large_size + 1, &nr);
	*hidden = false;
	if (r || !nr || all[0].key != hpm_key_base(rec->lvbn))
		return r;
	while (lo < nr && all[lo].key < new[0].key)
		lo++;
	for (hi = lo; hi < nr && all[hi].key <= new[rec->nr - 1].key; hi++)
		;
	*hidden = lo - 1 + rec->nr + nr - hi == md->large_size;
	if (!*hidden)
		return 0;
	memmove(all + lo + rec->nr, all + hi, (nr - hi) * sizeof(*all));
	memcpy(all + lo, new, rec->nr * sizeof(*all));
	*e = all + 1;
	return 0;
}

/*
 * If the record's entries, in @new, hide the last part of the base, puts them
 * in and drops the base.
 */
static int override(struct hpm_md *md, const struct rec *rec,
		    const struct hpm_entry *new, bool *dropped)
{
	unsigned int left;
	struct hpm_splice sp;
	struct hpm_entry *e;
	int r = would_hide(md, rec, new, &e, dropped);

	if (r || !*dropped)
		return r;
	r = drop_base(md, rec, e, md->large_size, &left, &sp);
	if (!r)
		set_mapped(rec->vol, visible(&sp, sp.large, md->large_size),
			   left);
	return r;
}

/*
 * Updates the number of mapped blocks after the record's entries were put into
 * the map.
 */
static int count_mapped(struct hpm_md *md, const struct rec *rec,
			const struct hpm_splice *sp)
{
	bool base = sp->base;
	int r = 0;

	if (!sp->base_known && sp->small + sp->holes < rec->nr)
		r = has_base(md, rec->vol, rec->lvbn, &base);
	if (!r)
		set_mapped(rec->vol, visible(sp, base, rec->nr), rec->nr);
	return r;
}

/*
 * A record that overrides the last visible part of a base fills a gap.  So the
 * whole large block is looked at for each record that fills a gap, and for no
 * other.  This costs little, as few writes fill a gap while much of the base is
 * visible.  It is done before the change, so that a record takes one splice,
 * whose cost is bounded.
 */
static int apply_map(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_entry *e = md->scratch + HPM_SCRATCH_APPLY;
	bool dropped = false;
	struct hpm_splice sp;
	u32 i;
	int r;

	if (!pbn_valid(md, rec->pbn, rec->nr))
		return -EUCLEAN;
	for (i = 0; i < rec->nr; i++) {
		e[i].key = hpm_key_small(rec->vbn + i);
		e[i].value = hpm_value(md->time, rec->pbn + i);
	}
	r = hpm_map_override(rec->vol, e, rec->nr, &sp);
	if (r > 0) {
		r = override(md, rec, e, &dropped);
		if (!r && !dropped)
			r = hpm_map_splice(rec->vol, e[0].key,
					   e[rec->nr - 1].key + 1, e, rec->nr,
					   &sp);
	}
	if (!r && !dropped)
		r = count_mapped(md, rec, &sp);
	if (!r)
		hpm_space_settle(md, rec->pbn, rec->nr);
	return r;
}

/*
 * A stream has written all of a reserved large block in small runs, each at its
 * own offset in the block, so one entry can replace all of theirs.
 */
static int apply_collapse(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_entry one, *e;
	struct hpm_splice sp;
	unsigned int i, nr;
	int r;

	if (!is_whole(md, rec) || !pbn_valid(md, rec->pbn, rec->nr) ||
	    rec->pbn & (md->large_size - 1))
		return -EUCLEAN;
	r = collect_large(md, rec, &e, &nr);
	if (r || nr != md->large_size)
		return r;
	for (i = 0; i < nr; i++)
		if (e[i].key != hpm_key_small(rec->vbn + i) ||
		    hpm_value_pbn(e[i].value) != rec->pbn + i ||
		    hpm_value_time(e[i].value) < rec->vol->snap_time)
			return 0;
	one.key = hpm_key_base(rec->vbn);
	one.value = hpm_value(md->time, rec->pbn);
	return replace_large(md, rec, &one, 1, &sp);
}

/*
 * Frees what overrides hide of a base.  A node can be shared at any level of
 * the path, so a count of 1 for the base does not prove that only one volume
 * reaches it: another tree may share the leaf with the base, and have other
 * overrides in the next leaf.  So all nodes on the path must belong to this
 * volume alone.
 */
static int give_hidden(struct hpm_md *md, const struct rec *rec,
		       struct hpm_entry *e, unsigned int nr)
{
	DECLARE_BITMAP(mask, 1 << HPM_MAX_LARGE_SHIFT);
	u64 base = hpm_value_pbn(e[0].value);
	struct hpm_splice sp;
	u32 refs, punched;
	unsigned int i;
	bool exclusive;
	int r;

	if (nr == md->large_size + 1)
		return drop_base(md, rec, e + 1, nr - 1, &i, &sp);

	bitmap_zero(mask, 1 << HPM_MAX_LARGE_SHIFT);
	for (i = 1; i < nr; i++)
		__set_bit((e[i].key >> 1) - rec->lvbn, mask);
	r = hpm_map_exclusive(md, rec->vol->root, e[0].key, &exclusive);
	if (!r)
		r = hpm_space_base(md, base, &refs, &punched);
	if (r || !exclusive || refs != 1 || nr == 1)
		return r;
	return hpm_space_punch(md, base, mask);
}

/* The holes are in the tree; frees what they hide if only this volume reaches it. */
static int give_unmapped(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_entry *e;
	unsigned int nr;
	int r = collect_large(md, rec, &e, &nr);

	return r ? r : give_hidden(md, rec, e, nr);
}

static int unmap_large(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_splice sp;
	int r = replace_large(md, rec, NULL, 0, &sp);

	if (!r)
		set_mapped(rec->vol, visible(&sp, sp.large, rec->nr), 0);
	return r;
}

/* The base must not become visible, so holes are put in. */
static int unmap_over_base(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_entry *e = md->scratch + HPM_SCRATCH_APPLY;
	struct hpm_splice sp;
	bool dropped;
	u32 i;
	int r;

	for (i = 0; i < rec->nr; i++) {
		e[i].key = hpm_key_small(rec->vbn + i);
		e[i].value = hpm_value(md->time, HPM_PBN_HOLE);
	}
	r = override(md, rec, e, &dropped);
	if (r || dropped)
		return r;
	r = hpm_map_splice(rec->vol, e[0].key, e[rec->nr - 1].key + 1, e,
			   rec->nr, &sp);
	if (r)
		return r;
	set_mapped(rec->vol, visible(&sp, true, rec->nr), 0);
	return give_unmapped(md, rec);
}

static int apply_unmap(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_splice sp;
	bool base;
	int r;

	if (is_whole(md, rec))
		return unmap_large(md, rec);
	r = has_base(md, rec->vol, rec->lvbn, &base);
	if (r)
		return r;
	if (base)
		return unmap_over_base(md, rec);
	r = hpm_map_splice(rec->vol, hpm_key_small(rec->vbn),
			   hpm_key_small(rec->vbn + rec->nr - 1) + 1, NULL, 0,
			   &sp);
	if (!r)
		set_mapped(rec->vol, visible(&sp, false, rec->nr), 0);
	return r;
}

/*
 * Are the record's blocks still mapped where they were copied from, and not
 * shared?  The test compares what a reader sees: a COLLAPSE that was published
 * before the copy and applied after it may have replaced small entries by a
 * base.
 */
static int still_there(struct hpm_md *md, const struct rec *rec, bool *same)
{
	unsigned int nr, k = 0;
	struct hpm_entry *e;
	u64 i, value;
	int r = collect_large(md, rec, &e, &nr);

	*same = !r;
	for (i = 0; *same && i < rec->nr; i++) {
		u64 key = hpm_key_small(rec->vbn + i);

		while (k < nr && e[k].key < key)
			k++;
		if (k < nr && e[k].key == key)
			value = e[k].value;
		else if (nr && e[0].key == hpm_key_base(rec->lvbn))
			value = e[0].value + (rec->vbn + i - rec->lvbn);
		else
			value = HPM_PBN_HOLE;
		*same = hpm_value_pbn(value) == rec->arg + i &&
			hpm_value_time(value) >= rec->vol->snap_time;
	}
	return r;
}

/* Small blocks that a background job has copied while it kept writers out. */
static int apply_move(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_entry *e = md->scratch + HPM_SCRATCH_APPLY;
	struct hpm_splice sp;
	bool same;
	u32 i;
	int r;

	if (!pbn_valid(md, rec->pbn, rec->nr))
		return -EUCLEAN;
	r = still_there(md, rec, &same);
	if (r)
		return r;
	for (i = 0; i < rec->nr; i++) {
		e[i].key = hpm_key_small(rec->vbn + i);
		e[i].value = hpm_value(md->time, rec->pbn + i);
	}
	if (same)
		r = hpm_map_splice(rec->vol, e[0].key, e[rec->nr - 1].key + 1,
				   e, rec->nr, &sp);
	if (!r)
		hpm_space_settle(md, rec->pbn, rec->nr);
	return r;
}

/* Does nothing if the base is not the one that the background job has seen. */
static int apply_punch(struct hpm_md *md, const struct rec *rec)
{
	struct hpm_entry *e;
	unsigned int nr;
	int r = collect_large(md, rec, &e, &nr);

	if (r || !nr || e[0].key != hpm_key_base(rec->lvbn) ||
	    hpm_value_pbn(e[0].value) != rec->pbn)
		return r;
	return give_hidden(md, rec, e, nr);
}

/* Tells what apply_punch() would do; changes nothing. */
static int survey(struct hpm_md *md, const struct rec *rec,
		  struct hpm_survey *s)
{
	struct hpm_entry *e;
	unsigned int nr;
	bool exclusive;
	u32 refs, punched;
	int r;

	*s = (struct hpm_survey){ .base = HPM_PBN_HOLE };
	r = collect_large(md, rec, &e, &nr);
	if (r || nr < 2 || e[0].key != hpm_key_base(rec->lvbn))
		return r;
	s->base = hpm_value_pbn(e[0].value);
	if (nr == md->large_size + 1) {
		s->hidden = md->large_size;
		s->punchable = true;
		return 0;
	}
	r = hpm_map_exclusive(md, rec->vol->root, e[0].key, &exclusive);
	if (!r)
		r = hpm_space_base(md, s->base, &refs, &punched);
	if (r)
		return r;
	/* What was punched is overridden in every tree that reaches the base. */
	s->hidden = nr - 1 - punched;
	s->punchable = exclusive && refs == 1;
	return 0;
}

int hpm_map_survey(struct hpm_vol *vol, u64 vbn, struct hpm_survey *s)
{
	struct hpm_md *md = vol->md;
	struct rec rec = { .vol = vol, .vbn = vbn };
	int r;

	mutex_lock(&md->lock);
	rec.lvbn = round_down(vbn, (u64)md->large_size);
	r = survey(md, &rec, s);
	mutex_unlock(&md->lock);
	return r;
}

static int apply_mapping(struct hpm_md *md, const struct hpm_disk_record *r)
{
	struct rec rec;
	int ret = rec_decode(md, r, &rec);

	if (!ret)
		ret = hpm_vol_own(rec.vol);
	if (ret)
		return ret;
	switch (r->type) {
	case HPM_REC_MAP:
		return apply_map(md, &rec);
	case HPM_REC_LARGE:
		return apply_large(md, &rec);
	case HPM_REC_COLLAPSE:
		return apply_collapse(md, &rec);
	case HPM_REC_UNMAP:
		return apply_unmap(md, &rec);
	case HPM_REC_MOVE:
		return apply_move(md, &rec);
	case HPM_REC_PUNCH:
		return apply_punch(md, &rec);
	default:
		return -EUCLEAN;
	}
}

int hpm_apply_record(struct hpm_md *md, const struct hpm_disk_record *r)
{
	int ret;

	switch (r->type) {
	case HPM_REC_MAP:
	case HPM_REC_LARGE:
	case HPM_REC_COLLAPSE:
	case HPM_REC_UNMAP:
	case HPM_REC_MOVE:
	case HPM_REC_PUNCH:
		ret = apply_mapping(md, r);
		break;
	case HPM_REC_CREATE:
		ret = hpm_apply_create(md, r);
		break;
	case HPM_REC_SNAP:
		ret = hpm_apply_snap(md, r);
		break;
	case HPM_REC_DELETE:
		ret = hpm_apply_delete(md, r);
		break;
	case HPM_REC_RECLAIM:
		ret = hpm_apply_reclaim(md, r);
		break;
	case HPM_REC_SIZE:
	case HPM_REC_NAME:
	case HPM_REC_FLAGS:
	case HPM_REC_TID:
		ret = hpm_apply_attr(md, r);
		break;
	case HPM_REC_HOLD:
		ret = hpm_apply_hold(md);
		break;
	case HPM_REC_RELEASE:
		ret = hpm_apply_release(md, r);
		break;
	default:
		ret = -EUCLEAN;
	}
	if (ret)
		hpm_err(md, "record %llu (type %u, volume serial %llu, block %llu) cannot be applied: %d",
			(unsigned long long)md->space.record, r->type,
			(unsigned long long)le64_to_cpu(r->serial),
			(unsigned long long)le64_to_cpu(r->vbn), ret);
	return ret;
}
