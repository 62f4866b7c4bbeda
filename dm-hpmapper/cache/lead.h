/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leaders: reads that others may wait for.
 */
#ifndef HPM_LEAD_H
#define HPM_LEAD_H

#include "share.h"

/* A read that is to be entered when it is done. */
struct hpm_lead {
	struct rb_node node;		/* cache->lead_lock, as what follows */
	struct list_head followers;	/* struct hpm_bio, by ->wait */
	unsigned int nr_followers;
	bool listed;

	u64 pbn;
	u32 nr;
	unsigned long since;		/* jiffies */
	struct hpm_bio *hb;
	struct bio *bio;
	struct bvec_iter iter;		/* as it was before the read */
	bool keep;			/* a copy of the first block: index.c */
	bool keep_all;			/* of all of them, and enter none */
	struct work_struct work;
};

/* These four with cache->lead_lock held.  The first leader that ends behind @pbn: */
struct hpm_lead *__hpm_next_lead(struct hpm_share *cache, u64 pbn);
/* The leader that reads @pbn, or NULL. */
struct hpm_lead *__hpm_covering_lead(struct hpm_share *cache, u64 pbn);
void __hpm_list_lead(struct hpm_share *cache, struct hpm_lead *new);
/* From now on nobody waits for it; those who did are put behind @followers. */
void __hpm_unlist_lead(struct hpm_share *cache, struct hpm_lead *lead,
		       struct list_head *followers);

/* NULL: what @bio reads is not to be entered, or there is no memory. */
struct hpm_lead *hpm_make_lead(struct hpm_bio *hb, struct bio *bio,
			       const struct hpm_piece *p, bool keep);
/* One that is not listed. */
void hpm_lead_free(struct hpm_lead *lead);
int hpm_lead_slab_init(void);
void hpm_lead_slab_exit(void);

#endif /* HPM_LEAD_H */
