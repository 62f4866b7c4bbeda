// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a log of dm-log-writes: a superblock, then for each entry a sector
 * that describes it and, if it has data, that data.
 *
 * The order of entries is that in which they became durable, not that in which
 * they were written.  A plain write is before the first flush that was sent
 * after it had completed; a FUA write is where it completed.  So plain writes
 * directly behind an entry were in the device's cache, or on their way there,
 * when that entry was complete.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replay.h"

#define LOG_MAGIC 0x6a736677736872ull

struct disk_super {
	__le64 magic, version, nr_entries;
	__le32 sectorsize;
} __packed;

struct disk_entry {
	__le64 sector, nr_sectors, flags, data_len;
} __packed;

static char *mark_text(const struct disk_entry *d)
{
	u64 len = le64_to_cpu(d->data_len);
	char *text = calloc(1, len + 1);

	if (!text || len > SECTOR - sizeof(*d))
		die("a mark in the log is damaged");
	memcpy(text, d + 1, len);
	return text;
}

static const u8 *read_entry(struct entry *e, const u8 *at, const u8 *end)
{
	const struct disk_entry *d = (const void *)at;

	e->sector = le64_to_cpu(d->sector);
	e->nr = le64_to_cpu(d->nr_sectors);
	e->flags = le64_to_cpu(d->flags);
	e->slice = e->sector < META_ROOM ? SLICE_META : SLICE_DATA;
	at += SECTOR;
	if (e->flags & LOG_MARK) {
		e->data = (const u8 *)mark_text(d);
		return at;
	}
	e->data = at;
	if (!(e->flags & LOG_DISCARD))
		at += e->nr * SECTOR;
	if (at > end || e->sector + e->nr > META_ROOM + DATA_ROOM)
		die("the log is damaged");
	return at;
}

void log_read(struct log *log, const char *path)
{
	const struct disk_super *sb;
	const u8 *at, *end;
	struct stat st;
	u64 i;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	at = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		die("%s: %s", path, strerror(errno));
	close(fd);
	end = at + st.st_size;
	sb = (const void *)at;
	if (le64_to_cpu(sb->magic) != LOG_MAGIC ||
	    le32_to_cpu(sb->sectorsize) != SECTOR)
		die("%s is not a log of 512-byte sectors", path);
	log->nr = le64_to_cpu(sb->nr_entries);
	log->entry = calloc(log->nr, sizeof(*log->entry));
	if (!log->entry)
		die("no memory");
	at += SECTOR;
	for (i = 0; i < log->nr; i++)
		at = read_entry(&log->entry[i], at, end);
}
