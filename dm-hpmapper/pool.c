// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live pools: the list, creation and shutdown.
 *
 * A pool is created for the first table that names its devices, and shut down
 * when its last table is destroyed.  A reload has a second table besides the
 * one in use.  Volumes hold references to the pool, too, but these do not keep
 * the devices open: if the pool's table is replaced while volumes are active
 * (dmsetup remove --force loads an error table), dm closes the devices.  From
 * then on the volumes refer to a dead pool, which returns errors and does no
 * I/O; see hpm_pool_detach().
 */
#include <linux/module.h>

#include "cache.h"
#include "io-kernel.h"
#include "pool-priv.h"

/* Protects the list and each pool's nr_tables. */
static DEFINE_MUTEX(hpm_pools_lock);
static LIST_HEAD(hpm_pools);

static const struct hpm_md_ops hpm_pool_md_ops = {
	.kick = hpm_pool_kick,
	.drain = hpm_pool_drain,
	.failed = hpm_pool_failed_op,
};

/*
 *----------------------------------------------------------------
 * The node cache's shrinker
 *--------------------------------------------------------------
 */

static unsigned long shrink_count(struct shrinker *shrinker,
				  struct shrink_control *sc)
{
	struct hpm_pool *pool = hpm_shrinker_ctx(shrinker);

	return hpm_md_nodes_count(pool->md);
}

static unsigned long shrink_scan(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	struct hpm_pool *pool = hpm_shrinker_ctx(shrinker);

	return hpm_md_nodes_scan(pool->md, sc->nr_to_scan);
}

/*
 *----------------------------------------------------------------
 * Creation and destruction
 *--------------------------------------------------------------
 */

static struct hpm_pool *pool_alloc(const struct hpm_table *t,
				   struct mapped_device *mapped)
{
	struct hpm_pool *pool;
	int r;

	pool = kzalloc(sizeof(*pool), GFP_KERNEL);
	if (!pool)
		return ERR_PTR(-ENOMEM);

	INIT_LIST_HEAD(&pool->list);
	kref_init(&pool->ref);
	strscpy(pool->name, dm_device_name(mapped), sizeof(pool->name));
	pool->mapped = mapped;
	pool->meta_bdev = t->meta_dev->bdev;
	pool->data_bdev = t->data_dev->bdev;
	pool->opened_read_only = t->features.read_only;
	pool->features = t->features;
	pool->low_water = t->low_water;
	pool->suspended = true;
	pool->quiet = true;

	spin_lock_init(&pool->lock);
	mutex_init(&pool->message_lock);
	mutex_init(&pool->defrag_lock);
	mutex_init(&pool->table_lock);
	INIT_LIST_HEAD(&pool->volumes);
	pool->by_id = RB_ROOT;
	hash_init(pool->by_disk);
	init_waitqueue_head(&pool->volume_gone);
	hpm_pool_mode_init(pool);
	hpm_pool_waiters_init(pool);
	hpm_pool_search_init(pool);
	hpm_pool_drain_init(pool);

	r = percpu_counter_init(&pool->inplace_bios, 0, GFP_KERNEL);
	if (r)
		goto out_free;

	r = hpm_tokens_init(&pool->tokens);
	if (r)
		goto out_counter;

	r = hpm_pool_work_init(pool);
	if (r)
		goto out_tokens;

	pool->io = hpm_io_create(pool->meta_bdev, pool->data_bdev,
				 t->data_blocks);
	if (IS_ERR(pool->io)) {
		r = PTR_ERR(pool->io);
		goto out_work;
	}

	r = hpm_cache_create(pool);
	if (r)
		goto out_io;

	return pool;

out_io:
	hpm_io_destroy(pool->io);
out_work:
	hpm_pool_work_exit(pool);
out_tokens:
	hpm_tokens_exit(&pool->tokens);
out_counter:
	percpu_counter_destroy(&pool->inplace_bios);
out_free:
	kfree(pool);
	return ERR_PTR(r);
}

static void pool_free(struct hpm_pool *pool)
{
	/*
	 * The order matters (pool-work.c): first stop what arms timers and
	 * queues works, then destroy the queues, then close the engine, which
	 * works that are still queued may use.
	 */
	if (pool->md)
		hpm_shrinker_unregister(&pool->shrinker);
	hpm_cache_stop(pool);
	hpm_pool_work_exit(pool);
	hpm_pool_drain_drop(pool);
	if (pool->md)
		hpm_md_close(pool->md);

	hpm_cache_destroy(pool);
	hpm_io_destroy(pool->io);
	hpm_tokens_exit(&pool->tokens);
	percpu_counter_destroy(&pool->inplace_bios);
	kfree(pool);
}

static void pool_release(struct kref *ref)
{
	pool_free(container_of(ref, struct hpm_pool, ref));
}

void hpm_pool_put(struct hpm_pool *pool)
{
	kref_put(&pool->ref, pool_release);
}

/*
 * Opens the engine of a new pool.  This may take seconds, as it recovers.  The
 * pool is already on the list, so no other pool can take its devices meanwhile;
 * hpm_pool_find() does not return it before ->md is set.
 */
static int pool_open(struct hpm_pool *pool, const struct hpm_table *t,
		     const char **why)
{
	struct hpm_md_params params = {
		.name = pool->name,
		.large_shift = t->large_shift,
		.may_format = !t->features.read_only,
		.read_only = t->features.read_only,
		.adopt_data = t->features.adopt_data,
	};
	unsigned int noio = hpm_noio_begin();
	struct hpm_md_stats st;
	struct hpm_md *md;
	int r;

	r = hpm_md_open(pool->io, &params, &hpm_pool_md_ops, pool, &md, why);
	hpm_noio_end(noio);
	if (r)
		return r;

	hpm_md_get_stats(md, &st);
	pool->large_shift = st.large_shift;

	mutex_lock(&hpm_pools_lock);
	spin_lock_irq(&pool->lock);
	pool->md = md;
	pool->needs_check = st.needs_check;
	/* A pool that needs a check is read_only, whatever its table says. */
	if (!pool->opened_read_only && pool->error_mode < hpm_md_mode(md)) {
		pool->opened_read_only = true;
		pool->error_mode = hpm_md_mode(md);
		pool->why = hpm_md_why(md);
		pool->why_err = -EUCLEAN;
	}
	spin_unlock_irq(&pool->lock);
	mutex_unlock(&hpm_pools_lock);
	hpm_pool_update_mode(pool);

	r = hpm_shrinker_register(&pool->shrinker, pool, shrink_count,
				  shrink_scan, pool->name);
	if (r)
		*why = "Cannot register a shrinker";
	return r;
}

/*
 *----------------------------------------------------------------
 * The list
 *--------------------------------------------------------------
 */

static bool pool_uses(struct hpm_pool *pool, struct block_device *bdev)
{
	return pool->meta_bdev == bdev || pool->data_bdev == bdev;
}

static int check_live_pool(struct hpm_pool *pool, const struct hpm_table *t,
			   struct mapped_device *mapped, const char **why)
{
	if (pool->mapped != mapped) {
		*why = "A device is in use by another pool";
		return -EBUSY;
	}

	if (pool->meta_bdev != t->meta_dev->bdev ||
	    pool->data_bdev != t->data_dev->bdev) {
		*why = "A live pool cannot change its devices";
		return -EINVAL;
	}

	if (!pool->md || !pool->nr_tables) {
		*why = "The pool is being opened or shut down";
		return -EBUSY;
	}

	if (pool->large_shift != t->large_shift) {
		*why = "The pool has another large block size";
		return -EINVAL;
	}

	return 0;
}

/*
 * Returns the live pool that this table is for, or NULL.  If the table does not
 * fit a live pool, returns an ERR_PTR and sets *why.
 */
static struct hpm_pool *pool_lookup(const struct hpm_table *t,
				    struct mapped_device *mapped, const char **why)
{
	struct hpm_pool *pool, *found = NULL;
	int r;

	lockdep_assert_held(&hpm_pools_lock);

	list_for_each_entry(pool, &hpm_pools, list) {
		if (pool->mapped != mapped &&
		    !pool_uses(pool, t->meta_dev->bdev) &&
		    !pool_uses(pool, t->data_dev->bdev))
			continue;

		r = check_live_pool(pool, t, mapped, why);
		if (r)
			return ERR_PTR(r);
		found = pool;
	}

	return found;
}

struct hpm_pool *hpm_pool_find(struct mapped_device *mapped)
{
	struct hpm_pool *pool;

	mutex_lock(&hpm_pools_lock);
	list_for_each_entry(pool, &hpm_pools, list) {
		if (pool->mapped == mapped && pool->md) {
			kref_get(&pool->ref);
			goto out;
		}
	}
	pool = NULL;
out:
	mutex_unlock(&hpm_pools_lock);
	return pool;
}

/*
 *----------------------------------------------------------------
 * Tables
 *--------------------------------------------------------------
 */

struct hpm_pool *hpm_pool_attach(const struct hpm_table *t,
				 struct mapped_device *mapped, const char **why)
{
	struct hpm_pool *pool;
	int r;

	mutex_lock(&hpm_pools_lock);
	pool = pool_lookup(t, mapped, why);
	if (pool) {
		if (!IS_ERR(pool)) {
			pool->nr_tables++;
			kref_get(&pool->ref);
		}
		mutex_unlock(&hpm_pools_lock);
		return pool;
	}

	pool = pool_alloc(t, mapped);
	if (IS_ERR(pool)) {
		*why = "Cannot allocate the pool";
		mutex_unlock(&hpm_pools_lock);
		return pool;
	}
	pool->nr_tables = 1;
	list_add(&pool->list, &hpm_pools);
	mutex_unlock(&hpm_pools_lock);

	r = pool_open(pool, t, why);
	if (r) {
		hpm_pool_detach(pool);
		return ERR_PTR(r);
	}

	return pool;
}

/*
 * The devices are about to be closed.  Volumes can only be left if the table
 * was removed by force.  presuspend has stopped them, so they have no I/O in
 * flight.  They are started after the pool has failed, so their bios end with
 * errors, and neither they nor the engine use a device from then on.
 */
static void pool_kill(struct hpm_pool *pool)
{
	spin_lock_irq(&pool->lock);
	pool->dead = true;
	__hpm_pool_update_mode(pool);
	spin_unlock_irq(&pool->lock);

	hpm_md_fail(pool->md, HPM_MODE_FAIL, "the pool has been removed", 0);
	hpm_io_detach(pool->io);
	hpm_pool_end_waiters(pool, BLK_STS_IOERR);
	hpm_volumes_start(pool);
}

void hpm_pool_detach(struct hpm_pool *pool)
{
	unsigned int noio;
	bool last;

	mutex_lock(&hpm_pools_lock);
	last = !--pool->nr_tables;
	mutex_unlock(&hpm_pools_lock);

	if (last) {
		if (pool->md) {
			hpm_defrag_stop(pool);
			noio = hpm_noio_begin();
			hpm_pool_quiesce(pool);
			if (!hpm_pool_refuses_writes(pool))
				hpm_md_shutdown(pool->md);
			pool_kill(pool);
			hpm_noio_end(noio);
		}

		/* From here on, another pool may use the devices. */
		mutex_lock(&hpm_pools_lock);
		list_del(&pool->list);
		mutex_unlock(&hpm_pools_lock);
	}

	hpm_pool_put(pool);
}
