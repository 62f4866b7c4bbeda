/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzzers of table and message lines have in common. */
#ifndef FUZZ_H
#define FUZZ_H

#include "hpm_env.h"
#include "hpm_lib.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define must(c)                                              \
	do {                                                 \
		if (!(c))                                    \
			hpm_env_bug(__FILE__, __LINE__, #c); \
	} while (0)

/* Splits an input into lines and words, as device-mapper does. */
#define FUZZ_WORDS 64

struct fuzz_line {
	char *text, *next, *line;
};

void fuzz_begin(struct fuzz_line *l, const u8 *data, size_t size);
bool fuzz_next(struct fuzz_line *l);
unsigned int fuzz_words(struct fuzz_line *l, char *argv[FUZZ_WORDS]);
void fuzz_end(struct fuzz_line *l);

#endif /* FUZZ_H */
