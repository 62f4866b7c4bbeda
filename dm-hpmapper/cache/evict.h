/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache manager.
 */
#ifndef HPM_EVICT_H
#define HPM_EVICT_H

#include "cache-priv.h"

/* Sleep. */
int hpm_evict_init(struct hpm_cache *cache);
void hpm_evict_exit(struct hpm_cache *cache);

#endif /* HPM_EVICT_H */
