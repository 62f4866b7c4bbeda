/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The index: looking up and entering copies.  Any context, unless said
 * otherwise.
 */
#ifndef HPM_INDEX_H
#define HPM_INDEX_H

#include "cache-priv.h"

struct hpm_victim;

/*
 * Finds a copy of a block, after @skip others: the kept one first, then the
 * latest.  Returns false if there is none.  If the copy is kept, the caller
 * gets a reference to its page and must put it.
 */
bool hpm_index_find(struct hpm_cache *cache, u64 pbn, unsigned int skip,
		    struct hpm_place *place, u64 *fp);
/* Is a copy of the block known? */
bool hpm_index_has(struct hpm_cache *cache, u64 pbn);
/*
 * Enters the page at @place as a copy of the block, whose fingerprint is @fp.
 * The caller holds a token.
 */
void hpm_index_enter(struct hpm_cache *cache, u64 pbn, u64 fp,
		     const struct hpm_place *place);
/*
 * Copies the block's @bytes to a page of the pool's own, which is entered as
 * its kept copy; not if the block has one, or if there is no memory.  The
 * caller holds a token.
 */
void hpm_index_keep(struct hpm_cache *cache, u64 pbn, u64 fp,
		    const void *bytes);
/* Drops the copy at @place, if there is one. */
void hpm_index_remove(struct hpm_cache *cache, u64 pbn,
		      const struct hpm_place *place);
/* Enters a victim again that was not evicted.  The caller holds a token. */
void hpm_index_put_back(struct hpm_cache *cache, const struct hpm_victim *v);
/*
 * Drops up to about @nr copies, the coldest of each shard, without waiting for
 * a lock.  Returns how many it dropped.
 */
unsigned long hpm_index_shrink(struct hpm_cache *cache, unsigned long nr);

/* Limits the index to about @nr copies, and drops those above.  Sleeps. */
void hpm_index_limit(struct hpm_cache *cache, unsigned long nr);

#endif /* HPM_INDEX_H */
