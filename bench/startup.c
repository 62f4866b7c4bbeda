// SPDX-License-Identifier: GPL-2.0-only
/*
 * Imitates the start of a container, and checks that it saw the right bytes.
 * Linked statically and run from memory: see share.sh.
 *
 *	startup fill DIR FILES		makes the image's files
 *	startup start DIR FILES [SIZE]	reads half of them, SIZE bytes at a
 *					time, changes four of those, writes 256
 *					KiB with fsync; prints the us that each
 *					of the three took
 *	startup again DIR FILES	[SIZE]	reads the same files once more; us
 *	startup sum DIR FILES		a checksum of them but for the four
 *	startup changed DIR FILES	are the four what start made of them?
 *	startup canary DEVICE		mean us of 300 direct reads of 4 KiB
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PER_DIR	   64
#define MAX_SIZE   (256 << 10)
#define STEP	   2	/* half of the files are read */
#define READ_SIZE  4096 /* at a time, as stdio does */
#define NR_CHANGED 4
#define CANARIES   300
#define BLOCK	   4096

static unsigned char buf[2 * MAX_SIZE] __attribute__((aligned(BLOCK)));

static uint64_t mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int open_file(const char *dir, unsigned int file, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/d%u/f%u", dir, file / PER_DIR, file);
	fd = open(path, flags, 0644);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* 37 KiB on average: seven of eight are small, as in /etc and /usr. */
static size_t size_of(unsigned int file)
{
	uint64_t r = mix(file);

	if (r % 8 == 0)
		return 100000 + (r >> 8) % (MAX_SIZE - 100000);
	return 500 + (r >> 8) % 32000;
}

static void fill_file(const char *dir, unsigned int file)
{
	size_t size = size_of(file), i;
	uint64_t word;
	int fd;

	for (i = 0; i < size; i += 8) {
		word = mix((uint64_t)file << 32 | i);
		memcpy(buf + i, &word, 8);
	}
	fd = open_file(dir, file, O_WRONLY | O_CREAT | O_TRUNC);
	if (write(fd, buf, size) != (ssize_t)size || close(fd))
		err(1, "file %u", file);
}

static void fill(const char *dir, unsigned int files)
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
		fill_file(dir, i);
	}
}

/* Chooses files that are read, far from one another. */
static unsigned int changed_file(unsigned int files, unsigned int i)
{
	return files / STEP / NR_CHANGED * i * STEP;
}

static int is_changed(unsigned int files, unsigned int file)
{
	unsigned int i;

	for (i = 0; i < NR_CHANGED; i++)
		if (changed_file(files, i) == file)
			return 1;
	return 0;
}

static size_t read_size = READ_SIZE;

static size_t read_file(const char *dir, unsigned int file)
{
	int fd = open_file(dir, file, O_RDONLY);
	size_t done = 0;
	ssize_t r;

	while ((r = read(fd, buf + done, read_size)) > 0)
		done += r;
	if (r < 0 || done != size_of(file))
		err(1, "file %u: %zu bytes", file, done);
	close(fd);
	return done;
}

static double read_half(const char *dir, unsigned int files)
{
	double start = now_us();
	unsigned int i;

	for (i = 0; i < files; i += STEP)
		read_file(dir, i);
	return now_us() - start;
}

/* Changes a kilobyte in the first block. */
static double change_some(const char *dir, unsigned int files)
{
	double start = now_us();
	unsigned int i;
	int fd;

	memset(buf, 0xc5, 1024);
	for (i = 0; i < NR_CHANGED; i++) {
		fd = open_file(dir, changed_file(files, i), O_WRONLY);
		if (pwrite(fd, buf, 400, 50) != 400 || close(fd))
			err(1, "change");
	}
	return now_us() - start;
}

static double write_new(const char *dir)
{
	double start = now_us();
	char path[4096];
	int fd;

	memset(buf, 0x5c, MAX_SIZE);
	snprintf(path, sizeof(path), "%s/new", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 || write(fd, buf, MAX_SIZE) != MAX_SIZE || fsync(fd) ||
	    close(fd))
		err(1, "%s", path);
	return now_us() - start;
}

static void start(const char *dir, unsigned int files)
{
	double r = read_half(dir, files);
	double c = change_some(dir, files);
	double w = write_new(dir);

	printf("%.0f %.0f %.0f\n", r, c, w);
}

static void sum(const char *dir, unsigned int files)
{
	uint64_t h = 0, word;
	unsigned int i;
	size_t size, at;

	for (i = 0; i < files; i += STEP) {
		if (is_changed(files, i))
			continue;
		size = read_file(dir, i);
		memset(buf + size, 0, 8);
		for (at = 0; at < size; at += 8) {
			memcpy(&word, buf + at, 8);
			h = mix(h ^ word);
		}
	}
	printf("%016llx\n", (unsigned long long)h);
}

static void check_changed(const char *dir, unsigned int files)
{
	unsigned int i, at;
	uint64_t word;
	size_t size;

	for (i = 0; i < NR_CHANGED; i++) {
		size = read_file(dir, changed_file(files, i));
		for (at = 50; at < 450; at++)
			if (buf[at] != 0xc5)
				errx(3, "byte %u was not changed", at);
		for (at = 456; at + 8 <= size; at += 8) {
			word = mix((uint64_t)changed_file(files, i) << 32 | at);
			if (memcmp(buf + at, &word, 8))
				errx(3, "byte %u was changed", at);
		}
	}
}

static void canary(const char *dev)
{
	int fd = open(dev, O_RDONLY | O_DIRECT), i;
	double start = now_us();

	if (fd < 0)
		err(1, "%s", dev);
	for (i = 0; i < CANARIES; i++)
		if (pread(fd, buf, BLOCK, (off_t)i * BLOCK) != BLOCK)
			err(1, "%s", dev);
	printf("%.1f\n", (now_us() - start) / CANARIES);
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned int files = argc > 3 ? atoi(argv[3]) : 0;
	const char *what = argc > 2 ? argv[1] : "";

	if (argc > 4)
		read_size = atoi(argv[4]);
	if (!read_size || read_size > MAX_SIZE)
		errx(2, "cannot read so much at a time");

	if (!strcmp(what, "canary"))
		canary(argv[2]);
	else if (files < STEP * NR_CHANGED)
		errx(2,
		     "usage: startup fill|start|again|sum|changed DIR FILES");
	else if (!strcmp(what, "fill"))
		fill(argv[2], files);
	else if (!strcmp(what, "start"))
		start(argv[2], files);
	else if (!strcmp(what, "again"))
		printf("%.0f\n", read_half(argv[2], files));
	else if (!strcmp(what, "sum"))
		sum(argv[2], files);
	else if (!strcmp(what, "changed"))
		check_changed(argv[2], files);
	else
		errx(2, "no %s", what);
	return 0;
}
