/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Followers: reads that wait for a leader.
 */
#ifndef HPM_FOLLOW_H
#define HPM_FOLLOW_H

#include "share.h"

/*
 * From map(): the bio is cut to @nr blocks and waits for the leader of the piece.
 * Returns what map() returns.
 */
int hpm_follow(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
	       struct hpm_piece *p, u32 nr);
/* Of the leaders, too. */
void hpm_followers_init(struct hpm_share *cache);
void hpm_followers_exit(struct hpm_share *cache);

#endif /* HPM_FOLLOW_H */
