// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metadata space runs out: this gives errors and nothing worse, and a full pool
 * can always be emptied.
 */
#include "rig.h"
#include "sim.h"

/* Scattered writes, and sometimes a snapshot, until there is no space left. */
static void fill(struct sim *s)
{
	u64 before, i;
	u32 next = 1;

	sim_msg_create(s, 0);
	/* Fifteen of sixteen blocks: each has an entry of its own. */
	for (i = 0; i < s->p.vol_blocks; i += 16)
		sim_write_blocks(s, 0, i, 15);
	for (i = 0;; i++) {
		before = s->st.no_space;
		sim_write_blocks(s, 0, sim_rnd(s, s->p.vol_blocks - 2), 1);
		if (s->st.no_space != before)
			break;
		if (i % 100 == 0)
			sim_commit(s);
		assert_true(i < 100000);
		if (i % 200 == 0 && next < s->p.max_vols &&
		    sim_msg_snap(s, next++, 0) == -ENOSPC)
			break;
	}
	fprintf(stderr, "    full after %llu writes and %u snapshots\n", i,
		next - 1);
}

static void status(struct sim *s, const char *when)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(s->md, &st);
	fprintf(stderr,
		"    %s: %llu of %llu metadata blocks used, %llu free now\n",
		when, st.meta_used, st.meta_total, st.meta_free_now);
}

static void test_full(void **state)
{
	struct sim_params p = sim_wide(rig_seed());
	unsigned int i, round;
	struct sim *s;
	u64 before;

	(void)state;
	s = sim_create(&p);
	for (round = 0; round < 3; round++) {
		fill(s);
		status(s, "full");
		assert_int_equal(hpm_md_mode(s->md), HPM_MODE_WRITE);
		assert_int_equal(sim_msg_create(s, 50), -ENOSPC);
		/* Writes in place are still possible, and so are reads. */
		sim_compare(s);
		sim_check(s);
		sim_crash_look(s, HPM_LOSE_SECTORS, round, 0);
		sim_crash_look(s, HPM_LOSE_ALL, round, 5);
		if (round == 1)
			sim_crash(s, HPM_LOSE_BLOCKS, 1);

		/* Discards and deletes use the reserve. */
		for (i = 0; i < 40; i++)
			sim_discard_blocks(s, 0, sim_rnd(s, 1000) * 16, 16);
		for (i = 1; i < p.max_vols; i++)
			if (sim_vol(s, i) && (round < 2 || i % 3))
				assert_int_equal(sim_msg_delete(s, i), 0);
		sim_check_space(s);
		for (i = 0; i < 3; i++)
			assert_int_equal(sim_checkpoint(s), 0);
		status(s, "emptied");
		before = s->st.no_space;
		for (i = 0; i < 50; i++)
			sim_write_blocks(s, 0, sim_rnd(s, 2000), 3);
		assert_int_equal(s->st.no_space, before);
		sim_compare(s);
		sim_check(s);
		assert_int_equal(sim_msg_delete(s, 0), 0);
		for (i = 1; i < p.max_vols; i++)
			if (sim_vol(s, i))
				assert_int_equal(sim_msg_delete(s, i), 0);
		sim_check_space(s);
	}
	sim_shutdown(s);
	sim_destroy(s);
}

/*
 * Discards in trees that snapshots share take metadata space and give none
 * back.  When even they find no space, volumes can still be deleted.
 */
static void test_discards_first(void **state)
{
	struct sim_params p = sim_wide(rig_seed());
	u64 before, i;
	struct sim *s;

	(void)state;
	s = sim_create(&p);
	fill(s);
	sim_check(s);
	before = s->st.no_space;
	for (i = 0; i < 5000 && s->st.no_space == before; i++) {
		u32 id = sim_rnd(s, 8);

		if (sim_vol(s, id))
			sim_discard_blocks(s, id, sim_rnd(s, 16000), 1);
	}
	fprintf(stderr, "    %llu discards\n", i);
	status(s, "after discards");
	for (i = 0; i < p.max_vols; i++)
		if (sim_vol(s, i))
			assert_int_equal(sim_msg_delete(s, i), 0);
	sim_check_space(s);
	sim_check(s);
	status(s, "emptied");
	sim_destroy(s);
}

/* The same with all kinds of actions, and crashes. */
static void test_full_random(void **state)
{
	struct sim_params p = {
		.meta_blocks = 1024,
		.data_blocks = 32768,
		.large_shift = 4,
		.vol_blocks = 8192,
		.max_vols = 20,
		.max_ops = 32,
		.interleave = true,
	};
	u64 seed, full = 0;
	unsigned int i, k;
	struct sim *s;

	(void)state;
	for (seed = rig_seed(); seed < rig_seed() + 2 * rig_scale(); seed++) {
		rig_say("full metadata", seed);
		p.seed = seed;
		s = sim_create(&p);
		fill(s);
		for (k = 0; k < 4; k++) {
			for (i = 0; i < 1500; i++)
				sim_step(s);
			sim_finish(s);
			sim_compare(s);
			sim_check(s);
			status(s, "later");
			sim_crash(s, sim_rnd(s, HPM_NR_LOSSES), k);
		}
		sim_check_space(s);
		sim_check(s);
		status(s, "at the end");
		full += s->st.no_space;
		sim_shutdown(s);
		sim_destroy(s);
	}
	fprintf(stderr, "    out of space %llu times\n", full);
}

/* A held table is one record, however many volumes there are. */
static void test_hold_when_tight(void **state)
{
	struct sim_params p = sim_wide(rig_seed());
	const char *why;
	struct sim *s;
	unsigned int i;
	int r;

	(void)state;
	s = sim_create(&p);
	for (i = 0; i < 200; i++) {
		r = hpm_vol_create(s->md, 1000 * (i + 1), 0, NULL, &why);
		assert_int_equal(r, 0);
	}
	fill(s);
	r = hpm_md_hold(s->md, &why);
	assert_true(r == 0 || r == -ENOSPC);
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_WRITE);
	if (!r)
		assert_int_equal(hpm_md_release(s->md, &why), 0);
	for (i = 0; i < 200; i++)
		if (!sim_vol(s, 1000 * (i + 1)))
			assert_int_equal(
				hpm_vol_delete(s->md, 1000 * (i + 1), &why), 0);
	sim_check_space(s);
	sim_compare(s);
	sim_check(s);
	sim_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_full),
		rig_test(test_discards_first),
		rig_test(test_full_random),
		rig_test(test_hold_when_tight),
	};

	return rig_run(tests);
}
