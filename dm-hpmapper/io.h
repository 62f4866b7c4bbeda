/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the engine reads and writes the devices.  In the kernel this is io.c,
 * with bios; in user space it is the shim, with a file or an array in memory,
 * where the crash tests record the writes and flushes.
 *
 * Blocks are HPM_BLOCK_SIZE bytes.  Every call may sleep and returns 0 or a
 * negative errno.  Buffers are page-aligned blocks (hpm_block_alloc()).
 */
#ifndef HPM_IO_H
#define HPM_IO_H

#include "env.h"

struct hpm_io;

#define HPM_IO_PREFLUSH	0x1u
#define HPM_IO_FUA	0x2u

struct hpm_io_vec {
	u64 block;
	void *data;
};

/* Reads one metadata block. */
int hpm_io_read(struct hpm_io *io, u64 block, void *data);

/*
 * Writes the metadata blocks in any order and waits.  Only a flush makes them
 * durable.
 */
int hpm_io_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		 unsigned int nr);

/*
 * Writes @nr consecutive metadata blocks as one bio with the given flags
 * (HPM_IO_*) and waits.  @nr is at most HPM_MAX_BATCH_BLOCKS.
 */
int hpm_io_write_run(struct hpm_io *io, u64 block, void **data,
		     unsigned int nr, unsigned int flags);

int hpm_io_flush_meta(struct hpm_io *io);
int hpm_io_flush_data(struct hpm_io *io);

/*
 * Read and write the first block of the data device, which has the pool's mark.
 * The engine itself reads and writes no other block there.  Durable when the
 * write returns.  -EOPNOTSUPP: there is no data device here.
 */
int hpm_io_read_mark(struct hpm_io *io, void *data);
int hpm_io_write_mark(struct hpm_io *io, void *data);

/* The present sizes of the devices, in metadata blocks and in small blocks. */
u64 hpm_io_meta_blocks(struct hpm_io *io);
u64 hpm_io_data_blocks(struct hpm_io *io);

#endif /* HPM_IO_H */
