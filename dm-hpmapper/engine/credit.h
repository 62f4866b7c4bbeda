/* SPDX-License-Identifier: GPL-2.0-only */
/* Credits: the functions for the engine's files.  metadata.h has the others. */
#ifndef HPM_CREDIT_H
#define HPM_CREDIT_H

#include "journal.h"

/*
 * Limit of the credits that are out, including records that are not in the
 * trees yet.
 */
#define HPM_MAX_BACKLOG		2048
/* Up to this many of them are kept for uses other than writes of volumes. */
#define HPM_CREDITS_KEPT	32
/*
 * The number of records after which a checkpoint is due; the limit is twice
 * this number.  A recovery replays that many in less than two seconds, even if
 * each changes a leaf that must be read (make bench-recovery).
 */
#define HPM_CHECKPOINT_RECORDS	6500

/* Wakes those that wait for a credit. */
static inline void hpm_wake_waiters(struct hpm_journal *j)
{
	/*
	 * No barrier is needed: a waiter that misses this looks again after
	 * CREDIT_NAP.
	 */
	if (unlikely(waitqueue_active(&j->credit_wq)))
		wake_up_all(&j->credit_wq);
}

void hpm_credit_progress(struct hpm_md *md);
/* Why there is no credit.  The reason decides which worker is kicked. */
enum hpm_credit_wall {
	CREDIT_FREE,
	CREDIT_BACKLOG,
	CREDIT_BATCH,
	CREDIT_RING,
	CREDIT_META,
};

/* Like hpm_credit_get(), but kicks no worker. */
enum hpm_credit_wall hpm_credit_try(struct hpm_md *md, unsigned int n,
				    enum hpm_credit_use use);
/* Is there metadata space for @out records, one of which has the use @use? */
bool hpm_credit_has_meta(struct hpm_md *md, u64 out, enum hpm_credit_use use);
/* Would a checkpoint make metadata blocks usable? */
bool hpm_room_to_gain(struct hpm_md *md);
/* The number of free blocks that neither credits nor the reserve may need. */
u64 hpm_credit_spare(struct hpm_md *md);
/* After a cut: are there too few free blocks for the credits that are out? */
bool hpm_credit_tight(struct hpm_md *md);
/* Is metadata space so short that a checkpoint should gain all it can? */
bool hpm_meta_short(struct hpm_md *md);

#endif /* HPM_CREDIT_H */
