/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replay: reading the ring back.
 */
#ifndef HPM_REPLAY_H
#define HPM_REPLAY_H

#include "metadata.h"

/*
 * Replays the journal from @sb by hpm_apply_record().  -EUCLEAN with *why: a
 * batch in the middle is damaged.  Takes md->lock for each batch.
 */
int hpm_journal_replay(struct hpm_md *md, const struct hpm_super *sb,
		       const char **why);

#endif /* HPM_REPLAY_H */
