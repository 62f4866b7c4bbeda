// SPDX-License-Identifier: GPL-2.0-only
/*
 * Surplus: victims taken when new copies came, and when a scan is due
 */
#include "copy.h"
#include "surplus.h"

/*
 * The number of a CPU's victims at which a worker evicts them at once, and the
 * time after which it evicts fewer.
 */
#define ENOUGH_SURPLUS	(HPM_MAX_SURPLUS / 2)
#define SURPLUS_WAITS	(HZ / 10)
/* An era ends after this many new copies of blocks that had enough of them. */
#define ERA_OVER	2048
/* A CPU adds to the cache's counters after this many such copies. */
#define OVER_AT_ONCE	128
/* A scan is due soon if a quarter of the copies may be surplus. */
#define LEFT_IS_MUCH(nr)	max_t(unsigned long, (nr) / 4, 4096)

bool hpm_much_left(struct hpm_cache *cache)
{
	return atomic_long_read(&cache->nr_left) >=
	       LEFT_IS_MUCH(hpm_index_nr(cache));
}

void hpm_end_era(struct hpm_cache *cache)
{
	WRITE_ONCE(cache->era, READ_ONCE(cache->era) + 1);
}

void hpm_take_surplus(struct hpm_surplus *s, struct hpm_victims *v)
{
	spin_lock_irq(&s->lock);
	v->nr = s->nr;
	memcpy(v->victim, s->victim, s->nr * sizeof(s->victim[0]));
	s->nr = 0;
	spin_unlock_irq(&s->lock);
}

/* Adds a CPU's counts to the cache's.  Returns true if a scan is due soon. */
static bool __count_all_over(struct hpm_cache *cache, struct hpm_surplus *s)
{
	atomic_long_add(s->nr_left, &cache->nr_left);
	s->nr_left = 0;
	s->nr_over = 0;
	if (atomic_add_return(OVER_AT_ONCE, &cache->nr_over) % ERA_OVER)
		return false;
	hpm_end_era(cache);
	return hpm_much_left(cache);
}

unsigned int __hpm_evict_count(struct hpm_cache *cache, struct hpm_surplus *s,
			       bool taken, bool left)
{
	unsigned int news = 0;

	if (taken && s->nr == 1)
		news |= HPM_NEWS_FIRST;
	if (taken && s->nr == ENOUGH_SURPLUS)
		news |= HPM_NEWS_ENOUGH;
	s->nr_left += left;
	if (++s->nr_over == OVER_AT_ONCE && __count_all_over(cache, s))
		news |= HPM_NEWS_LEFT;
	return news;
}

void __hpm_evict_tell(struct hpm_cache *cache, unsigned int news)
{
	if (news & HPM_NEWS_FIRST)
		queue_delayed_work(cache->wq, &cache->surplus_work,
				   SURPLUS_WAITS);
	if (news & HPM_NEWS_ENOUGH)
		mod_delayed_work(cache->wq, &cache->surplus_work, 0);
	if (news & HPM_NEWS_LEFT)
		hpm_evict_soon(cache);
}

void hpm_evict_forget(struct hpm_cache *cache)
{
	struct hpm_surplus *s;
	int cpu;

	for_each_possible_cpu(cpu) {
		s = per_cpu_ptr(cache->surplus, cpu);
		spin_lock_irq(&s->lock);
		s->nr = 0;
		spin_unlock_irq(&s->lock);
	}
}

/*
 * The scan begins after cache->pace, or at the time for which it is queued, if
 * that is earlier.  A scan that is running reads scan_soon when it queues the
 * next one.
 */
void hpm_evict_soon(struct hpm_cache *cache)
{
	unsigned long pace = READ_ONCE(cache->pace);

	if (!xchg(&cache->scan_soon, true) &&
	    time_before(jiffies + pace,
			READ_ONCE(cache->scan_work.timer.expires)))
		mod_delayed_work(cache->wq, &cache->scan_work, pace);
}

void hpm_evict_kick(struct hpm_cache *cache)
{
	WRITE_ONCE(cache->scan_soon, true);
	mod_delayed_work(cache->wq, &cache->scan_work, 0);
}

int hpm_surplus_init(struct hpm_cache *cache)
{
	int cpu;

	cache->surplus = alloc_percpu(struct hpm_surplus);
	if (!cache->surplus)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		spin_lock_init(&per_cpu_ptr(cache->surplus, cpu)->lock);
	return 0;
}

void hpm_surplus_exit(struct hpm_cache *cache)
{
	free_percpu(cache->surplus);
}
