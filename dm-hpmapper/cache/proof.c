// SPDX-License-Identifier: GPL-2.0-only
/*
 * The proof
 *
 * The index names a page that may hold anything by now: it may be truncated,
 * rewritten, a part of a journal's transaction, another file's page, or another
 * process's heap.  No set of locks and flags that a driver has access to
 * excludes this, so none is relied on.  The bytes are copied first, and the
 * keyed fingerprint (fingerprint.c) of the copied bytes is compared with that
 * of the block.  Either they are the block's bytes, or there is no hit, even if
 * the page changed while it was copied.  The tests before only save work:
 * whether the frame holds the page that was entered, and whether the page is
 * marked as changed.  So the source need not be locked, and 64 readers can copy
 * from one page at once.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "cache-trace.h"
#include "fault.h"
#include "index.h"
#include "page.h"
#include "pause.h"
#include "proof.h"

/* The most copies of a block that are tried for one read. */
#define TRIES		4

/*
 * If copies from a volume's pages fail the proof this many times within an
 * hour, the volume is barred: none of its pages are entered any more.  A file
 * that is rewritten in place causes one failure for each of its pages that
 * other volumes ask for, so a volume may rewrite 4 GiB.  As guesses of a
 * fingerprint, this many tries do not matter: see fingerprint.c.
 */
#define MAX_MISMATCHES	BIT(20)

/* Returns the volume of a file, or NULL.  pool->lock held. */
static struct hpm_volume *volume_of(struct hpm_pool *pool, struct inode *host)
{
	struct block_device *bdev = host->i_sb->s_bdev;

	return bdev ? hpm_volume_by_disk(pool, bdev->bd_disk) : NULL;
}

/* Counts a failed proof; too many bar the volume.  pool->lock held. */
static void __blame(struct hpm_cache *cache, struct hpm_volume *v)
{
	if (time_after(jiffies, v->mismatch_since + 3600 * HZ)) {
		v->mismatch_since = jiffies;
		v->mismatches = 0;
	}
	if (++v->mismatches < MAX_MISMATCHES || v->barred)
		return;
	WRITE_ONCE(v->barred, true);
	cache->nr_barred++;
	DMWARN("%s: volume %u no longer shares the pages that it reads: too many have changed",
	       cache->pool->name, v->id);
}

static void blame(struct hpm_cache *cache, const struct hpm_place *place)
{
	struct hpm_pool *pool = cache->pool;
	struct hpm_volume *v;
	unsigned long flags;
	struct folio *folio;

	folio = hpm_place_get(place);
	if (!folio)
		return;
	/* While the folio is locked, its inode and its file system exist. */
	if (folio_trylock(folio)) {
		if (folio->mapping == place->mapping) {
			spin_lock_irqsave(&pool->lock, flags);
			v = volume_of(pool, place->mapping->host);
			if (v)
				__blame(cache, v);
			spin_unlock_irqrestore(&pool->lock, flags);
		}
		folio_unlock(folio);
	}
	folio_put(folio);
}

static u64 clmul_copy(struct hpm_cache *cache, void *to, const void *from)
{
	switch (cache->simd) {
	case HPM_SIMD_VPCLMUL:
		return hpm_fingerprint_vpclmul_copy(&cache->key, to, from);
	case HPM_SIMD_AVX2:
		return hpm_fingerprint_avx2_copy(&cache->key, to, from);
	default:
		return hpm_fingerprint_clmul_copy(&cache->key, to, from);
	}
}

/*
 * Copies a block to @to, which must be private; *fp becomes the fingerprint of
 * the bytes there.  Returns false in an interrupt that came while the kernel
 * was using vector registers, if they are needed.
 */
static bool copy_block(struct hpm_cache *cache, void *to, struct page *page,
		       u64 *fp)
{
	const void *from = kmap_local_page(page);
	bool done = true;

	if (cache->simd == HPM_SIMD_NONE) {
		memcpy(to, from, HPM_BLOCK_SIZE);
		*fp = hpm_fingerprint(&cache->key, to);
	} else if (hpm_simd_begin()) {
		*fp = clmul_copy(cache, to, from);
		hpm_simd_end();
	} else {
		done = false;
	}
	kunmap_local(from);
	return done;
}

bool hpm_block_fingerprint(struct hpm_cache *cache, const void *block,
			   u64 *fp)
{
	if (cache->simd == HPM_SIMD_NONE) {
		*fp = hpm_fingerprint(&cache->key, block);
	} else {
		if (!hpm_simd_begin())
			return false;
		*fp = hpm_fingerprint_clmul(&cache->key, block);
		hpm_simd_end();
	}
	return true;
}

/*
 * Returns the folio of a kept page, to which hpm_index_find() has taken a
 * reference.  If its memory is damaged, puts the reference and returns NULL.
 */
static struct folio *kept_folio(struct page *page)
{
	if (likely(!PageHWPoison(page)))
		return page_folio(page);
	put_page(page);
	return NULL;
}

/* Copies the page at @place to @to, which is private, and proves the bytes. */
static enum hpm_miss take_copy(struct hpm_cache *cache,
			       const struct hpm_place *place, void *to, u64 fp)
{
	struct page *page = pfn_to_page(place->pfn);
	struct folio *folio;
	bool copied;
	u64 seen;

	folio = place->kept ? kept_folio(page) : hpm_place_get(place);
	if (!folio)
		return HPM_MISS_STALE;
	if (!place->kept && !hpm_place_clean(folio, page, place)) {
		folio_put(folio);
		return HPM_MISS_BUSY;
	}
	hpm_pause(HPM_POINT_GOT);
	copied = copy_block(cache, to, page, &seen);
	folio_put(folio);
	if (!copied)
		return HPM_MISS_BUSY;
	hpm_pause(HPM_POINT_COPIED);

	if (likely(seen == fp) || hpm_fault(HPM_FAULT_PROVE_NOTHING))
		return HPM_HIT;
	if (!place->kept)
		blame(cache, place);
	return HPM_MISS_CAUGHT;
}

static void count_miss(struct hpm_cache *cache, u64 pbn, enum hpm_miss cause)
{
	switch (cause) {
	case HPM_MISS_STALE:
		this_cpu_inc(cache->stats->miss_stale);
		break;
	case HPM_MISS_BUSY:
		this_cpu_inc(cache->stats->miss_busy);
		break;
	case HPM_MISS_CAUGHT:
		this_cpu_inc(cache->stats->caught);
		break;
	default:
		this_cpu_inc(cache->stats->miss_new);
	}
	trace_hpm_miss(cache->pool, pbn, cause);
}

/*
 * Entries whose page has gone, or fails the proof, are dropped.  Those of pages
 * that are dirty or in use stay, as such a page may hold the block's bytes
 * again.
 */
bool hpm_take_block(struct hpm_cache *cache, u64 pbn, void *to, u64 *fp)
{
	enum hpm_miss r = HPM_MISS_NEW;
	unsigned int tries, busy = 0;
	struct hpm_place place;

	for (tries = 0; tries < TRIES; tries++) {
		if (!hpm_index_find(cache, pbn, busy, &place, fp))
			break;
		if (!tries)
			hpm_pause(HPM_POINT_LOOKED_UP);
		r = take_copy(cache, &place, to, *fp);
		if (r == HPM_HIT) {
			trace_hpm_hit(cache->pool, pbn, &place);
			this_cpu_inc(cache->stats->hits);
			return true;
		}
		if (r == HPM_MISS_BUSY)
			busy++;
		else
			hpm_index_remove(cache, pbn, &place);
	}
	count_miss(cache, pbn, r);
	return false;
}
