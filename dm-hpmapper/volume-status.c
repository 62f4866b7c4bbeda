// SPDX-License-Identifier: GPL-2.0-only
/*
 * The status of a volume
 */
#include <linux/sched/mm.h>

#include "volume.h"

/*
 * While the pool is suspended, a status must not read metadata: the metadata
 * device may be suspended, too, and md->lock is held during a read.  So this
 * saves the figures before.  Sleeps.
 */
void hpm_volumes_remember(struct hpm_pool *pool)
{
	struct hpm_volume *v = NULL;

	while ((v = hpm_volume_next(pool, v)))
		v->highest_err = hpm_vol_highest(v->vol, &v->highest);
	/* The figures are written first: pairs with highest_block(). */
	smp_store_release(&pool->remembers, true);
}

static int highest_block(struct hpm_volume *v, bool apply, u64 *vbn)
{
	struct hpm_pool *pool = v->pool;

	/* Pairs with hpm_volumes_remember(). */
	if (smp_load_acquire(&pool->remembers)) {
		*vbn = v->highest;
		return v->highest_err;
	}
	if (apply)
		hpm_md_apply(pool->md);
	return hpm_vol_highest(v->vol, vbn);
}

/* <mapped sectors> <highest mapped sector>|- */
void hpm_volume_status(struct hpm_volume *v, bool apply, char *result,
		       unsigned int maxlen)
{
	unsigned int noio = memalloc_noio_save();
	struct hpm_vol_info info;
	unsigned int sz = 0;
	u64 vbn;
	int r;

	r = highest_block(v, apply, &vbn);
	hpm_vol_get_info(v->vol, &info);
	if (r && r != -ENOENT) {
		DMEMIT("Error");
	} else {
		DMEMIT("%llu ", info.mapped * HPM_BLOCK_SECTORS);
		if (r)
			DMEMIT("-");
		else
			DMEMIT("%llu", (vbn + 1) * HPM_BLOCK_SECTORS - 1);
	}
	memalloc_noio_restore(noio);
}
