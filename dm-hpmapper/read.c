// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads.  A run of blocks that are contiguous on the data device is one bio.
 * Holes read as zeroes.  If a part of the map is not in memory, a worker loads
 * it.
 */
#include "cache.h"
#include "pause.h"

/* A shared run may be cached. */
static int read_shared(struct hpm_volume *v, struct hpm_bio *hb,
		       struct bio *bio, const struct hpm_run *run)
{
	struct hpm_piece p;
	int r;

	hpm_piece_init(&p, bio->bi_iter.bi_sector, bio_sectors(bio));
	p.pbn = run->pbn;
	hpm_piece_cut(&p, run->nr);
	r = hpm_intercept_map(v, hb, bio, &p);
	if (r != DM_MAPIO_REMAPPED)
		return r;
	if (p.sectors < bio_sectors(bio))
		dm_accept_partial_bio(bio, p.sectors);
	return hpm_map_to(v, bio, hpm_piece_target(&p));
}

int hpm_read_map(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio)
{
	sector_t sector = bio->bi_iter.bi_sector;
	unsigned int offset = sector % HPM_BLOCK_SECTORS;
	u32 span = hpm_span(offset, bio_sectors(bio));
	struct hpm_run run;
	int r;

	if (unlikely(hpm_pool_failed(v->pool)))
		return hpm_map_end(bio, -EIO);
	r = hpm_find_run(v, sector / HPM_BLOCK_SECTORS, span, &run);
	if (unlikely(r))
		return r == -EAGAIN ? hpm_map_defer(hb, bio) :
				      hpm_map_end(bio, r);
	if (run.shared && run.mapped && hpm_cache_shares(v))
		return read_shared(v, hb, bio, &run);
	if (run.nr < span)
		dm_accept_partial_bio(bio, run.nr * HPM_BLOCK_SECTORS - offset);
	if (!run.mapped) {
		zero_fill_bio(bio);
		return hpm_map_end(bio, 0);
	}
	return hpm_map_to(v, bio, run.pbn * HPM_BLOCK_SECTORS + offset);
}

/* Cuts the piece to the run that it begins with. */
static int find(struct hpm_volume *v, struct hpm_piece *p, struct hpm_run *run)
{
	int r;

	if (hpm_pool_failed(v->pool))
		return -EIO;
	r = hpm_find_run(v, p->vbn, hpm_piece_span(p), run);
	if (!r) {
		p->pbn = run->pbn;
		hpm_piece_cut(p, run->nr);
	}
	return r;
}

static void zero_part(struct hpm_part *part, const struct hpm_piece *p)
{
	struct hpm_bio *hb = part->hb;

	bio_trim(&part->bio, hb->done, p->sectors);
	zero_fill_bio(&part->bio);
	hpm_op_end(hb->v, &part->op, BLK_STS_OK);
	hpm_part_free(part);
	hb->done += p->sectors;
}

/* Serves what is cached from the front of the piece on; false: nothing is. */
static bool serve_part(struct hpm_part *part, const struct hpm_piece *p)
{
	struct hpm_bio *hb = part->hb;
	unsigned int sectors;

	sectors = hpm_intercept_step(hb->v, hb, p);
	if (!sectors)
		return false;
	hpm_op_end(hb->v, &part->op, BLK_STS_OK);
	hpm_part_free(part);
	hb->done += sectors;
	return true;
}

int hpm_read_step(struct hpm_volume *v, struct hpm_bio *hb)
{
	struct hpm_part *part = hpm_part_alloc(hb);
	struct hpm_piece p;
	struct hpm_run run;
	int r;

	hpm_pause(HPM_POINT_STEP);
	do {
		r = hpm_gate_enter(v, hb, HPM_GATE_READS, &part->op.token);
		if (r)
			break;
		hpm_piece_init(&p, hpm_bio_sector(hb), hb->sectors - hb->done);
		r = find(v, &p, &run);
		if (!r) {
			if (!run.mapped)
				zero_part(part, &p);
			else if (!(run.shared && hpm_cache_shares(v) &&
				   serve_part(part, &p)))
				hpm_part_submit(part, &p);
			return 0;
		}
		hpm_volume_token_put(v, part->op.token);
		if (r == -EAGAIN)
			r = hpm_map_load(v->vol, p.vbn);
	} while (!r);

	hpm_part_free(part);
	return r;
}
