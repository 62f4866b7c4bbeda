/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mark on the data device.
 */
#ifndef HPM_MARK_H
#define HPM_MARK_H

#include "metadata.h"

/* Of a new pool, whose space is loaded; @buf: a block.  Durable on return. */
int hpm_mark_make(struct hpm_md *md, void *buf);
/*
 * md->marked is what the label says, and becomes what is so.  -EINVAL with *why:
 * these are not the data of the pool.  Writes nothing, and comes before anything
 * is written or discarded.
 */
int hpm_mark_check(struct hpm_md *md, void *buf, const char **why);

#endif /* HPM_MARK_H */
