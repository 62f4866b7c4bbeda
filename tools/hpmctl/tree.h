/* SPDX-License-Identifier: GPL-2.0-only */
/* Operations on a directory tree that is the root of another system. */
#ifndef HPMCTL_TREE_H
#define HPMCTL_TREE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct tree {
	int root;	       /* O_PATH */
	char prefix[PATH_MAX]; /* its path in /proc */
	size_t prefix_len;
	/* called before something in a directory is made or removed, if set */
	int (*before_change)(const char *dir, void *ctx);
	void *ctx;
};

/* Fills in everything but the hook. */
int tree_open(struct tree *t, const char *path);
void tree_close(struct tree *t);

/*
 * Resolves a path of the archive: *@parent becomes the path of its directory
 * without symbolic links ("" for the root), and *@base its last component (""
 * if it is the root itself).  Neither can lead outside.
 *
 * Missing parts of the directory are made, even if a link leads to them: with a
 * link from var/run to /run, an archive may have the entry for "run" only after
 * entries in "var/run/lock".
 */
int tree_resolve(const struct tree *t, const char *path, char parent[PATH_MAX],
		 char base[NAME_MAX + 1]);
/* "parent/base", "." for the root. */
int tree_join(const char *parent, const char *base, char out[PATH_MAX]);
/*
 * Removes what is at a resolved path, including whole directories, if it
 * exists.
 */
int tree_remove(const struct tree *t, const char *path);
/*
 * Removes what is below a resolved directory, except for paths for which @keep
 * returns true.  A directory that is kept is purged in the same way.
 */
int tree_purge(const struct tree *t, const char *path,
	       bool (*keep)(const char *path, void *ctx), void *ctx);

#endif /* HPMCTL_TREE_H */
