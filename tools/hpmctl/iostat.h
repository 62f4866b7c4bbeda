/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's I/O counters of a block device. */
#ifndef HPMCTL_IOSTAT_H
#define HPMCTL_IOSTAT_H

#include <jansson.h>
#include <stdint.h>

struct iostat {
	uint64_t reads, read_bytes;
	uint64_t writes, written_bytes;
	uint64_t discards, discarded_bytes;
	uint64_t in_flight;
};

/* By the device's numbers, "253:4". */
int iostat_read(const char *num, struct iostat *io);
json_t *iostat_json(const struct iostat *io);

#endif /* HPMCTL_IOSTAT_H */
