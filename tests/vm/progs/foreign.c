// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fills a device with sectors that must never be read through a volume, and
 * searches for such sectors.
 *
 *	foreign fill <device>
 *	foreign count <device> [<first sector> <sectors>]	prints how many
 *	foreign nonzero <device> [<first sector> <sectors>]	prints how many
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 2048 /* sectors */

static const char mark[16] = "SOMEBODY ELSE'S";
static const char zero[512];
static char buf[CHUNK * 512] __attribute__((aligned(4096)));

static int fail(const char *what)
{
	perror(what);
	return 2;
}

static int fill(int fd, uint64_t sectors)
{
	for (unsigned int i = 0; i < CHUNK; i++)
		for (unsigned int j = 0; j < 512; j += sizeof(mark))
			memcpy(buf + i * 512 + j, mark, sizeof(mark));
	for (uint64_t s = 0; s < sectors; s += CHUNK) {
		uint64_t n = sectors - s < CHUNK ? sectors - s : CHUNK;

		if (pwrite(fd, buf, n * 512, s * 512) != (ssize_t)(n * 512))
			return fail("write");
	}
	return fsync(fd) ? fail("fsync") : 0;
}

/* A mark anywhere in a sector counts: a partial write leaves a part of it. */
static int has_mark(const char *p)
{
	for (unsigned int j = 0; j < 512; j += sizeof(mark))
		if (!memcmp(p + j, mark, sizeof(mark)))
			return 1;
	return 0;
}

static int count(int fd, uint64_t from, uint64_t sectors, int nonzero)
{
	uint64_t found = 0;

	for (uint64_t s = 0; s < sectors; s += CHUNK) {
		uint64_t n = sectors - s < CHUNK ? sectors - s : CHUNK;

		if (pread(fd, buf, n * 512, (from + s) * 512) !=
		    (ssize_t)(n * 512))
			return fail("read");
		for (unsigned int i = 0; i < n; i++)
			found += nonzero ? !!memcmp(buf + i * 512, zero, 512) :
					   has_mark(buf + i * 512);
	}
	printf("%lu\n", found);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t from = 0, sectors;
	int fd, filling;

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: foreign fill|count|nonzero <device>\n");
		return 2;
	}
	filling = !strcmp(argv[1], "fill");
	fd = open(argv[2], (filling ? O_RDWR : O_RDONLY) | O_DIRECT);
	if (fd < 0)
		return fail(argv[2]);
	sectors = lseek(fd, 0, SEEK_END) / 512;
	if (filling)
		return fill(fd, sectors);
	if (argc == 5) {
		from = strtoull(argv[3], NULL, 10);
		sectors = strtoull(argv[4], NULL, 10);
	}
	return count(fd, from, sectors, !strcmp(argv[1], "nonzero"));
}
