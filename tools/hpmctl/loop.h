/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files as block devices.  A loop device made here goes away by itself when
 * the last that has it open lets it go, so the caller keeps the descriptor
 * until device-mapper has taken the device.
 */
#ifndef HPMCTL_LOOP_H
#define HPMCTL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "blkdev.h"

/*
 * Returns the descriptor of the loop device, or -1.  @read_only: the device is,
 * too, if the file cannot be written to.
 */
int loop_attach(const char *file, bool read_only, struct blkdev *dev);
/* The file behind a loop device, "" if it is none or has none. */
void loop_file(const char *num, char *path, size_t size);
/*
 * The same, but "" also if somebody else has made the loop device, as it does not
 * go away by itself: then the file is his, and what we were given is a device.
 */
void loop_own_file(const char *num, char *path, size_t size);
/*
 * Whether at @path ("": there is none) is still the file behind the loop device:
 * it may have been deleted, or another file system may be mounted over it.
 */
int loop_check_file(const char *num, const char *path);
/* The file has grown: so does the device. */
int loop_set_capacity(const struct blkdev *dev);

/*
 * Makes a file: sparse, or (@preallocate) with all its space taken from the file
 * system, so that no write to it can fail for want of that.
 */
int file_make(const char *path, uint64_t bytes, bool preallocate);
/* Enlarges one; -1: it is as large as it was. */
int file_grow(const char *path, uint64_t bytes, bool preallocate);
/* Undoes that. */
void file_shrink(const char *path, uint64_t bytes);
/*
 * Takes the space for the holes of a sparse file.  Returns 1 if the file system
 * does not have it, or cannot do that.
 */
int file_fill(const char *path);

/*
 * To replace a file: puts it aside, under another name, until the new one is
 * there for good.  *@aside is "" if there was none.  One that is behind a loop
 * device is in use and is refused.
 */
int file_put_aside(const char *path, char *aside, size_t size);
void file_put_back(const char *aside, const char *path);

#endif /* HPMCTL_LOOP_H */
