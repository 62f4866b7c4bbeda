// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "size.h"

#define SIZE_LIMIT ((uint64_t)1 << 63)
/* 10^18 times the largest unit still fits in 128 bits. */
#define PLACES_MAX 18
#define EXAMPLES   "4096, 64K, 1.5GiB, 2T, 2048s"
/* A message repeats this much of the input. */
#define SHOWN 64

typedef unsigned __int128 wide;

/* A decimal number as it was written: digits / 10^places. */
struct decimal {
	wide digits;
	unsigned int places;
	bool large; /* its integer part alone is too large */
	bool fine;  /* it has more places than fit */
};

static int bad(char *why, const char *text, const char *reason)
{
	(void)snprintf(why, SIZE_WHY, "\"%.*s\" is not a size%s", SHOWN, text,
		       reason);
	return -1;
}

static void add_digit(struct decimal *d, char c)
{
	d->digits = d->digits * 10 + (wide)(c - '0');
}

/* Returns the end of the number; NULL: there is no number. */
static const char *take_decimal(const char *p, struct decimal *d)
{
	const char *end, *last;

	memset(d, 0, sizeof(*d));
	if (!isdigit((unsigned char)*p))
		return NULL;
	for (; isdigit((unsigned char)*p); p++) {
		d->large |= d->digits >= SIZE_LIMIT;
		if (!d->large)
			add_digit(d, *p);
	}
	if (*p != '.')
		return p;
	p++;
	end = p + strspn(p, "0123456789");
	if (end == p)
		return NULL;
	for (last = end; last > p && last[-1] == '0'; last--)
		;
	d->fine = last - p > PLACES_MAX;
	for (; p < last && !d->fine && !d->large; p++, d->places++)
		add_digit(d, *p);
	return end;
}

/* The number of bytes in a unit; 0: unknown unit. */
static uint64_t unit_bytes(const char *unit)
{
	static const char letters[] = "KMGTPE";
	const char *at;

	if (!*unit || !strcasecmp(unit, "b") || !strcasecmp(unit, "byte") ||
	    !strcasecmp(unit, "bytes"))
		return 1;
	if (!strcasecmp(unit, "s"))
		return 512;
	at = strchr(letters, toupper((unsigned char)*unit));
	unit++;
	if (!at || (*unit && strcasecmp(unit, "i") && strcasecmp(unit, "b") &&
		    strcasecmp(unit, "ib")))
		return 0;
	return (uint64_t)1 << (10 * (at - letters + 1));
}

static int combine(const char *text, const struct decimal *d, uint64_t unit,
		   uint64_t *bytes, char *why)
{
	wide value, scale = 1;
	unsigned int i;

	for (i = 0; i < d->places; i++)
		scale *= 10;
	if (d->large || d->digits / scale >= SIZE_LIMIT / unit) {
		(void)snprintf(
			why, SIZE_WHY,
			"the size %.*s is too large: it must be below 8E",
			SHOWN, text);
		return -1;
	}
	value = d->digits * unit;
	if (d->fine || value % scale)
		return bad(why, text, ": it is not a whole number of bytes");
	*bytes = (uint64_t)(value / scale);
	return 0;
}

int size_parse(const char *text, uint64_t *bytes, char why[SIZE_WHY])
{
	struct decimal d;
	const char *unit;
	uint64_t factor;

	if (text[0] == '-')
		return bad(why, text, ": a size must not be negative");
	if (text[strcspn(text, " \t\n\v\f\r")])
		return bad(why, text, ": there must be no space in it");
	unit = take_decimal(text, &d);
	factor = unit ? unit_bytes(unit) : 0;
	if (!factor)
		return bad(why, text, " (examples: " EXAMPLES ")");
	return combine(text, &d, factor, bytes, why);
}

#define META_STEP  (UINT64_C(2) << 20)
#define META_LEAST (UINT64_C(8) << 20)
#define META_MOST  (UINT64_C(16) << 30)

uint64_t meta_size_for(uint64_t data_bytes)
{
	uint64_t bytes = (data_bytes / 64 + META_STEP - 1) & ~(META_STEP - 1);

	if (bytes < META_LEAST)
		return META_LEAST;
	return bytes < META_MOST ? bytes : META_MOST;
}
