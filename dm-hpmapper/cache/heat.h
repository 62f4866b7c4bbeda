/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Heat: how much a page is used.
 */
#ifndef HPM_HEAT_H
#define HPM_HEAT_H

#include "share.h"

/*
 * How hot the page in the frame is (enum hpm_heat), or that it is another one by
 * now.  Any context; a token is held since before the copy was found.
 */
#define HPM_HEAT_GONE	HPM_NR_HEATS
u8 hpm_frame_heat(unsigned long pfn, struct address_space *mapping, u32 index);

#endif /* HPM_HEAT_H */
