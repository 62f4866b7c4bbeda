/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copies of blocks, and the shards of the index that they are in.
 */
#ifndef HPM_COPY_H
#define HPM_COPY_H

#include <linux/hash.h>

#include "heat.h"
#include "cache-priv.h"

/*
 * An entry of the index: one copy of a block.  The copies of a block are next
 * to each other in their bucket's chain: the kept one, if there is one, and
 * then the others, the latest first.  The first of all is the head.
 * shard->lock protects all fields.
 */
struct hpm_copy {
	union {
		struct {
			u64 pbn:HPM_PBN_BITS;
			u64 pfn_high:8;
			u64 era:14;	/* cache->era at its entry */
			u64 heat:2;	/* warm, until a scan looks at it */
			u64 meta:1;	/* as in struct hpm_place */
			u64 kept:1;	/* has a reference to the page */
		};
		u64 word;
	};
	u64 fp;
	struct hpm_copy *next;
	struct list_head lru;	/* in shard->lru[heat] or shard->kept */
	struct address_space *mapping;
	u32 pfn_low;
	u32 index;
};

#define HPM_ERA_MASK	((1u << 14) - 1)
/* A copy is young until this many eras have begun after its entry. */
#define HPM_YOUTH	2

static inline u32 hpm_hash_of(const struct hpm_cache *cache, u64 pbn)
{
	return hash_64(pbn, ilog2(HPM_CACHE_SHARDS) + cache->bits);
}

static inline struct hpm_shard *hpm_shard_of(struct hpm_cache *cache, u32 hash)
{
	return &cache->shard[hash >> cache->bits];
}

static inline struct hpm_copy **hpm_bucket_of(struct hpm_cache *cache, u32 hash)
{
	struct hpm_shard *shard = hpm_shard_of(cache, hash);

	return &shard->bucket[hash & ((1u << cache->bits) - 1)];
}

/*
 * Returns the link that points to the head of block @pbn, or the last link of
 * the chain, which is NULL.  shard->lock held.
 */
static inline struct hpm_copy **__hpm_find_copy(struct hpm_copy **link, u64 pbn)
{
	while (*link && (*link)->pbn != pbn)
		link = &(*link)->next;
	return link;
}

static inline unsigned long hpm_pfn_of(const struct hpm_copy *c)
{
	return (unsigned long)c->pfn_high << 32 | c->pfn_low;
}

static inline void hpm_place_of(const struct hpm_copy *c,
				struct hpm_place *place)
{
	place->pfn = hpm_pfn_of(c);
	place->mapping = c->mapping;
	place->index = c->index;
	place->meta = c->meta;
	place->kept = c->kept;
}

static inline bool hpm_is_of(const struct hpm_copy *c, u64 pbn)
{
	return c && c->pbn == pbn;
}

/*
 * Removes the copy at *link from its chain and its list.  @head was the head of
 * its block.  shard->lock held.
 */
static inline void __hpm_unlink_copy(struct hpm_shard *shard,
				     struct hpm_copy *head,
				     struct hpm_copy **link)
{
	struct hpm_copy *c = *link;

	if (c == head && !(c->next && c->next->pbn == c->pbn))
		WRITE_ONCE(shard->nr_blocks, shard->nr_blocks - 1);
	WRITE_ONCE(*link, c->next);
	list_del(&c->lru);
	WRITE_ONCE(shard->nr, shard->nr - 1);
	shard->nr_kept -= c->kept;
}

static inline bool hpm_is_young(const struct hpm_cache *cache,
				const struct hpm_copy *c)
{
	return ((READ_ONCE(cache->era) - c->era) & HPM_ERA_MASK) < HPM_YOUTH;
}

/*
 * Returns the link to the first copy that is not kept, of the block whose head
 * is at *block.  shard->lock held.
 */
static inline struct hpm_copy **hpm_behind_kept(struct hpm_copy **block)
{
	return (*block)->kept ? &(*block)->next : block;
}

static inline u8 hpm_heat_of(const struct hpm_copy *c)
{
	return hpm_frame_heat(hpm_pfn_of(c), c->mapping, c->index);
}

/* Loops let others run after this many look-ups, buckets or copies. */
#define HPM_WITHOUT_PAUSE	512

struct hpm_victim;

/* Any context.  Returns NULL if an allocation would have to sleep. */
struct hpm_copy *hpm_alloc_copy(void);
/* Frees an entry whose fields are not set yet.  Any context. */
void hpm_free_blank_copy(struct hpm_copy *c);
/* Frees an entry that is in no chain; if it is kept, its page.  Any context. */
void hpm_free_copy(struct hpm_copy *c);

/*
 * The next six need shard->lock.  The first stores an entry that is not kept,
 * to be used for the next copy; it frees the entry if enough are stored.
 */
void __hpm_spare_copy(struct hpm_shard *shard, struct hpm_copy *c);
struct hpm_copy *__hpm_take_spare(struct hpm_shard *shard);
void __hpm_free_spare(struct hpm_shard *shard);
/* Drops all copies of block @pbn, whose head is at *link. */
void __hpm_drop_block(struct hpm_shard *shard, struct hpm_copy **link, u64 pbn);
/* Drops the copy at *link, which is not kept, of the block at *block. */
void __hpm_drop_copy(struct hpm_shard *shard, struct hpm_copy **block,
		     struct hpm_copy **link);
/* The same, and stores in @v what is needed to evict the page. */
void __hpm_make_victim(struct hpm_shard *shard, struct hpm_copy **block,
		       struct hpm_copy **link, struct hpm_victim *v);

/* How many copies are known, of how many blocks.  Any context. */
unsigned long hpm_index_nr(struct hpm_cache *cache);
unsigned long hpm_index_nr_blocks(struct hpm_cache *cache);

/* Sleep. */
int hpm_index_create(struct hpm_cache *cache);
void hpm_index_destroy(struct hpm_cache *cache);
int hpm_index_slab_init(void);
void hpm_index_slab_exit(void);

#endif /* HPM_COPY_H */
