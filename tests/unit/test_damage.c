// SPDX-License-Identifier: GPL-2.0-only
/*
 * Damaged blocks: the loss of one superblock costs nothing; any other damage is
 * found, named, and never read as if it were right.
 */
#include "hpm_check.h"
#include "engine.h"
#include "array.h"
#include "busy.h"
#include "space.h"
#include "rig.h"
#include "sim.h"

static struct sim *begin(void)
{
	struct sim_params p = sim_small(rig_seed());

	p.data_blocks = 2048;
	return sim_create(&p);
}

/* Returns a copy of the pool as a crash right now would leave it. */
static struct hpm_io *copy(struct sim *s)
{
	return hpm_mem_crash(s->io, HPM_LOSE_NONE, 1);
}

static int open_io(struct hpm_io *io, struct hpm_md **md, const char **why)
{
	struct hpm_md_params p = { .large_shift = 4 };

	*why = NULL;
	return hpm_md_open(io, &p, NULL, NULL, md, why);
}

static void flip_bit(struct hpm_io *io, u64 block, unsigned int bit)
{
	u8 data[HPM_BLOCK_SIZE];

	memcpy(data, hpm_mem_peek(io, block), sizeof(data));
	data[bit / 8] ^= 1u << bit % 8;
	hpm_mem_poke(io, block, data);
}

static void write_some(struct sim *s)
{
	unsigned int i;

	for (i = 0; i < 12; i++) {
		sim_write_blocks(s, 1, sim_rnd(s, 200), 1 + sim_rnd(s, 20));
		if (i % 4 == 1)
			assert_int_equal(sim_commit(s), 0);
	}
}

/*
 *----------------------------------------------------------------
 * Superblocks
 *--------------------------------------------------------------
 */

/* Opens @s with each superblock damaged; the state must be the same. */
static void lose_each_super(struct sim *s)
{
	static const u64 place[2] = { HPM_SUPER_A, HPM_SUPER_B };
	u8 kept[HPM_BLOCK_SIZE];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		memcpy(kept, hpm_mem_peek(s->io, place[i]), sizeof(kept));
		flip_bit(s->io, place[i], sim_rnd(s, HPM_BLOCK_SIZE * 8));
		sim_crash_look(s, HPM_LOSE_ALL, i, 0);
		sim_crash_look(s, HPM_LOSE_ALL, i, 1 + sim_rnd(s, 20));
		hpm_mem_poke(s->io, place[i], kept);
	}
}

static void test_one_super(void **state)
{
	struct sim *s = begin();
	unsigned int i;

	(void)state;
	sim_msg_create(s, 1);
	for (i = 0; i < 8; i++) {
		write_some(s);
		if (i % 3 == 0)
			sim_msg_snap(s, 10 + i, 1);
		if (i % 2)
			sim_checkpoint(s);
		else
			sim_commit(s);
		lose_each_super(s);
		if (i == 4)
			sim_crash(s, HPM_LOSE_SECTORS, i);
		lose_each_super(s);
	}
	sim_destroy(s);
}

static void test_both_supers(void **state)
{
	struct sim *s = begin();
	struct hpm_io *io = copy(s);
	struct hpm_md *md;
	const char *why;

	(void)state;
	flip_bit(io, HPM_SUPER_A, 700);
	flip_bit(io, HPM_SUPER_B, 700);
	assert_int_equal(open_io(io, &md, &why), -EUCLEAN);
	assert_non_null(why);
	hpm_io_close(io);
	sim_destroy(s);
}

/*
 * Changes that are not in the older superblock: growth, and what came after it.
 */
static void test_super_after_growth(void **state)
{
	struct sim_params p = sim_small(rig_seed());
	const char *why;
	struct sim *s;

	(void)state;
	p.data_blocks = 512;
	s = sim_create(&p);
	sim_msg_create(s, 1);
	write_some(s);
	hpm_mem_resize(s->io, 2500, 4096);
	s->p.data_blocks = 4096;
	assert_int_equal(hpm_md_grow(s->md, &why), 0);
	sim_write_blocks(s, 1, 0, 256);
	sim_msg_snap(s, 2, 1);
	sim_write_blocks(s, 1, 0, 256);
	sim_msg_snap(s, 3, 1);
	sim_write_blocks(s, 1, 0, 256);
	sim_commit(s);
	lose_each_super(s);
	sim_check(s);
	sim_destroy(s);
}

static void test_super_needs_check(void **state)
{
	struct sim *s = begin();
	struct hpm_md_stats st;
	struct hpm_io *io;
	struct hpm_md *md;
	const char *why;
	unsigned int i;
	u64 events;

	(void)state;
	sim_msg_create(s, 1);
	write_some(s);
	assert_int_equal(hpm_md_set_needs_check(s->md), 0);
	for (i = 0; i < 3; i++) {
		/*
		 * The write is durable by itself, although nothing else was
		 * flushed.
		 */
		io = hpm_mem_crash(s->io, HPM_LOSE_ALL, i);
		if (i)
			flip_bit(io, i == 1 ? HPM_SUPER_A : HPM_SUPER_B, 999);
		events = hpm_mem_events(io);
		assert_int_equal(open_io(io, &md, &why), 0);
		assert_int_equal(hpm_md_mode(md), HPM_MODE_READ_ONLY);
		assert_non_null(strstr(hpm_md_why(md), "check"));
		hpm_md_get_stats(md, &st);
		assert_true(st.needs_check);
		assert_int_equal(st.nr_volumes, 1);
		assert_int_equal(hpm_credit_get(md, 1, HPM_FOR_DATA), -EROFS);
		assert_int_equal(hpm_md_checkpoint(md), -EROFS);
		assert_int_equal(hpm_md_shutdown(md), 0);
		hpm_md_close(md);
		/* Nothing was written. */
		assert_int_equal(hpm_mem_events(io), events);
		hpm_io_close(io);
	}
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * The journal
 *--------------------------------------------------------------
 */

/* Where the newest checkpoint's journal begins. */
static u64 journal_pos(struct sim *s)
{
	const struct hpm_super *a = hpm_mem_peek(s->io, HPM_SUPER_A);
	const struct hpm_super *b = hpm_mem_peek(s->io, HPM_SUPER_B);

	if (le64_to_cpu(b->generation) > le64_to_cpu(a->generation))
		a = b;
	return le64_to_cpu(a->journal_pos);
}

/* Ring blocks that were written since the checkpoint, in order of position. */
static unsigned int journal_blocks(struct sim *s, u64 *block, unsigned int max)
{
	u64 pos[64], b, from = journal_pos(s);
	unsigned int n = 0, i, j;
	struct hpm_md_stats st;

	hpm_md_get_stats(s->md, &st);
	for (b = HPM_RESERVED_BLOCKS;
	     b < HPM_RESERVED_BLOCKS + st.journal_blocks; b++) {
		const struct hpm_journal_block *jb = hpm_mem_peek(s->io, b);

		if (le32_to_cpu(jb->head.magic) != HPM_MAGIC || n == max ||
		    le64_to_cpu(jb->head.aux) < from)
			continue;
		for (i = 0; i < n && pos[i] < le64_to_cpu(jb->head.aux); i++)
			;
		for (j = n; j > i; j--) {
			pos[j] = pos[j - 1];
			block[j] = block[j - 1];
		}
		pos[i] = le64_to_cpu(jb->head.aux);
		block[i] = b;
		n++;
	}
	return n;
}

static void test_journal_middle(void **state)
{
	struct sim *s = begin();
	unsigned int i, bit, nr;
	struct hpm_io *io;
	struct hpm_md *md;
	const char *why;
	char word[32];
	u64 block[64];
	int r;

	(void)state;
	for (i = 0; i < 10; i++)
		sim_msg_create(s, i);
	nr = journal_blocks(s, block, 64);
	assert_int_equal(nr, 10);
	for (i = 0; i < nr; i++) {
		for (bit = 0; bit < 40; bit++) {
			io = copy(s);
			flip_bit(io, block[i],
				 bit < 20 ? bit * 37 :
					    sim_rnd(s, HPM_BLOCK_SIZE * 8));
			rig_logged();
			r = open_io(io, &md, &why);
			if (i == nr - 1) {
				/* The last batch looks torn. */
				assert_int_equal(r, 0);
				hpm_md_close(md);
			} else {
				assert_int_equal(r, -EUCLEAN);
				assert_non_null(strstr(why, "journal"));
				snprintf(word, sizeof(word), "block %llu ",
					 block[i]);
				assert_non_null(strstr(rig_last_line(), word));
			}
			hpm_io_close(io);
		}
	}
	sim_destroy(s);
}

/* Damages a batch of several blocks, in each of them. */
static void test_journal_long_batch(void **state)
{
	struct sim_params p = sim_small(rig_seed());
	unsigned int i, k, nr;
	struct hpm_io *io;
	struct hpm_md *md;
	const char *why;
	char word[32];
	struct sim *s;
	u64 block[64];

	(void)state;
	p.meta_blocks = 16384;
	p.vol_blocks = 1024;
	p.data_blocks = 8192;
	s = sim_create(&p);
	sim_msg_create(s, 1);
	for (k = 0; k < 3; k++) {
		for (i = 0; i < 700; i++)
			sim_write_blocks(s, 1, i * 7 % 1024, 1);
		sim_msg_snap(s, 2 + k, 1);
	}
	sim_msg_tid(s, 5);
	nr = journal_blocks(s, block, 64);
	fprintf(stderr, "    %u blocks\n", nr);
	assert_true(nr >= 3);
	sim_crash_look(s, HPM_LOSE_ALL, 1, 0);
	for (i = 0; i < nr - 1; i++) {
		io = copy(s);
		flip_bit(io, block[i], 5000);
		rig_logged();
		assert_int_equal(open_io(io, &md, &why), -EUCLEAN);
		snprintf(word, sizeof(word), "block %llu ", block[i]);
		assert_non_null(strstr(rig_last_line(), word));
		hpm_io_close(io);
	}
	sim_destroy(s);
}

/* Does the newest batch wrap around the end of the ring? */
static bool batch_wraps(struct sim *s)
{
	const struct hpm_journal_block *first =
		hpm_mem_peek(s->io, HPM_RESERVED_BLOCKS);
	const struct hpm_journal_block *next;
	unsigned int left =
		le16_to_cpu(first->blocks) - le16_to_cpu(first->index);

	next = hpm_mem_peek(s->io, HPM_RESERVED_BLOCKS + left);
	return le32_to_cpu(first->head.magic) == HPM_MAGIC && first->index &&
	       le64_to_cpu(next->seq) <= le64_to_cpu(first->seq);
}

/* The ring wraps many times, with long and short batches. */
static void test_journal_wraps(void **state)
{
	struct sim_params p = sim_small(rig_seed());
	struct hpm_md_stats st;
	unsigned int i, k, n, wraps = 0;
	struct sim *s;
	u64 at;

	(void)state;
	p.meta_blocks = 4096;
	p.vol_blocks = 1024;
	p.data_blocks = 8192;
	s = sim_create(&p);
	sim_msg_create(s, 1);
	for (i = 0; i < 300; i++) {
		if (i % 16 == 0 && sim_vol(s, 2))
			sim_msg_delete(s, 2);
		if (i % 16 == 0)
			sim_msg_snap(s, 2, 1);
		/*
		 * Two records for each write; writes in place would have none.
		 */
		n = i % 4 ? sim_rnd(s, 8) : 350;
		for (k = 0; k < n; k++) {
			at = sim_rnd(s, 1024);
			sim_discard_blocks(s, 1, at, 1);
			sim_write_blocks(s, 1, at, 1);
			if (k % 40 == 0)
				hpm_md_apply(s->md);
		}
		sim_commit(s);
		/* The first part of a batch that wraps has no FUA. */
		if (batch_wraps(s)) {
			wraps++;
			sim_crash_look(s, HPM_LOSE_ALL, i, 0);
		}
		while (sim_reclaim(s) > 0)
			;
		if (i % 50 == 10)
			sim_crash(s, HPM_LOSE_SECTORS, i);
		if (i % 10 == 3)
			lose_each_super(s);
	}
	hpm_md_get_stats(s->md, &st);
	assert_int_equal(st.journal_blocks, 256);
	fprintf(stderr, "    %u batches stood across the end of the ring\n",
		wraps);
	assert_true(wraps > 0);
	sim_compare(s);
	sim_check(s);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * Everything else
 *--------------------------------------------------------------
 */

static void ignore_fault(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
}

static u64 faults(struct hpm_io *io)
{
	struct hpm_check_params p = { .error = ignore_fault };
	struct hpm_check_result res;
	int r = hpm_check(io, &p, &res);

	return r ? 1 : res.errors;
}

/* Reads every block of every volume: the result must be right, or an error. */
static void read_all(struct sim *s, struct hpm_md *md)
{
	unsigned int i;
	u64 vbn, got;
	int r;

	for (i = 0; i < SIM_MAX_VOLS; i++) {
		struct sim_vol *v = &s->vols[i];
		struct hpm_vol *vol;
		struct hpm_run run;

		if (!v->exists)
			continue;
		r = hpm_vol_open(md, v->id, &vol);
		assert_int_equal(r, 0);
		for (vbn = 0; vbn < s->p.vol_blocks; vbn++) {
			r = hpm_map_lookup(vol, vbn, 1, &run);
			if (r == -EAGAIN) {
				r = hpm_map_load(vol, vbn);
				if (r)
					continue;
				r = hpm_map_lookup(vol, vbn, 1, &run);
			}
			assert_int_equal(r, 0);
			got = 0;
			if (run.mapped)
				hpm_mem_data_read(s->io, run.pbn * HPM_SECTORS,
						  1, &got);
			if (got != v->now[vbn * HPM_SECTORS])
				sim_fail(s, "volume %u block %llu: wrong bytes",
					 v->id, vbn);
		}
		hpm_vol_put(vol);
	}
}

/* The pool is not opened, or every read is right or an error. */
static void open_and_read(struct sim *s, unsigned int *opened)
{
	struct hpm_io *io = copy(s);
	struct hpm_md *md;
	const char *why;

	if (!open_io(io, &md, &why)) {
		read_all(s, md);
		hpm_md_close(md);
		++*opened;
	}
	hpm_io_close(io);
}

/*
 * Flips a bit of each block in use.  Either the pool is not opened, or every
 * read is right or an error; and the checker finds the damage.
 */
static void test_any_block(void **state)
{
	unsigned int failed = 0, opened = 0, i;
	u64 b, round, rounds = rig_scale();
	struct sim_params p = sim_small(rig_seed());
	struct sim *s;
	struct hpm_io *io;
	struct hpm_md *md;
	const char *why;
	int r;

	(void)state;
	p.vol_blocks = 4096;
	p.data_blocks = 16384;
	s = sim_create(&p);
	sim_msg_create(s, 1);
	for (i = 0; i < 4000; i += 3)
		sim_write_blocks(s, 1, i, 1);
	for (i = 0; i < 3; i++) {
		write_some(s);
		sim_msg_snap(s, 2 + i, 1);
		sim_stream(s, 1, 16 * i);
		write_some(s);
	}
	sim_msg_delete(s, 2);
	sim_reclaim(s);
	sim_checkpoint(s);
	sim_checkpoint(s);
	for (round = 0; round < rounds; round++) {
		for (b = 0; b < s->p.meta_blocks; b++) {
			if (b >= HPM_RESERVED_BLOCKS &&
			    b < HPM_RESERVED_BLOCKS + 128)
				continue;
			io = copy(s);
			flip_bit(io, b, sim_rnd(s, HPM_BLOCK_SIZE * 8));
			/*
			 * Free blocks, and blocks of the older state, are not
			 * checked.
			 */
			if (!faults(io)) {
				hpm_io_close(io);
				continue;
			}
			r = open_io(io, &md, &why);
			if (r) {
				assert_non_null(why);
				failed++;
			} else {
				read_all(s, md);
				hpm_md_close(md);
				opened++;
			}
			hpm_io_close(io);
		}
	}
	fprintf(stderr,
		"    %u damaged blocks kept the pool from opening, %u did not\n",
		failed, opened);
	assert_true(failed > 0);
	sim_destroy(s);
}

/*
 * Puts an older version of a block in its place, with a good checksum: a lost
 * write.
 */
static void test_lost_write(void **state)
{
	u64 b, found = 0, missed = 0;
	unsigned int opened = 0;
	u8 kept[HPM_BLOCK_SIZE];
	struct sim *s = begin();
	struct hpm_io *before = NULL;
	unsigned int i;

	(void)state;
	sim_msg_create(s, 1);
	for (i = 0; i < 200; i++)
		sim_write_blocks(s, 1, i, 1);
	/* Repeats until blocks are reused for the same purpose. */
	for (i = 0; i < 150; i++) {
		sim_write_blocks(s, 1, sim_rnd(s, 200), 3);
		if (sim_vol(s, 2))
			sim_msg_delete(s, 2);
		while (sim_reclaim(s) > 0)
			;
		sim_msg_snap(s, 2, 1);
		sim_checkpoint(s);
		if (i == 110)
			before = copy(s);
	}
	for (b = HPM_RESERVED_BLOCKS + 64; b < s->p.meta_blocks; b++) {
		if (!memcmp(hpm_mem_peek(before, b), hpm_mem_peek(s->io, b),
			    HPM_BLOCK_SIZE))
			continue;
		memcpy(kept, hpm_mem_peek(s->io, b), sizeof(kept));
		hpm_mem_poke(s->io, b, hpm_mem_peek(before, b));
		if (faults(s->io)) {
			found++;
			open_and_read(s, &opened);
		} else {
			missed++;
		}
		hpm_mem_poke(s->io, b, kept);
	}
	fprintf(stderr,
		"    %llu lost writes found, %u opened, %llu of blocks not in use\n",
		found, opened, missed);
	assert_true(found >= 3);
	hpm_io_close(before);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * Counts of data blocks
 *--------------------------------------------------------------
 */

#define HOLED 100 /* large blocks with a hole in each */

static struct sim *begin_holed(void)
{
	struct sim_params p = sim_small(rig_seed());
	struct sim *s;
	unsigned int i;

	p.meta_blocks = 4096;
	p.data_blocks = 16384;
	p.vol_blocks = 4096;
	s = sim_create(&p);
	sim_msg_create(s, 1);
	for (i = 0; i < HOLED; i++)
		assert_int_equal(sim_write_blocks(s, 1, i * 16, 15), 0);
	assert_int_equal(sim_checkpoint(s), 0);
	for (i = 0; i < HOLED; i++)
		assert_int_equal(sim_discard_blocks(s, 1, i * 16 + 2, 10), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(sim_checkpoint(s), 0);
		sim_drain_all(s);
	}
	return s;
}

/*
 * Damages the first leaf of the small blocks' counts, in each version that
 * exists.
 */
static void damage_counts(struct hpm_io *io, u64 blocks)
{
	unsigned int done = 0;
	u64 b;

	for (b = HPM_RESERVED_BLOCKS; b < blocks; b++) {
		const struct hpm_block_head *h = hpm_mem_peek(io, b);

		if (le32_to_cpu(h->magic) != HPM_MAGIC ||
		    h->type != HPM_BT_ARR_LEAF || h->kind != HPM_ARR_SMALL ||
		    le64_to_cpu(h->aux))
			continue;
		flip_bit(io, b, 8 * 3000);
		done++;
	}
	assert_true(done);
}

/* Changes a count like a record that names allocated blocks. */
static int count(struct hpm_md *md, u64 pbn, u32 nr, int delta)
{
	int r;

	mutex_lock(&md->lock);
	r = hpm_space_count_small(md, pbn, nr, delta);
	mutex_unlock(&md->lock);
	return r;
}

/* Allocates everything; a record must be able to name each block. */
static u64 take_all(struct hpm_md *md, u64 *last)
{
	struct hpm_stock st;
	u64 pbn, total = 0;
	u32 nr;
	int r;

	hpm_stock_init(&st);
	while (!(r = hpm_space_refill(md, &st))) {
		while ((nr = hpm_stock_take(&st, 64, &pbn))) {
			assert_int_equal(count(md, pbn, nr, 1), 0);
			hpm_space_settle(md, pbn, nr);
			total += nr;
			*last = pbn;
		}
	}
	assert_int_equal(r, -ENOSPC);
	return total;
}

/*
 * One damaged block of counts makes its large blocks unusable, and no others:
 * everything that is free elsewhere is allocated, in small blocks and in large
 * ones.  Then the pool is full, and callers are not told to try again.
 */
static void test_counts_damaged(void **state)
{
	struct sim *s = begin_holed();
	struct hpm_io *io = copy(s);
	struct hpm_md_stats st;
	u64 pbn, last = 0, span, total;
	unsigned int lines;
	struct hpm_md *md;
	const char *why;

	(void)state;
	damage_counts(io, s->p.meta_blocks);
	assert_int_equal(open_io(io, &md, &why), 0);
	span = md->array[HPM_ARR_SMALL].per_leaf;
	rig_logged();
	total = take_all(md, &last);
	assert_true(rig_logged() > 0);
	assert_int_equal(hpm_space_take_large(md, &pbn), -ENOSPC);
	/* All blocks in use are where the damage is. */
	assert_int_equal(total, s->p.data_blocks - span);

	hpm_md_get_stats(md, &st);
	assert_int_equal(st.data_free_now, 0);
	lines = rig_logged();
	assert_int_equal(take_all(md, &last), 0);
	assert_int_equal(lines + rig_logged(), 0);

	/* A block that is freed elsewhere can be allocated. */
	assert_int_equal(count(md, last, 1, -1), 0);
	assert_int_equal(hpm_md_commit(md), 0);
	hpm_md_get_stats(md, &st);
	assert_int_equal(st.data_free_now, 1);
	assert_int_equal(take_all(md, &last), 1);
	assert_int_equal(hpm_md_mode(md), HPM_MODE_WRITE);
	hpm_md_close(md);
	hpm_io_close(io);
	sim_destroy(s);
}

/* A large block is the first allocation after the damage is known. */
static void test_counts_damaged_large(void **state)
{
	struct sim *s = begin_holed();
	struct hpm_io *io = copy(s);
	struct hpm_stock st;
	struct hpm_md *md;
	const char *why;
	u64 pbn;

	(void)state;
	damage_counts(io, s->p.meta_blocks);
	assert_int_equal(open_io(io, &md, &why), 0);
	hpm_stock_init(&st);
	assert_int_equal(hpm_space_refill(md, &st), 0);
	while (!hpm_space_take_large(md, &pbn)) {
		assert_int_equal(count(md, pbn, 16, 1), 0);
		hpm_space_settle(md, pbn, 16);
	}
	hpm_space_return(md, &st);
	hpm_md_close(md);
	hpm_io_close(io);
	sim_destroy(s);
}

/*
 * Counts that could not be read for a while are used again when the pool is
 * opened.
 */
static void test_counts_unreadable(void **state)
{
	struct sim *s = begin_holed();
	struct hpm_io *io = copy(s);
	u64 last, total;
	struct hpm_stock st;
	struct hpm_md *md;
	const char *why;
	unsigned int i;

	(void)state;
	assert_int_equal(open_io(io, &md, &why), 0);
	total = take_all(md, &last);
	hpm_md_close(md);
	hpm_io_close(io);

	io = copy(s);
	assert_int_equal(open_io(io, &md, &why), 0);
	hpm_stock_init(&st);
	for (i = 1; i < 10; i++) {
		hpm_md_nodes_scan(md, 1000);
		hpm_mem_fail(io, HPM_MEM_READ, i, false);
		assert_int_equal(hpm_space_refill(md, &st), 0);
		hpm_space_return(md, &st);
	}
	/* From one of them on, with none of them in memory. */
	hpm_array_release(&md->array[HPM_ARR_SMALL]);
	hpm_array_release(&md->array[HPM_ARR_LARGE]);
	hpm_md_nodes_scan(md, 1000);
	hpm_mem_fail(io, HPM_MEM_READ, 1, true);
	for (i = 0; i < 100; i++) {
		hpm_space_refill(md, &st);
		hpm_space_return(md, &st);
	}
	hpm_mem_fail(io, HPM_MEM_READ, 0, false);
	assert_int_equal(hpm_md_mode(md), HPM_MODE_WRITE);
	hpm_md_close(md);
	assert_int_equal(open_io(io, &md, &why), 0);
	assert_int_equal(take_all(md, &last), total);
	hpm_md_close(md);
	hpm_io_close(io);
	sim_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_one_super),
		rig_test(test_both_supers),
		rig_test(test_super_after_growth),
		rig_test(test_super_needs_check),
		rig_test(test_journal_middle),
		rig_test(test_journal_long_batch),
		rig_test(test_journal_wraps),
		rig_test(test_any_block),
		rig_test(test_lost_write),
		rig_test(test_counts_damaged),
		rig_test(test_counts_damaged_large),
		rig_test(test_counts_unreadable),
	};

	return rig_run(tests);
}
