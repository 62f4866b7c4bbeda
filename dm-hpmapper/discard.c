// SPDX-License-Identifier: GPL-2.0-only
/*
 * Discards and write-zeroes, in a worker.
 *
 * Both unmap whole small blocks, one record for what they have of one large
 * block, and skip holes without a record.  What is unmapped reads back as
 * zeroes.  A discard says nothing about the ends of it that are not whole
 * blocks; a write-zeroes writes them.  A write-zeroes that may not free what
 * it covers (REQ_NOUNMAP) is an ordinary write without data: it is passed on
 * to the data device where the blocks are ours, or new.
 *
 * Either ends when its last record is published: after a FLUSH it is durable.
 * The blocks come back through the engine once they are out of use (pool.h);
 * nothing here touches the data device on their account.
 *
 * Records of discards may use the room that is kept for giving space back, so
 * a full pool can be emptied.
 */
#include "volume.h"

/* No worker reads metadata for a bio that the gate would have held. */
static int may_unmap(struct hpm_volume *v, struct hpm_bio *hb)
{
	int token, r;

	r = hpm_gate_enter(v, hb, HPM_GATE_WRITES, &token);
	if (r)
		return r;
	if (hpm_pool_refuses_writes(v->pool))
		r = -EIO;
	hpm_volume_token_put(v, token);
	return r;
}

/* The token is held from the lock to the publication: park() waits for it. */
static int lock_and_publish(struct hpm_volume *v, struct hpm_bio *hb,
			    struct hpm_change *c)
{
	LIST_HEAD(waiters);
	int token, r;

	r = hpm_gate_enter(v, hb, HPM_GATE_WRITES, &token);
	if (r)
		return r;
	if (hpm_change_lock(c, &hb->wait)) {
		r = HPM_WAITS;
	} else {
		hpm_change_publish(c, &waiters);
		hpm_bio_queue_all(&waiters);
	}
	hpm_volume_token_put(v, token);
	return r;
}

/*
 * The bio waits by itself, not in a worker: there are 256, and what all would wait
 * for are perhaps writes that are throttled.
 */
static int wait_for_credit(struct hpm_volume *v, struct hpm_bio *hb)
{
	/* A part has failed already: the bio ends with that. */
	if (READ_ONCE(hb->bio->bi_status))
		return -EIO;
	hpm_pool_wait_unmap(v->pool, hb->bio);
	return HPM_WAITS;
}

/* A range inside one large block. */
static int unmap(struct hpm_volume *v, struct hpm_bio *hb, u64 vbn, u32 nr)
{
	struct hpm_md *md = v->pool->md;
	struct hpm_change *c;
	int r;

	r = hpm_credit_get(md, 1, HPM_FOR_DISCARD);
	if (r)
		return r == -EAGAIN ? wait_for_credit(v, hb) : r;
	c = hpm_change_alloc(md, GFP_NOIO);
	if (!c) {
		r = -ENOMEM;
		goto out;
	}
	c->vol = v->vol;
	c->type = HPM_REC_UNMAP;
	c->vbn = vbn;
	c->pbn = 0;
	c->nr = nr;
	r = lock_and_publish(v, hb, c);
	if (!r)
		return 0;
	hpm_change_free(md, c);
out:
	hpm_credit_put(md, 1);
	return r;
}

/* What is left of the bio in whole blocks. */
static u64 first_block(const struct hpm_bio *hb)
{
	return DIV_ROUND_UP_ULL(hpm_bio_sector(hb), HPM_BLOCK_SECTORS);
}

static u64 end_block(const struct hpm_bio *hb)
{
	return (hb->bio->bi_iter.bi_sector + hb->sectors) / HPM_BLOCK_SECTORS;
}

static void go_on_at(struct hpm_bio *hb, u64 vbn)
{
	hb->done = vbn * HPM_BLOCK_SECTORS - hb->bio->bi_iter.bi_sector;
}

/* Unmaps the next range, or skips a hole. */
static int unmap_step(struct hpm_volume *v, struct hpm_bio *hb)
{
	u64 vbn = first_block(hb), end = end_block(hb), nr;
	int r;

	r = may_unmap(v, hb);
	if (r)
		return r;
	r = hpm_map_hole(v->vol, vbn, end - vbn, &nr);
	if (!r && !nr) {
		nr = min_t(u64, end - vbn, hpm_large_left(v, vbn));
		r = unmap(v, hb, vbn, nr);
	}
	if (!r)
		go_on_at(hb, vbn + nr);
	return r;
}

int hpm_discard_step(struct hpm_volume *v, struct hpm_bio *hb)
{
	if (!READ_ONCE(v->pool->features.discard))
		return -EOPNOTSUPP;
	if (first_block(hb) < end_block(hb))
		return unmap_step(v, hb);
	hb->done = hb->sectors;
	return 0;
}

/* The part of a block at either end; a hole needs no zeroes. */
static int zero_edge(struct hpm_volume *v, struct hpm_bio *hb,
		     const struct hpm_piece *p)
{
	unsigned int sectors = min_t(unsigned int, p->sectors,
				     HPM_BLOCK_SECTORS - p->offset);
	u64 hole;
	int r;

	r = may_unmap(v, hb);
	if (r)
		return r;
	r = hpm_map_hole(v->vol, p->vbn, 1, &hole);
	if (r)
		return r;
	if (!hole)
		return hpm_write_step(v, hb, sectors);
	hb->done += sectors;
	return 0;
}

int hpm_zero_step(struct hpm_volume *v, struct hpm_bio *hb)
{
	struct hpm_piece p;

	hpm_piece_init(&p, hpm_bio_sector(hb), hb->sectors - hb->done);
	if (hb->bio->bi_opf & REQ_NOUNMAP)
		return hpm_write_step(v, hb, p.sectors);
	return hpm_piece_partial(&p) ? zero_edge(v, hb, &p) : unmap_step(v, hb);
}
