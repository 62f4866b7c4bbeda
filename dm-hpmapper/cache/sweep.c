// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sweeping: dropping the copies of freed blocks, or all copies
 */
#include <linux/sort.h>

#include "cache-trace.h"
#include "copy.h"
#include "metadata-pool.h"
#include "surplus.h"
#include "sweep.h"

/* The blocks of extents up to this length are looked up, never swept for. */
#define FEW_BLOCKS		64

static bool is_in(u64 x, u64 first, u64 nr)
{
	return x >= first && x - first < nr;
}

/* Which copies a sweep drops. */
struct doomed {
	bool all;
	const struct hpm_freed *freed;	/* copies of these blocks, or NULL */
	unsigned long pfn, nr_pfns;	/* copies in these page frames */
};

static bool is_freed(const struct hpm_freed *freed, u64 pbn)
{
	unsigned int low = 0, high = freed->nr, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (freed->ext[mid].pbn <= pbn)
			low = mid + 1;
		else
			high = mid;
	}
	return low && is_in(pbn, freed->ext[low - 1].pbn,
			    freed->ext[low - 1].nr);
}

static bool is_doomed(const struct doomed *d, const struct hpm_copy *c)
{
	return d->all || (d->freed && is_freed(d->freed, c->pbn)) ||
	       is_in(hpm_pfn_of(c), d->pfn, d->nr_pfns);
}

static void sweep_bucket(struct hpm_shard *shard, struct hpm_copy **link,
			 const struct doomed *d)
{
	struct hpm_copy *c, *head = NULL;

	while ((c = *link)) {
		if (!head || head->pbn != c->pbn)
			head = c;
		if (!is_doomed(d, c)) {
			link = &c->next;
			continue;
		}
		__hpm_unlink_copy(shard, head, link);
		if (head == c)
			head = NULL;
		hpm_free_copy(c);
	}
}

static void sweep_shard(struct hpm_cache *cache, struct hpm_shard *shard,
			const struct doomed *d)
{
	unsigned long flags, b;

	for (b = 0; b < 1ul << cache->bits; b++) {
		if (b % HPM_WITHOUT_PAUSE == 0)
			cond_resched();
		if (!READ_ONCE(shard->bucket[b]))
			continue;
		spin_lock_irqsave(&shard->lock, flags);
		sweep_bucket(shard, &shard->bucket[b], d);
		spin_unlock_irqrestore(&shard->lock, flags);
	}
}

static void sweep(struct hpm_cache *cache, const struct doomed *d)
{
	unsigned int i;

	trace_hpm_sweep(cache->pool, d->freed ? d->freed->nr : 0, d->nr_pfns);
	for (i = 0; i < HPM_CACHE_SHARDS; i++)
		sweep_shard(cache, &cache->shard[i], d);
}

void hpm_index_sweep(struct hpm_cache *cache)
{
	struct doomed d = { .all = true };

	sweep(cache, &d);
}

void hpm_index_sweep_frames(struct hpm_cache *cache, unsigned long pfn,
			    unsigned long nr)
{
	struct doomed d = { .pfn = pfn, .nr_pfns = nr };

	sweep(cache, &d);
}

static void drop_block(struct hpm_cache *cache, u64 pbn)
{
	u32 hash = hpm_hash_of(cache, pbn);
	struct hpm_shard *shard = hpm_shard_of(cache, hash);
	unsigned long flags;

	spin_lock_irqsave(&shard->lock, flags);
	__hpm_drop_block(shard,
			 __hpm_find_copy(hpm_bucket_of(cache, hash), pbn), pbn);
	spin_unlock_irqrestore(&shard->lock, flags);
}

static void drop_extent(struct hpm_cache *cache, const struct hpm_extent *e)
{
	u32 i;

	for (i = 0; i < e->nr; i++) {
		if (i % HPM_WITHOUT_PAUSE == 0)
			cond_resched();
		drop_block(cache, e->pbn + i);
	}
}

static int cmp_extents(const void *a, const void *b)
{
	u64 pbn_a = ((const struct hpm_extent *)a)->pbn;
	u64 pbn_b = ((const struct hpm_extent *)b)->pbn;

	return pbn_a < pbn_b ? -1 : pbn_a > pbn_b;
}

/* Drops the copies of all gathered extents in one sweep. */
static void drop_gathered(struct hpm_cache *cache)
{
	struct hpm_freed *freed = cache->freed;
	struct doomed d = { .freed = freed };

	if (!freed->nr)
		return;
	sort(freed->ext, freed->nr, sizeof(freed->ext[0]), cmp_extents, NULL);
	sweep(cache, &d);
	freed->nr = 0;
}

static void gather(struct hpm_cache *cache, const struct hpm_extent *e)
{
	if (e->nr <= FEW_BLOCKS) {
		drop_extent(cache, e);
		return;
	}
	cache->freed->ext[cache->freed->nr++] = *e;
	if (cache->freed->nr == HPM_MAX_FREED)
		drop_gathered(cache);
}

/*
 * Are there more freed blocks than buckets?  Then a sweep costs less than to
 * look the blocks up.  This is rare.
 */
static bool is_much(const struct hpm_cache *cache, u64 nr)
{
	return nr > (u64)HPM_CACHE_SHARDS << cache->bits;
}

static u64 nr_blocks_of(const struct list_head *batches)
{
	const struct hpm_free_batch *b;
	unsigned int i;
	u64 nr = 0;

	list_for_each_entry(b, batches, list)
		for (i = 0; i < b->nr; i++)
			nr += b->ext[i].nr;
	return nr;
}

/*
 * Either looks up each block, or sweeps the table once for every HPM_MAX_FREED
 * extents: a deleted volume of many extents must not cost a sweep for each.
 */
void hpm_index_drop(struct hpm_pool *pool, const struct list_head *batches)
{
	struct hpm_cache *cache = pool->cache;
	const struct hpm_free_batch *b;
	unsigned int i;
	bool much;

	if (!cache || !hpm_index_nr(cache))
		return;
	much = is_much(cache, nr_blocks_of(batches));
	list_for_each_entry(b, batches, list) {
		cond_resched();
		for (i = 0; i < b->nr; i++)
			if (much)
				gather(cache, &b->ext[i]);
			else
				drop_extent(cache, &b->ext[i]);
	}
	drop_gathered(cache);
}

/*
 * A thread tests the switch before it enters a copy, with a token of the pool
 * held (hpm_begin_entering()).  So either it sees that sharing is off, or its
 * token is waited for here before the sweep.  These tokens are held for
 * microseconds.  The tokens of the reads, which may take as long as their
 * owners like, belong to the volumes and are not waited for.
 */
void hpm_index_forget(struct hpm_pool *pool)
{
	struct hpm_cache *cache = pool->cache;

	if (!cache)
		return;
	/*
	 * Victims are not in the index and may be put back (evict_run()).
	 * Those that were taken before the end of this function must not be:
	 * the count tells, and a thread that is about to put one back holds a
	 * token.
	 */
	mutex_lock(&cache->forget_lock);
	WRITE_ONCE(cache->forgotten, cache->forgotten + 1);
	hpm_tokens_wait(&pool->tokens, HPM_TOKEN_READ);
	hpm_index_sweep(cache);
	hpm_evict_forget(cache);
	/* Must be visible after all of that: pairs with forgotten_so_far(). */
	smp_store_release(&cache->forgotten, cache->forgotten + 1);
	mutex_unlock(&cache->forget_lock);
}
