// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times device-mapper messages: usage: msgtime DEVICE COUNT FORMAT
 *
 * Sends COUNT messages, each printf(FORMAT, number) with numbers from 1 on,
 * with a millisecond in between, and prints the least, the median and the
 * greatest time of one in microseconds.
 */
#include <libdevmapper.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_COUNT 1000

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double send_one(const char *device, const char *message)
{
	struct dm_task *task = dm_task_create(DM_DEVICE_TARGET_MSG);
	double start, end;

	if (!task || !dm_task_set_name(task, device) ||
	    !dm_task_set_sector(task, 0) || !dm_task_set_message(task, message))
		exit(2);
	start = now_us();
	if (!dm_task_run(task)) {
		fprintf(stderr, "msgtime: '%s' failed\n", message);
		exit(1);
	}
	end = now_us();
	dm_task_destroy(task);
	return end - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static double took[MAX_COUNT];
	const struct timespec pause = { .tv_nsec = 1000000 };
	char message[256];
	int i, count;

	count = argc == 4 ? atoi(argv[2]) : 0;
	if (count < 1 || count > MAX_COUNT) {
		fprintf(stderr, "usage: msgtime DEVICE COUNT FORMAT\n");
		return 2;
	}
	for (i = 0; i < count; i++) {
		/* The format is the caller's, as printf(1)'s is. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(message, sizeof(message), argv[3], i + 1);
#pragma GCC diagnostic pop
		took[i] = send_one(argv[1], message);
		nanosleep(&pause, NULL);
	}
	qsort(took, count, sizeof(took[0]), compare);
	printf("%.0f %.0f %.0f\n", took[0], took[count / 2], took[count - 1]);
	return 0;
}
