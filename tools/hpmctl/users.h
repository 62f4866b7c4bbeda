/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds the users of a block device, to tell why it is busy. */
#ifndef HPMCTL_USERS_H
#define HPMCTL_USERS_H

#include <stdbool.h>
#include <stddef.h>

#define USERS_TEXT 1024

/*
 * Lists all visible uses of the device @num in words: mount points in all mount
 * namespaces, swap, devices on top of it, loop devices, and processes that have
 * it open.  The text is never empty: if no use can be seen, it says so.
 */
const char *users_text(const char *num, char out[USERS_TEXT]);

/*
 * Waits for users that have the device open only for a moment, as udev's blkid
 * has each new device.  0: it is free, or gone; -1: it is in use, or this
 * cannot be found out, and a sentence tells how.
 */
int users_wait(const char *device, const char *num);

/*
 * Whether the first line of @mountinfo is a mount of the device @num; @point,
 * of @size bytes, becomes its mount point.
 */
bool mount_line(const char *mountinfo, const char *num, char *point,
		size_t size);

#endif /* HPMCTL_USERS_H */
