// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "escape.h"

/*
 * The length of the UTF-8 character at @s, and the character; 0 if there is
 * none: a lone or a missing continuation, an overlong form, a surrogate, or a
 * value beyond Unicode.
 */
static size_t utf8_char(const unsigned char *s, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len, i;

	if (s[0] < 0x80) {
		*c = s[0];
		return 1;
	}
	len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	*c = s[0] & (0x7fU >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	if (*c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return 0;
	return len;
}

/*
 * Harmful are C0 and C1 controls (a terminal obeys both), marks that reorder or
 * hide text, and line separators.
 */
static bool is_harmless(uint32_t c)
{
	static const uint32_t bad[][2] = {
		{ 0x00, 0x1f },	    { 0x7f, 0x9f },	  { 0xad, 0xad },
		{ 0x61c, 0x61c },   { 0x180e, 0x180e },	  { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f },	  { 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (c >= bad[i][0] && c <= bad[i][1])
			return false;
	return true;
}

/* Escapes one character of @in into @part; returns its length in @in. */
static size_t escape_one(const unsigned char *in, char part[8])
{
	uint32_t c;
	size_t len = utf8_char(in, &c);

	if (!len || !is_harmless(c)) {
		(void)snprintf(part, 8, "\\x%02x", in[0]);
		return 1;
	}
	memcpy(part, in, len);
	part[len] = '\0';
	return len;
}

const char *text_escape(char *out, size_t size, const char *in)
{
	static const char more[] = "...";
	size_t used = 0, fits = 0; /* fits: even with "..." appended */
	char part[8];

	while (*in) {
		size_t len, took = escape_one((const unsigned char *)in, part);

		len = strlen(part);
		if (used + len >= size) {
			if (size < sizeof(more))
				break;
			memcpy(out + fits, more, sizeof(more));
			return out;
		}
		memcpy(out + used, part, len);
		used += len;
		if (used + sizeof(more) <= size)
			fits = used;
		in += took;
	}
	out[used] = '\0';
	return out;
}
