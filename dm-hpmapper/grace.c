// SPDX-License-Identifier: GPL-2.0-only
/* Waits for the I/O of all volumes.  Sleeps. */
#include <linux/ktime.h>

#include "fault.h"
#include "volume.h"

static void want_volume(struct hpm_volume *v)
{
	if (!hpm_fault(HPM_FAULT_DRAIN_WRITES))
		hpm_tokens_want(&v->tokens, HPM_TOKEN_READ);
	if (!hpm_fault(HPM_FAULT_DRAIN_READS))
		hpm_tokens_want(&v->tokens, HPM_TOKEN_WRITE);
}

static bool all_came(struct hpm_pool *pool)
{
	bool all = hpm_tokens_came(&pool->tokens, HPM_TOKEN_READ);
	struct hpm_volume *v = NULL;

	while ((v = hpm_volume_next(pool, v))) {
		/* No &&: the grace periods of both kinds must go on. */
		all &= hpm_tokens_came(&v->tokens, HPM_TOKEN_READ);
		all &= hpm_tokens_came(&v->tokens, HPM_TOKEN_WRITE);
	}
	return all;
}

/*
 * First the wait begins in all volumes, then each look checks all of them.  So
 * the whole wait takes as long as the slowest volume, and bios that come to one
 * volume while another is waited for do not prolong it.  A volume that is added
 * to the list meanwhile, possibly without being seen here, takes its first
 * token after that, and so after the call.  A volume that leaves the list has
 * no bios any more.
 */
bool hpm_pool_wait_tokens_unless(struct hpm_pool *pool,
				 bool (*over)(const void *ctx), const void *ctx)
{
	ktime_t start = ktime_get();
	struct hpm_volume *v = NULL;

	hpm_tokens_want(&pool->tokens, HPM_TOKEN_READ);
	while ((v = hpm_volume_next(pool, v)))
		want_volume(v);
	while (!all_came(pool)) {
		if (over && over(ctx))
			return false;
		hpm_tokens_sleep(start);
	}
	return true;
}

void hpm_pool_wait_tokens(struct hpm_pool *pool)
{
	hpm_pool_wait_tokens_unless(pool, NULL, NULL);
}
