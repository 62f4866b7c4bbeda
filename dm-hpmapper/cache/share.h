/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the cache have to do with each other.
 *
 *	cache.c		the cache of a pool as a whole: birth, memory, messages
 *	index.c		where blocks are cached: by block, and by heat
 *	intercept.c	reads: served from a copy, waiting for another's read,
 *			entered when they are done
 *	evict.c		the cache manager: how hot the copies are, which go
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

/*
 * A copy of a block.  The copies of one block are neighbours in their bucket's
 * chain, the latest first: it is the head, the others are its tail.
 */
struct hpm_copy {
	union {
		struct {
			u64 pbn:HPM_PBN_BITS;
			u64 pfn_high:8;
			u64 era:14;	/* of the cache, when it was entered */
			u64 heat:2;
			u64 meta:1;
			u64 kept:1;	/* the entry has a reference to the page */
		};
		u64 word;
	};
	u64 fp;
	struct hpm_copy *next;
	struct list_head lru;	/* of its heat */
	struct address_space *mapping;
	u32 pfn_low;
	u32 index;
};

#define HPM_ERA_MASK	((1u << 14) - 1)
/* A copy is young until so many looks have begun after it was entered. */
#define HPM_YOUTH	2

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

	/* intercept.c: reads that others may wait for */
	spinlock_t lead_lock;
	struct rb_root leads;	/* lead_lock; by PBN, none overlap */
	struct delayed_work late_work;

	/* evict.c */
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

/*----------------------------------------------------------------
 * index.c.  Any context.
 *--------------------------------------------------------------*/

/*
 * The latest copy of a block, or the one behind @skip later ones; false: there is
 * none.  If it is kept, which only the first one is, the caller has to put the
 * page.
 */
bool hpm_index_find(struct hpm_share *cache, u64 pbn, unsigned int skip,
		    struct hpm_place *place, u64 *fp);
bool hpm_index_has(struct hpm_share *cache, u64 pbn);
/* A copy of the block is there now.  The caller holds a token. */
void hpm_index_enter(struct hpm_share *cache, u64 pbn, u64 fp,
		     const struct hpm_place *place);
/* Keeps a copy of the bytes, unless there is one or no memory for it. */
void hpm_index_keep(struct hpm_share *cache, u64 pbn, u64 fp,
		    const void *bytes);
void hpm_index_remove(struct hpm_share *cache, u64 pbn,
		      const struct hpm_place *place);

/*
 * The cache manager looks at copies: those that are none any more are dropped,
 * the others filed by their heat, and of a block that has too many those that
 * are to go become victims.  They are known no more from then on.
 */
#define HPM_MAX_VICTIMS	2048
#define HPM_LOOK_COPIES	512	/* of a block are looked at, at most */

struct hpm_victim {
	u64 pbn;
	u64 fp;
	struct hpm_place place;
};

struct hpm_victims {
	unsigned int nr;
	unsigned int forgotten;	/* the cache's, before the first was taken */
	struct hpm_victim victim[HPM_MAX_VICTIMS];
};

/*
 * What was taken out as others came, on one CPU: victims wait here for a worker.
 * Its lock is taken with that of a shard held, and so with interrupts off.
 */
#define HPM_MAX_SURPLUS	512
static_assert(HPM_MAX_SURPLUS <= HPM_MAX_VICTIMS);

struct hpm_surplus {
	spinlock_t lock;	/* all that follows */
	unsigned int nr;
	unsigned int nr_over;	/* copies came to blocks that had enough */
	unsigned int nr_left;	/* and there were too many still */
	struct hpm_victim victim[HPM_MAX_SURPLUS];
};

struct hpm_look {
	bool hurry;		/* young ones go, too */
	unsigned int limit;	/* so many copies may stay */
	unsigned int nr_young;	/* of the block that is looked at */
	unsigned long nr_spared;	/* too many, but young */
	struct hpm_victims victims;
	u8 heat[HPM_LOOK_COPIES];
	unsigned int chosen[HPM_LOOK_COPIES];
};

/* There may be no room for the victims of one more block. */
static inline bool hpm_look_full(const struct hpm_look *look)
{
	return look->victims.nr > HPM_MAX_VICTIMS - HPM_LOOK_COPIES;
}

/*
 * At the blocks in a bucket, at as many as fit.  @look is not full, and the caller
 * holds a token.
 */
void hpm_index_thin_bucket(struct hpm_share *cache, unsigned int shard,
			   unsigned long bucket, struct hpm_look *look);
/* It is there still.  The caller holds a token. */
void hpm_index_put_back(struct hpm_share *cache, const struct hpm_victim *v);
unsigned long hpm_index_nr(struct hpm_share *cache);
unsigned long hpm_index_nr_blocks(struct hpm_share *cache);

/* Drops all copies; those in a range of page frames.  Sleep. */
void hpm_index_sweep(struct hpm_share *cache);
void hpm_index_sweep_frames(struct hpm_share *cache, unsigned long pfn,
			    unsigned long nr);
/* Drops about @nr copies, the coldest; never waits.  Returns how many. */
unsigned long hpm_index_shrink(struct hpm_share *cache, unsigned long nr);

/* From now on at most @nr copies are known.  Sleeps. */
void hpm_index_limit(struct hpm_share *cache, unsigned long nr);

/* Sleep. */
int hpm_index_create(struct hpm_share *cache);
void hpm_index_destroy(struct hpm_share *cache);
int hpm_index_slab_init(void);
void hpm_index_slab_exit(void);

/*----------------------------------------------------------------
 * evict.c
 *--------------------------------------------------------------*/

int hpm_evict_init(struct hpm_share *cache);
void hpm_evict_exit(struct hpm_share *cache);
/*
 * How hot the page in the frame is (enum hpm_heat), or that it is another one by
 * now.  Any context; a token is held since before the copy was found.
 */
#define HPM_HEAT_GONE	HPM_NR_HEATS
u8 hpm_frame_heat(unsigned long pfn, struct address_space *mapping, u32 index);
/*
 * A copy came to a block that had enough of them; there are too many still if
 * @left.  Under @s->lock, and @s is this CPU's.  Returns what hpm_evict_tell()
 * has to know once no lock is held; that in any context.
 */
enum hpm_evict_news {
	HPM_NEWS_FIRST	= 1,	/* a victim waits */
	HPM_NEWS_ENOUGH	= 2,	/* many do */
	HPM_NEWS_LEFT	= 4,	/* a scan has more to do than is good */
};

unsigned int __hpm_evict_count(struct hpm_share *cache, struct hpm_surplus *s,
			       bool taken, bool left);
void __hpm_evict_tell(struct hpm_share *cache, unsigned int news);

static inline void hpm_evict_tell(struct hpm_share *cache, unsigned int news)
{
	if (unlikely(news))
		__hpm_evict_tell(cache, news);
}

/* What was taken out and waits is let go. */
void hpm_evict_forget(struct hpm_share *cache);

/* A scan now; a scan as soon as may be without being at it all the time. */
void hpm_evict_kick(struct hpm_share *cache);
void hpm_evict_soon(struct hpm_share *cache);

#endif /* HPM_SHARE_H */
