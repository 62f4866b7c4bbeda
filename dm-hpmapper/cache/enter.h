/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entering blocks that were read as copies.
 */
#ifndef HPM_ENTER_H
#define HPM_ENTER_H

#include "cache-priv.h"

struct hpm_lead;

/*
 * Returns true if the caller may enter copies of the volume; the caller then
 * puts the pool's token when it has done so.  Any context.
 */
bool hpm_begin_entering(struct hpm_volume *v, int *token);
/*
 * Enters the blocks of a read that succeeded.  Called before its bio ends,
 * while only the reader has access to its pages.  Any context.
 */
void hpm_enter_read(struct hpm_lead *lead);

#endif /* HPM_ENTER_H */
