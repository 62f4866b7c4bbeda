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
 * Returns 0, or -1 with a sentence in @why.  A size is below 2^63, so that the
 * sum of two sizes fits 64 bits.
 */
int size_parse(const char *text, uint64_t *bytes, char why[SIZE_WHY]);

/*
 * The size of the metadata for a pool with @data_bytes of data, or on a disk of
 * this size for both, if nothing is known about its use: one byte in 64,
 * rounded to 2 MiB, from 8 MiB to the 16 GiB that metadata can have.  A mapping
 * takes 12 bytes for 4 KiB at best, and about 24 when it was written at random;
 * the rest is for the parts that clones do not share.  This is the default of
 * "hpmctl pool create", and what hpm_metadata_size prints.
 */
uint64_t meta_size_for(uint64_t data_bytes);

#endif /* HPM_SIZE_H */
