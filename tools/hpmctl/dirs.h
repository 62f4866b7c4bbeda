/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Directories that a layer brings, or only writes into.
 *
 * What a directory shall be is done when the layer is done: before that its time
 * changes with each entry that it gets, its mode may forbid what is still to
 * come, and its default ACL would go to all that is made in it.  One that the
 * layer writes into without listing it keeps its time and its ACL; one that it
 * lists has no attribute any more that a lower layer gave it.
 *
 * Each is found again by its path without any symbolic link: where the archive
 * has replaced a part of the path by a link meanwhile, nothing is done, or the
 * link would lead to directories outside.
 */
#ifndef HPMCTL_DIRS_H
#define HPMCTL_DIRS_H

#include <archive_entry.h>

struct dir;
struct dirs {
	struct dir *head;
	int root; /* what the paths are below; "." is itself */
};

/*
 * Something in the directory is about to change.  As all that follows up to
 * dirs_apply(), this is for the working directory's paths, which is the root.
 */
int dirs_touch(struct dirs *d, const char *path);
/* The archive says what the directory is, which exists. */
int dirs_set(struct dirs *d, const char *path, struct archive_entry *entry);
/* What is at the path, and below it, is about to be removed. */
void dirs_forget(struct dirs *d, const char *path);
/*
 * Makes them what they shall be; *@warnings grows for each attribute that could
 * not be set, which is also told.  The working directory changes.
 */
int dirs_apply(struct dirs *d, uint64_t *warnings);
void dirs_free(struct dirs *d);

#endif /* HPMCTL_DIRS_H */
