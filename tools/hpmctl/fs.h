/* SPDX-License-Identifier: GPL-2.0-only */
/* File systems: making them with mkfs, mounting them for this process only. */
#ifndef HPMCTL_FS_H
#define HPMCTL_FS_H

#include <stdint.h>

/* Checks that the type is "ext4" or "xfs". */
int fs_check_type(const char *type);
/* Checks that the size is large enough; the sentence says how much it needs. */
int fs_check_size(const char *type, uint64_t bytes);
/* Makes a file system on a volume that was never written to. */
int fs_make(const char *type, const char *device);

struct fs_mount {
	int fd;
	char dir[64]; /* path of its root, "" if not mounted */
};

/*
 * Mounts a device of ours for writing.  The mount is not in the directory tree
 * and belongs to this process alone: it needs no mount point, and it is gone
 * when the process ends, in whatever way.
 */
int fs_mount(const char *device, const char *type, struct fs_mount *m);
/* Removes what mkfs has put into the root directory. */
int fs_empty(const struct fs_mount *m);
/* If this returns 0, all that was written is on the device. */
int fs_unmount(struct fs_mount *m);

#endif /* HPMCTL_FS_H */
