// SPDX-License-Identifier: GPL-2.0-only
/*
 * A load for file systems, in the manner of fsx and fsstress.
 *
 *	fsload <directory> <seconds> <processes> <seed>
 *
 * Each process has a directory of its own and a model of it in memory: one file
 * that it writes, truncates, maps, punches and reads back at random, and a
 * hundred names that are created, deleted, renamed and linked, whose content is
 * determined by a number.  Every read must agree with the model, during the run
 * and at the end, after the cache was dropped, if that is allowed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE (1u << 20)
#define MOST	  (96u << 10)
#define NAMES	  100
#define SMALL	  20000

static uint8_t model[FILE_SIZE], buf[FILE_SIZE];
static size_t size;		/* of the file */
static uint64_t content[NAMES]; /* 0: the name is free */
static uint64_t state;
static int fd;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf(": %s\n", strerror(errno));
	exit(1);
}

static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

/*----------------------------------------------------------------
 * The file
 *--------------------------------------------------------------*/

static void range(size_t end, size_t *from, size_t *n)
{
	*from = rnd(end);
	*n = 1 + rnd(rnd(3) ? 6000 : MOST);
	if (*n > end - *from)
		*n = end - *from;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = rnd(256);
}

static void do_write(void)
{
	size_t from, n;

	range(FILE_SIZE, &from, &n);
	fill(model + from, n);
	if (pwrite(fd, model + from, n, from) != (ssize_t)n)
		die("writing %zu at %zu", n, from);
	if (from + n > size)
		size = from + n;
}

static void do_read(size_t from, size_t n)
{
	if (pread(fd, buf, n, from) != (ssize_t)n)
		die("reading %zu at %zu", n, from);
	for (size_t i = 0; i < n; i++)
		if (buf[i] != model[from + i])
			die("byte %zu is %02x and should be %02x", from + i,
			    buf[i], model[from + i]);
}

static void do_truncate(void)
{
	size_t to = rnd(FILE_SIZE);

	if (ftruncate(fd, to))
		die("truncating to %zu", to);
	if (to < size)
		memset(model + to, 0, size - to);
	size = to;
}

/* Punches a hole, or makes zeroes. */
static void do_zeroes(int mode, const char *what)
{
	size_t from, n;

	range(size, &from, &n);
	if (fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, from, n))
		die("%s %zu at %zu", what, n, from);
	memset(model + from, 0, n);
}

static void do_mmap(void)
{
	size_t from, n;
	uint8_t *map;

	range(size, &from, &n);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("mapping");
	fill(model + from, n);
	memcpy(map + from, model + from, n);
	if (!rnd(4) && msync(map, size, MS_SYNC))
		die("msync");
	munmap(map, size);
}

static void file_step(void)
{
	size_t from, n;

	switch (size ? rnd(16) : 0) {
	case 0 ... 5:
		return do_write();
	case 6 ... 9:
		range(size, &from, &n);
		return do_read(from, n);
	case 10:
		return do_truncate();
	case 11:
		return do_zeroes(FALLOC_FL_PUNCH_HOLE, "punching");
	case 12:
		return do_zeroes(FALLOC_FL_ZERO_RANGE, "zeroing");
	case 13 ... 14:
		return do_mmap();
	default:
		if (fdatasync(fd))
			die("fdatasync");
	}
}

/*----------------------------------------------------------------
 * Names
 *--------------------------------------------------------------*/

static const char *name_of(unsigned int i, char name[32])
{
	snprintf(name, 32, "d%u/n%u", i % 5, i);
	return name;
}

/* Makes the content of a small file from its number. */
static size_t bytes_of(uint64_t number, uint8_t *p)
{
	size_t n = number * 2654435761u % SMALL;

	for (size_t i = 0; i < n; i++)
		p[i] = (number + i) * 0x9e3779b97f4a7c15u >> 56;
	return n;
}

static void put_name(unsigned int i)
{
	uint64_t number = 1 + rnd(UINT32_MAX);
	char name[32];
	size_t n = bytes_of(number, buf);
	int f = open(name_of(i, name), O_CREAT | O_TRUNC | O_WRONLY, 0600);

	if (f < 0 || write(f, buf, n) != (ssize_t)n)
		die("making %s", name);
	if (!rnd(8) && fsync(f))
		die("fsync of %s", name);
	close(f);
	content[i] = number;
}

static void check_name(unsigned int i)
{
	static uint8_t want[SMALL], seen[SMALL + 1];
	char name[32];
	size_t n;
	int f = open(name_of(i, name), O_RDONLY);

	if (!content[i]) {
		if (f >= 0)
			die("%s is there", name);
		return;
	}
	n = bytes_of(content[i], want);
	if (f < 0 || read(f, seen, sizeof(seen)) != (ssize_t)n ||
	    memcmp(seen, want, n))
		die("%s is not what it should be", name);
	close(f);
}

static void move_name(unsigned int i, unsigned int to)
{
	char from_name[32], to_name[32];

	if (!content[i] || i == to)
		return;
	if (rename(name_of(i, from_name), name_of(to, to_name)))
		die("renaming %s", from_name);
	content[to] = content[i];
	content[i] = 0;
}

/* Gives the file another name by a link, and removes the first one. */
static void link_name(unsigned int i, unsigned int to)
{
	char from_name[32], to_name[32];

	if (!content[i] || content[to])
		return;
	if (link(name_of(i, from_name), name_of(to, to_name)))
		die("linking %s", from_name);
	content[to] = content[i];
	if (unlink(from_name))
		die("unlinking %s", from_name);
	content[i] = 0;
}

static void name_step(void)
{
	unsigned int i = rnd(NAMES);
	char name[32];

	switch (rnd(8)) {
	case 0 ... 2:
		if (content[i])
			check_name(i);
		else
			put_name(i);
		break;
	case 3:
		if (content[i] && unlink(name_of(i, name)))
			die("unlinking %s", name);
		content[i] = 0;
		break;
	case 4 ... 5:
		move_name(i, rnd(NAMES));
		break;
	case 6:
		link_name(i, rnd(NAMES));
		break;
	default:
		check_name(i);
	}
}

/*----------------------------------------------------------------
 * Processes
 *--------------------------------------------------------------*/

static void begin(unsigned int nr)
{
	char dir[32];

	snprintf(dir, sizeof(dir), "p%u", nr);
	if (mkdir(dir, 0700) || chdir(dir))
		die("%s", dir);
	for (unsigned int i = 0; i < 5; i++) {
		snprintf(dir, sizeof(dir), "d%u", i);
		if (mkdir(dir, 0700))
			die("%s", dir);
	}
	fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		die("file");
}

static void finish(void)
{
	struct stat st;

	if (fsync(fd) || fstat(fd, &st) || (size_t)st.st_size != size)
		die("the file's size is not %zu", size);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	do_read(0, size);
	for (unsigned int i = 0; i < NAMES; i++)
		check_name(i);
}

static int process(unsigned int nr, unsigned int seconds, uint64_t seed)
{
	time_t end = time(NULL) + seconds;

	state = (seed * 1000 + nr) * 0x9e3779b97f4a7c15u | 1;
	begin(nr);
	do {
		for (unsigned int i = 0; i < 20; i++) {
			file_step();
			name_step();
		}
	} while (time(NULL) < end);
	finish();
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int nr, failed = 0;
	int status;

	if (argc != 5 || chdir(argv[1])) {
		fprintf(stderr,
			"usage: fsload <directory> <seconds> <processes> <seed>\n");
		return 2;
	}
	nr = atoi(argv[3]);
	for (unsigned int i = 0; i < nr; i++)
		if (!fork())
			exit(process(i, atoi(argv[2]), atoi(argv[4])));
	while (wait(&status) > 0)
		failed += status != 0;
	return failed != 0;
}
