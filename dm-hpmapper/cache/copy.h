/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copies of blocks, and the shards that they are in.
 */
#ifndef HPM_COPY_H
#define HPM_COPY_H

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
