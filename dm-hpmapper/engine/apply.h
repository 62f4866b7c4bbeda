/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Applying a record.
 */
#ifndef HPM_APPLY_H
#define HPM_APPLY_H

#include "metadata.h"

/* The one function that changes trees, spaces and times. */
int hpm_apply_record(struct hpm_md *md, const struct hpm_disk_record *r);

#endif /* HPM_APPLY_H */
