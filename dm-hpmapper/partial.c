// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes of less than a block to a block that may not be overwritten.  The old
 * content of the block (zeroes, if it is unmapped) is read into a page, the
 * data of the bio is merged into it, and the page is written to a new block.
 *
 * The range is locked before anything is read.  So the second of two such
 * writes to one block finds what the first one has published, and the block
 * gets both.  Without the lock, both would start from the old content, and one
 * would be lost.  For the same reason the map is looked up again under the
 * lock.
 *
 * The token is held from the look-up to the publication, so that the block that
 * is read is not allocated to another volume in between.
 *
 * No worker waits for the read, as io.max may delay it: 256 such waits (the
 * limit of a queue, WQ_DFL_ACTIVE) would leave no worker of io_wq to the bios
 * of others.  When the read has ended, a worker of end_wq merges the data and
 * sends the write, which may have to wait for the device.  That is not done on
 * io_wq, where it could be queued behind a work that waits for the credit that
 * this write holds.
 *
 * The page comes from a mempool of the volume and goes back when its write has
 * ended, which takes no worker of io_wq.
 */
#include <linux/sched/mm.h>

#include "volume.h"

struct hpm_merge {
	struct hpm_op op;
	struct hpm_bio *hb;
	struct hpm_volume *v;
	struct page *page;
	u64 pbn;			/* of the new block */
	unsigned int offset;		/* sectors: start in the block, ... */
	unsigned int from;		/* ... in the bio ... */
	unsigned int sectors;		/* ... and their number */
	struct work_struct work;
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

/* Prepares a bio of one block, which is accounted to the owner of hb->bio. */
static void merge_bio_init(struct hpm_merge *m, blk_opf_t opf, u64 pbn)
{
	struct bio *bio = &m->bio;

	bio_init(bio, m->v->pool->data_bdev, &m->vec, 1, opf);
	bio_clone_blkg_association(bio, m->hb->bio);
	bio->bi_ioprio = m->hb->bio->bi_ioprio;
	bio->bi_iter.bi_sector = pbn * HPM_BLOCK_SECTORS;
	__bio_add_page(bio, m->page, HPM_BLOCK_SIZE, 0);
}

/* Merges the data of the bio, or zeroes if it is a write-zeroes. */
static void put_new(struct hpm_merge *m)
{
	void *to = page_address(m->page) + (m->offset << SECTOR_SHIFT);
	struct bio *bio = m->hb->bio;
	struct bvec_iter iter = bio->bi_iter;
	struct bio_vec bv;

	if (!bio_has_data(bio)) {
		memset(to, 0, m->sectors << SECTOR_SHIFT);
		return;
	}
	bio_advance_iter(bio, &iter, m->from << SECTOR_SHIFT);
	iter.bi_size = m->sectors << SECTOR_SHIFT;
	__bio_for_each_segment(bv, bio, iter, iter) {
		memcpy_from_bvec(to, &bv);
		to += bv.bv_len;
	}
}

/* The write has ended, or the read or the write has failed. */
static void merge_end(struct hpm_merge *m, blk_status_t status)
{
	struct hpm_volume *v = m->v;
	struct hpm_bio *hb = m->hb;
	int token = m->op.token;

	hpm_write_end(v, &m->op, status);
	hpm_merge_put(v, m);
	hpm_bio_put(hb, status);
	hpm_volume_token_put(v, token);
}

static void write_endio(struct bio *bio)
{
	struct hpm_merge *m = container_of(bio, struct hpm_merge, bio);
	blk_status_t status = bio->bi_status;

	bio_uninit(bio);
	merge_end(m, status);
}

#define KEPT_FLAGS	(REQ_SYNC | REQ_META | REQ_PRIO | REQ_IDLE | \
			 REQ_BACKGROUND)

static void prepare_write(struct hpm_merge *m)
{
	struct hpm_bio *hb = m->hb;

	put_new(m);
	merge_bio_init(m, REQ_OP_WRITE | (hb->bio->bi_opf & KEPT_FLAGS),
		       m->pbn);
	m->bio.bi_end_io = write_endio;
}

static void write_work(struct work_struct *work)
{
	struct hpm_merge *m = container_of(work, struct hpm_merge, work);
	unsigned int noio = memalloc_noio_save();

	prepare_write(m);
	submit_bio_noacct(&m->bio);
	memalloc_noio_restore(noio);
}

static void read_endio(struct bio *bio)
{
	struct hpm_merge *m = container_of(bio, struct hpm_merge, bio);
	blk_status_t status = bio->bi_status;

	bio_uninit(bio);
	if (status)
		merge_end(m, status);
	else
		queue_work(m->v->pool->end_wq, &m->work);
}

/*
 * write_work() continues when the read has ended.  The read is sent with
 * dm_submit_bio_remap(), which tells device-mapper core that the I/O of the
 * owner begins; two parts must not do that at the same time.  So it is done for
 * the read, which the worker that deals the parts out sends, and not for the
 * write.
 */
static void read_old(struct hpm_merge *m, u64 pbn)
{
	atomic64_add(HPM_BLOCK_SIZE, &m->v->pool->copied_bytes);
	merge_bio_init(m, REQ_OP_READ | REQ_SYNC, pbn);
	m->bio.bi_end_io = read_endio;
	INIT_WORK(&m->work, write_work);
	dm_submit_bio_remap(m->hb->bio, &m->bio);
}

/* From here on the merge is a part of the bio. */
static void begin(struct hpm_merge *m, const struct hpm_piece *p)
{
	struct hpm_bio *hb = m->hb;

	m->pbn = p->pbn;
	m->offset = p->offset;
	m->from = hb->done;
	m->sectors = p->sectors;
	if (hb->bio->bi_opf & REQ_FUA)
		hb->fua = true;
	hb->done += p->sectors;
	atomic_inc(&hb->parts);
}

/*
 * Looks the block up under the lock.  -EAGAIN: it can be written in place now,
 * or a node is not in memory.
 */
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
		hpm_volume_token_put(v, token);
		return HPM_WAITS;
	}
	r = look_again(v, p, &run);
	if (r) {
		/* Gives everything back but the page. */
		hpm_op_end(v, &m->op, errno_to_blk_status(r));
		return r;
	}
	p->merger = NULL;
	begin(m, p);
	if (run.mapped) {
		read_old(m, run.pbn);
	} else {
		memset(page_address(m->page), 0, HPM_BLOCK_SIZE);
		prepare_write(m);
		dm_submit_bio_remap(hb->bio, &m->bio);
	}
	return 0;
}
