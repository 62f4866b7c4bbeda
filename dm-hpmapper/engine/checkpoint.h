/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checkpoints, as the engine sees them.
 */
#ifndef HPM_CHECKPOINT_H
#define HPM_CHECKPOINT_H

#include "metadata.h"

/* A checkpoint, after which all that was given back before it is usable. */
int hpm_md_make_room(struct hpm_md *md);
/*
 * With checkpoint_lock and commit_lock held, so that nothing is committed
 * meanwhile.
 */
int hpm_checkpoint_alone(struct hpm_md *md);

#endif /* HPM_CHECKPOINT_H */
