/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata engine as the targets and the tools see it: what is for everybody.
 * metadata-pool.h has what the pool calls, metadata-volume.h what volumes do.
 *
 * Units: VBNs, PBNs, sizes and lengths are in small blocks (4 KiB).  Functions
 * return 0 or a negative errno.  "Any context" means callable from map() and
 * from bio completion, with interrupts off; "sleeps" means a worker or a
 * message.  The engine calls back through struct hpm_md_ops.
 *
 * How a mapping changes, seen from outside:
 *
 *	hpm_credit_get()	room in the journal and for metadata, or -EAGAIN
 *	hpm_change_lock()	the VBN range is ours: no other writer gets it
 *	 (data is written)
 *	hpm_change_publish()	the record is in the batch and readers see the
 *				new mapping; then the bio may be ended
 *	hpm_md_commit()		data flushed, batch durable
 *	hpm_md_apply()		the trees catch up (a worker's job)
 *
 * What a reader must do: take its volume's in-flight token before
 * hpm_map_lookup() and hold it until its I/O is done.  Blocks that a change
 * frees come back through ops->drain(), whose owner waits for all volumes' tokens
 * before it calls hpm_free_done().
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

/* Applies what has been published; bounded work per lock hold. */
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
 * What a credit is for.  A part of the metadata is kept for what gives space
 * back.  Discards may use half of it: in a tree that snapshots share they take
 * metadata, and need not give any back.  Deletes may use more, and all of it is
 * for what gives back for certain, as the reclaim after a delete; so a full pool
 * can be emptied.  What holds a credit until its I/O ends, a volume's write, leaves
 * some credits of each kind to what does not, such as messages.
 */
enum hpm_credit_use {
	HPM_FOR_DATA,
	HPM_FOR_WRITE,
	HPM_FOR_DISCARD,
	HPM_FOR_DELETE,
	HPM_FOR_RECLAIM,
};

/* Room for @n changes.  Any context; -EAGAIN: wait for HPM_KICK_CREDIT. */
int hpm_credit_get(struct hpm_md *md, unsigned int n, enum hpm_credit_use use);
/*
 * One for a write, of one who has @held of them out already: -EBUSY if not as many
 * would stay free behind it.
 */
int hpm_credit_get_fair(struct hpm_md *md, unsigned int held);
void hpm_credit_put(struct hpm_md *md, unsigned int n);
/*
 * As hpm_credit_get(), applying and checkpointing until there is room.
 * -ENOSPC: the metadata device is full.  -ERESTART: others have what there is, or
 * stand in the way of what gives it back, and it takes some time; try again, with
 * nothing in hand that somebody may need meanwhile.  Sleeps.
 */
int hpm_credit_wait(struct hpm_md *md, unsigned int n, enum hpm_credit_use use);

#endif /* HPM_METADATA_H */
