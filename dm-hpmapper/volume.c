// SPDX-License-Identifier: GPL-2.0-only
/*
 * The volume target: tables, map() and end_io, status.
 *
 *	hpmapper <pool dev> <volume id>
 *
 * An active volume has one struct hpm_volume, whatever the number of its
 * tables: a table and the one that is loaded to replace it both exist for a
 * while.  A volume is active on one device only, as what two devices had cached
 * of it could differ.
 */
#include <linux/module.h>
#include <linux/sched/mm.h>

#include "cache.h"
#include "io-kernel.h"
#include "pause.h"
#include "volume.h"

/* One table of a volume. */
struct hpm_target {
	struct dm_dev *pool_dev;
	struct hpm_pool *pool;
	struct hpm_volume *v;
};

/*
 *----------------------------------------------------------------
 * Birth and end
 *--------------------------------------------------------------
 */

static int volume_init(struct hpm_volume *v)
{
	int r;

	r = bioset_init(&v->parts, 4, offsetof(struct hpm_part, bio), 0);
	if (r)
		return r;
	r = hpm_merge_init(v);
	if (r)
		goto out_parts;
	r = hpm_tokens_init(&v->tokens);
	if (r)
		goto out_merge;
	kref_init(&v->ref);
	init_completion(&v->released);
	v->bio_work = hpm_bio_work;
	hpm_gate_init(v);
	hpm_volume_stock_init(v);
	hpm_streams_init(v);
	return 0;

out_merge:
	hpm_merge_exit(v);
out_parts:
	bioset_exit(&v->parts);
	return r;
}

static void volume_exit(struct hpm_volume *v)
{
	hpm_tokens_exit(&v->tokens);
	hpm_merge_exit(v);
	bioset_exit(&v->parts);
}

/* Called for each table: a later one may be writable if the first was not. */
static int check_mode(struct hpm_volume *v, struct dm_target *ti)
{
	struct hpm_vol_info info;

	hpm_vol_get_info(v->vol, &info);
	if (!(info.flags & HPM_VOL_READONLY) ||
	    !(dm_table_get_mode(ti->table) & HPM_OPEN_WRITE))
		return 0;
	ti->error = "The volume is read-only: its table must be loaded read-only, too";
	return -EROFS;
}

static int open_volume(struct hpm_volume *v, struct dm_target *ti)
{
	struct hpm_vol_info info;
	int r;

	r = hpm_vol_open(v->pool->md, v->id, &v->vol);
	if (r) {
		ti->error = r == -ENOENT ?
			"The pool has no volume with this id" :
			"Cannot read the volume's metadata";
		return r;
	}
	hpm_vol_get_info(v->vol, &info);
	v->share = !(info.flags & HPM_VOL_NOSHARE);
	r = check_mode(v, ti);
	if (!r) {
		r = hpm_volume_list(v);
		if (!r)
			return 0;
		ti->error = "The pool is suspended: resume it first";
	}
	hpm_vol_put(v->vol);
	return r;
}

static struct hpm_volume *create_volume(struct hpm_pool *pool, u32 id,
					struct dm_target *ti)
{
	unsigned int noio;
	struct hpm_volume *v;
	int r = -ENOMEM;

	v = kzalloc(sizeof(*v), GFP_KERNEL);
	if (!v)
		goto out;
	v->pool = pool;
	v->id = id;
	v->mapped = dm_table_get_md(ti->table);
	v->disk = dm_disk(v->mapped);
	v->mapping = hpm_bdev_mapping(v->disk->part0);
	r = volume_init(v);
	if (r)
		goto out_free;
	noio = memalloc_noio_save();
	r = open_volume(v, ti);
	memalloc_noio_restore(noio);
	if (!r)
		return v;
	volume_exit(v);
out_free:
	kfree(v);
out:
	if (r == -ENOMEM)
		ti->error = "Out of memory";
	return ERR_PTR(r);
}

/*
 * No table is left, so there are no bios: device-mapper core has waited for
 * them.  The rest is waited for in an order in which nothing that has ended can
 * be started again: references of users that look at the volume, then contexts
 * that end bios and workers that have not returned, then the works that these
 * have queued.  All of it belongs to this volume, and no lock is held
 * meanwhile.  Until then, the engine considers the volume open, so that it
 * cannot be deleted, and it stays on the list, so that a new activation waits.
 */
static void destroy_volume(struct hpm_volume *v)
{
	struct hpm_pool *pool = v->pool;
	unsigned int noio = memalloc_noio_save();

	hpm_volume_put(v);
	wait_for_completion(&v->released);
	hpm_gate_wait_last(v);
	cancel_work_sync(&v->refill_work);
	hpm_streams_exit(v);
	hpm_volume_return_stock(v);
	WARN_ON_ONCE(!list_empty(&v->held) || !list_empty(&v->starved));
	hpm_vol_put(v->vol);

	spin_lock_irq(&pool->lock);
	__hpm_volume_unlist(pool, v);
	spin_unlock_irq(&pool->lock);
	wake_up_all(&pool->volume_gone);
	volume_exit(v);
	kfree(v);
	memalloc_noio_restore(noio);
}

static bool is_leaving(struct hpm_pool *pool, u32 id)
{
	struct hpm_volume *v;
	bool leaving;

	spin_lock_irq(&pool->lock);
	v = __hpm_volume_find(pool, id);
	leaving = v && v->leaving;
	spin_unlock_irq(&pool->lock);
	return leaving;
}

/* Takes message_lock when no destroyed volume with this id is left. */
static void lock_when_gone(struct hpm_pool *pool, u32 id)
{
	mutex_lock(&pool->message_lock);
	while (is_leaving(pool, id)) {
		mutex_unlock(&pool->message_lock);
		wait_event(pool->volume_gone, !is_leaving(pool, id));
		mutex_lock(&pool->message_lock);
	}
}

/*
 * Returns the volume for one more table, creating it if it is not active.
 * message_lock held; the volume is not leaving.
 */
static struct hpm_volume *__get_volume(struct hpm_pool *pool, u32 id,
				       struct dm_target *ti)
{
	struct hpm_volume *v;
	int r;

	spin_lock_irq(&pool->lock);
	v = __hpm_volume_find(pool, id);
	spin_unlock_irq(&pool->lock);
	if (!v)
		return create_volume(pool, id, ti);
	if (v->mapped != dm_table_get_md(ti->table)) {
		ti->error = "The volume is active on another device";
		return ERR_PTR(-EBUSY);
	}
	if (v->table == ti->table) {
		ti->error = "A table can map a volume only once";
		return ERR_PTR(-EINVAL);
	}
	r = check_mode(v, ti);
	return r ? ERR_PTR(r) : v;
}

static int attach(struct hpm_target *t, u32 id, struct dm_target *ti)
{
	struct hpm_pool *pool = t->pool;
	int r = 0;

	lock_when_gone(pool, id);
	if (hpm_pool_failed(pool)) {
		ti->error = "The pool has failed: the log says why";
		r = -EIO;
	} else if (READ_ONCE(pool->suspended)) {
		ti->error = "The pool is suspended: resume it first";
		r = -EINVAL;
	} else {
		t->v = __get_volume(pool, id, ti);
		r = PTR_ERR_OR_ZERO(t->v);
	}
	if (!r) {
		t->v->nr_tables++;
		t->v->table = ti->table;
	}
	mutex_unlock(&pool->message_lock);
	return r;
}

static void detach(struct hpm_target *t, struct dm_target *ti)
{
	struct hpm_pool *pool = t->pool;
	struct hpm_volume *v = t->v;
	bool last;

	mutex_lock(&pool->message_lock);
	if (v->table == ti->table)
		v->table = NULL;
	last = !--v->nr_tables;
	if (last) {
		spin_lock_irq(&pool->lock);
		v->leaving = true;
		spin_unlock_irq(&pool->lock);
	}
	mutex_unlock(&pool->message_lock);
	if (last)
		destroy_volume(v);
}

/*
 *----------------------------------------------------------------
 * Tables
 *--------------------------------------------------------------
 */

static struct hpm_pool *find_pool(struct dm_dev *dev)
{
	struct mapped_device *mapped = dm_get_md(dev->bdev->bd_dev);
	struct hpm_pool *pool;

	if (!mapped)
		return NULL;
	pool = hpm_pool_find(mapped);
	dm_put(mapped);
	return pool;
}

static void set_target(struct dm_target *ti, const struct hpm_pool *pool)
{
	ti->per_io_data_size = sizeof(struct hpm_bio);
	ti->accounts_remapped_io = true;
	/* A write to a new place allocates memory. */
	ti->limit_swap_bios = true;
	ti->flush_supported = true;
	ti->num_flush_bios = 1;
	ti->num_write_zeroes_bios = 1;
	if (READ_ONCE(pool->features.discard)) {
		ti->discards_supported = true;
		ti->num_discard_bios = 1;
	}
}

static int volume_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct hpm_target *t;
	u32 id;
	int r;

	r = hpm_parse_volume_line(argc, argv, ti->len, &id, &ti->error);
	if (r)
		return r;
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t) {
		ti->error = "Out of memory";
		return -ENOMEM;
	}
	r = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table),
			  &t->pool_dev);
	if (r) {
		ti->error = "Cannot open the pool device";
		goto out_free;
	}
	t->pool = find_pool(t->pool_dev);
	if (!t->pool) {
		ti->error = "The device is not an hpmapper pool";
		r = -EINVAL;
		goto out_put_device;
	}
	r = attach(t, id, ti);
	if (r)
		goto out_put_pool;
	set_target(ti, t->pool);
	ti->private = t;
	return 0;

out_put_pool:
	hpm_pool_put(t->pool);
out_put_device:
	dm_put_device(ti, t->pool_dev);
out_free:
	kfree(t);
	return r;
}

static void volume_dtr(struct dm_target *ti)
{
	struct hpm_target *t = ti->private;

	detach(t, ti);
	hpm_pool_put(t->pool);
	dm_put_device(ti, t->pool_dev);
	kfree(t);
}

/*
 *----------------------------------------------------------------
 * Bios
 *--------------------------------------------------------------
 */

/*
 * The gate looked shut.  True: the bio waits, or ends, and *ret is what map()
 * returns.
 */
static bool map_is_held(struct hpm_volume *v, struct hpm_bio *hb,
			struct bio *bio, unsigned int mask, int *ret)
{
	int token = hb->op.token, r;

	if (hpm_bio_nowait(bio)) {
		*ret = hpm_map_wouldblock(bio);
		return true;
	}
	hpm_bio_defer(hb, bio);
	r = hpm_gate_wait(v, hb, mask);
	if (!r) {
		hb->op.token = token;
		return false;
	}
	hpm_volume_token_put(v, token);
	*ret = r == HPM_REQUEUE ? DM_MAPIO_REQUEUE : DM_MAPIO_SUBMITTED;
	return true;
}

/*
 * If no record waits for a commit, a flush only has to make data durable: the
 * records of earlier bios are in batches that are written.  (If the flush
 * fails, volume_end_io() tells the engine.)
 */
static int flush_map(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio)
{
	int token = hb->op.token;

	if (unlikely(hpm_pool_failed(v->pool)))
		return hpm_map_end(bio, -EIO);
	if (hpm_md_all_durable(v->pool->md)) {
		hb->passed = true;
		bio_set_dev(bio, v->pool->data_bdev);
		return DM_MAPIO_REMAPPED;
	}
	hb->op.token = HPM_NO_TOKEN;
	hpm_pool_commit_bio(v->pool, bio);
	hpm_volume_token_put(v, token);
	return DM_MAPIO_SUBMITTED;
}

static int volume_map(struct dm_target *ti, struct bio *bio)
{
	struct hpm_bio *hb = dm_per_bio_data(bio, sizeof(*hb));
	struct hpm_volume *v = ((struct hpm_target *)ti->private)->v;
	bool flush = bio->bi_opf & REQ_PREFLUSH;
	bool writes = op_is_write(bio->bi_opf) && !flush;
	unsigned int mask;
	int r;

	hb->v = v;
	hb->op.change = NULL;
	hb->op.token = hpm_volume_token_get(v, writes ? HPM_TOKEN_WRITE :
							HPM_TOKEN_READ);
	hb->fua = false;
	hb->passed = false;
	hb->lead = NULL;
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);

	mask = writes ? HPM_GATE_WRITES : HPM_GATE_READS;
	if (hpm_gate_shut(v, mask) && map_is_held(v, hb, bio, mask, &r))
		return r;
	if (unlikely(flush))
		return flush_map(v, hb, bio);

	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return hpm_read_map(v, hb, bio);
	case REQ_OP_WRITE:
		return hpm_write_map(v, hb, bio);
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		return hpm_map_defer(hb, bio);
	default:
		return hpm_map_end(bio, -EOPNOTSUPP);
	}
}

/*
 * The write is published, and a commit makes it durable before the bio ends.
 * The token is kept until the bio is on the commit's list: a suspension of the
 * pool waits for all tokens and then commits for the bios that are on the list.
 */
static int end_fua(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio)
{
	struct hpm_pool *pool = v->pool;
	int token = hb->op.token;

	if (hb->op.change)
		hpm_write_end(v, &hb->op, BLK_STS_OK);
	hb->op.token = HPM_NO_TOKEN;
	hb->fua = false;
	hpm_pool_commit_bio(pool, bio);
	if (token != HPM_NO_TOKEN)
		hpm_volume_token_put(v, token);
	return DM_ENDIO_INCOMPLETE;
}

/*
 * Tells the engine that a flush which was sent to the data device has failed:
 * records that were published since may be of data that the flush has lost.  A
 * flush that was not sent there, but ended at the gate or after a commit, tells
 * nothing about the device, and the commit has reported the result of its own
 * flush.
 */
static void flush_failed(struct hpm_volume *v, const struct hpm_bio *hb,
			 blk_status_t error)
{
	if (hb->passed && !hpm_io_untried(error))
		hpm_md_data_flush_failed(v->pool->md,
					 blk_status_to_errno(error));
}

/*
 * Called a second time for a bio that has waited for a commit, and for a read
 * that a worker has entered into the index.
 */
static int volume_end_io(struct dm_target *ti, struct bio *bio,
			 blk_status_t *error)
{
	struct hpm_bio *hb = dm_per_bio_data(bio, sizeof(*hb));
	struct hpm_volume *v = hb->v;

	if (bio_op(bio) == REQ_OP_READ)
		hpm_pause(HPM_POINT_END);
	if (hb->lead && hpm_intercept_end(hb, bio, *error))
		return DM_ENDIO_INCOMPLETE;
	if (unlikely(hb->fua) && !*error)
		return end_fua(v, hb, bio);
	if (unlikely(*error))
		flush_failed(v, hb, *error);
	if (hb->op.token != HPM_NO_TOKEN)
		hpm_op_end(v, &hb->op, *error);
	return DM_ENDIO_DONE;
}

/*
 *----------------------------------------------------------------
 * Suspend and resume
 *--------------------------------------------------------------
 */

static void volume_presuspend(struct dm_target *ti)
{
	struct hpm_target *t = ti->private;

	if (dm_noflush_suspending(ti))
		hpm_gate_return(t->v);
}

static void volume_resume(struct dm_target *ti)
{
	struct hpm_target *t = ti->private;

	hpm_gate_open(t->v, HPM_GATE_RETURN);
}

static void volume_postsuspend(struct dm_target *ti)
{
	struct hpm_target *t = ti->private;

	hpm_gate_open(t->v, HPM_GATE_RETURN);
	hpm_volume_return_stock(t->v);
}

/*
 *----------------------------------------------------------------
 * Status, devices and limits
 *--------------------------------------------------------------
 */

static void volume_status(struct dm_target *ti, status_type_t type,
			  unsigned int status_flags, char *result,
			  unsigned int maxlen)
{
	struct hpm_target *t = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		if (hpm_pool_failed(t->pool))
			DMEMIT("Fail");
		else
			hpm_volume_status(t->v, !dm_suspended(ti) &&
					  !(status_flags & HPM_STATUS_NOFLUSH),
					  result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %u", t->pool_dev->name, t->v->id);
		break;
	case STATUSTYPE_IMA:
		*result = '\0';
		break;
	}
}

static int volume_iterate_devices(struct dm_target *ti,
				  iterate_devices_callout_fn fn, void *data)
{
	struct hpm_target *t = ti->private;
	sector_t len = bdev_nr_sectors(t->pool_dev->bdev);

	return fn(ti, t->pool_dev, 0, round_down(len, HPM_BLOCK_SECTORS), data);
}

/* The number of records that one discard may make. */
#define MAX_DISCARD_RECORDS	1024u

static void volume_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct hpm_target *t = ti->private;
	unsigned int large = HPM_BLOCK_SECTORS << t->pool->large_shift;
	unsigned int max = large * MAX_DISCARD_RECORDS;

	limits->physical_block_size = max(limits->physical_block_size,
					  HPM_BLOCK_SIZE);
	hpm_limits_set_io(limits, limits->physical_block_size,
			  large << SECTOR_SHIFT);
	if (ti->num_discard_bios)
		hpm_limits_set_discard(limits, HPM_BLOCK_SIZE, max);
	limits->max_write_zeroes_sectors =
		min(limits->max_write_zeroes_sectors, max);
}

static struct target_type hpm_volume_target = {
	.name = "hpmapper",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = volume_ctr,
	.dtr = volume_dtr,
	.map = volume_map,
	.end_io = volume_end_io,
	.presuspend = volume_presuspend,
	.presuspend_undo = volume_resume,
	.postsuspend = volume_postsuspend,
	.resume = volume_resume,
	.status = volume_status,
	.iterate_devices = volume_iterate_devices,
	.io_hints = volume_io_hints,
};

int hpm_volume_init(void)
{
	return dm_register_target(&hpm_volume_target);
}

void hpm_volume_exit(void)
{
	dm_unregister_target(&hpm_volume_target);
}
