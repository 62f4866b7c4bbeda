/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entering what has been read.
 */
#ifndef HPM_ENTER_H
#define HPM_ENTER_H

#include "share.h"

struct hpm_lead;

/* True: the caller may enter copies, and gives the token back.  Any context. */
bool hpm_begin_entering(struct hpm_volume *v, int *token);
/* The read has ended well, and shows nothing to anybody yet. */
void hpm_enter_read(struct hpm_lead *lead);

#endif /* HPM_ENTER_H */
