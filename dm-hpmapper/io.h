/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine's way to the devices.  In the kernel this is io.c, over bios; in
 * user space it is the shim's, over a file or an array in memory, where the
 * crash tests record what is written and flushed.
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

/* One block of metadata. */
int hpm_io_read(struct hpm_io *io, u64 block, void *data);

/* Writes all of them, in any order, and waits; durable after a flush only. */
int hpm_io_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		 unsigned int nr);

/*
 * Writes @nr consecutive blocks as one request with the given flags
 * (HPM_IO_*), waits.  @nr is at most HPM_MAX_BATCH_BLOCKS.
 */
int hpm_io_write_run(struct hpm_io *io, u64 block, void **data,
		     unsigned int nr, unsigned int flags);

int hpm_io_flush_meta(struct hpm_io *io);
int hpm_io_flush_data(struct hpm_io *io);

/*
 * The first block of the data device, where the pool's mark stands; the only one
 * that the engine itself reads or writes.  Durable when the write returns.
 * -EOPNOTSUPP: there is no data device here.
 */
int hpm_io_read_mark(struct hpm_io *io, void *data);
int hpm_io_write_mark(struct hpm_io *io, void *data);

/* The devices' present sizes, in metadata blocks and in small blocks. */
u64 hpm_io_meta_blocks(struct hpm_io *io);
u64 hpm_io_data_blocks(struct hpm_io *io);

#endif /* HPM_IO_H */
