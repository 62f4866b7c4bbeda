/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An archive that is read entry by entry, with its headers in sight.
 *
 * Two readers of libarchive follow each other.  The first takes off the
 * compression (gzip's has been taken off by gunzip.h, which checks it); the
 * second one reads the archive.  The bytes between them are kept until the second
 * has consumed them, so that the headers of the entry that it just returned can
 * be looked at as they were written (header.h).
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
	struct gunzip *gz; /* NULL: it is not packed by gzip */
	bool begun;
	struct archive *plain; /* gives the bytes without compression */
	struct archive *a;     /* gives entries */
	/* bytes that @a was given, from the offset @at on */
	unsigned char *kept;
	size_t nr, room;
	uint64_t at;
	bool whole; /* nothing is dropped: headers are being read */
	bool ended; /* @plain has given all that it has */
};

int rawtar_open(struct rawtar *r, struct stream *in);
/*
 * 1 and the next entry, whose numbers are what the headers say; 0 at the end,
 * with all of the stream read; -1 and a sentence.  *@warning: what libarchive
 * did not like but could do without, or NULL.
 */
int rawtar_next(struct rawtar *r, struct archive_entry **entry,
		const char **warning);
/*
 * Reads the stream to its end for nothing but to know whether what it is packed
 * with calls it whole.
 */
int rawtar_check(struct stream *in);
/* Says that the archive is damaged. */
int rawtar_failed(const struct rawtar *r);
void rawtar_close(struct rawtar *r);

#endif /* HPMCTL_RAWTAR_H */
