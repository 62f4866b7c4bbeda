/* SPDX-License-Identifier: GPL-2.0-only */
/* What is printed: tables for people, JSON documents for programs. */
#ifndef HPMCTL_OUT_H
#define HPMCTL_OUT_H

#include <jansson.h>
#include <stdbool.h>

/* Prints a document on one line and lets it go; NULL: out of memory. */
int out_json(json_t *doc);
/* For programs that wait for one document a second. */
int out_flush(void);

/*
 * A table grows row by row and is as wide as its cells.  A header that begins
 * with ">" has its column aligned to the right.  The last cell is not padded.
 */
struct table;
struct table *table_new(const char *const *header, unsigned int columns);
/* As many strings as there are columns; they are copied. */
void table_row(struct table *t, ...);
/* Prints all rows; "" for @none prints an empty table's header. */
void table_print(struct table *t, const char *none);
void table_free(struct table *t);

#endif /* HPMCTL_OUT_H */
