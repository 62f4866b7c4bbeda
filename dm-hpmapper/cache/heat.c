// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heat: how much a page is used
 */
#include <linux/mm.h>

#include "heat.h"
#include "page.h"

/*
 * Returns the heat of a folio.  The caller may have no reference to it, and the
 * frame may be used for something else at any time.  So only fields that every
 * struct page has are read, and the result is a guess.
 */
static inline u8 page_heat(struct folio *folio)
{
	unsigned long flags = hpm_folio_flags(folio);

	return hpm_page_heat(flags & (BIT(PG_dirty) | BIT(PG_writeback)) ||
				     atomic_read(&folio->_mapcount) >= 0,
			     flags & BIT(PG_referenced), flags & BIT(PG_active),
			     flags & BIT(PG_workingset),
			     hpm_folio_lru_refs(folio));
}

/*
 * The same for a page of a large folio.  Whether that is mapped is in fields
 * that not every struct page has, so a reference is taken.
 */
static u8 large_heat(unsigned long pfn, struct address_space *mapping,
		     u32 index)
{
	struct hpm_place place = {
		.pfn = pfn,
		.mapping = mapping,
		.index = index,
	};
	struct folio *folio = hpm_place_get(&place);
	u8 heat;

	if (!folio)
		return HPM_HEAT_GONE;
	heat = folio_mapped(folio) ? HPM_HEAT_PINNED : page_heat(folio);
	folio_put(folio);
	return heat;
}

u8 hpm_frame_heat(unsigned long pfn, struct address_space *mapping, u32 index)
{
	struct page *page = pfn_to_page(pfn);
	struct folio *folio = page_folio(page);

	if (!hpm_frame_looks(page, folio, mapping, index) || PageHWPoison(page))
		return HPM_HEAT_GONE;
	return folio_test_large(folio) ? large_heat(pfn, mapping, index) :
					 page_heat(folio);
}
