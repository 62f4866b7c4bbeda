/* SPDX-License-Identifier: GPL-2.0-only */
/* A directory tree that is somebody's root, worked on from outside. */
#ifndef HPMCTL_TREE_H
#define HPMCTL_TREE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct tree {
	int root;	       /* O_PATH */
	char prefix[PATH_MAX]; /* what /proc calls it */
	size_t prefix_len;
};

int tree_open(struct tree *t, const char *path);
void tree_close(struct tree *t);

/*
 * What a path of the archive names: *@parent becomes the path of its directory
 * without symbolic links ("" for the root), made if it is missing, and *@base
 * its last component ("" if it is the root itself).  Neither can lead outside.
 */
int tree_resolve(const struct tree *t, const char *path, char parent[PATH_MAX],
		 char base[NAME_MAX + 1]);
/* "parent/base", "." for the root. */
int tree_join(const char *parent, const char *base, char out[PATH_MAX]);
/* Removes what is at a resolved path, whole directories too, if it exists. */
int tree_remove(const struct tree *t, const char *path);
/*
 * Removes what is below a resolved directory, but for what @keep says yes to;
 * of a directory that is kept, what is in it is treated likewise.
 */
int tree_purge(const struct tree *t, const char *path,
	       bool (*keep)(const char *path, void *ctx), void *ctx);

#endif /* HPMCTL_TREE_H */
