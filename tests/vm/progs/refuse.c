// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages and tables that must be refused: each with the right errno, with a
 * sentence in the kernel's log, and without a change.
 *
 *	refuse <pool's name>		tests from the standard input, TAP out
 *
 * A test is a line of four fields between tabs:
 *
 *	message	EINVAL	<regex for the log>	<message for the pool>
 *	create	EINVAL	<regex>			<table line>[;<table line>]*
 *	reload	EINVAL	<regex>			<table line>[;<table line>]*
 *
 * "create" is for a new device, which must not stay; "reload" is for the pool.
 * The pool's table, the volumes, space and records in its status, and its list
 * of volumes must not change.
 */
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"

static const char *pool;
static int kmsg;
static unsigned int failed;

static int create(char *table)
{
	int r;

	r = dm_call("refuse", DM_DEV_CREATE, 0);
	if (r)
		return r;
	r = dm_load("refuse", table);
	dm_call("refuse", DM_DEV_REMOVE, 0);
	return r;
}

static int reload(char *table)
{
	int r = dm_load(pool, table);

	if (!r)
		dm_call(pool, DM_TABLE_CLEAR, 0);
	return r;
}

/* Returns the kernel's log since the last call. */
static void said(char *buf, size_t size)
{
	char record[8192];
	ssize_t n;
	size_t used = 0;

	buf[0] = '\0';
	for (;;) {
		n = read(kmsg, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		record[n] = '\0';
		if (used < size && strchr(record, ';'))
			used += snprintf(buf + used, size - used, "%s",
					 strchr(record, ';') + 1);
	}
}

static int number(const char *name)
{
	static const struct {
		const char *name;
		int err;
	} known[] = {
		{ "EINVAL", EINVAL },
		{ "EEXIST", EEXIST },
		{ "ENOENT", ENOENT },
		{ "EBUSY", EBUSY },
		{ "ENOSPC", ENOSPC },
		{ "EROFS", EROFS },
		{ "EOPNOTSUPP", EOPNOTSUPP },
		{ "ENODEV", ENODEV },
		{ "ENAMETOOLONG", ENAMETOOLONG },
		{ "EUCLEAN", EUCLEAN },
		{ "EFBIG", EFBIG },
		{ "ENODATA", ENODATA },
		{ "ENXIO", ENXIO },
		{ "EIO", EIO },
	};

	for (unsigned int i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(name, known[i].name))
			return known[i].err;
	return -1;
}

static void test(char *kind, char *err, char *regex, char *text)
{
	static char before[DM_SIZE], after[DM_SIZE], log[DM_SIZE];
	char what[2048];
	regex_t re;
	bool good;
	int r;

	snprintf(what, sizeof(what), "%s, %s: %s %s", err, regex, kind, text);
	if (regcomp(&re, regex, REG_EXTENDED | REG_NOSUB)) {
		printf("not ok - not a regex: %s\n", regex);
		failed++;
		return;
	}
	dm_state(pool, before, sizeof(before));
	said(log, sizeof(log));
	if (!strcmp(kind, "message"))
		r = dm_message(pool, text);
	else
		r = *kind == 'c' ? create(text) : reload(text);
	said(log, sizeof(log));
	dm_state(pool, after, sizeof(after));

	good = r == number(err) && !regexec(&re, log, 0, NULL, 0) &&
	       !strcmp(before, after);
	printf("%s - refused with %s\n", good ? "ok" : "not ok", what);
	if (!good) {
		failed++;
		printf("#   error: %s\n#   log: %s\n", strerror(r), log);
		if (strcmp(before, after))
			printf("#   before: %s#   after: %s", before, after);
	}
	regfree(&re);
}

int main(int argc, char **argv)
{
	char line[4096];

	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (argc != 2 || !dm_open() || kmsg < 0) {
		fprintf(stderr, "usage: refuse <pool>\n");
		return 2;
	}
	pool = argv[1];
	lseek(kmsg, 0, SEEK_END);
	while (fgets(line, sizeof(line), stdin)) {
		char *kind = strtok(line, "\t"), *err = strtok(NULL, "\t");
		char *regex = strtok(NULL, "\t"), *text = strtok(NULL, "\n");

		if (!text) {
			printf("not ok - not a test: %s\n", line);
			failed++;
			continue;
		}
		test(kind, err, regex, text);
	}
	return failed != 0;
}
