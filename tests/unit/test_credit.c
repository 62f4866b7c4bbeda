// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guarantees of credits: a record takes no more than was reserved for it (the
 * rig's audit checks this in every test), credits never add up to more than
 * there is, and a delete is always possible, whatever was done or refused
 * before.
 */
#include "hpm_check.h"
#include "engine.h"
#include "array.h"
#include "checkpoint.h"
#include "credit.h"
#include "node.h"
#include "rig.h"
#include "sim.h"

#include <pthread.h>

static struct sim *begin(void)
{
	struct sim_params p = sim_wide(rig_seed());

	return sim_create(&p);
}

/*
 *----------------------------------------------------------------
 * Many callers at a time
 *--------------------------------------------------------------
 */

#define ASKERS 8
#define ROUNDS 20000

struct asker {
	pthread_t thread;
	pthread_barrier_t *barrier;
	struct hpm_md *md;
	unsigned int got; /* credits of this round */
	bool *stop;
};

static void *ask(void *ctx)
{
	struct asker *a = ctx;

	for (;;) {
		pthread_barrier_wait(a->barrier);
		if (*a->stop)
			return NULL;
		a->got = !hpm_credit_get(a->md, 1, HPM_FOR_WRITE);
		pthread_barrier_wait(a->barrier);
	}
}

/* All ask at once, but there is room for only one. */
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
	struct sim *s = begin();
	struct asker a[ASKERS];
	pthread_barrier_t barrier;
	bool stop = false;
	unsigned int i;

	(void)state;
	atomic_add(HPM_MAX_BACKLOG - 1, &s->md->journal.in_flight);
	s->md->refs.nr_free += 1u << 24; /* only the backlog is limited */
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

/* A hold that is refused changes nothing; one that succeeds can be let go. */
static void hold_or_release(struct sim *s, bool *held)
{
	const char *why;
	int r = *held ? hpm_md_release(s->md, &why) : hpm_md_hold(s->md, &why);

	if (*held || r != -ENOSPC)
		assert_int_equal(r, 0);
	if (!r)
		*held = !*held;
}

/* Ids such that each volume has a leaf of the volume table of its own. */
#define ID(k) ((k)*397)

static void something(struct sim *s, bool *held)
{
	u32 id = ID(sim_rnd(s, s->p.max_vols));
	u32 origin = ID(sim_rnd(s, s->p.max_vols));
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
		if (held)
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

/* Random actions in a pool that is full most of the time. */
static void test_always_room(void **state)
{
	struct sim *s = begin();
	u64 i, full = 0, was;
	bool held = false;

	(void)state;
	sim_msg_create(s, 0);
	/* Fifteen of sixteen blocks: each has an entry of its own. */
	for (i = 0; i < s->p.vol_blocks; i += 16)
		sim_write_blocks(s, 0, i, 15);
	for (i = 0; s->st.no_space == full; i++) {
		assert_true(i < 100000);
		sim_write_blocks(s, 0, sim_rnd(s, s->p.vol_blocks - 2), 1);
		if (i % 200 == 0 && i / 200 + 1 < s->p.max_vols)
			sim_msg_snap(s, ID(i / 200 + 1), 0);
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
		if (sim_vol(s, ID(i)))
			assert_int_equal(sim_msg_delete(s, ID(i)), 0);
	sim_check_space(s);
	sim_check(s);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * Over a cut, and while nothing changes
 *--------------------------------------------------------------
 */

/* Makes this epoch copy all blocks of the counts. */
static void touch_counts(struct sim *s)
{
	struct hpm_array *a = &s->md->array[HPM_ARR_SMALL];
	struct hpm_node *leaf;
	void *elt;
	u64 i;

	mutex_lock(&s->md->lock);
	for (i = 0; i < s->p.vol_blocks; i += a->per_leaf) {
		assert_int_equal(hpm_array_write(s->md, a, i, &leaf, &elt), 0);
		hpm_node_put(leaf);
	}
	mutex_unlock(&s->md->lock);
}

/*
 * After a cut, a superblock has all blocks of the counts again, and fewer
 * blocks are free than before.  The credits that are out must still be covered.
 */
static void test_over_cut(void **state)
{
	struct sim_params p = sim_wide(rig_seed());
	unsigned int n = 0, i;
	struct sim *s;

	(void)state;
	p.vol_blocks = 44800;
	p.meta_blocks = 1536;
	s = sim_create(&p);
	sim_msg_create(s, 0);
	for (i = 0; i < p.vol_blocks; i += 16)
		sim_write_blocks(s, 0, i, 15);
	assert_int_equal(sim_checkpoint(s), 0);
	touch_counts(s);
	assert_true(s->md->counts_left < 10);
	while (!hpm_credit_get(s->md, 1, HPM_FOR_DATA))
		n++;
	assert_true(n > 10);
	assert_false(hpm_credit_tight(s->md));
	assert_int_equal(sim_checkpoint(s), 0);
	assert_true(s->md->counts_left > 20);
	assert_false(hpm_credit_tight(s->md));
	hpm_credit_put(s->md, n);
	sim_check(s);
	sim_destroy(s);
}

/*
 * A caller that waits for metadata space makes no checkpoint that gains
 * nothing.
 */
static void test_no_idle_checkpoints(void **state)
{
	struct sim *s = begin();
	unsigned int n = 0;
	u64 before;
	int i;

	(void)state;
	sim_msg_create(s, 0);
	sim_write_blocks(s, 0, 0, 100);
	while (!hpm_credit_wait(s->md, 1, HPM_FOR_WRITE))
		n++;
	before = s->md->generation;
	for (i = 0; i < 10; i++)
		assert_int_equal(hpm_credit_wait(s->md, 1, HPM_FOR_WRITE),
				 -ENOSPC);
	assert_int_equal(s->md->generation, before);
	hpm_credit_put(s->md, n);
	sim_check(s);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * Messages that are refused before there is a record
 *--------------------------------------------------------------
 */

static u64 records(struct sim *s)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(s->md, &st);
	return st.record;
}

/* The list of dying trees is full. */
static void test_no_dying_slot(void **state)
{
	struct sim *s = begin();
	const char *why = NULL;
	u64 before;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 10);
	assert_int_equal(hpm_md_apply(s->md), 0);
	hpm_vol_put(sim_vol(s, 1)->vol);
	before = records(s);
	s->md->nr_dying += 0x100000;
	assert_int_equal(hpm_vol_delete(s->md, 1, &why), -ENOSPC);
	s->md->nr_dying -= 0x100000;
	assert_non_null(strstr(why, "deleted"));
	assert_int_equal(records(s), before);
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_WRITE);
	assert_int_equal(hpm_vol_open(s->md, 1, &sim_vol(s, 1)->vol), 0);
	assert_int_equal(sim_msg_delete(s, 1), 0);
	sim_check_space(s);
	sim_check(s);
	sim_destroy(s);
}

/* A volume's element at the time when the table was held. */
struct held {
	struct sim *s;
	u32 id[256];
	struct hpm_disk_volume vol[256];
	unsigned int nr;
	bool compare;
	unsigned int at;
};

static int held_leaf(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_volume *d = elts;
	struct held *h = ctx;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!d[i].serial)
			continue;
		if (!h->compare) {
			h->id[h->nr] = first + i;
			h->vol[h->nr++] = d[i];
			continue;
		}
		assert_true(h->at < h->nr);
		assert_int_equal(h->id[h->at], first + i);
		assert_memory_equal(&h->vol[h->at++], &d[i], sizeof(*d));
	}
	return 0;
}

static void walk_held(struct held *h, bool compare)
{
	struct hpm_md *md = h->s->md;

	h->compare = compare;
	h->at = 0;
	if (!compare)
		h->nr = 0;
	mutex_lock(&md->lock);
	assert_int_equal(hpm_array_walk(md, &md->held, held_leaf, h), 0);
	mutex_unlock(&md->lock);
	assert_int_equal(h->nr, compare ? h->at : h->nr);
}

static void many_volumes(struct sim *s, u32 nr)
{
	const char *why;
	u32 i;

	for (i = 0; i < nr; i++)
		assert_int_equal(hpm_vol_create(s->md, 100 + i, 0, NULL, &why),
				 0);
}

static void random_life(struct sim *s, unsigned int steps)
{
	unsigned int i;
	u32 id;

	for (i = 0; i < steps; i++) {
		id = ID(sim_rnd(s, s->p.max_vols));
		switch (sim_rnd(s, 16)) {
		case 0:
			if (sim_vol(s, id))
				sim_msg_delete(s, id);
			else
				sim_msg_create(s, id);
			break;
		case 1:
			sim_reclaim(s);
			break;
		case 2:
			sim_checkpoint(s);
			break;
		default:
			something(s, NULL);
		}
	}
}

/*
 * A held table takes one count, shares its nodes with the living one, and does
 * not change, whatever is done; letting it go can be interrupted at any place.
 */
static void test_held_table(void **state)
{
	struct sim_params p = sim_wide(rig_seed());
	struct held h = { 0 };
	const char *why;
	unsigned int round, i;
	u64 used;

	(void)state;
	p.meta_blocks = 4096;
	h.s = sim_create(&p);
	for (i = 0; i < p.max_vols - 3; i++)
		sim_msg_create(h.s, ID(i));
	for (round = 0; round < 6; round++) {
		random_life(h.s, 100);
		sim_finish(h.s);
		assert_int_equal(sim_checkpoint(h.s), 0);
		used = h.s->md->refs.nr_used;
		assert_int_equal(hpm_md_hold(h.s->md, &why), 0);
		assert_true(h.s->md->refs.nr_used < used + 2);
		walk_held(&h, false);
		for (i = 0; i < 4; i++) {
			random_life(h.s, 60);
			walk_held(&h, true);
			sim_check(h.s);
			sim_crash(h.s, sim_rnd(h.s, HPM_NR_LOSSES), round + i);
			walk_held(&h, true);
		}
		assert_int_equal(hpm_md_release(h.s->md, &why), 0);
		for (i = 0; h.s->md->letting_go && i < 40; i++) {
			random_life(h.s, 4);
			sim_reclaim(h.s);
			if (sim_rnd(h.s, 4))
				continue;
			sim_check(h.s);
			sim_crash(h.s, sim_rnd(h.s, HPM_NR_LOSSES), i);
		}
		sim_compare(h.s);
		sim_check(h.s);
	}
	sim_check_space(h.s);
	assert_false(h.s->md->letting_go);
	assert_int_equal(h.s->md->table_shared, 0);
	sim_check(h.s);
	sim_destroy(h.s);
}

/*
 * A held table is let go between the two halves of a snapshot: trees that die
 * then must not take the serial that the snapshot's record already has.
 */
static void test_let_go_beside_snapshot(void **state)
{
	struct sim_params p = sim_wide(rig_seed());
	const char *why;
	unsigned int i;
	struct sim *s;

	(void)state;
	p.meta_blocks = 4096;
	s = sim_create(&p);
	for (i = 0; i < p.max_vols - 3; i++)
		sim_msg_create(s, ID(i));
	random_life(s, 100);
	assert_int_equal(hpm_md_hold(s->md, &why), 0);
	/* Trees that only the held table has. */
	for (i = 1; i < p.max_vols - 3; i++)
		if (sim_vol(s, ID(i)))
			sim_msg_delete(s, ID(i));
	sim_finish(s);
	if (!sim_vol(s, ID(0)))
		sim_msg_create(s, ID(0));
	assert_int_equal(hpm_md_release(s->md, &why), 0);
	while (!list_empty(&s->md->dying))
		assert_int_equal(hpm_md_reclaim_step(s->md), 1);
	assert_true(s->md->letting_go);

	assert_int_equal(hpm_vol_snapshot_begin(s->md, 7, ID(0), NULL, &why),
			 0);
	/*
	 * The result is not "nothing is left": a caller that reclaims to get
	 * room would give up.
	 */
	for (i = 0; i < 20; i++)
		assert_int_equal(hpm_md_reclaim_step(s->md), -ERESTART);
	hpm_vol_snapshot_publish(s->md);
	assert_int_equal(hpm_vol_snapshot_end(s->md, &why), 0);
	assert_int_equal(hpm_md_apply(s->md), 0);
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_WRITE);
	assert_int_equal(hpm_vol_delete(s->md, 7, &why), 0);
	/* A cancelled snapshot also lets the work go on. */
	assert_int_equal(hpm_vol_snapshot_begin(s->md, 7, ID(0), NULL, &why),
			 0);
	hpm_vol_snapshot_cancel(s->md);
	while (hpm_md_reclaim_step(s->md) > 0)
		;
	assert_false(s->md->letting_go);
	sim_check(s);
	sim_destroy(s);
}

/* A caller that loops fails the test, which would never end otherwise. */
static void count_turns(void *ctx, unsigned int held)
{
	unsigned int *turns = ctx;

	(void)held;
	if (++*turns > 1000000)
		fail_msg("somebody waits and does not end");
}

/* Twenty volumes with data, and a metadata snapshot of them. */
static void hold_twenty(struct sim *s)
{
	const char *why;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		sim_msg_create(s, ID(i));
		sim_write_blocks(s, ID(i), 0, 20);
	}
	assert_int_equal(sim_checkpoint(s), 0);
	assert_int_equal(hpm_md_hold(s->md, &why), 0);
}

/*
 * Metadata space is short while a snapshot is prepared, and there is a table to
 * let go: a caller that waits for a credit is told to try again, not that there
 * is no more space, and does not loop by itself.
 */
static void test_credits_beside_snapshot(void **state)
{
	struct sim *s = begin();
	unsigned int i, n = 0, turns = 0;
	const char *why;
	int r;

	(void)state;
	hold_twenty(s);
	for (i = 0; i < 20; i++)
		sim_write_blocks(s, ID(i), 0, 20);
	sim_finish(s);
	assert_int_equal(hpm_md_release(s->md, &why), 0);
	assert_true(s->md->letting_go);
	assert_int_equal(hpm_vol_snapshot_begin(s->md, 7, ID(0), NULL, &why),
			 0);
	hpm_env_set_hooks(NULL, count_turns, &turns);
	while (!(r = hpm_credit_wait(s->md, 1, HPM_FOR_DATA)))
		n++;
	hpm_env_set_hooks(NULL, NULL, NULL);
	assert_int_equal(r, -ERESTART);
	hpm_vol_snapshot_cancel(s->md);
	hpm_credit_put(s->md, n);
	sim_drop(s);
	assert_int_equal(sim_open(s), 0);
	sim_destroy(s);
}

/*
 * A held table may name a root more than once, as that of a snapshot and of its
 * origin.  With the last of these elements the tree dies: a step must count it
 * as one that does.
 */
static void test_let_go_of_pairs(void **state)
{
	struct sim *s = begin();
	const char *why;
	unsigned int i, before, most = 0;

	(void)state;
	for (i = 0; i < 10; i++) {
		sim_msg_create(s, ID(i));
		sim_write_blocks(s, ID(i), 0, 20);
		sim_msg_snap(s, ID(10 + i), ID(i));
	}
	assert_int_equal(sim_checkpoint(s), 0);
	assert_int_equal(hpm_md_hold(s->md, &why), 0);
	for (i = 0; i < 20; i++)
		sim_msg_delete(s, ID(i));
	assert_int_equal(hpm_md_release(s->md, &why), 0);
	while (s->md->letting_go) {
		before = s->md->nr_dying;
		assert_int_equal(hpm_md_reclaim_step(s->md), 1);
		if (s->md->nr_dying > before)
			most = max(most, s->md->nr_dying - before);
	}
	assert_int_equal(most, 2);
	sim_crash(s, HPM_LOSE_NONE, 1);
	sim_check_space(s);
	sim_check(s);
	sim_destroy(s);
}

/*
 * Writes that are not applied when a step of letting a table go is recorded
 * separate the living trees from the held ones.  Then more trees die than the
 * step has seen.  It must not take more than it may.
 */
static void test_let_go_behind_writes(void **state)
{
	struct sim *s = begin();
	const char *why;
	unsigned int i, steps = 0;

	(void)state;
	hold_twenty(s);
	assert_int_equal(hpm_md_release(s->md, &why), 0);
	for (i = 0; i < 20; i++)
		sim_write_blocks(s, ID(i), 40, 1);
	assert_true(records(s) > s->md->journal.applied);
	assert_true(list_empty(&s->md->dying));
	while (s->md->letting_go) {
		steps += list_empty(&s->md->dying);
		assert_int_equal(hpm_md_reclaim_step(s->md), 1);
		assert_true(s->md->nr_dying <= 2);
		sim_crash_look(s, HPM_LOSE_SECTORS, steps, 0);
	}
	assert_true(steps >= 10);
	sim_crash(s, HPM_LOSE_NONE, 1);
	sim_check_space(s);
	sim_check(s);
	sim_destroy(s);
}

/*
 * A hold whose table would not have enough room is refused before there is a
 * record of it.  After a hold that succeeds, everything that gives space back
 * must be possible.
 */
static void test_hold_refused(void **state)
{
	struct sim *s = begin();
	const char *why = NULL;
	unsigned int n = 0;
	u64 before;

	(void)state;
	sim_msg_create(s, 0);
	sim_write_blocks(s, 0, 0, 100);
	many_volumes(s, 900);
	while (!hpm_credit_wait(s->md, 1, HPM_FOR_WRITE))
		n++;
	hpm_credit_put(s->md, 2);
	before = records(s);
	assert_int_equal(hpm_md_hold(s->md, &why), -ENOSPC);
	assert_non_null(strstr(why, "volume table"));
	assert_int_equal(records(s), before);

	hpm_credit_put(s->md, n - 2);
	assert_int_equal(hpm_md_hold(s->md, &why), 0);
	n = 0;
	while (!hpm_credit_wait(s->md, 1, HPM_FOR_WRITE))
		n++;
	assert_true(s->md->table_shared >= 60);
	assert_int_equal(hpm_vol_delete(s->md, 100, &why), 0);
	assert_int_equal(hpm_md_release(s->md, &why), 0);
	hpm_credit_put(s->md, n);
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_WRITE);
	sim_drop(s);
	assert_int_equal(sim_open(s), 0);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * Pools of older versions, whose journal needs more than there is
 *--------------------------------------------------------------
 */

/* Takes all free blocks but @left, for leaves of the table without volumes. */
static void take_all(struct sim *s, u64 left)
{
	struct hpm_array *a = &s->md->array[HPM_ARR_VOLUME];
	struct hpm_node *leaf;
	u64 i = 1 << 20;
	void *elt;

	mutex_lock(&s->md->lock);
	for (; s->md->refs.nr_free > left; i += a->per_leaf) {
		assert_int_equal(hpm_array_write(s->md, a, i, &leaf, &elt), 0);
		hpm_node_put(leaf);
	}
	mutex_unlock(&s->md->lock);
	assert_int_equal(hpm_md_make_room(s->md), 0);
}

/*
 * Makes a pool with almost no free block, and with records behind its
 * checkpoint, in @batches batches, each for another leaf: writes to shared
 * blocks, or discards of unshared ones.  No credit allowed this.
 */
static struct sim *locked_out(u64 left, unsigned int batches, bool shared)
{
	struct sim *s = begin();
	u64 i, at, n = 24;

	sim_msg_create(s, 0);
	for (i = 0; i < s->p.vol_blocks; i += 16)
		sim_write_blocks(s, 0, i, 15);
	if (shared)
		assert_int_equal(sim_msg_snap(s, 1, 0), 0);
	assert_int_equal(sim_checkpoint(s), 0);
	take_all(s, left);
	s->md->refs.nr_free += 1u << 24;
	for (i = 0; i < n; i++) {
		at = i * s->p.vol_blocks / n / 16 * 16;
		if (shared)
			sim_write_blocks(s, 0, at + 15, 1);
		else
			sim_discard_blocks(s, 0, at, 1);
		if ((i + 1) % (n / batches) == 0)
			assert_int_equal(sim_commit(s), 0);
	}
	s->md->refs.nr_free -= 1u << 24;
	assert_true(records(s) > s->md->journal.applied);
	sim_drop(s);
	return s;
}

/* It opens for reading as it is, and for writing on a larger device. */
static void test_locked_out(void **state)
{
	struct sim *s = locked_out(6, 1, true);
	struct hpm_md_params ro = { .read_only = true };
	u64 writes = hpm_mem_ops(s->io, HPM_MEM_WRITE);
	struct hpm_md_stats st;
	const char *why = NULL;
	struct hpm_md *md;
	struct hpm_run run;
	struct hpm_vol *vol;
	u64 cut;

	(void)state;
	s->may_fail = true;
	assert_int_equal(sim_open(s), -ENOSPC);
	s->md = NULL;
	s->may_fail = false;
	assert_int_equal(hpm_md_open(s->io, &ro, NULL, NULL, &md, &why), 0);
	assert_int_equal(hpm_md_mode(md), HPM_MODE_READ_ONLY);
	hpm_md_get_stats(md, &st);
	assert_int_equal(st.meta_free_now, 0);
	assert_int_equal(hpm_vol_open(md, 0, &vol), 0);
	assert_int_equal(hpm_map_load(vol, 15), 0);
	assert_int_equal(hpm_map_lookup(vol, 15, 1, &run), 0);
	assert_true(run.mapped && !run.shared);
	hpm_vol_put(vol);
	hpm_md_close(md);
	assert_int_equal(hpm_mem_ops(s->io, HPM_MEM_WRITE), writes);

	hpm_mem_resize(s->io, 1536, s->p.data_blocks);
	for (cut = 1; cut < 40; cut += 2)
		sim_crash_look(s, HPM_LOSE_SECTORS, cut, cut);
	assert_int_equal(sim_open(s), 0);
	hpm_md_get_stats(s->md, &st);
	assert_int_equal(st.meta_total, 1536);
	sim_destroy(s);
}

/*
 * A checkpoint after each batch makes a replay possible that one epoch cannot
 * do.
 */
static void test_replay_in_steps(void **state)
{
	struct sim *s = locked_out(24, 12, false);
	u64 cut;

	(void)state;
	for (cut = 1; cut < 120; cut += 5)
		sim_crash_look(s, HPM_LOSE_SECTORS, cut, cut);
	rig_logged();
	assert_int_equal(sim_open(s), 0);
	assert_true(rig_logged()); /* about the second attempt */
	assert_int_equal(hpm_md_mode(s->md), HPM_MODE_WRITE);
	sim_destroy(s);
}

/* Checks that each valid superblock fits what it names. */
static u64 supers_whole(struct hpm_io *io)
{
	struct hpm_check_params p = {
		.super = HPM_CHECK_OLDER,
		.error = rig_drop_fault,
	};
	struct hpm_check_result res;

	if (!hpm_check(io, &p, &res)) /* else it was torn */
		assert_int_equal(res.errors, 0);
	p.super = HPM_CHECK_NEWEST;
	p.error = rig_print_fault;
	assert_int_equal(hpm_check(io, &p, &res), 0);
	assert_int_equal(res.errors, 0);
	return res.data_used;
}

/*
 * The power fails in the replay; returns the blocks in use after the next one.
 */
static u64 used_after_cut(struct sim *s, u64 cut, bool *over)
{
	struct hpm_io *io = hpm_mem_crash(s->io, HPM_LOSE_NONE, 0), *found;
	struct hpm_md_params params = { .large_shift = s->p.large_shift };
	struct hpm_md_stats st;
	struct hpm_md *md;
	const char *why;

	hpm_mem_cut_at(io, cut);
	if (!hpm_md_open(io, &params, NULL, NULL, &md, &why))
		hpm_md_close(md);
	*over = !hpm_mem_is_cut(io);
	found = hpm_mem_crash(io, HPM_LOSE_SECTORS, cut);
	hpm_io_close(io);
	supers_whole(found);
	assert_int_equal(hpm_md_open(found, &params, NULL, NULL, &md, &why), 0);
	hpm_md_get_stats(md, &st);
	hpm_md_close(md);
	assert_int_equal(supers_whole(found), st.data_used);
	hpm_io_close(found);
	return st.data_used;
}

static void used_in_steps(struct sim *s, u64 used)
{
	bool over = false;
	u64 cut;

	/*
	 * A checkpoint has more events than this step, so each is the newest
	 * one in some run.
	 */
	for (cut = 1; !over; cut += 3)
		assert_int_equal(used_after_cut(s, cut, &over), used);
	assert_true(cut > 100);
	assert_int_equal(sim_open(s), 0);
	sim_destroy(s);
}

/*
 * A checkpoint between two batches of a replay has the right number of blocks
 * in use.
 */
static void test_used_in_steps(void **state)
{
	struct sim *s = locked_out(24, 12, false);
	u64 used = s->p.vol_blocks / 16 * 15;

	(void)state;
	used_in_steps(s, used - 24);
	s = locked_out(6, 6, true);
	hpm_mem_resize(s->io, 1536, s->p.data_blocks);
	used_in_steps(s, used + 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_many_ask),
		rig_test(test_always_room),
		rig_test(test_over_cut),
		rig_test(test_no_idle_checkpoints),
		rig_test(test_no_dying_slot),
		rig_test(test_held_table),
		rig_test(test_let_go_beside_snapshot),
		rig_test(test_credits_beside_snapshot),
		rig_test(test_let_go_of_pairs),
		rig_test(test_let_go_behind_writes),
		rig_test(test_hold_refused),
		rig_test(test_locked_out),
		rig_test(test_replay_in_steps),
		rig_test(test_used_in_steps),
	};

	return rig_run(tests);
}
