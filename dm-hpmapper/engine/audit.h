/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does a record keep to its credit?  The tests hold what each one took against
 * what was kept for it (credit.c, "Why the blocks suffice").  In the kernel there
 * is nothing of it.
 */
#ifndef HPM_AUDIT_H
#define HPM_AUDIT_H

#include "env.h"
#include "format.h"

struct hpm_md;

#ifdef __KERNEL__
static inline void hpm_audit_begin(struct hpm_md *md) { }
static inline void hpm_audit_look(struct hpm_md *md) { }
static inline void hpm_audit_end(struct hpm_md *md,
				 const struct hpm_disk_record *rec) { }
#else
/* A record is about to be applied, a block to be taken; it was applied. */
void hpm_audit_begin(struct hpm_md *md);
void hpm_audit_look(struct hpm_md *md);
void hpm_audit_end(struct hpm_md *md, const struct hpm_disk_record *rec);

/* The most that a record of each type took. */
struct hpm_audit_most {
	u32 blocks;
	u32 counts;
};

/* What is told of a record that took more than its credit; NULL: nothing. */
typedef void (*hpm_audit_fn)(u8 type, u32 blocks, u32 counts);
void hpm_audit_set(hpm_audit_fn fn);
/* Of this type, since the last hpm_audit_set(). */
struct hpm_audit_most hpm_audit_most(u8 type);
#endif

#endif /* HPM_AUDIT_H */
