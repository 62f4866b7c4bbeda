// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scripted edge cases: requests to volumes, limits of the journal and of
 * changes in flight, many deletions at once.
 */
#include "hpm_check.h"
#include "rig.h"
#include "sim.h"

static struct sim *begin(u64 meta, u64 data, u64 blocks)
{
	struct sim_params p = {
		.meta_blocks = meta,
		.data_blocks = data,
		.large_shift = 4,
		.vol_blocks = blocks,
		.max_vols = 16,
		.max_ops = 16,
		.seed = rig_seed(),
	};

	return sim_create(&p);
}

static void end(struct sim *s)
{
	sim_compare(s);
	sim_check(s);
	sim_check_space(s);
	sim_crash(s, HPM_LOSE_SECTORS, 1);
	sim_check(s);
	sim_shutdown(s);
	sim_destroy(s);
}

static u64 used(struct sim *s)
{
	struct hpm_md_stats st;

	assert_int_equal(hpm_md_apply(s->md), 0);
	hpm_md_get_stats(s->md, &st);
	return st.data_used;
}

static u64 mapped(struct sim *s, u32 id)
{
	struct hpm_vol_info info;

	assert_int_equal(hpm_md_apply(s->md), 0);
	hpm_vol_get_info(sim_vol(s, id)->vol, &info);
	return info.mapped;
}

/* Highest mapped block plus one; 0: none. */
static u64 highest(struct sim *s, u32 id)
{
	u64 vbn;
	int r;

	assert_int_equal(hpm_md_apply(s->md), 0);
	r = hpm_vol_highest(sim_vol(s, id)->vol, &vbn);
	if (r == -ENOENT)
		return 0;
	assert_int_equal(r, 0);
	return vbn + 1;
}

static void test_highest(void **state)
{
	struct sim *s = begin(1024, 1024, 256);
	unsigned int i;

	(void)state;
	sim_msg_create(s, 1);
	assert_int_equal(highest(s, 1), 0);
	sim_write_blocks(s, 1, 0, 16);
	assert_int_equal(highest(s, 1), 16);
	sim_write_blocks(s, 1, 32, 16);
	assert_int_equal(highest(s, 1), 48);
	sim_discard_blocks(s, 1, 47, 1);
	assert_int_equal(highest(s, 1), 47);
	sim_discard_blocks(s, 1, 40, 7);
	assert_int_equal(highest(s, 1), 40);
	sim_discard_blocks(s, 1, 33, 7);
	assert_int_equal(highest(s, 1), 33);
	/* The last block is unmapped: the one below is the highest. */
	sim_discard_blocks(s, 1, 32, 1);
	assert_int_equal(highest(s, 1), 16);
	for (i = 0; i < 16; i++)
		sim_discard_blocks(s, 1, i, 1);
	assert_int_equal(highest(s, 1), 0);
	assert_int_equal(mapped(s, 1), 0);
	end(s);
}

/* A large block that is discarded piece by piece is freed in the end. */
static void test_discard_in_pieces(void **state)
{
	struct sim *s = begin(1024, 1024, 256);
	unsigned int i;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 16, 32);
	assert_int_equal(used(s), 32);
	for (i = 0; i < 16; i++) {
		sim_discard_blocks(s, 1, 16 + (i * 5) % 16, 1);
		assert_int_equal(used(s), 31 - i);
	}
	sim_msg_snap(s, 2, 1);
	sim_discard_blocks(s, 1, 32, 9);
	/* The snapshot still has them. */
	assert_int_equal(used(s), 16);
	sim_msg_delete(s, 2);
	while (sim_reclaim(s) > 0)
		;
	sim_discard_blocks(s, 1, 41, 6);
	assert_int_equal(used(s), 1);
	sim_discard_blocks(s, 1, 47, 1);
	assert_int_equal(used(s), 0);
	assert_int_equal(mapped(s, 1), 0);
	end(s);
}

/*
 * A base is freed with its last visible block, wherever that is, and whatever
 * was done to the rest.
 */
static void test_overridden_in_pieces(void **state)
{
	static const unsigned int order[] = {
		3, 2, 15, 14, 0, 1, 8, 9, 4, 13, 12, 5, 11, 6, 10, 7,
	};
	struct sim *s = begin(1024, 1024, 256);
	unsigned int i, last;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 48);
	for (last = 0; last < 3; last++) {
		sim_msg_snap(s, 2, 1);
		sim_msg_delete(s, 2);
		while (sim_reclaim(s) > 0)
			;
		assert_int_equal(used(s), 48);
		for (i = 0; i < 15; i++) {
			sim_write_blocks(s, 1,
					 16 * last + order[(i + last) % 16], 1);
			assert_int_equal(used(s), 48 + i + 1);
		}
		sim_write_blocks(s, 1, 16 * last + order[(i + last) % 16], 1);
		assert_int_equal(used(s), 48);
		assert_int_equal(mapped(s, 1), 48);
	}
	/* The last visible block goes by a discard, or behind holes. */
	sim_write_blocks(s, 1, 64, 32);
	sim_msg_snap(s, 2, 1);
	for (i = 0; i < 15; i++)
		sim_write_blocks(s, 1, 64 + i, 1);
	sim_discard_blocks(s, 1, 80, 10);
	sim_discard_blocks(s, 1, 79, 1);
	sim_write_blocks(s, 1, 90, 6);
	assert_int_equal(mapped(s, 1), 48 + 15 + 6);
	assert_int_equal(used(s), 48 + 32 + 15 + 6);
	sim_msg_delete(s, 2);
	while (sim_reclaim(s) > 0)
		;
	assert_int_equal(used(s), 48 + 15 + 6);
	end(s);
}

/* Blocks that overrides hide in a base are freed one by one, or all at once. */
static void test_punch(void **state)
{
	struct sim *s = begin(1024, 1024, 256);
	unsigned int i;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 16, 16);
	sim_msg_snap(s, 2, 1);
	for (i = 0; i < 15; i++)
		sim_write_blocks(s, 1, 16 + i, 1);
	assert_int_equal(used(s), 31);
	/* The snapshot still has all of it. */
	sim_punch(s, 1, 16);
	assert_int_equal(used(s), 31);
	sim_msg_delete(s, 2);
	while (sim_reclaim(s) > 0)
		;
	sim_punch(s, 1, 16);
	assert_int_equal(used(s), 16);
	sim_check(s);
	sim_drain_all(s);
	/* Freed blocks are used again, and one block of the base is visible. */
	sim_write_blocks(s, 1, 64, 16);
	sim_write_blocks(s, 1, 100, 15);
	sim_msg_snap(s, 3, 1);
	/* Nothing of the base is visible, except in the snapshot. */
	sim_write_blocks(s, 1, 31, 1);
	sim_punch(s, 1, 16);
	sim_check(s);
	sim_msg_delete(s, 3);
	while (sim_reclaim(s) > 0)
		;
	assert_int_equal(mapped(s, 1), 16 + 16 + 15);
	assert_int_equal(used(s), 16 + 16 + 15);
	end(s);
}

/* The first write after a snapshot costs one small block of data. */
static void test_cow_amount(void **state)
{
	struct sim *s = begin(4096, 8192, 4096);
	unsigned int i;
	u64 before;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 4096);
	assert_int_equal(used(s), 4096);
	sim_msg_snap(s, 2, 1);
	assert_int_equal(used(s), 4096);
	before = used(s);
	for (i = 0; i < 100; i++)
		sim_write_sectors(s, 2, 8 * 40 * i + 3, 2);
	assert_int_equal(used(s), before + 100);
	/* Writes them again, in place. */
	for (i = 0; i < 100; i++)
		sim_write_sectors(s, 2, 8 * 40 * i + 5, 2);
	assert_int_equal(used(s), before + 100);
	end(s);
}

/* More trees are dying at a time than the list had room for at first. */
static void test_many_dying(void **state)
{
	struct sim *s = begin(4096, 4096, 64);
	struct hpm_md_stats st;
	unsigned int i;

	(void)state;
	for (i = 0; i < 300; i++) {
		sim_msg_create(s, 1);
		sim_write_blocks(s, 1, i % 48, 3);
		sim_msg_delete(s, 1);
		if (i % 50 == 20)
			sim_crash(s, HPM_LOSE_SECTORS, i);
		if (i % 50 == 40)
			sim_checkpoint(s);
	}
	hpm_md_get_stats(s->md, &st);
	assert_int_equal(st.nr_dying, 300);
	sim_check(s);
	sim_crash(s, HPM_LOSE_ALL, 1);
	for (i = 0; i < 100; i++)
		assert_int_equal(sim_reclaim(s), 1);
	sim_crash(s, HPM_LOSE_SECTORS, 1);
	sim_check_space(s);
	assert_int_equal(used(s), 0);
	end(s);
}

/* If nothing is applied, the backlog has a limit, and writers get past it. */
static void test_backlog(void **state)
{
	struct sim *s = begin(65536, 8192, 4096);
	struct hpm_md_stats st;
	unsigned int i;

	(void)state;
	sim_msg_create(s, 1);
	for (i = 0; i < 3000; i++) {
		sim_write_blocks(s, 1, i, 1);
		hpm_md_get_stats(s->md, &st);
		assert_true(st.record - st.record_applied <= 2048);
	}
	end(s);
}

/* If nothing is committed, the batch has a limit. */
static void test_batch(void **state)
{
	struct sim *s = begin(2048, 8192, 4096);
	struct hpm_md_stats st;
	unsigned int i, most = 0;

	(void)state;
	sim_msg_create(s, 1);
	for (i = 0; i < 4000; i++) {
		sim_write_blocks(s, 1, i, 1);
		assert_int_equal(hpm_md_apply(s->md), 0);
		hpm_md_get_stats(s->md, &st);
		most = max_t(unsigned int, most, st.record - st.record_durable);
	}
	fprintf(stderr, "    up to %u records in a batch\n", most);
	assert_true(most > 500);
	end(s);
}

/* Without checkpoints, the number of records to replay has a limit. */
static void test_records(void **state)
{
	struct sim *s = begin(65536, 1024, 256);
	struct hpm_md_stats st;
	unsigned int i;
	u64 checkpoints;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 5);
	hpm_md_get_stats(s->md, &st);
	checkpoints = st.checkpoints;
	for (i = 0; i < 21000; i++) {
		if (i % 2)
			sim_discard_blocks(s, 1, i % 200, 1);
		else
			sim_write_blocks(s, 1, (i + 1) % 200, 1);
		if (i % 100 == 0)
			hpm_md_apply(s->md);
		if (i % 500 == 0) {
			sim_drain_all(s);
			sim_check_space(s);
		}
	}
	hpm_md_get_stats(s->md, &st);
	assert_true(st.checkpoints > checkpoints);
	end(s);
}

/* Both functions that tell whether something is durable. */
static void test_durable(void **state)
{
	struct sim *s = begin(1024, 1024, 256);

	(void)state;
	sim_msg_create(s, 1);
	sim_msg_create(s, 2);
	assert_true(hpm_md_all_durable(s->md));
	sim_write_blocks(s, 1, 0, 1);
	assert_false(hpm_md_all_durable(s->md));
	assert_false(hpm_vol_durable(sim_vol(s, 1)->vol));
	assert_true(hpm_vol_durable(sim_vol(s, 2)->vol));
	sim_commit(s);
	assert_true(hpm_md_all_durable(s->md));
	assert_true(hpm_vol_durable(sim_vol(s, 1)->vol));
	/* A write in place makes no record. */
	sim_write_blocks(s, 1, 0, 1);
	assert_true(hpm_md_all_durable(s->md));
	end(s);
}

/* Each read of a recovery fails once, or for good. */
static void test_recovery_reads(void **state)
{
	struct hpm_md_params p = { .large_shift = 4 };
	struct sim *s = begin(2048, 1024, 256);
	unsigned int i, ever;
	struct hpm_md *md;
	struct hpm_io *io;
	const char *why;
	u64 n, failed = 0;
	int r;

	(void)state;
	sim_msg_create(s, 1);
	for (i = 0; i < 40; i++)
		sim_write_blocks(s, 1, sim_rnd(s, 240), 3);
	sim_msg_snap(s, 2, 1);
	sim_checkpoint(s);
	for (i = 0; i < 40; i++)
		sim_write_blocks(s, 1, sim_rnd(s, 240), 3);
	sim_msg_snap(s, 3, 1);
	for (ever = 0; ever < 2; ever++) {
		for (n = 1;; n++) {
			io = hpm_mem_crash(s->io, HPM_LOSE_NONE, 1);
			hpm_mem_fail(io, HPM_MEM_READ, n, ever);
			why = NULL;
			r = hpm_md_open(io, &p, NULL, NULL, &md, &why);
			if (!r)
				hpm_md_close(md);
			else
				assert_non_null(why);
			failed += r != 0;
			hpm_mem_fail(io, HPM_MEM_READ, 0, false);
			/*
			 * Whatever the failed attempt did, the pool is
			 * unchanged.
			 */
			if (n % 7 == 0) {
				assert_int_equal(hpm_md_open(io, &p, NULL, NULL,
							     &md, &why),
						 0);
				hpm_md_close(md);
			}
			i = hpm_mem_ops(io, HPM_MEM_READ);
			hpm_io_close(io);
			if (n > i)
				break;
		}
	}
	fprintf(stderr, "    %llu recoveries failed\n", failed);
	assert_true(failed > 20);
	end(s);
}

static struct sim *slow;

/*
 * Runs once: while a block is being read, its number is reused for a new node.
 */
static void meanwhile(void *ctx, unsigned int held)
{
	struct sim *s = slow;
	unsigned int i;

	(void)ctx;
	if (!s || held)
		return;
	slow = NULL;
	for (i = 0; i < 160; i++) {
		sim_write_blocks(s, 1, sim_rnd(s, 250), 1);
		sim_write_blocks(s, 2, sim_rnd(s, 250), 1);
		if (i % 4 == 0) {
			if (sim_vol(s, 3))
				sim_msg_delete(s, 3);
			while (sim_reclaim(s) > 0)
				;
			sim_msg_snap(s, 3, 1 + i / 4 % 2);
		}
		sim_checkpoint(s);
	}
}

/*
 * The read of a node takes so long that the node is given back and its block
 * reused: the node that is in memory by then must stay.
 */
static void test_slow_read(void **state)
{
	struct sim *s = begin(1024, 4096, 256);
	unsigned int i;

	(void)state;
	sim_msg_create(s, 1);
	for (i = 0; i < 250; i++)
		sim_write_blocks(s, 1, i, 1);
	sim_msg_snap(s, 2, 1);
	for (i = 0; i < 20; i++) {
		sim_write_blocks(s, 2, 12 * i, 1);
		sim_write_blocks(s, 1, 11 * i, 1);
		sim_checkpoint(s);
		hpm_md_nodes_scan(s->md, 10000);
		slow = s;
		hpm_env_set_hooks(NULL, meanwhile, NULL);
		hpm_map_load(sim_vol(s, 1 + i % 2)->vol, 5 * i);
		hpm_env_set_hooks(NULL, NULL, NULL);
		sim_compare(s);
		sim_check(s);
	}
	end(s);
}

static struct sim *applying;

/*
 * Runs once: a commit while a published record is being applied, before what the
 * record frees is in a batch.
 */
static void commit_meanwhile(void *ctx, unsigned int held)
{
	struct sim *s = applying;

	(void)ctx;
	if (!s || !held || hpm_md_all_durable(s->md))
		return;
	applying = NULL;
	assert_int_equal(hpm_md_commit(s->md), 0);
}

/*
 * The record of a reclaim may be durable before it has been applied.  What it frees
 * comes back although nothing is recorded, applied or committed after that.
 */
static void test_freed_late(void **state)
{
	struct sim *s = begin(1024, 1024, 256);
	struct hpm_md_stats before, st;

	(void)state;
	hpm_md_get_stats(s->md, &before);
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 100);
	sim_msg_delete(s, 1);
	sim_drain_all(s);
	applying = s;
	hpm_env_set_hooks(NULL, commit_meanwhile, NULL);
	while (sim_reclaim(s) > 0)
		;
	hpm_env_set_hooks(NULL, NULL, NULL);
	assert_null(applying);
	hpm_md_get_stats(s->md, &st);
	assert_int_equal(st.nr_dying, 0);
	assert_int_equal(st.record_applied, st.record);
	assert_int_equal(st.record_durable, st.record);
	sim_drain_some(s);
	hpm_md_get_stats(s->md, &st);
	assert_int_equal(st.data_freed, 0);
	assert_int_equal(st.data_free_now, before.data_free_now);
	end(s);
}

static unsigned int rests;

static void count_rest(void *ctx, unsigned int held)
{
	(void)ctx;
	(void)held;
	rests++;
}

/*
 * A caller that gets a credit does not wait, however many credits others have.
 */
static void test_no_rest(void **state)
{
	struct sim *s = begin(1024, 1024, 256);

	(void)state;
	assert_int_equal(hpm_credit_get(s->md, 3, HPM_FOR_DATA), 0);
	rests = 0;
	hpm_env_set_hooks(NULL, count_rest, NULL);
	assert_int_equal(hpm_credit_wait(s->md, 1, HPM_FOR_WRITE), 0);
	hpm_env_set_hooks(NULL, NULL, NULL);
	assert_int_equal(rests, 0);
	hpm_credit_put(s->md, 4);
	end(s);
}

/*
 * A snapshot is counted from the moment it has a number, and once, applied or
 * not.
 */
static void test_snapshot_counts(void **state)
{
	struct sim *s = begin(1024, 1024, 256);
	struct hpm_md_stats before, st;
	const char *why;
	unsigned int i;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 16);
	hpm_md_get_stats(s->md, &before);
	assert_int_equal(hpm_vol_snapshot_begin(s->md, 2, 1, NULL, &why), 0);
	hpm_md_get_stats(s->md, &st);
	assert_int_equal(st.nr_volumes, before.nr_volumes);
	assert_int_equal(st.time, before.time);
	hpm_vol_snapshot_publish(s->md);
	for (i = 0; i < 2; i++) {
		hpm_md_get_stats(s->md, &st);
		assert_int_equal(st.record_applied == st.record, i);
		assert_int_equal(st.nr_volumes, before.nr_volumes + 1);
		assert_int_equal(st.time, before.time + 1);
		assert_int_equal(hpm_md_apply(s->md), 0);
	}
	assert_int_equal(hpm_vol_snapshot_end(s->md, &why), 0);
	assert_int_equal(hpm_vol_delete(s->md, 2, &why), 0);
	while (sim_reclaim(s) > 0)
		;
	end(s);
}

/* A snapshot that is begun and cancelled changes nothing. */
static void test_snapshot_cancelled(void **state)
{
	struct sim *s = begin(1024, 1024, 256);
	struct hpm_md_stats before, st;
	const char *why;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 16);
	hpm_md_get_stats(s->md, &before);
	assert_int_equal(hpm_vol_snapshot_begin(s->md, 2, 1, NULL, &why), 0);
	hpm_vol_snapshot_cancel(s->md);
	/* The id is free, and the next snapshot can begin. */
	assert_int_equal(hpm_vol_create(s->md, 2, 0, NULL, &why), 0);
	assert_int_equal(hpm_vol_delete(s->md, 2, &why), 0);
	hpm_md_get_stats(s->md, &st);
	assert_int_equal(st.nr_volumes, before.nr_volumes);
	assert_int_equal(st.time, before.time);
	sim_write_blocks(s, 1, 0, 16);
	assert_int_equal(used(s), 16);
	end(s);
}

/* Takes as many credits as a volume can get whose writes do not end. */
static unsigned int hoard(struct sim *s)
{
	unsigned int n = 0;
	int r;

	while (!(r = hpm_credit_get_fair(s->md, n)))
		n++;
	assert_int_equal(r, n ? -EBUSY : -EAGAIN);
	return n;
}

static void share_fairly(u64 meta)
{
	struct sim *s = begin(meta, 8192, 4096);
	unsigned int had[4], i;
	const char *why;

	sim_msg_create(s, 1);
	for (i = 0; i < 4; i++) {
		had[i] = hoard(s);
		assert_true(had[i] > 0);
		assert_true(!i || had[i] <= had[i - 1]);
		/*
		 * A volume without credits gets one at once, and a volume can
		 * be made.
		 */
		assert_int_equal(hpm_credit_get(s->md, 1, HPM_FOR_DATA), 0);
		hpm_credit_put(s->md, 1);
		assert_int_equal(hpm_vol_create(s->md, 2, 0, NULL, &why), 0);
		assert_int_equal(hpm_vol_delete(s->md, 2, &why), 0);
	}
	fprintf(stderr, "    of %llu blocks: %u, %u, %u, %u credits\n",
		(unsigned long long)meta, had[0], had[1], had[2], had[3]);
	/* Each volume leaves half of the remaining credits to the others. */
	for (i = 1; i < 4; i++)
		assert_true(had[i - 1] <= 2 * had[i] + 2);
	for (i = 0; i < 4; i++)
		hpm_credit_put(s->md, had[i]);
	end(s);
}

/*
 * However many volumes throttle their writes, everything that does not wait for
 * I/O goes on.
 */
static void hoard_all(u64 meta)
{
	struct sim *s = begin(meta, 8192, 4096);
	unsigned int n = 0, had, i;
	const char *why;

	sim_msg_create(s, 1);
	for (i = 0; i < 32; i++) {
		had = hoard(s);
		n += had;
	}
	assert_int_equal(had, 0);
	assert_int_equal(hpm_credit_get(s->md, 1, HPM_FOR_DATA), -EAGAIN);
	assert_int_equal(hpm_credit_get(s->md, 2, HPM_FOR_WRITE), 0);
	assert_int_equal(hpm_vol_create(s->md, 2, 0, NULL, &why), 0);
	assert_int_equal(hpm_vol_snapshot(s->md, 3, 1, NULL, &why), 0);
	assert_int_equal(hpm_vol_delete(s->md, 3, &why), 0);
	assert_int_equal(hpm_vol_delete(s->md, 2, &why), 0);
	hpm_credit_put(s->md, n + 2);
	end(s);
}

static void test_hoard_all(void **state)
{
	(void)state;
	hoard_all(2048);
	hoard_all(8192);
	hoard_all(65536);
}

static void test_fair_shares(void **state)
{
	(void)state;
	share_fairly(2048);
	share_fairly(65536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_highest),
		rig_test(test_discard_in_pieces),
		rig_test(test_overridden_in_pieces),
		rig_test(test_punch),
		rig_test(test_cow_amount),
		rig_test(test_many_dying),
		rig_test(test_backlog),
		rig_test(test_batch),
		rig_test(test_no_rest),
		rig_test(test_snapshot_counts),
		rig_test(test_snapshot_cancelled),
		rig_test(test_fair_shares),
		rig_test(test_hoard_all),
		rig_test(test_records),
		rig_test(test_durable),
		rig_test(test_recovery_reads),
		rig_test(test_slow_read),
		rig_test(test_freed_late),
	};

	return rig_run(tests);
}
