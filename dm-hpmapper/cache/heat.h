/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Heat: how much a page is used.
 */
#ifndef HPM_HEAT_H
#define HPM_HEAT_H

#include "cache-priv.h"

/*
 * Returns how hot the page in the frame is (enum hpm_heat), or HPM_HEAT_GONE if
 * the frame does not hold that page any more.  Any context.  The caller has
 * held a token since before it found the copy, so the memory cannot go offline.
 */
#define HPM_HEAT_GONE	HPM_NR_HEATS
u8 hpm_frame_heat(unsigned long pfn, struct address_space *mapping, u32 index);

#endif /* HPM_HEAT_H */
