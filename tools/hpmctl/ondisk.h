/* SPDX-License-Identifier: GPL-2.0-only */
/* The module's on-disk format, for user space. */
#ifndef HPMCTL_ONDISK_H
#define HPMCTL_ONDISK_H

#include <endian.h>
#include <linux/types.h>

#ifndef __packed
#define __packed __attribute__((packed))
#endif

#include "../../dm-hpmapper/format.h"

#define SECTOR_SIZE 512u

#endif /* HPMCTL_ONDISK_H */
