/* SPDX-License-Identifier: GPL-2.0-only */
/* Suggestions for words that do not exist. */
#ifndef HPMCTL_SUGGEST_H
#define HPMCTL_SUGGEST_H

#include <stddef.h>

/*
 * The number of letters that must be changed, added, removed or exchanged with
 * their neighbour to turn one word into the other.
 */
unsigned int word_distance(const char *a, const char *b);

/*
 * The commands that are closest to the two words (@second may be NULL), as "did
 * you mean A, or B?"; "" if none is close.  Finds typing errors, words that
 * other tools use, words in the wrong order, and the second word alone.
 */
void suggest_command(const char *first, const char *second, char *out,
		     size_t size);
/* The nearest of @nr words, or NULL. */
const char *suggest_word(const char *word, const char *const *words, size_t nr);

#endif /* HPMCTL_SUGGEST_H */
