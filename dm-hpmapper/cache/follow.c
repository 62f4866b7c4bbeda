// SPDX-License-Identifier: GPL-2.0-only
/*
 * Followers
 *
 * Waiting for another's read
 * --------------------------
 * 64 containers that start at once ask for a block within microseconds.  A read
 * that will be entered is listed as a leader while it is in flight, and reads
 * of the same blocks wait for it as followers.  map() does not sleep for this,
 * as the leader may still be on the submitter's own list of bios.  A follower
 * holds no token: otherwise a thread that waits for the tokens of the
 * follower's volume would wait for a leader of another volume.
 *
 * When the leader ends, with or without an error, each follower goes to a
 * worker and starts over: it finds the leader's page in the index, or reads the
 * device itself.  So it gets neither the leader's error nor bytes without a
 * proof, and the leader's completion does no more for its followers than to
 * queue them.  A leader may be throttled in another cgroup, so after a while
 * its followers stop waiting.
 *
 * Nearly all page-cache reads are marked as readahead, also those that a reader
 * waits for, so readahead leads and follows like other reads.  If the device
 * drops it, its followers lose only time.  A bio that must not wait does not
 * follow, and no bio waits for one of the idle class.
 */
#include <linux/bio.h>

#include "follow.h"
#include "lead.h"

/* Followers wait for a leader that is at most this old. */
#define LATE		(HZ / 10)

/* Queues the followers of leaders that are at least @age jiffies old. */
static void release_followers(struct hpm_cache *cache, unsigned long age)
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
	release_followers(container_of(to_delayed_work(work), struct hpm_cache,
				       late_work), LATE);
}

void hpm_intercept_kick(struct hpm_pool *pool)
{
	if (pool->cache)
		release_followers(pool->cache, 0);
}

/* Makes @hb wait for the leader of the piece.  False: there is none. */
static bool queue_behind(struct hpm_cache *cache, struct hpm_bio *hb,
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
 * Another bio was reading @nr blocks of the piece when decide() looked.  If
 * that read has ended since, a worker takes this bio and finds the blocks
 * cached.
 */
int hpm_follow(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
	       struct hpm_piece *p, u32 nr)
{
	struct hpm_cache *cache = v->pool->cache;
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

void hpm_followers_init(struct hpm_cache *cache)
{
	spin_lock_init(&cache->lead_lock);
	cache->leads = RB_ROOT;
	INIT_DELAYED_WORK(&cache->late_work, do_late);
}

void hpm_followers_exit(struct hpm_cache *cache)
{
	cancel_delayed_work_sync(&cache->late_work);
}
