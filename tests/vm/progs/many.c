// SPDX-License-Identifier: GPL-2.0-only
/*
 * One operation on many device-mapper devices, m0, m1, ..., one after another.
 *
 *	many <create|status|suspend|remove> <number> [<table>]
 *
 * create gives device i the table, with i for "%u", and starts it; suspend
 * suspends and resumes each device.  Prints the average time of one operation,
 * in microseconds, of the first tenth, of the last tenth, and of all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DM_SIZE 4096
#include "dm.h"

static const char *table;

static int create(const char *name, unsigned int i)
{
	char text[512];
	int r;

	r = dm_call(name, DM_DEV_CREATE, 0);
	if (r)
		return r;
	snprintf(text, sizeof(text), table, i);
	r = dm_load(name, text);
	return r ? r : dm_call(name, DM_DEV_SUSPEND, 0);
}

static int status(const char *name, unsigned int i)
{
	(void)i;
	return dm_call(name, DM_TABLE_STATUS, 0);
}

static int suspend(const char *name, unsigned int i)
{
	int r = dm_call(name, DM_DEV_SUSPEND, DM_SUSPEND_FLAG);

	(void)i;
	return r ? r : dm_call(name, DM_DEV_SUSPEND, 0);
}

static int remove_it(const char *name, unsigned int i)
{
	(void)i;
	return dm_call(name, DM_DEV_REMOVE, 0);
}

static const struct {
	const char *name;
	int (*call)(const char *name, unsigned int i);
} ops[] = {
	{ "create", create },
	{ "status", status },
	{ "suspend", suspend },
	{ "remove", remove_it },
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static int run(unsigned int op, unsigned int nr)
{
	unsigned int tenth = nr >= 10 ? nr / 10 : 1, i;
	double start = now(), first = 0, last = 0;
	char name[16];

	for (i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		if (ops[op].call(name, i)) {
			fprintf(stderr, "%s %s: %s\n", ops[op].name, name,
				strerror(errno));
			return 1;
		}
		if (i + 1 == tenth)
			first = now() - start;
		if (i + 1 == nr - tenth)
			last = now();
	}
	printf("%.1f %.1f %.1f\n", first / tenth, (now() - last) / tenth,
	       (now() - start) / nr);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int nr = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, op;

	table = argc > 3 ? argv[3] : NULL;
	for (op = 0; op < sizeof(ops) / sizeof(ops[0]); op++)
		if (nr && !strcmp(argv[1], ops[op].name) &&
		    (ops[op].call != create || table))
			break;
	if (op == sizeof(ops) / sizeof(ops[0]) || !dm_open()) {
		fprintf(stderr, "usage: many <create|status|suspend|remove> "
				"<number> [<table>]\n");
		return 2;
	}
	return run(op, nr);
}
