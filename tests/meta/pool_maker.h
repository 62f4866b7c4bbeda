/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes pools by the engine, for the tests and the fuzzers of the metadata
 * tools: a history that comes from one seed, with everything in it.
 */
#ifndef POOL_MAKER_H
#define POOL_MAKER_H

#include "meta.h"

struct make_params {
	u64 data_blocks;
	unsigned int large_shift;
	unsigned int steps;
	u64 vol_blocks;
	unsigned int max_vols;
	bool hold;	  /* a metadata snapshot stays held */
	bool dying;	  /* volumes are deleted and not given back */
	bool journal;	  /* the last records are in the journal only */
	bool check;	  /* in the end it asks for a check */
	const char *mark; /* a file for the data device's mark, or NULL */
	u64 seed;
};

/* Formats the device and makes the pool; 0 or an errno. */
int make_pool(struct dev *dev, const struct make_params *p);

/* Goes on with a pool that is there: writes, a snapshot, a checkpoint. */
int use_pool(struct dev *dev, u64 data_blocks, const char *mark);

/* Counts that are too high, or the flag that asks for a check. */
int spoil_pool(struct dev *dev, u64 data_blocks, bool flag);

#endif /* POOL_MAKER_H */
