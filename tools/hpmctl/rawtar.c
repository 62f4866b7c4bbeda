// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "gunzip.h"
#include "header.h"
#include "rawtar.h"

int rawtar_failed(const struct rawtar *r)
{
	/* The stream's error is closer to the reason. */
	return err_say(ST_BAD_INPUT, "cannot unpack %s: %s", r->in->name,
		       archive_why(r->a));
}

/*----------------------------------------------------------------
 * From the stream to the first reader
 *--------------------------------------------------------------*/

static ssize_t first_read(struct rawtar *r, const void **data)
{
	ssize_t n = stream_read(r->in, data);

	r->begun = true;
	if (n <= 0 || !gunzip_begins(*data, (size_t)n))
		return n;
	r->gz = gunzip_new(r->in, *data, (size_t)n);
	return r->gz ? gunzip_read(r->gz, data) : -1;
}

static la_ssize_t feed_plain(struct archive *a, void *ctx, const void **data)
{
	struct rawtar *r = ctx;
	ssize_t n = !r->begun ? first_read(r, data) :
		    r->gz     ? gunzip_read(r->gz, data) :
				stream_read(r->in, data);

	if (n < 0)
		archive_set_error(a, EIO, "%s", err_text());
	return n < 0 ? ARCHIVE_FATAL : n;
}

/*----------------------------------------------------------------
 * From one reader to the other
 *--------------------------------------------------------------*/

/* Drops what the second reader has consumed, and makes room for @more. */
static bool make_room(struct rawtar *r, size_t more)
{
	uint64_t used = (uint64_t)archive_filter_bytes(r->a, 0);

	if (!r->whole && used > r->at) {
		size_t drop = (size_t)(used - r->at);

		if (drop > r->nr)
			drop = r->nr;
		memmove(r->kept, r->kept + drop, r->nr - drop);
		r->nr -= drop;
		r->at += drop;
	}
	if (r->nr + more > r->room) {
		size_t room = 2 * (r->nr + more);
		unsigned char *kept = realloc(r->kept, room);

		if (!kept)
			return false;
		r->kept = kept;
		r->room = room;
	}
	return true;
}

/* A block without compression; 0 at the end, -1 with an error in @plain. */
static ssize_t next_block(struct rawtar *r, const void **data)
{
	size_t size = 0;
	la_int64_t at;
	int ret;

	do
		ret = archive_read_data_block(r->plain, data, &size, &at);
	while (ret == ARCHIVE_OK && !size);
	if (ret == ARCHIVE_EOF)
		r->ended = true;
	if (ret == ARCHIVE_OK && r->in->check_plain)
		digest_add(&r->in->plain, *data, size);
	return ret == ARCHIVE_OK ? (ssize_t)size : ret == ARCHIVE_EOF ? 0 : -1;
}

static la_ssize_t feed(struct archive *a, void *ctx, const void **data)
{
	struct rawtar *r = ctx;
	const void *block;
	ssize_t n = r->ended ? 0 : next_block(r, &block);

	if (n < 0) {
		archive_set_error(a, EIO, "%s", archive_why(r->plain));
		return ARCHIVE_FATAL;
	}
	if (!n)
		return 0;
	if (!make_room(r, (size_t)n)) {
		archive_set_error(a, ENOMEM, "not enough memory");
		return ARCHIVE_FATAL;
	}
	*data = memcpy(r->kept + r->nr, block, (size_t)n);
	r->nr += (size_t)n;
	return n;
}

static bool is_zero(const unsigned char *p, size_t len)
{
	return !len || (!*p && !memcmp(p, p + 1, len - 1));
}

/*
 * Also reads what follows the end of the archive: only there a compressed file
 * shows whether it is complete.  *@zero becomes false if it is not all zeroes.
 */
static int drain(struct rawtar *r, bool *zero)
{
	const void *block;
	ssize_t n = 1;

	while (!r->ended && n > 0) {
		n = next_block(r, &block);
		if (n > 0 && *zero)
			*zero = is_zero(block, (size_t)n);
	}
	if (n < 0)
		return err_say(ST_BAD_INPUT, "cannot unpack %s: %s",
			       r->in->name, archive_why(r->plain));
	return 0;
}

/*----------------------------------------------------------------
 * Opening
 *--------------------------------------------------------------*/

static int open_plain(struct rawtar *r)
{
	struct archive_entry *entry;

	r->plain = archive_read_new();
	if (!r->plain)
		return err_nomem();
	/* ARCHIVE_WARN: the filter exists, but as an external program. */
	if (archive_read_support_filter_all(r->plain) < ARCHIVE_WARN ||
	    archive_read_support_format_raw(r->plain) < ARCHIVE_WARN)
		return err_say(ST_FAILED, "cannot use libarchive: %s",
			       archive_why(r->plain));
	if (archive_read_open(r->plain, r, NULL, feed_plain, NULL) ||
	    archive_read_next_header(r->plain, &entry) < ARCHIVE_WARN)
		return err_say(ST_BAD_INPUT, "cannot unpack %s: %s",
			       r->in->name, archive_why(r->plain));
	return 0;
}

int rawtar_open(struct rawtar *r, struct stream *in)
{
	memset(r, 0, sizeof(*r));
	r->in = in;
	if (open_plain(r))
		return -1;
	r->a = archive_read_new();
	if (!r->a)
		return err_nomem();
	if (archive_read_support_format_tar(r->a) < ARCHIVE_WARN ||
	    archive_read_support_format_cpio(r->a) < ARCHIVE_WARN)
		return err_say(ST_FAILED, "cannot use libarchive: %s",
			       archive_why(r->a));
	r->whole = true;
	if (archive_read_open(r->a, r, NULL, feed, NULL))
		return rawtar_failed(r);
	return 0;
}

int rawtar_check(struct stream *in)
{
	struct rawtar r = { .in = in };
	bool zero = false;
	int ret = open_plain(&r) || drain(&r, &zero) ? -1 : 0;

	rawtar_close(&r);
	return ret;
}

void rawtar_close(struct rawtar *r)
{
	if (r->a)
		(void)archive_read_free(r->a);
	if (r->plain)
		(void)archive_read_free(r->plain);
	gunzip_free(r->gz);
	free(r->kept);
	memset(r, 0, sizeof(*r));
}

/*----------------------------------------------------------------
 * Entries
 *--------------------------------------------------------------*/

static bool is_cpio(const struct rawtar *r)
{
	return (archive_format(r->a) & ARCHIVE_FORMAT_BASE_MASK) ==
	       ARCHIVE_FORMAT_CPIO;
}

/*
 * The headers that lie between @begin and where the reader is now; @entry is
 * NULL at the end.
 */
static int check_headers(const struct rawtar *r, uint64_t begin,
			 struct archive_entry *entry)
{
	uint64_t end = (uint64_t)archive_filter_bytes(r->a, 0);
	const unsigned char *raw;
	size_t len;
	int64_t n;

	if (begin < r->at || begin - r->at > r->nr || end < begin)
		return rawtar_failed(r);
	raw = r->kept + (begin - r->at);
	len = r->nr - (size_t)(begin - r->at);
	if (is_cpio(r))
		return header_check_cpio(raw, len);
	if (!entry)
		return 0;
	n = header_check_tar(raw, len);
	if (n < 0)
		return -1;
	/* If not, it has read other headers than those that were checked. */
	if ((uint64_t)n > end - begin)
		return err_say(
			ST_BAD_INPUT,
			"the archive has headers that cannot be understood");
	return 0;
}

/*
 * An archive ends with zeroes, and an empty one has nothing else.  But a disk
 * image usually begins with zeroes, too.
 */
static int finish(struct rawtar *r, bool empty)
{
	bool begins = empty && r->nr &&
		      is_zero(r->kept, r->nr < 512 ? r->nr : 512);
	bool zero = begins && is_zero(r->kept, r->nr);

	if (drain(r, &zero))
		return -1;
	if (begins && !zero)
		return err_say(
			ST_BAD_INPUT,
			"%s is not an archive (copy a disk image to a volume's device instead)",
			r->in->name);
	return 0;
}

int rawtar_next(struct rawtar *r, struct archive_entry **entry,
		const char **warning)
{
	uint64_t begin;
	int ret;

	*warning = NULL;
	/* Go to the next header, so that it is known where that begins. */
	if (archive_format(r->a) && archive_read_data_skip(r->a) < ARCHIVE_WARN)
		return rawtar_failed(r);
	begin = (uint64_t)archive_filter_bytes(r->a, 0);
	r->whole = true;
	ret = archive_read_next_header(r->a, entry);
	/* (of cpio, libarchive skips what it does not understand up to the end) */
	if (ret == ARCHIVE_EOF)
		return check_headers(r, begin, NULL) || finish(r, !begin) ? -1 :
									    0;
	if (ret != ARCHIVE_OK && ret != ARCHIVE_WARN)
		return rawtar_failed(r);
	if (ret == ARCHIVE_WARN)
		*warning = archive_why(r->a);
	if (check_headers(r, begin, *entry) || header_check_entry(*entry))
		return -1;
	r->whole = false;
	return 1;
}
