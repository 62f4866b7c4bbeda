// SPDX-License-Identifier: GPL-2.0-only
/*
 * The change of a write, from the lock to its end.  write.c explains the order.
 */
#include "volume.h"

void hpm_blocks_back(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr,
		     bool stream)
{
	if (stream)
		hpm_stream_untake(v, vbn, pbn, nr);
	else
		hpm_space_unreserve(v->pool->md, pbn, nr);
}

/* Gives back a credit for which no record was published. */
void hpm_credit_back(struct hpm_volume *v)
{
	hpm_credit_put(v->pool->md, 1);
	hpm_gate_feed(v);
}

int hpm_piece_lock(struct hpm_volume *v, struct hpm_piece *p,
		   struct hpm_op *op, struct list_head *waiter)
{
	struct hpm_change *c = p->change;
	int r;

	c->vol = v->vol;
	c->type = p->type;
	c->vbn = p->vbn;
	c->pbn = p->pbn;
	c->nr = p->nr;
	r = hpm_change_lock(c, waiter);
	if (unlikely(r))
		return r;
	atomic64_add(p->nr, &v->pool->cow_blocks);
	op->change = c;
	op->stream = p->stream;
	p->change = NULL;
	p->credit = false;
	p->nr = 0;
	return 0;
}

void hpm_write_end(struct hpm_volume *v, struct hpm_op *op, blk_status_t status)
{
	struct hpm_change *c = op->change;
	u64 vbn = c->vbn, pbn = c->pbn;
	u32 nr = c->nr;
	LIST_HEAD(waiters);

	/* From here on the engine owns the change. */
	op->change = NULL;
	if (likely(!status)) {
		hpm_change_publish(c, &waiters);
		hpm_gate_feed(v);
		if (op->stream)
			hpm_stream_written(v, vbn, pbn, nr);
	} else {
		hpm_change_cancel(c, &waiters);
		hpm_blocks_back(v, vbn, pbn, nr, op->stream);
		hpm_credit_back(v);
	}
	hpm_bio_queue_all(&waiters);
}

void hpm_op_end(struct hpm_volume *v, struct hpm_op *op, blk_status_t status)
{
	int token = op->token;

	if (op->change)
		hpm_write_end(v, op, status);
	op->token = HPM_NO_TOKEN;
	hpm_volume_token_put(v, token);
}
