/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device-mapper ioctls for programs that need the errno and want to call the
 * kernel directly.  Each function returns 0 or an errno, which it also stores
 * in errno; for one thread only.  DM_SIZE is the size of the buffer that is
 * passed to the kernel: a program that sends thousands of ioctls, or measures
 * their time, defines a smaller size first.
 */
#ifndef HPM_TEST_DM_H
#define HPM_TEST_DM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef DM_SIZE
#define DM_SIZE 65536
#endif

static union {
	struct dm_ioctl io;
	char bytes[DM_SIZE];
} dm_arg;

static int dm_control = -1;

static inline bool dm_open(void)
{
	dm_control = open("/dev/mapper/control", O_RDWR);
	return dm_control >= 0;
}

static inline void *dm_prepare(const char *name)
{
	memset(&dm_arg, 0, sizeof(dm_arg));
	dm_arg.io.version[0] = DM_VERSION_MAJOR;
	dm_arg.io.data_size = DM_SIZE;
	dm_arg.io.data_start = sizeof(dm_arg.io);
	snprintf(dm_arg.io.name, sizeof(dm_arg.io.name), "%s", name);
	return &dm_arg.io + 1;
}

/* A command without data, with DM_*_FLAG. */
static inline int dm_call(const char *name, unsigned long cmd,
			  unsigned int flags)
{
	dm_prepare(name);
	dm_arg.io.flags = flags;
	return ioctl(dm_control, cmd, &dm_arg) ? errno : 0;
}

static inline int dm_message(const char *name, const char *text)
{
	struct dm_target_msg *msg = dm_prepare(name);

	strcpy(msg->message, text);
	return ioctl(dm_control, DM_TARGET_MSG, &dm_arg) ? errno : 0;
}

/* Loads "0 100 type parameters;100 100 ..."; changes the text */
static inline int dm_load(const char *name, char *table)
{
	char *next = dm_prepare(name), *line, *save = NULL;

	for (line = strtok_r(table, ";", &save); line;
	     line = strtok_r(NULL, ";", &save)) {
		struct dm_target_spec *spec = (void *)next;
		unsigned long long start, length;
		int at = 0;

		if (sscanf(line, "%llu %llu %15s %n", &start, &length,
			   spec->target_type, &at) < 3) {
			printf("# not a table: %s\n", line);
			return -1;
		}
		spec->sector_start = start;
		spec->length = length;
		strcpy((char *)(spec + 1), line + at);
		next += (sizeof(*spec) + strlen(line + at) + 8) & ~7ul;
		spec->next = next - (char *)spec;
		dm_arg.io.target_count++;
	}
	return ioctl(dm_control, DM_TABLE_LOAD, &dm_arg) ? errno : 0;
}

/*
 * The state of a pool that does not change if nothing is done: its table, its
 * status up to the counts of its background work, and its volumes.
 */
static inline void dm_state(const char *pool, char *buf, size_t size)
{
	static const unsigned int flags[] = { DM_STATUS_TABLE_FLAG,
					      DM_NOFLUSH_FLAG };
	const char *line = dm_arg.bytes + sizeof(dm_arg.io) +
			   sizeof(struct dm_target_spec);
	size_t n = 0;

	buf[0] = '\0';
	for (int i = 0; i < 2; i++) {
		char *end;

		if (dm_call(pool, DM_TABLE_STATUS, flags[i]))
			return;
		end = strstr(line, " durable");
		if (end)
			*end = '\0';
		n += snprintf(buf + n, size - n, "%s\n", line);
	}
	if (!dm_message(pool, "list") && dm_arg.io.flags & DM_DATA_OUT_FLAG)
		snprintf(buf + n, size - n, "%s",
			 dm_arg.bytes + dm_arg.io.data_start);
}

#endif /* HPM_TEST_DM_H */
