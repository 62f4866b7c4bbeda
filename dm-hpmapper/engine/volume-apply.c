// SPDX-License-Identifier: GPL-2.0-only
/*
 * Applying records to volumes, to the volume table and to dying trees.
 *
 * Sharing and time.  The pool's time advances when the record of a snapshot is
 * applied, and only then.  The origin and the snapshot both get the new time; a
 * mapping with an older stamp may be reached from the other volume, so it
 * counts as shared and is never written in place.  The rule can only err
 * towards "shared": after the snapshot is deleted, the origin's old mappings
 * are still copied on their next write.
 *
 * A snapshot that has a number but is not applied.  The records before it, and
 * its own, may take milliseconds to apply, and writes to the origin go on
 * before that.  For these writes, every mapping that the snapshot will have
 * must be shared: a mapping of the tree, which is stamped with the pool's time
 * or an older one, and a mapping that is published under a smaller number.  So
 * when the snapshot gets its number, the origin gets the time that the snapshot
 * will have (seen_time), with which look-ups compare stamps, and the number
 * itself (seen_record), with which they compare changes in the chains.  When
 * such a change moves from the chains to the tree, it gets a stamp that is
 * older than seen_time, as the snapshot is not applied yet; so look-ups give
 * the same answer before and after.  A change with a greater number is applied
 * after the snapshot and stamped with the new time, so it is the origin's own.
 * Applying records uses snap_time, at run time and in a replay, which has
 * nothing else.
 *
 * There is only one such snapshot at a time: the next snapshot, or a look-up of
 * a volume, first applies all records up to it.  After a crash its record is in
 * the journal or not; if it is, all records before it are there, too, in order.
 *
 * Deletion.  The volume is removed from the table at once.  If its root is
 * shared, one decrement is enough; if not, the tree becomes a dying one and is
 * given back step by step.  Each step is a record with the volume's serial and
 * a key, so it can be replayed, and the id may be used again at once.
 *
 * Held snapshot.  This is a second reference to the root of the volume table,
 * taken when its record is applied and after dirty volumes were written to the
 * table; tools read it while the pool goes on.  However many volumes there are,
 * only one count changes.  From then on the two tables separate node by node,
 * like the maps of a volume and its snapshot: a write to the living table
 * copies the path, and the copy of a leaf raises the counts of the roots in it.
 * While a leaf is shared, a root has one reference for both tables.  So before
 * a volume's root changes, the leaf with its element is copied (hpm_vol_own()):
 * if not, a root with a count of 1 would be changed in place, or given back,
 * although the held table needs it.  A replay does this at the same records,
 * but flushes volumes at other times.  So it may find nodes shared that were
 * not shared at run time, but the number of references to a root is always that
 * of the trees which have it.
 *
 * Each shared node of the table may have to be copied once, and the copy takes
 * a block for good.  So these blocks are kept from writes (credit_floor()).  A
 * hold that would leave too few blocks is refused; under any other, volumes can
 * be deleted.
 *
 * A held table is let go in steps.  Each step is a record with an id, and
 * removes all elements below the id from the held table, shared or not.  What
 * the living table has, too, loses a reference; a root that nothing else refers
 * to becomes a dying tree.  No more than HPM_LET_GO_TREES trees become dying
 * ones in a step.
 */
#include "engine.h"
#include "array.h"
#include "dying.h"
#include "map.h"
#include "node.h"
#include "refs.h"
#include "volume-apply.h"
#include "volumes.h"

/* Drops a reference to a root; if it was the last, the tree becomes a dying one. */
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

/* The same for a root of a held table: a tree that dies gets a serial of its own. */
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

/* Gives back elements of a held table that no other table shares. */
static int let_go_volumes(struct hpm_md *md, const void *elts, unsigned int nr)
{
	const struct hpm_disk_volume *d = elts;
	unsigned int i;
	int r = 0;

	for (i = 0; !r && i < nr; i++) {
		if (!d[i].serial)
			continue;
		r = root_put_new(md, hpm_root_from_disk(&d[i].root));
		/*
		 * The tree is counted as a dying one first:
		 * hpm_counts_may_carry().
		 */
		WRITE_ONCE(md->held_volumes,
			   md->held_volumes - !!md->held_volumes);
	}
	return r;
}

static const struct hpm_cut_ops let_go_ops = { .gone = let_go_volumes };

/*
 * Versions that gave back a held table in one go took a serial for each of its
 * volumes, whether its tree died or not.  Their reclaims name those serials, so
 * a replay must count in the same way, even where the two tables share leaves
 * that were separate then.
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

/* The most nodes and elements that one step of letting a table go looks at. */
#define LET_GO_LOOKS	256

/* The shared roots that a step has found, once for each time; in md->scratch. */
struct let_go_roots {
	struct hpm_md *md;
	u64 *block;
	unsigned int nr;
};

/*
 * Would the step make the tree of this element a dying one?  Each earlier
 * element with the same root drops a reference.
 */
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
 * A replay makes the same trees dying ones, in the same order, although it may
 * find nodes shared that were not shared at run time.  Where a leaf is shared,
 * no volume in it was deleted or has changed its root, so each root in it has a
 * volume in the living table, too.
 *
 * hpm_repair keeps the journal but not the held table: then there is nothing to
 * let go.
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
	/* The leaf used last is shared now, although its own count is 1. */
	hpm_array_release(table);
	md->held.root = table->root;
	md->has_held = true;
	md->held_time = md->time;
	WRITE_ONCE(md->table_shared, table->root.height ? table->nodes : 0);
	WRITE_ONCE(md->held_volumes, md->nr_volumes);
	return 0;
}

/* Versions that gave back a held table in one go did so with this record. */
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
