/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leaders: reads that others may wait for.
 */
#ifndef HPM_LEAD_H
#define HPM_LEAD_H

#include "cache-priv.h"

/* A read whose blocks are entered when it has ended. */
struct hpm_lead {
	struct rb_node node;		/* lead_lock, as the next three */
	struct list_head followers;	/* struct hpm_bio, by ->wait */
	unsigned int nr_followers;
	bool listed;			/* in cache->leads */

	u64 pbn;			/* constant while it is listed, */
	u32 nr;				/* as this is; in blocks */
	unsigned long since;		/* jiffies */
	struct hpm_bio *hb;
	struct bio *bio;
	struct bvec_iter iter;		/* as it was before the read */
	bool keep;			/* keep the first block: index.c */
	bool keep_all;			/* keep all of them, enter no page */
	struct work_struct work;
};

/*
 * The next four need cache->lead_lock.  The first returns the first leader
 * whose last block is @pbn or one behind it, or NULL.
 */
struct hpm_lead *__hpm_next_lead(struct hpm_cache *cache, u64 pbn);
/* Returns the leader that reads @pbn, or NULL. */
struct hpm_lead *__hpm_covering_lead(struct hpm_cache *cache, u64 pbn);
/* The leader must not overlap one that is listed. */
void __hpm_list_lead(struct hpm_cache *cache, struct hpm_lead *new);
/*
 * Takes a leader off the list, if it is there, so that no bio begins to wait
 * for it, and moves its followers to the end of @followers.
 */
void __hpm_unlist_lead(struct hpm_cache *cache, struct hpm_lead *lead,
		       struct list_head *followers);

/*
 * Any context.  Returns NULL if the pages of @bio cannot become copies, or if
 * there is no memory.
 */
struct hpm_lead *hpm_make_lead(struct hpm_bio *hb, struct bio *bio,
			       const struct hpm_piece *p, bool keep);
/* Frees a leader that is not listed. */
void hpm_lead_free(struct hpm_lead *lead);
int hpm_lead_slab_init(void);
void hpm_lead_slab_exit(void);

#endif /* HPM_LEAD_H */
