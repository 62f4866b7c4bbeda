// SPDX-License-Identifier: GPL-2.0-only
/* Tests which copies are evicted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "evict-policy.h"

#define C HPM_HEAT_COLD
#define W HPM_HEAT_WARM
#define H HPM_HEAT_HOT
#define P HPM_HEAT_PINNED

/* Names the pages by their numbers; returns the victims as a string. */
static const char *select_pages(const u8 *heat, unsigned int nr, char first,
				unsigned int limit)
{
	static char names[64];
	unsigned int victims[64], n, i;

	n = hpm_evict_select(heat, nr, limit, victims);
	for (i = 0; i < n; i++)
		names[i] = first + victims[i];
	names[n] = '\0';
	return names;
}

/*
 * The worked example: with a limit of three, PBN1 has the pages 1 (cold), 2, 3
 * and 4 (hot), PBN2 the pages 5 (cold), 6, 7, 8 and 9 (hot); the head, which is
 * the latest, is named first.
 */
static void test_worked_example(void **state)
{
	static const u8 pbn1[] = { C, H, H, H };
	static const u8 pbn2[] = { C, H, H, H, H };

	(void)state;
	assert_string_equal(select_pages(pbn1, 4, '1', 3), "1");
	assert_string_equal(select_pages(pbn2, 5, '5', 3), "59");
}

static void test_order(void **state)
{
	static const u8 mixed[] = { H, C, W, H, C, W };
	static const u8 alike[] = { H, H, H, H };

	(void)state;
	assert_string_equal(select_pages(mixed, 6, 'a', 2), "ebfc");
	assert_string_equal(select_pages(mixed, 6, 'a', 1), "ebfcd");
	assert_string_equal(select_pages(alike, 4, 'a', 2), "dc");
	assert_string_equal(select_pages(alike, 4, 'a', 4), "");
	assert_string_equal(select_pages(alike, 4, 'a', 9), "");
	assert_string_equal(select_pages(alike, 0, 'a', 1), "");
}

/* Pages that a process has mapped stay, and count as copies. */
static void test_pinned_stay(void **state)
{
	static const u8 some[] = { H, P, C, P };
	static const u8 all[] = { P, P, P };

	(void)state;
	assert_string_equal(select_pages(some, 4, 'a', 2), "ca");
	assert_string_equal(select_pages(some, 4, 'a', 3), "c");
	assert_string_equal(select_pages(all, 3, 'a', 1), "");
}

static void test_heat(void **state)
{
	(void)state;
	assert_int_equal(hpm_page_heat(false, false, false, false, 0),
			 HPM_HEAT_COLD);
	assert_int_equal(hpm_page_heat(false, true, false, false, 0),
			 HPM_HEAT_WARM);
	assert_int_equal(hpm_page_heat(false, true, true, false, 0),
			 HPM_HEAT_HOT);
	assert_int_equal(hpm_page_heat(false, true, false, true, 0),
			 HPM_HEAT_HOT);
	assert_int_equal(hpm_page_heat(false, true, false, false, 1),
			 HPM_HEAT_HOT);
	assert_int_equal(hpm_page_heat(true, true, true, false, 1),
			 HPM_HEAT_PINNED);
}

static void test_limit(void **state)
{
	const u64 total = 1ULL << 22;
	unsigned int last = 0, limit;
	u64 avail;

	(void)state;
	assert_int_equal(hpm_evict_limit(4, total / 2, total, false), 4);
	assert_int_equal(hpm_evict_limit(4, total / 2, total, true), 1);
	assert_int_equal(hpm_evict_limit(4, total / 16, total, false), 1);
	assert_int_equal(hpm_evict_limit(4, 0, total, false), 1);
	assert_int_equal(hpm_evict_limit(1, total, total, false), 1);
	for (avail = 0; avail <= total; avail += total / 64) {
		limit = hpm_evict_limit(8, avail, total, false);
		assert_in_range(limit, last ? last : 1, 8);
		last = limit;
	}
	assert_int_equal(last, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worked_example),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_pinned_stay),
		cmocka_unit_test(test_heat),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
