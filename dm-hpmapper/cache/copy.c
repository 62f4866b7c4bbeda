// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies
 *
 * The hash table of copies is divided into shards, each with a lock, its
 * buckets, and a list for each heat.  The copies of a block are next to each
 * other in their bucket's chain, the latest first, so no other links connect
 * them, and an entry has 56 bytes.
 */
#include <linux/slab.h>

#include "copy.h"
#include "surplus.h"

static struct kmem_cache *copy_slab;

/* A full shard has about this many copies in a bucket. */
#define COPIES_PER_BUCKET	4
#define MIN_BUCKET_BITS		2
#define MAX_BUCKET_BITS		20
/* The most entries that a shard stores for its next copies. */
#define MAX_SPARE		128

struct hpm_copy *hpm_alloc_copy(void)
{
	return kmem_cache_alloc(copy_slab, GFP_NOWAIT | __GFP_NOWARN);
}

void hpm_free_blank_copy(struct hpm_copy *c)
{
	kmem_cache_free(copy_slab, c);
}

void hpm_free_copy(struct hpm_copy *c)
{
	if (c->kept)
		__free_page(pfn_to_page(hpm_pfn_of(c)));
	kmem_cache_free(copy_slab, c);
}

void __hpm_spare_copy(struct hpm_shard *shard, struct hpm_copy *c)
{
	if (shard->nr_spare == MAX_SPARE) {
		kmem_cache_free(copy_slab, c);
		return;
	}
	c->next = shard->spare;
	WRITE_ONCE(shard->spare, c);
	shard->nr_spare++;
}

struct hpm_copy *__hpm_take_spare(struct hpm_shard *shard)
{
	struct hpm_copy *c = shard->spare;

	if (c) {
		WRITE_ONCE(shard->spare, c->next);
		shard->nr_spare--;
	}
	return c;
}

void __hpm_free_spare(struct hpm_shard *shard)
{
	struct hpm_copy *c;

	while ((c = __hpm_take_spare(shard)))
		kmem_cache_free(copy_slab, c);
}

void __hpm_drop_block(struct hpm_shard *shard, struct hpm_copy **link,
		      u64 pbn)
{
	struct hpm_copy *c;

	while (hpm_is_of(c = *link, pbn)) {
		__hpm_unlink_copy(shard, c, link);
		hpm_free_copy(c);
	}
}

void __hpm_drop_copy(struct hpm_shard *shard, struct hpm_copy **block,
		     struct hpm_copy **link)
{
	struct hpm_copy *c = *link;

	__hpm_unlink_copy(shard, *block, link);
	__hpm_spare_copy(shard, c);
}

void __hpm_make_victim(struct hpm_shard *shard, struct hpm_copy **block,
		       struct hpm_copy **link, struct hpm_victim *v)
{
	struct hpm_copy *c = *link;

	v->pbn = c->pbn;
	v->fp = c->fp;
	hpm_place_of(c, &v->place);
	__hpm_drop_copy(shard, block, link);
}

unsigned long hpm_index_nr(struct hpm_cache *cache)
{
	unsigned long nr = 0;
	unsigned int i;

	for (i = 0; i < HPM_CACHE_SHARDS; i++)
		nr += READ_ONCE(cache->shard[i].nr);
	return nr;
}

unsigned long hpm_index_nr_blocks(struct hpm_cache *cache)
{
	unsigned long nr = 0;
	unsigned int i;

	for (i = 0; i < HPM_CACHE_SHARDS; i++)
		nr += READ_ONCE(cache->shard[i].nr_blocks);
	return nr;
}

/*
 * Copies in a shard: entries for a quarter of all pages.  With 56 bytes each,
 * and the buckets, they take less than half a per cent of the memory.
 */
static unsigned long default_max(void)
{
	return totalram_pages() / 4 / HPM_CACHE_SHARDS + 1;
}

int hpm_index_create(struct hpm_cache *cache)
{
	struct hpm_shard *shard;
	unsigned int heat;

	cache->max_nr = default_max();
	cache->bits = clamp_t(unsigned int,
			      ilog2(cache->max_nr / COPIES_PER_BUCKET + 1),
			      MIN_BUCKET_BITS, MAX_BUCKET_BITS);
	cache->freed = kvzalloc(sizeof(*cache->freed), GFP_KERNEL);
	if (!cache->freed)
		return -ENOMEM;
	for (shard = cache->shard; shard < cache->shard + HPM_CACHE_SHARDS;
	     shard++) {
		spin_lock_init(&shard->lock);
		for (heat = 0; heat < HPM_NR_HEATS; heat++)
			INIT_LIST_HEAD(&shard->lru[heat]);
		INIT_LIST_HEAD(&shard->kept);
		shard->bucket = kvcalloc(1ul << cache->bits,
					 sizeof(*shard->bucket), GFP_KERNEL);
		if (!shard->bucket) {
			hpm_index_destroy(cache);
			return -ENOMEM;
		}
	}
	return 0;
}

void hpm_index_destroy(struct hpm_cache *cache)
{
	unsigned int i;

	for (i = 0; i < HPM_CACHE_SHARDS; i++) {
		__hpm_free_spare(&cache->shard[i]);
		kvfree(cache->shard[i].bucket);
	}
	kvfree(cache->freed);
}

int hpm_index_slab_init(void)
{
	static_assert(sizeof(struct hpm_copy) == 56);
	copy_slab = kmem_cache_create("hpm_copy", sizeof(struct hpm_copy), 0,
				      SLAB_RECLAIM_ACCOUNT, NULL);
	return copy_slab ? 0 : -ENOMEM;
}

void hpm_index_slab_exit(void)
{
	kmem_cache_destroy(copy_slab);
}
