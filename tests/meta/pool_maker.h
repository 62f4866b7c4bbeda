/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes pools with the engine, for the tests and the fuzzers of the metadata
 * tools, with a history that depends on a seed and uses every feature.
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
	bool check;	  /* in the end its flag asks for a check */
	const char *mark; /* a file for the data device's mark, or NULL */
	u64 seed;
};

/* Formats the device and makes the pool; 0 or an errno. */
int make_pool(struct dev *dev, const struct make_params *p);

/* Opens an existing pool and uses it: writes, a snapshot, a checkpoint. */
int use_pool(struct dev *dev, u64 data_blocks, const char *mark);

/* Makes counts too high, or sets the flag that asks for a check. */
int spoil_pool(struct dev *dev, u64 data_blocks, bool flag);

#endif /* POOL_MAKER_H */
