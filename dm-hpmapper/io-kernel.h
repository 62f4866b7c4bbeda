/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's side of io.h: what the pool target does with the devices.
 */
#ifndef HPM_IO_KERNEL_H
#define HPM_IO_KERNEL_H

#include <linux/blkdev.h>

#include "io.h"
#include "metadata.h"

/* The caller keeps the devices open until hpm_io_detach().  Sleeps. */
struct hpm_io *hpm_io_create(struct block_device *meta,
			     struct block_device *data, u64 data_blocks);
void hpm_io_destroy(struct hpm_io *io);

/* Sets how many small blocks of the data device the pool uses. */
void hpm_io_set_data_blocks(struct hpm_io *io, u64 blocks);

/*
 * Waits for the I/O in flight.  Later calls return -ENODEV and do not use the
 * devices, so these may be closed.  Sleeps.
 */
void hpm_io_detach(struct hpm_io *io);

/*
 * Discards the parts of the extents that are whole granules of the data device,
 * with one discard for adjacent extents, and waits.  Sorts the extents.  An
 * error is for information only, as a discard promises nothing.  Sleeps.
 */
int hpm_io_discard(struct hpm_io *io, struct hpm_extent *ext, unsigned int nr);

/*
 * Was the bio not tried at all, as a driver had no memory or was not allowed to
 * wait?
 */
static inline bool hpm_io_untried(blk_status_t status)
{
	return status == BLK_STS_AGAIN || status == BLK_STS_RESOURCE ||
	       status == BLK_STS_DEV_RESOURCE || status == BLK_STS_DM_REQUEUE;
}

#endif /* HPM_IO_KERNEL_H */
