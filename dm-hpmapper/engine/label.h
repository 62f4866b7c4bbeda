/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The label, which identifies the pool and describes its layout.
 */
#ifndef HPM_LABEL_H
#define HPM_LABEL_H

#include "metadata.h"

/*
 * The seed of the label's checksum.  The seed of other blocks is made of the
 * uuid, which is read from the label.
 */
static inline u32 hpm_label_seed(void)
{
	return crc32c(~0u, "hpmapper label", 14);
}

void hpm_set_uuid(struct hpm_md *md, const u8 *uuid);
void hpm_set_large_shift(struct hpm_md *md, unsigned int shift);
/*
 * Writes the label from what the engine has in memory; durable on return.
 * @label is a buffer for it.
 */
int hpm_label_write(struct hpm_md *md, u64 block, struct hpm_label *label);
/* Checks the label that was read from HPM_LABEL_BLOCK, and takes it over. */
int hpm_label_take(struct hpm_md *md, const struct hpm_label *l,
		   const char **why);

#endif /* HPM_LABEL_H */
