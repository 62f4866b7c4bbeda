/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether an archive is an image itself, told by the names in it: an image
 * layout's, or what "docker save" writes.  A file system has other names at its
 * top.
 */
#ifndef HPMCTL_IMAGENAME_H
#define HPMCTL_IMAGENAME_H

#include <limits.h>
#include <stdbool.h>

struct image_names {
	/* the one directory that all is in: what it has of a layout */
	char dir[NAME_MAX + 1];
	bool dir_index, dir_layout, dir_other;
	bool other; /* one that no image has: the archive is a file system */
	bool index, manifest, repositories;
	bool twice; /* one of these: readers differ in which one counts */
};

void image_names_add(struct image_names *n, const char *path);
/* When all names are known. */
bool image_names_is_image(const struct image_names *n);
/*
 * The directory that has an image layout, if the archive has nothing else, as one
 * of "tar -c DIR" does; or NULL.
 */
const char *image_names_dir(const struct image_names *n);
/* Strips "./" and "/" from the front. */
const char *member_name(const char *name);

#endif /* HPMCTL_IMAGENAME_H */
