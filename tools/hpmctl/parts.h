/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a pool stands on, and how to make it, find it again and let it go.
 *
 *	--meta DEV --data DEV	two devices, as they are
 *	--file PATH		two loop devices, for PATH.meta and PATH
 *	--disk DEV		two linear devices, NAME-meta and NAME-data:
 *				the first part of the disk, and all behind it
 *
 * Nothing is written down about this.  The label that the metadata begin with
 * tells how large the first part of a disk is; a disk that was added later
 * begins with a mark that tells where in the data it belongs.
 */
#ifndef HPMCTL_PARTS_H
#define HPMCTL_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "blkdev.h"
#include "cli.h"
#include "label.h"

/* How a person names what a pool stands on. */
struct parts_spec {
	const char *pool;
	const char *disk, *file, *meta, *data;
	struct str_list more;	  /* disks added behind the first */
	uint64_t size, meta_size; /* bytes, 0: not said */
	uint64_t large;		  /* bytes of a large block */
	bool force, preallocate, read_only;
	bool adopt; /* the data device is the pool's, whatever it says */
};

/* The two devices for a pool's table. */
struct parts {
	struct blkdev meta, data;
	struct label label; /* label.found: holds a pool */
	/* to be undone, or let go of */
	int hold[2];
	bool linear, files;
	/* by parts_make(): the kernel is asked to make a pool on them */
	bool fresh;
	/* the pool whose mark the data begin with nevertheless; of zeroes: none */
	uint8_t old_mark[HPM_UUID_SIZE];
	/* the files that new ones replace: metadata, data; "" if none */
	char aside[2][DEV_PATH_MAX];
};

/* Exactly one way is said, and nothing that does not belong to it. */
int parts_check(const struct parts_spec *spec);
/* For a new pool: nothing is on them, and they begin with zeroes. */
int parts_make(const struct parts_spec *spec, struct parts *parts);
/* For a pool that exists. */
int parts_find(const struct parts_spec *spec, struct parts *parts);
/* Refuses two devices of which one has blocks of the other. */
int parts_check_apart(const struct blkdev *meta, const struct blkdev *data);
/* Refuses data that are another pool's than the metadata's label says. */
int parts_check_pair(const struct parts_spec *spec, const struct parts *parts);
/* The table has the devices now; what new files have replaced is deleted. */
void parts_done(struct parts *parts);
/*
 * The pool's device could not be made: nothing stays, neither of what is below it
 * nor, if the pool is new, of what the kernel has formatted.
 */
void parts_undo(const struct parts_spec *spec, struct parts *parts);

/* What a pool can use. */
#define POOL_BYTES_MAX ((uint64_t)HPM_PBN_HOLE * HPM_BLOCK_SIZE)
#define META_BYTES_MAX ((uint64_t)HPM_MAX_META_BLOCKS * HPM_BLOCK_SIZE)

/* Says so if a part of the metadata device is of no use to any pool. */
void parts_tell_unused(const struct blkdev *meta);

/* Names of the linear devices below a pool on a disk. */
int part_name(const char *pool, const char *part, char out[DM_NAME_MAX]);
/* Whether this pool's data (or metadata) are on a linear device of ours. */
bool part_is_linear(const char *pool, const char *part, const char *num);
/*
 * Makes NAME-data as long as its disks are and, unless @add is NULL, puts a
 * further disk behind them.  @was: what parts_shrink() needs to undo that.
 */
struct parts_was {
	struct dm_line line[32];
	int nr;
	char added[DEV_PATH_MAX];    /* the disk that got a mark, or "" */
	uint8_t uuid[HPM_UUID_SIZE]; /* whose mark that is */
};

int parts_extend(const char *pool, const uint8_t *uuid,
		 const struct blkdev *add, struct parts_was *was);
void parts_shrink(const char *pool, struct parts_was *was);
void parts_was_free(struct parts_was *was);

#endif /* HPMCTL_PARTS_H */
