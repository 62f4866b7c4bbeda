// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache manager's decisions.
 *
 * All copies of a block have the same bytes, so any of them can serve readers.
 * But the reader whose page is evicted pays for it: when it reads the page
 * again, it has to be copied from another page.  Hence the coldest copies are
 * evicted first, and of equally hot ones the oldest, whose reader is the most
 * likely to be done with it.
 */
#include "evict-policy.h"

/* Returns the index of the coldest copy; of equally cold ones, the oldest. */
static unsigned int coldest(const u8 *heat, unsigned int nr)
{
	unsigned int found = nr - 1, i;

	for (i = nr - 1; i > 0; i--)
		if (heat[i - 1] < heat[found])
			found = i - 1;
	return found;
}

unsigned int hpm_evict_select(const u8 *heat, unsigned int nr,
			      unsigned int limit, unsigned int *victims)
{
	unsigned int surplus = nr > limit ? nr - limit : 0;
	unsigned int found = 0, h, i;

	/* The common case. */
	if (surplus == 1) {
		*victims = coldest(heat, nr);
		return heat[*victims] < HPM_HEAT_PINNED;
	}
	for (h = HPM_HEAT_COLD; h < HPM_HEAT_PINNED; h++)
		for (i = nr; i > 0 && found < surplus; i--)
			if (heat[i - 1] == h)
				victims[found++] = i - 1;
	return found;
}

/*
 * @limit if a quarter of the memory is available, one copy if a sixteenth is,
 * and linear between them.
 */
unsigned int hpm_evict_limit(unsigned int limit, u64 available, u64 total,
			     bool shrunk)
{
	u64 low = total / 16, high = total / 4;

	if (limit <= 1 || shrunk || available <= low)
		return 1;
	if (available >= high)
		return limit;
	return 1 + div64_u64((limit - 1) * (available - low), high - low);
}
