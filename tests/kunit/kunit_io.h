/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HPM_KUNIT_IO_H
#define HPM_KUNIT_IO_H

#include "metadata-pool.h"
#include "metadata-volume.h"

struct hpm_io {
	void *meta;
	u64 meta_blocks;
	u64 data_blocks;
	unsigned long reads;
	unsigned long data_flushes;
};

struct hpm_io *hpm_kunit_io_new(u64 meta_blocks, u64 data_blocks);
void hpm_kunit_io_free(struct hpm_io *io);

#endif /* HPM_KUNIT_IO_H */
