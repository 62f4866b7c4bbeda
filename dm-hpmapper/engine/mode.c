// SPDX-License-Identifier: GPL-2.0-only
/* The failure ladder: the mode of the pool, and the reason for it. */
#include "engine.h"

enum hpm_mode hpm_md_mode(struct hpm_md *md)
{
	return READ_ONCE(md->mode);
}

const char *hpm_md_why(struct hpm_md *md)
{
	return READ_ONCE(md->why);
}

void hpm_md_fail(struct hpm_md *md, enum hpm_mode mode, const char *why,
		 int err)
{
	if (mode <= READ_ONCE(md->mode))
		return;
	WRITE_ONCE(md->why, why);
	WRITE_ONCE(md->mode, mode);
	if (md->ops && md->ops->failed)
		md->ops->failed(md->ctx, mode, why, err);
}

/*
 * To be called for a flush of the data device that failed.  Data that was
 * written before it may be lost, and no later flush brings it back.  So the
 * batches with records of such data must not be written.  Any context.
 */
void hpm_md_data_flush_failed(struct hpm_md *md, int err)
{
	WRITE_ONCE(md->journal.dead, true);
	hpm_md_fail(md, HPM_MODE_READ_ONLY, "data flush failed", err);
}
