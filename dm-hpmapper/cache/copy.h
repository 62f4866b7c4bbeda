/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copies of blocks, and the shards that they are in.
 */
#ifndef HPM_COPY_H
#define HPM_COPY_H

#include <linux/hash.h>

#include "heat.h"
#include "share.h"

/*
 * A copy of a block.  The copies of one block are neighbours in their bucket's
 * chain, the latest first: it is the head, the others are its tail.
 */
struct hpm_copy {
	union {
		struct {
			u64 pbn:HPM_PBN_BITS;
			u64 pfn_high:8;
			u64 era:14;	/* of the cache, when it was entered */
			u64 heat:2;
			u64 meta:1;
			u64 kept:1;	/* the entry has a reference to the page */
		};
		u64 word;
	};
	u64 fp;
	struct hpm_copy *next;
	struct list_head lru;	/* of its heat */
	struct address_space *mapping;
	u32 pfn_low;
	u32 index;
};

#define HPM_ERA_MASK	((1u << 14) - 1)
/* A copy is young until so many looks have begun after it was entered. */
#define HPM_YOUTH	2

static inline u32 hpm_hash_of(const struct hpm_share *cache, u64 pbn)
{
	return hash_64(pbn, ilog2(HPM_CACHE_SHARDS) + cache->bits);
}

static inline struct hpm_shard *hpm_shard_of(struct hpm_share *cache, u32 hash)
{
	return &cache->shard[hash >> cache->bits];
}

static inline struct hpm_copy **hpm_bucket_of(struct hpm_share *cache, u32 hash)
{
	struct hpm_shard *shard = hpm_shard_of(cache, hash);

	return &shard->bucket[hash & ((1u << cache->bits) - 1)];
}

/* Where the head of @pbn hangs, or the end of the chain. */
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

/* Takes the copy out of its chain; *link points to it. */
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

static inline bool hpm_is_young(const struct hpm_share *cache,
				const struct hpm_copy *c)
{
	return ((READ_ONCE(cache->era) - c->era) & HPM_ERA_MASK) < HPM_YOUTH;
}

/* The copies of the block whose head hangs at @block, but for the kept one. */
static inline struct hpm_copy **hpm_behind_kept(struct hpm_copy **block)
{
	return (*block)->kept ? &(*block)->next : block;
}

static inline u8 hpm_heat_of(const struct hpm_copy *c)
{
	return hpm_frame_heat(hpm_pfn_of(c), c->mapping, c->index);
}

/* After so many look-ups, or buckets, others may run. */
#define HPM_WITHOUT_PAUSE	512

struct hpm_victim;

/* Any context.  Never wait; NULL: there is no memory. */
struct hpm_copy *hpm_alloc_copy(void);
/* One whose words say nothing yet. */
void hpm_free_blank_copy(struct hpm_copy *c);
/* One that is in no chain. */
void hpm_free_copy(struct hpm_copy *c);

/* These with shard->lock held.  Of one that is not kept: as many will come as go. */
void __hpm_spare_copy(struct hpm_shard *shard, struct hpm_copy *c);
struct hpm_copy *__hpm_take_spare(struct hpm_shard *shard);
void __hpm_free_spare(struct hpm_shard *shard);
/* All copies of the block whose head hangs at @link. */
void __hpm_drop_block(struct hpm_shard *shard, struct hpm_copy **link, u64 pbn);
/* What is at *link, of the block at @block, is not known any more. */
void __hpm_drop_copy(struct hpm_shard *shard, struct hpm_copy **block,
		     struct hpm_copy **link);
void __hpm_make_victim(struct hpm_shard *shard, struct hpm_copy **block,
		       struct hpm_copy **link, struct hpm_victim *v);

/* Any context. */
unsigned long hpm_index_nr(struct hpm_share *cache);
unsigned long hpm_index_nr_blocks(struct hpm_share *cache);

/* Sleep. */
int hpm_index_create(struct hpm_share *cache);
void hpm_index_destroy(struct hpm_share *cache);
int hpm_index_slab_init(void);
void hpm_index_slab_exit(void);

#endif /* HPM_COPY_H */
