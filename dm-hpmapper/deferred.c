// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deferred bios: workers carry them out in parts, from front to back.
 */
#include <linux/sched/mm.h>

#include "volume.h"

static int bio_step(struct hpm_volume *v, struct hpm_bio *hb)
{
	switch (bio_op(hb->bio)) {
	case REQ_OP_READ:
		return hpm_read_step(v, hb);
	case REQ_OP_WRITE:
		return hpm_write_step(v, hb, hb->sectors - hb->done);
	case REQ_OP_DISCARD:
		return hpm_discard_step(v, hb);
	case REQ_OP_WRITE_ZEROES:
		return hpm_zero_step(v, hb);
	default:
		return -EOPNOTSUPP;
	}
}

/*
 * A flush that waited at the gate.  It needs a commit only, which flushes the
 * data device, too.
 */
static int flush_step(struct hpm_volume *v, struct hpm_bio *hb)
{
	int token, r;

	r = hpm_gate_enter(v, hb, HPM_GATE_READS, &token);
	if (r)
		return r;
	hpm_pool_commit_bio(v->pool, hb->bio);
	hpm_volume_token_put(v, token);
	return HPM_WAITS;
}

/*
 * Once the bio is in a list, another context may carry it out and end it.
 * Until the last use of @v, the HOP token keeps the volume.
 */
void hpm_bio_work(struct work_struct *work)
{
	struct hpm_bio *hb = container_of(work, struct hpm_bio, work);
	struct hpm_volume *v = hb->v;
	unsigned int noio = memalloc_noio_save();
	int hop = hb->hop, r;

	atomic64_inc(&v->pool->hop_bios);
	if (!hb->sectors) {
		r = flush_step(v, hb);
	} else {
		do {
			r = bio_step(v, hb);
			cond_resched();
		} while (!r && hb->done < hb->sectors);
	}
	if (r <= 0)
		hpm_bio_put(hb, errno_to_blk_status(r));
	hpm_volume_token_put(v, hop);
	memalloc_noio_restore(noio);
}
