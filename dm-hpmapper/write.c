// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes: in place where the blocks are the volume's alone, else to new ones.
 *
 * In place
 * --------
 * A block that was mapped after the volume's last snapshot belongs to nobody
 * else, and its bio is simply remapped.  What makes that right while others
 * change the map: the token.  It was taken before the gate was read and the
 * block looked up, so a snapshot or a move that would make it wrong waits for
 * the I/O (gate.c), and a block that a discard frees meanwhile is not given to
 * anybody before the token is back.
 *
 * To a new place
 * --------------
 * First everything that can be lacking is got: a credit (room for the record,
 * in the journal and in the metadata), a change to describe it, the blocks.
 * Then the range is locked; then the data is written; and when it is there,
 * end_io publishes the change, gives back the token and ends the bio, in this
 * order.  Why it must be so:
 *
 *  - published before the data was written, a commit could make a mapping
 *    durable whose block holds another volume's old bytes;
 *  - published after the bio ended, a FLUSH that its owner sends could commit
 *    without the record, and an acknowledged write would be gone;
 *  - an error in the data means that nothing was published: the old mapping
 *    stands, and the new blocks, which nothing ever named, go back.
 *
 * A commit flushes the data device after it has sealed the records and before
 * it writes them.  So whatever instant the power goes, a durable record's data
 * is durable; and a write whose record is not durable was never acknowledged
 * by a FLUSH, so the block reads as before it.
 *
 * Two writers of one block: the second finds the range locked, gives back all
 * it has and waits; a worker then looks the block up again.  A write that
 * covers its blocks needs no look-up after the lock: whatever the range maps
 * to by then, it is replaced, and the engine frees what the record's
 * predecessor named.  One that has to merge must look again (partial.c).
 *
 * How much at a time
 * ------------------
 * A change lies inside one large block.  It covers what the bio has of it that
 * is not the volume's own, be it shared or unmapped, contiguous or not, as far
 * as the stock has blocks in a row.  A bio that covers a whole large block gets
 * a whole one, if there is one; sequential writes get one by and by
 * (stream.c).
 *
 * FUA
 * ---
 * passes straight down where the mapping is durable and stays.  Else the bio
 * is written without it and ends with the next commit, which flushes the data
 * and writes the record.
 */
#include <linux/percpu_counter.h>

#include "volume.h"

/* What kept a write from being planned, and a worker can get. */
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

/* From its first sector on: a large entry says that all of it was written. */
static bool covers_large(const struct hpm_volume *v, const struct hpm_piece *p)
{
	return !p->offset && hpm_large_left(v, p->vbn) == hpm_large_size(v) &&
	       whole_blocks(p) >= hpm_large_size(v);
}

/* How many of @want blocks, the run's among them, are not the volume's own. */
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

/* The run that begins at @vbn, if it can be told and may be written to. */
static int look_up(struct hpm_volume *v, u64 vbn, u32 max, struct hpm_run *run)
{
	int r;

	if (unlikely(hpm_pool_refuses_writes(v->pool)))
		return -EIO;
	r = hpm_find_run(v, vbn, max, run);
	return unlikely(r == -EAGAIN) ? LACK_MAP : r;
}

/* p->nr, the blocks in hand, says whether it goes to a new place. */
static int plan(struct hpm_volume *v, struct hpm_piece *p)
{
	struct hpm_run run;
	int r;

	r = look_up(v, p->vbn, hpm_piece_span(p), &run);
	if (r)
		return r;
	if (!is_own(&run))
		return plan_new(v, p, &run);

	/* A large block got for what has become the volume's own meanwhile? */
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
		return hpm_map_defer(hb, bio);	/* and a worker starves it */
	hpm_bio_defer(hb, bio);
	hpm_pool_wait_credit(v->pool, bio);
	hpm_volume_token_put(v, token);
	return DM_MAPIO_SUBMITTED;
}

/*
 * False: the bio waits, or has been ended.  From the call that queues it on it
 * is ours only if we got the lock after all.
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

/* The lack itself is returned if others have to see to it. */
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

/* -EAGAIN: it is there, plan again.  A lack: it is not to be had here. */
static int supply(struct hpm_volume *v, struct hpm_piece *p, int lack)
{
	int r = get_lacking(v, p, lack);

	return r ? r : -EAGAIN;
}

/* The volume's own writes have more than their share. */
static int starve(struct hpm_volume *v, struct hpm_bio *hb)
{
	int r = hpm_gate_starve(v, hb);

	if (r)
		return r;
	hpm_bio_queue(hb);
	return HPM_WAITS;
}

/*
 * Credit and blocks come back when others' I/O ends, and a worker that waited
 * for that might be the one that a bio needs which is to go on: so the bio waits
 * by itself, in a list, and holds nothing that those who make room could need.
 */
static int wait_in_list(struct hpm_volume *v, struct hpm_bio *hb, int lack)
{
	/* A part has failed already: the bio ends with that. */
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

/* Takes the part if it succeeds. */
static int write_part(struct hpm_volume *v, struct hpm_bio *hb,
		      struct hpm_piece *p, struct hpm_part **partp, int token)
{
	struct hpm_part *part = *partp;
	bool anew = p->nr;	/* which the lock takes over */

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

/* 0: the token is held and nothing lacks. */
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
