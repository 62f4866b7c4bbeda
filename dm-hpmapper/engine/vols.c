// SPDX-License-Identifier: GPL-2.0-only
/*
 * The volumes of a pool, and the trees that deleted ones leave behind.
 *
 * Every volume has a small structure in memory as long as the pool is open;
 * the table on disk, an array by id, is brought up to date at each cut.  So
 * looking one up, listing, and taking a snapshot cost the same whatever the
 * pool's size: a snapshot is one record, and applying it copies a root and
 * raises one reference count.
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
#include "md.h"

static struct hlist_head *serial_chain(struct hpm_md *md, u64 serial)
{
	return &md->vols_by_serial[hash_64(serial, HPM_VOL_HASH_BITS)];
}

static struct hlist_head *id_chain(struct hpm_md *md, u32 id)
{
	return &md->vols_by_id[hash_64(id, HPM_VOL_HASH_BITS)];
}

struct hpm_vol *hpm_vol_by_serial(struct hpm_md *md, u64 serial)
{
	struct hpm_vol *vol;

	hlist_for_each_entry(vol, serial_chain(md, serial), by_serial)
		if (vol->serial == serial)
			return vol;
	return NULL;
}

struct hpm_vol *hpm_vol_by_id(struct hpm_md *md, u32 id)
{
	struct hpm_vol *vol;

	hlist_for_each_entry(vol, id_chain(md, id), by_id)
		if (vol->id == id)
			return vol;
	return NULL;
}

struct hpm_vol *hpm_vol_named(struct hpm_md *md, const char *name)
{
	struct hpm_vol *vol;
	unsigned int i;

	for (i = 0; i < 1 << HPM_VOL_HASH_BITS; i++)
		hlist_for_each_entry(vol, &md->vols_by_id[i], by_id)
			if (!strcmp(vol->name, name))
				return vol;
	return NULL;
}

/* Whoever gets a credit looks at it without md->lock. */
static void count_dirty(struct hpm_md *md, int nr)
{
	/* What flushing it took is seen before: pairs with meta_room(). */
	smp_wmb();
	WRITE_ONCE(md->nr_dirty_vols, md->nr_dirty_vols + nr);
}

struct hpm_vol *hpm_vol_new(struct hpm_md *md, u32 id, u64 serial, gfp_t gfp)
{
	struct hpm_vol *vol = md->spare_vol;

	md->spare_vol = NULL;
	if (!vol)
		vol = kzalloc(sizeof(*vol), gfp);
	if (!vol)
		return NULL;
	vol->md = md;
	vol->id = id;
	vol->serial = serial;
	INIT_LIST_HEAD(&vol->dirty);
	seqcount_init(&vol->seq);
	spin_lock_init(&vol->lock);
	atomic_set(&vol->nr_changes, 0);
	hlist_add_head(&vol->by_serial, serial_chain(md, serial));
	hlist_add_head(&vol->by_id, id_chain(md, id));
	WRITE_ONCE(md->nr_volumes, md->nr_volumes + 1);
	return vol;
}

void hpm_vol_free(struct hpm_md *md, struct hpm_vol *vol)
{
	hlist_del(&vol->by_serial);
	hlist_del(&vol->by_id);
	if (!list_empty(&vol->dirty)) {
		list_del(&vol->dirty);
		count_dirty(md, -1);
	}
	WRITE_ONCE(md->nr_volumes, md->nr_volumes - 1);
	kfree(vol->changes);
	kfree(vol);
}

void hpm_vol_mark_dirty(struct hpm_vol *vol)
{
	if (!list_empty(&vol->dirty))
		return;
	list_add_tail(&vol->dirty, &vol->md->dirty_vols);
	count_dirty(vol->md, 1);
}

/*----------------------------------------------------------------
 * The table on disk
 *--------------------------------------------------------------*/

static void vol_to_disk(const struct hpm_vol *vol, struct hpm_disk_volume *d)
{
	memset(d, 0, sizeof(*d));
	d->flags = cpu_to_le32(vol->flags);
	d->snap_time = cpu_to_le32(vol->snap_time);
	d->serial = cpu_to_le64(vol->serial);
	d->parent = cpu_to_le64(vol->parent);
	d->size = cpu_to_le64(vol->size);
	d->mapped = cpu_to_le64(vol->mapped);
	d->created = cpu_to_le64(vol->created);
	hpm_root_to_disk(&d->root, vol->root);
	memcpy(d->name, vol->name, HPM_NAME_SIZE);
}

static int vol_from_disk(struct hpm_md *md, u32 id,
			 const struct hpm_disk_volume *d)
{
	u64 serial = le64_to_cpu(d->serial);
	struct hpm_vol *vol;

	if (id > HPM_MAX_VOLUME_ID || serial >= md->next_serial ||
	    le32_to_cpu(d->snap_time) > md->time || d->root.height > HPM_MAP_HEIGHT ||
	    d->name[HPM_NAME_SIZE - 1] || hpm_vol_by_serial(md, serial)) {
		pr_err("hpmapper: volume %u: damaged entry in the table\n", id);
		return -EUCLEAN;
	}
	vol = hpm_vol_new(md, id, serial, GFP_NOIO);
	if (!vol)
		return -ENOMEM;
	vol->flags = le32_to_cpu(d->flags);
	hpm_vol_set_time(vol, le32_to_cpu(d->snap_time));
	vol->parent = le64_to_cpu(d->parent);
	vol->size = le64_to_cpu(d->size);
	vol->mapped = le64_to_cpu(d->mapped);
	vol->created = le64_to_cpu(d->created);
	vol->root = hpm_root_from_disk(&d->root);
	hpm_cost_height(md, vol->root.height);
	memcpy(vol->name, d->name, HPM_NAME_SIZE);
	return 0;
}

static int load_vol_leaf(void *ctx, u64 first, const void *elts,
			 unsigned int nr)
{
	const struct hpm_disk_volume *d = elts;
	unsigned int i;
	int r = 0;

	for (i = 0; !r && i < nr; i++)
		if (d[i].serial)
			r = vol_from_disk(ctx, first + i, &d[i]);
	return r;
}

static int vol_flush(struct hpm_md *md, struct hpm_vol *vol)
{
	struct hpm_node *leaf;
	void *elt;
	int r = hpm_array_write(md, &md->array[HPM_ARR_VOLUME], vol->id, &leaf,
				&elt);

	if (r)
		return r;
	vol_to_disk(vol, elt);
	hpm_node_put(leaf);
	return 0;
}

int hpm_vols_flush(struct hpm_md *md)
{
	struct hpm_vol *vol, *next;
	int r;

	list_for_each_entry_safe(vol, next, &md->dirty_vols, dirty) {
		r = vol_flush(md, vol);
		if (r)
			return r;
		list_del_init(&vol->dirty);
		count_dirty(md, -1);
	}
	return 0;
}

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

/* What of the volume table is shared with one that is held. */
static int load_shared(struct hpm_md *md)
{
	struct hpm_array *table = &md->array[HPM_ARR_VOLUME];
	u64 unshared;
	int r;

	if (!md->held.root.height || !table->root.height)
		return 0;
	r = hpm_array_unshared(md, table, &unshared);
	if (!r)
		md->table_shared = table->nodes - min(table->nodes, unshared);
	return r;
}

int hpm_vols_load(struct hpm_md *md)
{
	int r;

	r = hpm_array_walk(md, &md->array[HPM_ARR_VOLUME], load_vol_leaf, md);
	if (!r)
		r = hpm_dying_load(md);
	return r ? r : load_shared(md);
}

void hpm_vols_exit(struct hpm_md *md)
{
	struct hlist_node *next;
	struct hpm_vol *vol;
	unsigned int i;

	for (i = 0; i < 1 << HPM_VOL_HASH_BITS; i++)
		hlist_for_each_entry_safe(vol, next, &md->vols_by_id[i], by_id)
			hpm_vol_free(md, vol);
	hpm_dying_exit(md);
	kfree(md->spare_vol);
	md->spare_vol = NULL;
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

int hpm_vol_own(struct hpm_vol *vol)
{
	struct hpm_md *md = vol->md;
	struct hpm_node *leaf;
	void *elt;
	int r;

	if (likely(!md->table_shared))
		return 0;
	r = hpm_array_write(md, &md->array[HPM_ARR_VOLUME], vol->id, &leaf,
			    &elt);
	if (!r)
		hpm_node_put(leaf);
	return r;
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

/*----------------------------------------------------------------
 * What the owner of the pool asks for
 *--------------------------------------------------------------*/

static int credit_wait(struct hpm_md *md, enum hpm_credit_use use,
		       const char **why)
{
	int r = hpm_credit_wait(md, 1, use);

	if (r == -ENOSPC)
		*why = "no metadata space is left";
	else if (r == -EROFS)
		*why = "the pool is read-only";
	else if (r == -ERESTART)
		*why = "writes under way have what metadata space is left";
	else if (r)
		*why = "the metadata device failed";
	return r;
}

/*
 * md->lock, and all volumes are there; but for a snapshot that cannot be
 * applied, the pool being read-only then.
 */
static int volumes_lock(struct hpm_md *md)
{
	mutex_lock(&md->lock);
	return hpm_apply_snap_pending(md);
}

/* A credit and md->lock; with them the state that @why is about stands still. */
static int change_begin(struct hpm_md *md, enum hpm_credit_use use,
			const char **why)
{
	int r = credit_wait(md, use, why);

	if (!r)
		volumes_lock(md);
	return r;
}

static int change_commit(struct hpm_md *md, const char **why)
{
	int r = hpm_md_commit(md);

	if (r)
		*why = "the change could not be made durable";
	return r;
}

static int change_end(struct hpm_md *md, union hpm_record_buf *buf,
		      const char **why)
{
	int r = hpm_record_now(md, buf);

	mutex_unlock(&md->lock);
	if (r)
		*why = "the change could not be applied";
	return r ? r : change_commit(md, why);
}

static void buf_name(union hpm_record_buf *buf, const char *name)
{
	if (!name || !*name)
		return;
	buf->rec.slots = HPM_MAX_RECORD_SLOTS;
	strscpy((char *)buf->slots[1], name, HPM_NAME_SIZE);
}

/* Names that mean something else where a name is a word of a line or a path. */
static bool name_reserved(const char *name, const char **why)
{
	*why = "'-' stands for no name, '.' and '..' are no names";
	return !strcmp(name, "-") || !strcmp(name, ".") || !strcmp(name, "..");
}

static int check_name(struct hpm_md *md, const char *name, const char **why)
{
	const char *c;

	if (!name || !*name)
		return 0;
	if (strlen(name) >= HPM_NAME_SIZE) {
		*why = "the name is longer than 63 characters";
		return -ENAMETOOLONG;
	}
	for (c = name; *c; c++) {
		if (!hpm_name_char_ok(*c)) {
			*why = "a name has letters, digits and ._-+:@=, only";
			return -EINVAL;
		}
	}
	if (name_reserved(name, why))
		return -EINVAL;
	if (hpm_vol_named(md, name)) {
		*why = "a volume of that name exists";
		return -EEXIST;
	}
	return 0;
}

static int check_new(struct hpm_md *md, u32 id, const char *name,
		     const char **why)
{
	if (id > HPM_MAX_VOLUME_ID) {
		*why = "volume ids go from 0 to 16777215";
		return -EINVAL;
	}
	if (hpm_vol_by_id(md, id)) {
		*why = "a volume with that id exists";
		return -EEXIST;
	}
	return check_name(md, name, why);
}

static int check_size(u64 size, const char **why)
{
	if (size <= 1ULL << HPM_VBN_BITS)
		return 0;
	*why = "a volume is at most 256 TiB";
	return -EFBIG;
}

static struct hpm_vol *find_vol(struct hpm_md *md, u32 id, const char **why)
{
	struct hpm_vol *vol = hpm_vol_by_id(md, id);

	if (!vol)
		*why = "no volume has that id";
	return vol;
}

/* change_begin(), and the volume that the change is about. */
static int vol_begin(struct hpm_md *md, u32 id, enum hpm_credit_use use,
		     struct hpm_vol **vol, const char **why)
{
	int r = change_begin(md, use, why);

	if (r)
		return r;
	*vol = find_vol(md, id, why);
	return *vol ? 0 : hpm_change_refuse(md, -ENOENT);
}

int hpm_vol_create(struct hpm_md *md, u32 id, u64 size, const char *name,
		   const char **why)
{
	union hpm_record_buf buf;
	int r = check_size(size, why);

	if (!r)
		r = change_begin(md, HPM_FOR_WRITE, why);
	if (r)
		return r;
	r = check_new(md, id, name, why);
	if (r)
		return hpm_change_refuse(md, r);
	hpm_record_init(&buf, HPM_REC_CREATE, md->next_serial, size);
	buf.rec.arg_lo = cpu_to_le32(id);
	buf_name(&buf, name);
	return change_end(md, &buf, why);
}

/*
 * From now until its record has a number, nothing takes the serial that a snapshot
 * is going to have: such a record would be applied before it, and take it away.
 * Messages come one at a time, so all that could is a step that lets a table go.
 * It looks at the word with md->lock held.
 */
static void snapshot_prepare(struct hpm_md *md)
{
	WRITE_ONCE(md->snap_prepared, true);
	if (READ_ONCE(md->letting_go)) {
		/* One that has not seen it is over. */
		mutex_lock(&md->lock);
		mutex_unlock(&md->lock);
	}
}

static void snapshot_unprepare(struct hpm_md *md)
{
	/* Its number comes first: pairs with let_go_step(). */
	smp_store_release(&md->snap_prepared, false);
	if (READ_ONCE(md->letting_go))
		hpm_kick(md, HPM_KICK_RECLAIM);
}

/*
 * What the record will say.  Nobody else changes the set of volumes, no snapshot
 * is to be applied, and this one is prepared, so that stands still without
 * md->lock.
 */
static int snapshot_check(struct hpm_md *md, u32 id, u32 origin,
			  const char *name, const char **why)
{
	struct hpm_pending_snap *snap = &md->journal.snap;
	int r = check_new(md, id, name, why);

	if (r)
		return r;
	snap->origin = hpm_vol_by_id(md, origin);
	if (!snap->origin) {
		*why = "the origin does not exist";
		return -ENOENT;
	}
	if (md->time >= HPM_MAX_TIME) {
		*why = "this pool has taken all the snapshots it can tell apart";
		return -EOVERFLOW;
	}
	snap->time = md->time + 1;
	snap->nr_volumes = md->nr_volumes + 1;
	hpm_record_init(&snap->buf, HPM_REC_SNAP, md->next_serial,
			snap->origin->serial);
	snap->buf.rec.arg_lo = cpu_to_le32(id);
	buf_name(&snap->buf, name);
	return 0;
}

/* The one before is applied, and there is memory for this one's volume. */
static int snapshot_ready(struct hpm_md *md, const char **why)
{
	int r = 0;

	if (hpm_snap_pending(md)) {
		r = volumes_lock(md);
		mutex_unlock(&md->lock);
	}
	if (r) {
		*why = "the snapshot before could not be applied";
		return r;
	}
	if (!md->spare_vol)
		md->spare_vol = kzalloc(sizeof(*md->spare_vol), GFP_NOIO);
	if (!md->spare_vol) {
		*why = "no memory is left";
		return -ENOMEM;
	}
	return 0;
}

int hpm_vol_snapshot_begin(struct hpm_md *md, u32 id, u32 origin,
			   const char *name, const char **why)
{
	int r = snapshot_ready(md, why);

	if (!r)
		r = credit_wait(md, HPM_FOR_WRITE, why);
	if (r)
		return r;
	snapshot_prepare(md);
	r = snapshot_check(md, id, origin, name, why);
	if (r)
		hpm_vol_snapshot_cancel(md);
	return r;
}

void hpm_vol_snapshot_cancel(struct hpm_md *md)
{
	snapshot_unprepare(md);
	hpm_credit_put(md, 1);
}

void hpm_vol_snapshot_publish(struct hpm_md *md)
{
	hpm_snap_publish(md);
	snapshot_unprepare(md);
}

int hpm_vol_snapshot_end(struct hpm_md *md, const char **why)
{
	return change_commit(md, why);
}

int hpm_vol_snapshot(struct hpm_md *md, u32 id, u32 origin, const char *name,
		     const char **why)
{
	int r = hpm_vol_snapshot_begin(md, id, origin, name, why);

	if (r)
		return r;
	hpm_vol_snapshot_publish(md);
	return hpm_vol_snapshot_end(md, why);
}

int hpm_vol_delete(struct hpm_md *md, u32 id, const char **why)
{
	union hpm_record_buf buf;
	struct hpm_vol *vol;
	int r = vol_begin(md, id, HPM_FOR_DELETE, &vol, why);

	if (r)
		return r;
	if (vol->opens) {
		*why = "the volume is active";
		return hpm_change_refuse(md, -EBUSY);
	}
	if (!hpm_dying_room(md, 1)) {
		*why = "too many deleted volumes are being given back: try again later";
		return hpm_change_refuse(md, -ENOSPC);
	}
	hpm_record_init(&buf, HPM_REC_DELETE, vol->serial, 0);
	return change_end(md, &buf, why);
}

int hpm_vol_set_size(struct hpm_md *md, u32 id, u64 size, const char **why)
{
	union hpm_record_buf buf;
	struct hpm_vol *vol;
	int r = check_size(size, why);

	if (!r)
		r = vol_begin(md, id, HPM_FOR_WRITE, &vol, why);
	if (r)
		return r;
	hpm_record_init(&buf, HPM_REC_SIZE, vol->serial, size);
	return change_end(md, &buf, why);
}

int hpm_vol_set_name(struct hpm_md *md, u32 id, const char *name,
		     const char **why)
{
	union hpm_record_buf buf;
	struct hpm_vol *vol;
	int r = vol_begin(md, id, HPM_FOR_WRITE, &vol, why);

	if (r)
		return r;
	/* Its own name is nobody else's, and one that it has from long ago stays. */
	r = name && !strcmp(name, vol->name) ? 0 : check_name(md, name, why);
	if (r)
		return hpm_change_refuse(md, r);
	hpm_record_init(&buf, HPM_REC_NAME, vol->serial, 0);
	buf_name(&buf, name);
	return change_end(md, &buf, why);
}

int hpm_vol_set_flags(struct hpm_md *md, u32 id, u32 flags, const char **why)
{
	union hpm_record_buf buf;
	struct hpm_vol *vol;
	int r = vol_begin(md, id, HPM_FOR_WRITE, &vol, why);

	if (r)
		return r;
	hpm_record_init(&buf, HPM_REC_FLAGS, vol->serial, 0);
	buf.rec.nr = cpu_to_le16(flags & (HPM_VOL_READONLY | HPM_VOL_NOSHARE));
	return change_end(md, &buf, why);
}

int hpm_md_set_transaction_id(struct hpm_md *md, u64 old, u64 new,
			      const char **why)
{
	union hpm_record_buf buf;
	int r = change_begin(md, HPM_FOR_WRITE, why);

	if (r)
		return r;
	if (md->transaction_id != old) {
		*why = "the transaction id is not the one given as old";
		return hpm_change_refuse(md, -EINVAL);
	}
	hpm_record_init(&buf, HPM_REC_TID, 0, new);
	return change_end(md, &buf, why);
}

/* The record is durable; the table that it is about gets into a superblock. */
static int hold_end(struct hpm_md *md, union hpm_record_buf *buf,
		    const char **why)
{
	int r = change_end(md, buf, why);

	if (r)
		return r;
	r = hpm_md_checkpoint(md);
	if (r)
		*why = "the checkpoint failed";
	return r;
}

/*
 * All of the table may have to be copied, and its volumes are as many trees more: first
 * they are there for whoever gets a credit without md->lock, then it is asked whether
 * the credits that are out have enough.
 */
static bool hold_fits(struct hpm_md *md)
{
	WRITE_ONCE(md->held_volumes, md->nr_volumes);
	/* Pairs with hpm_credit_try(). */
	smp_mb();
	if (hpm_credit_spare(md) >= md->array[HPM_ARR_VOLUME].nodes)
		return true;
	WRITE_ONCE(md->held_volumes, 0);
	return false;
}

/*
 * A credit, md->lock, and room for what is held.
 */
static int hold_begin(struct hpm_md *md, const char **why)
{
	unsigned int tried;
	int r;

	for (tried = 0;; tried++) {
		r = change_begin(md, HPM_FOR_WRITE, why);
		if (r)
			return r;
		if (md->has_held) {
			*why = "a metadata snapshot is held already";
			return hpm_change_refuse(md, -EBUSY);
		}
		if (hold_fits(md))
			return 0;
		hpm_change_refuse(md, -ENOSPC);
		*why = "too little metadata space is left to hold the volume table";
		if (tried)
			return -ENOSPC;
		r = hpm_md_make_room(md);
		if (r)
			return r;
	}
}

/* What was held before must be gone. */
static int let_go_all(struct hpm_md *md, const char **why)
{
	int r = 1;

	while (r > 0 && READ_ONCE(md->letting_go))
		r = hpm_md_reclaim_step(md);
	if (r < 0)
		*why = "the metadata snapshot before could not be given back";
	return min(r, 0);
}

int hpm_md_hold(struct hpm_md *md, const char **why)
{
	union hpm_record_buf buf;
	int r = let_go_all(md, why);

	if (!r)
		r = hold_begin(md, why);
	if (r)
		return r;
	hpm_record_init(&buf, HPM_REC_HOLD, 0, 0);
	return hold_end(md, &buf, why);
}

int hpm_md_release(struct hpm_md *md, const char **why)
{
	union hpm_record_buf buf;
	int r = change_begin(md, HPM_FOR_RECLAIM, why);

	if (r)
		return r;
	if (!md->has_held) {
		*why = "no metadata snapshot is held";
		return hpm_change_refuse(md, -EINVAL);
	}
	hpm_record_init(&buf, HPM_REC_RELEASE, 0, 0);
	buf.rec.nr = cpu_to_le16(1);
	return hold_end(md, &buf, why);
}

/*----------------------------------------------------------------
 * Asking
 *--------------------------------------------------------------*/

static void fill_info(const struct hpm_vol *vol, struct hpm_vol_info *info)
{
	info->id = vol->id;
	info->serial = vol->serial;
	info->parent = vol->parent;
	info->size = vol->size;
	info->mapped = vol->mapped;
	info->flags = vol->flags;
	info->snap_time = vol->snap_time;
	info->created = vol->created;
	memcpy(info->name, vol->name, HPM_NAME_SIZE);
}

/* The lowest id from @id on, by a look at all. */
static struct hpm_vol *vol_above(struct hpm_md *md, u32 id)
{
	struct hpm_vol *vol, *best = NULL;
	unsigned int i;

	for (i = 0; i < 1 << HPM_VOL_HASH_BITS; i++)
		hlist_for_each_entry(vol, &md->vols_by_id[i], by_id)
			if (vol->id >= id && (!best || vol->id < best->id))
				best = vol;
	return best;
}

int hpm_vol_next(struct hpm_md *md, u32 id, struct hpm_vol_info *info)
{
	struct hpm_vol *best;
	unsigned int i;

	volumes_lock(md);
	best = hpm_vol_by_id(md, id);
	for (i = 0; !best && i < 1 << HPM_VOL_HASH_BITS; i++)
		best = hpm_vol_by_id(md, id + i);
	if (!best)
		best = vol_above(md, id);
	if (best)
		fill_info(best, info);
	mutex_unlock(&md->lock);
	return best ? 0 : -ENOENT;
}

int hpm_vol_by_name(struct hpm_md *md, const char *name,
		    struct hpm_vol_info *info)
{
	struct hpm_vol *vol;

	volumes_lock(md);
	vol = hpm_vol_named(md, name);
	if (vol)
		fill_info(vol, info);
	mutex_unlock(&md->lock);
	return vol ? 0 : -ENOENT;
}

/* One more owner; the first needs chains.  What cleans memory needs md->lock, too. */
static int vol_use(struct hpm_vol *vol)
{
	if (!vol->changes)
		vol->changes = kzalloc(sizeof(*vol->changes), GFP_NOIO);
	if (!vol->changes)
		return -ENOMEM;
	vol->opens++;
	return 0;
}

int hpm_vol_open(struct hpm_md *md, u32 id, struct hpm_vol **volp)
{
	int r = volumes_lock(md);
	struct hpm_vol *vol = hpm_vol_by_id(md, id);

	if (vol)
		r = vol_use(vol);
	else if (!r)	/* else it may be the snapshot that cannot be applied */
		r = -ENOENT;
	mutex_unlock(&md->lock);
	*volp = r ? NULL : vol;
	return r;
}

void hpm_vol_put(struct hpm_vol *vol)
{
	struct hpm_md *md = vol->md;

	mutex_lock(&md->lock);
	vol->opens--;
	mutex_unlock(&md->lock);
}

void hpm_vol_get_info(struct hpm_vol *vol, struct hpm_vol_info *info)
{
	mutex_lock(&vol->md->lock);
	fill_info(vol, info);
	mutex_unlock(&vol->md->lock);
}

/* The last mapped block of the large block that the tree's last key is in. */
static int highest_in(struct hpm_md *md, struct hpm_vol *vol, u64 key, u64 *vbn)
{
	struct hpm_entry *e = md->scratch + HPM_SCRATCH_APPLY;
	u64 lvbn = round_down(key >> 1, (u64)md->large_size), at;
	unsigned int nr;
	int r;

	r = hpm_map_collect(md, vol->root, hpm_key_base(lvbn), key + 1, e,
			    md->large_size + 1, &nr);
	if (r)
		return r;
	at = lvbn + md->large_size - 1;
	if (nr && !(e[0].key & 1)) {
		/* Under a base what has no entry is mapped. */
		while (nr > 1 && e[nr - 1].key >> 1 == at &&
		       hpm_value_pbn(e[nr - 1].value) == HPM_PBN_HOLE) {
			nr--;
			at--;
		}
	} else if (nr) {
		at = e[nr - 1].key >> 1;
	}
	*vbn = at;
	return 0;
}

int hpm_vol_highest(struct hpm_vol *vol, u64 *vbn)
{
	struct hpm_md *md = vol->md;
	u64 key;
	int r;

	mutex_lock(&md->lock);
	r = hpm_map_last(md, vol->root, &key);
	if (!r)
		r = highest_in(md, vol, key, vbn);
	mutex_unlock(&md->lock);
	return r;
}

bool hpm_vol_durable(struct hpm_vol *vol)
{
	return READ_ONCE(vol->last_record) <=
	       READ_ONCE(vol->md->journal.durable);
}
