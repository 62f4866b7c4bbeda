/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes to be imported: a file, standard input, or a member of an archive.
 * They are read once from the beginning to the end, counted, and checked
 * against a digest.
 */
#ifndef HPMCTL_STREAM_H
#define HPMCTL_STREAM_H

#include <archive.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "digest.h"

struct stream {
	char name[128]; /* for messages */
	uint64_t total; /* 0: not known */
	uint64_t done;
	/* called after every read, if set */
	void (*progress)(const struct stream *s, void *ctx);
	void *progress_ctx;
	/* the source is one of these */
	int fd;
	struct archive *member; /* at the member; owned by the stream */
	bool check;		/* check digest and total */
	struct digest digest;
	/* the digest of the decompressed bytes, if it is set */
	bool check_plain;
	struct digest plain;
	unsigned char buf[256 << 10];
};

/* "-" is standard input. */
int stream_open_file(const char *path, struct stream **sp);
/*
 * Opens a file @name in the directory of an image: it must be a regular file
 * and (@beneath) no symbolic link may lead outside.  If it is missing, the
 * image is bad.
 */
int stream_open_at(int dir, const char *name, bool beneath, struct stream **sp);
/*
 * Opens a member of the archive file @path, also through links in the archive.
 * If it is missing, the image is bad.
 */
int stream_open_member(const char *path, const char *name, struct stream **sp);
/* The whole stream must have this digest and size. */
int stream_expect(struct stream *s, const char *digest, uint64_t size);

/* The decompressed content must have this digest. */
int stream_expect_plain(struct stream *s, const char *digest);

/* Returns the number of bytes at *@data, 0 at the end, -1 and a sentence. */
ssize_t stream_read(struct stream *s, const void **data);
/* Reads what is left and checks the digest. */
int stream_finish(struct stream *s);
void stream_close(struct stream *s);

/*
 * Makes a reader for archives in any format and compression that may hold an
 * image.
 */
struct archive *archive_reader(void);
/* What is wrong with it; libarchive does not always say so. */
const char *archive_why(struct archive *a);

#endif /* HPMCTL_STREAM_H */
