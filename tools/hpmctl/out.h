/* SPDX-License-Identifier: GPL-2.0-only */
/* Output: tables for people, JSON documents for programs. */
#ifndef HPMCTL_OUT_H
#define HPMCTL_OUT_H

#include <jansson.h>
#include <stdbool.h>

/*
 * With --json a command prints exactly one document.  Commands add their
 * results to it key by key; the end of the command line prints it, together
 * with the error if there was one.  NULL: out of memory.
 */
int out_json(json_t *doc);
/* Adds one more item to the list @key of the document. */
int out_json_item(const char *key, json_t *item);
/* Prints the document if --json was given, and frees it. */
int out_document(void);
/* For "top": prints a document on a line of its own, at once. */
int out_stream(json_t *doc);
/* A text from outside: escaped, as a JSON string is UTF-8. */
json_t *json_text(const char *text);
/* Flushes the output, for programs that wait for one document a second. */
int out_flush(void);

/*
 * A table grows row by row and is as wide as its cells.  A header that begins
 * with ">" has its column aligned to the right.  The last cell is not padded.
 */
struct table;
struct table *table_new(const char *const *header, unsigned int columns);
/* Takes as many strings as there are columns, and copies them. */
void table_row(struct table *t, ...);
/* Prints all rows; "" for @none prints an empty table's header. */
void table_print(struct table *t, const char *none);
void table_free(struct table *t);

#endif /* HPMCTL_OUT_H */
