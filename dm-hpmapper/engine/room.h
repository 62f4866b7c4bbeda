/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making room.
 */
#ifndef HPM_ROOM_H
#define HPM_ROOM_H

#include "metadata.h"

/* Lets md->lock and a credit go; returns @err. */
int hpm_change_refuse(struct hpm_md *md, int err);

#endif /* HPM_ROOM_H */
