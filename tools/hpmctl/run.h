/* SPDX-License-Identifier: GPL-2.0-only */
/* Running other programs without a shell; and the signals that stop us. */
#ifndef HPMCTL_RUN_H
#define HPMCTL_RUN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Runs argv[0], searched for in PATH and the sbin directories, and waits for
 * it.  Its output is discarded; @text (unless NULL) gets the beginning of what
 * it writes to stderr.  Returns its exit status (128 + n if a signal ended it),
 * or -1 with a sentence if it could not be run.
 */
int run_program(const char *const *argv, char *text, size_t size);

/*
 * From here on, SIGINT and SIGTERM only set a flag, which long operations
 * check, so that they can undo what they have done.
 */
void catch_signals(void);
bool interrupted(void);
/* Reports that a signal came; returns -1. */
int err_interrupted(void);

#endif /* HPMCTL_RUN_H */
