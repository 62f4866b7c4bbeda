// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache of a pool: its birth and end, its memory, its messages.
 */
#include <linux/memory_hotplug.h>
#include <linux/random.h>
#include <linux/sched/signal.h>

#include "copy.h"
#include "evict.h"
#include "follow.h"
#include "index.h"
#include "lead.h"
#include "surplus.h"
#include "sweep.h"

/*----------------------------------------------------------------
 * Memory
 *--------------------------------------------------------------*/

/* The shrinker frees one entry of this many that it is asked for. */
#define ASKED_TO_FREED	16

static unsigned long shrink_count(struct shrinker *shrinker,
				  struct shrink_control *sc)
{
	return hpm_index_nr(hpm_shrinker_ctx(shrinker));
}

/*
 * When the kernel asks for entries it needs pages, too.  So a scan soon evicts
 * copies, which frees their entries with them.  An entry whose page stays is
 * worth more than its 56 bytes: without it, other volumes cannot use the page.
 * So only a few of the entries that the kernel asks for are freed at once.
 */
static unsigned long shrink_scan(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	struct hpm_cache *cache = hpm_shrinker_ctx(shrinker);
	unsigned long freed;

	freed = hpm_index_shrink(cache,
				 DIV_ROUND_UP(sc->nr_to_scan, ASKED_TO_FREED));
	WRITE_ONCE(cache->shrunk, true);
	hpm_evict_soon(cache);
	return freed ?: SHRINK_STOP;
}

/*
 * The caches of all pools.  They share one memory notifier, as registering one
 * waits until all notifiers that are being called have returned.
 */
static DEFINE_MUTEX(shares_lock);
static LIST_HEAD(shares);		/* shares_lock, as the next two */
static unsigned long barred_pfn;	/* for caches that are created later */
static unsigned long barred_nr;

static void bar_memory(struct hpm_cache *cache)
{
	WRITE_ONCE(cache->barred_pfn, barred_pfn);
	/*
	 * When the bar is lifted, the mark of offline memory must be visible
	 * first: pairs with hpm_frame_barred().
	 */
	smp_store_release(&cache->barred_nr, barred_nr);
}

static void bar_all(unsigned long pfn, unsigned long nr)
{
	struct hpm_cache *cache;

	lockdep_assert_held(&shares_lock);
	barred_pfn = pfn;
	barred_nr = nr;
	list_for_each_entry(cache, &shares, list)
		bar_memory(cache);
}

/* The longest wait for tokens: pools that are created wait for shares_lock. */
#define OFFLINE_PATIENCE	HZ

static bool is_too_long(const void *ctx)
{
	const unsigned long *end = ctx;

	return time_after_eq(jiffies, *end) || signal_pending(current);
}

/*
 * Drops the copies in the barred range, and waits until no thread uses one.
 * Returns false if that takes too long, or if a signal is pending.
 */
static bool leave_memory(struct hpm_cache *cache, const unsigned long *end)
{
	struct hpm_pool *pool = cache->pool;

	if (!hpm_pool_wait_tokens_unless(pool, is_too_long, end))
		return false;
	hpm_index_sweep_frames(cache, barred_pfn, barred_nr);
	return hpm_pool_wait_tokens_unless(pool, is_too_long, end);
}

/*
 * If a bio is in flight for too long, the memory stays online: the kernel sends
 * MEM_CANCEL_OFFLINE, and the user can try again.
 */
static int leave_memory_all(void)
{
	unsigned long end = jiffies + OFFLINE_PATIENCE;
	struct hpm_cache *cache;

	list_for_each_entry(cache, &shares, list)
		if (!leave_memory(cache, &end))
			return -EBUSY;
	return 0;
}

/*
 * When memory goes offline, its struct pages may be freed.  From here on the
 * range is barred: no page of it is entered, and no victim in it is looked at
 * (evict.c).  Threads that are about to do so, or that have found an entry,
 * hold a token, and leave_memory() waits for the tokens.  The bar is lifted
 * when the memory is offline, which pfn_to_online_page() then tells.
 */
static int memory_event(struct notifier_block *nb, unsigned long action,
			void *arg)
{
	struct memory_notify *m = arg;
	int r = 0;

	mutex_lock(&shares_lock);
	switch (action) {
	case MEM_GOING_OFFLINE:
		bar_all(m->start_pfn, m->nr_pages);
		r = leave_memory_all();
		break;
	case MEM_CANCEL_OFFLINE:
	case MEM_OFFLINE:
		bar_all(barred_pfn, 0);
		break;
	}
	mutex_unlock(&shares_lock);
	return notifier_from_errno(r);
}

static struct notifier_block memory_nb = { .notifier_call = memory_event };

static int watch_memory(struct hpm_cache *cache)
{
	int r;

	r = hpm_shrinker_register(&cache->shrinker, cache, shrink_count,
				  shrink_scan, cache->pool->name);
	if (r)
		return r;
	mutex_lock(&shares_lock);
	bar_memory(cache);
	list_add(&cache->list, &shares);
	mutex_unlock(&shares_lock);
	return 0;
}

static void unwatch_memory(struct hpm_cache *cache)
{
	hpm_shrinker_unregister(&cache->shrinker);
	mutex_lock(&shares_lock);
	list_del(&cache->list);
	mutex_unlock(&shares_lock);
}

/*----------------------------------------------------------------
 * Birth and end
 *--------------------------------------------------------------*/

static int alloc_percpus(struct hpm_cache *cache)
{
	cache->stats = alloc_percpu(struct hpm_cache_stats);
	cache->bounce = __alloc_percpu(HPM_BLOCK_SIZE, HPM_BLOCK_SIZE);
	return cache->stats && cache->bounce ? 0 : -ENOMEM;
}

static void free_percpus(struct hpm_cache *cache)
{
	free_percpu(cache->bounce);
	free_percpu(cache->stats);
}

static int fill_cache(struct hpm_cache *cache)
{
	int r;

	r = wait_for_random_bytes();
	if (r)
		return r;
	get_random_bytes(&cache->key, sizeof(cache->key));
	cache->simd = hpm_simd_best();

	r = alloc_percpus(cache);
	if (r)
		goto out_percpus;
	r = hpm_index_create(cache);
	if (r)
		goto out_percpus;
	r = hpm_evict_init(cache);
	if (r)
		goto out_index;
	r = watch_memory(cache);
	if (r)
		goto out_evict;
	return 0;

out_evict:
	hpm_evict_exit(cache);
out_index:
	hpm_index_destroy(cache);
out_percpus:
	free_percpus(cache);
	return r;
}

/*
 * If pages have another size than blocks, the pool has no cache: copies could
 * not be served.
 */
int hpm_cache_create(struct hpm_pool *pool)
{
	struct hpm_cache *cache;
	int r;

	if (PAGE_SIZE != HPM_BLOCK_SIZE)
		return 0;

	cache = kvzalloc(sizeof(*cache), GFP_KERNEL);
	if (!cache)
		return -ENOMEM;
	cache->pool = pool;
	mutex_init(&cache->forget_lock);
	hpm_followers_init(cache);
	r = fill_cache(cache);
	if (r) {
		kvfree(cache);
		return r;
	}
	pool->share = true;
	pool->cache = cache;
	return 0;
}

/*
 * No volume is left, so no read arms a timer.  The shrinker is unregistered
 * before the works are cancelled, as it queues a scan.
 */
void hpm_cache_stop(struct hpm_pool *pool)
{
	struct hpm_cache *cache = pool->cache;

	if (!cache)
		return;
	unwatch_memory(cache);
	hpm_followers_exit(cache);
	hpm_evict_exit(cache);
}

void hpm_cache_destroy(struct hpm_pool *pool)
{
	struct hpm_cache *cache = pool->cache;

	if (!cache)
		return;
	pool->cache = NULL;
	hpm_index_sweep(cache);
	hpm_index_destroy(cache);
	free_percpus(cache);
	memzero_explicit(&cache->key, sizeof(cache->key));
	kvfree(cache);
}

int hpm_cache_init(void)
{
	int r;

	r = hpm_index_slab_init();
	if (r)
		return r;
	r = hpm_lead_slab_init();
	if (r)
		goto out_index;
	r = register_memory_notifier(&memory_nb);
	if (r)
		goto out_lead;
	return 0;

out_lead:
	hpm_lead_slab_exit();
out_index:
	hpm_index_slab_exit();
	return r;
}

void hpm_cache_exit(void)
{
	unregister_memory_notifier(&memory_nb);
	hpm_lead_slab_exit();
	hpm_index_slab_exit();
}

/*----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------*/

static void set_share(struct hpm_cache *cache, bool on)
{
	struct hpm_pool *pool = cache->pool;

	WRITE_ONCE(pool->share, on);
	if (!on)
		hpm_index_forget(pool);
}

static void set_copies_limit(struct hpm_cache *cache, unsigned int nr)
{
	WRITE_ONCE(cache->copies_limit, nr);
	WRITE_ONCE(cache->limit_now, nr);
}

int hpm_cache_message(struct hpm_pool *pool, const struct hpm_message *say,
		      const char **why)
{
	struct hpm_cache *cache = pool->cache;

	if (!cache) {
		*why = "pages are larger than blocks, so nothing is shared";
		return -EOPNOTSUPP;
	}

	switch (say->key) {
	case HPM_CACHE_SHARE:
		set_share(cache, say->on);
		return 0;
	case HPM_CACHE_COPIES_LIMIT:
		set_copies_limit(cache, say->number);
		break;
	case HPM_CACHE_ENTRIES:
		hpm_index_limit(cache, say->number);
		break;
	case HPM_CACHE_SCAN_MS:
		WRITE_ONCE(cache->scan_ms, say->number);
		break;
	case HPM_CACHE_EVICT:
		break;
	}
	hpm_evict_kick(cache);
	return 0;
}

/*----------------------------------------------------------------
 * Status
 *--------------------------------------------------------------*/

static void sum_stats(struct hpm_cache *cache, struct hpm_cache_stats *sum)
{
	const u64 *from;
	unsigned int i;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		from = (const u64 *)per_cpu_ptr(cache->stats, cpu);
		for (i = 0; i < sizeof(*sum) / sizeof(u64); i++)
			((u64 *)sum)[i] += READ_ONCE(from[i]);
	}
}

/*
 * Appends:
 *
 *	share on|off copies_limit <now>/<limit> copies <nr>/<most> blocks <nr>
 *	hits <nr> not_read <bytes> waited <nr> miss_new <nr> miss_stale <nr>
 *	miss_busy <nr> caught <nr> entered <nr> unentered <nr> changed <nr>
 *	evicted <nr> scans <nr> barred <nr>
 */
unsigned int hpm_cache_status(struct hpm_pool *pool, char *result,
			      unsigned int sz, unsigned int maxlen)
{
	struct hpm_cache *cache = pool->cache;
	struct hpm_cache_stats st;

	if (!cache) {
		DMEMIT(" share off");
		return sz;
	}
	sum_stats(cache, &st);
	DMEMIT(" share %s copies_limit %u/%u copies %lu/%lu blocks %lu",
	       READ_ONCE(pool->share) && READ_ONCE(pool->features.share) ?
	       "on" : "off", READ_ONCE(cache->limit_now),
	       READ_ONCE(cache->copies_limit), hpm_index_nr(cache),
	       READ_ONCE(cache->max_nr) * HPM_CACHE_SHARDS,
	       hpm_index_nr_blocks(cache));
	DMEMIT(" hits %llu not_read %llu waited %llu", st.hits, st.bytes,
	       st.waited);
	DMEMIT(" miss_new %llu miss_stale %llu miss_busy %llu caught %llu",
	       st.miss_new, st.miss_stale, st.miss_busy, st.caught);
	DMEMIT(" entered %llu unentered %llu changed %llu", st.entered,
	       st.no_memory, st.changed);
	DMEMIT(" evicted %llu scans %llu barred %u", st.evicted,
	       /* They are only shown, so a data race does no harm. */
	       data_race(cache->scans), data_race(cache->nr_barred));
	return sz;
}
