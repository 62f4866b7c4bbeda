/* SPDX-License-Identifier: GPL-2.0-only */
/* File systems: made by mkfs, mounted where nobody else sees it. */
#ifndef HPMCTL_FS_H
#define HPMCTL_FS_H

#include <stdint.h>

/* "ext4" or "xfs", else a sentence. */
int fs_check_type(const char *type);
/* Whether it can be made in so many bytes; the sentence says how many it needs. */
int fs_check_size(const char *type, uint64_t bytes);
/* Makes a file system on a volume that nobody has written to. */
int fs_make(const char *type, const char *device);

struct fs_mount {
	int fd;
	char dir[64]; /* a path of its root, "" if nothing is mounted */
};

/*
 * Mounts a device of ours for writing.  The mount is nowhere in the tree of
 * directories and belongs to this process alone: it goes away with it, however
 * it ends, and needs no directory to be mounted at.
 */
int fs_mount(const char *device, const char *type, struct fs_mount *m);
/* Removes what mkfs has put into the root. */
int fs_empty(const struct fs_mount *m);
/* What was written is on the device when this returns 0. */
int fs_unmount(struct fs_mount *m);

#endif /* HPMCTL_FS_H */
