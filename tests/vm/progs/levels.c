// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots of snapshots: each gets a block of its own, and then every one is
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
#include <linux/dm-ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BLOCK 4096
#define SIZE  8192

static union {
	struct dm_ioctl io;
	char bytes[SIZE];
} arg;
static int control;
static const char *pool;
static uint64_t buf[BLOCK / 8] __attribute__((aligned(BLOCK)));

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void *prepare(const char *name)
{
	memset(&arg, 0, sizeof(arg));
	arg.io.version[0] = DM_VERSION_MAJOR;
	arg.io.data_size = SIZE;
	arg.io.data_start = sizeof(arg.io);
	snprintf(arg.io.name, sizeof(arg.io.name), "%s", name);
	return &arg.io + 1;
}

static void call(unsigned long cmd, const char *what)
{
	if (ioctl(control, cmd, &arg))
		die(what);
}

static void snapshot(unsigned int id)
{
	struct dm_target_msg *msg = prepare(pool);

	sprintf(msg->message, "create_snap %u %u", id, id - 1);
	call(DM_TARGET_MSG, msg->message);
}

static int activate(unsigned int id, unsigned int blocks)
{
	struct dm_target_spec *spec;
	char path[64];
	int fd;

	prepare("level");
	call(DM_DEV_CREATE, "create");
	spec = prepare("level");
	arg.io.target_count = 1;
	spec->length = blocks * 8;
	strcpy(spec->target_type, "hpmapper");
	sprintf((char *)(spec + 1), "/dev/mapper/%s %u", pool, id);
	call(DM_TABLE_LOAD, "load");
	prepare("level");
	call(DM_DEV_SUSPEND, "resume");
	snprintf(path, sizeof(path), "/dev/dm-%u", minor(arg.io.dev));
	fd = open(path, O_RDWR | O_DIRECT);
	if (fd < 0)
		die(path);
	return fd;
}

static void deactivate(int fd)
{
	close(fd);
	prepare("level");
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

	control = open("/dev/mapper/control", O_RDWR);
	if (!levels || control < 0) {
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
