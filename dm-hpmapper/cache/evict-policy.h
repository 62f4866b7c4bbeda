/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache manager's decisions, which do not touch pages: which copies of a
 * block are evicted.
 */
#ifndef HPM_EVICT_POLICY_H
#define HPM_EVICT_POLICY_H

#include "env.h"

/* In the order of eviction; pinned copies are not evicted. */
enum hpm_heat {
	HPM_HEAT_COLD,		/* not used since it was read */
	HPM_HEAT_WARM,		/* used once */
	HPM_HEAT_HOT,		/* used again and again */
	HPM_HEAT_PINNED,	/* mapped into a process, or dirty */
	HPM_NR_HEATS,
};

/*
 * Derives the heat from the kernel's flags of a page.  The classic LRU sets
 * @referenced at the first use of a page and moves it to the @active list at
 * the second.  The multi-generational LRU clears the active flag when it adds a
 * page to its lists.  It sets @referenced at the first use, too, and counts
 * further uses in @refs.  A page is @pinned if it is mapped into a process, or
 * dirty.
 */
static inline enum hpm_heat hpm_page_heat(bool pinned, bool referenced,
					  bool active, bool workingset,
					  unsigned int refs)
{
	if (pinned)
		return HPM_HEAT_PINNED;
	if (active || workingset || refs)
		return HPM_HEAT_HOT;
	return referenced ? HPM_HEAT_WARM : HPM_HEAT_COLD;
}

/*
 * @heat has the heat of each of @nr copies of one block, the latest first.
 * Stores in @victims the indexes of as many copies as exceed @limit, coldest
 * first, of equally hot ones the oldest first.  Pinned copies are not chosen.
 * Returns the number of victims.
 */
unsigned int hpm_evict_select(const u8 *heat, unsigned int nr,
			      unsigned int limit, unsigned int *victims);

/*
 * Returns how many copies of a block may stay: @limit if enough of the @total
 * memory is @available, fewer as it gets less, and one if the kernel has asked
 * for memory (@shrunk).
 */
unsigned int hpm_evict_limit(unsigned int limit, u64 available, u64 total,
			     bool shrunk);

#endif /* HPM_EVICT_POLICY_H */
