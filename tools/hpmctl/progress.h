/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The progress of an import: on a terminal one line that is rewritten;
 * elsewhere, only the line that progress_done() prints for each layer.
 */
#ifndef HPMCTL_PROGRESS_H
#define HPMCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "stream.h"

struct progress {
	bool terminal;
	char what[160]; /* "layer 2/3" */
	struct timespec begin, shown;
};

void progress_begin(struct progress *p, const char *what);
/* A struct stream's ->progress. */
void progress_stream(const struct stream *s, void *ctx);
/* Clears the line. */
void progress_end(struct progress *p);
double progress_seconds(const struct progress *p);
double seconds_between(const struct timespec *a, const struct timespec *b);

/* The line itself, @width characters at most. */
void progress_line(const char *what, uint64_t done, uint64_t total,
		   double seconds, int width, char *out, size_t size);

#endif /* HPMCTL_PROGRESS_H */
