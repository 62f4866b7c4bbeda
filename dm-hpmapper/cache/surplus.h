/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Surplus: victims taken when new copies came, and when a scan is due.
 */
#ifndef HPM_SURPLUS_H
#define HPM_SURPLUS_H

#include "cache-priv.h"

#define HPM_MAX_VICTIMS	2048

/* A copy that was taken out of the index to be evicted. */
struct hpm_victim {
	u64 pbn;
	u64 fp;
	struct hpm_place place;
};

struct hpm_victims {
	unsigned int nr;
	unsigned int forgotten;	/* cache->forgotten before any was taken */
	struct hpm_victim victim[HPM_MAX_VICTIMS];
};

/*
 * The surplus of one CPU: victims that wait for a worker.  The lock nests
 * inside shard->lock, so it is taken with interrupts disabled.
 */
#define HPM_MAX_SURPLUS	512
static_assert(HPM_MAX_SURPLUS <= HPM_MAX_VICTIMS);

struct hpm_surplus {
	spinlock_t lock;	/* of all fields */
	unsigned int nr;
	unsigned int nr_over;	/* new copies of blocks that had enough, */
	unsigned int nr_left;	/* and still had too many afterwards */
	struct hpm_victim victim[HPM_MAX_SURPLUS];
};

/* Sleep. */
int hpm_surplus_init(struct hpm_cache *cache);
void hpm_surplus_exit(struct hpm_cache *cache);
/* Moves the victims that wait on a CPU to @v, which is empty. */
void hpm_take_surplus(struct hpm_surplus *s, struct hpm_victims *v);
/* Ends an era: copies that were entered before it are no longer young. */
void hpm_end_era(struct hpm_cache *cache);
/* Do so many blocks have too many copies that a scan is due soon? */
bool hpm_much_left(struct hpm_cache *cache);

/*
 * Counts a new copy of a block that had enough of them.  @taken: a victim was
 * added to @s; @left: the block still has too many copies.  @s is this CPU's,
 * and its lock is held.  Returns the news that the caller must pass to
 * hpm_evict_tell(), in any context, when it holds no lock.
 */
enum hpm_evict_news {
	HPM_NEWS_FIRST	= 1,	/* the first victim waits */
	HPM_NEWS_ENOUGH	= 2,	/* enough victims wait */
	HPM_NEWS_LEFT	= 4,	/* hpm_much_left() */
};

unsigned int __hpm_evict_count(struct hpm_cache *cache, struct hpm_surplus *s,
			       bool taken, bool left);
void __hpm_evict_tell(struct hpm_cache *cache, unsigned int news);

static inline void hpm_evict_tell(struct hpm_cache *cache, unsigned int news)
{
	if (unlikely(news))
		__hpm_evict_tell(cache, news);
}

/* Discards the victims that wait; their pages stay.  Not in an interrupt. */
void hpm_evict_forget(struct hpm_cache *cache);

/* Starts a scan now.  Any context. */
void hpm_evict_kick(struct hpm_cache *cache);
/* Starts a scan soon, but so that scans take a limited share of the time. */
void hpm_evict_soon(struct hpm_cache *cache);

#endif /* HPM_SURPLUS_H */
