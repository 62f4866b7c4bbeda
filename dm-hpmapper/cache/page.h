/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages: which may become copies, and which still look like one.
 */
#ifndef HPM_PAGE_H
#define HPM_PAGE_H

#include "cache-priv.h"

/*
 * Does the frame still hold the page that was entered?  A guess, as the caller
 * may have no reference to the page.
 */
static inline bool hpm_frame_looks(struct page *page, struct folio *folio,
				   const struct address_space *mapping,
				   u32 index)
{
	return READ_ONCE(folio->mapping) == mapping &&
	       READ_ONCE(folio->index) + folio_page_idx(folio, page) == index;
}

/*
 * Is the frame in memory that is going offline?  The caller holds a token from
 * before the call until it is done with the frame: see memory_event().
 */
static inline bool hpm_frame_barred(const struct hpm_cache *cache,
				    unsigned long pfn)
{
	unsigned long first = READ_ONCE(cache->barred_pfn);

	/*
	 * If the bar was lifted, pfn_to_online_page() tells whether the memory
	 * is offline: see memory_event().
	 */
	return pfn - first < smp_load_acquire(&cache->barred_nr);
}

/*
 * Returns the folio with a reference if it is still at @place, or NULL.  Any
 * context.  The caller holds a token, which keeps memory from going offline,
 * and has taken it before it found the copy, or has checked the frame: see
 * victim_folio().
 */
struct folio *hpm_place_get(const struct hpm_place *place);

/*
 * For a folio that was in @mapping, the page cache of a block device: is the
 * page's buffer clean?  Returns false, too, if the folio is locked or has left
 * the mapping.  The caller has a reference to the folio.
 */
bool hpm_buffers_clean(struct folio *folio, struct page *page,
		       const struct address_space *mapping);

/*
 * The folio was found at @place, and the caller has a reference to it.  Are the
 * bytes of the page those on the device, as far as its flags show?
 */
static inline bool hpm_place_clean(struct folio *folio, struct page *page,
				   const struct hpm_place *place)
{
	if (folio_test_dirty(folio) || folio_test_writeback(folio))
		return false;
	return !place->meta || hpm_buffers_clean(folio, page, place->mapping);
}

/* A page that a bio is read into. */
struct hpm_dest {
	bool private;		/* may be given bytes before their proof */
	bool source;		/* may be entered */
	struct hpm_place place;
};

/* Fills in @d for a page that a bio of the volume is read into; any context. */
void hpm_look_at_page(struct hpm_volume *v, struct page *page,
		      struct hpm_dest *d);
/* Is the folio, which @bio is read into, a file system's own buffer? */
bool hpm_is_buffer_memory(const struct bio *bio, struct folio *folio);

#endif /* HPM_PAGE_H */
