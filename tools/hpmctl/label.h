/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The blocks that hpmctl itself reads and writes below a pool: the label at the
 * beginning of a pool's metadata, and the marks on disks that were added to a
 * pool.
 */
#ifndef HPMCTL_LABEL_H
#define HPMCTL_LABEL_H

#include <stdbool.h>
#include <stdint.h>

#include "ondisk.h"

#define UUID_TEXT 37
/* The area that must be zero for the kernel to make a pool. */
#define ZERO_AREA ((uint64_t)HPM_RESERVED_BLOCKS * HPM_BLOCK_SIZE)

struct label {
	bool found;
	uint8_t uuid[HPM_UUID_SIZE];
	uint32_t version;
	uint32_t large_sectors;
	uint64_t meta_bytes; /* size of the metadata of the new pool */
	bool marked;	     /* the data begin with the pool's mark */
};

/* label->found is false if the device begins with something else. */
int label_read(const char *path, struct label *label);
/*
 * Tells what a device is that may hold a pool's data, by its first block.  For
 * a pool whose data have no mark this is a guess, as the first block may belong
 * to a volume.
 */
enum data_kind {
	DATA_UNKNOWN, /* nothing of a pool's */
	DATA_MARKED,  /* the data of the pool with this uuid */
	DATA_LABEL,   /* a pool's metadata, or a disk with both */
	DATA_ADDED,   /* a disk that was added to a pool */
};

int data_kind(const char *path, enum data_kind *kind,
	      uint8_t uuid[HPM_UUID_SIZE]);
/* Removes the mark of this pool, if it is there. */
int data_mark_clear(const char *path, const uint8_t uuid[HPM_UUID_SIZE]);

const char *uuid_text(const uint8_t uuid[HPM_UUID_SIZE], char out[UUID_TEXT]);

/*
 * A disk that was added by "pool grow --add" begins with a mark, so that a
 * pool's disks cannot be put together in another order.  The pool's data begin
 * MARK_AREA bytes behind it.
 */
#define MARK_MAGIC "HPMDISK1"
#define MARK_AREA  (2u << 20) /* the largest large block: keeps alignment */

struct mark {
	uint8_t magic[8];
	uint8_t uuid[HPM_UUID_SIZE]; /* the pool's */
	__le64 index;		     /* 1 for the first disk that was added */
	__le64 start;		     /* first byte in the pool's data device */
	__le64 bytes;		     /* the part that the pool uses */
} __packed;

int mark_write(const char *path, const uint8_t *uuid, uint64_t index,
	       uint64_t start, uint64_t bytes);
/*
 * Zeroes the mark of a disk that could not be added; if the mark stays, a note
 * says so.
 */
void mark_wipe(const char *path);
/* Whether a disk begins with a mark of this pool. */
bool mark_found(const char *path, const uint8_t *uuid);
/* Refuses a disk that is not the @index-th disk that was added to this pool. */
int mark_read(const char *path, const uint8_t *uuid, uint64_t index,
	      uint64_t *start, uint64_t *bytes);

#endif /* HPMCTL_LABEL_H */
