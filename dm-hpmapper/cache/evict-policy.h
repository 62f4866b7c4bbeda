/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which copies of a block are to go: the cache manager's decisions, without
 * the pages.
 */
#ifndef HPM_EVICT_POLICY_H
#define HPM_EVICT_POLICY_H

#include "env.h"

/* In the order in which copies go; the last one never does. */
enum hpm_heat {
	HPM_HEAT_COLD,		/* not used since it was read */
	HPM_HEAT_WARM,		/* used once */
	HPM_HEAT_HOT,		/* used again and again */
	HPM_HEAT_PINNED,	/* mapped into a process, or dirty */
	HPM_NR_HEATS,
};

/*
 * What the kernel knows about a page's use.  The classic LRU marks a page
 * @referenced at its first use and moves it to the list of the @active at the
 * second.  The multi-generational one clears the mark of the active list when it
 * files a page, and counts uses instead (@refs), the first of them again by the
 * mark "referenced".  A page is @pinned if it is mapped into a process, or dirty.
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
 * Picks those that exceed @limit, coldest first, then oldest; their indexes are
 * stored in @victims, in this order.  Returns how many.
 */
unsigned int hpm_evict_select(const u8 *heat, unsigned int nr,
			      unsigned int limit, unsigned int *victims);

/*
 * How many copies may stay, @limit having been asked for: it goes down to one
 * as @available gets short of @total, and at once when the kernel asked for
 * memory back (@shrunk).
 */
unsigned int hpm_evict_limit(unsigned int limit, u64 available, u64 total,
			     bool shrunk);

#endif /* HPM_EVICT_POLICY_H */
