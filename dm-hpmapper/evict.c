// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache manager: how many copies of a block stay in memory
 *
 * A page has one mapping, so the containers cannot share one: each that reads
 * a block has a page of its own, filled from another's.  What is shared is the
 * read; the surplus of copies goes afterwards.  Who misses his copy later gets
 * it back without a read, from one of those that stayed.
 *
 * Two workers, never at once.  The scan goes through the whole index from time
 * to time: it drops what is no copy any more, sees how hot the others are, and
 * files them by that.  Between two scans, blocks that got three copies more than
 * they may are noted, and when there are many of them they are looked at alone.  A
 * copy that is younger than that is left alone: readahead has brought it, and
 * its reader has not come to it yet.  If a quarter of all copies are left so,
 * or because they were too many to be noted, a scan does not wait for its time:
 * 64 containers that start at once would else hold 64 copies for two scans.
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
#include <linux/sort.h>

#include "cache-trace.h"
#include "fault.h"
#include "pause.h"

#define DEFAULT_COPIES	2
#define DEFAULT_SCAN_MS	5000

#define MAX_CROWD	4096
/* A look at crowded blocks alone is due. */
#define ENOUGH_CROWD	2048
/* More than a quarter of the copies are too many: a scan is due. */
#define LEFT_IS_MUCH(nr)	max_t(unsigned long, (nr) / 4, MAX_CROWD)
/* Scans that are due soon are so far apart, and so much longer than they take. */
#define LEAST_PACE	(HZ / 10)
#define PACE_TO_SCAN	4
/* Blocks, or buckets, that are looked at with one token. */
#define AT_ONCE		64

/*
 * Victims with shorter runs than this, on average, are sorted.  Files of a few
 * pages have short ones, too, but those of blocks in no order have one page.
 */
#define LEAST_RUN	2

struct hpm_evictor {
	struct hpm_look look;
	u64 crowd[MAX_CROWD];
};

/*----------------------------------------------------------------
 * Heat
 *--------------------------------------------------------------*/

/*
 * Of one page.  There is no reference to it, and the frame may become something
 * else at any time: so a few words are read that every frame has, what they say
 * is a guess, and nothing else is looked at.
 */
static inline u8 page_heat(struct folio *folio)
{
	unsigned long flags = hpm_folio_flags(folio);
	struct hpm_page_signs signs = {
		.referenced = flags & BIT(PG_referenced),
		.active = flags & BIT(PG_active),
		.workingset = flags & BIT(PG_workingset),
		.refs = hpm_folio_lru_refs(folio),
		.pinned = flags & (BIT(PG_dirty) | BIT(PG_writeback)) ||
			  atomic_read(&folio->_mapcount) >= 0,
	};

	return hpm_page_heat(&signs);
}

/* Of one of many pages: whether they are mapped is told by other words. */
static u8 large_heat(const struct hpm_place *place)
{
	struct folio *folio = hpm_place_get(place);
	u8 heat;

	if (!folio)
		return HPM_HEAT_GONE;
	heat = folio_mapped(folio) ? HPM_HEAT_PINNED : page_heat(folio);
	folio_put(folio);
	return heat;
}

u8 hpm_place_heat(const struct hpm_place *place)
{
	struct page *page = pfn_to_page(place->pfn);
	struct folio *folio = page_folio(page);

	if (!hpm_place_looks(place, page, folio) || PageHWPoison(page))
		return HPM_HEAT_GONE;
	return folio_test_large(folio) ? large_heat(place) : page_heat(folio);
}

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
	ours = disk && __hpm_volume_by_disk(pool, disk);
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

/* The inode of a victim's page, as above; the page is not held any more. */
static struct inode *victim_inode(struct hpm_share *cache,
				  const struct hpm_place *place)
{
	int token = hpm_pool_token_get(cache->pool);
	struct inode *inode = NULL;
	struct folio *folio = NULL;

	if (pfn_to_online_page(place->pfn))
		folio = hpm_place_get(place);
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
 * forgotten meanwhile.  Memory may have gone offline since it was found.
 */
static void return_victim(struct hpm_share *cache, const struct hpm_victim *v)
{
	int token = hpm_pool_token_get(cache->pool);
	struct folio *folio = NULL;

	if (pfn_to_online_page(v->place.pfn))
		folio = hpm_place_get(&v->place);
	if (!folio) {
		this_cpu_inc(cache->stats->evicted);
	} else {
		folio_put(folio);
		if (READ_ONCE(cache->forgotten) ==
		    cache->evictor->look.forgotten)
			hpm_index_put_back(cache, v);
	}
	hpm_pool_token_put(cache->pool, token);
}

/* Returns how many went, or as many as nothing is there of any more. */
static unsigned long evict_pages(struct hpm_share *cache,
				 const struct hpm_victim *v, unsigned int nr)
{
	struct super_block *sb;
	struct inode *inode;
	unsigned long gone;
	unsigned int i;

	inode = victim_inode(cache, &v->place);
	if (!inode)
		return 0;
	sb = inode->i_sb;
	if (!v->place.meta)
		hpm_pause(HPM_POINT_EVICT);
	for (i = 0; i < nr && trace_hpm_evict_enabled(); i++)
		trace_hpm_evict(cache->pool, v[i].pbn, &v[i].place);
	gone = invalidate_mapping_pages(v->place.mapping, v->place.index,
					v->place.index + nr - 1);
	iput(inode);
	up_read(&sb->s_umount);
	return gone;
}

/* Pages of one file that lie one behind the other. */
static void evict_run(struct hpm_share *cache, const struct hpm_victim *v,
		      unsigned int nr)
{
	unsigned int i;

	if (evict_pages(cache, v, nr) == nr) {
		this_cpu_add(cache->stats->evicted, nr);
		return;
	}
	for (i = 0; i < nr; i++)
		return_victim(cache, &v[i]);
}

static int compare_victims(const void *a, const void *b)
{
	const struct hpm_place *x = &((const struct hpm_victim *)a)->place;
	const struct hpm_place *y = &((const struct hpm_victim *)b)->place;

	if (x->mapping != y->mapping)
		return x->mapping < y->mapping ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return 0;
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
 * Blocks that got too many copies were noted in the order in which files were
 * read, so their victims are mostly in runs already, and need no sorting: a few
 * tell.
 */
static bool is_in_runs(const struct hpm_victims *v)
{
	unsigned int nr = min(v->nr, HPM_MAX_VICTIMS / 8u), i, breaks = 0;

	for (i = 0; i < nr; i += run_length(v, i))
		breaks++;
	return breaks <= nr / LEAST_RUN;
}

static void evict_victims(struct hpm_share *cache, struct hpm_victims *v)
{
	unsigned int first, nr;

	if (!is_in_runs(v))
		sort(v->victim, v->nr, sizeof(v->victim[0]), compare_victims,
		     NULL);
	for (first = 0; first < v->nr; first += nr) {
		nr = run_length(v, first);
		evict_run(cache, &v->victim[first], nr);
		cond_resched();
	}
	v->nr = 0;
}

static void evict(struct hpm_share *cache, struct hpm_look *look)
{
	unsigned int i;

	for (i = 0; i < HPM_CROWD; i++)
		evict_victims(cache, &look->victims[i]);
}

/*----------------------------------------------------------------
 * Workers
 *--------------------------------------------------------------*/

static struct hpm_look *begin(struct hpm_share *cache, bool hurry)
{
	struct hpm_look *look = &cache->evictor->look;

	look->hurry = hurry;
	look->limit = hpm_evict_limit(READ_ONCE(cache->copies_limit),
				      si_mem_available(), totalram_pages(),
				      hurry);
	look->forgotten = READ_ONCE(cache->forgotten);
	look->nr_spared = 0;
	WRITE_ONCE(cache->limit_now, look->limit);
	WRITE_ONCE(cache->era, cache->era + 1);
	return look;
}

/* Between two groups that are looked at: what there is too much of goes. */
static void pause_look(struct hpm_share *cache, struct hpm_look *look)
{
	if (hpm_look_full(look))
		evict(cache, look);
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
	evict(cache, look);
}

static void look_at_crowd(struct hpm_share *cache, const u64 *crowd,
			  unsigned int nr, struct hpm_look *look)
{
	unsigned int i = 0, end;
	int token;

	while (i < nr) {
		end = min(i + AT_ONCE, nr);
		token = hpm_pool_token_get(cache->pool);
		for (; i < end && !hpm_look_full(look); i++)
			hpm_index_thin(cache, crowd[i], look);
		hpm_pool_token_put(cache->pool, token);
		pause_look(cache, look);
	}
	evict(cache, look);
}

/* So many copies more are left that no look at single blocks will find. */
static bool __leave(struct hpm_share *cache, unsigned long nr)
{
	cache->nr_left += nr;
	return cache->nr_left >= LEFT_IS_MUCH(hpm_index_nr(cache));
}

/* After a look at single blocks, or at all of them. */
static void leave_spared(struct hpm_share *cache, bool all)
{
	bool due;

	spin_lock_irq(&cache->crowd_lock);
	if (all)
		cache->nr_left = 0;
	due = __leave(cache, cache->evictor->look.nr_spared);
	spin_unlock_irq(&cache->crowd_lock);
	if (due)
		hpm_evict_soon(cache);
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
	bool hurry;

	mutex_lock(&cache->evict_lock);
	WRITE_ONCE(cache->scan_soon, false);
	hurry = xchg(&cache->shrunk, false);
	scan(cache, begin(cache, hurry));
	cache->scans++;
	queue_scan(cache, jiffies - began);
	leave_spared(cache, true);
	mutex_unlock(&cache->evict_lock);
}

static unsigned int take_crowd(struct hpm_share *cache, u64 *crowd)
{
	unsigned int nr;

	spin_lock_irq(&cache->crowd_lock);
	nr = cache->nr_crowd;
	memcpy(crowd, cache->crowd, nr * sizeof(*crowd));
	cache->nr_crowd = 0;
	spin_unlock_irq(&cache->crowd_lock);
	return nr;
}

static void do_crowd(struct work_struct *work)
{
	struct hpm_share *cache = container_of(work, struct hpm_share,
					       crowd_work);
	u64 *crowd = cache->evictor->crowd;
	struct hpm_look *look;
	unsigned int nr;

	mutex_lock(&cache->evict_lock);
	look = begin(cache, false);
	nr = take_crowd(cache, crowd);
	look_at_crowd(cache, crowd, nr, look);
	leave_spared(cache, false);
	mutex_unlock(&cache->evict_lock);
}

/* What does not fit is found by the next scan. */
void hpm_evict_note(struct hpm_share *cache, u64 pbn)
{
	unsigned long flags;
	bool due = false;
	unsigned int nr;

	spin_lock_irqsave(&cache->crowd_lock, flags);
	if (cache->nr_crowd < MAX_CROWD)
		cache->crowd[cache->nr_crowd++] = pbn;
	else if (++cache->nr_missed % MAX_CROWD == 0)
		due = __leave(cache, MAX_CROWD);
	nr = cache->nr_crowd;
	spin_unlock_irqrestore(&cache->crowd_lock, flags);
	if (nr == ENOUGH_CROWD || nr == MAX_CROWD)
		queue_work(cache->wq, &cache->crowd_work);
	if (due)
		hpm_evict_soon(cache);
}

/* Never later than it would be by time; one that is at work sees to it itself. */
void hpm_evict_soon(struct hpm_share *cache)
{
	unsigned long pace = READ_ONCE(cache->pace);

	if (!xchg(&cache->scan_soon, true) &&
	    time_before(jiffies + pace,
			READ_ONCE(cache->scan_work.timer.expires)))
		mod_delayed_work(cache->wq, &cache->scan_work, pace);
}

void hpm_evict_kick(struct hpm_share *cache)
{
	WRITE_ONCE(cache->scan_soon, true);
	mod_delayed_work(cache->wq, &cache->scan_work, 0);
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
	spin_lock_init(&cache->crowd_lock);
	INIT_DELAYED_WORK(&cache->scan_work, do_scan);
	INIT_WORK(&cache->crowd_work, do_crowd);

	cache->crowd = kvcalloc(MAX_CROWD, sizeof(*cache->crowd), GFP_KERNEL);
	cache->evictor = kvzalloc(sizeof(*cache->evictor), GFP_KERNEL);
	/* Not for reclaim: nobody gets memory only by way of this. */
	cache->wq = alloc_workqueue("hpm_share/%s", WQ_UNBOUND, 0,
				    cache->pool->name);
	if (!cache->crowd || !cache->evictor || !cache->wq) {
		hpm_evict_exit(cache);
		return -ENOMEM;
	}
	queue_delayed_work(cache->wq, &cache->scan_work,
			   msecs_to_jiffies(cache->scan_ms));
	return 0;
}

void hpm_evict_exit(struct hpm_share *cache)
{
	/* The first of them may ask for the second. */
	if (cache->wq) {
		cancel_work_sync(&cache->crowd_work);
		cancel_delayed_work_sync(&cache->scan_work);
		destroy_workqueue(cache->wq);
	}
	kvfree(cache->evictor);
	kvfree(cache->crowd);
}
