/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache of a pool: where data blocks are cached, reads that are served from
 * there, and which copies stay.  What the pool and its volumes see of it.
 */
#ifndef HPM_CACHE_H
#define HPM_CACHE_H

#include "volume.h"

/* Whether reads of this volume may be served. */
static inline bool hpm_share_shares(const struct hpm_volume *v)
{
	const struct hpm_pool *pool = v->pool;

	return IS_ENABLED(CONFIG_DM_HPMAPPER_INTERCEPT) &&
	       READ_ONCE(v->share) && pool->cache && READ_ONCE(pool->share) &&
	       READ_ONCE(pool->features.share);
}

#ifndef CONFIG_DM_HPMAPPER_INTERCEPT
#include "no-cache.h"
#else

/*----------------------------------------------------------------
 * For the pool
 *--------------------------------------------------------------*/

int hpm_share_init(void);	/* of the module */
void hpm_share_exit(void);

/*
 * Sleep.  A pool without volumes is given up in two steps: its cache arms and
 * queues nothing any more once it is stopped, which is before the pool's queues
 * are destroyed; what still runs on them may look into it until it is
 * destroyed, which is after.
 */
int hpm_share_create(struct hpm_pool *pool);
void hpm_share_stop(struct hpm_pool *pool);
void hpm_share_destroy(struct hpm_pool *pool);

/*
 * Drops what is known about the blocks of @batches (struct hpm_free_batch).  A
 * block that has been freed must not be found any more before it can be
 * allocated again: this is called when no token is left from before it was
 * freed.  By the drain alone, one call at a time.  Sleeps.
 */
void hpm_index_drop(struct hpm_pool *pool, const struct list_head *batches);
/*
 * Forgets everything, what reads in flight are about to enter included.  After
 * the sharing of the pool or of a volume has been switched off.  Sleeps.
 */
void hpm_index_forget(struct hpm_pool *pool);

/*
 * cache share on|off, copies_limit N, entries N, scan_ms N, evict; on failure
 * *why is a sentence.
 */
int hpm_share_message(struct hpm_pool *pool, const struct hpm_message *say,
		      const char **why);
/* Appends pairs of a key and a value; returns the new length. */
unsigned int hpm_share_status(struct hpm_pool *pool, char *result,
			      unsigned int sz, unsigned int maxlen);

/*----------------------------------------------------------------
 * For the volumes
 *--------------------------------------------------------------*/

/*
 * map() of a read, token held: the piece is of one shared run.  Returns what
 * map() returns if the bio is served, or waits for another one's read.  Else
 * DM_MAPIO_REMAPPED: the piece, which may have become shorter, is to be read,
 * and hb->lead is what its end has to take care of, or NULL.
 */
int hpm_intercept_map(struct hpm_volume *v, struct hpm_bio *hb,
		      struct bio *bio, struct hpm_piece *p);
/*
 * A worker, token held: serves sectors from the front of what is left of a
 * deferred read; returns how many.
 */
unsigned int hpm_intercept_step(struct hpm_volume *v, struct hpm_bio *hb,
				const struct hpm_piece *p);
/*
 * The end of a read that has hb->lead, token held.  True: a worker will end
 * the bio once more.  Any context.
 */
bool hpm_intercept_end(struct hpm_bio *hb, struct bio *bio,
		       blk_status_t status);
/* What waits for other bios' reads goes on by itself.  Any context. */
void hpm_intercept_kick(struct hpm_pool *pool);

#endif /* CONFIG_DM_HPMAPPER_INTERCEPT */

#endif /* HPM_CACHE_H */
