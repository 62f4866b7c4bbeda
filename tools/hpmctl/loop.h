/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files as block devices.  A loop device made here goes away by itself when
 * the last that has it open lets it go, so the caller keeps the descriptor
 * until device-mapper has taken the device.
 */
#ifndef HPMCTL_LOOP_H
#define HPMCTL_LOOP_H

#include <stdint.h>

#include "blkdev.h"

/* Returns the descriptor of the loop device, or -1. */
int loop_attach(const char *file, struct blkdev *dev);
/* The file behind a loop device, "" if it is none or has none. */
void loop_file(const char *num, char *path, size_t size);
/* The file has grown: so does the device. */
int loop_set_capacity(const struct blkdev *dev);

/* Makes a sparse file (@preallocate: not sparse), or enlarges one. */
int file_make(const char *path, uint64_t bytes, bool force, bool preallocate);
int file_grow(const char *path, uint64_t bytes);

#endif /* HPMCTL_LOOP_H */
