// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queues the works that the engine asks for, and dm events; see pool-work.c
 */
#include "pool-priv.h"

#define SOON	(HZ / 50)

void hpm_pool_kick(void *ctx, enum hpm_kick what)
{
	struct hpm_pool *pool = ctx;
	unsigned long flags;

	/* quiet is set under the lock, so no kick slips past a quiesce. */
	spin_lock_irqsave(&pool->lock, flags);
	if (pool->quiet)
		goto out;

	switch (what) {
	case HPM_KICK_APPLY:
		queue_work(pool->apply_wq, &pool->apply_work);
		break;
	case HPM_KICK_APPLY_SOON:
		queue_delayed_work(pool->idle_wq, &pool->apply_soon, SOON);
		break;
	case HPM_KICK_COMMIT:
		queue_work(pool->commit_wq, &pool->commit_work);
		break;
	case HPM_KICK_CHECKPOINT:
		queue_work(pool->commit_wq, &pool->checkpoint_work);
		break;
	case HPM_KICK_RECLAIM:
		queue_work(pool->idle_wq, &pool->reclaim_work);
		break;
	case HPM_KICK_CREDIT:
		queue_work(pool->apply_wq, &pool->retry_work);
		break;
	}
out:
	spin_unlock_irqrestore(&pool->lock, flags);
}

void hpm_pool_event(struct hpm_pool *pool)
{
	queue_work(pool->commit_wq, &pool->event_work);
}
