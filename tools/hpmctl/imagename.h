/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tells by the names in an archive whether it is an image: an image layout, or
 * what "docker save" writes.  A file system has other names at the top.
 */
#ifndef HPMCTL_IMAGENAME_H
#define HPMCTL_IMAGENAME_H

#include <limits.h>
#include <stdbool.h>

struct image_names {
	/* the only top-level directory, and which parts of a layout it has */
	char dir[NAME_MAX + 1];
	bool dir_index, dir_layout, dir_other;
	bool other; /* a name that no image has: not an image */
	bool index, manifest, repositories;
	bool twice; /* one of them twice: readers differ here */
};

void image_names_add(struct image_names *n, const char *path);
/* To be called when all names are known. */
bool image_names_is_image(const struct image_names *n);
/*
 * The directory that holds an image layout, if the archive has nothing else,
 * like one of "tar -c DIR"; or NULL.
 */
const char *image_names_dir(const struct image_names *n);
/* Strips "./" and "/" from the beginning. */
const char *member_name(const char *name);

#endif /* HPMCTL_IMAGENAME_H */
