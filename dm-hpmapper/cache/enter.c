// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entering blocks that were read as copies
 */
#include <linux/bio.h>
#include <linux/highmem.h>

#include "enter.h"
#include "index.h"
#include "lead.h"
#include "page.h"
#include "pause.h"
#include "proof.h"

/*
 * If sharing is switched off after this test, hpm_index_forget() waits for the
 * token before it drops the copies.
 */
bool hpm_begin_entering(struct hpm_volume *v, int *token)
{
	*token = hpm_pool_token_get(v->pool);
	if (likely(hpm_cache_shares(v)))
		return true;
	hpm_pool_token_put(v->pool, *token);
	return false;
}

/*
 * Keeps a copy of a block in a file system's own buffer, whose page belongs to
 * no file and so cannot be entered.
 */
static void keep_buffer(struct hpm_cache *cache, const struct bio *bio,
			struct page *page, u64 pbn)
{
	void *bytes = kmap_local_page(page);
	u64 fp;

	if (hpm_is_buffer_memory(bio, page_folio(page)) &&
	    hpm_block_fingerprint(cache, bytes, &fp))
		hpm_index_keep(cache, pbn, fp, bytes);
	kunmap_local(bytes);
}

static void enter_page(struct hpm_volume *v, struct page *page, u64 pbn,
		       bool keep)
{
	struct hpm_cache *cache = v->pool->cache;
	struct hpm_dest d;
	void *bytes;
	bool proved;
	u64 fp;

	hpm_look_at_page(v, page, &d);
	if (!d.source)
		return;
	bytes = kmap_local_page(page);
	proved = hpm_block_fingerprint(cache, bytes, &fp);
	hpm_pause(HPM_POINT_ENTER);
	/* Another opener of the device may have changed the page by now. */
	if (d.place.meta)
		hpm_look_at_page(v, page, &d);
	if (proved && d.source) {
		hpm_index_enter(cache, pbn, fp, &d.place);
		if (keep)
			hpm_index_keep(cache, pbn, fp, bytes);
	}
	kunmap_local(bytes);
}

static void enter_block(struct hpm_lead *lead, struct page *page, u64 pbn)
{
	struct hpm_volume *v = lead->hb->v;

	if (lead->keep_all)
		keep_buffer(v->pool->cache, lead->bio, page, pbn);
	else
		enter_page(v, page, pbn, lead->keep && pbn == lead->pbn);
}

void hpm_enter_read(struct hpm_lead *lead)
{
	unsigned int done = 0;
	struct bvec_iter iter;
	struct bio_vec bv;
	int token;

	if (!hpm_begin_entering(lead->hb->v, &token))
		return;
	__bio_for_each_segment(bv, lead->bio, iter, lead->iter) {
		if (bv.bv_len == HPM_BLOCK_SIZE && done % HPM_BLOCK_SIZE == 0)
			enter_block(lead, bv.bv_page,
				    lead->pbn + done / HPM_BLOCK_SIZE);
		done += bv.bv_len;
	}
	hpm_pool_token_put(lead->hb->v->pool, token);
}
