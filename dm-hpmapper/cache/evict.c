// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache manager: how many copies of a block stay in memory
 *
 * A page has one mapping, so containers cannot share one: each container that
 * reads a block has a page of its own, filled from another container's page.
 * The read is shared, and the surplus copies are evicted afterwards.  A reader
 * whose copy was evicted gets it back without a read, from a copy that stayed.
 *
 * Copies become victims in two ways, whose workers never run at once.  When a
 * copy comes to a block that has enough of them, the coldest of the others is
 * taken out of the index at once, while the entries of the block are in the
 * processor's cache; a worker evicts many such victims at a time.  Young copies
 * are spared: readahead has brought them, and their readers have not used them
 * yet.  And a scan looks at the whole index from time to time: it drops entries
 * whose page is gone, sorts the others by their heat, and takes the surplus
 * that is left.  If that may be a quarter of all copies, the scan begins early:
 * otherwise 64 containers that start at once would hold 64 copies for two
 * scans.
 *
 * How many copies of a block may stay depends on the memory that is available
 * and on whether the kernel has asked for some: at the least it is one
 * (evict-policy.c).
 *
 * Looking
 * -------
 * The cache manager only needs to know how hot a page is, and a guess will do.
 * So it looks at the page under the lock of the entry, without a reference.
 * Memory does not go offline meanwhile, as a token is held from before the
 * entry was found.  A victim leaves the index at once, so no reader begins to
 * copy from it, and nothing is left to do if it was evicted.  If it was not, it
 * is put back.
 *
 * Evicting
 * --------
 * invalidate_mapping_pages() evicts.  It spares pages that are dirty, locked,
 * mapped into a process or referred to by others, so a call may have no effect,
 * but does no harm.  The difficulty is to call it for a file that may vanish
 * meanwhile.  While the page is locked, it is in its mapping, and both the
 * inode and the file system exist.  In that time we take the file system's
 * s_umount with a trylock, which keeps the file system mounted, and then a
 * reference to the inode; without s_umount, an unmount would find that inode
 * busy.
 *
 * A file system that is frozen, or is being frozen, is left alone.  The inode
 * may be unlinked while we hold it; then our iput() deletes it, which waits for
 * the thaw, and the thaw waits for s_umount, which we hold.
 *
 * The page's lock and our reference to it are dropped before the call, as it
 * would spare the page because of them.  It also spares a page that is in one
 * of the kernel's batches for a moment; that page is evicted at the next scan.
 *
 * iput() may write to a volume that is suspended, and then this worker hangs
 * until the volume is resumed.  Only the end of the pool waits for the worker,
 * and then no volumes are left.  No in-flight token is held meanwhile.
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

/*
 * The pause before a scan that is due soon: at least LEAST_PACE, and at least
 * PACE_TO_SCAN times as long as the last scan took.
 */
#define LEAST_PACE	(HZ / 10)
#define PACE_TO_SCAN	4
/* The most buckets that are looked at with one token. */
#define AT_ONCE		64

/*----------------------------------------------------------------
 * Evicting
 *--------------------------------------------------------------*/

/*
 * Returns the locked folio's inode with a reference, and with its file system's
 * s_umount held for reading.  Returns NULL if the file is not on a volume of
 * this pool, or if one of both cannot be taken now.
 */
static struct inode *get_inode(struct hpm_cache *cache, struct folio *folio,
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
 * Returns the folio of a victim with a reference, or NULL if it has gone; the
 * caller holds a token.
 *
 * A victim is not in the index, so the sweep of memory that goes offline
 * (memory_event()) does not drop it.  It is not enough that its frame is
 * online: it may go offline while we look at it, and its struct page with it.
 * But either the caller's token is from before the range was barred, and then
 * the memory stays online until the token is put, or we see here that the range
 * is barred.
 */
static struct folio *victim_folio(struct hpm_cache *cache,
				  const struct hpm_place *place)
{
	if (hpm_frame_barred(cache, place->pfn) ||
	    !pfn_to_online_page(place->pfn))
		return NULL;
	hpm_pause(HPM_POINT_VICTIM);
	return hpm_place_get(place);
}

/* As get_inode(), for a victim; no reference to the page is held afterwards. */
static struct inode *victim_inode(struct hpm_cache *cache,
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
 * Counts a victim as evicted, or, if its page has stayed, puts it back into the
 * index for the next scan; but not if hpm_index_forget() has run since the
 * victim was taken.  The caller holds a token.
 */
static void __return_victim(struct hpm_cache *cache, const struct hpm_victim *v,
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

static void evict_pages(struct hpm_cache *cache, const struct hpm_victim *v,
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
 * Evicts consecutive pages of a file, and then looks whether each one has gone.
 * The number that invalidate_mapping_pages() returns does not tell: it counts a
 * large folio as a whole, with pages outside of the range, and this can hide
 * that others stayed.
 */
static void evict_run(struct hpm_cache *cache, const struct hpm_victim *v,
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

/* Is @b the page of the same file that follows @a? */
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
 * Evicts all victims in @v, and empties it.  Sleeps; no token held.  The
 * victims of do_surplus() are mostly in runs, as files are read in order.
 * Those of a scan are not, and sorting them would cost as much as it saves.
 */
static void evict(struct hpm_cache *cache, struct hpm_victims *v)
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

/* Returns how many copies of a block may stay for now, and stores it. */
static unsigned int find_limit(struct hpm_cache *cache, bool hurry)
{
	unsigned int limit;

	limit = hpm_evict_limit(READ_ONCE(cache->copies_limit),
				si_mem_available(), totalram_pages(), hurry);
	WRITE_ONCE(cache->limit_now, limit);
	return limit;
}

/* Between two groups of buckets: evicts the victims if @look is full. */
static void pause_look(struct hpm_cache *cache, struct hpm_look *look)
{
	if (hpm_look_full(look))
		evict(cache, &look->victims);
	cond_resched();
}

static void scan_shard(struct hpm_cache *cache, unsigned int shard,
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

static void scan(struct hpm_cache *cache, struct hpm_look *look)
{
	unsigned int i;

	for (i = 0; i < HPM_CACHE_SHARDS; i++)
		if (READ_ONCE(cache->shard[i].nr))
			scan_shard(cache, i, look);
	evict(cache, &look->victims);
}

/* Returns the count to compare with when a victim is put back. */
static unsigned int forgotten_so_far(struct hpm_cache *cache)
{
	/* Must be read before a victim is taken: see hpm_index_forget(). */
	return smp_load_acquire(&cache->forgotten);
}

static struct hpm_look *begin_scan(struct hpm_cache *cache)
{
	struct hpm_look *look = cache->look;

	look->hurry = xchg(&cache->shrunk, false);
	look->limit = find_limit(cache, look->hurry);
	look->victims.forgotten = forgotten_so_far(cache);
	look->nr_spared = 0;
	hpm_end_era(cache);
	return look;
}

/* Queues the next scan.  @took: how long the last one took, in jiffies. */
static void queue_scan(struct hpm_cache *cache, unsigned long took)
{
	unsigned long period = msecs_to_jiffies(READ_ONCE(cache->scan_ms));
	unsigned long pace = max_t(unsigned long, LEAST_PACE,
				   PACE_TO_SCAN * took);

	pace = min(pace, period);
	WRITE_ONCE(cache->pace, pace);
	/* Does nothing if hpm_evict_kick() has queued it already. */
	queue_delayed_work(cache->wq, &cache->scan_work,
			   READ_ONCE(cache->scan_soon) ? pace : period);
}

static void do_scan(struct work_struct *work)
{
	struct hpm_cache *cache = container_of(to_delayed_work(work),
					       struct hpm_cache, scan_work);
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
	struct hpm_cache *cache = container_of(to_delayed_work(work),
					       struct hpm_cache, surplus_work);
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

int hpm_evict_init(struct hpm_cache *cache)
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
	 * No WQ_MEM_RECLAIM, as no reclaim waits for this queue.  Frozen during
	 * a hibernation, as iput() may write: see pool-work.c.
	 */
	cache->wq = alloc_workqueue("hpm_cache/%s", WQ_UNBOUND | WQ_FREEZABLE,
				    0, cache->pool->name);
	if (!cache->look || !cache->wq || hpm_surplus_init(cache)) {
		hpm_evict_exit(cache);
		return -ENOMEM;
	}
	queue_delayed_work(cache->wq, &cache->scan_work,
			   msecs_to_jiffies(cache->scan_ms));
	return 0;
}

void hpm_evict_exit(struct hpm_cache *cache)
{
	if (cache->wq) {
		cancel_delayed_work_sync(&cache->surplus_work);
		cancel_delayed_work_sync(&cache->scan_work);
		destroy_workqueue(cache->wq);
	}
	hpm_surplus_exit(cache);
	kvfree(cache->look);
}
