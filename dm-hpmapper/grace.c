// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for the I/O of all volumes.  Sleeps.
 */
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
		/* Not the second only if the first is over: both are to go on. */
		all &= hpm_tokens_came(&v->tokens, HPM_TOKEN_READ);
		all &= hpm_tokens_came(&v->tokens, HPM_TOKEN_WRITE);
	}
	return all;
}

/*
 * All volumes are told first what is waited for, and all are asked at each look: so
 * it takes as long as the slowest of them, and what comes to one while another is
 * waited for does not matter.  A volume that comes to the list while we are at it,
 * or behind our back, takes its first token after that, and so after the call.  One
 * that leaves the list has no bio any more.
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
