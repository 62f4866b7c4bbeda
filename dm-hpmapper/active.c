// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool's list of active volumes
 */
#include "volume.h"

/* Returns the volume with the lowest id >= @id, or NULL; it may be leaving. */
static struct hpm_volume *__find_from(struct hpm_pool *pool, u32 id)
{
	struct rb_node *node = pool->by_id.rb_node;
	struct hpm_volume *v, *found = NULL;

	lockdep_assert_held(&pool->lock);
	while (node) {
		v = rb_entry(node, struct hpm_volume, by_id);
		if (v->id < id) {
			node = node->rb_right;
		} else {
			found = v;
			node = node->rb_left;
		}
	}
	return found;
}

/* Also finds a volume that is leaving; pool->lock held. */
struct hpm_volume *__hpm_volume_find(struct hpm_pool *pool, u32 id)
{
	struct hpm_volume *v = __find_from(pool, id);

	return v && v->id == id ? v : NULL;
}

struct hpm_volume *hpm_volume_by_id(struct hpm_pool *pool, u32 id)
{
	struct hpm_volume *v = __hpm_volume_find(pool, id);

	return v && !v->leaving ? v : NULL;
}

/*
 * Skips volumes that are leaving one by one, with pool->lock held.  Only
 * volumes that have lost their last table and wait for the ends of their last
 * bios are leaving, so they are few.
 */
struct hpm_volume *hpm_volume_from_id(struct hpm_pool *pool, u32 id)
{
	struct hpm_volume *v = __find_from(pool, id);

	while (v && v->leaving)
		v = rb_entry_safe(rb_next(&v->by_id), struct hpm_volume, by_id);
	return v;
}

struct hpm_volume *hpm_volume_by_disk(struct hpm_pool *pool,
				      const struct gendisk *disk)
{
	struct hpm_volume *v;

	lockdep_assert_held(&pool->lock);
	hash_for_each_possible(pool->by_disk, v, by_disk, (unsigned long)disk)
		if (v->disk == disk)
			return v;
	return NULL;
}

static bool id_is_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct hpm_volume, by_id)->id <
	       rb_entry(b, struct hpm_volume, by_id)->id;
}

static void __list(struct hpm_pool *pool, struct hpm_volume *v)
{
	list_add_tail(&v->list, &pool->volumes);
	rb_add(&v->by_id, &pool->by_id, id_is_less);
	hash_add(pool->by_disk, &v->by_disk, (unsigned long)v->disk);
}

void __hpm_volume_unlist(struct hpm_pool *pool, struct hpm_volume *v)
{
	list_del(&v->list);
	rb_erase(&v->by_id, &pool->by_id);
	hash_del(&v->by_disk);
}

static void volume_release(struct kref *ref)
{
	complete(&container_of(ref, struct hpm_volume, ref)->released);
}

void hpm_volume_get(struct hpm_volume *v)
{
	kref_get(&v->ref);
}

void hpm_volume_put(struct hpm_volume *v)
{
	kref_put(&v->ref, volume_release);
}

/* A volume with a reference is on the list, so its successor can be found. */
struct hpm_volume *hpm_volume_next(struct hpm_pool *pool,
				   struct hpm_volume *prev)
{
	struct hpm_volume *v = prev;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	if (!v)
		v = list_entry(&pool->volumes, struct hpm_volume, list);
	do {
		v = list_next_entry(v, list);
	} while (!list_entry_is_head(v, &pool->volumes, list) && v->leaving);
	if (list_entry_is_head(v, &pool->volumes, list))
		v = NULL;
	else
		hpm_volume_get(v);
	spin_unlock_irqrestore(&pool->lock, flags);
	if (prev)
		hpm_volume_put(prev);
	return v;
}

/* A suspended pool takes no volumes: a new one would not be stopped. */
int hpm_volume_list(struct hpm_volume *v)
{
	struct hpm_pool *pool = v->pool;
	int r = -EINVAL;

	spin_lock_irq(&pool->lock);
	if (!pool->suspended) {
		__list(pool, v);
		r = 0;
	}
	spin_unlock_irq(&pool->lock);
	return r;
}
