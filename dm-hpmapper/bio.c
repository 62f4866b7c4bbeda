// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bios that map() does not send on at once: how they are deferred, queued and
 * ended.
 *
 * A deferred bio counts its parts in flight, plus one for its dealer: the
 * worker that carries it out, or the list in which it waits.  So it cannot end
 * while it waits, and two workers never have it at once.  Therefore hb->done,
 * which only the dealer uses, needs no lock.
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
 * BLK_STS_TARGET is the status of a device that cannot do what its limits
 * promised and has changed the limits since.  Device-mapper core takes the
 * change over, so that the caller can do without the operation, but it looks at
 * the device of the bio.  A deferred bio itself was not sent to the data
 * device, only its parts were, so its device is set here.
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

	/* Parts may end at the same time; any of their errors will do. */
	if (unlikely(status && !READ_ONCE(bio->bi_status)))
		WRITE_ONCE(bio->bi_status, status);
	if (atomic_dec_and_test(&hb->parts))
		end_bio(hb, bio);
}

void hpm_bio_defer(struct hpm_bio *hb, struct bio *bio)
{
	bio_clear_polled(bio);
	/*
	 * A worker clones the parts, and the submitter's cgroup is not known
	 * there.
	 */
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
 * Functions of map() and of commits
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
