// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pool's label with another format version, or with a feature that is not
 * known, and a right checksum.
 *
 *	label-version <file with the label> <version> [<incompat flags>]
 *
 * The new label goes to stdout.
 *
 * The checksum is crc32c over what follows it, with the same seed as for the
 * given label; as crc32c is linear, the seed need not be known.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK	 4096
#define VERSION	 64 /* behind the head */
#define INCOMPAT 104

static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
	while (n--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = v >> (8 * i);
}

int main(int argc, char **argv)
{
	uint8_t old[BLOCK], new[BLOCK];
	FILE *f;

	f = argc == 3 || argc == 4 ? fopen(argv[1], "rb") : NULL;
	if (!f || fread(old, BLOCK, 1, f) != 1) {
		fprintf(stderr,
			"usage: label-version <label> <version> [<incompat>]\n");
		return 2;
	}
	fclose(f);
	memcpy(new, old, BLOCK);
	put32(new + VERSION, atoi(argv[2]));
	if (argc == 4)
		put32(new + INCOMPAT, strtoul(argv[3], NULL, 0));
	put32(new, get32(old) ^ crc32c(0, old + 4, BLOCK - 4) ^
			   crc32c(0, new + 4, BLOCK - 4));
	return fwrite(new, BLOCK, 1, stdout) != 1;
}
