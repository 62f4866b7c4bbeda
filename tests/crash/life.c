// SPDX-License-Identifier: GPL-2.0-only
/*
 * Uses a pool after a recovery, and crashes it again.
 *
 * A crash leaves parts of batches in the journal that the recovery did not use.
 * Later batches overwrite some of them, and the rest must never be taken for a
 * part of a later batch.  So each round maps another range of a new volume,
 * with more records than one journal block holds, and the power fails while the
 * batch is written.  Afterwards, all mappings of the round must be there or
 * none, and those of earlier rounds must be unchanged.
 */
#include "replay.h"

#define LIFE_VOLUME 999u
/*
 * Two journal blocks; more records would need a checkpoint between, for
 * metadata space.
 */
#define LIFE_RECORDS 150u
#define LIFE_ROUNDS  3u

static int publish(struct hpm_md *md, struct hpm_vol *vol, u64 vbn, u64 pbn)
{
	struct hpm_change *c;
	LIST_HEAD(waiters);
	int r;

	r = hpm_credit_wait(md, 1, HPM_FOR_WRITE);
	if (r)
		return r;
	c = hpm_change_alloc(md, GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	c->vol = vol;
	c->type = HPM_REC_MAP;
	c->vbn = vbn;
	c->nr = 1;
	c->pbn = pbn;
	r = hpm_change_lock(c, NULL);
	if (r)
		return r;
	hpm_change_publish(c, &waiters);
	return 0;
}

/* Every other block, so that each takes a record. */
static u64 vbn_of(unsigned int round, unsigned int i)
{
	return (u64)round * 2 * LIFE_RECORDS + 2 * i;
}

static int use(struct hpm_md *md, struct hpm_vol *vol, unsigned int round,
	       u64 *pbn)
{
	struct hpm_stock stock;
	unsigned int i;
	int r = 0;

	hpm_stock_init(&stock);
	for (i = 0; i < LIFE_RECORDS && !r; i++) {
		while (!hpm_stock_take(&stock, 1, &pbn[i]) && !r)
			r = hpm_space_refill(md, &stock);
		if (!r)
			r = publish(md, vol, vbn_of(round, i), pbn[i]);
	}
	hpm_space_return(md, &stock);
	return r;
}

/* Returns where @vbn is mapped; HPM_PBN_HOLE: it is not. */
static u64 where(struct hpm_vol *vol, u64 vbn)
{
	struct hpm_run run;
	int r;

	while ((r = hpm_map_lookup(vol, vbn, 1, &run)) == -EAGAIN)
		if (hpm_map_load(vol, vbn))
			break;
	if (r) {
		complain("life: block %llu cannot be looked up: %d", vbn, r);
		return HPM_PBN_HOLE;
	}
	return run.mapped ? run.pbn : HPM_PBN_HOLE;
}

/* Compares the result; the first @safe records were durable before the cut. */
static void compare(struct hpm_vol *vol, u64 seen[][LIFE_RECORDS],
		    unsigned int round, const u64 *new, unsigned int safe)
{
	unsigned int i, k, nr = 0;

	while (nr < LIFE_RECORDS && where(vol, vbn_of(round, nr)) == new[nr])
		nr++;
	if (nr != safe && nr != LIFE_RECORDS)
		complain("life: %u of %u records are there, %u were durable",
			 nr, LIFE_RECORDS, safe);
	for (i = 0; i < LIFE_RECORDS; i++)
		seen[round][i] = i < nr ? new[i] : HPM_PBN_HOLE;
	for (k = 0; k <= round; k++) {
		for (i = 0; i < LIFE_RECORDS; i++) {
			u64 pbn = where(vol, vbn_of(k, i));

			if (pbn != seen[k][i])
				complain(
					"life: block %llu is at %lld, not at %lld",
					vbn_of(k, i), pbn, seen[k][i]);
		}
	}
}

/* Returns how many records are durable already, because space was needed. */
static unsigned int durable_records(struct hpm_md *md)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(md, &st);
	return LIFE_RECORDS - (st.record - st.record_durable);
}

static struct hpm_md *round_of_life(struct hpm_md *md, u64 *rnd,
				    u64 seen[][LIFE_RECORDS],
				    unsigned int round)
{
	u64 new[LIFE_RECORDS];
	struct hpm_vol *vol;
	unsigned int safe;
	int r;

	if (hpm_vol_open(md, LIFE_VOLUME, &vol)) {
		complain("life: the volume is not there");
		hpm_md_close(md);
		return NULL;
	}
	r = use(md, vol, round, new);
	safe = durable_records(md);
	/* the data's flush, then the batch */
	image_cut_at(2);
	if (!r)
		hpm_md_commit(md);
	hpm_vol_put(vol);
	hpm_md_close(md);
	if (r) {
		if (r != -ENOSPC)
			complain("life: the pool cannot be used: %d", r);
		return NULL;
	}
	image_tear(rnd, true);
	md = reopen();
	if (!md || hpm_vol_open(md, LIFE_VOLUME, &vol)) {
		complain("life: the volume is not there after a crash");
		return md;
	}
	compare(vol, seen, round, new, safe);
	hpm_vol_put(vol);
	return md;
}

void life(struct hpm_md *md, u64 seed)
{
	u64 seen[LIFE_ROUNDS][LIFE_RECORDS];
	const char *why;
	unsigned int i;
	int r;

	r = hpm_vol_create(md, LIFE_VOLUME, 0, NULL, &why);
	if (r) {
		if (r != -ENOSPC)
			complain("life: %s (%d)", why, r);
		hpm_md_close(md);
		return;
	}
	for (i = 0; i < LIFE_ROUNDS && md; i++)
		md = round_of_life(md, &seed, seen, i);
	if (md)
		hpm_md_close(md);
}
