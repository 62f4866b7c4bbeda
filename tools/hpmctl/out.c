// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "escape.h"
#include "out.h"
#include "text.h"

/* The most that one byte becomes: \xNN */
#define ESCAPED_MAX 4

static json_t *document;
static bool streamed;

int out_json(json_t *doc)
{
	int ret = 0;

	if (!doc)
		return err_nomem();
	if (!document) {
		document = doc;
		return 0;
	}
	if (json_object_update(document, doc))
		ret = err_nomem();
	json_decref(doc);
	return ret;
}

int out_json_item(const char *key, json_t *item)
{
	json_t *list = json_object_get(document, key);

	if (!item)
		return err_nomem();
	if (!list) {
		if (out_json(json_pack("{s:[]}", key))) {
			json_decref(item);
			return -1;
		}
		list = json_object_get(document, key);
	}
	return json_array_append_new(list, item) ? err_nomem() : 0;
}

static int print(json_t *doc)
{
	int ret = json_dumpf(doc, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);

	json_decref(doc);
	if (ret || putchar('\n') == EOF)
		return err_sys(errno, "cannot write the output");
	return 0;
}

int out_document(void)
{
	json_t *doc = document;

	document = NULL;
	if (!doc && streamed)
		return 0;
	if (!doc)
		doc = json_object();
	return doc ? print(doc) : err_nomem();
}

int out_stream(json_t *doc)
{
	streamed = true;
	return doc ? print(doc) : err_nomem();
}

/* Returns memory that the caller frees, or NULL. */
static char *escaped(const char *text)
{
	size_t size = ESCAPED_MAX * strlen(text) + 1;
	char *out = malloc(size);

	if (out)
		(void)text_escape(out, size, text);
	return out;
}

json_t *json_text(const char *text)
{
	char *fit = escaped(text);
	json_t *string = fit ? json_string(fit) : NULL;

	free(fit);
	return string;
}

int out_flush(void)
{
	if (fflush(stdout) || ferror(stdout))
		return err_sys(errno, "cannot write the output");
	return 0;
}

struct table {
	unsigned int columns, rows, room;
	bool failed; /* out of memory: the rows so far are printed */
	size_t *width;
	bool *right;
	char **cell;
};

static void add_cell(struct table *t, unsigned int at, const char *text)
{
	size_t len;

	t->cell[at] = escaped(text);
	if (!t->cell[at]) {
		t->failed = true;
		return;
	}
	len = strlen(t->cell[at]);
	if (len > t->width[at % t->columns])
		t->width[at % t->columns] = len;
}

static bool make_room(struct table *t)
{
	unsigned int room = t->room ? 2 * t->room : 16;
	char **cell;

	if (t->rows < t->room)
		return true;
	cell = reallocarray(t->cell, room, t->columns * sizeof(*cell));
	if (!cell)
		return false;
	memset(cell + (size_t)t->room * t->columns, 0,
	       (size_t)(room - t->room) * t->columns * sizeof(*cell));
	t->cell = cell;
	t->room = room;
	return true;
}

struct table *table_new(const char *const *header, unsigned int columns)
{
	struct table *t = calloc(1, sizeof(*t));
	unsigned int i;

	if (!t)
		return NULL;
	t->columns = columns;
	t->width = calloc(columns, sizeof(*t->width));
	t->right = calloc(columns, sizeof(*t->right));
	if (!t->width || !t->right || !make_room(t)) {
		table_free(t);
		return NULL;
	}
	for (i = 0; i < columns; i++) {
		t->right[i] = header[i][0] == '>';
		add_cell(t, i, header[i] + t->right[i]);
	}
	t->rows = 1;
	return t;
}

void table_row(struct table *t, ...)
{
	unsigned int i;
	va_list ap;

	if (!t)
		return;
	if (!make_room(t)) {
		t->failed = true;
		return;
	}
	va_start(ap, t);
	for (i = 0; i < t->columns; i++)
		add_cell(t, t->rows * t->columns + i, va_arg(ap, const char *));
	va_end(ap);
	t->rows++;
}

static void print_cell(const struct table *t, unsigned int at)
{
	unsigned int column = at % t->columns;
	const char *text = t->cell[at] ? t->cell[at] : "?";

	if (column)
		fputs("  ", stdout);
	if (t->right[column])
		printf("%*s", (int)t->width[column], text);
	else if (column + 1 == t->columns)
		fputs(text, stdout);
	else
		printf("%-*s", (int)t->width[column], text);
}

void table_print(struct table *t, const char *none)
{
	unsigned int i;

	if (!t || t->failed) {
		(void)err_nomem();
		return;
	}
	if (t->rows == 1 && *none) {
		puts(none);
		return;
	}
	for (i = 0; i < t->rows * t->columns; i++) {
		print_cell(t, i);
		if (i % t->columns + 1 == t->columns)
			putchar('\n');
	}
}

void table_free(struct table *t)
{
	unsigned int i;

	if (!t)
		return;
	for (i = 0; i < t->rows * t->columns; i++)
		free(t->cell[i]);
	free(t->cell);
	free(t->width);
	free(t->right);
	free(t);
}
