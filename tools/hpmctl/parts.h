/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices below a pool: how to make, find and release them.
 *
 *	--meta DEV --data DEV	two devices, as they are
 *	--file PATH		two loop devices, for PATH.meta and PATH
 *	--disk DEV		two linear devices, NAME-meta and NAME-data:
 *				the first part of the disk, and all behind it
 *
 * No configuration file says this.  The label at the beginning of the metadata
 * tells the size of the first part of a disk; a disk that was added later
 * begins with a mark that tells its place in the data.
 */
#ifndef HPMCTL_PARTS_H
#define HPMCTL_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "blkdev.h"
#include "cli.h"
#include "label.h"

/* The devices below a pool, as the user names them. */
struct parts_spec {
	const char *pool;
	const char *disk, *file, *meta, *data;
	struct str_list more;	  /* the disks that were added */
	uint64_t size, meta_size; /* bytes, 0: not given */
	uint64_t large;		  /* bytes of a large block */
	bool force, preallocate, read_only;
	bool adopt; /* adopt the data device, whatever it holds */
};

/* The two devices for a pool's table. */
struct parts {
	struct blkdev meta, data;
	struct label label; /* label.found: holds a pool */
	/* to be undone, or released */
	int hold[2];
	bool linear, files;
	/* by parts_make(): the kernel will make a pool on them */
	bool fresh;
	/*
	 * the pool whose mark is already at the beginning of the data; zeroes:
	 * none
	 */
	uint8_t old_mark[HPM_UUID_SIZE];
	/* the files that new files replace: metadata, data; "" if none */
	char aside[2][DEV_PATH_MAX];
};

/*
 * Checks that exactly one kind is given, with no option that does not belong to
 * it.
 */
int parts_check(const struct parts_spec *spec);
/* For a new pool: makes devices that are empty and begin with zeroes. */
int parts_make(const struct parts_spec *spec, struct parts *parts);
/* For an existing pool: finds its devices. */
int parts_find(const struct parts_spec *spec, struct parts *parts);
/* Refuses two devices that share blocks. */
int parts_check_apart(const struct blkdev *meta, const struct blkdev *data);
/*
 * Refuses a data device that belongs to another pool than the metadata's label
 * says.
 */
int parts_check_pair(const struct parts_spec *spec, const struct parts *parts);
/*
 * The pool's table holds the devices by now: releases them, and deletes files
 * that new ones have replaced.
 */
void parts_done(struct parts *parts);
/*
 * The pool's device could not be made: removes everything below it and, if the
 * pool is new, what the kernel has formatted.
 */
void parts_undo(const struct parts_spec *spec, struct parts *parts);

/* The largest sizes that a pool can use. */
#define POOL_BYTES_MAX ((uint64_t)HPM_PBN_HOLE * HPM_BLOCK_SIZE)
#define META_BYTES_MAX ((uint64_t)HPM_MAX_META_BLOCKS * HPM_BLOCK_SIZE)

/*
 * Prints a warning if the metadata device is larger than any pool can use.
 */
void parts_tell_unused(const struct blkdev *meta);

/* Names of the linear devices below a pool on a disk. */
int part_name(const char *pool, const char *part, char out[DM_NAME_MAX]);
/*
 * Whether the pool's data (or metadata) device @num is a linear device of ours.
 */
bool part_is_linear(const char *pool, const char *part, const char *num);
/*
 * Makes NAME-data as long as its disks and, unless @add is NULL, puts a further
 * disk behind them.  parts_shrink() needs @was to undo this.
 */
struct parts_was {
	struct dm_line line[32];
	int nr;
	char added[DEV_PATH_MAX];    /* the disk that was marked, or "" */
	uint8_t uuid[HPM_UUID_SIZE]; /* of that mark */
};

int parts_extend(const char *pool, const uint8_t *uuid,
		 const struct blkdev *add, struct parts_was *was);
void parts_shrink(const char *pool, struct parts_was *was);
void parts_was_free(struct parts_was *was);

#endif /* HPMCTL_PARTS_H */
