// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interceptor: reads that need not go to the device
 *
 * For a read of a shared block, the interceptor first asks the index where the
 * block is cached.  If it finds a copy that passes the proof, it copies the
 * bytes and ends the bio.  If another bio is reading the block, the bio waits
 * for that read.  Otherwise the block is read from the device, and entered
 * afterwards.
 */
#include <linux/blk-crypto.h>
#include <linux/ioprio.h>

#include "follow.h"
#include "index.h"
#include "lead.h"
#include "serve.h"

#define MAX_FOLLOWERS	256

/*----------------------------------------------------------------
 * Misses
 *--------------------------------------------------------------*/

/*
 * Returns for how many of @nr blocks no copy is known, from the front, where
 * the first is not looked up.
 */
static u32 unknown(struct hpm_cache *cache, u64 pbn, u32 nr)
{
	u32 i;

	for (i = 1; i < nr; i++)
		if (hpm_index_has(cache, pbn + i))
			break;
	return i;
}

/* May other bios wait for this one? */
static bool leads_others(const struct bio *bio)
{
	return !hpm_bio_nowait(bio) &&
	       IOPRIO_PRIO_CLASS(bio->bi_ioprio) != IOPRIO_CLASS_IDLE;
}

enum {
	READ_IT,
	LEAD_IT,
	FOLLOW,
	LOOK_AGAIN,
};

/*
 * Decides what to do with a piece whose first block cannot be served.  *nr is
 * its length in blocks, and is reduced to the part that the decision is about.
 * If the piece is to be read and @lead is not NULL, @lead is listed.  @wait:
 * the bio may follow.  @again: a copy may have been entered since the look-up.
 */
static int decide(struct hpm_cache *cache, const struct hpm_piece *p,
		  struct hpm_lead *lead, bool wait, bool again, u32 *nr)
{
	struct hpm_lead *other;
	unsigned long flags;
	int what = READ_IT;

	spin_lock_irqsave(&cache->lead_lock, flags);
	other = __hpm_next_lead(cache, p->pbn);
	if (other && other->pbn <= p->pbn) {
		if (wait && other->nr_followers < MAX_FOLLOWERS) {
			*nr = min_t(u64, *nr, other->pbn + other->nr - p->pbn);
			what = FOLLOW;
		}
	} else {
		if (other)
			*nr = min_t(u64, *nr, other->pbn - p->pbn);
		/* Its leader may have ended, and entered it, by now. */
		if (again && hpm_index_has(cache, p->pbn)) {
			what = LOOK_AGAIN;
		} else if (lead) {
			lead->nr = *nr;
			__hpm_list_lead(cache, lead);
			what = LEAD_IT;
		}
	}
	spin_unlock_irqrestore(&cache->lead_lock, flags);
	return what;
}

/*
 * For a piece of whole blocks.  Returns what hpm_intercept_map() returns, or
 * -EAGAIN if the caller should look the first block up again.  The caller then
 * clears @again: copies of the block are known, but none could be served.
 */
static int miss(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
		struct hpm_piece *p, bool again)
{
	/* A suspend without a flush must not wait for another volume's read. */
	bool wait = !hpm_bio_nowait(bio) && !hpm_gate_returns(v);
	bool alone = !leads_others(bio);
	struct hpm_cache *cache = v->pool->cache;
	u32 nr = p->sectors / HPM_BLOCK_SECTORS;
	struct hpm_lead *lead;
	int what;

	nr = unknown(cache, p->pbn, nr);
	lead = hpm_make_lead(hb, bio, p, !again);
	what = decide(cache, p, alone ? NULL : lead, wait, again, &nr);
	/*
	 * lead->listed does not tell: release_followers() may have taken the
	 * lead off the list since decide() listed it.
	 */
	if (lead && what != LEAD_IT && !(what == READ_IT && alone)) {
		hpm_lead_free(lead);
		lead = NULL;
	}
	if (what == FOLLOW)
		return hpm_follow(v, hb, bio, p, nr);
	if (what == LOOK_AGAIN)
		return -EAGAIN;

	hpm_piece_cut(p, nr);
	if (lead) {
		/* If it was listed, decide() has set it, and others read it. */
		if (alone)
			lead->nr = nr;
		lead->iter.bi_size = p->sectors << SECTOR_SHIFT;
		hb->lead = lead;
	}
	return DM_MAPIO_REMAPPED;
}

int hpm_intercept_map(struct hpm_volume *v, struct hpm_bio *hb,
		      struct bio *bio, struct hpm_piece *p)
{
	bool again = true;
	unsigned int done;
	int r;

	/*
	 * A served read bypasses integrity and inline encryption, so such bios
	 * are not served.
	 */
	if (bio_integrity(bio) || bio_has_crypt_ctx(bio))
		return DM_MAPIO_REMAPPED;
	do {
		done = hpm_serve(v, bio, bio->bi_iter, p);
		if (done) {
			if (done < bio_sectors(bio))
				dm_accept_partial_bio(bio, done);
			return hpm_map_end(bio, 0);
		}
		if (p->offset || p->sectors % HPM_BLOCK_SECTORS)
			return DM_MAPIO_REMAPPED;
		r = miss(v, hb, bio, p, again);
		again = false;
	} while (r == -EAGAIN);
	return r;
}

unsigned int hpm_intercept_step(struct hpm_volume *v, struct hpm_bio *hb,
				const struct hpm_piece *p)
{
	struct bvec_iter iter = hb->bio->bi_iter;

	if (bio_integrity(hb->bio) || bio_has_crypt_ctx(hb->bio))
		return 0;
	bio_advance_iter(hb->bio, &iter, hb->done << SECTOR_SHIFT);
	return hpm_serve(v, hb->bio, iter, p);
}
