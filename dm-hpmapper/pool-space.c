// SPDX-License-Identifier: GPL-2.0-only
/*
 * Space that becomes free: retries the bios that wait for it; low water marks
 */
#include "pool-priv.h"

u64 hpm_pool_data_free(struct hpm_pool *pool)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(pool->md, &st);
	return st.data_free_now;
}

void hpm_pool_space_came(struct hpm_pool *pool)
{
	bool retry = false;

	if (READ_ONCE(pool->out_of_data) && hpm_pool_data_free(pool)) {
		hpm_pool_set_out_of_data(pool, false);
		retry = true;
	}

	if (READ_ONCE(pool->meta_full) && !hpm_credit_get(pool->md, 1, HPM_FOR_DATA)) {
		hpm_credit_put(pool->md, 1);
		hpm_pool_set_meta_full(pool, false);
		retry = true;
	}

	if (retry)
		hpm_waiters_answer(pool, &pool->space_bios, 0);
}

/*
 * A volume's stock may have taken what was freed before hpm_pool_space_came() looks,
 * so that nothing is free and the waiting bios would not be told.  They are tried
 * again in any case: if they find no block, a search takes the stocks back.
 */
void hpm_pool_space_freed(struct hpm_pool *pool)
{
	hpm_pool_space_came(pool);
	hpm_waiters_answer(pool, &pool->space_bios, 0);
}

/*
 *----------------------------------------------------------------
 * Low water
 *--------------------------------------------------------------
 */

/* As in dm-thin: a quarter of the device, 4 MiB at most. */
u64 hpm_pool_meta_low_water(const struct hpm_md_stats *st)
{
	return min_t(u64, st->meta_total / 4, 1024);
}

/*
 * Returns true once each time that @free sinks to the mark.  Free space rises
 * and sinks with each checkpoint and drain, so it counts as risen only when it
 * is a quarter above the mark.
 */
static bool sank(struct hpm_pool *pool, bool *told, u64 free, u64 mark)
{
	bool tell = false;

	spin_lock_irq(&pool->lock);
	if (free <= mark) {
		tell = !*told;
		*told = true;
	} else if (free > mark + mark / 4) {
		*told = false;
	}
	spin_unlock_irq(&pool->lock);

	return tell;
}

void hpm_pool_check_low_water(struct hpm_pool *pool)
{
	struct hpm_md_stats st;
	bool data, meta;

	hpm_md_get_stats(pool->md, &st);

	data = sank(pool, &pool->low_water_told, st.data_free_now,
		    pool->low_water);
	if (data)
		DMWARN("%s: reached low water mark for data device: sending event",
		       pool->name);

	meta = sank(pool, &pool->meta_low_told, st.meta_free_now,
		    hpm_pool_meta_low_water(&st));
	if (meta)
		DMWARN("%s: reached low water mark for metadata device: sending event",
		       pool->name);

	if (data || meta)
		hpm_pool_event(pool);
}
