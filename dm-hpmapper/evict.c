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
 * files them by that.  Between two scans, blocks that got more copies than they
 * may are noted, and when there are many of them they are looked at alone.  A
 * copy that is younger than that is left alone: readahead has brought it, and
 * its reader has not come to it yet.  If a quarter of all copies are left so,
 * or because they were too many to be noted, a scan does not wait for its time:
 * 64 containers that start at once would else hold 64 copies for two scans.
 *
 * How many may stay depends on the memory that is available and on whether the
 * kernel has asked us for some: down to one copy (evict-policy.c).
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

#define MAX_SEEN	512
#define MAX_VICTIMS	2048
#define MAX_CROWD	4096
/* A look at crowded blocks alone is due. */
#define ENOUGH_CROWD	2048
/* More than a quarter of the copies are too many: a scan is due. */
#define LEFT_IS_MUCH(nr)	max_t(unsigned long, (nr) / 4, MAX_CROWD)
/* Scans that are due soon are so far apart, and so much longer than they take. */
#define LEAST_PACE	(HZ / 10)
#define PACE_TO_SCAN	4
/* A copy is young until so many looks have begun after it was entered. */
#define YOUTH		2

/* Victims with shorter runs than this, on average, are sorted. */
#define LEAST_RUN	4

#define HEAT_GONE	HPM_NR_HEATS

struct hpm_victim {
	u64 pbn;
	struct hpm_place place;
};

struct hpm_evictor {
	struct hpm_seen seen[MAX_SEEN];
	u8 heat[MAX_SEEN];		/* for the choice among a block's copies */
	u16 which[MAX_SEEN];
	unsigned int chosen[MAX_SEEN];
	struct hpm_victim victim[MAX_VICTIMS];
	unsigned int nr_victims;
	unsigned long nr_spared;	/* too many, but young */
	u64 crowd[MAX_CROWD];
};

/*----------------------------------------------------------------
 * Heat
 *--------------------------------------------------------------*/

static enum hpm_heat folio_heat(struct folio *folio)
{
	struct hpm_page_signs signs = {
		.referenced = folio_test_referenced(folio),
		.active = folio_test_active(folio),
		.workingset = folio_test_workingset(folio),
		.refs = hpm_folio_lru_refs(folio),
		.pinned = folio_mapped(folio) || folio_test_dirty(folio) ||
			  folio_test_writeback(folio),
	};

	return hpm_page_heat(&signs);
}

static bool is_young(const struct hpm_share *cache, const struct hpm_seen *seen)
{
	return ((cache->era - seen->era) & HPM_ERA_MASK) < YOUTH;
}

/*
 * Looks at the pages; what is gone is dropped.  Holds a token for it.  Young
 * ones stay anyway, but if there is a @hurry.
 */
static void sample(struct hpm_share *cache, struct hpm_seen *seen,
		   unsigned int nr, bool hurry)
{
	int token = hpm_pool_token_get(cache->pool);
	struct folio *folio;
	u8 heat;

	for (; nr; nr--, seen++) {
		if (!hurry && is_young(cache, seen))
			continue;
		folio = hpm_place_get(cache, &seen->place);
		if (!folio) {
			hpm_index_remove(cache, seen->pbn, &seen->place);
			seen->heat = HEAT_GONE;
			continue;
		}
		heat = folio_heat(folio);
		folio_put(folio);
		if (heat != seen->heat) {
			seen->heat = heat;
			hpm_index_set_heat(cache, seen);
		}
	}
	hpm_pool_token_put(cache->pool, token);
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
	struct folio *folio;

	folio = hpm_place_get(cache, place);
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

/* What has gone is forgotten, what has not is there for the next time. */
static void settle_victim(struct hpm_share *cache, const struct hpm_victim *v)
{
	int token = hpm_pool_token_get(cache->pool);
	struct folio *folio;

	folio = hpm_place_get(cache, &v->place);
	if (folio) {
		folio_put(folio);
	} else {
		hpm_index_remove(cache, v->pbn, &v->place);
		this_cpu_inc(cache->stats->evicted);
	}
	hpm_pool_token_put(cache->pool, token);
}

/* Pages of one file that lie one behind the other. */
static void evict_run(struct hpm_share *cache, const struct hpm_victim *v,
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
	for (i = 0; i < nr; i++)
		trace_hpm_evict(cache->pool, v[i].pbn, &v[i].place);
	invalidate_mapping_pages(v->place.mapping, v->place.index,
				 v->place.index + nr - 1);
	iput(inode);
	up_read(&sb->s_umount);
	for (i = 0; i < nr; i++)
		settle_victim(cache, &v[i]);
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

/*
 * Blocks that got too many copies were noted in the order in which files were
 * read, so their victims are mostly in runs already, and need no sorting.
 */
static bool is_in_runs(const struct hpm_evictor *e)
{
	unsigned int i, breaks = 0;

	for (i = 1; i < e->nr_victims; i++)
		breaks += !is_next(&e->victim[i - 1], &e->victim[i]);
	return breaks <= e->nr_victims / LEAST_RUN;
}

static void evict(struct hpm_share *cache, struct hpm_evictor *e)
{
	unsigned int first, nr;

	if (!is_in_runs(e))
		sort(e->victim, e->nr_victims, sizeof(e->victim[0]),
		     compare_victims, NULL);
	for (first = 0; first < e->nr_victims; first += nr) {
		for (nr = 1; first + nr < e->nr_victims &&
		     is_next(&e->victim[first + nr - 1],
			     &e->victim[first + nr]); nr++)
			;
		evict_run(cache, &e->victim[first], nr);
		cond_resched();
	}
	e->nr_victims = 0;
}

/*----------------------------------------------------------------
 * Choosing
 *--------------------------------------------------------------*/

static void add_victim(struct hpm_share *cache, struct hpm_evictor *e,
		       const struct hpm_seen *seen)
{
	struct hpm_victim *v = &e->victim[e->nr_victims++];

	v->pbn = seen->pbn;
	v->place = seen->place;
	if (e->nr_victims == MAX_VICTIMS)
		evict(cache, e);
}

/* The copies of one block. */
static void choose(struct hpm_share *cache, struct hpm_evictor *e,
		   unsigned int first, unsigned int end, bool hurry)
{
	unsigned int nr = 0, young = 0, chosen, i;
	bool spare;

	for (i = first; i < end; i++) {
		if (e->seen[i].heat == HEAT_GONE)
			continue;
		spare = !hurry && is_young(cache, &e->seen[i]);
		young += spare;
		e->heat[nr] = spare ? HPM_HEAT_PINNED : e->seen[i].heat;
		e->which[nr++] = i;
	}
	chosen = hpm_evict_select(e->heat, nr, cache->limit_now, e->chosen);
	for (i = 0; i < chosen; i++)
		add_victim(cache, e, &e->seen[e->which[e->chosen[i]]]);
	if (nr - chosen > cache->limit_now)
		e->nr_spared += min(young, nr - chosen - cache->limit_now);
}

/* What is in e->seen: whole blocks. */
static void look_at(struct hpm_share *cache, struct hpm_evictor *e,
		    unsigned int nr, bool hurry)
{
	unsigned int first, end;

	sample(cache, e->seen, nr, hurry);
	for (first = 0; first < nr; first = end) {
		for (end = first + 1; end < nr &&
		     e->seen[end].pbn == e->seen[first].pbn; end++)
			;
		if (end - first > cache->limit_now)
			choose(cache, e, first, end, hurry);
	}
}

/*----------------------------------------------------------------
 * Workers
 *--------------------------------------------------------------*/

static void begin(struct hpm_share *cache, bool hurry)
{
	unsigned int limit;

	limit = hpm_evict_limit(READ_ONCE(cache->copies_limit),
				si_mem_available(), totalram_pages(), hurry);
	WRITE_ONCE(cache->limit_now, limit);
	WRITE_ONCE(cache->era, cache->era + 1);
	cache->evictor->nr_spared = 0;
}

static void scan(struct hpm_share *cache, struct hpm_evictor *e, bool hurry)
{
	unsigned long bucket;
	unsigned int i, nr;

	for (i = 0; i < HPM_CACHE_SHARDS; i++) {
		if (!READ_ONCE(cache->shard[i].nr))
			continue;
		bucket = 0;
		while ((nr = hpm_index_read(cache, i, &bucket, e->seen,
					    MAX_SEEN))) {
			look_at(cache, e, nr, hurry);
			cond_resched();
		}
	}
	evict(cache, e);
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
	due = __leave(cache, cache->evictor->nr_spared);
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
	begin(cache, hurry);
	scan(cache, cache->evictor, hurry);
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
	struct hpm_evictor *e = cache->evictor;
	unsigned int nr, seen, i;

	mutex_lock(&cache->evict_lock);
	begin(cache, false);
	nr = take_crowd(cache, e->crowd);
	for (i = 0; i < nr; i++) {
		seen = hpm_index_read_block(cache, e->crowd[i], e->seen,
					    MAX_SEEN);
		look_at(cache, e, seen, false);
		cond_resched();
	}
	evict(cache, e);
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
