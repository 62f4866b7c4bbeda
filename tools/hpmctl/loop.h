/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files as block devices.  A loop device that is made here is removed when the
 * last descriptor for it is closed, so the caller keeps its descriptor until
 * device-mapper has opened the device.
 */
#ifndef HPMCTL_LOOP_H
#define HPMCTL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "blkdev.h"

/*
 * Returns the descriptor of the loop device, or -1.  @read_only: if the file
 * cannot be written, the device may be read-only, too.
 */
int loop_attach(const char *file, bool read_only, struct blkdev *dev);
/* Finds the file of a loop device; "" if it has none, or is no loop device. */
void loop_file(const char *num, char *path, size_t size);
/*
 * The same, but also "" if another program has made the loop device, so that it
 * does not remove itself: then that program manages the file, and we were given
 * a device.
 */
void loop_own_file(const char *num, char *path, size_t size);
/*
 * Checks that @path ("": there is none) is still the file of the loop device:
 * it may have been deleted, or another file system may be mounted over it.
 */
int loop_check_file(const char *num, const char *path);
/* Enlarges the device to the size of its file. */
int loop_set_capacity(const struct blkdev *dev);

/*
 * Makes a file: sparse, or (@preallocate) with all its space allocated in the
 * file system, so that no write to it can fail for lack of space.
 */
int file_make(const char *path, uint64_t bytes, bool preallocate);
/* Enlarges a file; -1: it has its old size. */
int file_grow(const char *path, uint64_t bytes, bool preallocate);
/* Undoes file_grow(). */
void file_shrink(const char *path, uint64_t bytes);
/*
 * Allocates the space for the holes of a sparse file.  Returns 1 if the file
 * system does not have it, or does not support this.
 */
int file_fill(const char *path);

/*
 * For replacing a file: renames it until the new one is complete.  *@aside is
 * "" if there was none.  A file of a loop device is in use and is refused.
 */
int file_put_aside(const char *path, char *aside, size_t size);
void file_put_back(const char *aside, const char *path);

#endif /* HPMCTL_LOOP_H */
