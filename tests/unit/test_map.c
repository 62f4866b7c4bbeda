// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests map trees alone: random splices against a plain array, with trees that
 * share nodes, and look-ups of every kind.
 */
#include "hpm_check.h"
#include "hpm_mem_io.h"
#include "rig.h"

#include "engine.h"
#include "map.h"
#include "volumes.h"

#define PBNS  32768u
#define TREES 4u

static u64 vbns; /* of each tree */

struct tree {
	struct hpm_vol *vol;
	u64 *value; /* by key; 0: none */
};

struct forest {
	struct hpm_io *io;
	struct hpm_md *md;
	struct tree *tree[TREES];
	u64 rng;
};

static u64 rnd(struct forest *f, u64 n)
{
	u64 z = f->rng += 0x9e3779b97f4a7c15ull;

	BUG_ON(!n);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % n;
}

static void drain(void *ctx, struct list_head *batches)
{
	struct forest *f = ctx;
	struct hpm_free_batch *b, *n;

	list_for_each_entry_safe(b, n, batches, list) {
		list_del(&b->list);
		hpm_free_done(f->md, b);
	}
}

static const struct hpm_md_ops ops = { .drain = drain };

static struct forest *plant(u64 seed, u64 size)
{
	struct hpm_md_params p = { .large_shift = 4, .may_format = true };
	struct forest *f = calloc(1, sizeof(*f));
	const char *why;
	unsigned int i;

	vbns = size;
	f->rng = seed;
	f->io = hpm_mem_create(16384, PBNS, seed);
	assert_int_equal(hpm_md_open(f->io, &p, &ops, f, &f->md, &why), 0);
	for (i = 0; i < TREES; i++) {
		f->tree[i] = calloc(1, sizeof(*f->tree[i]));
		f->tree[i]->value = calloc(2 * size, sizeof(u64));
		assert_int_equal(hpm_vol_create(f->md, i, 0, NULL, &why), 0);
		assert_int_equal(hpm_vol_open(f->md, i, &f->tree[i]->vol), 0);
	}
	return f;
}

static void uproot(struct forest *f)
{
	unsigned int i;

	for (i = 0; i < TREES; i++) {
		hpm_vol_put(f->tree[i]->vol);
		free(f->tree[i]->value);
		free(f->tree[i]);
	}
	hpm_md_close(f->md);
	hpm_io_close(f->io);
	free(f);
}

/* The number of visible small blocks, by the array. */
static u64 count_mapped(const struct tree *t)
{
	u64 vbn, n = 0;

	for (vbn = 0; vbn < vbns; vbn++) {
		u64 small = t->value[2 * vbn + 1];

		if (small ? hpm_value_pbn(small) != HPM_PBN_HOLE :
			    t->value[2 * (vbn & ~15ull)] != 0)
			n++;
	}
	return n;
}

/* Checks the counts of everything, after a checkpoint. */
static void walk(struct forest *f)
{
	struct hpm_check_params p = { .error = rig_print_fault };
	struct hpm_check_result res;
	unsigned int i;

	/* Direct splices do not update this sum. */
	mutex_lock(&f->md->lock);
	for (i = 0; i < TREES; i++) {
		f->tree[i]->vol->mapped = count_mapped(f->tree[i]);
		hpm_vol_mark_dirty(f->tree[i]->vol);
	}
	mutex_unlock(&f->md->lock);
	assert_int_equal(hpm_md_checkpoint(f->md), 0);
	assert_int_equal(hpm_check(f->io, &p, &res), 0);
	assert_int_equal(res.errors, 0);
}

/*
 *----------------------------------------------------------------
 * Splices
 *--------------------------------------------------------------
 */

/*
 * Makes entries for [from, to): bases for large blocks, small entries and holes
 * elsewhere.
 */
static unsigned int make_entries(struct forest *f, u64 from, u64 to,
				 struct hpm_entry *e, unsigned int density)
{
	unsigned int n = 0;
	u64 key;

	for (key = from; key < to && n < 512; key++) {
		u64 pbn;

		if (!(key & 1) && (key >> 1 & 15))
			continue; /* no large block begins there */
		if (rnd(f, 100) >= density)
			continue;
		if (!(key & 1))
			pbn = (1 + rnd(f, PBNS / 16 - 1)) * 16;
		else /* never 0, which at time 0 is "none" in the array */
			pbn = rnd(f, 8) ? 1 + rnd(f, PBNS - 1) : HPM_PBN_HOLE;
		e[n].key = key;
		e[n++].value = hpm_value(f->md->time, pbn);
	}
	return n;
}

static void random_splice(struct forest *f, struct tree *t)
{
	static const unsigned int density[] = { 0, 3, 30, 90, 100 };
	static const unsigned int length[] = { 1, 8, 40, 700, 4000 };
	struct hpm_entry e[512];
	struct hpm_splice sp;
	u64 from = rnd(f, 2 * vbns), to, key;
	unsigned int i, nr, large = 0, small = 0, holes = 0;

	to = min_t(u64, from + 1 + rnd(f, length[rnd(f, 5)]), 2 * vbns);
	nr = make_entries(f, from, to, e, density[rnd(f, 5)]);
	if (nr == 512)
		to = min(to, e[511].key + 1);
	for (key = from; key < to; key++) {
		u64 v = t->value[key];

		if (v && !(key & 1))
			large++;
		else if (v && hpm_value_pbn(v) == HPM_PBN_HOLE)
			holes++;
		else if (v)
			small++;
	}

	mutex_lock(&f->md->lock);
	assert_int_equal(hpm_map_splice(t->vol, from, to, e, nr, &sp), 0);
	mutex_unlock(&f->md->lock);
	assert_int_equal(sp.large, large);
	assert_int_equal(sp.small, small);
	assert_int_equal(sp.holes, holes);
	memset(t->value + from, 0, (to - from) * sizeof(u64));
	for (i = 0; i < nr; i++)
		t->value[e[i].key] = e[i].value;
}

/*
 *----------------------------------------------------------------
 * Comparing
 *--------------------------------------------------------------
 */

/* Compares all entries, in pieces of random size. */
static void compare_entries(struct forest *f, const struct tree *t)
{
	static struct hpm_entry e[600];
	u64 key = 0, next, at;
	unsigned int i, nr, max;

	mutex_lock(&f->md->lock);
	while (key < 2 * vbns) {
		max = 1 + rnd(f, 600);
		assert_int_equal(hpm_map_collect(f->md, t->vol->root, key,
						 2 * vbns, e, max, &nr),
				 0);
		next = nr == max ? e[nr - 1].key + 1 : 2 * vbns;
		for (at = key, i = 0; at < next; at++) {
			bool here = i < nr && e[i].key == at;

			assert_int_equal(here ? e[i].value : 0, t->value[at]);
			i += here;
		}
		assert_int_equal(i, nr);
		key = next;
	}
	mutex_unlock(&f->md->lock);
}

/* The mapping of one small block, by the array. */
static u64 seen_at(const struct tree *t, u64 vbn, bool *base)
{
	u64 v = t->value[2 * vbn + 1];

	*base = false;
	if (v)
		return hpm_value_pbn(v) == HPM_PBN_HOLE ? 0 : v;
	v = t->value[2 * (vbn & ~15ull)];
	*base = v != 0;
	return v ? v + (vbn & 15) : 0;
}

static void compare_run(const struct tree *t, u64 vbn,
			const struct hpm_run *run)
{
	u32 i, snap_time = t->vol->snap_time;
	bool base;

	for (i = 0; i < run->nr; i++) {
		u64 v = seen_at(t, vbn + i, &base);

		assert_int_equal(run->mapped, v != 0);
		if (!v)
			continue;
		assert_int_equal(run->pbn + i, hpm_value_pbn(v));
		assert_int_equal(run->shared, hpm_value_time(v) < snap_time);
		assert_int_equal(run->base, base);
	}
}

static void lookup(const struct tree *t, u64 vbn, u32 max, struct hpm_run *run)
{
	int r;

	while ((r = hpm_map_lookup(t->vol, vbn, max, run)) == -EAGAIN)
		assert_int_equal(hpm_map_load(t->vol, vbn), 0);
	assert_int_equal(r, 0);
	assert_true(run->nr >= 1 && run->nr <= max);
	compare_run(t, vbn, run);
}

static void compare_lookups(struct forest *f, const struct tree *t)
{
	struct hpm_run run;
	unsigned int i;
	u64 vbn, hole, n;
	bool base;

	for (vbn = 0; vbn < vbns; vbn += run.nr)
		lookup(t, vbn, vbns - vbn, &run);
	for (i = 0; i < 50; i++) {
		vbn = rnd(f, vbns);
		lookup(t, vbn, 1 + rnd(f, vbns - vbn), &run);
		assert_int_equal(hpm_map_hole(t->vol, vbn, vbns - vbn, &hole),
				 0);
		for (n = 0; vbn + n < vbns && !seen_at(t, vbn + n, &base); n++)
			;
		assert_int_equal(hole, n);
	}
}

static void compare_highest(const struct tree *t)
{
	u64 vbn, last = vbns;
	bool base;
	int r;

	for (vbn = 0; vbn < vbns; vbn++)
		if (seen_at(t, vbn, &base))
			last = vbn;
	r = hpm_vol_highest(t->vol, &vbn);
	if (last == vbns) {
		/* Holes above the highest mapped block may be counted. */
		return;
	}
	assert_int_equal(r, 0);
	assert_true(vbn >= last);
}

static void compare(struct forest *f)
{
	unsigned int i;

	for (i = 0; i < TREES; i++) {
		compare_entries(f, f->tree[i]);
		compare_lookups(f, f->tree[i]);
		compare_highest(f->tree[i]);
	}
}

/* Tree @to becomes a copy of tree @from, like a snapshot. */
static void share(struct forest *f, unsigned int from, unsigned int to)
{
	struct tree *a = f->tree[from], *b = f->tree[to];
	const char *why;
	int r;

	hpm_vol_put(b->vol);
	assert_int_equal(hpm_vol_delete(f->md, to, &why), 0);
	assert_int_equal(hpm_vol_snapshot(f->md, to, from, NULL, &why), 0);
	assert_int_equal(hpm_vol_open(f->md, to, &b->vol), 0);
	memcpy(b->value, a->value, 2 * vbns * sizeof(u64));
	do {
		r = hpm_md_reclaim_step(f->md);
		assert_true(r >= 0);
	} while (r && rnd(f, 8));
}

static void test_splice(void **state)
{
	unsigned int round, i, from, to;
	struct forest *f;
	u64 seed;

	(void)state;
	for (seed = rig_seed(); seed < rig_seed() + 2 * rig_scale(); seed++) {
		rig_say("splices", seed);
		f = plant(seed, 16384);
		for (round = 0; round < 25; round++) {
			for (i = 0; i < 40; i++)
				random_splice(f, f->tree[rnd(f, TREES)]);
			from = rnd(f, TREES);
			to = rnd(f, TREES);
			if (from != to)
				share(f, from, to);
			if (rnd(f, 2))
				hpm_md_nodes_scan(f->md, 10000);
			compare(f);
			walk(f);
		}
		uproot(f);
	}
}

/* Keys in sequence fill leaves completely, in either direction. */
static void test_sequential(void **state)
{
	struct forest *f = plant(rig_seed(), 16384);
	struct tree *t = f->tree[0];
	struct hpm_check_params p = { .error = rig_print_fault };
	struct hpm_check_result res;
	struct hpm_splice sp;
	struct hpm_entry e;
	u64 i;

	(void)state;
	for (i = 0; i < vbns; i++) {
		e.key = hpm_key_small(i);
		e.value = hpm_value(f->md->time, i + 1);
		mutex_lock(&f->md->lock);
		assert_int_equal(hpm_map_splice(t->vol, e.key, e.key + 1, &e, 1,
						&sp),
				 0);
		mutex_unlock(&f->md->lock);
		t->value[e.key] = e.value;
		if (i % 2000 == 0)
			assert_int_equal(hpm_md_checkpoint(f->md), 0);
	}
	walk(f);
	compare(f);
	assert_int_equal(hpm_check(f->io, &p, &res), 0);
	/* 49 full leaves, one inner node, and the arrays of their counts. */
	assert_true(res.nodes < 49 + 1 + 32768 / 2016 + 12);

	for (i = vbns; i-- > 0;) {
		u64 key = hpm_key_small(i);

		mutex_lock(&f->md->lock);
		assert_int_equal(
			hpm_map_splice(t->vol, key, key + 1, NULL, 0, &sp), 0);
		mutex_unlock(&f->md->lock);
		t->value[key] = 0;
		if (i % 2000 == 0)
			assert_int_equal(hpm_md_checkpoint(f->md), 0);
	}
	walk(f);
	assert_int_equal(t->vol->root.height, 0);
	uproot(f);
}

static void put_one(struct forest *f, struct tree *t, u64 vbn, u64 pbn)
{
	struct hpm_splice sp;
	struct hpm_entry e = {
		.key = hpm_key_small(vbn),
		.value = hpm_value(f->md->time, pbn),
	};

	mutex_lock(&f->md->lock);
	assert_int_equal(hpm_map_splice(t->vol, e.key, e.key + 1, &e, 1, &sp),
			 0);
	mutex_unlock(&f->md->lock);
	t->value[e.key] = e.value;
}

/* So many leaves that inner nodes are split, and removed again. */
static void test_three_levels(void **state)
{
	struct forest *f = plant(rig_seed(), 120000);
	struct tree *t = f->tree[0];
	struct hpm_splice sp;
	u64 i, from, to;
	bool order;

	(void)state;
	for (order = false;; order = true) {
		/* Upwards first, then every seventh key, again and again. */
		for (i = 0; i < vbns; i++) {
			put_one(f, t, order ? i * 7 % vbns : i,
				1 + i % (PBNS - 1));
			if (i % 20000 == 0)
				assert_int_equal(hpm_md_checkpoint(f->md), 0);
		}
		assert_true(t->vol->root.height >= 3);
		walk(f);
		compare_entries(f, t);
		compare_lookups(f, t);
		share(f, 0, 1);
		for (i = 0; i < 300; i++)
			random_splice(f, t);
		walk(f);
		compare_entries(f, t);
		compare_entries(f, f->tree[1]);
		/* Removed in ranges, from both ends and the middle. */
		for (from = 0; from < 2 * vbns; from = to) {
			to = min(from + 1 + rnd(f, 4000), 2 * vbns);
			mutex_lock(&f->md->lock);
			assert_int_equal(hpm_map_splice(t->vol, from, to, NULL,
							0, &sp),
					 0);
			mutex_unlock(&f->md->lock);
		}
		memset(t->value, 0, 2 * vbns * sizeof(u64));
		assert_int_equal(t->vol->root.height, 0);
		walk(f);
		compare_entries(f, f->tree[1]);
		if (order)
			break;
	}
	uproot(f);
}

/* The last snapshot that the pool's time can distinguish. */
static void test_end_of_time(void **state)
{
	struct forest *f = plant(rig_seed(), 1024);
	const char *why;

	(void)state;
	put_one(f, f->tree[0], 5, 77);
	f->md->time = HPM_MAX_TIME - 1;
	hpm_vol_mark_dirty(f->tree[0]->vol);
	assert_int_equal(hpm_vol_snapshot(f->md, 9, 0, NULL, &why), 0);
	assert_int_equal(hpm_vol_snapshot(f->md, 10, 0, NULL, &why),
			 -EOVERFLOW);
	assert_non_null(strstr(why, "snapshots"));
	put_one(f, f->tree[0], 6, 78);
	compare_entries(f, f->tree[0]);
	compare_lookups(f, f->tree[0]);
	assert_int_equal(hpm_vol_delete(f->md, 9, &why), 0);
	walk(f);
	uproot(f);
}

/*
 * Keys from one end of the address space to the other: each region of 2^32
 * keys has leaves of its own.
 */
static void test_regions(void **state)
{
	struct forest *f = plant(rig_seed(), 16384);
	struct tree *t = f->tree[0];
	struct hpm_entry e, got[64];
	struct hpm_splice sp;
	struct hpm_run run;
	unsigned int i, n, nr;
	u64 vbn[64], last;

	(void)state;
	for (n = 0; n < 64; n++) {
		vbn[n] = (u64)n << 30 | (n % 3 ? 0 : (1ull << 30) - 1);
		e.key = hpm_key_small(vbn[n]);
		e.value = hpm_value(f->md->time, 100 + 2 * n);
		mutex_lock(&f->md->lock);
		assert_int_equal(hpm_map_splice(t->vol, e.key, e.key + 1, &e, 1,
						&sp),
				 0);
		mutex_unlock(&f->md->lock);
	}
	for (i = 0; i < n; i++) {
		assert_int_equal(hpm_map_lookup(t->vol, vbn[i], 8, &run), 0);
		assert_true(run.mapped);
		assert_int_equal(run.pbn, 100 + 2 * i);
		assert_int_equal(run.nr, 1);
		if (vbn[i] + 1 < 1ull << HPM_VBN_BITS) {
			assert_int_equal(
				hpm_map_lookup(t->vol, vbn[i] + 1, 8, &run), 0);
			assert_true(!run.mapped || run.pbn == 102 + 2 * i);
		}
	}
	assert_int_equal(hpm_vol_highest(t->vol, &last), 0);
	assert_int_equal(last, vbn[63]);
	t->vol->mapped = 64;
	assert_int_equal(hpm_md_checkpoint(f->md), 0);
	mutex_lock(&f->md->lock);
	assert_int_equal(hpm_map_collect(f->md, t->vol->root, 0, U64_MAX, got,
					 64, &nr),
			 0);
	assert_int_equal(nr, 64);
	/* Everything but the ends is removed at once. */
	assert_int_equal(hpm_map_splice(t->vol, hpm_key_small(vbn[0]) + 1,
					hpm_key_small(vbn[63]), NULL, 0, &sp),
			 0);
	mutex_unlock(&f->md->lock);
	assert_int_equal(sp.small, 62);
	memset(t->value, 0, 2 * vbns * sizeof(u64));
	t->vol->mapped = 2;
	assert_int_equal(hpm_md_checkpoint(f->md), 0);
	uproot(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_splice),	    rig_test(test_sequential),
		rig_test(test_regions),	    rig_test(test_three_levels),
		rig_test(test_end_of_time),
	};

	return rig_run(tests);
}
