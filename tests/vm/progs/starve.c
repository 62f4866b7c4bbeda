// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations without memory: each allocation that an operation makes fails
 * once, while the others succeed.
 *
 *	starve <pool's name>	operations from the standard input, TAP out
 *
 * An operation is a line of three fields separated by tabs: the operation,
 * whether it may fail, and how it is undone ("-": it need not be):
 *
 *	message create_thin 1	may	message delete 1
 *	write v next 4096	must	-
 *
 *	message <text>			to the pool
 *	create <name> <table line>	made, loaded, resumed; all or nothing
 *	remove <name>
 *	load <name> <table line>
 *	clear <name>
 *	suspend <name>
 *	resume <name>
 *	status <name>			status and table
 *	write <name> <offset> <bytes>	of a volume, past the page cache
 *	read <name> <offset> <bytes>
 *	discard <name> <offset> <bytes>
 *	sync <name>
 *
 * Offsets are in bytes; "next" is the end of the last one.
 *
 * An operation that may fail must do so with ENOMEM and without a change to the
 * pool (dm.h); or with the error that is returned when a device could not be
 * looked up (ENODEV) or made (ENXIO by device-mapper, EINVAL by the driver
 * core).  Allocations are the kernel's slabs and pages, failed by its fault
 * injection (fail-nth; Documentation/fault-injection/), which must be
 * configured to include allocations that may wait.  Allocations of other
 * threads do not fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm.h"

#define MAX_PIECE 16384 /* for more, the block layer allocates a vector */
#define MANY	  2000	/* more allocations than any operation makes */
#define MAX_NAMES 16

static const char *pool;
static int nth = -1;
static unsigned int failed;
static char *piece;

/*
 * Volumes are opened before anything fails, and stay open until the program
 * ends.
 */
static struct {
	char name[32];
	int fd;
} volume[MAX_NAMES];

static int fd_of(const char *name)
{
	char path[64];
	int i;

	for (i = 0; i < MAX_NAMES - 1 && *volume[i].name; i++)
		if (!strcmp(volume[i].name, name))
			return volume[i].fd;
	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	snprintf(volume[i].name, sizeof(volume[i].name), "%s", name);
	volume[i].fd = open(path, O_RDWR | O_DIRECT);
	return volume[i].fd;
}

/*----------------------------------------------------------------
 * Failing
 *--------------------------------------------------------------*/

static void set_nth(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(nth, text, len, 0) != len)
		abort();
}

/* The number of allocations that were left before the one that fails. */
static unsigned int left(void)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) <= 0)
		abort();
	set_nth(0);
	return atoi(text);
}

/*----------------------------------------------------------------
 * Operations: 0 or an errno
 *--------------------------------------------------------------*/

static int create(const char *name, char *table)
{
	unsigned int n;
	int r = dm_call(name, DM_DEV_CREATE, 0);

	if (r)
		return r;
	r = dm_load(name, table);
	if (!r)
		r = dm_call(name, DM_DEV_SUSPEND, 0);
	if (!r)
		return 0;
	/* the removal is not what is tested */
	n = left();
	if (dm_call(name, DM_DEV_REMOVE, 0))
		r = EBUSY;
	set_nth(n);
	return r;
}

static int status(const char *name)
{
	int r = dm_call(name, DM_TABLE_STATUS, 0);

	return r ? r : dm_call(name, DM_TABLE_STATUS, DM_STATUS_TABLE_FLAG);
}

/* "<offset> <bytes>" */
static int transfer(const char *op, int fd, const char *where)
{
	static uint64_t next;
	uint64_t offset = next, bytes = 0;
	ssize_t n;

	if (sscanf(where, "next %lu", &bytes) != 1)
		sscanf(where, "%lu %lu", &offset, &bytes);
	if (!bytes || bytes > MAX_PIECE)
		return ENOSYS;
	next = offset + bytes;
	if (*op == 'd') {
		uint64_t range[2] = { offset, bytes };

		return ioctl(fd, BLKDISCARD, range) ? errno : 0;
	}
	if (*op == 'w')
		n = pwrite(fd, piece, bytes, offset);
	else
		n = pread(fd, piece, bytes, offset);
	return n < 0 ? errno : n != (ssize_t)bytes ? EIO : 0;
}

/* Executes an operation; changes the text. */
static int operate(char *text)
{
	char *rest = text, *op = strsep(&rest, " "), *name;

	if (!strcmp(op, "message"))
		return dm_message(pool, rest);
	name = strsep(&rest, " ");
	if (!strcmp(op, "create"))
		return create(name, rest);
	if (!strcmp(op, "remove"))
		return dm_call(name, DM_DEV_REMOVE, 0);
	if (!strcmp(op, "load"))
		return dm_load(name, rest);
	if (!strcmp(op, "clear"))
		return dm_call(name, DM_TABLE_CLEAR, 0);
	if (!strcmp(op, "suspend"))
		return dm_call(name, DM_DEV_SUSPEND, DM_SUSPEND_FLAG);
	if (!strcmp(op, "resume"))
		return dm_call(name, DM_DEV_SUSPEND, 0);
	if (!strcmp(op, "status"))
		return status(name);
	if (!strcmp(op, "sync"))
		return fsync(fd_of(name)) ? errno : 0;
	if (!strcmp(op, "write") || !strcmp(op, "read") ||
	    !strcmp(op, "discard"))
		return transfer(op, fd_of(name), rest);
	return ENOSYS;
}

static int operate_on(const char *text)
{
	static char copy[4096];

	snprintf(copy, sizeof(copy), "%s", text);
	return operate(copy);
}

/*----------------------------------------------------------------
 * A test
 *--------------------------------------------------------------*/

static char before[DM_SIZE], after[DM_SIZE];

static bool no_memory(const char *op, int r)
{
	bool create = !strncmp(op, "create ", 7);

	return r == ENOMEM || (create && (r == ENXIO || r == EINVAL)) ||
	       (r == ENODEV && (create || !strncmp(op, "load ", 5)));
}

static bool is_open(const char *op)
{
	return !strncmp(op, "write ", 6) || !strncmp(op, "read ", 5) ||
	       !strncmp(op, "sync ", 5) || !strncmp(op, "discard ", 8);
}

/* Returns what was wrong, or NULL; *more: there was an n-th allocation. */
static const char *one(const char *op, bool may, const char *undo,
		       unsigned int n, bool *more)
{
	static char why[128];
	int r, u;

	dm_state(pool, before, sizeof(before));
	set_nth(n);
	r = operate_on(op);
	*more = !left();
	if (!r) {
		u = strcmp(undo, "-") ? operate_on(undo) : 0;
		if (!u)
			return NULL;
		snprintf(why, sizeof(why), "undone: %s", strerror(u));
		return why;
	}
	dm_state(pool, after, sizeof(after));
	if (!*more || !may || !no_memory(op, r)) {
		snprintf(why, sizeof(why), "%s", strerror(r));
		return why;
	}
	return strcmp(before, after) ? "something has changed" : NULL;
}

static void test(const char *op, bool may, const char *undo)
{
	const char *wrong = NULL;
	unsigned int n = 0;
	bool more = true;

	/* looks up the volume's name while there is memory */
	if (is_open(op) && operate_on(op))
		wrong = "fails by itself";
	while (!wrong && more && n < MANY)
		wrong = one(op, may, undo, ++n, &more);
	if (!wrong && more)
		wrong = "has no end";
	if (!wrong && n == 1)
		wrong = "allocates nothing";
	if (!wrong) {
		printf("ok - %u allocations fail, one at a time: %s\n", n - 1,
		       op);
	} else {
		failed++;
		printf("not ok - allocations fail, one at a time: %s\n"
		       "#   the %u. one: %s\n",
		       op, n, wrong);
		if (!strcmp(wrong, "something has changed"))
			printf("#   before: %s#   after: %s", before, after);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[4096];

	nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (argc != 2 || !dm_open() || nth < 0) {
		fprintf(stderr,
			"usage: starve <pool> (on a kernel with fail-nth)\n");
		return 2;
	}
	pool = argv[1];
	piece = mmap(NULL, MAX_PIECE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (piece == MAP_FAILED)
		return 2;
	memset(piece, 's', MAX_PIECE);
	/* no page fault may happen meanwhile */
	mlockall(MCL_CURRENT | MCL_FUTURE);
	while (fgets(line, sizeof(line), stdin)) {
		char *op = strtok(line, "\t"), *may = strtok(NULL, "\t");
		char *undo = strtok(NULL, "\n");

		if (undo) {
			test(op, !strcmp(may, "may"), undo);
			continue;
		}
		printf("not ok - not a test: %s\n", line);
		failed++;
	}
	return failed != 0;
}
