/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages: what is in one, and what may be done with it.
 */
#ifndef HPM_PAGE_H
#define HPM_PAGE_H

#include "share.h"

/* Is the frame still what it was?  Without a reference, so a guess. */
static inline bool hpm_frame_looks(struct page *page, struct folio *folio,
				   const struct address_space *mapping,
				   u32 index)
{
	return READ_ONCE(folio->mapping) == mapping &&
	       READ_ONCE(folio->index) + folio_page_idx(folio, page) == index;
}

/*
 * The frame is in memory that is going offline, or was when that began to be
 * waited for.  To be asked with a token held: see memory_event().
 */
static inline bool hpm_frame_barred(const struct hpm_share *cache,
				    unsigned long pfn)
{
	unsigned long first = READ_ONCE(cache->barred_pfn);

	/* Lifted: then the memory is marked offline.  See memory_event(). */
	return pfn - first < smp_load_acquire(&cache->barred_nr);
}

/*
 * The folio that is at @place still, with a reference, or NULL.  Any context.
 * A token keeps memory from going offline: the caller holds one since before
 * the copy was found, or asks pfn_to_online_page() first.
 */
struct folio *hpm_place_get(const struct hpm_place *place);

/*
 * Of a folio of a block device that was at @mapping: nobody has changed the buffers
 * that are attached, as far as can be told without waiting.
 */
bool hpm_buffers_clean(struct folio *folio, struct page *page,
		       const struct address_space *mapping);

/*
 * The folio, to which the caller refers, is at @place still: is the page what the
 * device has, and nobody is about to change it?
 */
static inline bool hpm_place_clean(struct folio *folio, struct page *page,
				   const struct hpm_place *place)
{
	if (folio_test_dirty(folio) || folio_test_writeback(folio))
		return false;
	return !place->meta || hpm_buffers_clean(folio, page, place->mapping);
}

/* A page that is being read: what may be done with it, and where it is. */
struct hpm_dest {
	bool private;		/* bytes may be written there before their proof */
	bool source;		/* it may be entered */
	struct hpm_place place;
};

void hpm_look_at_page(struct hpm_volume *v, struct page *page,
		      struct hpm_dest *d);
/* The folio of a page that @bio is read into is a file system's own buffer. */
bool hpm_is_buffer_memory(const struct bio *bio, struct folio *folio);

#endif /* HPM_PAGE_H */
