/* SPDX-License-Identifier: GPL-2.0-only */
/* File systems: made by mkfs, mounted where nobody else sees it. */
#ifndef HPMCTL_FS_H
#define HPMCTL_FS_H

#include <limits.h>
#include <stdbool.h>

/* "ext4" or "xfs", else a sentence. */
int fs_check_type(const char *type);
/* Makes a file system on a volume that nobody has written to. */
int fs_make(const char *type, const char *device);

struct fs_mount {
	char dir[PATH_MAX]; /* "" if nothing is mounted */
};

/*
 * Mounts a device of ours for writing.  The mount is in a namespace of this
 * process only, so it never keeps a device busy for longer than we run.
 */
int fs_mount(const char *device, const char *type, struct fs_mount *m);
/* What was written is on the device when this returns 0. */
int fs_unmount(struct fs_mount *m);

#endif /* HPMCTL_FS_H */
