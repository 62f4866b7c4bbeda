// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tree of files in which every byte is known, so that a reader can check it.
 *
 *	sharefiles fill DIR FILES SEED
 *	sharefiles check [-s STEP] [-o FILE] [-d] [-m] DIR FILES SEED
 *	sharefiles churn [-t SECONDS] DIR FILES SEED
 *
 * File n of a tree has a size and contents that follow from n and the seed.
 * check reads every STEP-th file, or only one; -d with O_DIRECT, -m by mmap.
 * It prints the bytes that it has read, and names the first wrong one.  churn
 * changes files, through the page cache and past it, so that cached pages
 * differ from the blocks they were read from.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "content.h"

static uint64_t buf[MAX_SIZE / 8];

static void fill_file(const char *dir, unsigned int file, uint64_t seed)
{
	size_t size = size_of(file, seed), i;
	char path[4096];
	int fd;

	for (i = 0; i < (size + 7) / 8; i++)
		buf[i] = word_of(file, seed, i);
	path_of(path, dir, file);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, buf, size) != (ssize_t)size || close(fd))
		err(1, "%s", path);
}

static void fill(const char *dir, unsigned int files, uint64_t seed)
{
	char path[4096];
	unsigned int i;

	for (i = 0; i < files; i++) {
		if (i % PER_DIR == 0) {
			snprintf(path, sizeof(path), "%s/d%u", dir,
				 i / PER_DIR);
			if (mkdir(path, 0755))
				err(1, "%s", path);
		}
		fill_file(dir, i, seed);
	}
}

static const void *contents(const char *path, size_t size, bool direct,
			    bool map)
{
	static void *aligned;
	size_t done = 0;
	void *p = buf;
	ssize_t r;
	int fd;

	fd = open(path, O_RDONLY | (direct ? O_DIRECT : 0));
	if (fd < 0)
		err(1, "%s", path);
	if (map) {
		p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			err(1, "mmap %s", path);
	} else {
		if (direct && !aligned &&
		    posix_memalign(&aligned, 4096, MAX_SIZE))
			errx(1, "no memory");
		if (direct)
			p = aligned;
		while (done < size) {
			r = read(fd, (char *)p + done, MAX_SIZE - done);
			if (r <= 0)
				err(1, "%s: read at %zu gives %zd", path, done,
				    r);
			done += r;
		}
	}
	close(fd);
	return p;
}

static size_t check_file(const char *dir, unsigned int file, uint64_t seed,
			 bool direct, bool map)
{
	size_t size = size_of(file, seed), i;
	const unsigned char *p;
	char path[4096];
	uint64_t w = 0;

	path_of(path, dir, file);
	p = contents(path, size, direct, map);
	for (i = 0; i < size; i++) {
		if (i % 8 == 0)
			w = word_of(file, seed, i / 8);
		if (p[i] != (unsigned char)(w >> 8 * (i % 8)))
			errx(3, "%s: byte %zu is wrong", path, i);
	}
	if (map)
		munmap((void *)p, size);
	return size;
}

/* One of the actions that change a file after it was read. */
static void churn_file(const char *dir, unsigned int file, unsigned int what)
{
	off_t at = rand() % MAX_SIZE;
	char path[4096];
	void *p;
	int fd;

	path_of(path, dir, file);
	fd = open(path, O_RDWR);
	if (fd < 0)
		err(1, "%s", path);
	if (read(fd, buf, MAX_SIZE) < 0)
		err(1, "%s", path);
	switch (what) {
	case 0:
		if (ftruncate(fd, at))
			err(1, "truncate %s", path);
		break;
	case 1:
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			  10000);
		break;
	case 2:
		if (pwrite(fd, path, 100, at) != 100)
			err(1, "write %s", path);
		break;
	case 3:
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			err(1, "mmap %s", path);
		if (lseek(fd, 0, SEEK_END) >= 4096)
			memset((char *)p + rand() % 4000, rand(), 90);
		munmap(p, 4096);
		break;
	case 4:
		fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096);
		break;
	case 5:
		fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096);
		break;
	case 6:
		fsync(fd);
		break;
	case 7:
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		break;
	case 8:
		if (ftruncate(fd, 0) || pwrite(fd, buf, 8192, 0) != 8192)
			err(1, "rewrite %s", path);
		break;
	}
	close(fd);
}

static void churn(const char *dir, unsigned int files, uint64_t seed,
		  unsigned int seconds)
{
	time_t end = time(NULL) + seconds;
	unsigned long rounds = 0;

	srand(seed);
	do {
		churn_file(dir, rand() % files, rand() % 9);
		rounds++;
	} while (time(NULL) < end);
	printf("%lu\n", rounds);
}

int main(int argc, char **argv)
{
	unsigned int files, step = 1, seconds = 10, i, only = -1;
	bool direct = false, map = false;
	size_t bytes = 0;
	uint64_t seed;
	int c;

	if (argc < 5)
		errx(2,
		     "usage: sharefiles fill|check|churn [options] DIR FILES SEED");
	optind = 2;
	while ((c = getopt(argc, argv, "s:o:dmt:")) != -1) {
		switch (c) {
		case 's':
			step = atoi(optarg);
			break;
		case 't':
			seconds = atoi(optarg);
			break;
		case 'o':
			only = atoi(optarg);
			break;
		case 'd':
			direct = true;
			break;
		case 'm':
			map = true;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 3 || !step)
		errx(2, "DIR FILES SEED");
	files = atoi(argv[optind + 1]);
	seed = atoll(argv[optind + 2]);
	if (!strcmp(argv[1], "fill")) {
		fill(argv[optind], files, seed);
		return 0;
	}
	if (!strcmp(argv[1], "churn")) {
		churn(argv[optind], files, seed, seconds);
		return 0;
	}
	for (i = 0; i < files; i += step)
		if (only == -1u || i == only)
			bytes += check_file(argv[optind], i, seed, direct, map);
	printf("%zu\n", bytes);
	return 0;
}
