/* SPDX-License-Identifier: GPL-2.0-only */
/* A pool, as the kernel shows it. */
#ifndef HPMCTL_POOL_H
#define HPMCTL_POOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "blkdev.h"
#include "dm.h"

#define POOL_TARGET   "hpmapper-pool"
#define VOLUME_TARGET "hpmapper"

/* The pool's table. */
struct pool {
	char name[DM_NAME_MAX];
	char num[DM_NUM_TEXT];
	uint64_t sectors;
	char meta[DM_NUM_TEXT], data[DM_NUM_TEXT];
	uint64_t large_sectors;
	uint64_t low_water; /* small blocks */
	char features[256]; /* as in the table */
};

/* The pool's status; sizes are in bytes. */
#define STATUS_PAIRS 64
struct pool_status {
	char mode[24]; /* rw, ro, out_of_data_space, Fail or Error */
	uint64_t transaction_id;
	uint64_t meta_used, meta_total;
	uint64_t data_used, data_total;
	uint64_t held_root;
	char discard[24], no_space[24];
	bool needs_check;
	uint64_t meta_low_water;
	/* the rest of the status: keys and values */
	struct {
		const char *key, *value;
	} pair[STATUS_PAIRS];
	unsigned int nr_pairs;
	char *text; /* the memory of these words */
};

/*
 * Finds the pool of this name; if it is another kind of device, a sentence says
 * so.
 */
int pool_get(const char *name, struct pool *pool);
/* Parses the table of an "hpmapper-pool". */
int pool_parse_table(const char *params, struct pool *pool);

int pool_get_status(const struct pool *pool, bool flush,
		    struct pool_status *st);
int pool_parse_status(const char *params, struct pool_status *st);
void pool_status_free(struct pool_status *st);
/* The value of a key; 0 if the status does not have it. */
uint64_t pool_status_value(const struct pool_status *st, const char *key);

/* All that is known about the pool. */
json_t *pool_json(const struct pool *pool, const struct pool_status *st);

/* Calls @fn for every pool until it returns non-zero. */
int pool_each(int (*fn)(struct pool *pool, void *ctx), void *ctx);

/* Finds the dm name of the device @num; false: it is not a dm device. */
bool dm_name_of(const char *num, char name[DM_NAME_MAX]);

#endif /* HPMCTL_POOL_H */
