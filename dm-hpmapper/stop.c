// SPDX-License-Identifier: GPL-2.0-only
/*
 * Suspension of the pool, and of a volume without a flush: why it works, see gate.c.
 */
#include <linux/jiffies.h>

#include "cache.h"
#include "volume.h"

/*
 * A pool that is to be suspended waits for all I/O, and from then on nobody's
 * goes on.  If everybody was stopped at once, a tenant whose I/O takes half an
 * hour would stop all others for so long.  So those that are slow are stopped
 * first, and waited for, while the others go on; what these have in flight when
 * their turn comes is over soon.
 */
#define ALL_PATIENCE	msecs_to_jiffies(100)
#define LEAST_PATIENCE	msecs_to_jiffies(4)

/* True: some are, and are stopped. */
static bool stop_slow_ones(struct hpm_pool *pool)
{
	unsigned long end = jiffies + ALL_PATIENCE;
	struct hpm_volume *v = NULL;
	struct hpm_patience p = { };
	bool found = false;

	while ((v = hpm_volume_next(pool, v))) {
		if (hpm_gate_shut(v, HPM_GATE_STOP))
			continue;
		p.end = jiffies + LEAST_PATIENCE;
		if (time_before(p.end, end))
			p.end = end;
		if (!hpm_volume_wait(v, &p)) {
			hpm_gate_close(v, HPM_GATE_STOP);
			found = true;
		}
	}
	return found;
}

/* While some are waited for, others may have become slow: so often it is looked. */
#define STOP_ROUNDS	8

void hpm_volumes_stop_slow(struct hpm_pool *pool)
{
	struct hpm_volume *v = NULL;
	unsigned int round;

	for (round = 0; round < STOP_ROUNDS && stop_slow_ones(pool); round++)
		while ((v = hpm_volume_next(pool, v)))
			if (hpm_gate_shut(v, HPM_GATE_STOP))
				hpm_volume_wait(v, NULL);
}

/*
 * The pool says that it is suspended, so no volume comes to the list any more.
 * What is in a worker holds no token while it reads metadata or waits for
 * credit, so the queue is waited for as well; everything in it ends at the
 * gate.  That also takes refills and the ends of streams.
 */
void hpm_volumes_stop(struct hpm_pool *pool)
{
	struct hpm_volume *v = NULL;

	while ((v = hpm_volume_next(pool, v)))
		hpm_gate_close(v, HPM_GATE_STOP);
	hpm_pool_wait_tokens(pool);
	flush_workqueue(pool->io_wq);
	hpm_volumes_return_stock(pool);
}

void hpm_volumes_start(struct hpm_pool *pool)
{
	struct hpm_volume *v = NULL;

	while ((v = hpm_volume_next(pool, v)))
		hpm_gate_open(v, HPM_GATE_STOP);
}

/*
 * What waits at the gate comes out through a worker, which then requeues it.
 * Whoever puts a bio on a list of the pool's asks hpm_gate_returns() under the
 * lock of the list; so when the list is gone through under that lock, later, it
 * either has the bio, or the bio never gets there.  Reads that follow another's
 * are let go when the volume's tokens have been waited for: a bio that is about
 * to follow has its token until it is on the leader's list, and one that was let
 * go is a worker's.
 */
void hpm_gate_return(struct hpm_volume *v)
{
	unsigned long flags;
	LIST_HEAD(held);

	spin_lock_irqsave(&v->lock, flags);
	WRITE_ONCE(v->gate, v->gate | HPM_GATE_RETURN);
	list_splice_tail_init(&v->held, &held);
	list_splice_tail_init(&v->starved, &held);
	spin_unlock_irqrestore(&v->lock, flags);
	hpm_bio_queue_all(&held);

	hpm_tokens_wait(&v->tokens, HPM_TOKEN_READ);
	hpm_tokens_wait(&v->tokens, HPM_TOKEN_WRITE);
	hpm_intercept_kick(v->pool);
	hpm_tokens_wait(&v->tokens, HPM_TOKEN_HOP);
	hpm_pool_return_bios(v->pool, v);
}
