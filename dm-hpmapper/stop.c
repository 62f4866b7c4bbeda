// SPDX-License-Identifier: GPL-2.0-only
/*
 * Suspension of the pool, and noflush suspension of a volume.  gate.c explains
 * why it works.
 */
#include <linux/jiffies.h>

#include "cache.h"
#include "volume.h"

/*
 * The suspension of a pool stops the bios of all volumes and waits for all I/O.
 * If it stopped all volumes at once, a tenant whose I/O takes half an hour
 * would stop the others for that time.  So volumes whose I/O is slow are
 * stopped and waited for first, while the others continue.  When the others are
 * stopped, their I/O in flight ends soon.
 */
#define ALL_PATIENCE	msecs_to_jiffies(100)
#define LEAST_PATIENCE	msecs_to_jiffies(4)

/*
 * Stops the volumes whose I/O in flight does not end in time; true: there are
 * any.
 */
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

/*
 * While some volumes are waited for, others may become slow, so this is
 * repeated.
 */
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
 * The pool is marked as suspended, so no volume is added to the list any more.
 * A worker holds no token while it reads metadata or waits for a credit, so the
 * queue is flushed, too; all bios in it end up at the gate.  The flush also
 * waits for refills and for the works of streams.
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
 * A bio that waits at the gate goes to a worker, which then requeues it.  A bio
 * that is put on a list of the pool is first checked with hpm_gate_returns(),
 * under the lock of the list.  So when that list is searched under the lock
 * later, either the bio is on it, or it will never be.  Reads that follow
 * another read are released after a wait for the volume's tokens: a bio that is
 * about to follow holds its token until it is on the leader's list, and a bio
 * that was released belongs to a worker.
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
