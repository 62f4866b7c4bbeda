// SPDX-License-Identifier: GPL-2.0-only
/*
 * What records do to volumes, to the table of them and to trees that die.
 *
 * Sharing and time.  The pool's time advances with each snapshot, in the
 * application of its record and nowhere else.  The origin and the snapshot both
 * take the new time as theirs; a mapping with an older stamp may be reached
 * from the other one, so it counts as shared and is never written in place.
 * The rule errs towards "shared" only: after the snapshot is deleted the
 * origin's old mappings are copied once more on their next write.
 *
 * A snapshot between its number and its application.  Records before it, and it
 * itself, may take milliseconds to apply; the origin's writes go on before that.
 * They must find shared what the snapshot will have: a mapping of the tree, which
 * is stamped with the pool's time or an older one, and one that is published
 * under a smaller number.  So with the number the origin gets the time that the
 * snapshot will have (seen_time), which look-ups compare stamps with, and the
 * number itself (seen_record), which they compare changes in the chains with.
 * When such a change goes from the chains to the tree it gets a stamp that is
 * older than seen_time, as the snapshot is not applied yet, so a look-up says the
 * same of it before and after.  What is published under a greater number is
 * applied after the snapshot and stamped with the new time: the origin's own.
 * Applying itself goes by snap_time, as a replay does, which sees no other.
 *
 * There is one such snapshot at a time; the next one, and who looks a volume up,
 * first applies all up to it.  A crash finds its record in the journal or does
 * not; either way those before it are there if it is, in their order.
 *
 * Deletion.  The volume leaves the table at once.  If its root is shared, one
 * decrement is all; if not, the tree becomes a dying one, given back step by
 * step.  A step is a record that names the incarnation (the serial) and a key,
 * so it can be replayed, and the id may be used again right away.
 *
 * Held snapshot.  A second reference to the root of the volume table, as the
 * table is at that record, dirty volumes written to it before: what tools read
 * while the pool lives on.  However many volumes there are, that is one count.
 * From then on the two part node by node, as the maps of a volume and its snapshot
 * do: who writes to the living table copies the path, and a leaf that is copied
 * raises the counts of the roots in it.  While a leaf is shared, the one reference
 * in it is that of both tables, so before a volume's root changes (its count may be
 * 1, and it would be changed in place, or given back) the leaf with its element is
 * parted: hpm_vol_own().  A replay does this at the same records, but flushes
 * volumes at other times, so it may find nodes shared that were not, and never a
 * root with another number of references than its trees have.
 *
 * Each node of the table that is shared may have to be copied once, and for good.
 * So they are kept from those who write (credit_floor()): a hold is refused that
 * would leave too little, and volumes can be deleted under one that is not.
 *
 * Letting it go takes steps, each a record with an id: the elements below are gone
 * then, whatever is shared.  What the living table has, too, loses a reference; a
 * root that nobody else has becomes a dying tree, no more than HPM_LET_GO_TREES of them
 * in a step.
 */
#include "engine.h"
#include "array.h"
#include "dying.h"
#include "map.h"
#include "node.h"
#include "refs.h"
#include "volume-apply.h"
#include "volumes.h"

/* A root loses a reference; if it was the last, the tree is dying. */
static int root_put(struct hpm_md *md, u64 serial, struct hpm_root root)
{
	int r;

	if (!root.height)
		return 0;
	if (hpm_refs_count(md, root.ptr.block) == 1)
		return hpm_dying_add(md, serial, root);
	r = hpm_refs_dec(md, root.ptr.block, root.ptr.epoch);
	return r < 0 ? r : 0;
}

/* Likewise, of what was held: a tree that dies gets a serial of its own. */
static int root_put_new(struct hpm_md *md, struct hpm_root root)
{
	if (root.height && hpm_refs_count(md, root.ptr.block) == 1)
		return hpm_dying_add(md, md->next_serial++, root);
	return root_put(md, 0, root);
}

static int root_get(struct hpm_md *md, struct hpm_root root)
{
	return root.height ? hpm_refs_inc(md, root.ptr.block) : 0;
}

/*----------------------------------------------------------------
 * Applying; md->lock held
 *--------------------------------------------------------------*/

static u32 rec_id(const struct hpm_disk_record *r)
{
	return le32_to_cpu(r->arg_lo);
}

static void rec_name(const struct hpm_disk_record *r, char *name)
{
	const union hpm_record_buf *buf =
		container_of(r, const union hpm_record_buf, rec);

	memset(name, 0, HPM_NAME_SIZE);
	if (r->slots == HPM_MAX_RECORD_SLOTS)
		memcpy(name, buf->slots[1], HPM_NAME_SIZE - 1);
}

static int apply_new(struct hpm_md *md, const struct hpm_disk_record *r,
		     struct hpm_vol **out)
{
	u64 serial = le64_to_cpu(r->serial);
	struct hpm_vol *vol;

	if (rec_id(r) > HPM_MAX_VOLUME_ID || hpm_vol_by_id(md, rec_id(r)) ||
	    serial < md->next_serial)
		return -EUCLEAN;
	vol = hpm_vol_new(md, rec_id(r), serial, HPM_GFP_MUST);
	md->next_serial = serial + 1;
	vol->flags = HPM_VOL_LIVE;
	rec_name(r, vol->name);
	vol->created = md->time;
	hpm_vol_mark_dirty(vol);
	*out = vol;
	return 0;
}

int hpm_apply_create(struct hpm_md *md, const struct hpm_disk_record *r)
{
	struct hpm_vol *vol;
	int ret = apply_new(md, r, &vol);

	if (!ret) {
		vol->size = le64_to_cpu(r->pbn);
		hpm_vol_set_time(vol, md->time);
	}
	return ret;
}

int hpm_apply_snap(struct hpm_md *md, const struct hpm_disk_record *r)
{
	struct hpm_vol *origin, *vol;
	int ret;

	origin = hpm_vol_by_serial(md, le64_to_cpu(r->pbn));
	if (!origin || md->time >= HPM_MAX_TIME)
		return -EUCLEAN;
	ret = root_get(md, origin->root);
	if (!ret)
		ret = apply_new(md, r, &vol);
	if (ret)
		return ret;
	md->time++;
	vol->root = origin->root;
	vol->size = origin->size;
	vol->mapped = origin->mapped;
	vol->parent = origin->serial;
	vol->created = md->time;
	hpm_vol_set_time(vol, md->time);
	hpm_vol_set_time(origin, md->time);
	hpm_vol_mark_dirty(origin);
	return 0;
}

int hpm_apply_delete(struct hpm_md *md, const struct hpm_disk_record *r)
{
	struct hpm_vol *vol = hpm_vol_by_serial(md, le64_to_cpu(r->serial));
	struct hpm_node *leaf;
	void *elt;
	int ret;

	if (!vol)
		return -EUCLEAN;
	ret = hpm_array_write(md, &md->array[HPM_ARR_VOLUME], vol->id, &leaf,
			      &elt);
	if (ret)
		return ret;
	memset(elt, 0, sizeof(struct hpm_disk_volume));
	hpm_node_put(leaf);
	ret = root_put(md, vol->serial, vol->root);
	if (!ret)
		hpm_vol_free(md, vol);
	return ret;
}

/* Elements of what was held, which nobody else has any more. */
static int let_go_volumes(struct hpm_md *md, const void *elts, unsigned int nr)
{
	const struct hpm_disk_volume *d = elts;
	unsigned int i;
	int r = 0;

	for (i = 0; !r && i < nr; i++) {
		if (!d[i].serial)
			continue;
		r = root_put_new(md, hpm_root_from_disk(&d[i].root));
		/* It is a dying one first: hpm_counts_may_carry(). */
		WRITE_ONCE(md->held_volumes,
			   md->held_volumes - !!md->held_volumes);
	}
	return r;
}

static const struct hpm_cut_ops let_go_ops = { .gone = let_go_volumes };

/*
 * Versions that gave it back in one go numbered all volumes of it, whether their
 * trees died or not.  Their reclaims name those numbers, so a replay counts the
 * same, also where the two tables share what were two tables then.
 */
static int release_volumes(struct hpm_md *md, const void *elts, unsigned int nr)
{
	const struct hpm_disk_volume *d = elts;
	unsigned int i;
	int r = 0;

	for (i = 0; !r && i < nr; i++)
		if (d[i].serial)
			r = root_put(md, md->next_serial++,
				     hpm_root_from_disk(&d[i].root));
	return r;
}

static int release_kept(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_volume *d = elts;
	struct hpm_md *md = ctx;
	unsigned int i;

	for (i = 0; i < nr; i++)
		md->next_serial += !!d[i].serial;
	return 0;
}

static const struct hpm_cut_ops release_ops = {
	.gone = release_volumes,
	.kept = release_kept,
};

static int let_go(struct hpm_md *md, u64 to, const struct hpm_cut_ops *ops)
{
	int r = hpm_array_cut(md, &md->held, to, ops);

	if (r || md->held.root.height)
		return r;
	WRITE_ONCE(md->letting_go, false);
	WRITE_ONCE(md->table_shared, 0);
	WRITE_ONCE(md->held_volumes, 0);
	return 0;
}

/* In one step of letting a table go: nodes and volumes. */
#define LET_GO_LOOKS	256

/* The shared roots that a step has come across, as often as it has; scratch. */
struct let_go_roots {
	struct hpm_md *md;
	u64 *block;
	unsigned int nr;
};

/* Would its tree be a dying one?  Each element before it has taken a reference. */
static bool dies(void *ctx, const void *elt)
{
	const struct hpm_disk_volume *d = elt;
	struct hpm_root root = hpm_root_from_disk(&d->root);
	struct let_go_roots *roots = ctx;
	unsigned int i, taken = 1;
	u32 refs;

	if (!root.height)
		return false;
	refs = hpm_refs_count(roots->md, root.ptr.block);
	if (refs == 1)
		return true;
	for (i = 0; i < roots->nr; i++)
		taken += roots->block[i] == root.ptr.block;
	roots->block[roots->nr++] = root.ptr.block;
	return taken == refs;
}

int hpm_let_go_bound(struct hpm_md *md, u64 *to)
{
	struct let_go_roots roots = {
		.md = md,
		.block = (u64 *)(md->scratch + HPM_SCRATCH_APPLY),
	};

	BUILD_BUG_ON(LET_GO_LOOKS * sizeof(u64) >
		     HPM_SPLICE_MAX * sizeof(*md->scratch));
	return hpm_array_cut_bound(md, &md->held, dies, &roots, false,
				   LET_GO_LOOKS, HPM_LET_GO_TREES, to);
}

static bool is_volume(void *ctx, const void *elt)
{
	const struct hpm_disk_volume *d = elt;

	return d->serial;
}

int hpm_let_go_few(struct hpm_md *md, u64 *to)
{
	return hpm_array_cut_bound(md, &md->held, is_volume, NULL, true,
				   LET_GO_LOOKS, HPM_LET_GO_TREES, to);
}

/*
 * A replay comes to the same trees that die, and in the same order, though it may find
 * nodes shared that were not: where a leaf is shared, no volume of it has changed its
 * root or was deleted, so each root has a volume besides.
 *
 * hpm_repair keeps the journal and not the table: then there is nothing left.
 */
static int apply_let_go(struct hpm_md *md, u64 to)
{
	if (md->has_held)
		return -EUCLEAN;
	return md->letting_go ? let_go(md, to, &let_go_ops) : 0;
}

int hpm_apply_reclaim(struct hpm_md *md, const struct hpm_disk_record *r)
{
	u64 serial = le64_to_cpu(r->serial), to = le64_to_cpu(r->pbn);
	struct hpm_dying *d;
	int ret;

	if (!serial)
		return apply_let_go(md, to);
	list_for_each_entry(d, &md->dying, list)
		if (d->serial == serial)
			goto found;
	return -EUCLEAN;
found:
	ret = hpm_map_reclaim(md, d->root, d->cursor, &to);
	if (ret)
		return ret;
	d->cursor = to;
	if (to != U64_MAX)
		return hpm_dying_write(md, d->slot, d);
	ret = hpm_dying_write(md, d->slot, NULL);
	if (!ret)
		hpm_dying_remove(md, d);
	return ret;
}

int hpm_apply_attr(struct hpm_md *md, const struct hpm_disk_record *r)
{
	struct hpm_vol *vol;

	if (r->type == HPM_REC_TID) {
		md->transaction_id = le64_to_cpu(r->pbn);
		return 0;
	}
	vol = hpm_vol_by_serial(md, le64_to_cpu(r->serial));
	if (!vol)
		return -EUCLEAN;
	if (r->type == HPM_REC_SIZE)
		vol->size = le64_to_cpu(r->pbn);
	else if (r->type == HPM_REC_NAME)
		rec_name(r, vol->name);
	else
		vol->flags = HPM_VOL_LIVE | le16_to_cpu(r->nr);
	hpm_vol_mark_dirty(vol);
	return 0;
}

int hpm_apply_hold(struct hpm_md *md)
{
	struct hpm_array *table = &md->array[HPM_ARR_VOLUME];
	int r;

	if (md->has_held || md->letting_go)
		return -EUCLEAN;
	r = hpm_vols_flush(md);
	if (!r)
		r = root_get(md, table->root);
	if (r)
		return r;
	/* Its leaf used last is shared, though its own count is 1. */
	hpm_array_release(table);
	md->held.root = table->root;
	md->has_held = true;
	md->held_time = md->time;
	WRITE_ONCE(md->table_shared, table->root.height ? table->nodes : 0);
	WRITE_ONCE(md->held_volumes, md->nr_volumes);
	return 0;
}

/* Versions that gave it back in one go did so with this record. */
int hpm_apply_release(struct hpm_md *md, const struct hpm_disk_record *r)
{
	if (!md->has_held)
		return -EUCLEAN;
	md->has_held = false;
	WRITE_ONCE(md->letting_go, true);
	if (!r->nr)
		return let_go(md, U64_MAX, &release_ops);
	hpm_kick(md, HPM_KICK_RECLAIM);
	return 0;
}
