/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes on their way to the tree.
 */
#ifndef HPM_CHANGE_H
#define HPM_CHANGE_H

#include "metadata-volume.h"

/*
 * If a published change covers @vbn, fills in @run and returns true.  If not,
 * reduces *max to the distance of the next published change.  Under
 * rcu_read_lock().
 */
bool hpm_changes_lookup(struct hpm_vol *vol, u64 vbn, u32 *max,
			struct hpm_run *run);

union hpm_record_buf;

/* Encodes the change as a record. */
void hpm_change_record(const struct hpm_change *c, union hpm_record_buf *buf);
/*
 * Removes an applied change from the chains: readers find it in the tree.  The
 * caller frees it.
 */
void hpm_change_retire(struct hpm_change *c);
/*
 * Frees all changes on the list, which is linked by ->fifo, after one grace
 * period.
 */
void hpm_changes_free(struct list_head *list);
/*
 * Gives the snapshot in journal.snap its record number; uses one credit.  The
 * caller keeps the origin quiet.
 */
void hpm_snap_publish(struct hpm_md *md);

#endif /* HPM_CHANGE_H */
