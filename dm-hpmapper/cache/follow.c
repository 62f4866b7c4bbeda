// SPDX-License-Identifier: GPL-2.0-only
/*
 * Followers
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
#include <linux/bio.h>

#include "follow.h"
#include "lead.h"

#define LATE		(HZ / 10)

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
