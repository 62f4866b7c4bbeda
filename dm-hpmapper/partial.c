// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes of less than a block to a block that may not be overwritten: the old
 * content, or zeroes, is read into a page, what the bio has is put over it,
 * and the page is written to a new block.
 *
 * The range is locked before anything is read.  Of two such writes to one
 * block the second then finds what the first has published, and both are in
 * it; without the lock both would start from the old content and one would be
 * lost.  For the same reason the map is looked up once more under the lock.
 *
 * The token is held from the look-up to the publication: the block that is
 * read cannot be given to anybody else in between.
 *
 * A page comes from a mempool of the volume's own and goes back when its write
 * has ended, for which no worker is needed.
 */
#include "volume.h"

struct hpm_merge {
	struct hpm_op op;
	struct hpm_bio *hb;
	struct hpm_volume *v;
	struct page *page;
	struct bio bio;
	struct bio_vec vec;
};

static void *merge_alloc(gfp_t gfp, void *data)
{
	struct hpm_merge *m = kmalloc(sizeof(*m), gfp);

	if (!m)
		return NULL;
	m->page = alloc_page(gfp);
	if (!m->page) {
		kfree(m);
		return NULL;
	}
	return m;
}

static void merge_free(void *element, void *data)
{
	struct hpm_merge *m = element;

	__free_page(m->page);
	kfree(m);
}

int hpm_merge_init(struct hpm_volume *v)
{
	return mempool_init(&v->merges, 1, merge_alloc, merge_free, NULL);
}

void hpm_merge_exit(struct hpm_volume *v)
{
	mempool_exit(&v->merges);
}

struct hpm_merge *hpm_merge_get(struct hpm_volume *v)
{
	return mempool_alloc(&v->merges, GFP_NOIO);
}

void hpm_merge_put(struct hpm_volume *v, struct hpm_merge *m)
{
	mempool_free(m, &v->merges);
}

/* A bio of one block that the bio's owner pays for. */
static void merge_bio_init(struct hpm_merge *m, blk_opf_t opf, u64 pbn)
{
	struct bio *bio = &m->bio;

	bio_init(bio, m->v->pool->data_bdev, &m->vec, 1, opf);
	bio_clone_blkg_association(bio, m->hb->bio);
	bio->bi_ioprio = m->hb->bio->bi_ioprio;
	bio->bi_iter.bi_sector = pbn * HPM_BLOCK_SECTORS;
	__bio_add_page(bio, m->page, HPM_BLOCK_SIZE, 0);
}

static int read_old(struct hpm_merge *m, const struct hpm_run *run)
{
	int r;

	if (!run->mapped) {
		memset(page_address(m->page), 0, HPM_BLOCK_SIZE);
		return 0;
	}
	merge_bio_init(m, REQ_OP_READ | REQ_SYNC, run->pbn);
	r = submit_bio_wait(&m->bio);
	bio_uninit(&m->bio);
	atomic64_add(HPM_BLOCK_SIZE, &m->v->pool->copied_bytes);
	return r;
}

/* A bio without data, a write-zeroes, puts zeroes. */
static void put_new(struct hpm_merge *m, const struct hpm_piece *p)
{
	void *to = page_address(m->page) + (p->offset << SECTOR_SHIFT);
	struct bio *bio = m->hb->bio;
	struct bvec_iter iter = bio->bi_iter;
	struct bio_vec bv;

	if (!bio_has_data(bio)) {
		memset(to, 0, p->sectors << SECTOR_SHIFT);
		return;
	}
	bio_advance_iter(bio, &iter, m->hb->done << SECTOR_SHIFT);
	iter.bi_size = p->sectors << SECTOR_SHIFT;
	__bio_for_each_segment(bv, bio, iter, iter) {
		memcpy_from_bvec(to, &bv);
		to += bv.bv_len;
	}
}

static void merge_endio(struct bio *bio)
{
	struct hpm_merge *m = container_of(bio, struct hpm_merge, bio);
	blk_status_t status = bio->bi_status;
	struct hpm_pool *pool = m->v->pool;
	struct hpm_bio *hb = m->hb;
	int token = m->op.token;

	hpm_write_end(m->v, &m->op, status);
	bio_uninit(bio);
	hpm_merge_put(m->v, m);
	hpm_bio_put(hb, status);
	hpm_pool_token_put(pool, token);
}

#define KEPT_FLAGS	(REQ_SYNC | REQ_META | REQ_PRIO | REQ_IDLE | \
			 REQ_BACKGROUND)

static void write_new(struct hpm_merge *m, const struct hpm_piece *p)
{
	struct hpm_bio *hb = m->hb;

	merge_bio_init(m, REQ_OP_WRITE | (hb->bio->bi_opf & KEPT_FLAGS),
		       p->pbn);
	m->bio.bi_end_io = merge_endio;
	if (hb->bio->bi_opf & REQ_FUA)
		hb->fua = true;
	hb->done += p->sectors;
	atomic_inc(&hb->parts);
	dm_submit_bio_remap(hb->bio, &m->bio);
}

/* The mapping as it is under the lock: is it still to be merged with? */
static int look_again(struct hpm_volume *v, const struct hpm_piece *p,
		      struct hpm_run *run)
{
	int r = hpm_map_lookup(v->vol, p->vbn, 1, run);

	return !r && run->mapped && !run->shared ? -EAGAIN : r;
}

int hpm_merge_step(struct hpm_volume *v, struct hpm_bio *hb,
		   struct hpm_piece *p, int token)
{
	struct hpm_merge *m = p->merger;
	struct hpm_run run;
	int r;

	m->v = v;
	m->hb = hb;
	m->op.token = token;
	if (hpm_piece_lock(v, p, &m->op, &hb->wait)) {
		hpm_pool_token_put(v->pool, token);
		return HPM_WAITS;
	}
	r = look_again(v, p, &run);
	if (!r)
		r = read_old(m, &run);
	if (r) {
		/* Gives back all but the page. */
		hpm_op_end(v, &m->op, errno_to_blk_status(r));
		return r;
	}
	p->merger = NULL;
	put_new(m, p);
	write_new(m, p);
	return 0;
}
