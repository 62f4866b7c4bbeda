/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The applier: what is published goes into the trees.
 */
#ifndef HPM_APPLIER_H
#define HPM_APPLIER_H

#include "journal.h"

/* md->lock held: applies published changes up to @record. */
int hpm_apply_upto(struct hpm_md *md, u64 record);
/* The number of the snapshot that is to be applied, or 0. */
u64 hpm_snap_pending(struct hpm_md *md);
/* The pool's time and how many volumes there are, with that snapshot. */
void hpm_snap_stats(struct hpm_md *md, struct hpm_md_stats *st);
/* md->lock held: applies up to it, so that all volumes are there. */
int hpm_apply_snap_pending(struct hpm_md *md);
/* md->lock held: records, applies what came before, then the record itself. */
int hpm_record_now(struct hpm_md *md, union hpm_record_buf *buf);
/* Likewise, if all is applied that came before; else -EAGAIN, and nothing is done. */
int hpm_record_next(struct hpm_md *md, union hpm_record_buf *buf);
/* md->lock held: all that is published by now. */
int hpm_apply_all(struct hpm_md *md);

#endif /* HPM_APPLIER_H */
