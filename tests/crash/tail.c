// SPDX-License-Identifier: GPL-2.0-only
/*
 * tail FILE: makes a pool that crashed with the most records behind its
 * checkpoint that a pool can have, each for another leaf.
 *
 * The volume's blocks are consecutive, so a leaf holds at most HPM_LEAF_MAX of
 * them, and two blocks that are farther apart are in different leaves.
 */
#include "hpm_lib.h"
#include "format.h"
#include "metadata-pool.h"
#include "metadata-volume.h"

#define STRIDE	(HPM_LEAF_MAX + 1)
#define RECORDS 20200ull /* a little more than it will take */
#define SHIFT	9u
#define BLOCKS	(RECORDS * STRIDE)
#define META	(1024ull << 8)
#define DATA	(BLOCKS + (RECORDS << 2))

/* There is no data device: only the metadata are used. */
static int no_flush(struct hpm_io *io)
{
	(void)io;
	return 0;
}

static struct hpm_md *md;
static struct hpm_vol *vol;

static void must(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "tail: %s: %d\n", what, r);
	exit(1);
}

static void publish(u8 type, u64 vbn, u32 nr, u64 pbn)
{
	struct hpm_change *c = hpm_change_alloc(md, GFP_KERNEL);
	LIST_HEAD(waiters);

	must(c ? 0 : -ENOMEM, "a change");
	c->vol = vol;
	c->type = type;
	c->vbn = vbn;
	c->nr = nr;
	c->pbn = pbn;
	must(hpm_change_lock(c, NULL), "a lock");
	hpm_change_publish(c, &waiters);
}

/* Maps all blocks of each large block but the first, as small blocks. */
static void fill(void)
{
	u32 nr = (1u << SHIFT) - 1;
	u64 vbn, pbn;

	for (vbn = 0; vbn < BLOCKS; vbn += 1 << SHIFT) {
		must(hpm_credit_wait(md, 1, HPM_FOR_WRITE), "credit");
		must(hpm_space_take_large(md, &pbn), "a large block");
		publish(HPM_REC_MAP, vbn + 1, nr, pbn + 1);
	}
	must(hpm_md_apply(md), "apply");
	must(hpm_md_checkpoint(md), "checkpoint");
	must(hpm_md_checkpoint(md), "checkpoint");
}

/* Gets a credit; false: none is left before a checkpoint. */
static bool credit(void)
{
	int r = hpm_credit_get(md, 1, HPM_FOR_DATA);

	if (r != -EAGAIN)
		return !r;
	must(hpm_md_apply(md), "apply");
	must(hpm_md_commit(md), "commit");
	return !hpm_credit_get(md, 1, HPM_FOR_DATA);
}

static void records(void)
{
	struct hpm_stock stock;
	u64 i, vbn, pbn;

	hpm_stock_init(&stock);
	for (i = 0; i < RECORDS && credit(); i++) {
		vbn = i * STRIDE;
		vbn += !(vbn % (1 << SHIFT));
		while (!hpm_stock_take(&stock, 1, &pbn))
			must(hpm_space_refill(md, &stock), "blocks");
		publish(HPM_REC_MAP, vbn, 1, pbn);
	}
	must(hpm_md_commit(md), "commit");
}

int main(int argc, char **argv)
{
	struct hpm_md_params params = { .large_shift = SHIFT,
					.may_format = true,
					.cache_nodes = 100000 };
	struct hpm_md_stats before, st;
	static const struct hpm_md_ops ops;
	struct hpm_io_ops io_ops;
	const char *why = "usage: tail FILE";
	struct hpm_io *io;

	must(argc == 2 ? 0 : -EINVAL, why);
	must(hpm_io_file_open(argv[1], NULL, DATA, 0, &io, &why), why);
	io_ops = *io->ops;
	io_ops.flush_data = no_flush;
	io->ops = &io_ops;
	must(hpm_md_open(io, &params, &ops, NULL, &md, &why), why);
	must(hpm_vol_create(md, 1, BLOCKS, NULL, &why), why);
	must(hpm_vol_open(md, 1, &vol), "open");
	fill();
	hpm_md_get_stats(md, &before);
	records();
	hpm_md_get_stats(md, &st);
	if (st.checkpoints != before.checkpoints)
		must(-EINVAL, "a checkpoint came in between");
	printf("%llu records in %llu journal blocks, %llu metadata blocks in use, %llu data sectors\n",
	       st.record - before.record, st.journal_blocks_used, st.meta_used,
	       (u64)DATA * HPM_BLOCK_SECTORS);
	return 0; /* the crash */
}
