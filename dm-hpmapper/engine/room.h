/* SPDX-License-Identifier: GPL-2.0-only */
/* Making room for records in the journal and in the metadata space. */
#ifndef HPM_ROOM_H
#define HPM_ROOM_H

#include "metadata.h"

/* Drops md->lock, returns a credit and returns @err. */
int hpm_change_refuse(struct hpm_md *md, int err);

#endif /* HPM_ROOM_H */
