// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interceptor: reads that need not go to the device
 *
 * A read of a shared block first asks the index where the block is cached.  If
 * a copy is there and proves right, it is copied and the bio ends.  If the
 * block is being read by somebody else, the bio waits for that read.  Else it
 * is read, and what has been read is entered.
 *
 * Waiting for another's read
 * --------------------------
 * 64 containers that start at once ask for a block within microseconds.  A
 * read that will be entered is known as a leader for as long as it takes, and
 * reads of the same blocks queue up behind it.  map() does not sleep for this:
 * the leader may be on the submitter's own list of bios.  A follower holds no
 * token, else who waits for tokens would wait for a leader of another volume.
 * When the leader ends, however it does, each follower goes to a worker and
 * starts over: it finds the leader's page in the index, or it reads the device
 * itself.  So it inherits neither errors nor bytes that have not been proved,
 * and the leader's completion does no work for others but to queue them.  A
 * leader may be throttled, in another cgroup: after a while its followers stop
 * waiting.
 *
 * Page-cache reads are nearly all of them marked as readahead, including those
 * that a reader waits for, so readahead leads and follows like any other; that
 * the device may drop it costs its followers nothing but time.  A bio that
 * must not wait does not, and one of the idle class makes nobody wait.
 */
#include <linux/blk-crypto.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <linux/memory_hotplug.h>
#include <linux/pagemap.h>

#include "follow.h"
#include "lead.h"
#include "serve.h"

#define MAX_FOLLOWERS	256
#define LATE		(HZ / 10)

/*----------------------------------------------------------------
 * Followers
 *--------------------------------------------------------------*/

/* Lets the followers of leaders older than @age go on. */
static void release_followers(struct hpm_share *cache, unsigned long age)
{
	struct hpm_lead *lead;
	struct rb_node *node, *next;
	unsigned long flags;
	bool more = false;
	LIST_HEAD(followers);

	spin_lock_irqsave(&cache->lead_lock, flags);
	for (node = rb_first(&cache->leads); node; node = next) {
		next = rb_next(node);
		lead = rb_entry(node, struct hpm_lead, node);
		if (list_empty(&lead->followers))
			continue;
		if (time_after_eq(jiffies, lead->since + age))
			__hpm_unlist_lead(cache, lead, &followers);
		else
			more = true;
	}
	spin_unlock_irqrestore(&cache->lead_lock, flags);
	if (more)
		queue_delayed_work(cache->pool->io_wq, &cache->late_work, LATE);
	hpm_bio_queue_all(&followers);
}

static void do_late(struct work_struct *work)
{
	release_followers(container_of(to_delayed_work(work), struct hpm_share,
				       late_work), LATE);
}

void hpm_intercept_kick(struct hpm_pool *pool)
{
	if (pool->cache)
		release_followers(pool->cache, 0);
}

static bool queue_behind(struct hpm_share *cache, struct hpm_bio *hb,
			 const struct hpm_piece *p)
{
	struct hpm_lead *lead;
	unsigned long flags;

	spin_lock_irqsave(&cache->lead_lock, flags);
	lead = __hpm_covering_lead(cache, p->pbn);
	if (lead) {
		list_add_tail(&hb->wait, &lead->followers);
		lead->nr_followers++;
	}
	spin_unlock_irqrestore(&cache->lead_lock, flags);
	return lead;
}

/*
 * @nr blocks of the piece are being read by another bio; at least they were a
 * moment ago, and if that is over a worker finds them cached.
 */
int hpm_follow(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
	       struct hpm_piece *p, u32 nr)
{
	struct hpm_share *cache = v->pool->cache;
	int token = hb->op.token;

	hpm_piece_cut(p, nr);
	if (p->sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, p->sectors);
	this_cpu_inc(cache->stats->waited);
	hpm_bio_defer(hb, bio);
	if (queue_behind(cache, hb, p))
		queue_delayed_work(cache->pool->io_wq, &cache->late_work,
				   LATE);
	else
		hpm_bio_queue(hb);
	hpm_volume_token_put(v, token);
	return DM_MAPIO_SUBMITTED;
}

/*----------------------------------------------------------------
 * Misses
 *--------------------------------------------------------------*/

/* Blocks from the front that are not known either. */
static u32 unknown(struct hpm_share *cache, u64 pbn, u32 nr)
{
	u32 i;

	for (i = 1; i < nr; i++)
		if (hpm_index_has(cache, pbn + i))
			break;
	return i;
}

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
 * What to do with a piece whose first block is not cached; @lead, if it is not
 * NULL, is listed if others may wait for the piece.  *nr becomes the length.
 */
static int decide(struct hpm_share *cache, const struct hpm_piece *p,
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
		/* It may have been entered since: then its leader is gone. */
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
 * In whole blocks.  As hpm_intercept_map(), or -EAGAIN: look again.  After that
 * (@again is not set) the first block's copies are known, and none will do.
 */
static int miss(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
		struct hpm_piece *p, bool again)
{
	/* A suspend without a flush must not wait for another volume's read. */
	bool wait = !hpm_bio_nowait(bio) && !hpm_gate_returns(v);
	bool alone = !leads_others(bio);
	struct hpm_share *cache = v->pool->cache;
	u32 nr = p->sectors / HPM_BLOCK_SECTORS;
	struct hpm_lead *lead;
	int what;

	nr = unknown(cache, p->pbn, nr);
	lead = hpm_make_lead(hb, bio, p, !again);
	what = decide(cache, p, alone ? NULL : lead, wait, again, &nr);
	/*
	 * Not by lead->listed: whoever lets the followers go may have taken it
	 * off the list by now, and be at them still.
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
		/* That of one that is listed is known, and others look at it. */
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

	/* What the device would have had to do with the bytes, nobody does. */
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

/*----------------------------------------------------------------
 * Birth and end
 *--------------------------------------------------------------*/

void hpm_followers_init(struct hpm_share *cache)
{
	spin_lock_init(&cache->lead_lock);
	cache->leads = RB_ROOT;
	INIT_DELAYED_WORK(&cache->late_work, do_late);
}

void hpm_followers_exit(struct hpm_share *cache)
{
	cancel_delayed_work_sync(&cache->late_work);
}
