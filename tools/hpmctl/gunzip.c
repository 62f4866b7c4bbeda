// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <zlib.h>

#include "err.h"
#include "gunzip.h"

#define WINDOW_GZIP (15 + 16) /* zlib's word for "with gzip's header" */

struct gunzip {
	struct stream *in;
	z_stream z;
	bool between; /* a member has ended, with the right checksum */
	bool ended;
	unsigned char out[256 << 10];
};

bool gunzip_begins(const void *data, size_t size)
{
	const unsigned char *p = data;

	return size >= 2 && p[0] == 0x1f && p[1] == 0x8b;
}

struct gunzip *gunzip_new(struct stream *in, const void *data, size_t size)
{
	struct gunzip *g = calloc(1, sizeof(*g));

	if (!g || inflateInit2(&g->z, WINDOW_GZIP) != Z_OK) {
		free(g);
		(void)err_nomem();
		return NULL;
	}
	g->in = in;
	g->z.next_in = (Bytef *)data;
	g->z.avail_in = (uInt)size;
	return g;
}

void gunzip_free(struct gunzip *g)
{
	if (!g)
		return;
	(void)inflateEnd(&g->z);
	free(g);
}

static int damaged(const struct gunzip *g, const char *why)
{
	return err_say(ST_BAD_INPUT, "cannot unpack %s: %s", g->in->name, why);
}

/* Reads more input; 0: there is none, and none is needed. */
static int fill(struct gunzip *g)
{
	const void *data;
	ssize_t n = stream_read(g->in, &data);

	if (n < 0)
		return -1;
	if (!n)
		return g->between ? 0 : damaged(g, "truncated gzip input");
	g->z.next_in = (Bytef *)data;
	g->z.avail_in = (uInt)n;
	return 1;
}

/*
 * Goes on to the next member.  Data that do not begin a member end the input:
 * gzip warns of them and goes on, and padding with zeroes is usual on tapes.
 */
static bool next_member(struct gunzip *g)
{
	if (*g->z.next_in != 0x1f || inflateReset(&g->z) != Z_OK)
		return false;
	g->between = false;
	return true;
}

static int step(struct gunzip *g)
{
	int ret;

	if (!g->z.avail_in) {
		ret = fill(g);
		if (ret <= 0)
			return ret;
	}
	if (g->between && !next_member(g))
		return 0;
	ret = inflate(&g->z, Z_NO_FLUSH);
	if (ret == Z_STREAM_END)
		g->between = true;
	else if (ret == Z_MEM_ERROR)
		return err_nomem();
	else if (ret != Z_OK && ret != Z_BUF_ERROR)
		return damaged(g, g->z.msg ? g->z.msg : "not in gzip format");
	return 1;
}

ssize_t gunzip_read(struct gunzip *g, const void **data)
{
	int ret = 1;

	g->z.next_out = g->out;
	g->z.avail_out = sizeof(g->out);
	while (!g->ended && g->z.avail_out) {
		ret = step(g);
		if (ret < 0)
			return -1;
		g->ended = !ret;
	}
	*data = g->out;
	return (ssize_t)(sizeof(g->out) - g->z.avail_out);
}
