/* SPDX-License-Identifier: GPL-2.0-only */
/* The applier: puts published records into the trees. */
#ifndef HPM_APPLIER_H
#define HPM_APPLIER_H

#include "journal.h"

/* Applies the published changes up to @record.  md->lock held. */
int hpm_apply_upto(struct hpm_md *md, u64 record);
/* The record number of the pending snapshot, or 0. */
u64 hpm_snap_pending(struct hpm_md *md);
/* The pool's time and number of volumes, including a pending snapshot. */
void hpm_snap_stats(struct hpm_md *md, struct hpm_md_stats *st);
/*
 * Applies all records up to a pending snapshot, so that its volume exists.
 * md->lock held.
 */
int hpm_apply_snap_pending(struct hpm_md *md);
/*
 * Appends a record, applies all records before it, then the record.  md->lock
 * held.
 */
int hpm_record_now(struct hpm_md *md, union hpm_record_buf *buf);
/*
 * Likewise, but only if all records before it are applied; if not, it does
 * nothing and returns -EAGAIN.
 */
int hpm_record_next(struct hpm_md *md, union hpm_record_buf *buf);
/* Applies all that is published so far.  md->lock held. */
int hpm_apply_all(struct hpm_md *md);

#endif /* HPM_APPLIER_H */
