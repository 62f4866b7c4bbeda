// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes: in place if the blocks belong to the volume alone, else to new
 * blocks.
 *
 * In place
 * --------
 * A block that was mapped after the volume's last snapshot belongs to this
 * volume alone, and the bio is only remapped.  The token makes this correct
 * while others change the map: it was taken before the gate was read and the
 * block was looked up.  So a snapshot or a move that would make the write wrong
 * waits for its I/O (gate.c), and a block that a discard frees meanwhile is not
 * allocated again before the token is back.
 *
 * To a new place
 * --------------
 * First the write gets everything that may not be available: a credit (room for
 * the record in the journal and in the metadata), a change that describes it,
 * the blocks.  Then the range is locked, then the data is written.  When that
 * has ended, end_io publishes the change, and then it gives the token back and
 * ends the bio.  The reasons for this order:
 *
 *  - If the change was published before the data is written, a commit could
 *    make a mapping durable whose block still holds data of another volume.
 *  - If it was published after the bio has ended, a FLUSH that the owner sends
 *    then could commit without the record, and an acknowledged write would be
 *    lost.
 *  - After an error in the data nothing has been published: the old mapping
 *    stays, and the new blocks, which no mapping ever named, go back.
 *
 * A commit flushes the data device after it has sealed the records and before
 * it writes them.  So whenever the power fails, the data of a durable record is
 * durable; and a write whose record is not durable was not covered by a FLUSH
 * that was acknowledged, so the block may read as before the write.
 *
 * Two writes to one block: the second one finds the range locked, gives back
 * all it has and waits; a worker then looks the block up again.  A write that
 * covers its blocks needs no look-up after the lock: it replaces whatever the
 * range maps to by then, and the engine frees the blocks that were mapped
 * before.  A write that has to merge must look up again (partial.c).
 *
 * How much at a time
 * ------------------
 * A change lies inside one large block.  It covers those blocks of the bio that
 * do not belong to the volume alone, be they shared or unmapped, contiguous or
 * not, up to the number that the stock has in a row.  A bio that covers a whole
 * large block gets a free large block, if there is one; sequential writes get
 * one over time (stream.c).
 *
 * FUA
 * ---
 * FUA is passed to the device if the mapping is durable and does not change.
 * Else the bio is written without FUA and ends with the next commit, which
 * flushes the data and writes the record.
 */
#include <linux/percpu_counter.h>

#include "volume.h"

/* What a write lacks.  A worker gets it, or makes the bio wait for it. */
enum lack {
	LACK_MAP = HPM_WAITS + 1,
	LACK_CREDIT,
	LACK_SHARE,
	LACK_CHANGE,
	LACK_MERGER,
	LACK_LARGE,
	LACK_BLOCKS,
};

/*
 *----------------------------------------------------------------
 * Planning.  Any context, token held; 0, a lack or an error.
 *--------------------------------------------------------------
 */

static bool is_own(const struct hpm_run *run)
{
	return run->mapped && !run->shared;
}

static u32 whole_blocks(const struct hpm_piece *p)
{
	return p->sectors / HPM_BLOCK_SECTORS;
}

/*
 * Does the piece cover a large block from its first sector on?  A large entry
 * means that all of the large block was written.
 */
static bool covers_large(const struct hpm_volume *v, const struct hpm_piece *p)
{
	return !p->offset && hpm_large_left(v, p->vbn) == hpm_large_size(v) &&
	       whole_blocks(p) >= hpm_large_size(v);
}

/*
 * Returns how many of @want blocks from @vbn on, beginning with @run, do not
 * belong to the volume alone.
 */
static u32 foreign_blocks(struct hpm_volume *v, u64 vbn, u32 want,
			  const struct hpm_run *run)
{
	struct hpm_run next;
	u32 nr = run->nr;

	while (nr < want) {
		if (hpm_map_lookup(v->vol, vbn + nr, want - nr, &next) ||
		    is_own(&next))
			break;
		nr += next.nr;
	}
	return min(nr, want);
}

static void have_credit(struct hpm_volume *v, struct hpm_piece *p)
{
	p->credit = true;
	atomic_inc(&v->credits);
}

static int get_record(struct hpm_volume *v, struct hpm_piece *p)
{
	int r;

	if (!p->credit) {
		r = hpm_credit_get_fair(v->pool->md,
					atomic_read(&v->credits));
		if (r == -EBUSY)
			return LACK_SHARE;
		if (r)
			return r == -EAGAIN ? LACK_CREDIT : r;
		have_credit(v, p);
	}
	if (!p->change) {
		p->change = hpm_change_alloc(v->pool->md,
					     GFP_NOWAIT | __GFP_NOWARN);
		if (!p->change)
			return LACK_CHANGE;
	}
	return 0;
}

static int get_blocks(struct hpm_volume *v, struct hpm_piece *p, u32 want,
		      const struct hpm_run *run)
{
	p->nr = hpm_stream_take(v, p->vbn, want, &p->pbn);
	p->stream = p->nr;
	if (!p->nr && !run->mapped && !p->small &&
	    hpm_stream_wants(v, p->vbn, want))
		return LACK_LARGE;
	if (!p->nr)
		p->nr = hpm_stock_take(&v->stock, want, &p->pbn);
	if (!p->nr)
		return LACK_BLOCKS;
	if (READ_ONCE(v->stock.blocks) < HPM_STOCK_LOW)
		queue_work(v->pool->io_wq, &v->refill_work);
	if (!run->mapped)
		hpm_stream_note(v, p->vbn, p->nr);
	p->type = HPM_REC_MAP;
	return 0;
}

static int plan_large(struct hpm_volume *v, struct hpm_piece *p)
{
	if (!p->nr)
		return LACK_LARGE;
	hpm_piece_cut(p, p->nr);
	return get_record(v, p);
}

static int plan_new(struct hpm_volume *v, struct hpm_piece *p,
		    const struct hpm_run *run)
{
	u32 want = 1;
	int r;

	if (!p->small && covers_large(v, p))
		return plan_large(v, p);
	p->merge = hpm_piece_partial(p);
	if (p->merge) {
		hpm_piece_cut(p, 1);
		if (!p->merger)
			return LACK_MERGER;
	} else {
		want = min(whole_blocks(p), hpm_large_left(v, p->vbn));
		want = foreign_blocks(v, p->vbn, want, run);
	}
	r = get_record(v, p);
	if (!r)
		r = get_blocks(v, p, want, run);
	if (!r)
		hpm_piece_cut(p, p->nr);
	return r;
}

static void piece_release(struct hpm_volume *v, struct hpm_piece *p)
{
	struct hpm_md *md = v->pool->md;

	if (p->nr)
		hpm_blocks_back(v, p->vbn, p->pbn, p->nr, p->stream);
	if (p->change)
		hpm_change_free(md, p->change);
	if (p->credit)
		hpm_credit_back(v);
	if (p->merger)
		hpm_merge_put(v, p->merger);
	p->nr = 0;
	p->change = NULL;
	p->credit = false;
	p->merger = NULL;
}

/* Finds the run that begins at @vbn, unless the pool refuses writes. */
static int look_up(struct hpm_volume *v, u64 vbn, u32 max, struct hpm_run *run)
{
	int r;

	if (unlikely(hpm_pool_refuses_writes(v->pool)))
		return -EIO;
	r = hpm_find_run(v, vbn, max, run);
	return unlikely(r == -EAGAIN) ? LACK_MAP : r;
}

/* On success, p->nr (blocks in hand) is 0 if the piece is written in place. */
static int plan(struct hpm_volume *v, struct hpm_piece *p)
{
	struct hpm_run run;
	int r;

	r = look_up(v, p->vbn, hpm_piece_span(p), &run);
	if (r)
		return r;
	if (!is_own(&run))
		return plan_new(v, p, &run);

	/*
	 * A large block may have been got for blocks that are the volume's own
	 * by now.
	 */
	if (unlikely(p->nr))
		piece_release(v, p);
	p->merge = false;
	p->pbn = run.pbn;
	hpm_piece_cut(p, run.nr);
	return 0;
}

static void take_fua(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
		     bool anew)
{
	if (likely(!(bio->bi_opf & REQ_FUA)))
		return;
	if (!anew && hpm_vol_durable(v->vol))
		return;
	bio->bi_opf &= ~REQ_FUA;
	hb->fua = true;
}

/*
 *----------------------------------------------------------------
 * In map()
 *--------------------------------------------------------------
 */

static int map_lacks(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
		     struct hpm_piece *p, int lack)
{
	int token = hb->op.token;

	piece_release(v, p);
	if (lack < 0)
		return hpm_map_end(bio, lack);
	if (lack != LACK_CREDIT || hpm_bio_nowait(bio))
		return hpm_map_defer(hb, bio);	/* a worker calls starve() */
	hpm_bio_defer(hb, bio);
	hpm_pool_wait_credit(v->pool, bio);
	hpm_volume_token_put(v, token);
	return DM_MAPIO_SUBMITTED;
}

/*
 * Locks the range, or makes the bio wait for it.  Returns false if the bio
 * waits or was ended.  Once the bio is queued as a waiter, it may only be
 * touched if the lock succeeded after all.
 */
static bool map_lock(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
		     struct hpm_piece *p)
{
	int token = hb->op.token;

	if (likely(!hpm_piece_lock(v, p, &hb->op, NULL)))
		return true;
	if (hpm_bio_nowait(bio)) {
		piece_release(v, p);
		hpm_map_wouldblock(bio);
		return false;
	}
	hpm_bio_defer(hb, bio);
	if (!hpm_piece_lock(v, p, &hb->op, &hb->wait)) {
		hb->op.token = token;
		return true;
	}
	piece_release(v, p);
	hpm_volume_token_put(v, token);
	return false;
}

static int map_new(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio,
		   const struct hpm_run *run)
{
	struct hpm_piece p = { .small = bio->bi_opf & REQ_NOWAIT };
	int r;

	hpm_piece_init(&p, bio->bi_iter.bi_sector, bio_sectors(bio));
	r = plan_new(v, &p, run);
	if (unlikely(r))
		return map_lacks(v, hb, bio, &p, r);
	if (p.sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, p.sectors);
	if (!map_lock(v, hb, bio, &p))
		return DM_MAPIO_SUBMITTED;
	take_fua(v, hb, bio, true);
	if (hpm_fault(HPM_FAULT_RECORD_EARLY))
		hpm_write_end(v, &hb->op, BLK_STS_OK);
	return hpm_map_to(v, bio, hpm_piece_target(&p));
}

int hpm_write_map(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio)
{
	sector_t sector = bio->bi_iter.bi_sector;
	unsigned int offset = sector % HPM_BLOCK_SECTORS;
	u32 span = hpm_span(offset, bio_sectors(bio));
	struct hpm_run run;
	int r;

	r = look_up(v, sector / HPM_BLOCK_SECTORS, span, &run);
	if (unlikely(r))
		return r < 0 ? hpm_map_end(bio, r) : hpm_map_defer(hb, bio);
	if (!is_own(&run))
		return map_new(v, hb, bio, &run);

	if (run.nr < span)
		dm_accept_partial_bio(bio, run.nr * HPM_BLOCK_SECTORS - offset);
	percpu_counter_add_local(&v->pool->inplace_bios, 1);
	take_fua(v, hb, bio, false);
	return hpm_map_to(v, bio, run.pbn * HPM_BLOCK_SECTORS + offset);
}

/*
 *----------------------------------------------------------------
 * In a worker
 *--------------------------------------------------------------
 */

static int supply_large(struct hpm_volume *v, struct hpm_piece *p)
{
	int r;

	if (covers_large(v, p)) {
		r = hpm_space_take_large(v->pool->md, &p->pbn);
		if (!r) {
			p->nr = hpm_large_size(v);
			p->type = HPM_REC_LARGE;
			p->stream = false;
		}
	} else {
		r = hpm_stream_reserve(v, hpm_large_start(v, p->vbn));
		p->small = true;
	}
	if (r != -ENOSPC)
		return r;
	p->small = true;
	return 0;
}

/* Refills the stock.  LACK_BLOCKS: no block is free, so the bio must wait. */
static int supply_blocks(struct hpm_volume *v)
{
	int r = hpm_volume_refill(v);

	return r == -ENOSPC ? LACK_BLOCKS : r;
}

static int get_lacking(struct hpm_volume *v, struct hpm_piece *p, int lack)
{
	switch (lack) {
	case LACK_MAP:
		return hpm_map_load(v->vol, p->vbn);
	case LACK_CREDIT:
	case LACK_SHARE:
		return lack;
	case LACK_CHANGE:
		p->change = hpm_change_alloc(v->pool->md, GFP_NOIO);
		return p->change ? 0 : -ENOMEM;
	case LACK_MERGER:
		p->merger = hpm_merge_get(v);
		return 0;
	case LACK_LARGE:
		return supply_large(v, p);
	default:
		return supply_blocks(v);
	}
}

/* -EAGAIN: the worker has got it, plan again.  A lack: the bio must wait. */
static int supply(struct hpm_volume *v, struct hpm_piece *p, int lack)
{
	int r = get_lacking(v, p, lack);

	return r ? r : -EAGAIN;
}

/* Makes the bio wait for a credit of its volume; if none is out, queues it. */
static int starve(struct hpm_volume *v, struct hpm_bio *hb)
{
	int r = hpm_gate_starve(v, hb);

	if (r)
		return r;
	hpm_bio_queue(hb);
	return HPM_WAITS;
}

/*
 * Credits and blocks come back when the I/O of others ends.  A worker must not
 * wait for that, as it might be the one that this I/O needs.  So the bio itself
 * waits, in a list, and holds nothing that is needed to make room.
 */
static int wait_in_list(struct hpm_volume *v, struct hpm_bio *hb, int lack)
{
	/* A part has failed, so the bio ends with an error in any case. */
	if (READ_ONCE(hb->bio->bi_status))
		return -EIO;
	if (lack == LACK_SHARE)
		return starve(v, hb);
	if (lack == LACK_CREDIT)
		hpm_pool_wait_credit(v->pool, hb->bio);
	else
		hpm_pool_wait_space(v->pool, hb->bio);
	return HPM_WAITS;
}

/* On success, *partp is in flight and becomes NULL. */
static int write_part(struct hpm_volume *v, struct hpm_bio *hb,
		      struct hpm_piece *p, struct hpm_part **partp, int token)
{
	struct hpm_part *part = *partp;
	bool anew = p->nr;	/* the lock clears p->nr */

	part->op.token = token;
	if (!anew) {
		percpu_counter_add_local(&v->pool->inplace_bios, 1);
	} else if (hpm_piece_lock(v, p, &part->op, &hb->wait)) {
		hpm_volume_token_put(v, token);
		return HPM_WAITS;
	}
	if (anew && hpm_fault(HPM_FAULT_RECORD_EARLY))
		hpm_write_end(v, &part->op, BLK_STS_OK);
	take_fua(v, hb, &part->bio, anew);
	hpm_part_submit(part, p);
	*partp = NULL;
	return 0;
}

/* 0: the token is held, and the piece has all that it needs. */
static int worker_plan(struct hpm_volume *v, struct hpm_bio *hb,
		       struct hpm_piece *p, unsigned int sectors, int *token)
{
	int r;

	r = hpm_gate_enter(v, hb, HPM_GATE_WRITES, token);
	if (r)
		return r;
	hpm_piece_init(p, hpm_bio_sector(hb), sectors);
	r = plan(v, p);
	if (r)
		hpm_volume_token_put(v, *token);
	return r;
}

int hpm_write_step(struct hpm_volume *v, struct hpm_bio *hb,
		   unsigned int sectors)
{
	struct hpm_part *part = hpm_part_alloc(hb);
	struct hpm_piece p = { };
	int token, r;

	do {
		r = worker_plan(v, hb, &p, sectors, &token);
		if (!r && p.merge)
			r = hpm_merge_step(v, hb, &p, token);
		else if (!r)
			r = write_part(v, hb, &p, &part, token);
		else if (r > HPM_WAITS)
			r = supply(v, &p, r);
	} while (r == -EAGAIN);

	piece_release(v, &p);
	if (part)
		hpm_part_free(part);
	return r > HPM_WAITS ? wait_in_list(v, hb, r) : r;
}
