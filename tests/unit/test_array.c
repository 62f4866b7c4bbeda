// SPDX-License-Identifier: GPL-2.0-only
/* Tests sparse arrays, with the node cache, against plain arrays. */
#include "hpm_mem_io.h"
#include "rig.h"

#include "engine.h"
#include "array.h"
#include "node.h"

static struct hpm_io *io;
static struct hpm_md *md;

static void begin(void)
{
	struct hpm_md_params p = { .large_shift = 4, .may_format = true };
	const char *why;

	io = hpm_mem_create(8192, 1024, 1);
	hpm_env_seed(rig_seed());
	assert_int_equal(hpm_md_open(io, &p, NULL, NULL, &md, &why), 0);
}

static void end(void)
{
	hpm_md_close(md);
	hpm_io_close(io);
}

/* Indices from the whole range, some of them close together. */
static u64 some_index(unsigned int i)
{
	static const u64 base[] = { 0,		1000,
				    504,	126503,
				    127008,	1ull << 20,
				    1ull << 27, (1ull << 32) - 300 };

	return base[i % 8] + i / 8;
}

struct walk {
	u64 last;
	u64 sum;
};

static int add_leaf(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_large *l = elts;
	struct walk *w = ctx;
	unsigned int i;

	assert_true(first >= w->last);
	w->last = first + nr;
	for (i = 0; i < nr; i++)
		w->sum += le32_to_cpu(l[i].refs);
	return 0;
}

static int stop(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	(void)first;
	(void)elts;
	(void)nr;
	++*(int *)ctx;
	return 7;
}

/*
 * Uses an array like HPM_ARR_LARGE of its own, which checkpoints do not save.
 */
static int nothing(struct hpm_md *m, const void *elts, unsigned int nr)
{
	(void)m;
	(void)elts;
	(void)nr;
	return 0;
}

static void test_random(void **state)
{
	enum {
		N = 8 * 300
	};
	static u32 value[N];
	struct hpm_array a;
	static const struct hpm_cut_ops ops = { .gone = nothing };
	struct hpm_node *leaf;
	struct walk w = { 0 };
	unsigned int i, k;
	const void *elt;
	u64 used, sum = 0;
	void *p;
	int calls = 0;

	(void)state;
	begin();
	memset(value, 0, sizeof(value));
	used = md->refs.nr_used;
	hpm_array_init(&a, HPM_ARR_LARGE);
	mutex_lock(&md->lock);
	assert_int_equal(hpm_array_read(md, &a, 5, &leaf, &elt), 0);
	assert_null(leaf);
	assert_null(elt);
	for (i = 0; i < 20000; i++) {
		k = get_random_u32_below(N);
		if (get_random_u32_below(2)) {
			assert_int_equal(hpm_array_write(md, &a, some_index(k),
							 &leaf, &p),
					 0);
			value[k] = 1 + get_random_u32_below(1000);
			((struct hpm_disk_large *)p)->refs =
				cpu_to_le32(value[k]);
			hpm_node_put(leaf);
			continue;
		}
		assert_int_equal(
			hpm_array_read(md, &a, some_index(k), &leaf, &elt), 0);
		if (elt)
			assert_int_equal(
				le32_to_cpu(
					((struct hpm_disk_large *)elt)->refs),
				value[k]);
		else
			assert_int_equal(value[k], 0);
		if (leaf)
			hpm_node_put(leaf);
		if (i % 500 == 0) {
			/*
			 * From here on nodes are copied, and read back from the
			 * device.
			 */
			mutex_unlock(&md->lock);
			assert_int_equal(hpm_md_checkpoint(md), 0);
			hpm_array_release(&a);
			hpm_md_nodes_scan(md, 10000);
			mutex_lock(&md->lock);
		}
	}
	for (i = 0; i < N; i++)
		sum += value[i];
	assert_int_equal(hpm_array_walk(md, &a, add_leaf, &w), 0);
	assert_int_equal(w.sum, sum);
	assert_int_equal(hpm_array_walk(md, &a, stop, &calls), 7);
	assert_int_equal(calls, 1);
	assert_int_equal(hpm_array_cut(md, &a, some_index(N / 2), &ops), 0);
	assert_int_equal(hpm_array_cut(md, &a, U64_MAX, &ops), 0);
	assert_int_equal(a.root.height, 0);
	mutex_unlock(&md->lock);
	for (i = 0; i < 3; i++)
		assert_int_equal(hpm_md_checkpoint(md), 0);
	assert_int_equal(md->refs.nr_used, used);
	end();
}

/* The cache obeys its limit, and a limit of 0 still works. */
static void test_limit(void **state)
{
	struct hpm_md_stats st;
	struct hpm_array a;
	struct hpm_node *leaf;
	const void *elt;
	unsigned int i;
	void *p;

	(void)state;
	begin();
	hpm_array_init(&a, HPM_ARR_VOLUME);
	mutex_lock(&md->lock);
	for (i = 0; i < 15 * 1000; i += 15) {
		assert_int_equal(hpm_array_write(md, &a, i, &leaf, &p), 0);
		((struct hpm_disk_volume *)p)->size = cpu_to_le64(i);
		hpm_node_put(leaf);
	}
	hpm_array_release(&a);
	mutex_unlock(&md->lock);
	assert_int_equal(hpm_md_checkpoint(md), 0);
	hpm_md_get_stats(md, &st);
	assert_true(st.nodes_cached >= 1000);
	hpm_md_nodes_limit(md, 200);
	hpm_md_get_stats(md, &st);
	assert_true(st.nodes_cached <= 264);
	mutex_lock(&md->lock);
	for (i = 0; i < 15 * 1000; i += 15) {
		assert_int_equal(hpm_array_read(md, &a, i, &leaf, &elt), 0);
		assert_int_equal(
			le64_to_cpu(((struct hpm_disk_volume *)elt)->size), i);
		hpm_node_put(leaf);
	}
	hpm_array_release(&a);
	mutex_unlock(&md->lock);
	hpm_md_get_stats(md, &st);
	assert_true(st.nodes_cached <= 264);
	assert_true(hpm_md_nodes_count(md) > 0);
	while (hpm_md_nodes_scan(md, 100))
		;
	assert_int_equal(hpm_md_nodes_count(md), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_random),
		rig_test(test_limit),
	};

	return rig_run(tests);
}
