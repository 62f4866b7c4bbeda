// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "label.h"

/*
 * Opens the file with O_DIRECT, as the page cache may hold what was there
 * before the kernel wrote; if the file does not support it, without.
 */
static int open_direct(const char *path, int flags)
{
	int fd = open(path, flags | O_DIRECT | O_CLOEXEC);

	return fd < 0 && errno == EINVAL ? open(path, flags | O_CLOEXEC) : fd;
}

static int read_start(const char *path, void *buf, size_t size)
{
	_Alignas(HPM_BLOCK_SIZE) char block[HPM_BLOCK_SIZE];
	int fd = open_direct(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return err_sys(errno, "cannot open %s", path);
	n = pread(fd, block, sizeof(block), 0);
	(void)close(fd);
	if (n < 0)
		return err_sys(errno, "cannot read %s", path);
	if ((size_t)n < sizeof(block))
		return err_say(ST_BAD_INPUT, "%s is too small for a pool",
			       path);
	memcpy(buf, block, size);
	return 0;
}

/* This only finds out which pool it is; the kernel checks the rest. */
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
	label->marked = le64toh(l.compat) & HPM_COMPAT_MARK;
	return 0;
}

/*----------------------------------------------------------------
 * The data device
 *--------------------------------------------------------------*/

static uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
	const uint8_t *p = data;
	int bit;

	for (; n; n--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static bool is_mark(const struct hpm_mark *m)
{
	uint32_t seed = crc32c(~0u, "hpmapper mark", 13);

	return le32toh(m->head.magic) == HPM_MAGIC &&
	       m->head.type == HPM_BT_MARK &&
	       le64toh(m->head.blocknr) == HPM_MARK_BLOCK &&
	       le32toh(m->head.csum) ==
		       crc32c(seed, &m->head.magic,
			      sizeof(*m) - sizeof(m->head.csum));
}

int data_kind(const char *path, enum data_kind *kind,
	      uint8_t uuid[HPM_UUID_SIZE])
{
	union {
		struct hpm_label label;
		struct hpm_mark mark;
		struct mark added;
	} u;

	*kind = DATA_UNKNOWN;
	if (read_start(path, &u, sizeof(u)))
		return -1;
	if (is_mark(&u.mark)) {
		*kind = DATA_MARKED;
		memcpy(uuid, u.mark.uuid, HPM_UUID_SIZE);
	} else if (is_label(&u.label)) {
		*kind = DATA_LABEL;
		memcpy(uuid, u.label.uuid, HPM_UUID_SIZE);
	} else if (!memcmp(u.added.magic, MARK_MAGIC, sizeof(u.added.magic))) {
		*kind = DATA_ADDED;
		memcpy(uuid, u.added.uuid, HPM_UUID_SIZE);
	}
	return 0;
}

int data_mark_clear(const char *path, const uint8_t uuid[HPM_UUID_SIZE])
{
	static const char zero[HPM_BLOCK_SIZE];
	uint8_t is[HPM_UUID_SIZE];
	enum data_kind kind;
	int fd, ret = 0;

	if (data_kind(path, &kind, is))
		return -1;
	if (kind != DATA_MARKED || memcmp(is, uuid, HPM_UUID_SIZE) != 0)
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(errno, "cannot open %s for writing", path);
	if (pwrite(fd, zero, sizeof(zero), 0) != (ssize_t)sizeof(zero) ||
	    fsync(fd))
		ret = err_sys(errno, "cannot write to %s", path);
	(void)close(fd);
	return ret;
}

/*----------------------------------------------------------------
 * Words
 *--------------------------------------------------------------*/

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

void mark_wipe(const char *path)
{
	static const char zeroes[HPM_BLOCK_SIZE];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 ||
	    pwrite(fd, zeroes, sizeof(zeroes), 0) != (ssize_t)sizeof(zeroes) ||
	    fsync(fd))
		warn("the disk %s may still have the mark of the pool (%s): when this is fixed, --force overwrites it",
		     path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
}

bool mark_found(const char *path, const uint8_t *uuid)
{
	struct mark m;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool found;

	if (fd < 0)
		return false;
	found = pread(fd, &m, sizeof(m), 0) == (ssize_t)sizeof(m) &&
		!memcmp(m.magic, MARK_MAGIC, sizeof(m.magic)) &&
		!memcmp(m.uuid, uuid, sizeof(m.uuid));
	(void)close(fd);
	return found;
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
