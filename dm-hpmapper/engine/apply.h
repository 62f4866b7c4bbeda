/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Applying a record.
 */
#ifndef HPM_APPLY_H
#define HPM_APPLY_H

#include "metadata.h"

/* Only this function changes trees, counts and times.  md->lock held. */
int hpm_apply_record(struct hpm_md *md, const struct hpm_disk_record *r);

#endif /* HPM_APPLY_H */
