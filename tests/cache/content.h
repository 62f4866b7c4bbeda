/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tree of files in which every byte is determined by a seed.
 */
#ifndef HPM_TEST_CONTENT_H
#define HPM_TEST_CONTENT_H

#include <stdint.h>
#include <stdio.h>

#define MAX_SIZE (256 << 10)
#define PER_DIR	 64

static inline uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* About 40 KiB on average: most files are small, some are large. */
static inline size_t size_of(unsigned int file, uint64_t seed)
{
	uint64_t r = mix(seed + file * 0x9e3779b97f4a7c15ull);

	if (r % 8 == 0)
		return 100000 + (r >> 8) % (MAX_SIZE - 100000);
	return 500 + (r >> 8) % 32000;
}

static inline uint64_t word_of(unsigned int file, uint64_t seed, size_t word)
{
	return mix(seed * 0x9e3779b97f4a7c15ull + ((uint64_t)file << 32) +
		   word);
}

static inline void path_of(char *path, const char *dir, unsigned int file)
{
	snprintf(path, 4096, "%s/d%u/f%u", dir, file / PER_DIR, file);
}

#endif /* HPM_TEST_CONTENT_H */
