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
 * What must not change is the pool's table, what its status says of volumes,
 * space and records, and its list of volumes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SIZE 65536

static union arg {
	struct dm_ioctl io;
	char bytes[SIZE];
} arg;

static const char *pool;
static int control, kmsg;
static unsigned int failed;

static void *prepare(const char *name)
{
	memset(&arg, 0, sizeof(arg));
	arg.io.version[0] = DM_VERSION_MAJOR;
	arg.io.data_size = SIZE;
	arg.io.data_start = sizeof(arg.io);
	snprintf(arg.io.name, sizeof(arg.io.name), "%s", name);
	return &arg.io + 1;
}

static int message(const char *text)
{
	struct dm_target_msg *msg = prepare(pool);

	strcpy(msg->message, text);
	return ioctl(control, DM_TARGET_MSG, &arg) ? errno : 0;
}

/* "0 100 type parameters;100 100 ..." */
static int load(const char *name, char *table)
{
	char *next = prepare(name), *line, *save = NULL;

	for (line = strtok_r(table, ";", &save); line;
	     line = strtok_r(NULL, ";", &save)) {
		struct dm_target_spec *spec = (void *)next;
		unsigned long long start, length;
		int at = 0;

		if (sscanf(line, "%llu %llu %15s %n", &start, &length,
			   spec->target_type, &at) < 3) {
			printf("# not a table: %s\n", line);
			return -1;
		}
		spec->sector_start = start;
		spec->length = length;
		strcpy((char *)(spec + 1), line + at);
		next += (sizeof(*spec) + strlen(line + at) + 8) & ~7ul;
		spec->next = next - (char *)spec;
		arg.io.target_count++;
	}
	return ioctl(control, DM_TABLE_LOAD, &arg) ? errno : 0;
}

static void plain(const char *name, unsigned long cmd)
{
	prepare(name);
	ioctl(control, cmd, &arg);
}

static int create(char *table)
{
	int r;

	prepare("refuse");
	if (ioctl(control, DM_DEV_CREATE, &arg))
		return errno;
	r = load("refuse", table);
	plain("refuse", DM_DEV_REMOVE);
	return r;
}

static int reload(char *table)
{
	int r = load(pool, table);

	if (!r)
		plain(pool, DM_TABLE_CLEAR);
	return r;
}

/* What must stay as it is. */
static void state(char *buf, size_t size)
{
	const char *data = arg.bytes + sizeof(arg.io);
	unsigned int flags[] = { DM_STATUS_TABLE_FLAG, DM_NOFLUSH_FLAG };
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		char *end;

		prepare(pool);
		arg.io.flags = flags[i];
		if (ioctl(control, DM_TABLE_STATUS, &arg))
			return;
		/* behind "durable" it counts what the pool does by itself */
		end = strstr(data + sizeof(struct dm_target_spec), " durable");
		if (end)
			*end = '\0';
		n += snprintf(buf + n, size - n, "%s\n",
			      data + sizeof(struct dm_target_spec));
	}
	if (!message("list") && arg.io.flags & DM_DATA_OUT_FLAG)
		snprintf(buf + n, size - n, "%s",
			 arg.bytes + arg.io.data_start);
}

/* What the kernel has said since the last call. */
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
	static char before[SIZE], after[SIZE], log[SIZE];
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
	state(before, sizeof(before));
	said(log, sizeof(log));
	if (!strcmp(kind, "message"))
		r = message(text);
	else
		r = *kind == 'c' ? create(text) : reload(text);
	said(log, sizeof(log));
	state(after, sizeof(after));

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

	control = open("/dev/mapper/control", O_RDWR);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (argc != 2 || control < 0 || kmsg < 0) {
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
