/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes to be imported, read once from the beginning to the end: a file,
 * standard input, or a member of an archive; counted, and checked against a
 * digest.
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
	/* one of them is the source */
	int fd;
	struct archive *member; /* positioned at it; owned */
	bool check;		/* against the digest below and the total */
	struct digest digest;
	/* of what is in the bytes when they are not compressed, if it is set */
	bool check_plain;
	struct digest plain;
	unsigned char buf[256 << 10];
};

/* "-" is standard input. */
int stream_open_file(const char *path, struct stream **sp);
/*
 * A file called @name in the directory of an image: a regular one, and (@beneath)
 * one that no symbolic link puts outside.  Without it, the image is bad.
 */
int stream_open_at(int dir, const char *name, bool beneath, struct stream **sp);
/*
 * A member of the archive file @path, also behind links in it; without it, the
 * image is bad.
 */
int stream_open_member(const char *path, const char *name, struct stream **sp);
/* All of it must have this digest and size. */
int stream_expect(struct stream *s, const char *digest, uint64_t size);

/* What it holds must have this digest when the compression is taken off. */
int stream_expect_plain(struct stream *s, const char *digest);

/* How many bytes are at *@data, 0 at the end, -1 and a sentence. */
ssize_t stream_read(struct stream *s, const void **data);
/* Reads what is left and checks the digest. */
int stream_finish(struct stream *s);
void stream_close(struct stream *s);

/* Reads an archive in any format and compression that may hold an image. */
struct archive *archive_reader(void);

#endif /* HPMCTL_STREAM_H */
