// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failing devices and allocations: the pool may refuse to go on, but
 * acknowledged data stays, reads are right, and no memory or block leaks.
 */
#include "rig.h"
#include "sim.h"

static struct sim *begin(u64 seed)
{
	struct sim_params p = sim_small(seed);

	return sim_create(&p);
}

/* With an empty node cache, so that there are reads that can fail. */
#define STEP(x)                                 \
	do {                                    \
		int __r = (x);                  \
                                                \
		if (__r)                        \
			return __r;             \
		hpm_md_nodes_scan(s->md, 1000); \
	} while (0)

/* A little of everything. */
static int history(struct sim *s)
{
	STEP(sim_msg_create(s, 1));
	STEP(sim_write_blocks(s, 1, 0, 20));
	STEP(sim_stream(s, 1, 32));
	STEP(sim_msg_snap(s, 2, 1));
	STEP(sim_write_sectors(s, 1, 5, 30));
	STEP(sim_write_blocks(s, 1, 34, 3));
	STEP(sim_checkpoint(s));
	STEP(sim_write_blocks(s, 2, 1, 40));
	STEP(sim_msg_name(s, 2, "name"));
	STEP(sim_discard_blocks(s, 1, 0, 50));
	STEP(sim_drain_all(s));
	STEP(sim_write_blocks(s, 1, 48, 16));
	STEP(sim_msg_delete(s, 1));
	while (true) {
		int r = sim_reclaim(s);

		STEP(r < 0 ? r : 0);
		if (!r)
			break;
	}
	STEP(sim_drain_all(s));
	STEP(sim_write_blocks(s, 2, 100, 20));
	STEP(sim_checkpoint(s));
	STEP(sim_write_blocks(s, 2, 104, 4));
	return sim_commit(s);
}

/* After a failure, reads must be right, and so must the result of a crash. */
static void look_after(struct sim *s, u64 seed)
{
	hpm_env_fail_alloc(0, false);
	sim_compare_data(s);
	sim_crash_look(s, HPM_LOSE_ALL, seed, 0);
	sim_crash_look(s, HPM_LOSE_SECTORS, seed, 0);
	sim_crash(s, HPM_LOSE_BLOCKS, seed);
	s->may_fail = false;
	sim_check(s);
	sim_destroy(s);
}

static const char *op_name[HPM_MEM_NR_OPS] = {
	[HPM_MEM_READ] = "read",
	[HPM_MEM_WRITE] = "write",
	[HPM_MEM_RUN] = "journal and superblock write",
	[HPM_MEM_FLUSH_META] = "metadata flush",
	[HPM_MEM_FLUSH_DATA] = "data flush",
	[HPM_MEM_DATA_WRITE] = "data write",
};

static void fail_each(enum hpm_mem_op op, bool ever)
{
	struct sim *s = begin(rig_seed());
	u64 first = hpm_mem_ops(s->io, op), nr, i;
	int r;

	assert_int_equal(history(s), 0);
	nr = hpm_mem_ops(s->io, op) - first;
	sim_destroy(s);
	fprintf(stderr, "    each %s%s: %llu\n", op_name[op],
		ever ? " from one on" : "", nr);
	for (i = 1; i <= nr; i++) {
		s = begin(rig_seed());
		s->may_fail = true;
		hpm_mem_fail(s->io, op, i, ever);
		r = history(s);
		hpm_mem_fail(s->io, op, 0, false);
		/* A failed data flush must not be ignored. */
		if (op == HPM_MEM_FLUSH_DATA && r != -EIO && r != -EROFS)
			sim_fail(s,
				 "data flush %llu failed, and all is well: %d",
				 i, r);
		/*
		 * A metadata write of any kind that fails once must be
		 * repeated.
		 */
		if ((op == HPM_MEM_RUN || op == HPM_MEM_WRITE) && !ever && r)
			sim_fail(s, "write %llu failed once: %d", i, r);
		look_after(s, rig_seed() + i);
	}
}

static void test_io_once(void **state)
{
	enum hpm_mem_op op;

	(void)state;
	for (op = 0; op < HPM_MEM_NR_OPS; op++)
		if (op_name[op])
			fail_each(op, false);
}

static void test_io_ever(void **state)
{
	enum hpm_mem_op op;

	(void)state;
	for (op = 0; op < HPM_MEM_NR_OPS; op++)
		if (op_name[op])
			fail_each(op, true);
}

static void fail_allocs(bool ever, unsigned int step)
{
	struct sim *s = begin(rig_seed());
	u64 first = hpm_env_allocs(), nr, i;
	int r;

	assert_int_equal(history(s), 0);
	nr = hpm_env_allocs() - first;
	sim_destroy(s);
	for (i = 1 + rig_seed() % step; i <= nr; i += step) {
		s = begin(rig_seed());
		s->may_fail = true;
		hpm_env_fail_alloc(i, ever);
		r = history(s);
		/*
		 * The request may be refused, but the pool must be in the same
		 * state as before.
		 */
		if ((r && r != -ENOMEM) || hpm_md_mode(s->md) != HPM_MODE_WRITE)
			sim_fail(s, "allocation %llu failed: %d, mode %d", i, r,
				 hpm_md_mode(s->md));
		look_after(s, rig_seed() + i);
	}
	fprintf(stderr, "    %llu allocations, every %u. fails\n", nr, step);
}

static void test_alloc_once(void **state)
{
	(void)state;
	fail_allocs(false, 1);
}

static void test_alloc_ever(void **state)
{
	(void)state;
	fail_allocs(true, 3);
}

/*
 * Every allocation fails once while a pool is opened, formatted or recovered.
 */
static void test_alloc_open(void **state)
{
	struct hpm_md_params p = { .large_shift = 4, .may_format = true };
	struct sim *s = begin(rig_seed());
	const char *why;
	struct hpm_md *md;
	struct hpm_io *io;
	u64 i;
	int r;

	(void)state;
	assert_int_equal(history(s), 0);
	for (i = 1;; i++) {
		io = hpm_mem_crash(s->io, HPM_LOSE_NONE, i);
		hpm_env_fail_alloc(i, false);
		why = NULL;
		r = hpm_md_open(io, &p, NULL, NULL, &md, &why);
		hpm_env_fail_alloc(0, false);
		assert_true(!r || why);
		if (!r)
			hpm_md_close(md);
		hpm_io_close(io);
		if (!r)
			break;
	}
	fprintf(stderr, "    %llu allocations in a recovery\n", i - 1);
	sim_destroy(s);
	for (i = 1;; i++) {
		io = hpm_mem_create(1024, 1024, 1);
		hpm_env_fail_alloc(i, false);
		r = hpm_md_open(io, &p, NULL, NULL, &md, &why);
		hpm_env_fail_alloc(0, false);
		if (!r)
			hpm_md_close(md);
		hpm_io_close(io);
		if (!r)
			break;
	}
	fprintf(stderr, "    %llu allocations in a format\n", i - 1);
}

/*
 * A flush that a volume passed on fails, and later ones do not.  Data written
 * before may be lost, so no batch with records of it may be written.
 */
static void test_foreign_flush(void **state)
{
	struct sim *s = begin(rig_seed());
	u64 batches;

	(void)state;
	assert_int_equal(sim_msg_create(s, 1), 0);
	assert_int_equal(sim_write_blocks(s, 1, 0, 20), 0);
	assert_int_equal(sim_commit(s), 0);
	assert_int_equal(sim_write_blocks(s, 1, 40, 20), 0);
	batches = hpm_mem_ops(s->io, HPM_MEM_RUN);
	s->may_fail = true;
	hpm_md_data_flush_failed(s->md, -EIO);
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_READ_ONLY);
	assert_true(sim_commit(s) < 0);
	assert_true(sim_checkpoint(s) < 0);
	assert_int_equal(hpm_mem_ops(s->io, HPM_MEM_RUN), batches);
	look_after(s, 1);
}

/* A pool with two volumes that share, and no node of their maps in memory. */
static struct sim *begin_cold(void)
{
	struct sim *s = begin(rig_seed());

	assert_int_equal(sim_msg_create(s, 1), 0);
	assert_int_equal(sim_write_blocks(s, 1, 0, 20), 0);
	assert_int_equal(sim_msg_snap(s, 2, 1), 0);
	assert_int_equal(sim_checkpoint(s), 0);
	hpm_md_nodes_scan(s->md, 1000);
	return s;
}

/*
 * A block of the map cannot be read, before anything is recorded: the caller
 * that needs it gets an error, and the pool does not change.  When the block
 * can be read again, the failure has no effect.
 */
static void test_read_before(void **state)
{
	struct sim *s = begin_cold();
	struct hpm_vol *vol = sim_vol(s, 1)->vol;
	u64 cow = s->st.cow;
	struct hpm_run run;

	(void)state;
	s->may_fail = true;
	hpm_mem_fail(s->io, HPM_MEM_READ, 1, true);
	assert_int_equal(hpm_map_lookup(vol, 5, 1, &run), -EAGAIN);
	assert_int_equal(hpm_map_load(vol, 5), -EIO);
	sim_write_blocks(s, 1, 5, 1);
	assert_int_equal(s->st.cow, cow);
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_WRITE);

	hpm_mem_fail(s->io, HPM_MEM_READ, 0, false);
	s->may_fail = false;
	assert_int_equal(sim_write_blocks(s, 1, 5, 1), 0);
	assert_int_equal(s->st.cow, cow + 1);
	assert_int_equal(sim_checkpoint(s), 0);
	sim_compare(s);
	look_after(s, 1);
}

/*
 * The same when a record is applied: its change was acknowledged and readers
 * see it, but the trees cannot be changed.  Nothing more is written.
 */
static void test_read_while_applied(void **state)
{
	struct sim *s = begin_cold();
	u64 super = hpm_mem_ops(s->io, HPM_MEM_RUN);

	(void)state;
	assert_int_equal(sim_write_blocks(s, 1, 5, 1), 0);
	assert_int_equal(sim_commit(s), 0);
	hpm_md_nodes_scan(s->md, 1000);
	s->may_fail = true;
	hpm_mem_fail(s->io, HPM_MEM_READ, 1, true);
	assert_int_equal(hpm_md_apply(s->md), -EIO);
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_READ_ONLY);
	assert_true(sim_commit(s) < 0);
	assert_true(sim_checkpoint(s) < 0);
	assert_int_equal(hpm_mem_ops(s->io, HPM_MEM_RUN), super + 1);

	/* The record is still in the journal, and in the chains. */
	hpm_mem_fail(s->io, HPM_MEM_READ, 0, false);
	look_after(s, 1);
}

/* Random histories with a failure now and then. */
static void test_random(void **state)
{
	struct sim_params p = {
		.meta_blocks = 2048,
		.data_blocks = 4096,
		.large_shift = 4,
		.vol_blocks = 512,
		.max_vols = 6,
		.max_ops = 16,
		.interleave = true,
	};
	u64 i, n = 20 * rig_scale();
	unsigned int k;
	struct sim *s;

	(void)state;
	for (i = 0; i < n; i++) {
		p.seed = rig_seed() + i;
		s = sim_create(&p);
		for (k = 0; k < 200; k++)
			sim_step(s);
		s->may_fail = true;
		if (sim_rnd(s, 2))
			hpm_mem_fail(s->io, sim_rnd(s, HPM_MEM_NR_OPS),
				     1 + sim_rnd(s, 20), sim_rnd(s, 2));
		else
			hpm_env_fail_alloc(1 + sim_rnd(s, 500), false);
		for (k = 0; k < 300; k++)
			sim_step(s);
		for (k = 0; k < HPM_MEM_NR_OPS; k++)
			hpm_mem_fail(s->io, k, 0, false);
		look_after(s, p.seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_io_once),	    rig_test(test_io_ever),
		rig_test(test_alloc_once),  rig_test(test_alloc_ever),
		rig_test(test_alloc_open),  rig_test(test_foreign_flush),
		rig_test(test_read_before), rig_test(test_read_while_applied),
		rig_test(test_random),
	};

	return rig_run(tests);
}
