// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bios in workers: carried out in parts, from front to back.
 *
 * Memory: parts come from a mempool of the volume's own.  A part is allocated
 * before the token, the lock and the blocks it will need.  All others are I/O
 * in flight, which ends without any help of a worker (its end_io publishes and
 * gives back in whatever context it is called), or in the hand of a worker that
 * waits for the metadata device or for memory, and for nothing else: one that
 * finds neither credit nor blocks gives its part back before the bio goes to a
 * list of the pool's.  So the allocation ends, be there only the rescuer to run
 * us.  For the same reason parts are not plugged: what we wait for may wait for
 * them.
 */
#include <linux/sched/mm.h>

#include "volume.h"

/*
 *----------------------------------------------------------------
 * Parts
 *--------------------------------------------------------------
 */

/*
 * The token goes last: if this ends a FUA write, that is on the list of those
 * that wait for a commit before anybody who waits for tokens goes on.
 */
static void part_endio(struct bio *bio)
{
	struct hpm_part *part = container_of(bio, struct hpm_part, bio);
	blk_status_t status = bio->bi_status;
	struct hpm_bio *hb = part->hb;
	struct hpm_volume *v = hb->v;
	int token = part->op.token;

	if (part->op.change)
		hpm_write_end(v, &part->op, status);
	bio_put(bio);
	hpm_bio_put(hb, status);
	hpm_volume_token_put(v, token);
}

struct hpm_part *hpm_part_alloc(struct hpm_bio *hb)
{
	struct hpm_volume *v = hb->v;
	struct hpm_part *part;
	struct bio *bio;

	/* Keeps the bio's priority and cgroup. */
	bio = bio_alloc_clone(hb->bio->bi_bdev, hb->bio, GFP_NOIO, &v->parts);
	part = container_of(bio, struct hpm_part, bio);
	part->hb = hb;
	part->op.change = NULL;
	part->op.stream = false;
	part->op.token = HPM_NO_TOKEN;
	return part;
}

void hpm_part_free(struct hpm_part *part)
{
	bio_put(&part->bio);
}

void hpm_part_submit(struct hpm_part *part, const struct hpm_piece *p)
{
	struct hpm_bio *hb = part->hb;
	struct bio *bio = &part->bio;

	bio_trim(bio, hb->done, p->sectors);
	bio_set_dev(bio, hb->v->pool->data_bdev);
	bio->bi_iter.bi_sector = hpm_piece_target(p);
	bio->bi_end_io = part_endio;
	bio->bi_opf &= ~(REQ_NOWAIT | REQ_POLLED);
	hb->done += p->sectors;
	atomic_inc(&hb->parts);
	dm_submit_bio_remap(hb->bio, bio);
}

/*
 *----------------------------------------------------------------
 * The worker
 *--------------------------------------------------------------
 */

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

/* A flush that was held at the gate: a commit flushes the data as well. */
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
 * When the bio has got to a list others may have it, and may have ended it: what
 * keeps the volume until the last line is the token.
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
