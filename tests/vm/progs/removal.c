// SPDX-License-Identifier: GPL-2.0-only
/*
 * A read that waits for another read, and the removal of all devices soon
 * after.
 *
 *	removal <volume> <pool> <microseconds>
 *
 * Readahead of 64 KiB begins, and a direct read of the same bytes waits for it.
 * When both have ended, the volume is removed and, after the given time, the
 * pool.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "dm.h"

#define SIZE (64 << 10)

static int read_twice(const char *volume)
{
	char path[64];
	void *buf;
	int fd;

	snprintf(path, sizeof(path), "/dev/mapper/%s", volume);
	fd = open(path, O_RDONLY);
	if (fd < 0 || posix_memalign(&buf, 4096, SIZE)) {
		perror(path);
		return -1;
	}
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	posix_fadvise(fd, 0, SIZE, POSIX_FADV_WILLNEED);
	fcntl(fd, F_SETFL, O_DIRECT);
	if (pread(fd, buf, SIZE, 0) != SIZE) {
		perror(path);
		return -1;
	}
	free(buf);
	return close(fd);
}

static int removed(const char *name)
{
	int r = dm_call(name, DM_DEV_REMOVE, 0);

	if (r)
		fprintf(stderr, "%s: cannot be removed: %s\n", name,
			strerror(r));
	return r;
}

int main(int argc, char **argv)
{
	if (argc != 4 || !dm_open() || read_twice(argv[1]) || removed(argv[1]))
		return 1;
	usleep(atoi(argv[3]));
	return removed(argv[2]) ? 1 : 0;
}
