/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dropping copies, a part of the index at a time or all of it.
 */
#ifndef HPM_SWEEP_H
#define HPM_SWEEP_H

#include "share.h"

/* Drops all copies; those in a range of page frames.  Sleep. */
void hpm_index_sweep(struct hpm_share *cache);
void hpm_index_sweep_frames(struct hpm_share *cache, unsigned long pfn,
			    unsigned long nr);

#endif /* HPM_SWEEP_H */
