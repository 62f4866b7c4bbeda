/* SPDX-License-Identifier: GPL-2.0-only */
/* Block devices below a pool: their numbers, sizes and what is on them. */
#ifndef HPMCTL_BLKDEV_H
#define HPMCTL_BLKDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dm.h"

#define DEV_PATH_MAX 280

struct blkdev {
	char path[DEV_PATH_MAX];
	char num[DM_NUM_TEXT]; /* "253:17", what tables take */
	uint64_t bytes;
};

/*
 * Looks up a device by the name that the user gave; it must be a block device.
 */
int blkdev_get(const char *path, struct blkdev *dev);
/* Looks up a device by its numbers. */
int blkdev_get_num(const char *num, struct blkdev *dev);
/* The same for messages, without opening it; what is not known stays empty. */
void blkdev_describe(const char *num, struct blkdev *dev);
/*
 * Refuses a device that is in use: mounted, swapped on, below another device,
 * ...
 */
int blkdev_check_free(const struct blkdev *dev);

/*
 * Refuses a device that holds a file system, a partition table, a pool or
 * anything else that libblkid knows.  @force: wipes all of that instead.
 */
int blkdev_check_empty(const struct blkdev *dev, bool force);
/* Zeroes the first @bytes. */
int blkdev_zero(const struct blkdev *dev, uint64_t bytes);
/* Finds the file system on the device; *@type is "" if it is not known. */
int blkdev_fs_type(const char *path, char *type, size_t size);

/* Reads a file of a device's directory in /sys; -1 without a sentence. */
int sysfs_read(const char *num, const char *file, char *out, size_t size);

#endif /* HPMCTL_BLKDEV_H */
