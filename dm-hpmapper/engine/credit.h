/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Credits, as the engine sees them; metadata.h has what others may do with one.
 */
#ifndef HPM_CREDIT_H
#define HPM_CREDIT_H

#include "metadata.h"

/* Records that may be published and not yet be in the trees. */
#define HPM_MAX_BACKLOG		2048
/* Of them, so many at most are not for writes of volumes. */
#define HPM_CREDITS_KEPT	32
/*
 * Records after which a checkpoint is due; twice as many are the limit.  So many,
 * each to another leaf that recovery has to read, are replayed in less than two
 * seconds (make bench-recovery).
 */
#define HPM_CHECKPOINT_RECORDS	6500

#endif /* HPM_CREDIT_H */
