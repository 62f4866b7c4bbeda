/* SPDX-License-Identifier: GPL-2.0-only */
/* Definitions that all test programs of hpmctl share. */
#ifndef HPMCTL_TEST_H
#define HPMCTL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "err.h"

/* The expression must fail, with these words in its sentence. */
#define assert_fails(expr, words)                                           \
	do {                                                                \
		err_clear();                                                \
		assert_true((expr) < 0);                                    \
		if (!strstr(err_text(), words))                             \
			fail_msg("\"%s\" lacks \"%s\"", err_text(), words); \
		err_clear();                                                \
	} while (0)

/* The same, with the status for a bad archive or device. */
#define assert_bad(expr, words)                                             \
	do {                                                                \
		err_clear();                                                \
		assert_true((expr) < 0);                                    \
		if (!strstr(err_text(), words))                             \
			fail_msg("\"%s\" lacks \"%s\"", err_text(), words); \
		if (err_status() != ST_BAD_INPUT)                           \
			fail_msg("\"%s\" has status %d", err_text(),        \
				 (int)err_status());                        \
		err_clear();                                                \
	} while (0)

/* The expression must be 0; if not, its sentence is printed. */
#define assert_works(expr)                                  \
	do {                                                \
		err_clear();                                \
		if (expr)                                   \
			fail_msg(#expr ": %s", err_text()); \
	} while (0)

#endif /* HPMCTL_TEST_H */
