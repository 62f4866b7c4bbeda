/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A new pool.
 */
#ifndef HPM_CREATE_H
#define HPM_CREATE_H

#include "metadata.h"

/*
 * Makes an empty pool on devices that hold nothing else.  @buf is a buffer of
 * one block.
 */
int hpm_format(struct hpm_md *md, void *buf, const char **why);

#endif /* HPM_CREATE_H */
