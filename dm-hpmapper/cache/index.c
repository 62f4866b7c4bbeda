// SPDX-License-Identifier: GPL-2.0-only
/*
 * The index: where blocks are cached
 *
 * For the number of a block (PBN), the index finds the pages that hold the
 * block's bytes, in any file of any volume.  It has only blocks that are
 * shared.  These are never written in place, so the bytes of a block, and its
 * fingerprint, do not change from its entry until the block is freed.
 *
 * An entry holds no reference.  Its page may be truncated, rewritten or
 * evicted, and its frame used for something else, without notice to the index;
 * the reader must prove the bytes that it finds (proof.c).  So an entry may be
 * dropped at any time.  The table is bounded, the kernel can shrink it, and it
 * never waits for memory.
 *
 * Why the block number is right.  Entries of a freed block are dropped before
 * it can be allocated again, and after all in-flight tokens from before it was
 * freed have come back (pool-drain.c).  An entry is made only by a read that
 * holds such a token and found the block shared under it, or by
 * hpm_index_put_back().  So no entry is made after the drop, and none outlives
 * the block.  No write in place to a shared block can be in flight: only a
 * snapshot makes a block shared, and it has waited for such writes (gate.c).
 *
 * Kept copies.  Some blocks are changed by each volume as soon as it has read
 * them: those that a file system writes when it is mounted, a log that each
 * container appends to.  Their latest copies are dirty, or have other bytes by
 * now, and each volume would read them from the device.  If a block has to be
 * read although copies of it were known, the index assumes that it is one of
 * these, and keeps a copy of its bytes in a page of the pool's own.  It does
 * the same with metadata that a file system reads into buffers of its own,
 * where a copy could not be found again.  There are few such blocks, and few
 * are kept.  Such an entry has a reference to its page and is tried first.  It
 * is proved like any other.
 */
#include <linux/slab.h>

#include "copy.h"
#include "heat.h"
#include "index.h"
#include "page.h"
#include "surplus.h"

/* The most kept copies in a shard: 8 MiB in all shards. */
#define MAX_KEPT		32
/* The most old copies of a block that are looked at when a new one comes. */
#define SURPLUS_LOOKS		8

static bool is_at(const struct hpm_copy *c, const struct hpm_place *place)
{
	return c->mapping == place->mapping && c->index == place->index;
}

/*----------------------------------------------------------------
 * Looking up
 *--------------------------------------------------------------*/

bool hpm_index_find(struct hpm_cache *cache, u64 pbn, unsigned int skip,
		    struct hpm_place *place, u64 *fp)
{
	u32 hash = hpm_hash_of(cache, pbn);
	struct hpm_shard *shard = hpm_shard_of(cache, hash);
	unsigned long flags;
	struct hpm_copy *c;
	bool found;

	spin_lock_irqsave(&shard->lock, flags);
	c = *__hpm_find_copy(hpm_bucket_of(cache, hash), pbn);
	while (skip-- && hpm_is_of(c, pbn))
		c = c->next;
	found = hpm_is_of(c, pbn);
	if (found) {
		if (c->kept) {
			get_page(pfn_to_page(hpm_pfn_of(c)));
			list_move_tail(&c->lru, &shard->kept);
		}
		hpm_place_of(c, place);
		*fp = c->fp;
	}
	spin_unlock_irqrestore(&shard->lock, flags);
	return found;
}

bool hpm_index_has(struct hpm_cache *cache, u64 pbn)
{
	u32 hash = hpm_hash_of(cache, pbn);
	struct hpm_shard *shard = hpm_shard_of(cache, hash);
	unsigned long flags;
	bool has;

	spin_lock_irqsave(&shard->lock, flags);
	has = *__hpm_find_copy(hpm_bucket_of(cache, hash), pbn);
	spin_unlock_irqrestore(&shard->lock, flags);
	return has;
}

/*----------------------------------------------------------------
 * Entering
 *--------------------------------------------------------------*/

/* No entry for a frame that goes offline, or whose number exceeds 40 bits. */
static bool is_barred(const struct hpm_cache *cache, unsigned long pfn)
{
	return hpm_frame_barred(cache, pfn) || pfn >> 40;
}

/* Removes a copy from its chain, wherever it is. */
static void __take(struct hpm_cache *cache, struct hpm_shard *shard,
		   struct hpm_copy *c)
{
	struct hpm_copy *head, **link;

	link = __hpm_find_copy(hpm_bucket_of(cache, hpm_hash_of(cache, c->pbn)),
			       c->pbn);
	head = *link;
	while (*link != c)
		link = &(*link)->next;
	__hpm_unlink_copy(shard, head, link);
}

/* Removes and returns the copy that a full shard drops; NULL: it is empty. */
static struct hpm_copy *__take_coldest(struct hpm_cache *cache,
				       struct hpm_shard *shard)
{
	struct hpm_copy *c = NULL;
	unsigned int heat;

	for (heat = 0; heat < HPM_NR_HEATS && !c; heat++)
		c = list_first_entry_or_null(&shard->lru[heat],
					     struct hpm_copy, lru);
	if (!c)
		c = list_first_entry_or_null(&shard->kept, struct hpm_copy,
					     lru);
	if (!c)
		return NULL;
	__take(cache, shard, c);
	return c;
}

static void fill_copy(struct hpm_cache *cache, struct hpm_copy *c, u64 pbn,
		      u64 fp, const struct hpm_place *place)
{
	struct hpm_copy new;

	new.word = 0;
	new.pbn = pbn;
	new.pfn_high = place->pfn >> 32;
	new.era = READ_ONCE(cache->era);
	new.heat = HPM_HEAT_WARM;
	new.meta = place->meta;
	new.kept = place->kept;
	c->word = new.word;
	c->fp = fp;
	c->mapping = place->mapping;
	c->index = place->index;
	c->pfn_low = (u32)place->pfn;
}

/*
 * Removes and returns the copy at @place, if there is one already: the page was
 * dropped from its file and read again.  *nr becomes the number of other copies
 * of the block that are not kept.
 */
static inline struct hpm_copy *__take_known(struct hpm_shard *shard,
					    struct hpm_copy **link, u64 pbn,
					    const struct hpm_place *place,
					    unsigned int *nr)
{
	struct hpm_copy *c, *head = *link, *known = NULL;

	for (*nr = 0; hpm_is_of(c = *link, pbn);) {
		if (is_at(c, place)) {
			__hpm_unlink_copy(shard, head, link);
			known = c;
			continue;
		}
		*nr += !c->kept;
		link = &c->next;
	}
	return known;
}

/* Adds a copy as the head of its block, or behind the kept copy. */
static inline void __add(struct hpm_shard *shard, struct hpm_copy **link,
			 struct hpm_copy *c)
{
	struct hpm_copy *head = *link;

	if (!hpm_is_of(head, c->pbn))
		WRITE_ONCE(shard->nr_blocks, shard->nr_blocks + 1);
	else if (head->kept)
		link = &head->next;
	c->next = *link;
	WRITE_ONCE(*link, c);
	list_add_tail(&c->lru, c->kept ? &shard->kept : &shard->lru[c->heat]);
	WRITE_ONCE(shard->nr, shard->nr + 1);
	shard->nr_kept += c->kept;
}

/*
 * All copies of a block have one fingerprint.  If the device returns other
 * bytes than before, the block was damaged below the pool, and its copies
 * cannot be trusted: all are dropped.
 */
static void __check_unchanged(struct hpm_cache *cache, struct hpm_shard *shard,
			      struct hpm_copy **link, u64 pbn, u64 fp)
{
	if (likely(!hpm_is_of(*link, pbn) || (*link)->fp == fp))
		return;
	__hpm_drop_block(shard, link, pbn);
	this_cpu_inc(cache->stats->changed);
	DMERR_LIMIT("%s: data block %llu changed between two reads: check the data device",
		    cache->pool->name, pbn);
}

/* For a full shard: removes a copy and returns its entry, or NULL. */
static struct hpm_copy *__take_another(struct hpm_cache *cache,
				       struct hpm_shard *shard)
{
	struct hpm_copy *c = __take_coldest(cache, shard);

	if (c && c->kept) {
		hpm_free_copy(c);
		c = NULL;
	}
	return c;
}

/*
 * Returns how many copies the block has now that are not kept; 0: there was no
 * free entry.
 */
static unsigned int __enter(struct hpm_cache *cache, struct hpm_shard *shard,
			    struct hpm_copy **bucket, u64 pbn, u64 fp,
			    const struct hpm_place *place)
{
	struct hpm_copy **link = __hpm_find_copy(bucket, pbn), *c;
	unsigned int nr;

	__check_unchanged(cache, shard, link, pbn, fp);
	c = __take_known(shard, link, pbn, place, &nr);
	if (!c && unlikely(shard->nr >= READ_ONCE(cache->max_nr))) {
		c = __take_another(cache, shard);
		link = __hpm_find_copy(bucket, pbn);
	}
	if (!c)
		c = __hpm_take_spare(shard);
	if (!c)
		return 0;
	fill_copy(cache, c, pbn, fp, place);
	__add(shard, link, c);
	return nr + 1;
}

/*
 * Allocates an entry for __enter().  If another thread takes it first, the copy
 * is not entered.
 */
static void get_spare(struct hpm_shard *shard)
{
	struct hpm_copy *c;
	unsigned long flags;

	c = hpm_alloc_copy();
	if (!c)
		return;
	spin_lock_irqsave(&shard->lock, flags);
	__hpm_spare_copy(shard, c);
	spin_unlock_irqrestore(&shard->lock, flags);
}

/*
 * Returns the link to the copy of a block that should become a victim: the
 * coldest, and of equally cold ones the oldest.  NULL: all are young or pinned.
 * Drops entries whose frame holds another page, and subtracts them from *nr.
 */
static inline struct hpm_copy **__find_coldest(struct hpm_cache *cache,
					       struct hpm_shard *shard,
					       struct hpm_copy **block, u64 pbn,
					       unsigned int *nr)
{
	struct hpm_copy *c, **link = hpm_behind_kept(block), **found = NULL;
	unsigned int looks = SURPLUS_LOOKS;
	u8 heat, least = HPM_HEAT_HOT;

	while (hpm_is_of(c = *link, pbn) && looks) {
		if (!hpm_is_young(cache, c)) {
			looks--;
			heat = hpm_heat_of(c);
			if (heat == HPM_HEAT_GONE) {
				__hpm_drop_copy(shard, block, link);
				--*nr;
				continue;
			}
			if (heat <= least) {
				least = heat;
				found = link;
			}
		}
		link = &c->next;
	}
	return found;
}

/*
 * A block with a new copy has more than may stay: makes a victim of one of its
 * older copies.  Returns the news for hpm_evict_tell().
 */
static unsigned int __take_surplus(struct hpm_cache *cache,
				   struct hpm_shard *shard,
				   struct hpm_copy **block, u64 pbn,
				   unsigned int nr)
{
	struct hpm_surplus *s = this_cpu_ptr(cache->surplus);
	unsigned int limit = READ_ONCE(cache->limit_now), news;
	struct hpm_copy **link;
	bool take;

	link = __find_coldest(cache, shard, block, pbn, &nr);
	spin_lock(&s->lock);
	take = link && nr > limit && s->nr < HPM_MAX_SURPLUS;
	if (take)
		__hpm_make_victim(shard, block, link, &s->victim[s->nr++]);
	news = __hpm_evict_count(cache, s, take, nr - take > limit);
	spin_unlock(&s->lock);
	return news;
}

void hpm_index_enter(struct hpm_cache *cache, u64 pbn, u64 fp,
		     const struct hpm_place *place)
{
	u32 hash = hpm_hash_of(cache, pbn);
	struct hpm_shard *shard = hpm_shard_of(cache, hash);
	struct hpm_copy **bucket = hpm_bucket_of(cache, hash);
	unsigned int nr, news = 0;
	unsigned long flags;

	if (is_barred(cache, place->pfn))
		return;

	if (!READ_ONCE(shard->spare))
		get_spare(shard);
	spin_lock_irqsave(&shard->lock, flags);
	nr = __enter(cache, shard, bucket, pbn, fp, place);
	if (nr > READ_ONCE(cache->limit_now))
		news = __take_surplus(cache, shard,
				      __hpm_find_copy(bucket, pbn), pbn, nr);
	spin_unlock_irqrestore(&shard->lock, flags);

	if (nr)
		this_cpu_inc(cache->stats->entered);
	else
		this_cpu_inc(cache->stats->no_memory);
	hpm_evict_tell(cache, news);
}

/*
 * While the victim was out of the index, hpm_index_drop() could not drop it.
 * So it is entered only if the block has a copy with the same fingerprint: if
 * the block was freed, its copies were dropped, and a later copy with the same
 * fingerprint has the victim's bytes.
 */
void hpm_index_put_back(struct hpm_cache *cache, const struct hpm_victim *v)
{
	u32 hash = hpm_hash_of(cache, v->pbn);
	struct hpm_shard *shard = hpm_shard_of(cache, hash);
	struct hpm_copy **bucket = hpm_bucket_of(cache, hash), *head;
	unsigned long flags;

	if (is_barred(cache, v->place.pfn))
		return;

	if (!READ_ONCE(shard->spare))
		get_spare(shard);
	spin_lock_irqsave(&shard->lock, flags);
	head = *__hpm_find_copy(bucket, v->pbn);
	if (head && head->fp == v->fp)
		__enter(cache, shard, bucket, v->pbn, v->fp, &v->place);
	spin_unlock_irqrestore(&shard->lock, flags);
}

/*
 * Returns false if the block has a kept copy already, or copies with another
 * fingerprint.  If the shard has enough kept copies, drops the oldest.
 */
static bool __keep(struct hpm_cache *cache, struct hpm_shard *shard,
		   struct hpm_copy *c)
{
	u32 hash = hpm_hash_of(cache, c->pbn);
	struct hpm_copy **bucket = hpm_bucket_of(cache, hash);
	struct hpm_copy *head = *__hpm_find_copy(bucket, c->pbn), *oldest;

	if (head && (head->kept || head->fp != c->fp))
		return false;
	if (shard->nr_kept == MAX_KEPT) {
		oldest = list_first_entry(&shard->kept, struct hpm_copy, lru);
		__take(cache, shard, oldest);
		hpm_free_copy(oldest);
	}
	__add(shard, __hpm_find_copy(bucket, c->pbn), c);
	return true;
}

void hpm_index_keep(struct hpm_cache *cache, u64 pbn, u64 fp,
		    const void *bytes)
{
	struct hpm_shard *shard = hpm_shard_of(cache, hpm_hash_of(cache, pbn));
	struct hpm_place place = { .kept = true };
	struct hpm_copy *c;
	unsigned long flags;
	struct page *page;
	bool kept;

	page = alloc_page(GFP_NOWAIT | __GFP_NOWARN);
	if (!page)
		return;
	memcpy(page_address(page), bytes, HPM_BLOCK_SIZE);
	place.pfn = page_to_pfn(page);
	c = hpm_alloc_copy();
	if (!c || is_barred(cache, place.pfn)) {
		__free_page(page);
		if (c)
			hpm_free_blank_copy(c);
		return;
	}
	fill_copy(cache, c, pbn, fp, &place);
	spin_lock_irqsave(&shard->lock, flags);
	kept = __keep(cache, shard, c);
	spin_unlock_irqrestore(&shard->lock, flags);
	if (!kept)
		hpm_free_copy(c);
}

/*----------------------------------------------------------------
 * Dropping
 *--------------------------------------------------------------*/

void hpm_index_remove(struct hpm_cache *cache, u64 pbn,
		      const struct hpm_place *place)
{
	u32 hash = hpm_hash_of(cache, pbn);
	struct hpm_shard *shard = hpm_shard_of(cache, hash);
	unsigned long flags;
	struct hpm_copy *c;
	unsigned int nr;

	spin_lock_irqsave(&shard->lock, flags);
	c = __take_known(shard,
			 __hpm_find_copy(hpm_bucket_of(cache, hash), pbn), pbn,
			 place, &nr);
	spin_unlock_irqrestore(&shard->lock, flags);
	if (c)
		hpm_free_copy(c);
}

/*----------------------------------------------------------------
 * Memory
 *--------------------------------------------------------------*/

/* Drops a few copies of a shard; none if its lock is taken. */
static unsigned long shrink_shard(struct hpm_cache *cache,
				  struct hpm_shard *shard, unsigned long nr)
{
	unsigned long flags, freed = 0;
	struct hpm_copy *c;

	if (!spin_trylock_irqsave(&shard->lock, flags))
		return 0;
	__hpm_free_spare(shard);
	while (freed < nr && (c = __take_coldest(cache, shard))) {
		hpm_free_copy(c);
		freed++;
	}
	spin_unlock_irqrestore(&shard->lock, flags);
	return freed;
}

unsigned long hpm_index_shrink(struct hpm_cache *cache, unsigned long nr)
{
	unsigned long each = DIV_ROUND_UP(nr, HPM_CACHE_SHARDS), freed = 0;
	unsigned int next = READ_ONCE(cache->next_shrunk), i;

	for (i = 0; i < HPM_CACHE_SHARDS && freed < nr; i++, next++)
		freed += shrink_shard(cache,
				      &cache->shard[next % HPM_CACHE_SHARDS],
				      each);
	WRITE_ONCE(cache->next_shrunk, next);
	return freed;
}

/* Drops some of the copies above the limit @nr; true: more are left. */
static bool limit_shard(struct hpm_cache *cache, struct hpm_shard *shard,
			unsigned long nr)
{
	unsigned int left = HPM_WITHOUT_PAUSE;
	struct hpm_copy *c = NULL;
	unsigned long flags;

	spin_lock_irqsave(&shard->lock, flags);
	while (shard->nr > nr && left-- && (c = __take_coldest(cache, shard)))
		hpm_free_copy(c);
	spin_unlock_irqrestore(&shard->lock, flags);
	return c && READ_ONCE(shard->nr) > nr;
}

void hpm_index_limit(struct hpm_cache *cache, unsigned long nr)
{
	unsigned long each = DIV_ROUND_UP(nr, HPM_CACHE_SHARDS);
	struct hpm_shard *shard;

	WRITE_ONCE(cache->max_nr, each);
	for (shard = cache->shard; shard < cache->shard + HPM_CACHE_SHARDS;
	     shard++)
		while (limit_shard(cache, shard, each))
			cond_resched();
}
