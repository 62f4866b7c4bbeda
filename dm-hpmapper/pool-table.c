// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool target: tables, suspend and resume
 *
 * A constructor changes nothing in a live pool, as its table may never be used.
 * A table takes effect in preresume.
 */
#include "cache.h"
#include "io-kernel.h"
#include "pool-priv.h"

#define HPM_TARGET_VERSION	{ 1, 0, 0 }

/*
 *----------------------------------------------------------------
 * Constructor
 *--------------------------------------------------------------
 */

/* Newer kernels refuse this by themselves, but do not log what they refuse. */
static int check_not_self(struct dm_target *ti, dev_t dev)
{
	if (dev != disk_devt(dm_disk(dm_table_get_md(ti->table))))
		return 0;

	ti->error = "A pool cannot use itself as a device";
	return -EINVAL;
}

static int check_device(struct dm_dev *dev, struct dm_target *ti)
{
	int r;

	r = check_not_self(ti, dev->bdev->bd_dev);
	if (r)
		return r;

	if (bdev_is_zoned(dev->bdev)) {
		ti->error = "Zoned devices are not supported";
		return -EOPNOTSUPP;
	}

	if (bdev_logical_block_size(dev->bdev) > HPM_BLOCK_SIZE) {
		ti->error = "A device has logical blocks of more than 4 KiB";
		return -EINVAL;
	}

	if (bdev_physical_block_size(dev->bdev) > HPM_BLOCK_SIZE)
		DMWARN("%s: %pg has physical blocks of more than 4 KiB: small writes will be slow",
		       dm_device_name(dm_table_get_md(ti->table)), dev->bdev);

	return 0;
}

static int open_device(struct dm_target *ti, const char *path,
		       hpm_open_mode_t mode, struct dm_dev **dev, char *failure)
{
	dev_t devt;
	int r;

	if (!lookup_bdev(path, &devt)) {
		r = check_not_self(ti, devt);
		if (r)
			return r;
	}

	r = dm_get_device(ti, path, mode, dev);
	if (r) {
		ti->error = failure;
		return r;
	}

	r = check_device(*dev, ti);
	if (r)
		dm_put_device(ti, *dev);
	return r;
}

static void put_devices(struct hpm_table *t)
{
	dm_put_device(t->ti, t->data_dev);
	dm_put_device(t->ti, t->meta_dev);
}

static int open_devices(struct hpm_table *t, char **argv)
{
	hpm_open_mode_t mode = HPM_OPEN_READ;
	struct dm_target *ti = t->ti;
	int r;

	if (!t->features.read_only)
		mode |= HPM_OPEN_WRITE;

	r = open_device(ti, argv[0], mode, &t->meta_dev,
			"Error opening metadata device");
	if (r)
		return r;

	r = open_device(ti, argv[1], mode, &t->data_dev,
			"Error opening data device");
	if (r) {
		dm_put_device(ti, t->meta_dev);
		return r;
	}

	if (t->meta_dev->bdev == t->data_dev->bdev) {
		ti->error = "Metadata and data device are the same";
		put_devices(t);
		return -EINVAL;
	}

	return 0;
}

/* The table's length says how much of the data device the pool uses. */
static int check_sizes(struct hpm_table *t)
{
	struct block_device *meta = t->meta_dev->bdev;
	struct dm_target *ti = t->ti;
	u64 blocks;

	blocks = bdev_nr_bytes(meta) >> HPM_BLOCK_SHIFT;
	if (blocks < HPM_MIN_META_BLOCKS) {
		ti->error = "The metadata device is smaller than 4 MiB";
		return -ENOSPC;
	}
	if (blocks > HPM_MAX_META_BLOCKS)
		DMWARN("%s: metadata device %pg is larger than 16 GiB: the rest is not used",
		       dm_device_name(dm_table_get_md(ti->table)), meta);

	if (ti->len > bdev_nr_sectors(t->data_dev->bdev)) {
		ti->error = "The data device is smaller than the pool";
		return -EINVAL;
	}

	t->data_blocks = round_down((u64)ti->len / HPM_BLOCK_SECTORS,
				    1ULL << t->large_shift);
	if (!t->data_blocks) {
		ti->error = "The pool is smaller than one large block";
		return -ENOSPC;
	}
	if (t->data_blocks > HPM_PBN_HOLE) {
		ti->error = "A pool cannot have 256 TiB or more";
		return -EINVAL;
	}

	return 0;
}

/*
 * If the device takes no discards, or only in granules larger than the blocks
 * that the pool frees, discards only free space in the pool.  This is no error.
 */
static bool can_pass_down(struct hpm_table *t)
{
	struct block_device *data = t->data_dev->bdev;
	const char *why = NULL;

	if (!bdev_max_discard_sectors(data))
		why = "does not take discards";
	else if (bdev_discard_granularity(data) >
		 HPM_BLOCK_SIZE << t->large_shift)
		why = "has a discard granularity above the large block size";
	if (!why)
		return true;

	DMWARN("%s: data device %pg %s: discards are not passed down",
	       t->pool->name, data, why);
	return false;
}

/* Refuses what a table cannot change in a live pool. */
static int check_reload(struct hpm_table *t)
{
	struct hpm_pool *pool = t->pool;
	struct hpm_md_stats st;

	if (pool->opened_read_only && !t->features.read_only &&
	    READ_ONCE(pool->error_mode) < HPM_MODE_READ_ONLY) {
		t->ti->error = "A pool that was opened read_only stays so until it is removed";
		return -EROFS;
	}

	if (pool->features.discard != t->features.discard) {
		t->ti->error = "Discard support of a live pool cannot be changed";
		return -EINVAL;
	}

	hpm_md_get_stats(pool->md, &st);
	if (t->data_blocks < st.data_total) {
		DMERR("%s: the table has %llu sectors, the pool has %llu and cannot shrink",
		      pool->name, t->data_blocks * HPM_BLOCK_SECTORS,
		      st.data_total * HPM_BLOCK_SECTORS);
		t->ti->error = "A pool cannot shrink";
		return -EINVAL;
	}

	return 0;
}

/*
 * hpmapper-pool <metadata dev> <data dev> <large block sectors>
 *		 <low water mark> [<#feature args> [<arg>]*]
 *
 * Feature arguments:
 *	ignore_discard		volumes take no discards
 *	no_discard_passdown	discards are not passed to the data device
 *	read_only		nothing is written, neither data nor metadata
 *	adopt_data		accept the data device although it does not have
 *				the pool's mark, and write the mark
 *	error_if_no_space	a write that finds no space fails (the default)
 *	queue_if_no_space	it waits, for no_space_timeout seconds
 *	sharing			reads are served from other volumes' cached
 *				copies (the default)
 *	no_sharing		all reads go to the data device
 *	skip_block_zeroing	accepted as in dm-thin, without effect
 */
static int pool_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	const char *why = "Cannot open the pool";
	struct hpm_pool_line line;
	struct hpm_table *t;
	int r;

	r = hpm_parse_pool_line(argc, argv, &line, &ti->error);
	if (r)
		return r;

	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t) {
		ti->error = "Cannot allocate the table";
		return -ENOMEM;
	}
	t->ti = ti;

	t->large_shift = line.large_shift;
	t->low_water = line.low_water;
	t->features = line.features;

	r = open_devices(t, argv);
	if (r)
		goto out_free;

	r = check_sizes(t);
	if (r)
		goto out_devices;

	t->pool = hpm_pool_attach(t, dm_table_get_md(ti->table), &why);
	if (IS_ERR(t->pool)) {
		ti->error = (char *)why;
		r = PTR_ERR(t->pool);
		goto out_devices;
	}

	r = check_reload(t);
	if (r)
		goto out_pool;

	ti->num_write_zeroes_bios = 1;
	ti->limit_swap_bios = true;
	ti->private = t;

	return 0;

out_pool:
	hpm_pool_detach(t->pool);
out_devices:
	put_devices(t);
out_free:
	kfree(t);
	return r;
}

static void pool_dtr(struct dm_target *ti)
{
	struct hpm_table *t = ti->private;
	struct hpm_pool *pool = t->pool;

	mutex_lock(&pool->table_lock);
	if (pool->ti == ti)
		pool->ti = NULL;
	mutex_unlock(&pool->table_lock);

	hpm_pool_detach(pool);
	put_devices(t);
	kfree(t);
}

/*
 *----------------------------------------------------------------
 * Resume
 *--------------------------------------------------------------
 */

static void bind_table(struct hpm_pool *pool, struct hpm_table *t)
{
	struct hpm_features features = t->features;

	if (features.discard_passdown)
		features.discard_passdown = can_pass_down(t);

	mutex_lock(&pool->table_lock);
	pool->ti = t->ti;
	mutex_unlock(&pool->table_lock);

	spin_lock_irq(&pool->lock);
	pool->features = features;
	pool->low_water = t->low_water;
	pool->timed_out = false;
	spin_unlock_irq(&pool->lock);

	if (!features.share)
		hpm_index_forget(pool);
	hpm_pool_update_mode(pool);
}

/* 1: it has grown, 0: it has not, < 0: it has shrunk. */
static int check_growth(struct hpm_pool *pool, const char *what, u64 now,
			u64 was)
{
	if (now < was) {
		DMERR("%s: the %s device has shrunk: %llu blocks of 4 KiB, the pool uses %llu",
		      pool->name, what, now, was);
		return -EINVAL;
	}
	return now > was;
}

static void tell_growth(struct hpm_pool *pool, const char *what, u64 now,
			u64 was)
{
	if (now > was)
		DMINFO("%s: the %s device has grown from %llu to %llu blocks of 4 KiB",
		       pool->name, what, was, now);
}

static void tell_grown(struct hpm_pool *pool, const struct hpm_md_stats *was)
{
	struct hpm_md_stats now;

	hpm_md_get_stats(pool->md, &now);
	tell_growth(pool, "data", now.data_total, was->data_total);
	tell_growth(pool, "metadata", now.meta_total, was->meta_total);
}

/* Makes the devices' new sizes durable in the metadata before they are used. */
static int grow_devices(struct hpm_pool *pool, struct hpm_table *t)
{
	const char *why = "unknown reason";
	struct hpm_md_stats st;
	int data, meta, r;

	hpm_md_get_stats(pool->md, &st);
	data = check_growth(pool, "data", t->data_blocks, st.data_total);
	meta = check_growth(pool, "metadata", hpm_io_meta_blocks(pool->io),
			    st.meta_total);
	if (data < 0 || meta < 0)
		return -EINVAL;
	if (!data && !meta)
		return 0;

	if (hpm_pool_refuses_writes(pool)) {
		DMERR("%s: cannot grow in read_only mode%s", pool->name,
		      st.needs_check ? " (until it has been checked)" : "");
		return 0;
	}

	hpm_io_set_data_blocks(pool->io, t->data_blocks);
	r = hpm_md_grow(pool->md, &why);
	if (r)
		DMERR("%s: cannot grow: %s (error %d)", pool->name, why, r);
	else
		tell_grown(pool, &st);
	return r;
}

static int pool_preresume(struct dm_target *ti)
{
	struct hpm_table *t = ti->private;
	struct hpm_pool *pool = t->pool;
	unsigned int noio;
	int r;

	bind_table(pool, t);

	/* A failed pool must resume, too, so that bios that wait can end. */
	if (hpm_pool_failed(pool))
		return 0;

	noio = hpm_noio_begin();
	r = grow_devices(pool, t);
	hpm_noio_end(noio);
	return r;
}

/* Lets the volumes' bios go on, and then defrag, which works on volumes. */
static void start_volumes(struct hpm_pool *pool)
{
	hpm_volumes_start(pool);

	spin_lock_irq(&pool->lock);
	WRITE_ONCE(pool->suspended, false);
	spin_unlock_irq(&pool->lock);

	hpm_defrag_go_on(pool);
}

static void pool_resume(struct dm_target *ti)
{
	struct hpm_table *t = ti->private;
	struct hpm_pool *pool = t->pool;

	spin_lock_irq(&pool->lock);
	pool->low_water_told = false;
	pool->meta_low_told = false;
	spin_unlock_irq(&pool->lock);

	hpm_pool_wake(pool);
	start_volumes(pool);
}

/*
 *----------------------------------------------------------------
 * Suspend
 *--------------------------------------------------------------
 */

/*
 * A suspended pool does no I/O, so all its volumes are stopped, whether they
 * are suspended or not.  All works for which their bios may wait still run.
 */
static void pool_presuspend(struct dm_target *ti)
{
	struct hpm_table *t = ti->private;
	struct hpm_pool *pool = t->pool;

	hpm_volumes_stop_slow(pool);

	spin_lock_irq(&pool->lock);
	WRITE_ONCE(pool->suspended, true);
	spin_unlock_irq(&pool->lock);

	/* Waits until a message that runs has ended; the next is refused. */
	mutex_lock(&pool->message_lock);
	mutex_unlock(&pool->message_lock);
	hpm_defrag_pause(pool);

	hpm_volumes_stop(pool);
}

static void pool_presuspend_undo(struct dm_target *ti)
{
	struct hpm_table *t = ti->private;

	start_volumes(t->pool);
}

static void pool_postsuspend(struct dm_target *ti)
{
	struct hpm_table *t = ti->private;

	hpm_pool_quiesce(t->pool);
}

/*
 *----------------------------------------------------------------
 * The rest
 *--------------------------------------------------------------
 */

/* The pool device itself takes no I/O. */
static int pool_map(struct dm_target *ti, struct bio *bio)
{
	return DM_MAPIO_KILL;
}

/*
 * Volumes stack on the pool device and inherit its limits, so it passes on
 * those of the data device.
 */
static int pool_iterate_devices(struct dm_target *ti,
				iterate_devices_callout_fn fn, void *data)
{
	struct hpm_table *t = ti->private;

	return fn(ti, t->data_dev, 0, ti->len, data);
}

static void pool_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct hpm_table *t = ti->private;

	if (limits->physical_block_size < HPM_BLOCK_SIZE)
		limits->physical_block_size = HPM_BLOCK_SIZE;
	hpm_limits_set_io(limits, limits->physical_block_size,
			  HPM_BLOCK_SIZE << t->large_shift);
}

static struct target_type pool_target = {
	.name = "hpmapper-pool",
	.features = DM_TARGET_SINGLETON | DM_TARGET_ALWAYS_WRITEABLE |
		    DM_TARGET_IMMUTABLE | DM_TARGET_NOWAIT,
	.version = HPM_TARGET_VERSION,
	.module = THIS_MODULE,
	.ctr = pool_ctr,
	.dtr = pool_dtr,
	.map = pool_map,
	.presuspend = pool_presuspend,
	.presuspend_undo = pool_presuspend_undo,
	.postsuspend = pool_postsuspend,
	.preresume = pool_preresume,
	.resume = pool_resume,
	.status = hpm_pool_status,
	.message = hpm_pool_message,
	.iterate_devices = pool_iterate_devices,
	.io_hints = pool_io_hints,
};

int hpm_pool_target_init(void)
{
	return dm_register_target(&pool_target);
}

void hpm_pool_target_exit(void)
{
	dm_unregister_target(&pool_target);
}
