/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dying trees.  md->lock held.
 */
#ifndef HPM_DYING_H
#define HPM_DYING_H

#include "metadata.h"
#include "node.h"

/* A tree that is given back in steps; each step updates its element on disk. */
struct hpm_dying {
	struct list_head list;
	u64 serial;
	u64 cursor;
	u32 slot;
	struct hpm_root root;
};

int hpm_dying_load(struct hpm_md *md);
void hpm_dying_exit(struct hpm_md *md);
int hpm_dying_add(struct hpm_md *md, u64 serial, struct hpm_root root);
/* Writes the element of a slot; NULL clears it. */
int hpm_dying_write(struct hpm_md *md, u32 slot, const struct hpm_dying *d);
/* The whole tree was given back; frees @d. */
void hpm_dying_remove(struct hpm_md *md, struct hpm_dying *d);
/* Are there slots for @nr more dying trees?  Tested before a record is made. */
bool hpm_dying_room(struct hpm_md *md, unsigned int nr);

#endif /* HPM_DYING_H */
