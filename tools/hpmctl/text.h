/* SPDX-License-Identifier: GPL-2.0-only */
/* Parsing and printing sizes, numbers, names and words. */
#ifndef HPMCTL_TEXT_H
#define HPMCTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sizes in the format of size.h.  Returns -1 and a sentence, or 0. */
int parse_size(const char *text, uint64_t *bytes);
/* "+1G" is 1 GiB more than @base; without the sign as parse_size(). */
int parse_new_size(const char *text, uint64_t base, uint64_t *bytes);
int parse_uint(const char *text, uint64_t max, uint64_t *value);
int parse_seconds(const char *text, double *value);

#define SIZE_TEXT 32
/* "10.0 GiB"; exact sizes stay exact ("64 KiB"). */
const char *size_text(uint64_t bytes, char out[SIZE_TEXT]);

/*
 * Names: letters, digits and "_ . + -", not beginning with "-" or ".".  A
 * volume's name is not a number, or it could not be told from an id.
 */
#define POOL_NAME_MAX 63
/* Part of the names of volumes of an unfinished import. */
#define IMPORTING ".importing-"
int check_pool_name(const char *name);
int check_volume_name(const char *name);

/*
 * Cuts the next word off *@text (at blanks), which is changed; NULL: none
 * left.
 */
char *next_word(char **text);
/* Removes newlines from the end. */
void chomp(char *text);
/* "12/34"; false: another format. */
bool parse_pair(const char *word, uint64_t *a, uint64_t *b);

/* snprintf() into a fixed buffer; -1 and a sentence if it does not fit. */
int print_to(char *out, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* HPMCTL_TEXT_H */
