// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes snapshots of snapshots: each gets a block of its own, and then all are
 * read.
 *
 *	levels <pool> <levels>
 *
 * Volume 0 is there already and is level 0.  Level i is a snapshot of level
 * i - 1, and writes block i; it must have the blocks 1 to i and nothing else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DM_SIZE 8192
#include "dm.h"

#define BLOCK 4096

static const char *pool;
static uint64_t buf[BLOCK / 8] __attribute__((aligned(BLOCK)));

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void call(unsigned long cmd, const char *what)
{
	if (dm_call("level", cmd, 0))
		die(what);
}

static void snapshot(unsigned int id)
{
	char text[64];

	snprintf(text, sizeof(text), "create_snap %u %u", id, id - 1);
	if (dm_message(pool, text))
		die(text);
}

static int activate(unsigned int id, unsigned int blocks)
{
	char path[64], table[256];
	int fd;

	call(DM_DEV_CREATE, "create");
	snprintf(table, sizeof(table), "0 %u hpmapper /dev/mapper/%s %u",
		 blocks * 8, pool, id);
	if (dm_load("level", table))
		die("load");
	call(DM_DEV_SUSPEND, "resume");
	snprintf(path, sizeof(path), "/dev/dm-%u", minor(dm_arg.io.dev));
	fd = open(path, O_RDWR | O_DIRECT);
	if (fd < 0)
		die(path);
	return fd;
}

static void deactivate(int fd)
{
	close(fd);
	call(DM_DEV_REMOVE, "remove");
}

static unsigned int check(unsigned int id, unsigned int levels)
{
	int fd = activate(id, levels + 1);
	unsigned int bad = 0;

	for (unsigned int i = 1; i <= levels; i++) {
		uint64_t want = i <= id ? i * 1000003ull : 0;

		if (pread(fd, buf, BLOCK, (off_t)i * BLOCK) != BLOCK)
			die("read");
		if (buf[0] == want && buf[511] == want)
			continue;
		printf("level %u, block %u: %lx instead of %lx\n", id, i,
		       buf[0], want);
		bad++;
	}
	deactivate(fd);
	return bad;
}

int main(int argc, char **argv)
{
	unsigned int levels = argc == 3 ? atoi(argv[2]) : 0, i, j, bad = 0;

	if (!levels || !dm_open()) {
		fprintf(stderr, "usage: levels <pool> <levels>\n");
		return 2;
	}
	pool = argv[1];
	for (i = 1; i <= levels; i++) {
		int fd;

		snapshot(i);
		fd = activate(i, levels + 1);
		for (j = 0; j < BLOCK / 8; j++)
			buf[j] = i * 1000003ull;
		if (pwrite(fd, buf, BLOCK, (off_t)i * BLOCK) != BLOCK)
			die("write");
		deactivate(fd);
	}
	for (i = 0; i <= levels; i++)
		bad += check(i, levels);
	return bad != 0;
}
