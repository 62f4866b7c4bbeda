// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests the data space alone: counts of every size, punched blocks, allocation,
 * which never gives out a block twice, and freed blocks, which can be allocated
 * again at the right time.
 */
#include "hpm_check.h"
#include "hpm_mem_io.h"
#include "rig.h"

#include "engine.h"
#include "busy.h"
#include "space.h"

static struct hpm_io *io;
static struct hpm_md *md;
static LIST_HEAD(freed);

static void keep_freed(void *ctx, struct list_head *batches)
{
	(void)ctx;
	list_splice_tail_init(batches, &freed);
}

static const struct hpm_md_ops ops = { .drain = keep_freed };

static void begin(u64 data_blocks, unsigned int shift)
{
	struct hpm_md_params p = { .large_shift = shift, .may_format = true };
	const char *why;

	INIT_LIST_HEAD(&freed);
	io = hpm_mem_create(4096, data_blocks, rig_seed());
	assert_int_equal(hpm_md_open(io, &p, &ops, NULL, &md, &why), 0);
}

static void free_back(void)
{
	struct hpm_free_batch *b, *n;

	list_for_each_entry_safe(b, n, &freed, list) {
		list_del(&b->list);
		hpm_free_done(md, b);
	}
}

static void end(void)
{
	free_back();
	hpm_md_close(md);
	hpm_io_close(io);
}

static void take_fault(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
}

static u64 faults(void)
{
	struct hpm_check_params p = { .error = take_fault };
	struct hpm_check_result res;

	assert_int_equal(hpm_md_checkpoint(md), 0);
	assert_int_equal(hpm_check(io, &p, &res), 0);
	return res.errors;
}

static int count_small(u64 pbn, u32 nr, int delta)
{
	int r;

	mutex_lock(&md->lock);
	r = hpm_space_count_small(md, pbn, nr, delta);
	mutex_unlock(&md->lock);
	return r;
}

static int count_large(u64 pbn, int delta)
{
	int r;

	mutex_lock(&md->lock);
	r = hpm_space_count_large(md, pbn, delta);
	mutex_unlock(&md->lock);
	return r;
}

/* The upper half of a count is made when the count passes 2^15. */
static void test_high_counts(void **state)
{
	unsigned int i, n = 70000;

	(void)state;
	begin(8192, 4);
	for (i = 0; i < n; i++)
		assert_int_equal(count_small(2015, 3, 1), 0);
	/*
	 * No leaf maps them, so the faults are: three counts, two large blocks,
	 * the sum.
	 */
	assert_int_equal(faults(), 3 + 2 + 1);
	for (i = 0; i < n; i++) {
		assert_int_equal(count_small(2015, 3, -1), 0);
		if (i == n - 40000 || i == n - 32768 || i == n - 32767)
			assert_true(faults() > 0);
	}
	assert_int_equal(faults(), 0);
	assert_int_equal(count_small(2015, 1, -1), -EUCLEAN);
	end();
}

/* Random changes of counts against plain arrays, in both tiers. */
static void test_counts(void **state)
{
	enum {
		LARGE = 64,
		SIZE = 32
	};
	static u32 large[LARGE], small[LARGE * SIZE];
	static bool punched[LARGE * SIZE];
	struct hpm_md_stats st;
	u64 i, at, k, used;
	int r;

	(void)state;
	memset(large, 0, sizeof(large));
	memset(small, 0, sizeof(small));
	memset(punched, 0, sizeof(punched));
	hpm_env_seed(rig_seed());
	begin(LARGE * SIZE, 5);
	for (i = 0; i < 20000 * rig_scale(); i++) {
		u32 nr = 1 + get_random_u32_below(40);
		u64 l = get_random_u32_below(LARGE);

		at = get_random_u32_below(LARGE * SIZE);
		nr = min_t(u64, nr, LARGE * SIZE - at);
		switch (get_random_u32_below(6)) {
		case 0:
		case 1:
			assert_int_equal(count_small(at, nr, 1), 0);
			for (k = at; k < at + nr; k++)
				small[k]++;
			break;
		case 2:
		case 3:
			for (k = at; k < at + nr && small[k]; k++)
				;
			nr = k - at;
			if (!nr)
				break;
			assert_int_equal(count_small(at, nr, -1), 0);
			for (k = at; k < at + nr; k++)
				small[k]--;
			break;
		case 4:
			r = count_large(l * SIZE, large[l] && i % 2 ? -1 : 1);
			assert_int_equal(r, 0);
			if (large[l] && i % 2)
				large[l]--;
			else
				large[l]++;
			for (k = 0; !large[l] && k < SIZE; k++)
				punched[l * SIZE + k] = false;
			break;
		default:
			if (large[l] == 1) {
				DECLARE_BITMAP(mask, 1 << HPM_MAX_LARGE_SHIFT);

				bitmap_zero(mask, 1 << HPM_MAX_LARGE_SHIFT);
				for (k = 0; k < SIZE; k++)
					if (get_random_u32_below(3) == 0)
						__set_bit(k, mask);
				mutex_lock(&md->lock);
				r = hpm_space_punch(md, l * SIZE, mask);
				mutex_unlock(&md->lock);
				assert_int_equal(r, 0);
				for (k = 0; k < SIZE; k++)
					if (test_bit(k, mask))
						punched[l * SIZE + k] = true;
			}
		}
		if (i % 64)
			continue;
		used = 0;
		for (k = 0; k < LARGE * SIZE; k++)
			used += small[k] || (large[k / SIZE] && !punched[k]);
		hpm_md_get_stats(md, &st);
		assert_int_equal(st.data_used, used);
		assert_int_equal(hpm_md_commit(md), 0);
		free_back();
		if (i % 1024)
			continue;
		hpm_md_get_stats(md, &st);
		assert_int_equal(st.data_free_now, LARGE * SIZE - used);
	}
	for (k = 0; k < LARGE * SIZE; k++)
		while (small[k]--)
			assert_int_equal(count_small(k, 1, -1), 0);
	for (k = 0; k < LARGE; k++)
		while (large[k]--)
			assert_int_equal(count_large(k * SIZE, -1), 0);
	assert_int_equal(faults(), 0);
	end();
}

/* Blocks are taken, used, freed and unreserved: none ever has two owners. */
static void test_allocation(void **state)
{
	enum {
		SIZE = 16,
		BLOCKS = 2048,
		STOCKS = 4,
		NONE,
		STOCK,
		TAKEN,
		USED
	};
	static u8 owner[BLOCKS];
	struct hpm_stock stock[STOCKS];
	struct hpm_md_stats st;
	u64 i, k, pbn, full = 0;
	u32 nr, s;
	int r;

	(void)state;
	memset(owner, NONE, sizeof(owner));
	hpm_env_seed(rig_seed());
	begin(BLOCKS, 4);
	for (s = 0; s < STOCKS; s++)
		hpm_stock_init(&stock[s]);
	for (i = 0; i < 40000 * rig_scale(); i++) {
		s = get_random_u32_below(STOCKS);
		switch (get_random_u32_below(8)) {
		case 0:
			r = hpm_space_refill(md, &stock[s]);
			assert_true(!r || r == -ENOSPC);
			full += r != 0;
			break;
		case 1:
		case 2:
		case 3:
			nr = hpm_stock_take(&stock[s],
					    1 + get_random_u32_below(20), &pbn);
			for (k = pbn; k < pbn + nr; k++) {
				assert_int_equal(owner[k], NONE);
				owner[k] = TAKEN;
			}
			if (nr)
				assert_int_equal(pbn / SIZE,
						 (pbn + nr - 1) / SIZE);
			break;
		case 4:
			r = hpm_space_take_large(md, &pbn);
			if (r) {
				assert_int_equal(r, -ENOSPC);
				break;
			}
			assert_int_equal(pbn % SIZE, 0);
			for (k = pbn; k < pbn + SIZE; k++) {
				assert_int_equal(owner[k], NONE);
				owner[k] = TAKEN;
			}
			break;
		case 5:
		case 6:
			pbn = get_random_u32_below(BLOCKS);
			for (k = pbn; k < BLOCKS && owner[k] == TAKEN; k++)
				;
			nr = k - pbn;
			if (!nr)
				break;
			switch (get_random_u32_below(3)) {
			case 0:
				hpm_space_unreserve(md, pbn, nr);
				break;
			case 1:
				nr = min_t(u32, nr, SIZE - pbn % SIZE);
				hpm_stock_give(&stock[s], pbn, nr);
				break;
			default:
				assert_int_equal(count_small(pbn, nr, 1), 0);
				hpm_space_settle(md, pbn, nr);
				memset(owner + pbn, USED, nr);
				continue;
			}
			memset(owner + pbn, NONE, nr);
			break;
		default:
			pbn = get_random_u32_below(BLOCKS);
			for (k = pbn;
			     k < BLOCKS && owner[k] == USED && k < pbn + 30;
			     k++)
				;
			if (k == pbn)
				break;
			/* Not before it was drained. */
			assert_int_equal(count_small(pbn, k - pbn, -1), 0);
			if (get_random_u32_below(4) == 0)
				assert_int_equal(hpm_md_commit(md), 0);
			memset(owner + pbn, NONE, k - pbn);
			if (get_random_u32_below(4) == 0)
				free_back();
		}
	}
	assert_true(full > 0);
	for (s = 0; s < STOCKS; s++)
		hpm_space_return(md, &stock[s]);
	for (k = 0; k < BLOCKS; k++) {
		if (owner[k] == TAKEN)
			hpm_space_unreserve(md, k, 1);
		else if (owner[k] == USED)
			assert_int_equal(count_small(k, 1, -1), 0);
	}
	assert_int_equal(hpm_md_commit(md), 0);
	free_back();
	hpm_md_get_stats(md, &st);
	assert_int_equal(st.data_used, 0);
	assert_int_equal(st.data_free_now, BLOCKS);
	assert_int_equal(faults(), 0);
	end();
}

/* Freed blocks cannot be allocated before hpm_free_done(). */
static void test_freed_waits(void **state)
{
	struct hpm_stock st;
	u64 pbn;
	u32 nr, total = 0;

	(void)state;
	begin(64, 4);
	hpm_stock_init(&st);
	while (!hpm_space_refill(md, &st)) {
		while ((nr = hpm_stock_take(&st, 64, &pbn))) {
			assert_int_equal(count_small(pbn, nr, 1), 0);
			hpm_space_settle(md, pbn, nr);
			total += nr;
		}
	}
	assert_int_equal(total, 64);
	assert_int_equal(count_small(8, 16, -1), 0);
	assert_int_equal(hpm_space_refill(md, &st), -ENOSPC);
	assert_int_equal(hpm_md_commit(md), 0);
	assert_int_equal(hpm_space_refill(md, &st), -ENOSPC);
	assert_false(list_empty(&freed));
	free_back();
	assert_int_equal(hpm_space_refill(md, &st), 0);
	hpm_space_return(md, &st);
	assert_int_equal(count_small(0, 8, -1), 0);
	assert_int_equal(count_small(24, 40, -1), 0);
	assert_int_equal(hpm_md_commit(md), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_high_counts),
		rig_test(test_counts),
		rig_test(test_allocation),
		rig_test(test_freed_waits),
	};

	return rig_run(tests);
}
