// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "blkdev.h"
#include "err.h"
#include "iostat.h"
#include "ondisk.h"
#include "text.h"

/* The columns of /sys/block/.../stat that are used */
enum {
	READS = 0,
	READ_SECTORS = 2,
	WRITES = 4,
	WRITE_SECTORS = 6,
	IN_FLIGHT = 8,
	DISCARDS = 11,
	DISCARD_SECTORS = 13,
	COLUMNS = 14
};

int iostat_read(const char *num, struct iostat *io)
{
	char text[512], *rest = text;
	uint64_t column[COLUMNS] = { 0 };
	const char *word;
	int i;

	if (sysfs_read(num, "stat", text, sizeof(text)))
		return err_say(ST_NOT_FOUND,
			       "there are no statistics of the device %s", num);
	for (i = 0; i < COLUMNS && (word = next_word(&rest)); i++)
		column[i] = strtoull(word, NULL, 10);
	io->reads = column[READS];
	io->read_bytes = column[READ_SECTORS] * SECTOR_SIZE;
	io->writes = column[WRITES];
	io->written_bytes = column[WRITE_SECTORS] * SECTOR_SIZE;
	io->in_flight = column[IN_FLIGHT];
	io->discards = column[DISCARDS];
	io->discarded_bytes = column[DISCARD_SECTORS] * SECTOR_SIZE;
	return 0;
}

json_t *iostat_json(const struct iostat *io)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "reads",
			 (json_int_t)io->reads, "read_bytes",
			 (json_int_t)io->read_bytes, "writes",
			 (json_int_t)io->writes, "written_bytes",
			 (json_int_t)io->written_bytes, "discards",
			 (json_int_t)io->discards, "discarded_bytes",
			 (json_int_t)io->discarded_bytes, "in_flight",
			 (json_int_t)io->in_flight);
}
