// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random histories against arrays: in any order of events, reads return what
 * was written, also after crashes, and the metadata stays consistent.
 */
#include "rig.h"
#include "sim.h"

struct shape {
	const char *name;
	struct sim_params p;
	unsigned int steps; /* between crashes, on average */
	unsigned int crashes;
	unsigned int runs;
};

static void print_stats(const struct sim *s)
{
	const struct sim_stats *t = &s->st;

	fprintf(stderr,
		"    %llu writes (%llu in place, %llu cow, %llu whole, %llu merged) %llu reads %llu discards %llu streams %llu moves %llu punches %llu blocked\n",
		t->ops[SIM_WRITE], t->in_place, t->cow, t->whole, t->merged,
		t->ops[SIM_READ], t->ops[SIM_DISCARD], t->streams, t->moves,
		t->punches, t->blocked);
	fprintf(stderr,
		"    %llu snapshots %llu creates %llu deletes %llu commits %llu checkpoints %llu drains %llu crashes %llu out of space %llu hooks %llu tasks, up to %llu punched, %llu nodes\n",
		t->snapshots, t->creates, t->deletes, t->commits,
		t->checkpoints, t->drains, t->crashes, t->no_space, t->hooks,
		t->tasks, t->punched, t->nodes);
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
	/* Slow, but this shows the step at which something went wrong. */
	bool paranoid = getenv("PARANOID");
	unsigned int i, k, steps;

	rig_say(shape->name, seed);
	p.seed = seed;
	s = sim_create(&p);
	for (k = 0; k < shape->crashes; k++) {
		steps = sim_rnd(s, 2 * shape->steps);
		for (i = 0; i < steps; i++) {
			sim_step(s);
			if (paranoid)
				sim_compare(s);
		}
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

/* cmocka gives each test its shape. */
static void test_shape(void **state)
{
	const struct shape *shape = *state;
	u64 i, n = shape->runs * rig_scale();

	for (i = 0; i < n; i++)
		run(shape, rig_seed() + i);
}

static struct shape shapes[] = {
	/* Small sizes and frequent actions. */
	{
		.name = "test_plain",
		.p = {
			.meta_blocks = 2048,
			.data_blocks = 4096,
			.large_shift = 4,
			.vol_blocks = 512,
			.max_vols = 6,
			.max_ops = 16,
		},
		.steps = 400,
		.crashes = 16,
		.runs = 6,
	},
	/* Bios end and begin inside engine calls, the trees change under readers. */
	{
		.name = "test_interleaved",
		.p = {
			.meta_blocks = 2048,
			.data_blocks = 8192,
			.large_shift = 4,
			.vol_blocks = 1024,
			.max_vols = 8,
			.max_ops = 32,
			.interleave = true,
		},
		.steps = 600,
		.crashes = 16,
		.runs = 6,
	},
	/* Several tasks that flush, apply, make checkpoints and load at a time. */
	{
		.name = "test_tasks",
		.p = {
			.meta_blocks = 2048,
			.data_blocks = 8192,
			.large_shift = 4,
			.vol_blocks = 1024,
			.max_vols = 8,
			.max_ops = 32,
			.max_tasks = 4,
			.interleave = true,
		},
		.steps = 600,
		.crashes = 16,
		.runs = 6,
	},
	/* Almost no node stays in memory. */
	{
		.name = "test_small_cache",
		.p = {
			.meta_blocks = 4096,
			.data_blocks = 16384,
			.large_shift = 5,
			.vol_blocks = 4096,
			.max_vols = 8,
			.max_ops = 32,
			.cache_nodes = 8,
			.max_tasks = 3,
			.interleave = true,
		},
		.steps = 1500,
		.crashes = 8,
		.runs = 3,
	},
	/* Trees of several levels, large blocks of 2 MiB. */
	{
		.name = "test_wide",
		.p = {
			.meta_blocks = 8192,
			.data_blocks = 65536,
			.large_shift = 9,
			.vol_blocks = 16384,
			.max_vols = 6,
			.max_ops = 64,
			.interleave = true,
		},
		.steps = 4000,
		.crashes = 5,
		.runs = 2,
	},
	/* The data device is too small for what is written. */
	{
		.name = "test_full_data",
		.p = {
			.meta_blocks = 2048,
			.data_blocks = 1024,
			.large_shift = 4,
			.vol_blocks = 512,
			.max_vols = 8,
			.max_ops = 16,
			.interleave = true,
		},
		.steps = 800,
		.crashes = 12,
		.runs = 4,
	},
	/* Long batches, and snapshots so rare that blocks are written in place. */
	{
		.name = "test_alone",
		.p = {
			.meta_blocks = 4096,
			.data_blocks = 16384,
			.large_shift = 4,
			.vol_blocks = 2048,
			.max_vols = 4,
			.max_ops = 64,
			.interleave = true,
			.rare = 30,
		},
		.steps = 4000,
		.crashes = 6,
		.runs = 3,
	},
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

int main(void)
{
	struct CMUnitTest tests[NR_SHAPES];
	size_t i;

	for (i = 0; i < NR_SHAPES; i++)
		tests[i] = (struct CMUnitTest){ shapes[i].name, test_shape,
						rig_setup, rig_teardown,
						&shapes[i] };
	return rig_run(tests);
}
