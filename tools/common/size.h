/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one parser of sizes, for hpmctl and for the metadata tools.
 *
 * A size is a decimal number and a unit without a space between them.  The
 * units are powers of 1024, in capitals or not:
 *
 *	none, b, byte, bytes	bytes
 *	s			sectors of 512 bytes
 *	K, Ki, KB, KiB		1024 bytes; and so with M, G, T, P and E
 *
 * The number may have a fraction, and must then be a whole number of bytes:
 * 1.5G is exact, 0.1K is refused instead of rounded.
 */
#ifndef HPM_SIZE_H
#define HPM_SIZE_H

#include <stddef.h>
#include <stdint.h>

#define SIZE_WHY 256

/*
 * Returns 0, or -1 with a sentence in @why.  A size is below 2^63, so that two
 * of them can be added.
 */
int size_parse(const char *text, uint64_t *bytes, char why[SIZE_WHY]);

#endif /* HPM_SIZE_H */
