// SPDX-License-Identifier: GPL-2.0-only
/*
 * What credits promise: a record takes no more than was kept for it (the rig's
 * audit sees to that in every test), credits never add up to more than there is,
 * and whatever was done or refused, a delete is possible afterwards.
 */
#include "md.h"
#include "rig.h"
#include "sim.h"

#include <pthread.h>

static const struct sim_params base = {
	.meta_blocks = 1024,
	.data_blocks = 65536,
	.large_shift = 4,
	.vol_blocks = 16384,
	.max_vols = 23,
	.max_ops = 16,
};

static struct sim *begin(const struct sim_params *p)
{
	struct sim_params q = *p;

	q.seed = rig_seed();
	return sim_create(&q);
}

/*
 *----------------------------------------------------------------
 * Many who ask at a time
 *--------------------------------------------------------------
 */

#define ASKERS 8
#define ROUNDS 20000

struct asker {
	pthread_t thread;
	pthread_barrier_t *barrier;
	struct hpm_md *md;
	unsigned int got; /* in this round */
	bool *stop;
};

static void *ask(void *ctx)
{
	struct asker *a = ctx;

	for (;;) {
		pthread_barrier_wait(a->barrier);
		if (*a->stop)
			return NULL;
		a->got = !hpm_credit_get(a->md, 1);
		pthread_barrier_wait(a->barrier);
	}
}

/* All ask at once, and there is room for one. */
static void one_round(struct asker *a, unsigned int round)
{
	unsigned int i, got = 0;

	pthread_barrier_wait(a->barrier);
	pthread_barrier_wait(a->barrier);
	for (i = 0; i < ASKERS; i++)
		got += a[i].got;
	if (got > 1) {
		fprintf(stderr, "    round %u: %u credits for one\n", round,
			got);
		abort();
	}
	if (got)
		hpm_credit_put(a->md, got);
	assert_int_equal(atomic_read(&a->md->journal.in_flight),
			 HPM_MAX_BACKLOG - 1);
}

static void test_many_ask(void **state)
{
	struct sim *s = begin(&base);
	struct asker a[ASKERS];
	pthread_barrier_t barrier;
	bool stop = false;
	unsigned int i;

	(void)state;
	atomic_add(HPM_MAX_BACKLOG - 1, &s->md->journal.in_flight);
	s->md->refs.nr_free += 1u << 24; /* no wall but the backlog */
	pthread_barrier_init(&barrier, NULL, ASKERS + 1);
	for (i = 0; i < ASKERS; i++) {
		a[i] = (struct asker){ .barrier = &barrier,
				       .md = s->md,
				       .stop = &stop };
		assert_int_equal(pthread_create(&a[i].thread, NULL, ask, &a[i]),
				 0);
	}
	for (i = 0; i < ROUNDS; i++)
		one_round(a, i);
	stop = true;
	pthread_barrier_wait(&barrier);
	for (i = 0; i < ASKERS; i++)
		pthread_join(a[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
	s->md->refs.nr_free -= 1u << 24;
	atomic_sub(HPM_MAX_BACKLOG - 1, &s->md->journal.in_flight);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * A full pool can be emptied
 *--------------------------------------------------------------
 */

/* A hold that is refused has changed nothing; one that is not can be let go. */
static void hold_or_release(struct sim *s, bool *held)
{
	const char *why;
	int r = *held ? hpm_md_release(s->md, &why) : hpm_md_hold(s->md, &why);

	if (*held || r != -ENOSPC)
		assert_int_equal(r, 0);
	if (!r)
		*held = !*held;
}

static void something(struct sim *s, bool *held)
{
	u32 id = sim_rnd(s, s->p.max_vols), origin = sim_rnd(s, 20);
	u64 at = sim_rnd(s, s->p.vol_blocks - 20);

	switch (sim_rnd(s, 40)) {
	case 0:
		if (sim_vol(s, id))
			sim_msg_delete(s, id);
		else
			sim_msg_create(s, id);
		break;
	case 1:
	case 2:
		if (!sim_vol(s, id) && sim_vol(s, origin))
			sim_msg_snap(s, id, origin);
		break;
	case 3:
		hold_or_release(s, held);
		break;
	case 4:
	case 5:
		if (sim_vol(s, id))
			sim_discard_blocks(s, id, at, 1 + sim_rnd(s, 16));
		break;
	default:
		if (sim_vol(s, id))
			sim_write_blocks(s, id, at, 1 + sim_rnd(s, 4));
	}
}

/* One thing after another in a pool that is full most of the time. */
static void test_always_room(void **state)
{
	struct sim *s = begin(&base);
	u64 i, full = 0, was;
	bool held = false;

	(void)state;
	sim_msg_create(s, 0);
	/* Fifteen of sixteen: each block has an entry of its own. */
	for (i = 0; i < s->p.vol_blocks; i += 16)
		sim_write_blocks(s, 0, i, 15);
	for (i = 0; s->st.no_space == full; i++) {
		assert_true(i < 100000);
		sim_write_blocks(s, 0, sim_rnd(s, s->p.vol_blocks - 2), 1);
		if (i % 200 == 0 && i / 200 + 1 < s->p.max_vols)
			sim_msg_snap(s, i / 200 + 1, 0);
	}
	for (i = 0; i < 6000 && full < 300; i++) {
		was = s->st.no_space;
		something(s, &held);
		full += s->st.no_space != was;
		sim_may_delete(s);
		if (i % 500 == 499) {
			sim_compare(s);
			sim_check(s);
		}
	}
	fprintf(stderr, "    %llu steps, %llu of them out of space\n", i, full);
	assert_true(full);
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_WRITE);
	if (held)
		hold_or_release(s, &held);
	for (i = 0; i < s->p.max_vols; i++)
		if (sim_vol(s, i))
			assert_int_equal(sim_msg_delete(s, i), 0);
	sim_check_space(s);
	sim_check(s);
	sim_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_many_ask),
		rig_test(test_always_room),
	};

	return rig_run(tests);
}
