// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct I/O of every shape that the block layer allows: any sector, any number
 * of them, buffers that start anywhere the device can take them from, vectors
 * whose pieces end inside sectors of the volume's blocks.
 *
 *	dio <device> <logical block size>
 *
 * A model in memory says what must be read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIZE   (4u << 20)
#define MOST   (512u << 10)
#define ROUNDS 600

static uint8_t *model, *buf;
static uint64_t state = 88172645463325252ull;

static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = rnd(256);
}

/* A vector over the buffer at @at, in pieces of whole sectors. */
static int pieces(struct iovec *iov, uint8_t *at, size_t n, unsigned int sector)
{
	int nr = 0;

	while (n) {
		size_t part = (1 + rnd(40)) * sector;

		if (part > n || nr == 15)
			part = n;
		iov[nr++] = (struct iovec){ at, part };
		at += part;
		n -= part;
	}
	return nr;
}

static int one(int fd, unsigned int sector)
{
	uint64_t from = rnd(SIZE / sector) * sector;
	size_t n = (1 + rnd(rnd(4) ? 20 : MOST / sector)) * sector;
	/* memory with a sector's alignment, sometimes at the end of a page */
	uint8_t *at = buf + rnd(8) * 512;
	struct iovec iov[16];
	ssize_t done;
	int nr;

	if (n > SIZE - from)
		n = SIZE - from;
	nr = pieces(iov, at, n, sector);
	if (rnd(2)) {
		fill(at, n);
		done = pwritev(fd, iov, nr, from);
		memcpy(model + from, at, n);
	} else {
		memset(at, 0xee, n);
		done = preadv(fd, iov, nr, from);
		if (memcmp(model + from, at, n)) {
			printf("%zu bytes at %lu are not what was written\n", n,
			       from);
			return 1;
		}
	}
	if (done != (ssize_t)n) {
		printf("%zu bytes at %lu: %zd, %s\n", n, from, done,
		       strerror(errno));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int sector, i, bad = 0;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: dio <device> <logical block size>\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR | O_DIRECT);
	sector = atoi(argv[2]);
	model = malloc(SIZE);
	if (fd < 0 || !model ||
	    posix_memalign((void **)&buf, 4096, MOST + SIZE)) {
		perror(argv[1]);
		return 2;
	}
	fill(model, SIZE);
	memcpy(buf, model, SIZE);
	if (pwrite(fd, buf, SIZE, 0) != SIZE) {
		perror("write");
		return 2;
	}
	for (i = 0; i < ROUNDS && bad < 5; i++)
		bad += one(fd, sector);
	if (pread(fd, buf, SIZE, 0) != SIZE || memcmp(buf, model, SIZE)) {
		printf("in the end it is not what was written\n");
		bad++;
	}
	return bad != 0;
}
