/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A live pool: the metadata engine, the devices and the workers, shared by the
 * pool target's table(s) and by the volume targets above it.
 */
#ifndef HPM_POOL_H
#define HPM_POOL_H

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/percpu_counter.h>
#include <linux/rbtree.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "metadata.h"
#include "parse.h"
#include "tokens.h"

#define DM_MSG_PREFIX "hpmapper"

struct hpm_share;
struct hpm_defrag;
struct hpm_volume;

struct hpm_pool {
	struct list_head list;		/* of live pools; hpm_pools_lock */
	struct kref ref;		/* tables and volumes */
	unsigned int nr_tables;		/* hpm_pools_lock */
	char name[DM_NAME_LEN];		/* for messages */
	struct mapped_device *md_dev;	/* the pool device */
	/*
	 * The devices are open as long as the pool has a table.  When the last
	 * one is gone (remove --force) the pool is dead: see hpm_pool_failed().
	 */
	struct block_device *meta_bdev;
	struct block_device *data_bdev;
	struct hpm_md *md;
	struct hpm_io *io;
	unsigned int large_shift;	/* in small blocks */
	bool opened_read_only;		/* so the engine writes nothing */

	/*
	 * In-flight tokens.  A bio takes one of its volume's before it looks
	 * anything up and gives it back when its I/O is done; a bio that waits
	 * holds none.  These are the cache manager's, of kind READ.
	 */
	struct hpm_tokens tokens;

	/*
	 * Serialises the messages that change something, and activation: a
	 * volume's ctr holds it from hpm_vol_open() until the volume is on the
	 * list, so that a delete either sees it there or comes first.  Nobody
	 * waits for any volume's I/O with it in hand: see pool-message.c.
	 */
	struct mutex message_lock;

	/* The table that is in force, for events. */
	struct mutex table_lock;
	struct dm_target *ti;		/* table_lock */
	struct work_struct event_work;

	spinlock_t lock;		/* the lists and words below */
	struct hpm_features features;	/* of the loaded table */
	u64 low_water;			/* small blocks */
	bool low_water_told;
	bool meta_low_told;
	bool suspended;			/* no volume may be activated */
	bool remembers;			/* what volumes' statuses say */
	bool quiet;			/* nothing runs in the background */

	/* pool-mode.c: the mode is made of the words that follow it */
	enum hpm_mode mode;
	enum hpm_mode error_mode;	/* by errors; only ever goes down */
	const char *why;		/* static */
	int why_err;
	bool out_of_data;
	bool meta_full;			/* no credit is to be had */
	bool timed_out;			/* queue_if_no_space has waited enough */
	bool dead;			/* the last table is gone */
	enum hpm_mode told_mode;	/* what the log and the events know */
	bool told_meta_full;
	bool needs_check;		/* is set, or being set */
	bool needs_check_failed;	/* mode_work; told once */
	/*
	 * Active struct hpm_volume: by ->list, and to be found without a walk
	 * over a thousand of them with interrupts off, by id and by disk.
	 */
	struct list_head volumes;
	struct rb_root by_id;
	DECLARE_HASHTABLE(by_disk, 8);
	wait_queue_head_t volume_gone;	/* one that was leaving */
	struct bio_list flush_bios;	/* end (or go on) after the next commit */
	struct bio_list credit_bios;	/* retry when credit comes back */
	struct bio_list unmap_bios;	/* the same, of what gives back */
	struct bio_list search_bios;	/* the next search for space is theirs */
	struct bio_list searched_bios;	/* the one that is under way is */
	struct bio_list space_bios;	/* queue_if_no_space: retry when space does */

	/* What runs where, and what it may wait for: pool-work.c. */
	struct workqueue_struct *end_wq;
	struct workqueue_struct *io_wq;
	struct workqueue_struct *commit_wq;
	struct workqueue_struct *apply_wq;
	struct workqueue_struct *space_wq;
	struct workqueue_struct *drain_wq;
	struct workqueue_struct *idle_wq;
	struct work_struct commit_work;
	struct work_struct checkpoint_work;
	struct work_struct apply_work;
	struct delayed_work apply_soon;
	struct work_struct reclaim_work;
	struct work_struct retry_work;
	struct work_struct search_work;
	struct work_struct drain_work;
	struct work_struct mode_work;		/* tells of changes of mode */
	struct delayed_work tick;		/* commit once a second */
	struct delayed_work no_space_timeout;

	struct list_head drain_batches;		/* lock */
	bool passdown_failed;			/* drain_work; told once */

	u64 searched_record;		/* search_work: all was seen up to it */

	struct hpm_shrinker shrinker;

	/* statistics, status key value pairs */
	atomic64_t cow_blocks;		/* small blocks written by copy-on-write */
	atomic64_t copied_bytes;	/* read and merged for partial writes */
	struct percpu_counter inplace_bios;	/* counted in the fastest path */
	atomic64_t hop_bios;		/* bios that went through a worker */

	/* NULL: nothing is ever shared; see cache.h */
	struct hpm_share *cache;
	bool share;			/* by message; features.share is the table's */

	/* defrag.c's; the words are for the status */
	struct mutex defrag_lock;
	struct hpm_defrag *defrag;	/* defrag_lock */
	bool defrag_running;
	atomic64_t defrag_moved;	/* small blocks */
	atomic64_t defrag_pinned;
};

/*
 *----------------------------------------------------------------
 * The pool, for the volume target: pool.c, pool-commit.c, pool-waiters.c
 *--------------------------------------------------------------
 */

/* The live pool behind a pool device; takes a reference, or NULL. */
struct hpm_pool *hpm_pool_find(struct mapped_device *md);
void hpm_pool_put(struct hpm_pool *pool);

/*
 * Any context.  @bio waits for a commit that begins after this call and is
 * then passed to hpm_volume_commit_done() (with the commit's error); kicks.
 */
void hpm_pool_commit_bio(struct hpm_pool *pool, struct bio *bio);
/*
 * Any context.  The deferred @bio, which holds nothing, found no credit, or no
 * block for its data.  It comes back through hpm_bio_queue() when there may be
 * some, or ends: with an error if there is none to be had, to be requeued if
 * its volume is being suspended without a flush.
 */
void hpm_pool_wait_credit(struct hpm_pool *pool, struct bio *bio);
void hpm_pool_wait_unmap(struct hpm_pool *pool, struct bio *bio);
void hpm_pool_wait_space(struct hpm_pool *pool, struct bio *bio);
/*
 * Any context.  The volume's bios that wait in the pool's lists are requeued.
 * Its gate says so already, so no more of them get there.
 */
void hpm_pool_return_bios(struct hpm_pool *pool, struct hpm_volume *v);

/* Any context: writes must be refused (read_only, fail). */
static inline bool hpm_pool_refuses_writes(struct hpm_pool *pool)
{
	return READ_ONCE(pool->mode) >= HPM_MODE_READ_ONLY;
}

/*
 * Any context: everything must be refused, reads too.  To be asked with the
 * in-flight token held: a pool whose table was taken away under its volumes
 * (remove --force) is failed while they are stopped, then they are started to
 * give their bios back, and from then on nobody may touch the devices.
 */
static inline bool hpm_pool_failed(struct hpm_pool *pool)
{
	return READ_ONCE(pool->mode) == HPM_MODE_FAIL;
}

/* For who looks at what volumes have cached, and has no bio. */
static inline int hpm_pool_token_get(struct hpm_pool *pool)
{
	return hpm_token_get(&pool->tokens, HPM_TOKEN_READ);
}

static inline void hpm_pool_token_put(struct hpm_pool *pool, int token)
{
	hpm_token_put(&pool->tokens, token);
}

/*
 *----------------------------------------------------------------
 * Volumes, for the pool target: active.c, bio.c, gate.c, grace.c, stop.c,
 * volume-stock.c, volume-status.c, volume.c
 *--------------------------------------------------------------
 */

int hpm_volume_init(void);	/* registers the volume target, makes caches */
void hpm_volume_exit(void);

/*
 * Sleeps until every token is back, of all volumes and the pool's own, that was
 * out when it was called.  It may take as long as the slowest tenant likes: not to
 * be called with anything in hand that others need.
 */
void hpm_pool_wait_tokens(struct hpm_pool *pool);
/* The same, but it is given up, and false returned, when @over() says so. */
bool hpm_pool_wait_tokens_unless(struct hpm_pool *pool,
				 bool (*over)(const void *ctx), const void *ctx);

/*
 * hpm_volume_park(): new writes and discards of the volume wait in a list, until
 * hpm_volume_unpark(); reads go on.  hpm_volume_is_parked() waits for those in
 * flight, for a moment, and says whether there are none;
 * hpm_volume_wait_parked() for as long as it takes, unless the caller is killed
 * (-EINTR).  These two sleep.
 */
void hpm_volume_park(struct hpm_volume *v);
bool hpm_volume_is_parked(struct hpm_volume *v);
int hpm_volume_wait_parked(struct hpm_volume *v);
void hpm_volume_unpark(struct hpm_volume *v);
/* The active volume with this id, or NULL; pool->lock held. */
struct hpm_volume *hpm_volume_by_id(struct hpm_pool *pool, u32 id);
/* The active one with the lowest id from @id on, or NULL; pool->lock held. */
struct hpm_volume *hpm_volume_from_id(struct hpm_pool *pool, u32 id);
/* The volume on this disk, or NULL; pool->lock held. */
struct hpm_volume *hpm_volume_by_disk(struct hpm_pool *pool,
				      const struct gendisk *disk);
void hpm_volume_get(struct hpm_volume *v);
void hpm_volume_put(struct hpm_volume *v);
/* Gives the stocks and reservations of all active volumes back.  Sleeps. */
void hpm_volumes_return_stock(struct hpm_pool *pool);
/* What statuses say until hpm_pool_wake(); reads metadata. */
void hpm_volumes_remember(struct hpm_pool *pool);
/* What a commit does with a bio. */
void hpm_volume_commit_done(struct bio *bio, int err);
/*
 * The pool is being suspended: all volumes' new bios wait (or, noflush, are
 * to be requeued), those in flight are done when this returns.
 * hpm_volumes_stop_slow() comes first and does so for volumes whose I/O is slow.
 */
void hpm_volumes_stop_slow(struct hpm_pool *pool);
void hpm_volumes_stop(struct hpm_pool *pool);
void hpm_volumes_start(struct hpm_pool *pool);

/* defrag.c: the bounded background job, driven by pool messages. */
int hpm_defrag_message(struct hpm_pool *pool, const struct hpm_message *say,
		       char *result, unsigned int maxlen);
void hpm_defrag_stop(struct hpm_pool *pool);
/* It rests, and goes on from where it was.  Sleeps. */
void hpm_defrag_pause(struct hpm_pool *pool);
void hpm_defrag_go_on(struct hpm_pool *pool);

#endif /* HPM_POOL_H */
