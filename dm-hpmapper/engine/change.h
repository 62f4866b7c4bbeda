/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes on their way to the tree.
 */
#ifndef HPM_CHANGE_H
#define HPM_CHANGE_H

#include "metadata-volume.h"

/*
 * If a published change covers @vbn, fills in @run and returns true;
 * else cuts *max down to where the next one begins.  Under rcu_read_lock().
 */
bool hpm_changes_lookup(struct hpm_vol *vol, u64 vbn, u32 *max,
			struct hpm_run *run);

union hpm_record_buf;

/* What the change is as a record. */
void hpm_change_record(const struct hpm_change *c, union hpm_record_buf *buf);
/* The tree has it: readers find it there.  The caller frees it. */
void hpm_change_retire(struct hpm_change *c);
/* One grace period for all that are on the list, by their fifo. */
void hpm_changes_free(struct list_head *list);
/* Numbers the snapshot in journal.snap: one credit.  Its origin is quiet. */
void hpm_snap_publish(struct hpm_md *md);

#endif /* HPM_CHANGE_H */
