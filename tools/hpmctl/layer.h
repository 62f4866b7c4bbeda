/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unpacking a layer of an image into a mounted file system.
 *
 * Nothing in an archive gets out of the file system.  Whatever a path names is
 * looked up by the kernel with the mount's root as "/" (RESOLVE_IN_ROOT), so
 * that a symbolic link in the image leads to where it does in a container;
 * libarchive is then given the path without any link in it, and refuses links,
 * ".." and absolute paths all the same.  A path with ".." in it is refused.
 *
 * What a layer deletes from those below it is written as whiteouts: a file
 * ".wh.NAME" deletes NAME, ".wh..wh..opq" deletes all that lower layers put
 * into the directory.  Neither touches what the same layer brings.
 */
#ifndef HPMCTL_LAYER_H
#define HPMCTL_LAYER_H

#include <stdint.h>

#include "imagename.h"
#include "stream.h"

struct layer_stats {
	uint64_t entries;
	uint64_t whiteouts;
	uint64_t bytes; /* of files' contents */
	uint64_t warnings;
	struct image_names names; /* that the archive has */
};

/* Unpacks all of @in, which is then finished, below the directory @root. */
int layer_unpack(struct stream *in, const char *root,
		 struct layer_stats *stats);

#endif /* HPMCTL_LAYER_H */
