/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache of a pool, as the pool and its volumes see it.  It knows which
 * pages hold data blocks, serves reads from these copies, and evicts copies
 * when a block has too many.
 */
#ifndef HPM_CACHE_H
#define HPM_CACHE_H

#include "volume.h"

/* May reads of this volume be served from copies? */
static inline bool hpm_cache_shares(const struct hpm_volume *v)
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

int hpm_cache_init(void);	/* when the module is loaded */
void hpm_cache_exit(void);

/*
 * Sleep.  The cache of a pool without volumes is freed in two steps.
 * hpm_cache_stop() is called before the pool's queues are destroyed: from then
 * on the cache arms no timer and queues no work.  hpm_cache_destroy() is called
 * when they are destroyed, as works on them may use the cache until then.
 */
int hpm_cache_create(struct hpm_pool *pool);
void hpm_cache_stop(struct hpm_pool *pool);
void hpm_cache_destroy(struct hpm_pool *pool);

/*
 * Drops the copies of the blocks of @batches (struct hpm_free_batch).  A freed
 * block must leave the index before it can be allocated again.  The caller is
 * the drain, one call at a time, after all in-flight tokens from before the
 * blocks were freed have come back: their holders may enter copies.  Sleeps.
 */
void hpm_index_drop(struct hpm_pool *pool, const struct list_head *batches);
/*
 * Drops all copies.  Called after sharing was switched off for the pool or for
 * a volume: reads in flight for which it is off enter no copies any more.
 * Sleeps.
 */
void hpm_index_forget(struct hpm_pool *pool);

/*
 * Carries out a message: cache share on|off, copies_limit N, entries N,
 * scan_ms N, evict.  On failure *why is a sentence.  Sleeps.
 */
int hpm_cache_message(struct hpm_pool *pool, const struct hpm_message *say,
		      const char **why);
/* Appends pairs of a key and a value; returns the new length. */
unsigned int hpm_cache_status(struct hpm_pool *pool, char *result,
			      unsigned int sz, unsigned int maxlen);

/*----------------------------------------------------------------
 * For the volumes
 *--------------------------------------------------------------*/

/*
 * For map() of a read, in-flight token held; the piece lies in one shared run.
 * Returns DM_MAPIO_SUBMITTED if the bio was served, or waits for the read of
 * another bio.  Returns DM_MAPIO_REMAPPED if the caller must read the piece,
 * which may have become shorter; if hb->lead is set then, the bio's end must
 * call hpm_intercept_end().
 */
int hpm_intercept_map(struct hpm_volume *v, struct hpm_bio *hb,
		      struct bio *bio, struct hpm_piece *p);
/*
 * For a worker, in-flight token held: serves sectors from the front of the rest
 * of a deferred read.  Returns the number of sectors served.
 */
unsigned int hpm_intercept_step(struct hpm_volume *v, struct hpm_bio *hb,
				const struct hpm_piece *p);
/*
 * For the end of a read that has hb->lead; in-flight token held.  Returns true
 * if a worker will end the bio again.  Any context.
 */
bool hpm_intercept_end(struct hpm_bio *hb, struct bio *bio,
		       blk_status_t status);
/* Makes all bios that wait for a leader go on without it.  Any context. */
void hpm_intercept_kick(struct hpm_pool *pool);

#endif /* CONFIG_DM_HPMAPPER_INTERCEPT */

#endif /* HPM_CACHE_H */
