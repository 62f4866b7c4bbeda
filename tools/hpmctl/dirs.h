/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Directories that a layer lists, or only writes into.
 *
 * The attributes of a directory are set when the layer is complete.  Before
 * that, its time would change with each new entry, its mode could forbid
 * entries that are still to come, and its default ACL would be inherited by all
 * that is made in it.  A directory that the layer writes into without listing
 * it keeps its time and its ACL; a directory that it lists loses all attributes
 * from lower layers.
 *
 * Each directory is found again by its path without symbolic links.  If the
 * archive has meanwhile replaced a part of the path by a link, nothing is done,
 * as the link could lead to a directory outside.
 */
#ifndef HPMCTL_DIRS_H
#define HPMCTL_DIRS_H

#include <archive_entry.h>

struct dir;
struct dirs {
	struct dir *head;
	int root; /* the root of the paths; itself: "." */
};

/*
 * Must be called before something in the directory changes.  Like all functions
 * up to dirs_apply(), this takes paths from the working directory, which is the
 * root.
 */
int dirs_touch(struct dirs *d, const char *path);
/* Notes the archive's attributes for a directory that exists. */
int dirs_set(struct dirs *d, const char *path, struct archive_entry *entry);
/* Must be called before the path and all below it are removed. */
void dirs_forget(struct dirs *d, const char *path);
/*
 * Sets all attributes.  Each one that could not be set is reported and counted
 * in *@warnings.  The working directory changes.
 */
int dirs_apply(struct dirs *d, uint64_t *warnings);
void dirs_free(struct dirs *d);

#endif /* HPMCTL_DIRS_H */
