/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's side of io.h: what the pool target does with the devices.
 */
#ifndef HPM_IO_KERNEL_H
#define HPM_IO_KERNEL_H

#include <linux/blkdev.h>

#include "io.h"
#include "metadata.h"

/* Sleeps.  The devices are the caller's and stay open until the detach. */
struct hpm_io *hpm_io_create(struct block_device *meta,
			     struct block_device *data, u64 data_blocks);
void hpm_io_destroy(struct hpm_io *io);

/* How much of the data device is ours, from a table; in small blocks. */
void hpm_io_set_data_blocks(struct hpm_io *io, u64 blocks);

/*
 * Waits for the I/O that is under way; whatever comes later ends with -ENODEV
 * and does not touch the devices, which may be closed then.  Sleeps.
 */
void hpm_io_detach(struct hpm_io *io);

/*
 * Discards those parts of the extents that are whole granules of the data
 * device, neighbours as one, and waits.  The extents get sorted.  The result
 * is a matter of information: a discard promises nothing.  Sleeps.
 */
int hpm_io_discard(struct hpm_io *io, struct hpm_extent *ext, unsigned int nr);

/* The device has not tried: a driver had no memory, or was not to wait. */
static inline bool hpm_io_untried(blk_status_t status)
{
	return status == BLK_STS_AGAIN || status == BLK_STS_RESOURCE ||
	       status == BLK_STS_DEV_RESOURCE || status == BLK_STS_DM_REQUEUE;
}

#endif /* HPM_IO_KERNEL_H */
