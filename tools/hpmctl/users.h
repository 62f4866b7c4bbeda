/* SPDX-License-Identifier: GPL-2.0-only */
/* Who has a block device open, for those who wonder why it is busy. */
#ifndef HPMCTL_USERS_H
#define HPMCTL_USERS_H

#include <stdbool.h>
#include <stddef.h>

#define USERS_TEXT 1024

/*
 * All uses of the device @num that can be seen from here, in words: mount
 * points in all mount namespaces, swap, devices above it, loop devices, and
 * processes that have it open.  There is always some text: that nothing can be
 * seen is worth a sentence as well.
 */
const char *users_text(const char *num, char out[USERS_TEXT]);

/*
 * Waits for those that have the device open only for a moment, as udev's blkid
 * has each new one.  0: it is free, or gone; -1: it is in use, or cannot be
 * asked, and a sentence tells how.
 */
int users_wait(const char *device, const char *num);

/*
 * Whether the first line of @mountinfo is a mount of the device @num, and
 * where; @size bytes at @point.
 */
bool mount_line(const char *mountinfo, const char *num, char *point,
		size_t size);

#endif /* HPMCTL_USERS_H */
