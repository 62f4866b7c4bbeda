// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of a deferred bio
 *
 * Memory: parts come from a mempool of the volume.  A worker allocates a part
 * before it takes the token, the lock and the blocks that the part will need.
 * All other parts are in one of two states.  They may be I/O in flight, which
 * ends without any worker, as end_io publishes and gives back in any context.
 * Or a worker has them, and that worker waits for nothing but the metadata
 * device or memory: if it finds no credit or no blocks, it frees its part
 * before the bio goes to a list of the pool.  So the allocation ends, even if
 * the only worker is the rescuer.  For the same reason parts are not plugged:
 * they could be what the worker waits for.
 */
#include "volume.h"

/*
 * The token is put last: if this ends a FUA write, the write must be on the
 * list of bios that wait for a commit before a wait for tokens ends.
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

	/* The clone has the bio's priority and cgroup. */
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
