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

struct hpm_cache;
struct hpm_defrag;
struct hpm_volume;

struct hpm_pool {
	struct list_head list;		/* in hpm_pools; hpm_pools_lock */
	struct kref ref;		/* held by tables and volumes */
	unsigned int nr_tables;		/* hpm_pools_lock */
	char name[DM_NAME_LEN];		/* for messages */
	struct mapped_device *mapped;	/* the pool device */
	/*
	 * The devices are open as long as the pool has a table.  When the last
	 * table is gone (remove --force), the pool is dead: hpm_pool_failed().
	 */
	struct block_device *meta_bdev;
	struct block_device *data_bdev;
	struct hpm_md *md;
	struct hpm_io *io;
	unsigned int large_shift;	/* in small blocks */
	bool opened_read_only;		/* so the engine writes nothing */

	/*
	 * In-flight tokens of the cache manager, of kind READ only.  A bio
	 * takes a token of its volume before its look-up and puts it when its
	 * I/O has ended; a bio that waits holds none.
	 */
	struct hpm_tokens tokens;

	/*
	 * Serialises messages, except defrag, and activation: a volume's ctr
	 * holds it from hpm_vol_open() until the volume is on the list, so a
	 * delete finds the volume there or comes first.  A holder waits for a
	 * volume's I/O for a moment at most: see pool-message.c.
	 */
	struct mutex message_lock;

	/* The table in use, for events. */
	struct mutex table_lock;
	struct dm_target *ti;		/* table_lock */
	struct work_struct event_work;

	spinlock_t lock;		/* the lists and fields below */
	struct hpm_features features;	/* of the loaded table */
	u64 low_water;			/* small blocks */
	bool low_water_told;
	bool meta_low_told;
	bool suspended;			/* no volume may be activated */
	bool remembers;			/* volumes show a remembered status */
	bool quiet;			/* no background work may be queued */

	/*
	 * pool-mode.c: the mode follows from error_mode, out_of_data, dead and
	 * features.read_only.
	 */
	enum hpm_mode mode;
	enum hpm_mode error_mode;	/* set by errors; never goes up */
	const char *why;		/* of error_mode; a static string */
	int why_err;
	bool out_of_data;
	bool meta_full;			/* the metadata device is full */
	bool timed_out;			/* no_space_timeout has expired */
	bool dead;			/* the last table is gone */
	enum hpm_mode told_mode;	/* the last one that was reported */
	bool told_meta_full;
	bool needs_check;		/* the flag is set, or being set */
	bool needs_check_failed;	/* mode_work only; logged once */
	/*
	 * Active volumes.  The tree and the hash find one by its id or its disk
	 * without a walk over a thousand of them with interrupts off.
	 */
	struct list_head volumes;	/* struct hpm_volume, by ->list */
	struct rb_root by_id;
	DECLARE_HASHTABLE(by_disk, 8);
	wait_queue_head_t volume_gone;	/* a leaving volume has left */
	struct bio_list flush_bios;	/* end after the next commit */
	struct bio_list credit_bios;	/* wait for a credit, then retry */
	struct bio_list unmap_bios;	/* the same, for unmapping */
	struct bio_list search_bios;	/* wait for the next search for space */
	struct bio_list searched_bios;	/* wait for the search that runs now */
	struct bio_list space_bios;	/* queue_if_no_space: wait for space */

	/* pool-work.c says what runs on which queue, and may wait for what. */
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
	struct work_struct mode_work;		/* reports changes of mode */
	struct delayed_work tick;		/* runs once a second */
	struct delayed_work no_space_timeout;

	struct list_head drain_batches;		/* lock */
	bool passdown_failed;			/* drain_work; logged once */

	/* search_work: a search up to this record has found no space */
	u64 searched_record;

	struct hpm_shrinker shrinker;

	/* statistics, for the status line */
	atomic64_t cow_blocks;		/* small blocks written by copy-on-write */
	atomic64_t copied_bytes;	/* read and merged for partial writes */
	struct percpu_counter inplace_bios;	/* counted in the fastest path */
	atomic64_t hop_bios;		/* bios that went through a worker */

	/* NULL: no read is ever served from it; see cache.h */
	struct hpm_cache *cache;
	bool share;			/* by message; table: features.share */

	/* defrag.c; the last three are for the status */
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

/* Returns the live pool of a pool device with a reference, or NULL.  Sleeps. */
struct hpm_pool *hpm_pool_find(struct mapped_device *mapped);
void hpm_pool_put(struct hpm_pool *pool);

/*
 * @bio waits for a commit that begins after this call, and is then passed to
 * hpm_volume_commit_done() with the commit's error.  Queues the commit.  Any
 * context.
 */
void hpm_pool_commit_bio(struct hpm_pool *pool, struct bio *bio);
/*
 * For a deferred @bio that found no credit, or no block for its data.  The bio
 * holds nothing while it waits.  It is passed to hpm_bio_queue() when a credit
 * or a block may be free.  If none can be, it ends with an error; if its volume
 * is being suspended without a flush, it is requeued.  Any context.
 */
void hpm_pool_wait_credit(struct hpm_pool *pool, struct bio *bio);
void hpm_pool_wait_unmap(struct hpm_pool *pool, struct bio *bio);
void hpm_pool_wait_space(struct hpm_pool *pool, struct bio *bio);
/*
 * Requeues the volume's bios that wait in the pool's lists.  HPM_GATE_RETURN is
 * already set, so no more of them get onto the lists.  Any context.
 */
void hpm_pool_return_bios(struct hpm_pool *pool, struct hpm_volume *v);

/* Must writes be refused (read_only, fail)?  Any context. */
static inline bool hpm_pool_refuses_writes(struct hpm_pool *pool)
{
	return READ_ONCE(pool->mode) >= HPM_MODE_READ_ONLY;
}

/*
 * Must everything be refused, including reads?  A bio holds its in-flight token
 * when it asks: if the pool's table is removed while volumes are active (remove
 * --force), the pool fails while the volumes are stopped, then they are started
 * so that their bios can end, and from then on no bio may touch the devices.
 * Any context.
 */
static inline bool hpm_pool_failed(struct hpm_pool *pool)
{
	return READ_ONCE(pool->mode) == HPM_MODE_FAIL;
}

/* For a caller that looks at the volumes' cached pages and has no bio. */
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

int hpm_volume_init(void);	/* registers the volume target */
void hpm_volume_exit(void);

/*
 * Waits until all tokens have come back that were out at the call: those of all
 * volumes and the pool's own.  This takes as long as the slowest I/O, which
 * io.max can throttle, so the caller must hold nothing that others need.
 * Sleeps.
 */
void hpm_pool_wait_tokens(struct hpm_pool *pool);
/* The same, but gives up and returns false when @over() returns true. */
bool hpm_pool_wait_tokens_unless(struct hpm_pool *pool,
				 bool (*over)(const void *ctx), const void *ctx);

/*
 * After hpm_volume_park(), new writes and discards of the volume wait at the
 * gate until hpm_volume_unpark(); reads go on.  hpm_volume_is_parked() waits a
 * moment for the writes in flight and returns true if all have ended.
 * hpm_volume_wait_parked() waits until they have, and returns -EINTR if the
 * caller is killed.  These two sleep.
 */
void hpm_volume_park(struct hpm_volume *v);
bool hpm_volume_is_parked(struct hpm_volume *v);
int hpm_volume_wait_parked(struct hpm_volume *v);
void hpm_volume_unpark(struct hpm_volume *v);
/* The active volume with this id, or NULL; pool->lock held. */
struct hpm_volume *hpm_volume_by_id(struct hpm_pool *pool, u32 id);
/* The active volume with the lowest id >= @id, or NULL; pool->lock held. */
struct hpm_volume *hpm_volume_from_id(struct hpm_pool *pool, u32 id);
/* The volume on this disk, or NULL; pool->lock held. */
struct hpm_volume *hpm_volume_by_disk(struct hpm_pool *pool,
				      const struct gendisk *disk);
void hpm_volume_get(struct hpm_volume *v);
void hpm_volume_put(struct hpm_volume *v);
/* Gives the stocks and reservations of all active volumes back.  Sleeps. */
void hpm_volumes_return_stock(struct hpm_pool *pool);
/*
 * Stores what volumes show in their status until hpm_pool_wake().  Reads
 * metadata: sleeps.
 */
void hpm_volumes_remember(struct hpm_pool *pool);
/* Ends a bio that waited for a commit; @err is the commit's.  Any context. */
void hpm_volume_commit_done(struct bio *bio, int err);
/*
 * For the suspension of the pool.  hpm_volumes_stop() shuts the gates of all
 * volumes: new bios wait (or are requeued, if their volume is being suspended
 * without a flush), and those in flight have ended on return.  Before it,
 * hpm_volumes_stop_slow() does so for the volumes whose I/O is slow.  Both
 * sleep.  hpm_volumes_start() opens the gates.
 */
void hpm_volumes_stop_slow(struct hpm_pool *pool);
void hpm_volumes_stop(struct hpm_pool *pool);
void hpm_volumes_start(struct hpm_pool *pool);

/* defrag.c: the bounded background job, driven by pool messages. */
int hpm_defrag_message(struct hpm_pool *pool, const struct hpm_message *say,
		       char *result, unsigned int maxlen);
void hpm_defrag_stop(struct hpm_pool *pool);
/* Suspends the job, and resumes it where it was.  Both sleep. */
void hpm_defrag_pause(struct hpm_pool *pool);
void hpm_defrag_go_on(struct hpm_pool *pool);

#endif /* HPM_POOL_H */
