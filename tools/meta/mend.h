/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HPM_META_MEND_H
#define HPM_META_MEND_H

struct pool;
struct report;

/* Lowers what rep->leak says; opens the pool for writing, recovery included. */
int mend_leaks(struct pool *p, const struct report *rep);
int clear_needs_check(struct pool *p);

#endif /* HPM_META_MEND_H */
