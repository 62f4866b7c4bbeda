// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "label.h"

static int read_start(const char *path, void *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_sys(errno, "cannot open %s", path);
	n = pread(fd, buf, size, 0);
	(void)close(fd);
	if (n < 0)
		return err_sys(errno, "cannot read %s", path);
	if ((size_t)n < size)
		return err_say(ST_BAD_INPUT, "%s is too small for a pool",
			       path);
	return 0;
}

/* The kernel checks the rest; this is only to know which pool it is. */
static bool is_label(const struct hpm_label *l)
{
	return le32toh(l->head.magic) == HPM_MAGIC &&
	       l->head.type == HPM_BT_LABEL &&
	       le64toh(l->head.blocknr) == HPM_LABEL_BLOCK &&
	       le32toh(l->large_shift) >= HPM_MIN_LARGE_SHIFT &&
	       le32toh(l->large_shift) <= HPM_MAX_LARGE_SHIFT;
}

int label_read(const char *path, struct label *label)
{
	struct hpm_label l;

	memset(label, 0, sizeof(*label));
	if (read_start(path, &l, sizeof(l)))
		return -1;
	if (!is_label(&l))
		return 0;
	label->found = true;
	memcpy(label->uuid, l.uuid, sizeof(label->uuid));
	label->version = le32toh(l.version);
	label->large_sectors = HPM_BLOCK_SECTORS << le32toh(l.large_shift);
	label->meta_bytes = le64toh(l.created_with_blocks) * HPM_BLOCK_SIZE;
	return 0;
}

const char *uuid_text(const uint8_t uuid[HPM_UUID_SIZE], char out[UUID_TEXT])
{
	unsigned int i, at = 0;

	for (i = 0; i < HPM_UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		(void)snprintf(out + at, 3, "%02x", uuid[i]);
		at += 2;
	}
	return out;
}

int mark_write(const char *path, const uint8_t *uuid, uint64_t index,
	       uint64_t start, uint64_t bytes)
{
	union {
		struct mark mark;
		char block[HPM_BLOCK_SIZE];
	} u = { .block = "" };
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return err_sys(errno, "cannot open %s for writing", path);
	memcpy(u.mark.magic, MARK_MAGIC, sizeof(u.mark.magic));
	memcpy(u.mark.uuid, uuid, sizeof(u.mark.uuid));
	u.mark.index = htole64(index);
	u.mark.start = htole64(start);
	u.mark.bytes = htole64(bytes);
	if (pwrite(fd, &u, sizeof(u), 0) != (ssize_t)sizeof(u) || fsync(fd))
		ret = err_sys(errno, "cannot write to %s", path);
	(void)close(fd);
	return ret;
}

int mark_read(const char *path, const uint8_t *uuid, uint64_t index,
	      uint64_t *start, uint64_t *bytes)
{
	struct mark m;

	if (read_start(path, &m, sizeof(m)))
		return -1;
	if (memcmp(m.magic, MARK_MAGIC, sizeof(m.magic)) != 0)
		return err_say(ST_BAD_INPUT, "%s was not added to a pool",
			       path);
	if (memcmp(m.uuid, uuid, sizeof(m.uuid)) != 0)
		return err_say(ST_BAD_INPUT, "%s belongs to another pool",
			       path);
	if (le64toh(m.index) != index)
		return err_say(
			ST_BAD_INPUT,
			"%s is not the next disk of the pool: give the disks in the order in which they were added",
			path);
	*start = le64toh(m.start);
	*bytes = le64toh(m.bytes);
	return 0;
}
