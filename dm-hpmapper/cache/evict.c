// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache manager: how many copies of a block stay in memory
 *
 * A page has one mapping, so the containers cannot share one: each that reads
 * a block has a page of its own, filled from another's.  What is shared is the
 * read; the surplus of copies goes afterwards.  Who misses his copy later gets
 * it back without a read, from one of those that stayed.
 *
 * Two ways, never at once.  When a copy comes to a block that has enough of them,
 * the coldest of the others is taken out of the index at once, while the entries
 * of the block are at hand, and a worker evicts those that were, many at a time.
 * A copy that came lately is left alone: readahead has brought it, and its reader
 * has not come to it yet.  And a scan goes through the whole index from time to
 * time: it drops what is no copy any more, sees how hot the others are, files them
 * by that, and takes what there is too much of still.  If that may be a quarter of
 * all copies, a scan does not wait for its time: 64 containers that start at once
 * would else hold 64 copies for two scans.
 *
 * How many may stay depends on the memory that is available and on whether the
 * kernel has asked us for some: down to one copy (evict-policy.c).
 *
 * Looking
 * -------
 * All that is asked of a page is how hot it is, so a guess will do: it is looked
 * at under the lock of its entry, without a reference.  Memory does not go offline
 * meanwhile, as a token is held since before the entry was found.  A copy that is
 * to go leaves the index at once, so nobody begins to copy from it, and nothing is
 * left to do if it went.  If it did not, it is put back.
 *
 * Evicting
 * --------
 * is what invalidate_mapping_pages() does: it spares what is dirty, locked,
 * mapped into a process or held by somebody, so it is never wrong, only in
 * vain.  What is hard is to call it for a file that may vanish meanwhile.
 * While the page is locked, it is in its mapping and the inode is there, and
 * so is the file system.  In that time we get hold of the file system's
 * s_umount, without waiting, which keeps an unmount off, and then of the
 * inode, which without s_umount would make an unmount find it busy.  A file
 * system that is frozen, or is being frozen, is left alone: the inode we hold
 * may have been unlinked meanwhile, our iput() then deletes it, that waits for
 * the thaw, and the thaw waits for s_umount.  The page's lock and our
 * reference to it are given up before: a page that we hold ourselves would be
 * spared.  So would be one that the kernel keeps for a moment in a batch of
 * its own; it goes at the next scan.
 *
 * iput() may write, on a volume that is suspended, and so this may hang for as
 * long as the suspension does.  Nobody waits for it but the end of the pool,
 * when there are no volumes left; and no in-flight token is held meanwhile.
 */
#include <linux/buffer_head.h>
#include <linux/fs.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "cache-trace.h"
#include "copy.h"
#include "evict.h"
#include "fault.h"
#include "index.h"
#include "page.h"
#include "pause.h"
#include "surplus.h"
#include "thin.h"

#define DEFAULT_COPIES	2
#define DEFAULT_SCAN_MS	5000

/* Scans that are due soon are so far apart, and so much longer than they take. */
#define LEAST_PACE	(HZ / 10)
#define PACE_TO_SCAN	4
/* Buckets that are looked at with one token. */
#define AT_ONCE		64

/*----------------------------------------------------------------
 * Evicting
 *--------------------------------------------------------------*/

/*
 * The locked folio's inode, held along with its file system's s_umount; NULL:
 * it is not one of this pool's, or is not to be had now.
 */
static struct inode *get_inode(struct hpm_share *cache, struct folio *folio,
			       bool meta)
{
	struct hpm_pool *pool = cache->pool;
	struct inode *host = folio->mapping->host;
	struct super_block *sb = host->i_sb;
	struct gendisk *disk;
	struct inode *inode;
	bool ours;

	if (meta)
		disk = S_ISBLK(host->i_mode) ? I_BDEV(host)->bd_disk : NULL;
	else
		disk = sb->s_bdev ? sb->s_bdev->bd_disk : NULL;
	spin_lock_irq(&pool->lock);
	ours = disk && hpm_volume_by_disk(pool, disk);
	spin_unlock_irq(&pool->lock);
	if (!ours || !down_read_trylock(&sb->s_umount))
		return NULL;

	if (sb->s_flags & SB_ACTIVE &&
	    (sb->s_writers.frozen == SB_UNFROZEN ||
	     hpm_fault(HPM_FAULT_EVICT_FROZEN))) {
		inode = igrab(host);
		if (inode)
			return inode;
	}
	up_read(&sb->s_umount);
	return NULL;
}

/*
 * The folio of a victim, with a reference, or NULL; the caller holds a token.
 *
 * A victim is out of the index, so the sweep of memory that goes offline
 * (memory_event()) has not dropped it.  That its frame is online is not enough:
 * it may go while we look, and the struct page with it.  But whoever holds a
 * token either has it since before the range was barred, and then the memory
 * waits for the token, or sees here that it is barred.
 */
static struct folio *victim_folio(struct hpm_share *cache,
				  const struct hpm_place *place)
{
	if (hpm_frame_barred(cache, place->pfn) ||
	    !pfn_to_online_page(place->pfn))
		return NULL;
	hpm_pause(HPM_POINT_VICTIM);
	return hpm_place_get(place);
}

/* The inode of a victim's page, as above; the page is not held any more. */
static struct inode *victim_inode(struct hpm_share *cache,
				  const struct hpm_place *place)
{
	int token = hpm_pool_token_get(cache->pool);
	struct folio *folio = victim_folio(cache, place);
	struct inode *inode = NULL;

	if (folio && folio_trylock(folio)) {
		if (folio->mapping == place->mapping)
			inode = get_inode(cache, folio, place->meta);
		folio_unlock(folio);
	}
	if (folio)
		folio_put(folio);
	hpm_pool_token_put(cache->pool, token);
	return inode;
}

/*
 * What is there still is known again, for the next time, unless everything was
 * forgotten since it was taken (hpm_index_forget()).
 */
static void __return_victim(struct hpm_share *cache, const struct hpm_victim *v,
			    unsigned int forgotten)
{
	struct folio *folio = victim_folio(cache, &v->place);

	if (!folio) {
		this_cpu_inc(cache->stats->evicted);
		return;
	}
	folio_put(folio);
	if (READ_ONCE(cache->forgotten) == forgotten && !(forgotten & 1))
		hpm_index_put_back(cache, v);
}

static void evict_pages(struct hpm_share *cache, const struct hpm_victim *v,
			unsigned int nr)
{
	struct super_block *sb;
	struct inode *inode;
	unsigned int i;

	inode = victim_inode(cache, &v->place);
	if (!inode)
		return;
	sb = inode->i_sb;
	if (!v->place.meta)
		hpm_pause(HPM_POINT_EVICT);
	for (i = 0; i < nr && trace_hpm_evict_enabled(); i++)
		trace_hpm_evict(cache->pool, v[i].pbn, &v[i].place);
	invalidate_mapping_pages(v->place.mapping, v->place.index,
				 v->place.index + nr - 1);
	iput(inode);
	up_read(&sb->s_umount);
}

/*
 * Pages of one file that lie one behind the other.  How many went says nothing:
 * a large folio goes, and counts, as a whole, with pages that were not asked for,
 * and so can hide that others stayed.  Each is looked at.
 */
static void evict_run(struct hpm_share *cache, const struct hpm_victim *v,
		      unsigned int nr, unsigned int forgotten)
{
	unsigned int i;
	int token;

	evict_pages(cache, v, nr);
	token = hpm_pool_token_get(cache->pool);
	for (i = 0; i < nr; i++)
		__return_victim(cache, &v[i], forgotten);
	hpm_pool_token_put(cache->pool, token);
}

static bool is_next(const struct hpm_victim *a, const struct hpm_victim *b)
{
	return a->place.mapping == b->place.mapping &&
	       a->place.index + 1 == b->place.index;
}

static unsigned int run_length(const struct hpm_victims *v, unsigned int first)
{
	unsigned int i = first + 1;

	while (i < v->nr && is_next(&v->victim[i - 1], &v->victim[i]))
		i++;
	return i - first;
}

/*
 * Victims that went as others came are mostly in runs, as files are read.  Those
 * of a scan are in no order, and to sort them would cost what it saves.
 */
static void evict(struct hpm_share *cache, struct hpm_victims *v)
{
	unsigned int first, nr;

	for (first = 0; first < v->nr; first += nr) {
		nr = run_length(v, first);
		evict_run(cache, &v->victim[first], nr, v->forgotten);
		cond_resched();
	}
	v->nr = 0;
}

/*----------------------------------------------------------------
 * Workers
 *--------------------------------------------------------------*/

/* How many copies may stay, for now. */
static unsigned int find_limit(struct hpm_share *cache, bool hurry)
{
	unsigned int limit;

	limit = hpm_evict_limit(READ_ONCE(cache->copies_limit),
				si_mem_available(), totalram_pages(), hurry);
	WRITE_ONCE(cache->limit_now, limit);
	return limit;
}

/* Between two groups that are looked at: what there is too much of goes. */
static void pause_look(struct hpm_share *cache, struct hpm_look *look)
{
	if (hpm_look_full(look))
		evict(cache, &look->victims);
	cond_resched();
}

static void scan_shard(struct hpm_share *cache, unsigned int shard,
		       struct hpm_look *look)
{
	unsigned long bucket = 0, end;
	int token;

	while (bucket < 1ul << cache->bits) {
		end = min(bucket + AT_ONCE, 1ul << cache->bits);
		token = hpm_pool_token_get(cache->pool);
		for (; bucket < end && !hpm_look_full(look); bucket++)
			hpm_index_thin_bucket(cache, shard, bucket, look);
		hpm_pool_token_put(cache->pool, token);
		pause_look(cache, look);
	}
}

static void scan(struct hpm_share *cache, struct hpm_look *look)
{
	unsigned int i;

	for (i = 0; i < HPM_CACHE_SHARDS; i++)
		if (READ_ONCE(cache->shard[i].nr))
			scan_shard(cache, i, look);
	evict(cache, &look->victims);
}

/* To be remembered with the victims that are taken next. */
static unsigned int forgotten_so_far(struct hpm_share *cache)
{
	/* Before any of them is: pairs with hpm_index_forget(). */
	return smp_load_acquire(&cache->forgotten);
}

static struct hpm_look *begin_scan(struct hpm_share *cache)
{
	struct hpm_look *look = cache->look;

	look->hurry = xchg(&cache->shrunk, false);
	look->limit = find_limit(cache, look->hurry);
	look->victims.forgotten = forgotten_so_far(cache);
	look->nr_spared = 0;
	hpm_end_era(cache);
	return look;
}

/* A scan that took so long ended just now: when is the next? */
static void queue_scan(struct hpm_share *cache, unsigned long took)
{
	unsigned long period = msecs_to_jiffies(READ_ONCE(cache->scan_ms));
	unsigned long pace = max_t(unsigned long, LEAST_PACE,
				   PACE_TO_SCAN * took);

	pace = min(pace, period);
	WRITE_ONCE(cache->pace, pace);
	/* Unless somebody wants it now. */
	queue_delayed_work(cache->wq, &cache->scan_work,
			   READ_ONCE(cache->scan_soon) ? pace : period);
}

static void do_scan(struct work_struct *work)
{
	struct hpm_share *cache = container_of(to_delayed_work(work),
					       struct hpm_share, scan_work);
	unsigned long began = jiffies;
	struct hpm_look *look;

	mutex_lock(&cache->evict_lock);
	WRITE_ONCE(cache->scan_soon, false);
	look = begin_scan(cache);
	scan(cache, look);
	cache->scans++;
	queue_scan(cache, jiffies - began);
	atomic_long_set(&cache->nr_left, look->nr_spared);
	if (hpm_much_left(cache))
		hpm_evict_soon(cache);
	mutex_unlock(&cache->evict_lock);
}

static void do_surplus(struct work_struct *work)
{
	struct hpm_share *cache = container_of(to_delayed_work(work),
					       struct hpm_share, surplus_work);
	struct hpm_victims *v;
	int cpu;

	mutex_lock(&cache->evict_lock);
	find_limit(cache, false);
	v = &cache->look->victims;
	v->forgotten = forgotten_so_far(cache);
	for_each_possible_cpu(cpu) {
		hpm_take_surplus(per_cpu_ptr(cache->surplus, cpu), v);
		evict(cache, v);
	}
	mutex_unlock(&cache->evict_lock);
}

/*----------------------------------------------------------------
 * Birth and end
 *--------------------------------------------------------------*/

int hpm_evict_init(struct hpm_share *cache)
{
	cache->copies_limit = DEFAULT_COPIES;
	cache->limit_now = DEFAULT_COPIES;
	cache->scan_ms = DEFAULT_SCAN_MS;
	cache->pace = LEAST_PACE;
	mutex_init(&cache->evict_lock);
	INIT_DELAYED_WORK(&cache->scan_work, do_scan);
	INIT_DELAYED_WORK(&cache->surplus_work, do_surplus);

	cache->look = kvzalloc(sizeof(*cache->look), GFP_KERNEL);
	/*
	 * Not for reclaim: nobody gets memory only by way of this.  Frozen for a
	 * hibernation, as iput() may write: see pool-work.c.
	 */
	cache->wq = alloc_workqueue("hpm_share/%s", WQ_UNBOUND | WQ_FREEZABLE,
				    0, cache->pool->name);
	if (!cache->look || !cache->wq || hpm_surplus_init(cache)) {
		hpm_evict_exit(cache);
		return -ENOMEM;
	}
	queue_delayed_work(cache->wq, &cache->scan_work,
			   msecs_to_jiffies(cache->scan_ms));
	return 0;
}

void hpm_evict_exit(struct hpm_share *cache)
{
	if (cache->wq) {
		cancel_delayed_work_sync(&cache->surplus_work);
		cancel_delayed_work_sync(&cache->scan_work);
		destroy_workqueue(cache->wq);
	}
	hpm_surplus_exit(cache);
	kvfree(cache->look);
}
