/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An archive that is read entry by entry, with its headers in sight.
 *
 * This uses two readers of libarchive.  The first one decompresses (except for
 * gzip data, which gunzip.h has decompressed and checked); the second one reads
 * the archive.  The bytes between them are kept until the second one has
 * consumed them, so that the headers of the entry that it just returned can be
 * checked as they were written (header.h).
 */
#ifndef HPMCTL_RAWTAR_H
#define HPMCTL_RAWTAR_H

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stdint.h>

#include "stream.h"

struct rawtar {
	struct stream *in;
	struct gunzip *gz; /* NULL: not packed by gzip */
	bool begun;
	struct archive *plain; /* returns decompressed bytes */
	struct archive *a;     /* returns entries */
	/* bytes that @a has got, from the offset @at on */
	unsigned char *kept;
	size_t nr, room;
	uint64_t at;
	bool whole; /* keep all: headers are being read */
	bool ended; /* @plain is at its end */
};

int rawtar_open(struct rawtar *r, struct stream *in);
/*
 * Returns 1 and the next entry, whose numbers match its headers; 0 at the end,
 * when all of the stream was read; -1 and a sentence.  *@warning: a defect that
 * libarchive could work around, or NULL.
 */
int rawtar_next(struct rawtar *r, struct archive_entry **entry,
		const char **warning);
/*
 * Reads the stream to its end, only to find out whether its compression is
 * intact.
 */
int rawtar_check(struct stream *in);
/* Reports that the archive is damaged. */
int rawtar_failed(const struct rawtar *r);
void rawtar_close(struct rawtar *r);

#endif /* HPMCTL_RAWTAR_H */
