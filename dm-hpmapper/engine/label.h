/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The label, which says what pool this is and how it is laid out.
 */
#ifndef HPM_LABEL_H
#define HPM_LABEL_H

#include "metadata.h"

/* Of the label's checksum: it has the uuid that the other blocks' seed is made of. */
static inline u32 hpm_label_seed(void)
{
	return crc32c(~0u, "hpmapper label", 14);
}

void hpm_set_uuid(struct hpm_md *md, const u8 *uuid);
void hpm_set_large_shift(struct hpm_md *md, unsigned int shift);
/* What the engine has in memory; durable on return.  @label: a block for it. */
int hpm_label_write(struct hpm_md *md, u64 block, struct hpm_label *label);
/* Looks at what was read from HPM_LABEL_BLOCK and takes over what it says. */
int hpm_label_take(struct hpm_md *md, const struct hpm_label *l,
		   const char **why);

#endif /* HPM_LABEL_H */
