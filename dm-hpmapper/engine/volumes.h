/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The volumes of a pool, and the table of them.  md->lock held, unless said
 * otherwise.
 */
#ifndef HPM_VOLUMES_H
#define HPM_VOLUMES_H

#include "metadata-volume.h"
#include "node.h"

#define HPM_SMALL_BUCKETS	64	/* hashed by run of 16 small blocks */
#define HPM_LARGE_BUCKETS	16	/* hashed by large block */
#define HPM_SMALL_RUN_SHIFT	4

struct hpm_changes {
	struct hlist_head small[HPM_SMALL_BUCKETS];
	struct hlist_head large[HPM_LARGE_BUCKETS];
};

struct hpm_vol {
	struct hpm_md *md;
	struct hlist_node by_serial;	/* md->lock */
	struct hlist_node by_id;	/* md->lock */
	u32 id;
	u32 flags;
	u64 serial;
	u64 parent;
	u64 size;
	u64 mapped;
	u32 created;
	char name[HPM_NAME_SIZE];
	struct list_head dirty;		/* md->dirty_vols, or empty; md->lock */
	unsigned int opens;		/* md->lock */

	/* read by look-ups; protected by seq */
	seqcount_t seq;
	struct hpm_root root;

	/*
	 * The time of the last snapshot: as the tree has it (snap_time, under
	 * md->lock), and as writers must see it from the moment when the record
	 * has a number (seen_time).
	 */
	u32 snap_time;
	u32 seen_time;
	u64 seen_record;

	spinlock_t lock;		/* the chains and the waiters */
	struct hpm_changes *changes;	/* while open */
	atomic_t nr_changes;		/* locked and published changes */
	u64 last_record;		/* journal.lock */
};

#define HPM_VOL_HASH_BITS	10

int hpm_vols_load(struct hpm_md *md);
void hpm_vols_exit(struct hpm_md *md);
/* Writes the dirty volumes to the table array (at the cut). */
int hpm_vols_flush(struct hpm_md *md);
void hpm_vol_mark_dirty(struct hpm_vol *vol);
/*
 * Must be called before a record changes the volume's root.  If a held table
 * shares the leaf with the volume's element, the leaf is copied, so that the
 * held table keeps a reference of its own to the root.
 */
int hpm_vol_own(struct hpm_vol *vol);
struct hpm_vol *hpm_vol_by_serial(struct hpm_md *md, u64 serial);
struct hpm_vol *hpm_vol_by_id(struct hpm_md *md, u32 id);
struct hpm_vol *hpm_vol_named(struct hpm_md *md, const char *name);
struct hpm_vol *hpm_vol_new(struct hpm_md *md, u32 id, u64 serial, gfp_t gfp);
void hpm_vol_free(struct hpm_md *md, struct hpm_vol *vol);

/* Sets the time of the last snapshot for the tree and for look-ups. */
static inline void hpm_vol_set_time(struct hpm_vol *vol, u32 time)
{
	vol->snap_time = time;
	WRITE_ONCE(vol->seen_time, time);
}

#endif /* HPM_VOLUMES_H */
