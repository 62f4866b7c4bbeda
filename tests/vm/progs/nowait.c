// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads and writes that must not wait.
 *
 *	nowait <device> <bytes> read|write <rounds>
 *
 * Each is tried with RWF_NOWAIT, and again without it if it would have had to
 * wait.  A block holds its number and the round of its last write.  Prints how
 * many completed at once and how many would have waited; fails on any other
 * error, or if a read does not return what was written.
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

#define BLOCK 4096

static uint64_t buf[BLOCK / 8] __attribute__((aligned(BLOCK)));
static unsigned long at_once, would_wait, wrong;

static ssize_t transfer(int fd, int writing, uint64_t block, int flags)
{
	struct iovec iov = { buf, BLOCK };

	if (writing)
		return pwritev2(fd, &iov, 1, block * BLOCK, flags);
	return preadv2(fd, &iov, 1, block * BLOCK, flags);
}

static void one(int fd, int writing, uint64_t block)
{
	ssize_t n = transfer(fd, writing, block, RWF_NOWAIT);

	if (n == BLOCK) {
		at_once++;
		return;
	}
	if (n >= 0 || errno != EAGAIN) {
		printf("block %lu: %zd, %s\n", block, n, strerror(errno));
		wrong++;
		return;
	}
	would_wait++;
	if (transfer(fd, writing, block, 0) != BLOCK) {
		printf("block %lu, waiting: %s\n", block, strerror(errno));
		wrong++;
	}
}

int main(int argc, char **argv)
{
	unsigned long rounds, r, blocks, i;
	uint64_t *written;
	int fd, writing;

	if (argc != 5) {
		fprintf(stderr,
			"usage: nowait <device> <bytes> read|write <rounds>\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR | O_DIRECT);
	if (fd < 0) {
		perror(argv[1]);
		return 2;
	}
	blocks = strtoul(argv[2], NULL, 10) / BLOCK;
	writing = !strcmp(argv[3], "write");
	rounds = strtoul(argv[4], NULL, 10);
	written = calloc(blocks, sizeof(*written));
	for (r = 0; r < rounds; r++) {
		for (i = 0; i < blocks; i++) {
			uint64_t block = i * 7919 % blocks;

			for (unsigned int j = 0; writing && j < BLOCK / 8; j++)
				buf[j] = block << 32 | (r + 1);
			one(fd, writing, block);
			written[block] = block << 32 | (r + 1);
		}
		for (i = 0; writing && i < blocks; i++) {
			if (pread(fd, buf, BLOCK, i * BLOCK) != BLOCK ||
			    buf[0] != written[i] || buf[511] != written[i]) {
				printf("block %lu: %lx instead of %lx\n", i,
				       buf[0], written[i]);
				wrong++;
			}
		}
	}
	printf("%lu at once, %lu would wait, %lu wrong\n", at_once, would_wait,
	       wrong);
	return wrong != 0;
}
