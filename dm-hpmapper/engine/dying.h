/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dying trees.  md->lock held.
 */
#ifndef HPM_DYING_H
#define HPM_DYING_H

#include "metadata.h"
#include "node.h"

/* Trees being given back; the array element is written through. */
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
/* Its element in the array; NULL: it is nobody's from now on. */
int hpm_dying_write(struct hpm_md *md, u32 slot, const struct hpm_dying *d);
/* All of it is given back; frees @d. */
void hpm_dying_remove(struct hpm_md *md, struct hpm_dying *d);
/* Before a record makes @nr trees dying ones: are there places for them? */
bool hpm_dying_room(struct hpm_md *md, unsigned int nr);

#endif /* HPM_DYING_H */
