/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks for tests that no record takes more than its credit has reserved for
 * it (credit.c, "Why the blocks suffice").  The kernel's build has none of
 * this.
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
/*
 * _begin(): before a record is applied; _look(): before a block is allocated;
 * _end(): after the record was applied.
 */
void hpm_audit_begin(struct hpm_md *md);
void hpm_audit_look(struct hpm_md *md);
void hpm_audit_end(struct hpm_md *md, const struct hpm_disk_record *rec);

/* The most that any record of a type took. */
struct hpm_audit_most {
	u32 blocks;
	u32 counts;
};

/* Called for a record that took more than its credit; NULL: no call. */
typedef void (*hpm_audit_fn)(u8 type, u32 blocks, u32 counts);
void hpm_audit_set(hpm_audit_fn fn);
/* For records of this type since the last hpm_audit_set(). */
struct hpm_audit_most hpm_audit_most(u8 type);
#endif

#endif /* HPM_AUDIT_H */
