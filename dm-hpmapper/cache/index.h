/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The index: looking up, and entering.  Any context.
 */
#ifndef HPM_INDEX_H
#define HPM_INDEX_H

#include "share.h"

struct hpm_victim;

/*
 * The latest copy of a block, or the one behind @skip later ones; false: there is
 * none.  If it is kept, which only the first one is, the caller has to put the
 * page.
 */
bool hpm_index_find(struct hpm_share *cache, u64 pbn, unsigned int skip,
		    struct hpm_place *place, u64 *fp);
bool hpm_index_has(struct hpm_share *cache, u64 pbn);
/* A copy of the block is there now.  The caller holds a token. */
void hpm_index_enter(struct hpm_share *cache, u64 pbn, u64 fp,
		     const struct hpm_place *place);
/* Keeps a copy of the bytes, unless there is one or no memory for it. */
void hpm_index_keep(struct hpm_share *cache, u64 pbn, u64 fp,
		    const void *bytes);
void hpm_index_remove(struct hpm_share *cache, u64 pbn,
		      const struct hpm_place *place);
/* It is there still.  The caller holds a token. */
void hpm_index_put_back(struct hpm_share *cache, const struct hpm_victim *v);
/* Drops about @nr copies, the coldest; never waits.  Returns how many. */
unsigned long hpm_index_shrink(struct hpm_share *cache, unsigned long nr);

/* From now on at most @nr copies are known.  Sleeps. */
void hpm_index_limit(struct hpm_share *cache, unsigned long nr);

#endif /* HPM_INDEX_H */
