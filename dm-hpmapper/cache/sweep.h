/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sweeping: dropping copies by a walk over the whole index.
 */
#ifndef HPM_SWEEP_H
#define HPM_SWEEP_H

#include "cache-priv.h"

/* Drops all copies.  Sleeps. */
void hpm_index_sweep(struct hpm_cache *cache);
/* Drops the copies in a range of page frames.  Sleeps. */
void hpm_index_sweep_frames(struct hpm_cache *cache, unsigned long pfn,
			    unsigned long nr);

#endif /* HPM_SWEEP_H */
