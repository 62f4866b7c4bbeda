// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <string.h>

#include "err.h"
#include "header.h"
#include "sparse.h"

/* GNU's type S: parts in the header, then in blocks behind it. */
#define OLD_AT	    386
#define OLD_PARTS   4
#define OLD_MORE    482
#define OLD_REAL    483
#define OLD_NUMBER  12
#define BLOCK_PARTS 21
#define BLOCK_MORE  504
#define DIGITS_MAX  19 /* of a number that fits 63 bits */

static int bad(const char *why)
{
	return err_say(
		ST_BAD_INPUT,
		"the archive has a sparse file with an impossible map: %s",
		why);
}

/* Returns the length of the number at @s, 0: there is none that fits. */
static size_t number(const char *s, size_t len, uint64_t *value)
{
	size_t i;

	*value = 0;
	for (i = 0; i < len && isdigit((unsigned char)s[i]); i++) {
		if (i == DIGITS_MAX)
			return 0;
		*value = 10 * *value + (uint64_t)(s[i] - '0');
	}
	return *value > INT64_MAX ? 0 : i;
}

static int add_part(struct sparse *s, uint64_t at, uint64_t len)
{
	if (len > INT64_MAX - at || len > INT64_MAX - s->sum)
		return bad("a part of it is too large");
	s->sum += len;
	if (at + len > s->end)
		s->end = at + len;
	return 0;
}

/* Offsets and lengths take turns. */
static int add_number(struct sparse *s, uint64_t value)
{
	if (s->nr++ % 2)
		return add_part(s, s->last, value);
	s->last = value;
	return 0;
}

/*----------------------------------------------------------------
 * Maps in extended headers
 *--------------------------------------------------------------*/

static int add_list(struct sparse *s, const char *text, size_t len)
{
	uint64_t value;
	size_t n;

	if (s->list)
		return bad("there are two");
	s->list = true;
	while (len) {
		n = number(text, len, &value);
		if (!n || (n < len && text[n] != ',') || n + 1 == len)
			return bad("it is not a list of numbers");
		if (add_number(s, value))
			return -1;
		n += n < len;
		text += n;
		len -= n;
	}
	return 0;
}

/* A part is an offset, followed by a length. */
static int add_half(struct sparse *s, bool is_length, uint64_t value)
{
	s->list = true;
	if (s->nr % 2 != is_length)
		return bad("offsets and lengths do not take turns");
	return add_number(s, value);
}

/* Only version 1.0 is told; those before it are known by their keys. */
static int set_version(bool *given, uint64_t value, uint64_t known)
{
	*given = true;
	if (value == known)
		return 0;
	return err_say(ST_BAD_INPUT,
		       "the archive has a sparse file in an unknown format");
}

int sparse_record(struct sparse *s, const char *key, const char *value,
		  size_t len)
{
	uint64_t n = 0;

	if (!strcmp(key, "GNU.sparse.map"))
		return add_list(s, value, len);
	if (number(value, len, &n) != len)
		return bad("it has a number that is too large");
	if (!strcmp(key, "GNU.sparse.major"))
		return set_version(&s->major, n, 1);
	if (!strcmp(key, "GNU.sparse.minor"))
		return set_version(&s->minor, n, 0);
	if (!strcmp(key, "GNU.sparse.offset"))
		return add_half(s, false, n);
	if (!strcmp(key, "GNU.sparse.numbytes"))
		return add_half(s, true, n);
	if (!strcmp(key, "GNU.sparse.numblocks")) {
		s->has_nr = true;
		s->nr_parts = n;
		return 0;
	}
	if (s->has_real && s->real != n)
		return bad("the file has two sizes");
	s->has_real = true;
	s->real = n;
	return 0;
}

/*----------------------------------------------------------------
 * Maps in blocks
 *--------------------------------------------------------------*/

/* 0: there are no more parts behind these */
static int add_fields(struct sparse *s, const unsigned char *f, unsigned int nr)
{
	int64_t at, len;

	for (; nr--; f += 2UL * OLD_NUMBER) {
		if (!f[0] && !f[OLD_NUMBER])
			return 0;
		if (!f[0] || !f[OLD_NUMBER] ||
		    !header_number(f, OLD_NUMBER, &at) ||
		    !header_number(f + OLD_NUMBER, OLD_NUMBER, &len) ||
		    at < 0 || len < 0)
			return bad("it has a part that is not a number");
		if (add_part(s, (uint64_t)at, (uint64_t)len))
			return -1;
	}
	return 1;
}

static int cut_short(void)
{
	return bad("it is cut short");
}

static int add_old(struct sparse *s, const unsigned char *h, size_t len)
{
	bool more = h[OLD_MORE];
	int64_t real;
	int ret;

	if (!header_number(h + OLD_REAL, OLD_NUMBER, &real) || real < 0)
		return bad("the size of the file is not a number");
	if (s->has_real && s->real != (uint64_t)real)
		return bad("the file has two sizes");
	s->has_real = true;
	s->real = (uint64_t)real;
	ret = add_fields(s, h + OLD_AT, OLD_PARTS);
	while (ret >= 0 && more) {
		h += HEADER_BLOCK;
		len -= HEADER_BLOCK;
		if (len < HEADER_BLOCK)
			return cut_short();
		if (!ret && h[0])
			return bad("it has parts behind its end");
		if (ret)
			ret = add_fields(s, h, BLOCK_PARTS);
		more = h[BLOCK_MORE];
	}
	return ret < 0 ? -1 : 0;
}

/* A number on a line of its own; the line's length, or 0 */
static size_t line(const unsigned char *p, size_t len, uint64_t *value)
{
	size_t n = number((const char *)p, len, value);

	return n && n < len && p[n] == '\n' ? n + 1 : 0;
}

/*
 * Version 1.0: the number of parts, then their numbers, before the data.
 * Returns the number of bytes in the map's blocks.
 */
static int64_t add_lines(struct sparse *s, const unsigned char *p, size_t len)
{
	uint64_t nr, value;
	size_t n = line(p, len, &nr), used = n;

	if (!n || nr > len)
		return bad("its number of parts is not a number");
	for (nr *= 2; nr; nr--, used += n) {
		n = line(p + used, len - used, &value);
		if (!n)
			return bad("it is not a list of numbers");
		if (add_number(s, value))
			return -1;
	}
	return (int64_t)((used + HEADER_BLOCK - 1) & ~(HEADER_BLOCK - 1UL));
}

/*----------------------------------------------------------------
 * An entry
 *--------------------------------------------------------------*/

static int check_sums(const struct sparse *s, uint64_t size)
{
	if (s->nr % 2)
		return bad("its last part has no length");
	if (s->has_nr && s->nr_parts != s->nr / 2)
		return bad("its number of parts is wrong");
	if (!s->has_real)
		return bad("the size of the file is missing");
	if (s->end > s->real)
		return bad("it has a part behind the end of the file");
	if (s->sum != size)
		return bad("it does not fit the data that are stored");
	return 0;
}

int sparse_check(struct sparse *s, const unsigned char *h, size_t len,
		 uint64_t size)
{
	int64_t map;

	s->old = h[156] == 'S';
	if (s->minor && !s->major)
		return bad("its version is missing");
	if (s->old + s->list + s->major > 1)
		return bad("there are two");
	if ((s->list || s->major) && h[156] && !strchr("07", h[156]))
		return bad("the entry is not a file");
	if (s->old) {
		if (add_old(s, h, len))
			return -1;
	} else if (s->major) {
		map = add_lines(s, h + HEADER_BLOCK, len - HEADER_BLOCK);
		if (map < 0)
			return -1;
		if ((uint64_t)map > size)
			return cut_short();
		size -= (uint64_t)map;
	} else if (!s->list) {
		if (s->has_nr && s->nr_parts)
			return bad("it is missing");
		if (s->has_real && s->real != size)
			return bad("it is missing");
		return 0;
	}
	return check_sums(s, size);
}
