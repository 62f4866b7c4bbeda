/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structures that the files of the cache share.
 *
 *	cache.c		the cache of a pool as a whole: birth, memory, messages
 *	copy.c		copies of blocks, in shards
 *	index.c		where blocks are cached: looking up, entering
 *	sweep.c		drops the copies of freed blocks, or all copies
 *	thin.c		chooses victims among the copies of a block
 *	page.c		which pages may be entered, or copied from
 *	heat.c		how hot a page is
 *	proof.c		copies a block and proves that the bytes are the block's
 *	intercept.c	what to do with a read of a shared block:
 *	serve.c		to serve it from copies
 *	lead.c		to read the device, while others may wait for this read
 *	enter.c		and to enter what was read
 *	follow.c	to wait for another bio's read
 *	surplus.c	victims that were taken when new copies came
 *	evict.c		the cache manager: its workers evict victims
 *	fingerprint.c, evict-policy.c	arithmetic of proof.c and evict.c
 */
#ifndef HPM_CACHE_PRIV_H
#define HPM_CACHE_PRIV_H

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
 * Where a copy is: a page frame, and whose page it was when the copy was
 * entered.  A place holds no reference, unless it is kept: the mapping may only
 * be compared, not dereferenced, and the frame may hold any other page by now.
 */
struct hpm_place {
	unsigned long pfn;
	struct address_space *mapping;
	u32 index;
	bool meta;		/* of the block device's own page cache */
	bool kept;		/* the pool's page: mapping NULL, index 0 */
};

struct hpm_copy;
struct hpm_look;
struct hpm_surplus;

struct hpm_shard {
	spinlock_t lock;		/* of all fields; irq-safe */
	struct hpm_copy **bucket;
	struct list_head lru[HPM_NR_HEATS];	/* dropped from the front */
	struct list_head kept;			/* likewise, after all others */
	unsigned int nr_kept;
	unsigned long nr;		/* of copies, kept ones included */
	unsigned long nr_blocks;	/* that have copies */
	struct hpm_copy *spare;		/* entries for the next copies */
	unsigned int nr_spare;
} ____cacheline_aligned_in_smp;

/* Counters for the status, per CPU; of blocks, unless said otherwise. */
struct hpm_cache_stats {
	u64 hits;
	u64 bytes;		/* that were served instead of read */
	u64 waited;		/* bios that waited for another's read */
	u64 miss_new;		/* no copy was known */
	u64 miss_stale;		/* the last copy's page is another by now, */
	u64 miss_busy;		/* or it is dirty, or being written, */
	u64 caught;		/* or it has other bytes */
	u64 entered;		/* copies */
	u64 no_memory;		/* copies not entered: no free entry */
	u64 changed;		/* other bytes than at an earlier read */
	u64 evicted;		/* copies */
};

/* Freed extents; one sweep drops the copies of all their blocks. */
#define HPM_MAX_FREED	2048

struct hpm_freed {
	unsigned int nr;
	struct hpm_extent ext[HPM_MAX_FREED];
};

struct hpm_cache {
	struct hpm_pool *pool;
	unsigned int bits;	/* a shard has 1 << bits buckets */
	unsigned int copies_limit;	/* of a block: as set */
	unsigned int limit_now;	/* as the available memory permits */
	unsigned int scan_ms;	/* period of scans */
	unsigned long max_nr;	/* the most copies in a shard */
	unsigned int era;	/* counts: see hpm_end_era() */
	unsigned int next_shrunk;	/* shard; a hint */
	struct mutex forget_lock;
	unsigned int forgotten;	/* odd in hpm_index_forget(); forget_lock */
	struct hpm_shard shard[HPM_CACHE_SHARDS];
	struct hpm_freed *freed;	/* used by the drain only, one work */
	struct hpm_cache_stats __percpu *stats;
	u8 __percpu *bounce;	/* a block each; used with softirqs disabled */

	/* lead.c: reads that others may wait for */
	spinlock_t lead_lock;	/* irq-safe */
	struct rb_root leads;	/* lead_lock; by PBN, none overlap */
	struct delayed_work late_work;

	/* evict.c, surplus.c */
	struct workqueue_struct *wq;
	struct delayed_work scan_work;
	struct delayed_work surplus_work;
	struct mutex evict_lock;	/* one of the two works at a time */
	struct hpm_look *look;		/* evict_lock */
	struct hpm_surplus __percpu *surplus;
	atomic_t nr_over;	/* sum of the CPUs' nr_over */
	atomic_long_t nr_left;	/* likewise, and what the last scan spared */
	unsigned long pace;	/* jiffies until a scan that is due soon */
	bool scan_soon;		/* a scan is due soon */
	bool shrunk;		/* the kernel asked for memory */
	u64 scans;		/* evict_lock */
	unsigned int nr_barred;	/* volumes; pool->lock */

	/* Memory that is going offline: read by hpm_frame_barred() */
	struct list_head list;		/* shares_lock, as the next two */
	unsigned long barred_pfn;
	unsigned long barred_nr;

	struct hpm_shrinker shrinker;

	/* Secret, and so are fingerprints, which reveal it: fingerprint.h */
	struct hpm_fp_key key;
	enum hpm_simd simd;	/* selects the fingerprint function */
};

/* The result of trying a copy; of a block, that of the last copy. */
enum hpm_miss {
	HPM_HIT,
	HPM_MISS_NEW,		/* no copy is known */
	HPM_MISS_STALE,		/* the frame holds another page by now */
	HPM_MISS_BUSY,		/* cannot be used now */
	HPM_MISS_CAUGHT,	/* the bytes are not the block's */
};

#endif /* HPM_CACHE_PRIV_H */
