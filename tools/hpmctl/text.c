// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "ondisk.h"
#include "size.h"
#include "text.h"

int parse_size(const char *text, uint64_t *bytes)
{
	char why[SIZE_WHY];

	return size_parse(text, bytes, why) ? err_say(ST_USAGE, "%s", why) : 0;
}

int parse_new_size(const char *text, uint64_t base, uint64_t *bytes)
{
	uint64_t value;

	if (text[0] == '-')
		return err_say(
			ST_USAGE,
			"\"%s\" is not a size: to make something smaller, give its new size",
			text);
	if (text[0] != '+')
		return parse_size(text, bytes);
	if (parse_size(text + 1, &value))
		return -1;
	if (value > (UINT64_MAX >> 1) - base)
		return err_say(ST_USAGE, "the size %s is too large", text);
	*bytes = base + value;
	return 0;
}

int parse_uint(const char *text, uint64_t max, uint64_t *value)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || !isdigit((unsigned char)text[0]) || v > max)
		return err_say(ST_USAGE,
			       "\"%s\" is not a number from 0 to %llu", text,
			       (unsigned long long)max);
	*value = v;
	return 0;
}

int parse_seconds(const char *text, double *value)
{
	char *end;
	double v = strtod(text, &end);

	/* (strtod() also takes leading spaces and hexadecimal numbers) */
	if (text[strspn(text, "0123456789.")] || *end || end == text ||
	    !(v >= 0.1 && v <= 86400))
		return err_say(ST_USAGE,
			       "\"%s\" is not a time from 0.1 to 86400 seconds",
			       text);
	*value = v;
	return 0;
}

const char *size_text(uint64_t bytes, char out[SIZE_TEXT])
{
	static const char *const unit[] = { "B",   "KiB", "MiB", "GiB",
					    "TiB", "PiB", "EiB" };
	unsigned int i = 0;
	uint64_t whole = bytes;

	while (i < 6 && bytes >> (10 * (i + 1)))
		i++;
	whole = bytes >> (10 * i);
	if (whole << (10 * i) == bytes)
		(void)snprintf(out, SIZE_TEXT, "%llu %s",
			       (unsigned long long)whole, unit[i]);
	else
		(void)snprintf(out, SIZE_TEXT, "%.*f %s", whole < 100 ? 1 : 0,
			       (double)bytes / (double)(1ULL << (10 * i)),
			       unit[i]);
	return out;
}

static int check_name(const char *what, const char *name, size_t max)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789_.+-";

	if (!*name)
		return err_say(ST_USAGE, "a %s must have a name", what);
	if (strlen(name) > max)
		return err_say(ST_USAGE,
			       "the name %s is longer than %zu characters",
			       name, max);
	if (name[strspn(name, allowed)] || name[0] == '-' || name[0] == '.')
		return err_say(
			ST_USAGE,
			"\"%s\" cannot be the name of a %s: letters, digits and _ . + - are allowed, and it must not begin with - or .",
			name, what);
	return 0;
}

int check_pool_name(const char *name)
{
	return check_name("pool", name, POOL_NAME_MAX);
}

int check_volume_name(const char *name)
{
	if (check_name("volume", name, HPM_NAME_SIZE - 1))
		return -1;
	if (!name[strspn(name, "0123456789")])
		return err_say(
			ST_USAGE,
			"%s cannot be the name of a volume: it would be taken for an id",
			name);
	if (strstr(name, IMPORTING))
		return err_say(
			ST_USAGE,
			"%s cannot be the name of a volume: the names of unfinished imports look like this",
			name);
	if (!strcmp(name, "meta") || !strcmp(name, "data"))
		return err_say(
			ST_USAGE,
			"no volume can be named %s: the pool's own devices have this name",
			name);
	return 0;
}

char *next_word(char **text)
{
	char *word;

	*text += strspn(*text, " \t");
	if (!**text)
		return NULL;
	word = *text;
	*text += strcspn(*text, " \t");
	if (**text)
		*(*text)++ = '\0';
	return word;
}

void chomp(char *text)
{
	size_t len = strlen(text);

	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
}

bool parse_pair(const char *word, uint64_t *a, uint64_t *b)
{
	char *end;

	if (!isdigit((unsigned char)*word))
		return false;
	*a = strtoull(word, &end, 10);
	if (*end != '/' || !isdigit((unsigned char)end[1]))
		return false;
	*b = strtoull(end + 1, &end, 10);
	return !*end;
}

int print_to(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= size)
		return err_say(ST_FAILED, "\"%.40s...\" is too long", out);
	return 0;
}
