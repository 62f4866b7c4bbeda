// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dying trees: the trees of deleted volumes and of a table that was held, which
 * are given back step by step.  Each has a slot of an array on disk.
 */
#include "engine.h"
#include "array.h"
#include "dying.h"
#include "node.h"

#define MAX_DYING_SLOTS	0x100000u

bool hpm_dying_room(struct hpm_md *md, unsigned int nr)
{
	return md->nr_dying + nr <= MAX_DYING_SLOTS;
}

/* Finds the lowest free slot; enlarges the bitmap if there is none. */
static int dying_slot(struct hpm_md *md, u32 *slot)
{
	u32 max = md->max_dying ? md->max_dying * 2 : 64;
	unsigned long *bits;

	*slot = md->max_dying ?
		find_next_zero_bit(md->dying_slots, md->max_dying, 0) : 0;
	if (*slot < md->max_dying)
		return 0;
	if (max > MAX_DYING_SLOTS)
		return -ENOSPC;
	bits = kvcalloc(BITS_TO_LONGS(max), sizeof(*bits), HPM_GFP_MUST);
	if (md->max_dying)
		memcpy(bits, md->dying_slots,
		       BITS_TO_LONGS(md->max_dying) * sizeof(*bits));
	kvfree(md->dying_slots);
	md->dying_slots = bits;
	md->max_dying = max;
	return 0;
}

int hpm_dying_write(struct hpm_md *md, u32 slot, const struct hpm_dying *d)
{
	struct hpm_disk_dying *elt;
	struct hpm_node *leaf;
	void *p;
	int r;

	r = hpm_array_write(md, &md->array[HPM_ARR_DYING], slot, &leaf, &p);
	if (r)
		return r;
	elt = p;
	memset(elt, 0, sizeof(*elt));
	if (d) {
		elt->serial = cpu_to_le64(d->serial);
		elt->cursor = cpu_to_le64(d->cursor);
		hpm_root_to_disk(&elt->root, d->root);
	}
	hpm_node_put(leaf);
	return 0;
}

static struct hpm_dying *dying_insert(struct hpm_md *md, u32 slot, u64 serial,
				      u64 cursor, struct hpm_root root)
{
	struct hpm_dying *d = kzalloc(sizeof(*d), HPM_GFP_MUST);

	d->serial = serial;
	d->cursor = cursor;
	d->slot = slot;
	d->root = root;
	list_add_tail(&d->list, &md->dying);
	__set_bit(slot, md->dying_slots);
	WRITE_ONCE(md->nr_dying, md->nr_dying + 1);
	return d;
}

void hpm_dying_remove(struct hpm_md *md, struct hpm_dying *d)
{
	__clear_bit(d->slot, md->dying_slots);
	list_del(&d->list);
	WRITE_ONCE(md->nr_dying, md->nr_dying - 1);
	kfree(d);
}

int hpm_dying_add(struct hpm_md *md, u64 serial, struct hpm_root root)
{
	u32 slot;
	int r = dying_slot(md, &slot);

	if (!r)
		r = hpm_dying_write(md, slot,
				    dying_insert(md, slot, serial, 0, root));
	if (!r)
		hpm_kick(md, HPM_KICK_RECLAIM);
	return r;
}

static int load_dying_leaf(void *ctx, u64 first, const void *elts,
			   unsigned int nr)
{
	const struct hpm_disk_dying *e = elts;
	struct hpm_md *md = ctx;
	unsigned int i;
	u32 slot;
	int r;

	for (i = 0; i < nr; i++) {
		if (!e[i].serial)
			continue;
		if (first + i >= MAX_DYING_SLOTS || e[i].root.height > 8)
			return -EUCLEAN;
		while (md->max_dying <= first + i) {
			/*
			 * All slots are marked as taken, so that the bitmap is
			 * enlarged.
			 */
			slot = md->max_dying;
			if (slot)
				bitmap_fill(md->dying_slots, slot);
			r = dying_slot(md, &slot);
			if (r)
				return r;
		}
		dying_insert(md, first + i, le64_to_cpu(e[i].serial),
			     le64_to_cpu(e[i].cursor),
			     hpm_root_from_disk(&e[i].root));
	}
	return 0;
}

/* load_dying_leaf() has marked free slots; only those in the list are taken. */
static void settle_dying_slots(struct hpm_md *md)
{
	struct hpm_dying *d;

	if (!md->max_dying)
		return;
	bitmap_zero(md->dying_slots, md->max_dying);
	list_for_each_entry(d, &md->dying, list)
		__set_bit(d->slot, md->dying_slots);
}

int hpm_dying_load(struct hpm_md *md)
{
	int r = hpm_array_walk(md, &md->array[HPM_ARR_DYING], load_dying_leaf,
			       md);

	settle_dying_slots(md);
	return r;
}

void hpm_dying_exit(struct hpm_md *md)
{
	struct hpm_dying *d, *dn;

	list_for_each_entry_safe(d, dn, &md->dying, list)
		kfree(d);
	INIT_LIST_HEAD(&md->dying);
	kvfree(md->dying_slots);
	md->dying_slots = NULL;
	md->max_dying = 0;
}
