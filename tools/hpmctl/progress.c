// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "progress.h"
#include "text.h"

#define BAR_MAX	  40
#define REST_SIZE 64 /* numbers beside the bar */

double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) +
	       (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

static void now(struct timespec *ts)
{
	(void)clock_gettime(CLOCK_MONOTONIC, ts);
}

double progress_seconds(const struct progress *p)
{
	struct timespec ts;

	now(&ts);
	return seconds_between(&p->begin, &ts);
}

void progress_begin(struct progress *p, const char *what)
{
	memset(p, 0, sizeof(*p));
	p->terminal = isatty(STDERR_FILENO);
	(void)snprintf(p->what, sizeof(p->what), "%s", what);
	now(&p->begin);
}

static int terminal_width(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) || w.ws_col < 20)
		return 79;
	return w.ws_col - 1;
}

static void draw_bar(char *out, int width, double part)
{
	int i, full = (int)(part * width + 0.5);

	for (i = 0; i < width; i++)
		out[i] = i < full ? '#' : '.';
	out[width] = '\0';
}

void progress_line(const char *what, uint64_t done, uint64_t total,
		   double seconds, int width, char *out, size_t size)
{
	char rest[REST_SIZE], bar[BAR_MAX + 1] = "", bytes[SIZE_TEXT];
	double rate = seconds > 0 ? (double)done / seconds / 1e6 : 0;
	double part = total ? (double)done / (double)total : 0;
	int room;

	(void)snprintf(rest, sizeof(rest), "%9s  %6.1f MB/s",
		       size_text(done, bytes), rate);
	if (part > 1)
		part = 1;
	room = width - (int)strlen(what) - (int)strlen(rest) - 12;
	if (total && room >= 8)
		draw_bar(bar, room < BAR_MAX ? room : BAR_MAX, part);
	if (total)
		(void)snprintf(out, size, "%s [%s] %3.0f%%  %s", what, bar,
			       100 * part, rest);
	else
		(void)snprintf(out, size, "%s  %s", what, rest);
	if (width > 0 && (size_t)width < strlen(out))
		out[width] = '\0';
}

/* Updates the line ten times a second at most. */
void progress_stream(const struct stream *s, void *ctx)
{
	struct progress *p = ctx;
	struct timespec ts;
	char line[512];

	if (!p->terminal)
		return;
	now(&ts);
	if (p->shown.tv_sec && seconds_between(&p->shown, &ts) < 0.1)
		return;
	p->shown = ts;
	progress_line(p->what, s->done, s->total,
		      seconds_between(&p->begin, &ts), terminal_width(), line,
		      sizeof(line));
	fprintf(stderr, "\r%s\033[K", line);
	(void)fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->terminal && p->shown.tv_sec)
		fprintf(stderr, "\r\033[K");
	p->shown.tv_sec = 0;
}
