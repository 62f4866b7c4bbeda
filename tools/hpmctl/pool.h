/* SPDX-License-Identifier: GPL-2.0-only */
/* A pool as the kernel tells of it. */
#ifndef HPMCTL_POOL_H
#define HPMCTL_POOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "blkdev.h"
#include "dm.h"

#define POOL_TARGET   "hpmapper-pool"
#define VOLUME_TARGET "hpmapper"

/* Its table: what it stands on. */
struct pool {
	char name[DM_NAME_MAX];
	char num[DM_NUM_TEXT];
	uint64_t sectors;
	char meta[DM_NUM_TEXT], data[DM_NUM_TEXT];
	uint64_t large_sectors;
	uint64_t low_water; /* small blocks */
	char features[256]; /* as the table has them */
};

/* Its status; all of it in bytes. */
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
	/* what follows in the status: keys and values */
	struct {
		const char *key, *value;
	} pair[STATUS_PAIRS];
	unsigned int nr_pairs;
	char *text; /* what the pairs point into */
};

/* The pool of this name must be there; a sentence says what is else. */
int pool_get(const char *name, struct pool *pool);
/* What the table of an "hpmapper-pool" says, taken apart. */
int pool_parse_table(const char *params, struct pool *pool);

int pool_get_status(const struct pool *pool, bool flush,
		    struct pool_status *st);
int pool_parse_status(const char *params, struct pool_status *st);
void pool_status_free(struct pool_status *st);
/* The number behind a key; 0 if there is none. */
uint64_t pool_status_value(const struct pool_status *st, const char *key);

/* All that is known about it. */
json_t *pool_json(const struct pool *pool, const struct pool_status *st);

/* Calls @fn for every pool until it returns other than 0. */
int pool_each(int (*fn)(struct pool *pool, void *ctx), void *ctx);

/* The dm name under the numbers @num; false: it is no dm device. */
bool dm_name_of(const char *num, char name[DM_NAME_MAX]);

#endif /* HPMCTL_POOL_H */
