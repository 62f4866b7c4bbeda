// SPDX-License-Identifier: GPL-2.0-only
/*
 * Small histories in which the power fails at every single event.
 *
 * For each event, the history is run again from the start up to that event,
 * which is then in flight.  What is left on the media is chosen in several
 * ways, and each time the pool is opened and compared with the arrays.  The
 * power also fails during recovery.
 */
#include "rig.h"
#include "sim.h"

typedef int (*history_fn)(struct sim *s);

/* A step that failed because the power failed ends the history. */
#define STEP(x)                     \
	do {                        \
		int __r = (x);      \
		if (__r)            \
			return __r; \
	} while (0)

/* Writes, commits, overwrites and a partial write. */
static int history_writes(struct sim *s)
{
	STEP(sim_msg_create(s, 0));
	STEP(sim_write_blocks(s, 0, 3, 4));
	STEP(sim_commit(s));
	STEP(sim_write_blocks(s, 0, 5, 4));
	STEP(sim_write_sectors(s, 0, 30, 5));
	STEP(sim_write_blocks(s, 0, 32, 16));
	STEP(sim_commit(s));
	STEP(sim_discard_blocks(s, 0, 4, 2));
	STEP(sim_write_blocks(s, 0, 64, 3));
	STEP(sim_checkpoint(s));
	STEP(sim_write_blocks(s, 0, 4, 1));
	STEP(sim_discard_blocks(s, 0, 34, 3));
	STEP(sim_commit(s));
	STEP(sim_drain_all(s));
	STEP(sim_write_blocks(s, 0, 100, 8));
	return sim_commit(s);
}

/* Snapshots, writes on both sides, and a deletion given back step by step. */
static int history_snapshots(struct sim *s)
{
	STEP(sim_msg_create(s, 1));
	STEP(sim_write_blocks(s, 1, 0, 20));
	STEP(sim_msg_snap(s, 2, 1));
	STEP(sim_write_blocks(s, 1, 2, 2));
	STEP(sim_write_blocks(s, 2, 3, 3));
	STEP(sim_msg_snap(s, 3, 2));
	STEP(sim_checkpoint(s));
	STEP(sim_write_sectors(s, 3, 3, 30));
	STEP(sim_msg_delete(s, 2));
	STEP(sim_write_blocks(s, 1, 4, 2));
	STEP(sim_reclaim(s) < 0 ? -EIO : 0);
	STEP(sim_drain_all(s));
	STEP(sim_write_blocks(s, 3, 64, 16));
	STEP(sim_msg_delete(s, 1));
	while (true) {
		int r = sim_reclaim(s);

		STEP(r < 0 ? r : 0);
		if (!r)
			break;
		STEP(sim_drain_all(s));
	}
	STEP(sim_write_blocks(s, 3, 96, 16));
	return sim_commit(s);
}

/* Streams, moves and punches. */
static int history_jobs(struct sim *s)
{
	STEP(sim_msg_create(s, 1));
	STEP(sim_stream(s, 1, 16));
	STEP(sim_write_blocks(s, 1, 20, 1));
	STEP(sim_write_blocks(s, 1, 48, 16));
	STEP(sim_commit(s));
	STEP(sim_msg_snap(s, 2, 1));
	STEP(sim_write_blocks(s, 1, 50, 4));
	STEP(sim_msg_delete(s, 2));
	while (sim_reclaim(s) > 0)
		;
	STEP(sim_punch(s, 1, 48));
	STEP(sim_drain_all(s));
	STEP(sim_write_blocks(s, 1, 128, 6));
	STEP(sim_move(s, 1, 128));
	STEP(sim_move(s, 1, 50));
	STEP(sim_drain_all(s));
	STEP(sim_checkpoint(s));
	STEP(sim_stream(s, 1, 128));
	STEP(sim_discard_blocks(s, 1, 0, 64));
	return sim_drain_all(s);
}

/*
 * Blocks that are freed and allocated again, with and without a commit between,
 * in a pool with few other blocks.
 */
#define REUSE_BLOCKS 304

static int history_reuse(struct sim *s)
{
	u64 at;

	STEP(sim_msg_create(s, 1));
	STEP(sim_write_blocks(s, 1, 0, 8));
	STEP(sim_checkpoint(s));
	STEP(sim_msg_snap(s, 2, 1));
	STEP(sim_write_blocks(s, 1, 2, 2));
	STEP(sim_commit(s));
	STEP(sim_discard_blocks(s, 1, 0, 8));
	STEP(sim_drain_now(s));
	STEP(sim_msg_delete(s, 2));
	STEP(sim_write_blocks(s, 1, 64, 16));
	STEP(sim_commit(s));
	/* All blocks of the device are freed and written again. */
	for (at = 0; at < 256; at += 16)
		STEP(sim_write_blocks(s, 1, at, 16));
	STEP(sim_commit(s));
	STEP(sim_discard_blocks(s, 1, 0, 256));
	STEP(sim_drain_now(s));
	for (at = 128; at < 256; at += 16)
		STEP(sim_write_blocks(s, 1, at, 16));
	return sim_commit(s);
}

/* Everything that messages can change; names take three slots. */
static int history_messages(struct sim *s)
{
	STEP(sim_msg_create(s, 5));
	STEP(sim_msg_tid(s, 1));
	STEP(sim_msg_name(s, 5, "first"));
	STEP(sim_msg_create(s, 6));
	STEP(sim_msg_name(s, 6, "second"));
	STEP(sim_checkpoint(s));
	STEP(sim_msg_name(
		s, 5,
		"a-name-that-is-as-long-as-a-name-can-be-in-this-pool.012345678"));
	STEP(sim_msg_delete(s, 6));
	STEP(sim_msg_tid(s, 7));
	STEP(sim_msg_create(s, 6));
	STEP(sim_msg_snap(s, 7, 6));
	STEP(sim_msg_snap(s, 8, 7));
	STEP(sim_checkpoint(s));
	return sim_msg_tid(s, 8);
}

static struct sim *begin(history_fn history, u64 seed)
{
	struct sim_params p = sim_small(seed);

	if (history == history_reuse)
		p.data_blocks = REUSE_BLOCKS;
	return sim_create(&p);
}

static u64 count_events(history_fn history, u64 seed, u64 *first)
{
	struct sim *s = begin(history, seed);
	u64 n;
	int r;

	*first = hpm_mem_events(s->io) + 1;
	r = history(s);
	if (r)
		sim_fail(s, "the history fails by itself: %d", r);
	sim_compare(s);
	sim_check(s);
	sim_check_space(s);
	n = hpm_mem_events(s->io);
	sim_destroy(s);
	return n;
}

static void look(struct sim *s, u64 event, u64 seed)
{
	enum hpm_mem_loss loss;
	u64 i;

	for (loss = 0; loss < HPM_NR_LOSSES; loss++) {
		sim_crash_rot(s, loss, seed + event);
		for (i = 0; i < (loss < HPM_LOSE_TAIL ? 1 : 2); i++) {
			sim_crash_look(s, loss, seed + event * 16 + i, 0);
			/* The power fails again somewhere in the recovery. */
			sim_crash_look(s, loss, seed + event * 16 + i,
				       1 + sim_rnd(s, 24));
		}
	}
}

static void cut_everywhere(const char *name, history_fn history, u64 seed)
{
	u64 event, first, last = count_events(history, seed, &first);

	rig_say(name, seed);
	for (event = first; event <= last; event++) {
		struct sim *s = begin(history, seed);

		hpm_mem_cut_at(s->io, event);
		history(s);
		look(s, event, seed);
		sim_destroy(s);
	}
	fprintf(stderr, "    %llu events\n", last - first + 1);
}

static void each_seed(const char *name, history_fn history)
{
	u64 i;

	for (i = 0; i < rig_scale(); i++)
		cut_everywhere(name, history, rig_seed() + i);
}

static void test_writes(void **state)
{
	(void)state;
	each_seed("writes", history_writes);
}

static void test_snapshots(void **state)
{
	(void)state;
	each_seed("snapshots", history_snapshots);
}

static void test_jobs(void **state)
{
	(void)state;
	each_seed("jobs", history_jobs);
}

static void test_reuse(void **state)
{
	(void)state;
	each_seed("reuse", history_reuse);
}

static void test_messages(void **state)
{
	(void)state;
	each_seed("messages", history_messages);
}

#define TORN_RECORDS 300u

/* A batch of several blocks, for a part of the volume that is still empty. */
static int big_batch(struct sim *s, u64 first)
{
	u64 i;

	for (i = 0; i < TORN_RECORDS; i++)
		STEP(sim_write_blocks(s, 0, first + 2 * i, 1));
	return 0;
}

/*
 * The power fails while a batch is written, the pool is recovered, and the
 * power fails again while another batch is written over the rest of the first.
 * Blocks of the two must never be taken for one batch.
 */
static void torn_twice(u64 seed)
{
	struct sim_params p = sim_small(seed);
	unsigned int round;
	struct sim *s;

	p.meta_blocks = 8192;
	p.data_blocks = 4096;
	p.vol_blocks = 4 * 2 * TORN_RECORDS;
	s = sim_create(&p);
	if (sim_msg_create(s, 0))
		sim_fail(s, "a volume cannot be made");
	for (round = 0; round < 4; round++) {
		if (big_batch(s, round * 2 * TORN_RECORDS))
			sim_fail(s, "the pool cannot be written to");
		/* the data's flush, then the batch */
		hpm_mem_cut_at(s->io, hpm_mem_events(s->io) + 2);
		sim_commit(s);
		sim_crash(s, HPM_LOSE_BLOCKS, seed * 8 + round);
	}
	sim_destroy(s);
}

static void test_torn_twice(void **state)
{
	u64 i;

	(void)state;
	rig_say("torn twice", rig_seed());
	for (i = 0; i < 24 * rig_scale(); i++)
		torn_twice(rig_seed() + i);
}

/*
 * The power fails while the pool is made: afterwards it is a pool, or still
 * blank.
 */
static void test_format(void **state)
{
	struct hpm_md_params p = { .large_shift = 4, .may_format = true };
	struct hpm_io *io = hpm_mem_create(1024, 1024, rig_seed()), *crashed;
	const char *why;
	struct hpm_md *md;
	u64 event, last;
	unsigned int loss, n = 0;
	int r;

	(void)state;
	assert_int_equal(hpm_md_open(io, &p, NULL, NULL, &md, &why), 0);
	hpm_md_close(md);
	last = hpm_mem_events(io);
	/* A pool that was made is durable: nothing of it waits for a flush. */
	crashed = hpm_mem_crash(io, HPM_LOSE_ALL, 1);
	p.may_format = false;
	assert_int_equal(hpm_md_open(crashed, &p, NULL, NULL, &md, &why), 0);
	hpm_md_close(md);
	p.may_format = true;
	hpm_io_close(crashed);
	hpm_io_close(io);
	for (event = 1; event <= last; event++) {
		io = hpm_mem_create(1024, 1024, rig_seed());
		hpm_mem_cut_at(io, event);
		r = hpm_md_open(io, &p, NULL, NULL, &md, &why);
		assert_int_not_equal(r, 0);
		for (loss = 0; loss < HPM_NR_LOSSES; loss++) {
			crashed = hpm_mem_crash(io, loss, rig_seed() + event);
			r = hpm_md_open(crashed, &p, NULL, NULL, &md, &why);
			if (r) {
				fprintf(stderr,
					"  event %llu of %llu, loss %u: %s (%d)\n",
					event, last, loss, why, r);
				n++;
			} else {
				hpm_md_close(md);
			}
			hpm_io_close(crashed);
		}
		hpm_io_close(io);
	}
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_format),	   rig_test(test_writes),
		rig_test(test_snapshots),  rig_test(test_jobs),
		rig_test(test_reuse),	   rig_test(test_messages),
		rig_test(test_torn_twice),
	};

	return rig_run(tests);
}
