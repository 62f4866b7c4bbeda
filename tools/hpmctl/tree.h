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
	/* called before something in a directory is made or removed, if set */
	int (*before_change)(const char *dir, void *ctx);
	void *ctx;
};

/* @t is filled but for the hook. */
int tree_open(struct tree *t, const char *path);
void tree_close(struct tree *t);

/*
 * What a path of the archive names: *@parent becomes the path of its directory
 * without symbolic links ("" for the root), and *@base its last component ("" if
 * it is the root itself).  Neither can lead outside.
 *
 * What is missing of the directory is made, also where a link leads to it: an
 * archive may bring the directory "run" only after what lies in "var/run/lock",
 * with a link from var/run to /run.
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
