/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The index of where data blocks are cached.  A block that has been freed must
 * not be found there any more before it can be allocated again.
 */
#ifndef HPM_INDEX_H
#define HPM_INDEX_H

#include "pool.h"

/* Drops what is known about @nr blocks from @pbn on.  Sleeps or not. */
static inline void hpm_index_drop(struct hpm_pool *pool, u64 pbn, u32 nr)
{
}

#endif /* HPM_INDEX_H */
