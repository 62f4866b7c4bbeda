/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds what is left of a pool whose label or superblocks are lost. */
#ifndef HPM_META_FIND_H
#define HPM_META_FIND_H

#include "sink.h"

struct find_params {
	unsigned int large_shift; /* 0: not given */
	u64 data_blocks;
};

struct found {
	struct found_volume *vol;
	u64 nr, max;
};

/*
 * Fills in @p from label and superblocks; without a label, from the superblocks
 * alone.
 */
int find_label(struct pool *p, const struct find_params *fp);
/*
 * Searches the whole device for leaves of the volume table, and makes up a
 * superblock in p->super[0].
 */
int find_volumes(struct pool *p, const struct find_params *fp, struct found *f);

#endif /* HPM_META_FIND_H */
