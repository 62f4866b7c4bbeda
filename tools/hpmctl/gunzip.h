/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unpacks gzip data and checks them: libarchive does not look at the checksums
 * at the ends of gzip's members, and most layers are packed by gzip.
 */
#ifndef HPMCTL_GUNZIP_H
#define HPMCTL_GUNZIP_H

#include <stdbool.h>
#include <sys/types.h>

#include "stream.h"

struct gunzip;

/* Whether the bytes are the beginning of a member. */
bool gunzip_begins(const void *data, size_t size);
/* @data: what was already read of the stream; it stays where it is. */
struct gunzip *gunzip_new(struct stream *in, const void *data, size_t size);
/* Returns the number of bytes at *@data, 0 at the end, -1 and a sentence. */
ssize_t gunzip_read(struct gunzip *g, const void **data);
void gunzip_free(struct gunzip *g);

#endif /* HPMCTL_GUNZIP_H */
