// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bio that does not go straight through: it is put off, queued, and ended.
 *
 * A deferred bio counts its parts under way, and one more for whoever deals
 * them out: a worker, or the list that it waits in.  So it can neither end
 * while it waits nor be dealt with by two workers at once, and hb->done, which
 * only the dealer touches, needs no lock.
 */
#include "volume.h"

void hpm_bio_queue_all(struct list_head *list)
{
	struct hpm_bio *hb, *next;

	list_for_each_entry_safe(hb, next, list, wait) {
		list_del(&hb->wait);
		hpm_bio_queue(hb);
	}
}

void hpm_bio_queue(struct hpm_bio *hb)
{
	struct hpm_volume *v = hb->v;

	hb->hop = hpm_volume_token_get(v, HPM_TOKEN_HOP);
	queue_work(v->pool->io_wq, &hb->work);
}

/*
 * A device that cannot do what its limits promised says so by this status, and
 * has taken the promise back.  The core does the same for a device of its own,
 * so that the caller does it in another way: but it asks the device to which the
 * bio went, and a deferred one went nowhere, only its parts did.
 */
static void end_bio(struct hpm_bio *hb, struct bio *bio)
{
	if (unlikely(bio->bi_status == BLK_STS_TARGET))
		bio->bi_bdev = hb->v->pool->data_bdev;
	bio_endio(bio);
}

void hpm_bio_put(struct hpm_bio *hb, blk_status_t status)
{
	struct bio *bio = hb->bio;

	/* Parts may end at once: any of the errors will do. */
	if (unlikely(status && !READ_ONCE(bio->bi_status)))
		WRITE_ONCE(bio->bi_status, status);
	if (atomic_dec_and_test(&hb->parts))
		end_bio(hb, bio);
}

void hpm_bio_defer(struct hpm_bio *hb, struct bio *bio)
{
	bio_clear_polled(bio);
	/* Parts are cloned when the submitter is not at hand any more. */
	bio_associate_blkg(bio);
	hb->bio = bio;
	hb->sectors = bio_sectors(bio);
	hb->done = 0;
	hb->op.token = HPM_NO_TOKEN;
	atomic_set(&hb->parts, 1);
	INIT_WORK(&hb->work, hb->v->bio_work);
}

/*
 *----------------------------------------------------------------
 * What map() and a commit do with one
 *--------------------------------------------------------------
 */

void hpm_volume_commit_done(struct bio *bio, int err)
{
	bio->bi_status = errno_to_blk_status(err);
	bio_endio(bio);
}

int hpm_map_end(struct bio *bio, int err)
{
	hpm_volume_commit_done(bio, err);
	return DM_MAPIO_SUBMITTED;
}

int hpm_map_wouldblock(struct bio *bio)
{
	bio_wouldblock_error(bio);
	return DM_MAPIO_SUBMITTED;
}

int hpm_map_defer(struct hpm_bio *hb, struct bio *bio)
{
	struct hpm_volume *v = hb->v;
	int token = hb->op.token;

	if (hpm_bio_nowait(bio))
		return hpm_map_wouldblock(bio);
	hpm_bio_defer(hb, bio);
	hpm_bio_queue(hb);
	hpm_volume_token_put(v, token);
	return DM_MAPIO_SUBMITTED;
}
