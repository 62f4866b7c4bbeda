/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tells by the names in an archive whether it is an image: an image layout, or
 * what "docker save" writes.  A file system has other names at the top.
 */
#ifndef HPMCTL_IMAGENAME_H
#define HPMCTL_IMAGENAME_H

#include <limits.h>
#include <stdbool.h>

/* What is in a directory. */
struct image_level {
	bool other; /* a name that no image has: not an image */
	bool index, manifest, repositories;
	bool twice; /* one of them twice: readers differ here */
	bool layout;
	bool part; /* a layer or a configuration, by its digest */
};

struct image_names {
	struct image_level top;
	char dir[NAME_MAX + 1]; /* the first name at the top, and below it: */
	struct image_level below;
	bool several; /* names at the top */
};

void image_names_add(struct image_names *n, const char *path);
/* To be called when all names are known. */
bool image_names_is_image(const struct image_names *n);
/* Whether it has an image beside other files. */
bool image_names_is_mixed(const struct image_names *n);
/*
 * The directory that holds an image, if the archive has nothing else, like one
 * of "tar -c DIR"; or NULL.
 */
const char *image_names_dir(const struct image_names *n);
/* Strips "./" and "/" from the beginning. */
const char *member_name(const char *name);

#endif /* HPMCTL_IMAGENAME_H */
