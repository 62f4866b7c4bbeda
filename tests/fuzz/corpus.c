// SPDX-License-Identifier: GPL-2.0-only
/*
 * corpus DIRECTORY: inputs for fuzz_meta that change, one by one, the fields
 * in which the format can lie, of blocks all over the device; and texts for the
 * fuzzer of hpm_restore in DIRECTORY/text.
 */
#include <sys/stat.h>

#include "hpm_lib.h"
#include "format.h"

static const u16 block_of[] = {
	0,   8,	  24,  32,  33,	 160, 166, 172, 173, 174,
	175, 180, 190, 200, 220, 250, 300, 350, 400, 500,
};

static const struct {
	u16 at;
	u8 len;
} field[] = {
	{ 8, 1 },    { 9, 1 },	  { 10, 2 },   { 12, 1 },  { 16, 8 },
	{ 24, 8 },   { 32, 8 },	  { 64, 4 },   { 64, 8 },  { 72, 8 },
	{ 88, 8 },   { 128, 8 },  { 160, 8 },  { 200, 8 }, { 280, 8 },
	{ 1408, 8 }, { 1416, 8 }, { 3000, 8 },
};

static const u64 value[] = { 0, 1, 255, U64_MAX, 1ull << 36, 1000 };

static void put(const char *dir, unsigned int n, const u8 *p, size_t size)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%05u", dir, n);
	f = fopen(path, "w");
	if (!f || fwrite(p, 1, size, f) != size || fclose(f)) {
		perror(path);
		exit(1);
	}
}

static size_t make(u8 *p, u8 pool, u16 block, unsigned int f, u64 v, u8 flags)
{
	p[0] = pool;
	put_unaligned_le16(block, p + 1);
	put_unaligned_le16(field[f].at, p + 3);
	p[5] = field[f].len | flags;
	put_unaligned_le64(v, p + 6);
	return 6 + field[f].len;
}

static unsigned int of_block(const char *dir, unsigned int n, unsigned int b)
{
	unsigned int f;
	size_t size;
	u8 p[32];

	for (f = 0; f < ARRAY_SIZE(field); f++) {
		size = make(p, n % 4, block_of[b], f,
			    value[n % ARRAY_SIZE(value)], n % 32 ? 0 : 0x80);
		put(dir, n++, p, size);
	}
	return n;
}

static const char text[] =
	"<hpmapper version=\"1\" uuid=\"000102030405060708090a0b0c0d0e0f\" large_block=\"32\" data_blocks=\"4096\" time=\"3\" transaction=\"1\" next_serial=\"9\">\n"
	"  <def id=\"1\" level=\"0\">\n"
	"    <large vbn=\"0\" pbn=\"64\" blocks=\"64\" time=\"1\"/>\n"
	"    <hole vbn=\"64\" blocks=\"3\" time=\"2\"/>\n"
	"  </def>\n"
	"  <def id=\"2\" level=\"1\">\n"
	"    <ref def=\"1\"/>\n"
	"    <small vbn=\"70\" pbn=\"7\" blocks=\"2\" time=\"2\"/>\n"
	"  </def>\n"
	"  <volume id=\"1\" serial=\"1\" parent=\"0\" size=\"4096\" snap_time=\"2\" created=\"0\" flags=\"2\" name=\"a&#x20;b\">\n"
	"    <ref def=\"2\"/>\n"
	"    <small vbn=\"99\" pbn=\"99\" blocks=\"400\" time=\"3\"/>\n"
	"  </volume>\n"
	"  <dying serial=\"3\">\n"
	"    <ref def=\"1\"/>\n"
	"  </dying>\n"
	"  <held time=\"2\"/>\n"
	"  <volume id=\"1\" serial=\"1\" parent=\"0\" size=\"4096\" snap_time=\"2\" created=\"0\" flags=\"0\" name=\"\">\n"
	"    <ref def=\"2\"/>\n"
	"  </volume>\n"
	"</hpmapper>\n";

int main(int argc, char **argv)
{
	unsigned int b, n = 0;
	char sub[400];

	if (argc != 2) {
		fprintf(stderr, "usage: corpus DIRECTORY\n");
		return 2;
	}
	mkdir(argv[1], 0777);
	snprintf(sub, sizeof(sub), "%s/edits", argv[1]);
	mkdir(sub, 0777);
	for (b = 0; b < ARRAY_SIZE(block_of); b++)
		n = of_block(sub, n, b);
	snprintf(sub, sizeof(sub), "%s/text", argv[1]);
	mkdir(sub, 0777);
	put(sub, 0, (const u8 *)text, sizeof(text) - 1);
	return 0;
}
