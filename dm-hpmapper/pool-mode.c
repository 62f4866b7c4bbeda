// SPDX-License-Identifier: GPL-2.0-only
/*
 * The failure ladder
 *
 *	write -> out_of_data_space -> read_only -> fail
 *
 * A pool goes down the ladder when an error occurs or when it runs out of
 * space, and a table with read_only keeps it at read_only.  It comes up again
 * from out_of_data_space when there is space, and from a table's read_only with
 * another table, but never from an error.  These causes are independent of each
 * other, so each has a field of its own, and the mode is always computed from
 * all of them.  For example, if a pool runs out of space while its table says
 * read_only, and a table without read_only is loaded, the mode becomes
 * out_of_data_space.
 *
 * Full metadata is not a step of the ladder: such a pool refuses to write, but
 * deletes and discards go on, from a reserve, and make space.
 *
 * The mode can go down in any context.  What follows from it (log, event, the
 * needs_check flag on the device, ending the bios that wait in vain) is left to
 * a work.  It compares the mode with the one that it reported last, so a change
 * that comes while it runs is neither lost nor reported twice.
 */
#include "pool-priv.h"
#include "trace.h"

static const char *mode_name(enum hpm_mode mode)
{
	switch (mode) {
	case HPM_MODE_WRITE:
		return "write";
	case HPM_MODE_OUT_OF_DATA:
		return "out_of_data_space";
	case HPM_MODE_READ_ONLY:
		return "read_only";
	case HPM_MODE_FAIL:
		break;
	}

	return "fail";
}

void __hpm_pool_update_mode(struct hpm_pool *pool)
{
	enum hpm_mode mode = pool->error_mode;

	lockdep_assert_held(&pool->lock);

	if (pool->out_of_data)
		mode = max(mode, HPM_MODE_OUT_OF_DATA);
	if (pool->features.read_only)
		mode = max(mode, HPM_MODE_READ_ONLY);
	if (pool->dead)
		mode = HPM_MODE_FAIL;

	WRITE_ONCE(pool->mode, mode);
}

void hpm_pool_update_mode(struct hpm_pool *pool)
{
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	__hpm_pool_update_mode(pool);
	spin_unlock_irqrestore(&pool->lock, flags);

	queue_work(pool->commit_wq, &pool->mode_work);
}

void hpm_pool_failed_op(void *ctx, enum hpm_mode mode, const char *why, int err)
{
	struct hpm_pool *pool = ctx;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	if (!pool->dead && mode > pool->error_mode) {
		WRITE_ONCE(pool->error_mode, mode);
		pool->why = why;
		pool->why_err = err;
		__hpm_pool_update_mode(pool);
		queue_work(pool->commit_wq, &pool->mode_work);
	}
	spin_unlock_irqrestore(&pool->lock, flags);
}

/*
 *----------------------------------------------------------------
 * Space
 *--------------------------------------------------------------
 */

/* How long queue_if_no_space may keep a bio; 0: for ever. */
#define NO_SPACE_TIMEOUT_SECS	60
static unsigned int no_space_timeout_secs = NO_SPACE_TIMEOUT_SECS;
module_param_named(no_space_timeout, no_space_timeout_secs, uint, 0644);
MODULE_PARM_DESC(no_space_timeout,
		 "Out of space: seconds that I/O is queued for, 0: for ever");

void __hpm_pool_start_timeout(struct hpm_pool *pool)
{
	unsigned long timeout = (unsigned long)READ_ONCE(no_space_timeout_secs) * HZ;

	lockdep_assert_held(&pool->lock);

	if (!pool->features.error_if_no_space && timeout && !pool->quiet &&
	    (pool->out_of_data || pool->meta_full))
		mod_delayed_work(pool->commit_wq, &pool->no_space_timeout,
				 timeout);
}

/* Sets out_of_data or meta_full. */
static void set_no_space(struct hpm_pool *pool, bool *word, bool is)
{
	spin_lock_irq(&pool->lock);
	if (*word == is) {
		spin_unlock_irq(&pool->lock);
		return;
	}

	WRITE_ONCE(*word, is);
	if (is)
		__hpm_pool_start_timeout(pool);
	else if (!pool->out_of_data && !pool->meta_full)
		pool->timed_out = false;
	__hpm_pool_update_mode(pool);
	queue_work(pool->commit_wq, &pool->mode_work);
	spin_unlock_irq(&pool->lock);
}

void hpm_pool_set_out_of_data(struct hpm_pool *pool, bool is)
{
	set_no_space(pool, &pool->out_of_data, is);
}

void hpm_pool_set_meta_full(struct hpm_pool *pool, bool is)
{
	set_no_space(pool, &pool->meta_full, is);
}

/* Until space comes, writes that find none fail from here on. */
static void no_space_timeout(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(to_delayed_work(ws),
					     struct hpm_pool, no_space_timeout);
	bool over;

	spin_lock_irq(&pool->lock);
	over = !pool->timed_out && (pool->out_of_data || pool->meta_full);
	if (over)
		pool->timed_out = true;
	spin_unlock_irq(&pool->lock);

	if (over) {
		DMERR("%s: no space came in time; writes that need space fail until there is some",
		      pool->name);
		hpm_pool_end_writes(pool, BLK_STS_NOSPC);
		hpm_pool_event(pool);
	}
}

/*
 *----------------------------------------------------------------
 * Reporting
 *--------------------------------------------------------------
 */

static void tell_mode(struct hpm_pool *pool, enum hpm_mode old,
		      enum hpm_mode mode, const char *why, int err)
{
	if (mode > old && why)
		DMERR("%s: switching from %s to %s mode: %s (%d)", pool->name,
		      mode_name(old), mode_name(mode), why, err);
	else if (mode > old)
		DMWARN("%s: switching from %s to %s mode", pool->name,
		       mode_name(old), mode_name(mode));
	else
		DMINFO("%s: switching from %s to %s mode", pool->name,
		       mode_name(old), mode_name(mode));
}

/*
 * After an error that makes a pool read_only, hpm_check should be run before
 * the pool is written again, whether or not the metadata can still be
 * committed.  If the flag cannot be written either, reading goes on: metadata
 * that could not be written is in memory, and the device is consistent without
 * the flag.  The next suspend tries again.
 */
static void set_needs_check(struct hpm_pool *pool)
{
	unsigned int noio = hpm_noio_begin();
	int r;

	r = hpm_md_set_needs_check(pool->md);
	hpm_noio_end(noio);
	if (!r)
		return;

	if (!pool->needs_check_failed)
		DMERR("%s: cannot set needs_check: error %d", pool->name, r);
	pool->needs_check_failed = true;
	spin_lock_irq(&pool->lock);
	pool->needs_check = false;
	spin_unlock_irq(&pool->lock);
}

static void do_mode(struct work_struct *ws)
{
	struct hpm_pool *pool = container_of(ws, struct hpm_pool, mode_work);
	bool told_full, full, check, dead;
	enum hpm_mode told, mode;
	const char *why;
	int err;

	spin_lock_irq(&pool->lock);
	told = pool->told_mode;
	mode = pool->mode;
	dead = pool->dead;
	/* The reason is only that of the step to which the error led. */
	why = mode == pool->error_mode ? pool->why : NULL;
	err = pool->why_err;
	told_full = pool->told_meta_full;
	full = pool->meta_full;
	check = pool->error_mode >= HPM_MODE_READ_ONLY && pool->md &&
		!dead && !pool->needs_check && !pool->opened_read_only;
	pool->told_mode = mode;
	pool->told_meta_full = full;
	pool->needs_check |= check;
	spin_unlock_irq(&pool->lock);

	if (mode != told && !dead) {
		trace_hpm_mode(pool, told, mode);
		tell_mode(pool, told, mode, why, err);
	}
	if (full && !told_full)
		DMERR("%s: the metadata device is full: delete volumes, discard, or grow it",
		      pool->name);
	else if (!full && told_full)
		DMINFO("%s: there is room in the metadata again", pool->name);

	if (mode != told || full != told_full)
		hpm_pool_event(pool);
	if (mode >= HPM_MODE_READ_ONLY)
		hpm_pool_end_waiters(pool, BLK_STS_IOERR);
	if (check)
		set_needs_check(pool);
}

void hpm_pool_mode_init(struct hpm_pool *pool)
{
	pool->mode = HPM_MODE_WRITE;
	pool->error_mode = HPM_MODE_WRITE;
	pool->told_mode = HPM_MODE_WRITE;
	INIT_WORK(&pool->mode_work, do_mode);
	INIT_DELAYED_WORK(&pool->no_space_timeout, no_space_timeout);
}
