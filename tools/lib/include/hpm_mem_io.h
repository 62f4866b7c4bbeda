/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A metadata and a data device in memory, with volatile write caches and a
 * power switch.
 *
 * Each device has an image that is durable and an ordered list of the writes
 * since its last flush.  Reads see everything; when the power is cut, the
 * caller of hpm_mem_crash() decides which sectors of these writes are on the
 * medium.  A flush makes durable what had *completed* when it was issued, and
 * nothing else; FUA makes its own write durable, and nothing else; PREFLUSH is
 * a flush before the write.
 *
 * The metadata device holds bytes.  The data device holds one stamp (a number
 * that its writer chooses) for each sector of 512 bytes, which is enough for
 * tests.
 *
 * Every request is an event, and both devices count events together.  The power
 * can be set to fail at the n-th event, which is then in flight: parts of it
 * may be on the medium.  Later requests fail with -EIO and have no effect.
 */
#ifndef HPM_MEM_IO_H
#define HPM_MEM_IO_H

#include "hpm_lib.h"

#define HPM_SECTORS	8u		/* of a block */

struct hpm_io *hpm_mem_create(u64 meta_blocks, u64 data_blocks, u64 seed);
/*
 * Resizes the devices; a device that grows shows the old content of the new
 * part.
 */
void hpm_mem_resize(struct hpm_io *io, u64 meta_blocks, u64 data_blocks);

/*
 * Gives the data device a place for a pool's mark; without it, pools have no
 * mark here.
 */
void hpm_mem_with_mark(struct hpm_io *io);
/* The content of that place. */
void *hpm_mem_mark(struct hpm_io *io);

/*
 * The bytes of a metadata block as reads see them; for tests that make damage.
 */
void *hpm_mem_peek(struct hpm_io *io, u64 block);
/*
 * Writes past the cache: changes both the content for reads and the durable
 * one.
 */
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
/*
 * Discards blocks at once; afterwards they have @stamp, a stamp of the device.
 */
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

/*
 * Lets the @nth operation of this kind from now on fail, and, if @ever, all
 * later ones.
 */
void hpm_mem_fail(struct hpm_io *io, enum hpm_mem_op op, u64 nth, bool ever);
/* The number of operations of a kind so far. */
u64 hpm_mem_ops(struct hpm_io *io, enum hpm_mem_op op);

u64 hpm_mem_events(struct hpm_io *io);
/* Lets the power fail at that event, counted from the creation; 0: never. */
void hpm_mem_cut_at(struct hpm_io *io, u64 event);
bool hpm_mem_is_cut(struct hpm_io *io);

enum hpm_mem_loss {
	HPM_LOSE_ALL,		/* no unflushed write is there */
	HPM_LOSE_NONE,		/* all writes are */
	HPM_LOSE_TAIL,		/* all writes up to some write are */
	HPM_LOSE_WRITES,	/* each write is there or not */
	HPM_LOSE_BLOCKS,	/* each block is there or not */
	HPM_LOSE_SECTORS,	/* each sector is there or not */
	HPM_NR_LOSSES,
};

/*
 * Returns the machine after a power cut: a copy of both devices with the
 * content of the medium, power on, all counters and failures reset.  @io does
 * not change, so one power cut can have many outcomes.
 */
struct hpm_io *hpm_mem_crash(struct hpm_io *io, enum hpm_mem_loss loss,
			     u64 seed);

#endif /* HPM_MEM_IO_H */
