// SPDX-License-Identifier: GPL-2.0-only
/*
 * Serving a read from copies
 *
 * Bytes must not be visible to any reader before they are proved.  They are
 * copied directly only into a page that its reader has locked and that is
 * neither up to date nor mapped: no one reads its bytes until the read has
 * succeeded.  For all others the bytes are proved in a private block first:
 * direct I/O, whose owner can read the buffer at any time; less than a page;
 * buffers of file system metadata.
 */
#include <linux/bio.h>
#include <linux/highmem.h>

#include "enter.h"
#include "fault.h"
#include "index.h"
#include "page.h"
#include "proof.h"
#include "serve.h"

static void copy_out(struct bio *bio, struct bvec_iter iter, const u8 *from,
		     unsigned int bytes)
{
	struct bio_vec bv;

	while (bytes) {
		bv = bio_iter_iovec(bio, iter);
		bv.bv_len = min(bv.bv_len, bytes);
		memcpy_to_page(bv.bv_page, bv.bv_offset, from, bv.bv_len);
		bio_advance_iter(bio, &iter, bv.bv_len);
		from += bv.bv_len;
		bytes -= bv.bv_len;
	}
}

/* Copies directly into a page that only its reader has access to. */
static bool serve_straight(struct hpm_cache *cache, struct page *page, u64 pbn,
			   u64 *fp)
{
	void *to = kmap_local_page(page);
	bool hit;

	hit = hpm_take_block(cache, pbn, to, fp);
	kunmap_local(to);
	if (hit)
		flush_dcache_page(page);
	return hit;
}

/* Copies by way of this CPU's private block; hard interrupts serve no read. */
static bool serve_bounced(struct hpm_cache *cache, struct bio *bio,
			  struct bvec_iter iter, u64 pbn, unsigned int offset,
			  unsigned int bytes, u64 *fp)
{
	u8 *bounce;
	bool hit;

	local_bh_disable();
	bounce = this_cpu_ptr(cache->bounce);
	hit = hpm_take_block(cache, pbn, bounce, fp);
	if (hit)
		copy_out(bio, iter, bounce + offset, bytes);
	local_bh_enable();
	return hit;
}

/* Serves @bytes of one block; a hit advances @iter by that much. */
static bool serve_block(struct hpm_volume *v, struct bio *bio,
			struct bvec_iter *iter, u64 pbn, unsigned int offset,
			unsigned int bytes)
{
	struct hpm_cache *cache = v->pool->cache;
	struct bio_vec bv = bio_iter_iovec(bio, *iter);
	bool whole = bv.bv_len >= HPM_BLOCK_SIZE && bytes == HPM_BLOCK_SIZE;
	struct hpm_dest d;
	bool hit;
	int token;
	u64 fp;

	d.private = false;
	d.source = false;
	if (whole)
		hpm_look_at_page(v, bv.bv_page, &d);
	if (d.private || (whole && hpm_fault(HPM_FAULT_SHOW_EARLY)))
		hit = serve_straight(cache, bv.bv_page, pbn, &fp);
	else
		hit = serve_bounced(cache, bio, *iter, pbn, offset, bytes, &fp);
	if (!hit)
		return false;
	if (whole)
		bio_advance_iter_single(bio, iter, bytes);
	else
		bio_advance_iter(bio, iter, bytes);
	/* The page that was served is a copy itself. */
	if (d.source && hpm_begin_entering(v, &token)) {
		hpm_index_enter(cache, pbn, fp, &d.place);
		hpm_pool_token_put(v->pool, token);
	}
	return true;
}

unsigned int hpm_serve(struct hpm_volume *v, struct bio *bio,
		       struct bvec_iter iter, const struct hpm_piece *p)
{
	unsigned int offset = p->offset, done = 0, sectors;
	u64 pbn = p->pbn;

	while (done < p->sectors) {
		sectors = min(HPM_BLOCK_SECTORS - offset, p->sectors - done);
		if (!serve_block(v, bio, &iter, pbn, offset << SECTOR_SHIFT,
				 sectors << SECTOR_SHIFT))
			break;
		done += sectors;
		offset = 0;
		pbn++;
	}
	this_cpu_add(v->pool->cache->stats->bytes,
		     (u64)done << SECTOR_SHIFT);
	return done;
}
