// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stock of a volume: blocks reserved for its writes
 */
#include <linux/sched/mm.h>

#include "volume.h"

/*
 * With small large blocks a refill gets few blocks, so it is repeated, at most
 * as often as the stock has extents.
 */
int hpm_volume_refill(struct hpm_volume *v)
{
	struct hpm_stock *st = &v->stock;
	unsigned int i;
	int r = 0;

	mutex_lock(&v->refill_lock);
	for (i = 0; i < HPM_STOCK_EXTENTS && !r; i++) {
		if (READ_ONCE(st->blocks) >= 2 * HPM_STOCK_LOW)
			break;
		r = hpm_space_refill(v->pool->md, st);
	}
	mutex_unlock(&v->refill_lock);
	return READ_ONCE(st->blocks) ? 0 : r;
}

static void do_refill(struct work_struct *work)
{
	struct hpm_volume *v = container_of(work, struct hpm_volume,
					    refill_work);
	unsigned int noio = memalloc_noio_save();

	/* An error is ignored here: the write that needs blocks gets it. */
	hpm_volume_refill(v);
	memalloc_noio_restore(noio);
}

void hpm_volume_stock_init(struct hpm_volume *v)
{
	hpm_stock_init(&v->stock);
	mutex_init(&v->refill_lock);
	INIT_WORK(&v->refill_work, do_refill);
}

void hpm_volume_return_stock(struct hpm_volume *v)
{
	hpm_space_return(v->pool->md, &v->stock);
	hpm_streams_drop(v);
}

void hpm_volumes_return_stock(struct hpm_pool *pool)
{
	struct hpm_volume *v = NULL;

	while ((v = hpm_volume_next(pool, v)))
		hpm_volume_return_stock(v);
}
