/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Applying records to volumes.  md->lock held.
 */
#ifndef HPM_VOLUME_APPLY_H
#define HPM_VOLUME_APPLY_H

#include "metadata.h"

/* The most trees that become dying ones in one step of letting a table go. */
#define HPM_LET_GO_TREES	2
/* Finds a *to for a step so that no more trees than that die. */
int hpm_let_go_bound(struct hpm_md *md, u64 *to);
/*
 * The same, with so few volumes in the step that no more trees can die,
 * whatever records are applied before it.
 */
int hpm_let_go_few(struct hpm_md *md, u64 *to);

/* The functions that apply one record to volumes, dying trees and the rest. */
int hpm_apply_create(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_snap(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_delete(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_reclaim(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_attr(struct hpm_md *md, const struct hpm_disk_record *r);
int hpm_apply_hold(struct hpm_md *md);
int hpm_apply_release(struct hpm_md *md, const struct hpm_disk_record *r);

#endif /* HPM_VOLUME_APPLY_H */
