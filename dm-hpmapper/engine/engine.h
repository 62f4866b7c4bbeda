/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata engine as its own files see it.  Each file has a header with the
 * functions that the other files of the engine may call.  The include paths
 * hide these headers from the rest of the module, which includes metadata.h.
 *
 * Locks, outermost first:
 *
 *	checkpoint_lock	one checkpoint at a time; the superblocks
 *	commit_lock	one batch of the journal is written at a time
 *	lock		the trees, arrays, counts: held to apply a record
 *	vol->lock	a volume's changes (hash chains, waiters); irq-safe
 *	journal.lock	the open batch and the fifo of published changes; irq-safe
 *	nodes.lock	node cache membership; irq-safe, innermost
 *	space.lock	busy blocks, states, free batches; irq-safe, innermost
 */
#ifndef HPM_ENGINE_H
#define HPM_ENGINE_H

#include "metadata-pool.h"
#include "metadata-volume.h"
#include "array.h"
#include "busy.h"
#include "cost.h"
#include "journal.h"
#include "node.h"
#include "refs.h"
#include "volumes.h"

/*
 * For memory that is needed to apply a record, to write a checkpoint after its
 * cut, or to look something up in the map.  A record in the journal cannot be
 * refused, so if such an allocation failed, the pool would have to count as
 * damaged.  Each use takes a few pages.  The caller can sleep, but it may run
 * in memory reclaim or writeback, hence GFP_NOIO.
 */
#define HPM_GFP_MUST	(GFP_NOIO | __GFP_NOFAIL)

/* Where a replay finds metadata space. */
enum hpm_room {
	HPM_ROOM_POOL,		/* in the blocks of the superblock, in one go */
	HPM_ROOM_MORE,		/* on the whole device; a checkpoint a batch */
	HPM_ROOM_MEMORY,	/* in blocks that exist in memory only */
};

struct hpm_md {
	const char *name;		/* of the pool's device, for messages */
	struct hpm_io *io;
	const struct hpm_md_ops *ops;
	void *ctx;
	struct hpm_md_params params;

	struct mutex checkpoint_lock;	/* one checkpoint at a time */
	struct mutex commit_lock;	/* one batch at a time */
	struct mutex lock;		/* trees, arrays, counts, volumes */

	u8 uuid[HPM_UUID_SIZE];
	u32 seed;			/* of the checksums */
	unsigned int large_shift;
	u32 large_size;			/* small blocks in a large one */
	u64 journal_start, journal_blocks;

	u64 epoch;			/* the open one; sealed: smaller */
	u32 time;
	u64 transaction_id;
	u64 next_serial;
	u64 nr_volumes;
	u32 sb_flags;
	bool marked;			/* the data device has the mark */
	u64 generation;			/* of the newest superblock */
	u64 super_block;		/* its block */
	u64 meta_blocks;
	enum hpm_room room;		/* while it is opened */
	bool no_room;			/* the replay ran out of blocks */
	u64 beyond;			/* blocks in memory, behind the device */
	struct hpm_array array[HPM_NR_ARRAYS];
	/*
	 * Blocks of the counts in the open epoch.  hpm_credit_try() reads both
	 * without md->lock.
	 */
	u64 counts_left;		/* blocks that must be copied before use */
	u64 counts_made;		/* blocks that were made */
	struct hpm_array held;		/* root.height 0: none */
	bool has_held;
	bool letting_go;		/* a reclaim gives back what was held */
	bool snap_prepared;		/* the next serial is a snapshot's */
	u64 table_shared;		/* volume table blocks that it shares */
	u64 held_volumes;		/* upper bound of its volumes */
	u32 held_time;

	struct hpm_nodes nodes;
	struct hpm_refs refs;
	struct hpm_space space;
	struct hpm_journal journal;
	struct hpm_cost cost;		/* md->lock to change */

	struct hlist_head vols_by_serial[1 << HPM_VOL_HASH_BITS];
	struct hlist_head vols_by_id[1 << HPM_VOL_HASH_BITS];
	struct hpm_vol *spare_vol;	/* for the next snapshot */
	struct list_head dirty_vols;
	unsigned int nr_dirty_vols;
	struct list_head dying;
	unsigned long *dying_slots;	/* bitmap */
	u32 nr_dying, max_dying;

	struct kmem_cache *change_cache;
	char cache_name[24];
	bool stuck;			/* a record could not be applied */
	struct hpm_super *sb;		/* the newest durable one */
	struct hpm_super *next_sb;	/* checkpoint_lock: being made */
	enum hpm_mode mode;
	const char *why;
	u64 checkpoints;
	struct hpm_entry *scratch;	/* md->lock */
};

/*
 * Every message of the engine begins with the name of the pool's device, as the
 * targets' messages do.  make test-style checks that no file uses pr_err().
 */
#define hpm_say(print, md, fmt, ...) \
	print(HPM_SAYS "%s: " fmt "\n", (md)->name, ##__VA_ARGS__)
#define hpm_err(md, ...)	hpm_say(pr_err, md, __VA_ARGS__)
#define hpm_warn(md, ...)	hpm_say(pr_warn, md, __VA_ARGS__)
/* For errors that may occur very often. */
#define hpm_err_ratelimited(md, ...)	hpm_say(pr_err_ratelimited, md, __VA_ARGS__)

/* Parts of md->scratch, in entries. */
#define HPM_SCRATCH_APPLY	0u	/* 513: a record's entries for a map */
#define HPM_SCRATCH_WHOLE	520u	/* 513: the entries of a large block */
#define HPM_SCRATCH_MERGE	1040u	/* 849: a leaf and its new entries */
#define HPM_SCRATCH_GONE	1896u	/* 336: entries removed from a leaf */
#define HPM_SCRATCH_COUNT	2232u	/* 336: a leaf that is being counted */
#define HPM_SCRATCH_ENTRIES	2568u

/* The number of references to a block.  md->lock held. */
static inline u32 hpm_refs_count(const struct hpm_md *md, u64 block)
{
	const struct hpm_refs *r = &md->refs;

	return likely(block < r->nr_blocks) ? r->count[block] : 0;
}

/* Can @n be changed in place?  md->lock held. */
static inline bool hpm_node_owned(const struct hpm_md *md,
				  const struct hpm_node *n)
{
	return n->epoch == md->epoch && hpm_refs_count(md, n->block) == 1;
}

/* Any context: struct hpm_cost. */
static inline u32 hpm_record_blocks(const struct hpm_md *md)
{
	return READ_ONCE(md->cost.blocks);
}

static inline u32 hpm_record_counts(const struct hpm_md *md)
{
	u32 counts = READ_ONCE(md->cost.counts);

	if (unlikely(READ_ONCE(md->array[HPM_ARR_SMALL_HI].nodes)))
		counts += READ_ONCE(md->cost.high);
	return counts;
}

static inline u32 hpm_record_high(const struct hpm_md *md)
{
	return READ_ONCE(md->cost.high);
}

/*
 * Can one of @records records raise the count of a small block above
 * HPM_SMALL_COUNT?  A tree names a block at one place at most, so no count is
 * higher than the number of trees, and a record adds one tree at most.  The 1
 * is for a volume that is being deleted: it may be counted neither among the
 * volumes nor among the dying trees.  Any context.
 */
static inline bool hpm_counts_may_carry(const struct hpm_md *md, u64 records)
{
	return READ_ONCE(md->nr_volumes) + READ_ONCE(md->nr_dying) +
	       READ_ONCE(md->held_volumes) + records + 1 > HPM_SMALL_COUNT;
}

/* Does a reclaim have anything to give back? */
static inline bool hpm_is_dying(struct hpm_md *md)
{
	return READ_ONCE(md->nr_dying) || READ_ONCE(md->letting_go);
}

static inline void hpm_kick(struct hpm_md *md, enum hpm_kick what)
{
	if (md->ops && md->ops->kick)
		md->ops->kick(md->ctx, what);
}

#endif /* HPM_ENGINE_H */
