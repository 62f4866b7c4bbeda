/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checkpoints, as the engine sees them.
 */
#ifndef HPM_CHECKPOINT_H
#define HPM_CHECKPOINT_H

#include "metadata.h"

/* Makes a checkpoint after which all blocks given back before it are usable. */
int hpm_md_make_room(struct hpm_md *md);
/*
 * Makes a checkpoint with checkpoint_lock and commit_lock held, so that nothing
 * is committed meanwhile.
 */
int hpm_checkpoint_alone(struct hpm_md *md);

#endif /* HPM_CHECKPOINT_H */
