// SPDX-License-Identifier: GPL-2.0-only
/*
 * The volumes of a pool, and the table of them.
 *
 * Every volume has a small structure in memory while the pool is open; the
 * table on disk, an array indexed by id, is updated at each cut.  So the cost
 * of looking up a volume and of taking a snapshot does not depend on the pool's
 * size: a snapshot is one record, and applying it copies a root and raises one
 * reference count.
 */
#include "engine.h"
#include "array.h"
#include "cost.h"
#include "dying.h"
#include "map.h"
#include "node.h"
#include "volumes.h"

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

/* hpm_credit_try() reads the number without md->lock. */
static void count_dirty(struct hpm_md *md, int nr)
{
	/*
	 * The blocks that its flush took must be visible first: pairs with
	 * meta_room().
	 */
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
		hpm_err(md, "volume %u: damaged entry in the table", id);
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

/* Counts the blocks of the volume table that it shares with a held one. */
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
