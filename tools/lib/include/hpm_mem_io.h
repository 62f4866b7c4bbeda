/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A metadata and a data device in memory, with volatile write caches and a
 * power switch.
 *
 * Each device has an image that is durable and an ordered list of the writes
 * since its last flush.  Reads see everything; when the power is cut, each
 * sector of each such write is on the medium or is not, as the caller of
 * hpm_mem_crash() wishes.  A flush makes durable what had *completed* when it
 * was issued, and nothing else; FUA makes its own write durable, and nothing
 * else; PREFLUSH is a flush before the write.
 *
 * The metadata device holds bytes.  The data device holds one stamp (a number
 * that its writer chooses) for each sector of 512 bytes, which is all that a
 * test wants to know of the bytes.
 *
 * Whatever the device is asked to do is an event, counted over both devices
 * in one order.  The power can be set to fail at the n-th event; that one is
 * then in flight: parts of it may be on the medium.  What follows fails with
 * -EIO and leaves no trace.
 */
#ifndef HPM_MEM_IO_H
#define HPM_MEM_IO_H

#include "hpm_lib.h"

#define HPM_SECTORS	8u		/* of a block */

struct hpm_io *hpm_mem_create(u64 meta_blocks, u64 data_blocks, u64 seed);
/* Both can be resized; a device that grows shows what lay there before. */
void hpm_mem_resize(struct hpm_io *io, u64 meta_blocks, u64 data_blocks);

/* The data device has a place for a pool's mark; else pools have none here. */
void hpm_mem_with_mark(struct hpm_io *io);
/* The bytes of that place. */
void *hpm_mem_mark(struct hpm_io *io);

/* The bytes of a metadata block as reads see them; for tests that damage. */
void *hpm_mem_peek(struct hpm_io *io, u64 block);
/* Writes behind the cache: both what is read and what is durable. */
void hpm_mem_poke(struct hpm_io *io, u64 block, const void *data);

/*
 *----------------------------------------------------------------
 * The data device, as the target would use it
 *--------------------------------------------------------------
 */

/*
 * Starts a write of @nr sectors; returns its id.  It is in flight until
 * hpm_mem_data_end(), which returns its error.
 */
u64 hpm_mem_data_start(struct hpm_io *io, u64 sector, unsigned int nr,
		       const u64 *stamps, bool fua);
int hpm_mem_data_end(struct hpm_io *io, u64 id);
/* At once, in blocks: what is there afterwards is @stamp, the device's own. */
int hpm_mem_data_discard(struct hpm_io *io, u64 pbn, u64 nr, u64 stamp);
int hpm_mem_data_read(struct hpm_io *io, u64 sector, unsigned int nr,
		      u64 *stamps);

/*
 *----------------------------------------------------------------
 * Failures
 *--------------------------------------------------------------
 */

enum hpm_mem_op {
	HPM_MEM_READ,
	HPM_MEM_WRITE,		/* hpm_io_write(), each block */
	HPM_MEM_RUN,		/* hpm_io_write_run() */
	HPM_MEM_FLUSH_META,
	HPM_MEM_FLUSH_DATA,
	HPM_MEM_DATA_WRITE,
	HPM_MEM_DATA_READ,
	HPM_MEM_NR_OPS,
};

/* The @nth such operation from now on fails, and @ever: all behind it too. */
void hpm_mem_fail(struct hpm_io *io, enum hpm_mem_op op, u64 nth, bool ever);
/* Operations of a kind so far. */
u64 hpm_mem_ops(struct hpm_io *io, enum hpm_mem_op op);

u64 hpm_mem_events(struct hpm_io *io);
/* The power fails at that event, counted from the creation; 0: never. */
void hpm_mem_cut_at(struct hpm_io *io, u64 event);
bool hpm_mem_is_cut(struct hpm_io *io);

enum hpm_mem_loss {
	HPM_LOSE_ALL,		/* nothing of what was not flushed is there */
	HPM_LOSE_NONE,		/* all of it is */
	HPM_LOSE_TAIL,		/* what was written up to some write is */
	HPM_LOSE_WRITES,	/* each write is or is not */
	HPM_LOSE_BLOCKS,	/* each block of it */
	HPM_LOSE_SECTORS,	/* each sector of it */
	HPM_NR_LOSSES,
};

/*
 * The machine after a power cut: a copy of both devices with what is on the
 * medium, power on, all counters and failures reset.  @io is left alone, so
 * one cut can be looked at in many ways.
 */
struct hpm_io *hpm_mem_crash(struct hpm_io *io, enum hpm_mem_loss loss,
			     u64 seed);

#endif /* HPM_MEM_IO_H */
