// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends each line of its input to a device-mapper device as a message.
 *
 *	messages <name of the device>
 *
 * Prints which messages failed, and how long the longest took.  It is for
 * thousands of messages, for which a process each would be too slow.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DM_SIZE 4096
#include "dm.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double longest = 0, all = 0;
	unsigned int n = 0, failed = 0;
	char line[512];

	if (argc != 2 || !dm_open()) {
		fprintf(stderr, "usage: messages <device>\n");
		return 2;
	}
	while (fgets(line, sizeof(line), stdin)) {
		double start = now(), took;

		line[strcspn(line, "\n")] = '\0';
		if (dm_message(argv[1], line)) {
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
