// SPDX-License-Identifier: GPL-2.0-only
#include "fuzz.h"

/* Makes a copy of exactly this size, so that a read behind it is detected. */
void fuzz_begin(struct fuzz_line *l, const u8 *data, size_t size)
{
	l->text = malloc(size + 1);
	must(l->text);
	memcpy(l->text, data, size);
	l->text[size] = '\0';
	l->next = l->text;
}

bool fuzz_next(struct fuzz_line *l)
{
	l->line = l->next;
	if (!*l->line)
		return false;
	l->next += strcspn(l->next, "\n");
	if (*l->next)
		*l->next++ = '\0';
	return true;
}

/* Blanks separate words; a character after a backslash is taken literally. */
unsigned int fuzz_words(struct fuzz_line *l, char *argv[FUZZ_WORDS])
{
	char *from = l->line, *to;
	unsigned int argc = 0;

	while (argc < FUZZ_WORDS) {
		from += strspn(from, " \t\v\f\r");
		if (!*from)
			break;
		argv[argc++] = to = from;
		while (*from && !strchr(" \t\v\f\r", *from)) {
			if (*from == '\\' && from[1])
				from++;
			*to++ = *from++;
		}
		if (*from)
			from++;
		*to = '\0';
	}
	return argc;
}

void fuzz_end(struct fuzz_line *l)
{
	free(l->text);
}
