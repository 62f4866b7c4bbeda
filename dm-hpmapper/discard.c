// SPDX-License-Identifier: GPL-2.0-only
/*
 * Discards and write-zeroes, in a worker.
 *
 * Both unmap whole small blocks, with one record for each large block, and skip
 * holes without a record.  Unmapped blocks read as zeroes.  At either end a
 * discard ignores what is less than a block; a write-zeroes writes it.  A
 * write-zeroes that may not free blocks (REQ_NOUNMAP) is a write without data:
 * it is passed to the data device, for blocks that are the volume's own or new.
 *
 * Each ends when its last record is published, and it is durable after a FLUSH.
 * The engine gives the blocks back when no I/O uses them any more
 * (pool-drain.c); this file does no I/O for them.
 *
 * Discards may use metadata space that is reserved for records that give space
 * back, so that a full pool can be emptied.
 */
#include "volume.h"

/*
 * Checks the gate, and whether the pool takes writes, before metadata is read
 * for the bio.  The token is put again.
 */
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

/*
 * The token is held from the lock to the publication, as a snapshot waits for
 * it.
 */
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
 * The bio waits in a list, not in a worker.  A queue has at most 256 workers
 * (WQ_DFL_ACTIVE), and they could all wait for credits of writes that are
 * throttled.
 */
static int wait_for_credit(struct hpm_volume *v, struct hpm_bio *hb)
{
	/* A part has failed, so the bio ends with an error in any case. */
	if (READ_ONCE(hb->bio->bi_status))
		return -EIO;
	hpm_pool_wait_unmap(v->pool, hb->bio);
	return HPM_WAITS;
}

/* Unmaps a range inside one large block. */
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

/* The whole blocks of the rest of the bio: first_block() to end_block() - 1. */
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

/*
 * Writes zeroes to a part of a block at either end of the bio, unless it is a
 * hole.
 */
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
