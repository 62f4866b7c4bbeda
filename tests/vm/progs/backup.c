// SPDX-License-Identifier: GPL-2.0-only
/*
 * An incremental backup that uses hpm_delta's output, from stdin: updates the
 * copy of an older snapshot to a newer one.
 *
 *	hpm_delta ... | backup <newer snapshot> <copy>
 *
 * Prints how many blocks were copied.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096

static uint8_t buf[BLOCK] __attribute__((aligned(BLOCK)));

static int copy(int from, int to, uint64_t block, int there)
{
	if (!there)
		memset(buf, 0, BLOCK);
	else if (pread(from, buf, BLOCK, block * BLOCK) != BLOCK)
		return -1;
	return pwrite(to, buf, BLOCK, block * BLOCK) == BLOCK ? 0 : -1;
}

int main(int argc, char **argv)
{
	unsigned long first, nr, blocks = 0;
	char line[128], kind[32];
	int from, to;

	from = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
	to = argc == 3 ? open(argv[2], O_RDWR) : -1;
	if (from < 0 || to < 0) {
		fprintf(stderr, "usage: backup <newer snapshot> <copy>\n");
		return 2;
	}
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%31s %lu %lu", kind, &first, &nr) != 3) {
			fprintf(stderr, "not a range: %s", line);
			return 1;
		}
		for (blocks += nr; nr; nr--, first++) {
			if (copy(from, to, first, strcmp(kind, "left_only"))) {
				perror("copying");
				return 1;
			}
		}
	}
	printf("%lu\n", blocks);
	return 0;
}
