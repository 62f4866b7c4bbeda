/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exchanging blocks between two files of ext4, as fs/ext4/ext4.h has it; older
 * kernels' headers for user space do not.
 */
#ifndef HPM_TEST_MOVE_EXTENT_H
#define HPM_TEST_MOVE_EXTENT_H

#include <linux/ioctl.h>
#include <stdint.h>

struct move_extent {
	uint32_t reserved;
	uint32_t donor_fd;
	uint64_t orig_start;
	uint64_t donor_start;
	uint64_t len;
	uint64_t moved_len;
};

#define EXT4_IOC_MOVE_EXT _IOWR('f', 15, struct move_extent)

#endif /* HPM_TEST_MOVE_EXTENT_H */
