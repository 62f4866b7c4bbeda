// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache manager's decisions.
 *
 * A block's copies are all alike, so it does not matter to a reader which of
 * them stays; it matters to the one whose copy goes, who gets it back at the
 * price of a copy from another page when he reads it again.  Hence the coldest
 * go first, and of equally hot ones the oldest, whose reader is the likeliest
 * to be done with it.
 */
#include "evict-policy.h"

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

	/* Mostly it is one. */
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

/* All of it with a quarter of the memory available, one with a sixteenth. */
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
