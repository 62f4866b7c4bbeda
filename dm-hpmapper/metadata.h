/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata engine: what all its callers need, the targets and the tools.
 * metadata-pool.h has what the pool and the tools call, metadata-volume.h what
 * volumes call.
 *
 * Units: VBNs, PBNs, sizes and lengths are in small blocks (4 KiB).  Functions
 * return 0 or a negative errno.  "Any context" means callable from map() and
 * from bio completion, with interrupts off; "sleeps" means a worker or a
 * message.  The engine calls back through struct hpm_md_ops.
 *
 * How a mapping changes, seen from outside:
 *
 *	hpm_credit_get()	room in the journal and for metadata, or -EAGAIN
 *	hpm_change_lock()	locks the VBN range against other writers
 *	 (data is written)
 *	hpm_change_publish()	the record is in the batch and readers see the
 *				new mapping; then the bio may be ended
 *	hpm_md_commit()		data flushed, batch durable
 *	hpm_md_apply()		the trees have the new mapping (in a worker)
 *
 * A reader must take its volume's in-flight token before hpm_map_lookup() and
 * hold it until its I/O has ended.  Blocks that a change frees are handed to
 * ops->drain(); the pool waits for the tokens of all volumes before it calls
 * hpm_free_done().
 */
#ifndef HPM_METADATA_H
#define HPM_METADATA_H

#include "env.h"
#include "fault.h"
#include "format.h"
#include "io.h"

struct hpm_md;
struct hpm_vol;

enum hpm_mode {
	HPM_MODE_WRITE,
	HPM_MODE_OUT_OF_DATA,	/* set and cleared by the pool, not by errors */
	HPM_MODE_READ_ONLY,
	HPM_MODE_FAIL,
};

/* A run of small blocks. */
struct hpm_extent {
	u64 pbn;
	u32 nr;
};

/* Applies all published records; bounded work per lock hold.  Sleeps. */
int hpm_md_apply(struct hpm_md *md);

struct hpm_vol_info {
	u32 id;
	u64 serial;
	u64 parent;		/* serial of the origin, 0: none */
	u64 size;		/* 0: not set */
	u64 mapped;
	u32 flags;		/* HPM_VOL_* */
	u32 snap_time;
	u32 created;
	char name[HPM_NAME_SIZE];
};

/*
 * What a credit is for.  A part of the metadata space is kept for records that
 * give space back.  Discards may use half of this reserve, as in a tree that
 * snapshots share they take metadata and need not give any back.  Deletes may
 * use more.  Reclaims after deletes may use all of it, as they certainly give
 * space back.  So a full pool can be emptied.  A volume's write (HPM_FOR_DATA)
 * holds its credit until its I/O ends, so it must leave some credits to records
 * that do not wait for I/O, such as those of messages.
 */
enum hpm_credit_use {
	HPM_FOR_DATA,
	HPM_FOR_WRITE,
	HPM_FOR_DISCARD,
	HPM_FOR_DELETE,
	HPM_FOR_RECLAIM,
};

/* Gets @n credits.  Any context.  -EAGAIN: wait for HPM_KICK_CREDIT. */
int hpm_credit_get(struct hpm_md *md, unsigned int n, enum hpm_credit_use use);
/*
 * Gets a credit for a write of a volume that has @held credits out.  -EBUSY if
 * fewer than @held would be left to others.  Any context.
 */
int hpm_credit_get_fair(struct hpm_md *md, unsigned int held);
void hpm_credit_put(struct hpm_md *md, unsigned int n);
/*
 * As hpm_credit_get(), but applies and checkpoints until there is room.
 * -ENOSPC: the metadata device is full.  -ERESTART: others hold the credits, or
 * delay what would free some; the caller must release what others may need, and
 * try again.  Sleeps.
 */
int hpm_credit_wait(struct hpm_md *md, unsigned int n, enum hpm_credit_use use);

#endif /* HPM_METADATA_H */
