/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Followers: reads that wait for a leader.
 */
#ifndef HPM_FOLLOW_H
#define HPM_FOLLOW_H

#include "cache-priv.h"

/*
 * For map(), in-flight token held: cuts the bio to @nr blocks, makes it wait
 * for the leader of the piece, and puts the token.  Returns DM_MAPIO_SUBMITTED.
 */
int hpm_follow(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
	       struct hpm_piece *p, u32 nr);
/* Initialises what leaders need, too. */
void hpm_followers_init(struct hpm_cache *cache);
/* Sleeps.  No leader is left. */
void hpm_followers_exit(struct hpm_cache *cache);

#endif /* HPM_FOLLOW_H */
