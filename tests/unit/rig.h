/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions that all test programs share.
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
/* Prints the seed with which a part of a test begins to stderr. */
void rig_say(const char *what, u64 seed);

/* Drops the engine's messages, or counts them for rig_logged(). */
void rig_quiet(void);
/* The number of errors and warnings since the last call. */
unsigned int rig_logged(void);
/* The last of these messages. */
const char *rig_last_line(void);
/* Prints the last few messages to stderr. */
void rig_dump(void);

/* Error functions for hpm_check(): print to stderr, or drop. */
void rig_print_fault(void *ctx, const char *line);
void rig_drop_fault(void *ctx, const char *line);

/* Let a test fail that does not free all memory that it allocated. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Runs the tests that ONLY selects. */
#define rig_run(tests)                                          \
	({                                                      \
		if (getenv("ONLY"))                             \
			cmocka_set_test_filter(getenv("ONLY")); \
		cmocka_run_group_tests(tests, NULL, NULL);      \
	})

#define rig_test(fn) \
	cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

#endif /* RIG_H */
