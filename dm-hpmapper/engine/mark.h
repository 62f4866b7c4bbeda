/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mark on the data device.
 */
#ifndef HPM_MARK_H
#define HPM_MARK_H

#include "metadata.h"

/*
 * Writes the mark of a new pool, whose space is loaded.  @buf is a buffer of
 * one block.  Durable on return.
 */
int hpm_mark_make(struct hpm_md *md, void *buf);
/*
 * Compares the mark with the pool.  On entry md->marked has the label's value;
 * on return it is true if the data device has the pool's mark.  -EINVAL with
 * *why: the data device is not the pool's.  Must be called before anything is
 * written or discarded.  Writes nothing, unless adopt_data asks for a new mark.
 */
int hpm_mark_check(struct hpm_md *md, void *buf, const char **why);

#endif /* HPM_MARK_H */
