/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HPM_META_MEND_H
#define HPM_META_MEND_H

struct pool;
struct report;
struct hpm_md_ops;

/* The callbacks of the engine in a tool (replay.c). */
extern const struct hpm_md_ops tool_md_ops;

/*
 * Lowers the counts in rep->leak; opens the pool for writing, including
 * recovery.
 */
int mend_leaks(struct pool *p, const struct report *rep);
int clear_needs_check(struct pool *p);
/*
 * For a pool that was rebuilt: replays its journal, lets the held snapshot go
 * and makes every mapping count as shared.  Returns a negative errno and *why,
 * without a message, if the journal is at fault.  -ENOSPC: the device is too
 * small.
 */
int settle_rebuilt(struct pool *p, const char **why);

#endif /* HPM_META_MEND_H */
