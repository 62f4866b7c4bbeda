// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "err.h"
#include "header.h"
#include "sparse.h"

/* chown() takes (uid_t)-1 for "leave the owner alone". */
#define ID_MAX	  (UINT32_MAX - 1)
#define MODE_MAX  0177777 /* old archives include the file type */
#define MAJOR_MAX ((1 << 12) - 1)
#define MINOR_MAX ((1 << 20) - 1)
#define BODY_MAX  (64 << 20) /* of an extended header */

static int bad(const char *what, const char *value, size_t len)
{
	return err_say(ST_BAD_INPUT,
		       "the archive has an impossible %s: \"%.*s\"", what,
		       (int)(len < 60 ? len : 60), value);
}

/*----------------------------------------------------------------
 * Fields of a tar header
 *--------------------------------------------------------------*/

/* GNU's binary numbers: a bit that marks them, then two's complement. */
static bool base256(const unsigned char *f, size_t len, int64_t *value)
{
	bool negative = f[0] & 0x40;
	uint64_t v = negative ? UINT64_MAX : 0;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = f[i];

		if (!i) /* the sign fills the marker bit */
			c = (unsigned char)(negative ? c | 0x80 : c & 0x7f);
		if (v >> 55 != (negative ? UINT64_MAX >> 55 : 0))
			return false;
		v = v << 8 | c;
	}
	*value = (int64_t)v;
	return true;
}

/* Octal digits after blanks; an empty field is 0. */
static bool octal(const unsigned char *f, size_t len, int64_t *value)
{
	size_t i = 0;

	*value = 0;
	while (i < len && f[i] == ' ')
		i++;
	for (; i < len && f[i] >= '0' && f[i] <= '7'; i++)
		*value = *value << 3 | (f[i] - '0');
	return i == len || f[i] == ' ' || !f[i];
}

bool header_number(const unsigned char *f, size_t len, int64_t *value)
{
	return (*f & 0x80) ? base256(f, len, value) : octal(f, len, value);
}

struct field {
	const char *what;
	unsigned short at, len;
	int64_t min, max;
};

static int check_field(const unsigned char *h, const struct field *f)
{
	const unsigned char *p = h + f->at;
	int64_t value;

	if (!header_number(p, f->len, &value) || value < f->min ||
	    value > f->max)
		return bad(f->what, (const char *)p, f->len);
	return 0;
}

/* Fields of the entry that extended headers give instead of its own header. */
enum {
	HAS_UID = 1 << 0,
	HAS_GID = 1 << 1,
	HAS_SIZE = 1 << 2,
	HAS_MTIME = 1 << 3,
	HAS_MAJOR = 1 << 4,
	HAS_MINOR = 1 << 5,
	HAS_PATH = 1 << 6,
	HAS_LINK = 1 << 7,
	/* the same in GNU's headers */
	HAS_LONG_PATH = 1 << 8,
	HAS_LONG_LINK = 1 << 9,
	HAS_RECORDS = 1 << 10, /* any extended header */
};

/* What was found before the entry's own header. */
struct before {
	unsigned int has;
	uint64_t size; /* HAS_SIZE */
	struct sparse sparse;
};

static int check_main(const unsigned char *h, unsigned int has)
{
	static const struct field fields[] = {
		{ "owner", 108, 8, 0, ID_MAX },
		{ "group", 116, 8, 0, ID_MAX },
		{ "size", 124, 12, 0, INT64_MAX },
		{ "time", 136, 12, INT64_MIN, INT64_MAX },
	};
	static const struct field mode = { "mode", 100, 8, 0, MODE_MAX };
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!(has & 1U << i) && check_field(h, &fields[i]))
			return -1;
	return check_field(h, &mode);
}

static int check_device(const unsigned char *h, unsigned int has)
{
	static const struct field major = { "device number", 329, 8, 0,
					    MAJOR_MAX };
	static const struct field minor = { "device number", 337, 8, 0,
					    MINOR_MAX };

	if (h[156] != '3' && h[156] != '4')
		return 0;
	if (!(has & HAS_MAJOR) && check_field(h, &major))
		return -1;
	return (has & HAS_MINOR) ? 0 : check_field(h, &minor);
}

/*----------------------------------------------------------------
 * Records of an extended header
 *--------------------------------------------------------------*/

static bool decimal(const char *s, size_t len, uint64_t max)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned int digit = (unsigned char)s[i] - '0';

		if (digit > 9 || v > (max - digit) / 10)
			return false;
		v = 10 * v + digit;
	}
	return len;
}

/* "-12.345": seconds that fit 64 bits, and digits behind a point */
static bool is_time(const char *s, size_t len)
{
	const char *point = memchr(s, '.', len);
	size_t whole = point ? (size_t)(point - s) : len;
	size_t sign = len && s[0] == '-';

	if (!decimal(s + sign, whole - sign, INT64_MAX))
		return false;
	for (s += whole + 1; point && s < point + (len - whole); s++)
		if (!isdigit((unsigned char)*s))
			return false;
	return true;
}

/*
 * "user:NAME:rwx" or "user:NAME:rwx:ID", and more of them after commas.  An id
 * that does not fit an int would become another id.
 */
static bool is_acl(const char *s, size_t len)
{
	const char *end = s + len;

	while (s < end) {
		size_t n = strcspn(s, ",:\n");

		if (s + n > end)
			n = (size_t)(end - s);
		if (n && isdigit((unsigned char)*s) &&
		    strspn(s, "0123456789") >= n && !decimal(s, n, INT_MAX))
			return false;
		s += n + 1;
	}
	return true;
}

enum kind {
	K_ID,
	K_SIZE,
	K_TIME,
	K_MAJOR,
	K_MINOR,
	K_ACL,
	K_NAME,
	K_PART,
	K_SPARSE, /* a number */
	K_MAP
};

static const struct key {
	const char *name;
	enum kind kind;
	unsigned int has;
	const char *what;
} keys[] = {
	{ "uid", K_ID, HAS_UID, "owner" },
	{ "gid", K_ID, HAS_GID, "group" },
	{ "size", K_SIZE, HAS_SIZE, "size" },
	{ "mtime", K_TIME, HAS_MTIME, "time" },
	{ "atime", K_TIME, 0, "time" },
	{ "ctime", K_TIME, 0, "time" },
	{ "LIBARCHIVE.creationtime", K_TIME, 0, "time" },
	{ "SCHILY.devmajor", K_MAJOR, HAS_MAJOR, "device number" },
	{ "SCHILY.devminor", K_MINOR, HAS_MINOR, "device number" },
	{ "SCHILY.realsize", K_SPARSE, 0, "size" },
	{ "GNU.sparse.major", K_SPARSE, 0, "sparse map" },
	{ "GNU.sparse.minor", K_SPARSE, 0, "sparse map" },
	{ "GNU.sparse.size", K_SPARSE, 0, "size" },
	{ "GNU.sparse.realsize", K_SPARSE, 0, "size" },
	{ "GNU.sparse.offset", K_SPARSE, 0, "sparse map" },
	{ "GNU.sparse.numbytes", K_SPARSE, 0, "sparse map" },
	{ "GNU.sparse.numblocks", K_SPARSE, 0, "sparse map" },
	{ "GNU.sparse.map", K_MAP, 0, "sparse map" },
	{ "SCHILY.acl.access", K_ACL, 0, "owner in an ACL" },
	{ "SCHILY.acl.default", K_ACL, 0, "owner in an ACL" },
	{ "path", K_NAME, HAS_PATH, "path" },
	{ "linkpath", K_NAME, HAS_LINK, "link" },
	{ "GNU.sparse.name", K_NAME, 0, "path" },
	{ "GNU.volume.offset", K_PART, 0, "part of a file" },
};

static const struct key *find_key(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strlen(keys[i].name) == len &&
		    !memcmp(keys[i].name, name, len))
			return &keys[i];
	return NULL;
}

static bool is_value(enum kind kind, const char *s, size_t len)
{
	switch (kind) {
	case K_ID:
		return decimal(s, len, ID_MAX);
	case K_SIZE:
	case K_SPARSE:
		return decimal(s, len, INT64_MAX);
	case K_TIME:
		return is_time(s, len);
	case K_MAJOR:
		return decimal(s, len, MAJOR_MAX);
	case K_MINOR:
		return decimal(s, len, MINOR_MAX);
	case K_ACL:
		return is_acl(s, len);
	case K_NAME:
		return len && !memchr(s, '\0', len);
	case K_MAP:
		return true;
	case K_PART:
		break;
	}
	return false;
}

/* "LENGTH KEY=VALUE\n"; returns its length, 0 if it is not a record. */
static size_t record_length(const char *p, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len && i < 9 && isdigit((unsigned char)p[i]); i++)
		n = 10 * n + (size_t)(p[i] - '0');
	if (!i || i == len || p[i] != ' ' || n <= i + 1 || n > len ||
	    p[n - 1] != '\n')
		return 0;
	return n;
}

/*
 * The file begins in another archive; libarchive would make zeroes of that
 * part.
 */
static int is_part(void)
{
	return err_say(
		ST_BAD_INPUT,
		"the archive is one of several volumes and begins within a file: put them together first");
}

/*
 * @global: libarchive does not apply these records to the entries that they are
 * for, so an archive that depends on one of them cannot be unpacked correctly.
 */
static int check_record(const char *p, size_t len, bool global,
			struct before *b)
{
	const char *name = (const char *)memchr(p, ' ', len) + 1;
	const char *end = p + len - 1; /* the newline */
	const char *value = memchr(name, '=', (size_t)(end - name));
	const struct key *key;

	if (!value || value == name)
		return bad("extended header", p, len - 1);
	key = find_key(name, (size_t)(value - name));
	value++;
	if (!key)
		return 0;
	if (key->kind == K_PART)
		return is_part();
	if (!is_value(key->kind, value, (size_t)(end - value)))
		return bad(key->what, value, (size_t)(end - value));
	if (global && key->kind != K_TIME)
		return err_say(
			ST_BAD_INPUT,
			"the archive gives one %s for all its entries (a global header), which is not supported",
			key->what);
	b->has |= key->has;
	if (key->has == HAS_SIZE)
		b->size = strtoull(value, NULL, 10);
	if (key->kind == K_SPARSE || key->kind == K_MAP)
		return sparse_record(&b->sparse, key->name, value,
				     (size_t)(end - value));
	return 0;
}

static int check_records(const char *p, size_t len, bool global,
			 struct before *b)
{
	while (len) {
		size_t n = record_length(p, len);

		if (!n)
			return bad("extended header", p, strnlen(p, len));
		if (check_record(p, n, global, b))
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

/*----------------------------------------------------------------
 * The headers of an entry
 *--------------------------------------------------------------*/

/*
 * Whether the header describes the next entry and is not an entry of its own.
 */
static bool is_special(unsigned char type)
{
	return type && strchr("xgXKLVA", type);
}

/* The number of bytes of blocks that follow a special header; -1: too many. */
static int64_t body_length(const unsigned char *h)
{
	static const struct field size = { "size", 124, 12, 0, BODY_MAX };
	const unsigned char *f = h + size.at;
	int64_t n = 0;

	if (check_field(h, &size))
		return -1;
	if (*f & 0x80)
		(void)base256(f, size.len, &n);
	else
		(void)octal(f, size.len, &n);
	/*
	 * A volume label has no body; readers differ in what they do with one.
	 */
	if (n && h[156] == 'V')
		return bad("size", (const char *)f, size.len);
	return n;
}

static int64_t cut_short(void)
{
	return err_say(ST_BAD_INPUT,
		       "the archive has headers that cannot be understood");
}

/*
 * Readers differ in which one of two extended headers counts, and in whether
 * such a header or GNU's long name does.  libarchive drops the first header and
 * would then use fields that were not checked.
 */
static int twice(const char *what)
{
	return err_say(
		ST_BAD_INPUT,
		"the archive has two %s for one entry: it is ambiguous which one is meant",
		what);
}

/* @body: of the special header @h */
static int check_special(const unsigned char *h, size_t body, struct before *b)
{
	const char *text = (const char *)h + HEADER_BLOCK;
	unsigned int was = b->has;

	switch (h[156]) {
	case 'x':
	case 'X':
		b->has |= HAS_RECORDS;
		if (was & HAS_RECORDS)
			return twice("extended headers");
		return check_records(text, body, false, b);
	case 'g':
		return check_records(text, body, true, b);
	case 'L':
		b->has |= HAS_LONG_PATH;
		return 0;
	case 'K':
		b->has |= HAS_LONG_LINK;
		return body && *text ? 0 : bad("link", "", 0);
	default:
		return 0;
	}
}

static bool has_both(const struct before *b, unsigned int fields)
{
	return (b->has & fields) == fields;
}

/* libarchive makes an empty file of a link without a target. */
static int check_names(const unsigned char *h, const struct before *b)
{
	if (has_both(b, HAS_PATH | HAS_LONG_PATH))
		return twice("paths");
	if (has_both(b, HAS_LINK | HAS_LONG_LINK))
		return twice("links");
	if ((h[156] == '1' || h[156] == '2') && !h[157] &&
	    !(b->has & (HAS_LINK | HAS_LONG_LINK)))
		return bad("link", "", 0);
	return 0;
}

static uint64_t stored_size(const unsigned char *h, const struct before *b)
{
	int64_t size = 0;

	if (b->has & HAS_SIZE)
		return b->size;
	(void)header_number(h + 124, 12, &size);
	return (uint64_t)size;
}

int64_t header_check_tar(const unsigned char *raw, size_t len)
{
	const unsigned char *h = raw;
	struct before b = { 0 };

	for (;;) {
		size_t left = len - (size_t)(h - raw), n;
		int64_t body;

		if (left < HEADER_BLOCK)
			return cut_short();
		if (!is_special(h[156]))
			break;
		body = body_length(h);
		if (body < 0)
			return -1;
		n = (size_t)(body + HEADER_BLOCK - 1) / HEADER_BLOCK;
		n = (n + 1) * HEADER_BLOCK;
		if (n > left)
			return cut_short();
		if (check_special(h, (size_t)body, &b))
			return -1;
		h += n;
	}
	if (h[156] == 'M')
		return is_part();
	if (check_main(h, b.has) || check_device(h, b.has) ||
	    check_names(h, &b) ||
	    sparse_check(&b.sparse, h, len - (size_t)(h - raw),
			 stored_size(h, &b)))
		return -1;
	return h + HEADER_BLOCK - raw;
}

static bool all_of(const unsigned char *p, size_t len, bool hex)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (hex ? !isxdigit(p[i]) : p[i] < '0' || p[i] > '7')
			return false;
	return true;
}

int header_check_cpio(const unsigned char *raw, size_t len)
{
	if (len >= 110 &&
	    (!memcmp(raw, "070701", 6) || !memcmp(raw, "070702", 6)))
		return all_of(raw + 6, 104, true) ?
			       0 :
			       bad("number", (const char *)raw, 110);
	if (len >= 76 && !memcmp(raw, "070707", 6))
		return all_of(raw + 6, 70, false) ?
			       0 :
			       bad("number", (const char *)raw, 76);
	/* binary headers cannot be wrong: all bits are numbers */
	if (len >= 2 && ((raw[0] == 0xc7 && raw[1] == 0x71) ||
			 (raw[0] == 0x71 && raw[1] == 0xc7)))
		return 0;
	return bad("header", (const char *)raw, len < 6 ? len : 6);
}

int header_check_entry(struct archive_entry *entry)
{
	la_int64_t uid = archive_entry_uid(entry);
	la_int64_t gid = archive_entry_gid(entry);

	if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX)
		return err_say(ST_BAD_INPUT,
			       "the archive has an impossible owner: %lld:%lld",
			       (long long)uid, (long long)gid);
	if (archive_entry_size_is_set(entry) && archive_entry_size(entry) < 0)
		return err_say(ST_BAD_INPUT,
			       "the archive has an impossible size: %lld",
			       (long long)archive_entry_size(entry));
	return 0;
}
