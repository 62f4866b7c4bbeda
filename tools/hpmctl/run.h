/* SPDX-License-Identifier: GPL-2.0-only */
/* Other programs, run without a shell; and the signals that stop us. */
#ifndef HPMCTL_RUN_H
#define HPMCTL_RUN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Runs argv[0], looked for in PATH and the sbin directories, and waits for it.
 * Its output is thrown away; of what it writes to stderr, the beginning comes
 * back in @text (unless NULL).  Returns its exit status (128 + n if a signal
 * ended it), or -1 with a sentence if it could not be run.
 */
int run_program(const char *const *argv, char *text, size_t size);

/*
 * From here on SIGINT and SIGTERM only set a flag, which long work looks at, so
 * that what was begun is undone.
 */
void catch_signals(void);
bool interrupted(void);
/* Says that a signal came; returns -1. */
int err_interrupted(void);

#endif /* HPMCTL_RUN_H */
