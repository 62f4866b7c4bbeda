/* SPDX-License-Identifier: GPL-2.0-only */
/* What a person may have meant by a word that does not exist. */
#ifndef HPMCTL_SUGGEST_H
#define HPMCTL_SUGGEST_H

#include <stddef.h>

/*
 * How many letters must be changed, added, left out or exchanged with their
 * neighbour to make one word of the other.
 */
unsigned int word_distance(const char *a, const char *b);

/*
 * The commands that come nearest to the two words (@second may be NULL), as
 * "did you mean A, or B?"; "" if none is near: typing errors, words that other
 * tools have for the same, the two in the other order, or the second alone.
 */
void suggest_command(const char *first, const char *second, char *out,
		     size_t size);
/* The nearest of @nr words, or NULL. */
const char *suggest_word(const char *word, const char *const *words, size_t nr);

#endif /* HPMCTL_SUGGEST_H */
