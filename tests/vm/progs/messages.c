// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends each line of its input to a device-mapper device as a message.
 *
 *	messages <name of the device>
 *
 * Says which failed, and how long the longest took.  It is for the thousand
 * messages for which a process each would be too slow.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int message(int fd, const char *name, const char *text)
{
	static union {
		struct dm_ioctl io;
		char bytes[4096];
	} m;
	struct dm_target_msg *msg = (void *)(&m.io + 1);

	memset(&m, 0, sizeof(m));
	m.io.version[0] = DM_VERSION_MAJOR;
	m.io.data_size = sizeof(m);
	m.io.data_start = sizeof(m.io);
	snprintf(m.io.name, sizeof(m.io.name), "%s", name);
	strncpy(msg->message, text, 1024);
	return ioctl(fd, DM_TARGET_MSG, &m);
}

int main(int argc, char **argv)
{
	double longest = 0, all = 0;
	unsigned int n = 0, failed = 0;
	char line[512];
	int fd = open("/dev/mapper/control", O_RDWR);

	if (argc != 2 || fd < 0) {
		fprintf(stderr, "usage: messages <device>\n");
		return 2;
	}
	while (fgets(line, sizeof(line), stdin)) {
		double start = now(), took;

		line[strcspn(line, "\n")] = '\0';
		if (message(fd, argv[1], line)) {
			printf("%s: %s\n", line, strerror(errno));
			failed++;
		}
		took = now() - start;
		all += took;
		if (took > longest)
			longest = took;
		n++;
	}
	printf("%u messages, %u failed, %.1f ms each, longest %.1f ms\n", n,
	       failed, n ? all / n * 1e3 : 0, longest * 1e3);
	return failed != 0;
}
