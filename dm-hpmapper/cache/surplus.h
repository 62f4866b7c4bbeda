/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Surplus: what was taken out as others came, and when a scan is due.
 */
#ifndef HPM_SURPLUS_H
#define HPM_SURPLUS_H

#include "share.h"

#define HPM_MAX_VICTIMS	2048

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

/* Sleep. */
int hpm_surplus_init(struct hpm_share *cache);
void hpm_surplus_exit(struct hpm_share *cache);
/* What waits on a CPU; @v is empty. */
void hpm_take_surplus(struct hpm_surplus *s, struct hpm_victims *v);
/* A look begins: what came before the last one is young no more. */
void hpm_end_era(struct hpm_share *cache);
/* So many copies are left that a scan has more to do than is good. */
bool hpm_much_left(struct hpm_share *cache);

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

#endif /* HPM_SURPLUS_H */
