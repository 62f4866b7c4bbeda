// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the engine reads and writes the devices: by bios.
 *
 * All of this I/O is metadata, a flush, or a discard of blocks that no volume
 * has.  It is issued for the root cgroup with REQ_META | REQ_PRIO, whichever
 * tenant caused it: if a commit of a throttled tenant were throttled, all
 * tenants would wait for it.
 */
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/rwsem.h>
#include <linux/sizes.h>
#include <linux/sort.h>

#include "compat.h"
#include "fault.h"
#include "io-kernel.h"

#define HPM_IO_POOL_SIZE	16

struct hpm_io {
	struct block_device *meta;
	struct block_device *data;
	u64 data_blocks;

	struct bio_set bios;

	/*
	 * Held for reading during I/O, for writing by a detach: when the pool
	 * has lost its last table, its devices are closed, but its volumes and
	 * the engine may still exist.
	 */
	struct rw_semaphore alive;
	bool detached;			/* alive */
};

/*
 *----------------------------------------------------------------
 * Life
 *--------------------------------------------------------------
 */

struct hpm_io *hpm_io_create(struct block_device *meta,
			     struct block_device *data, u64 data_blocks)
{
	struct hpm_io *io;
	int r;

	io = kzalloc(sizeof(*io), GFP_KERNEL);
	if (!io)
		return ERR_PTR(-ENOMEM);

	r = bioset_init(&io->bios, HPM_IO_POOL_SIZE, 0, BIOSET_NEED_BVECS);
	if (r) {
		kfree(io);
		return ERR_PTR(r);
	}

	init_rwsem(&io->alive);
	io->meta = meta;
	io->data = data;
	io->data_blocks = data_blocks;
	return io;
}

void hpm_io_destroy(struct hpm_io *io)
{
	bioset_exit(&io->bios);
	kfree(io);
}

void hpm_io_detach(struct hpm_io *io)
{
	down_write(&io->alive);
	io->detached = true;
	up_write(&io->alive);
}

static int io_enter(struct hpm_io *io)
{
	down_read(&io->alive);
	if (!io->detached)
		return 0;

	up_read(&io->alive);
	return -ENODEV;
}

static void io_leave(struct hpm_io *io)
{
	up_read(&io->alive);
}

/*
 *----------------------------------------------------------------
 * Sizes
 *--------------------------------------------------------------
 */

void hpm_io_set_data_blocks(struct hpm_io *io, u64 blocks)
{
	WRITE_ONCE(io->data_blocks, blocks);
}

u64 hpm_io_data_blocks(struct hpm_io *io)
{
	return READ_ONCE(io->data_blocks);
}

u64 hpm_io_meta_blocks(struct hpm_io *io)
{
	u64 blocks = 0;

	if (!io_enter(io)) {
		blocks = bdev_nr_bytes(io->meta) >> HPM_BLOCK_SHIFT;
		io_leave(io);
	}

	return min_t(u64, blocks, HPM_MAX_META_BLOCKS);
}

/*
 *----------------------------------------------------------------
 * One bio, waited for
 *--------------------------------------------------------------
 */

static void add_block(struct bio *bio, void *data)
{
	__bio_add_page(bio, virt_to_page(data), HPM_BLOCK_SIZE,
		       offset_in_page(data));
}

static void as_root(struct bio *bio)
{
	bio_associate_blkg_from_css(bio, blkcg_root_css);
}

static sector_t to_sector_of(u64 block)
{
	return block * HPM_BLOCK_SECTORS;
}

static int one_block(struct hpm_io *io, struct block_device *bdev,
		     blk_opf_t opf, u64 block, void *data)
{
	struct bio_vec bvec;
	struct bio bio;
	int r;

	r = io_enter(io);
	if (r)
		return r;

	bio_init(&bio, bdev, &bvec, 1, opf | REQ_META | REQ_PRIO | REQ_SYNC);
	as_root(&bio);
	bio.bi_iter.bi_sector = to_sector_of(block);
	add_block(&bio, data);
	r = submit_bio_wait(&bio);
	bio_uninit(&bio);

	io_leave(io);
	return r;
}

int hpm_io_read(struct hpm_io *io, u64 block, void *data)
{
	return one_block(io, io->meta, REQ_OP_READ, block, data);
}

int hpm_io_read_mark(struct hpm_io *io, void *data)
{
	return one_block(io, io->data, REQ_OP_READ, HPM_MARK_BLOCK, data);
}

int hpm_io_write_mark(struct hpm_io *io, void *data)
{
	return one_block(io, io->data, REQ_OP_WRITE | REQ_FUA, HPM_MARK_BLOCK,
			 data);
}

static blk_status_t flush_once(struct block_device *bdev)
{
	struct bio bio;

	bio_init(&bio, bdev, NULL, 0, REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC);
	as_root(&bio);
	submit_bio_wait(&bio);
	bio_uninit(&bio);
	return bio.bi_status;
}

/*
 * A flush that the device did not try tells nothing about the data before it,
 * and the next flush covers these data, too.  A pool must not stop writing
 * because a driver was short of memory, so the flush is repeated, for 5
 * seconds.
 */
#define FLUSH_TRIES	100
#define FLUSH_NAP_MS	50

static int flush_device(struct hpm_io *io, struct block_device *bdev)
{
	blk_status_t status;
	unsigned int i;
	int r;

	r = io_enter(io);
	if (r)
		return r;

	status = hpm_fault(HPM_FAULT_UNTRIED) ? BLK_STS_RESOURCE :
						flush_once(bdev);
	for (i = 1; i < FLUSH_TRIES && hpm_io_untried(status); i++) {
		msleep(FLUSH_NAP_MS);
		status = flush_once(bdev);
	}

	io_leave(io);
	return blk_status_to_errno(status);
}

int hpm_io_flush_meta(struct hpm_io *io)
{
	return flush_device(io, io->meta);
}

int hpm_io_flush_data(struct hpm_io *io)
{
	return flush_device(io, io->data);
}

int hpm_io_write_run(struct hpm_io *io, u64 block, void **data,
		     unsigned int nr, unsigned int flags)
{
	blk_opf_t opf = REQ_OP_WRITE | REQ_META | REQ_PRIO | REQ_SYNC;
	struct bio *bio;
	unsigned int i;
	int r;

	if (WARN_ON_ONCE(!nr || nr > HPM_MAX_BATCH_BLOCKS))
		return -EINVAL;

	r = io_enter(io);
	if (r)
		return r;

	if (flags & HPM_IO_PREFLUSH)
		opf |= REQ_PREFLUSH;
	if (flags & HPM_IO_FUA)
		opf |= REQ_FUA;

	bio = bio_alloc_bioset(io->meta, nr, opf, GFP_NOIO, &io->bios);
	as_root(bio);
	bio->bi_iter.bi_sector = to_sector_of(block);
	for (i = 0; i < nr; i++)
		add_block(bio, data[i]);
	r = submit_bio_wait(bio);
	bio_put(bio);

	io_leave(io);
	return r;
}

/*
 *----------------------------------------------------------------
 * Many bios at once
 *--------------------------------------------------------------
 */

/* Is on the stack of the function that waits for the bios. */
struct gather {
	atomic_t pending;		/* bios, and one for the submitter */
	int error;			/* of any of the bios that failed */
	struct completion done;
};

static void gather_init(struct gather *g)
{
	atomic_set(&g->pending, 1);
	g->error = 0;
	init_completion(&g->done);
}

static void gather_endio(struct bio *bio)
{
	struct gather *g = bio->bi_private;

	if (bio->bi_status)
		WRITE_ONCE(g->error, blk_status_to_errno(bio->bi_status));
	bio_put(bio);

	if (atomic_dec_and_test(&g->pending))
		complete(&g->done);
}

static void gather_submit(struct gather *g, struct bio *bio)
{
	atomic_inc(&g->pending);
	bio->bi_private = g;
	bio->bi_end_io = gather_endio;
	as_root(bio);
	submit_bio(bio);
}

static int gather_wait(struct gather *g)
{
	if (!atomic_dec_and_test(&g->pending))
		wait_for_completion_io(&g->done);

	return READ_ONCE(g->error);
}

/* The number of blocks at the head of @vec that are in a row on the device. */
static unsigned int run_length(const struct hpm_io_vec *vec, unsigned int nr)
{
	unsigned int i;

	nr = min_t(unsigned int, nr, BIO_MAX_VECS);
	for (i = 1; i < nr; i++)
		if (vec[i].block != vec[0].block + i)
			break;

	return i;
}

int hpm_io_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		 unsigned int nr)
{
	blk_opf_t opf = REQ_OP_WRITE | REQ_META | REQ_PRIO | REQ_SYNC;
	struct blk_plug plug;
	struct gather g;
	int r;

	r = io_enter(io);
	if (r)
		return r;

	gather_init(&g);
	blk_start_plug(&plug);
	while (nr) {
		unsigned int i, run = run_length(vec, nr);
		struct bio *bio;

		/*
		 * This may sleep until an earlier bio of this loop ends.  Those
		 * are in flight by then: a task that goes to sleep flushes its
		 * plug.
		 */
		bio = bio_alloc_bioset(io->meta, run, opf, GFP_NOIO, &io->bios);
		bio->bi_iter.bi_sector = to_sector_of(vec->block);
		for (i = 0; i < run; i++)
			add_block(bio, vec[i].data);
		gather_submit(&g, bio);

		vec += run;
		nr -= run;
	}
	blk_finish_plug(&plug);
	r = gather_wait(&g);

	io_leave(io);
	return r;
}

/*
 *----------------------------------------------------------------
 * Discards
 *--------------------------------------------------------------
 */

static int compare_extents(const void *a, const void *b)
{
	const struct hpm_extent *x = a, *y = b;

	if (x->pbn == y->pbn)
		return 0;
	return x->pbn < y->pbn ? -1 : 1;
}

/* In sectors.  The block layer splits such a bio to what the device takes. */
#define HPM_MAX_DISCARD		(SZ_1G >> SECTOR_SHIFT)

static void submit_discard(struct hpm_io *io, struct gather *g, sector_t from,
			   unsigned int nr)
{
	struct bio *bio;

	bio = bio_alloc_bioset(io->data, 0, REQ_OP_DISCARD, GFP_NOIO,
			       &io->bios);
	bio->bi_iter.bi_sector = from;
	bio->bi_iter.bi_size = nr << SECTOR_SHIFT;
	gather_submit(g, bio);
}

/*
 * The range is rounded inwards, as the rest of a granule that is cut off may be
 * another owner's.  So this is correct for any granularity.  Granules begin at
 * the device's alignment, which need not be sector 0.
 */
static void discard_granules(struct hpm_io *io, struct gather *g, sector_t from,
			     sector_t to)
{
	u32 granule = bdev_discard_granularity(io->data) >> SECTOR_SHIFT;
	u32 offset = bdev_discard_alignment(io->data) >> SECTOR_SHIFT;
	u32 rem;

	if (granule > 1) {
		offset = granule - offset % granule;
		div_u64_rem(from + offset, granule, &rem);
		if (rem)
			from += granule - rem;
		div_u64_rem(to + offset, granule, &rem);
		to = to > rem ? to - rem : 0;
	}

	while (from < to) {
		sector_t nr = min_t(sector_t, to - from, HPM_MAX_DISCARD);

		submit_discard(io, g, from, nr);
		from += nr;
	}
}

int hpm_io_discard(struct hpm_io *io, struct hpm_extent *ext, unsigned int nr)
{
	struct blk_plug plug;
	struct gather g;
	unsigned int i, j;
	int r;

	r = io_enter(io);
	if (r)
		return r;

	sort(ext, nr, sizeof(*ext), compare_extents, NULL);

	gather_init(&g);
	blk_start_plug(&plug);
	for (i = 0; i < nr; i = j) {
		u64 end = ext[i].pbn + ext[i].nr;

		for (j = i + 1; j < nr && ext[j].pbn == end; j++)
			end += ext[j].nr;
		discard_granules(io, &g, to_sector_of(ext[i].pbn),
				 to_sector_of(end));
	}
	blk_finish_plug(&plug);
	r = gather_wait(&g);

	io_leave(io);
	return r;
}
