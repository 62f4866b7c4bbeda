/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Credits, as the engine sees them; metadata.h has what others may do with one.
 */
#ifndef HPM_CREDIT_H
#define HPM_CREDIT_H

#include "journal.h"

/* Records that may be published and not yet be in the trees. */
#define HPM_MAX_BACKLOG		2048
/* Of them, so many at most are not for writes of volumes. */
#define HPM_CREDITS_KEPT	32
/*
 * Records after which a checkpoint is due; twice as many are the limit.  So many,
 * each to another leaf that recovery has to read, are replayed in less than two
 * seconds (make bench-recovery).
 */
#define HPM_CHECKPOINT_RECORDS	6500

/* Wakes who waits for a credit. */
static inline void hpm_wake_waiters(struct hpm_journal *j)
{
	/* Without a barrier: who misses it looks again a little later. */
	if (unlikely(waitqueue_active(&j->credit_wq)))
		wake_up_all(&j->credit_wq);
}

void hpm_credit_progress(struct hpm_md *md);
/* What stands in the way of more records: 0, or whom to kick. */
enum hpm_credit_wall {
	CREDIT_FREE,
	CREDIT_BACKLOG,
	CREDIT_BATCH,
	CREDIT_RING,
	CREDIT_META,
};

/* As hpm_credit_get(), and kicks nobody. */
enum hpm_credit_wall hpm_credit_try(struct hpm_md *md, unsigned int n,
				    enum hpm_credit_use use);
/* Is there metadata for @out records, one of @use among them? */
bool hpm_credit_has_meta(struct hpm_md *md, u64 out, enum hpm_credit_use use);
/* Could a checkpoint gain anything? */
bool hpm_room_to_gain(struct hpm_md *md);
/* Blocks that nobody needs, nor is to keep, beside the credits that are out. */
u64 hpm_credit_spare(struct hpm_md *md);
/* After a cut: does what is free not cover the credits that are out? */
bool hpm_credit_tight(struct hpm_md *md);
/* Is there so little left that checkpoints had better gain all they can? */
bool hpm_meta_short(struct hpm_md *md);

#endif /* HPM_CREDIT_H */
