/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all test programs share.
 *
 *	SEED=n	the seed that random tests start from, 1 if it is not given;
 *		a test that fails tells the seed with which it fails again
 *	SCALE=n	how much longer than usual random tests run
 *	ONLY=pattern	the tests to run, as in test_*
 */
#ifndef RIG_H
#define RIG_H

#include "hpm_lib.h"

#include <setjmp.h>
#include <cmocka.h>

u64 rig_seed(void);
u64 rig_scale(void);
/* Says on stderr with which seed a part of a test begins. */
void rig_say(const char *what, u64 seed);

/* The engine's messages are dropped, or counted by rig_logged(). */
void rig_quiet(void);
/* Errors and warnings since the last call. */
unsigned int rig_logged(void);
/* The last of them. */
const char *rig_last_line(void);
/* The last few of them to stderr. */
void rig_dump(void);

/* What hpm_check() says goes to stderr, or nowhere: struct hpm_check_params. */
void rig_print_fault(void *ctx, const char *line);
void rig_drop_fault(void *ctx, const char *line);

/* Memory that a test allocated and did not free makes it fail. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* In place of cmocka's: minds ONLY. */
#define rig_run(tests)                                          \
	({                                                      \
		if (getenv("ONLY"))                             \
			cmocka_set_test_filter(getenv("ONLY")); \
		cmocka_run_group_tests(tests, NULL, NULL);      \
	})

#define rig_test(fn) \
	cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

#endif /* RIG_H */
