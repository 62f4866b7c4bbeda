// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random histories against arrays: whatever the order of things, what is read
 * is what was written, also after crashes, and the metadata stays whole.
 */
#include "rig.h"
#include "sim.h"

struct shape {
	const char *name;
	struct sim_params p;
	unsigned int steps;	/* between crashes, on average */
	unsigned int crashes;
	unsigned int runs;
};

static void print_stats(const struct sim *s)
{
	const struct sim_stats *t = &s->st;

	fprintf(stderr,
		"    %llu writes (%llu in place, %llu cow, %llu whole, %llu merged) %llu reads %llu discards %llu streams %llu moves %llu punches\n",
		t->ops[SIM_WRITE], t->in_place, t->cow, t->whole, t->merged,
		t->ops[SIM_READ], t->ops[SIM_DISCARD], t->streams, t->moves,
		t->punches);
	fprintf(stderr,
		"    %llu snapshots %llu creates %llu deletes %llu commits %llu checkpoints %llu drains %llu crashes %llu out of space %llu hooks\n",
		t->snapshots, t->creates, t->deletes, t->commits,
		t->checkpoints, t->drains, t->crashes, t->no_space, t->hooks);
}

static void settle(struct sim *s)
{
	sim_finish(s);
	sim_compare(s);
	sim_check(s);
	sim_check_space(s);
	sim_check(s);
}

static void run(const struct shape *shape, u64 seed)
{
	struct sim_params p = shape->p;
	struct sim *s;
	unsigned int i, k, steps;

	rig_say(shape->name, seed);
	p.seed = seed;
	s = sim_create(&p);
	for (k = 0; k < shape->crashes; k++) {
		steps = sim_rnd(s, 2 * shape->steps);
		for (i = 0; i < steps; i++)
			sim_step(s);
		if (k % 4 == 3)
			settle(s);
		if (k % 8 == 5) {
			sim_shutdown(s);
			assert_int_equal(sim_open(s), 0);
			sim_compare(s);
		}
		sim_crash(s, sim_rnd(s, HPM_NR_LOSSES), sim_rnd(s, 1 << 30));
	}
	settle(s);
	sim_shutdown(s);
	print_stats(s);
	sim_destroy(s);
}

static void run_all(const struct shape *shape)
{
	u64 i, n = shape->runs * rig_scale();

	for (i = 0; i < n; i++)
		run(shape, rig_seed() + i);
}

static void test_plain(void **state)
{
	static const struct shape shape = {
		.name = "plain",
		.p = {
			.meta_blocks = 2048,
			.data_blocks = 4096,
			.large_shift = 4,
			.vol_blocks = 512,
			.max_vols = 6,
			.max_ops = 16,
			.cache_nodes = 0,
		},
		.steps = 400,
		.crashes = 16,
		.runs = 6,
	};

	(void)state;
	run_all(&shape);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
