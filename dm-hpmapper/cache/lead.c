// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaders: reads that others may wait for, and that are entered when they end
 */
#include <linux/bio.h>
#include <linux/pagemap.h>

#include "enter.h"
#include "lead.h"
#include "page.h"

static struct kmem_cache *lead_slab;

/* The most blocks whose fingerprints are computed in an interrupt. */
#define HASH_IN_IRQ	8

struct hpm_lead *__hpm_next_lead(struct hpm_cache *cache, u64 pbn)
{
	struct rb_node *node = cache->leads.rb_node;
	struct hpm_lead *lead, *found = NULL;

	while (node) {
		lead = rb_entry(node, struct hpm_lead, node);
		if (pbn < lead->pbn + lead->nr) {
			found = lead;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

struct hpm_lead *__hpm_covering_lead(struct hpm_cache *cache, u64 pbn)
{
	struct hpm_lead *lead = __hpm_next_lead(cache, pbn);

	return lead && lead->pbn <= pbn ? lead : NULL;
}

void __hpm_list_lead(struct hpm_cache *cache, struct hpm_lead *new)
{
	struct rb_node **link = &cache->leads.rb_node, *parent = NULL;
	struct hpm_lead *lead;

	while (*link) {
		parent = *link;
		lead = rb_entry(parent, struct hpm_lead, node);
		link = new->pbn < lead->pbn ? &parent->rb_left :
					      &parent->rb_right;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &cache->leads);
	new->listed = true;
}

void __hpm_unlist_lead(struct hpm_cache *cache, struct hpm_lead *lead,
		       struct list_head *followers)
{
	if (lead->listed)
		rb_erase(&lead->node, &cache->leads);
	lead->listed = false;
	list_splice_tail_init(&lead->followers, followers);
}

struct hpm_lead *hpm_make_lead(struct hpm_bio *hb, struct bio *bio,
			       const struct hpm_piece *p, bool keep)
{
	struct page *page = bio_page(bio);
	struct hpm_lead *lead;
	struct hpm_dest d;
	bool keep_all;

	hpm_look_at_page(hb->v, page, &d);
	keep_all = !d.source && hpm_is_buffer_memory(bio, page_folio(page));
	if (!d.source && !keep_all)
		return NULL;
	lead = kmem_cache_alloc(lead_slab, GFP_NOWAIT | __GFP_NOWARN);
	if (!lead)
		return NULL;
	INIT_LIST_HEAD(&lead->followers);
	lead->nr_followers = 0;
	lead->listed = false;
	lead->keep = keep;
	lead->keep_all = keep_all;
	lead->pbn = p->pbn;
	lead->nr = p->sectors / HPM_BLOCK_SECTORS;
	lead->since = jiffies;
	lead->hb = hb;
	lead->bio = bio;
	lead->iter = bio->bi_iter;
	lead->iter.bi_size = p->sectors << SECTOR_SHIFT;
	return lead;
}

void hpm_lead_free(struct hpm_lead *lead)
{
	kmem_cache_free(lead_slab, lead);
}

static void end_lead(struct hpm_lead *lead)
{
	struct hpm_cache *cache = lead->hb->v->pool->cache;
	unsigned long flags;
	LIST_HEAD(followers);

	spin_lock_irqsave(&cache->lead_lock, flags);
	__hpm_unlist_lead(cache, lead, &followers);
	spin_unlock_irqrestore(&cache->lead_lock, flags);
	lead->hb->lead = NULL;
	hpm_lead_free(lead);
	hpm_bio_queue_all(&followers);
}

static void lead_work(struct work_struct *work)
{
	struct hpm_lead *lead = container_of(work, struct hpm_lead, work);
	struct bio *bio = lead->bio;

	hpm_enter_read(lead);
	end_lead(lead);
	bio_endio(bio);
}

/*
 * Must a worker enter the blocks?  Yes if there are many and this is an
 * interrupt, or if the fingerprint needs vector registers, which cannot be used
 * here.
 */
static bool is_for_worker(const struct hpm_lead *lead)
{
	if (lead->hb->v->pool->cache->simd != HPM_SIMD_NONE &&
	    !hpm_simd_usable())
		return true;
	return lead->nr > HASH_IN_IRQ && (in_interrupt() || irqs_disabled());
}

bool hpm_intercept_end(struct hpm_bio *hb, struct bio *bio,
		       blk_status_t status)
{
	struct hpm_lead *lead = hb->lead;

	if (!status) {
		if (is_for_worker(lead)) {
			INIT_WORK(&lead->work, lead_work);
			queue_work(hb->v->pool->end_wq, &lead->work);
			return true;
		}
		hpm_enter_read(lead);
	}
	end_lead(lead);
	return false;
}

int hpm_lead_slab_init(void)
{
	lead_slab = KMEM_CACHE(hpm_lead, 0);
	return lead_slab ? 0 : -ENOMEM;
}

void hpm_lead_slab_exit(void)
{
	kmem_cache_destroy(lead_slab);
}
