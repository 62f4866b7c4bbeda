/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What records do to volumes.  md->lock held.
 */
#ifndef HPM_VOLUME_APPLY_H
#define HPM_VOLUME_APPLY_H

#include "metadata.h"

/* Trees that die in one step of letting a table go, at the most. */
#define HPM_LET_GO_TREES	2
/* A *to for a step, such that there are no more of them. */
int hpm_let_go_bound(struct hpm_md *md, u64 *to);
/* So few volumes that no more trees can die, whatever comes before the step. */
int hpm_let_go_few(struct hpm_md *md, u64 *to);

/* One record's effect on volumes, dying trees and the rest: the apply_*. */
int hpm_apply_create(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_snap(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_delete(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_reclaim(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_attr(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_hold(struct hpm_md *md);
int hpm_apply_release(struct hpm_md *md, const struct hpm_disk_record *r);

#endif /* HPM_VOLUME_APPLY_H */
