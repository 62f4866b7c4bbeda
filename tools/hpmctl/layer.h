/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unpacking a layer of an image into a mounted file system.
 *
 * Nothing in an archive can be written outside of the file system.  The kernel
 * looks up each path with the mount's root as "/" (RESOLVE_IN_ROOT), so a
 * symbolic link in the image leads where it leads in a container.  libarchive
 * then gets the path without any link in it, and still refuses links, ".." and
 * absolute paths.  A path with ".." in it is refused.
 *
 * A layer deletes files of lower layers by whiteouts: a file ".wh.NAME" deletes
 * NAME, and ".wh..wh..opq" deletes all that lower layers have put into the
 * directory.  Neither deletes what the same layer has written.
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
	struct image_names names; /* the names in the archive */
};

/* Unpacks all of @in below the directory @root, and finishes @in. */
int layer_unpack(struct stream *in, const char *root,
		 struct layer_stats *stats);

#endif /* HPMCTL_LAYER_H */
