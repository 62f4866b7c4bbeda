// SPDX-License-Identifier: GPL-2.0-only
/*
 * Thinning: choosing victims among the copies of a block that has too many
 */
#include "copy.h"
#include "thin.h"

/* Moves the copy to the list of its heat.  shard->lock held. */
static void __set_heat(struct hpm_shard *shard, struct hpm_copy *c, u8 heat)
{
	if (c->heat == heat)
		return;
	c->heat = heat;
	list_move_tail(&c->lru, &shard->lru[heat]);
}

/*
 * Stores the heat of a block's copies in look->heat, where a young copy counts
 * as pinned unless @look is in a hurry.  Drops entries whose frame holds
 * another page.  Returns how many copies are left that are not kept,
 * HPM_LOOK_COPIES at the most.
 */
static unsigned int __judge(struct hpm_cache *cache, struct hpm_shard *shard,
			    struct hpm_copy **block, u64 pbn,
			    struct hpm_look *look)
{
	struct hpm_copy *c, **link = hpm_behind_kept(block);
	unsigned int nr = 0;
	u8 heat;

	look->nr_young = 0;
	while (hpm_is_of(c = *link, pbn) && nr < HPM_LOOK_COPIES) {
		heat = HPM_HEAT_PINNED;
		if (!look->hurry && hpm_is_young(cache, c)) {
			look->nr_young++;
		} else {
			heat = hpm_heat_of(c);
			if (heat == HPM_HEAT_GONE) {
				__hpm_drop_copy(shard, block, link);
				continue;
			}
			__set_heat(shard, c, heat);
		}
		look->heat[nr++] = heat;
		link = &c->next;
	}
	return nr;
}

/* Makes victims of the copies whose look->heat is HPM_HEAT_GONE. */
static void __take_chosen(struct hpm_shard *shard, struct hpm_copy **block,
			  unsigned int nr, struct hpm_look *look)
{
	struct hpm_copy **link = hpm_behind_kept(block);
	struct hpm_victims *to = &look->victims;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (look->heat[i] == HPM_HEAT_GONE)
			__hpm_make_victim(shard, block, link,
					  &to->victim[to->nr++]);
		else
			link = &(*link)->next;
	}
}

static void __thin_block(struct hpm_cache *cache, struct hpm_shard *shard,
			 struct hpm_copy **block, struct hpm_look *look)
{
	unsigned int nr, chosen, i;

	nr = __judge(cache, shard, block, (*block)->pbn, look);
	if (nr <= look->limit)
		return;
	chosen = hpm_evict_select(look->heat, nr, look->limit, look->chosen);
	for (i = 0; i < chosen; i++)
		look->heat[look->chosen[i]] = HPM_HEAT_GONE;
	__take_chosen(shard, block, nr, look);
	nr -= chosen;
	if (nr > look->limit)
		look->nr_spared += min(look->nr_young, nr - look->limit);
}

void hpm_index_thin_bucket(struct hpm_cache *cache, unsigned int nr_shard,
			   unsigned long bucket, struct hpm_look *look)
{
	struct hpm_shard *shard = &cache->shard[nr_shard];
	struct hpm_copy **link = &shard->bucket[bucket];
	unsigned long flags;
	u64 pbn;

	if (!READ_ONCE(*link))
		return;
	spin_lock_irqsave(&shard->lock, flags);
	while (*link && !hpm_look_full(look)) {
		pbn = (*link)->pbn;
		__thin_block(cache, shard, link, look);
		while (hpm_is_of(*link, pbn))
			link = &(*link)->next;
	}
	spin_unlock_irqrestore(&shard->lock, flags);
}
