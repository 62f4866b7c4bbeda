/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the cache have to do with each other.
 *
 *	cache.c		the cache of a pool as a whole: birth, memory, messages
 *	copy.c		copies of blocks, in shards
 *	index.c		where blocks are cached: looking up, entering
 *	sweep.c		dropping the copies of freed blocks, or all
 *	thin.c		of a block that has too many copies, which go
 *	page.c		what is in a page, and what may be done with it
 *	heat.c		how hot one is
 *	proof.c		that a copy is the block's
 *	intercept.c	a read of a shared block: what becomes of it
 *	serve.c		it is served from copies
 *	lead.c		it is read, and others may wait for it
 *	enter.c		what has been read is entered
 *	follow.c	it waits for another's read
 *	surplus.c	what was taken out as others came
 *	evict.c		the cache manager: a worker that thins and evicts
 *	fingerprint.c, evict-policy.c	their arithmetic
 */
#ifndef HPM_SHARE_H
#define HPM_SHARE_H

#include <linux/memory.h>
#include <linux/percpu.h>
#include <linux/rbtree.h>

#include "cache.h"
#include "evict-policy.h"
#include "fingerprint.h"
#include "simd.h"
#include "volume.h"

#define HPM_CACHE_SHARDS	64

/*
 * Where a copy is: a page frame, and what it was when the copy was entered.
 * Nothing is held by it: the mapping is a number to compare with, and whoever
 * follows the frame's number finds whatever is there by now.
 */
struct hpm_place {
	unsigned long pfn;
	struct address_space *mapping;
	u32 index;
	bool meta;		/* of the block device's own page cache */
	bool kept;		/* a page of ours: no mapping, no index */
};

struct hpm_copy;
struct hpm_look;
struct hpm_surplus;

struct hpm_shard {
	spinlock_t lock;		/* all that follows */
	struct hpm_copy **bucket;
	struct list_head lru[HPM_NR_HEATS];	/* next to go first */
	struct list_head kept;			/* likewise; they go last */
	unsigned int nr_kept;
	unsigned long nr;
	unsigned long nr_blocks;	/* different ones */
	struct hpm_copy *spare;		/* entries for the next that come */
	unsigned int nr_spare;
} ____cacheline_aligned_in_smp;

/* Reads of blocks, for the status.  Per CPU; in blocks if not said. */
struct hpm_share_stats {
	u64 hits;
	u64 bytes;		/* that were not read */
	u64 waited;		/* bios that waited for another's read */
	u64 miss_new;		/* no copy was known */
	u64 miss_stale;		/* copies were known: the page is another by now */
	u64 miss_busy;		/* or is dirty, or being written */
	u64 caught;		/* or has other bytes */
	u64 entered;
	u64 no_memory;		/* to enter a copy */
	u64 changed;		/* a block was read twice, and was not the same */
	u64 evicted;
};

/* Extents that have been freed: a sweep drops the copies of all their blocks. */
#define HPM_MAX_FREED	2048

struct hpm_freed {
	unsigned int nr;
	struct hpm_extent ext[HPM_MAX_FREED];
};

struct hpm_share {
	struct hpm_pool *pool;
	unsigned int bits;	/* of buckets in a shard */
	unsigned int copies_limit;
	unsigned int limit_now;	/* with regard to memory */
	unsigned int scan_ms;
	unsigned long max_nr;	/* copies in a shard */
	unsigned int era;
	unsigned int next_shrunk;	/* shard; a hint */
	struct mutex forget_lock;
	unsigned int forgotten;	/* odd: everything is about to be */
	struct hpm_shard shard[HPM_CACHE_SHARDS];
	struct hpm_freed *freed;	/* the drain's: it is one work */
	struct hpm_share_stats __percpu *stats;
	u8 __percpu *bounce;	/* a block each */

	/* lead.c: reads that others may wait for */
	spinlock_t lead_lock;
	struct rb_root leads;	/* lead_lock; by PBN, none overlap */
	struct delayed_work late_work;

	/* evict.c, surplus.c */
	struct workqueue_struct *wq;
	struct delayed_work scan_work;
	struct delayed_work surplus_work;
	struct mutex evict_lock;	/* one of the two at a time */
	struct hpm_look *look;		/* evict_lock */
	struct hpm_surplus __percpu *surplus;
	atomic_t nr_over;	/* all CPUs' together, as the next */
	atomic_long_t nr_left;
	unsigned long pace;	/* jiffies until a scan that is due soon */
	bool scan_soon;		/* one is */
	bool shrunk;		/* the kernel asked for memory */
	u64 scans;		/* evict_lock */
	unsigned int nr_barred;	/* volumes that are no source any more */

	/* Memory that is going offline: read by hpm_frame_barred() */
	struct list_head list;		/* of all pools' (cache.c) */
	unsigned long barred_pfn;
	unsigned long barred_nr;

	struct hpm_shrinker shrinker;

	/* Secret, and no fingerprint may be shown: see fingerprint.c */
	struct hpm_fp_key key;
	enum hpm_simd simd;	/* which of its functions */
};

/* Why a copy, or the block, was not served. */
enum hpm_miss {
	HPM_HIT,
	HPM_MISS_NEW,
	HPM_MISS_STALE,
	HPM_MISS_BUSY,
	HPM_MISS_CAUGHT,
};

#endif /* HPM_SHARE_H */
