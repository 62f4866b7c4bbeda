// SPDX-License-Identifier: GPL-2.0-only
/*
 * corpus DIRECTORY: writes inputs for fuzz_meta that change one field each, of
 * those that can be wrong, in blocks all over the device; and, in directories
 * of their own, seed inputs of the other fuzzers: texts for hpm_restore, lines
 * of tables and of messages, journals.
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

static const char *const table[] = {
	"/dev/a /dev/b 512 0",
	"/dev/a /dev/b 128 8192 0",
	"/dev/a /dev/b 4096 1 2 ignore_discard queue_if_no_space",
	"/dev/a /dev/b 1024 1 4 no_discard_passdown read_only sharing error_if_no_space",
	"/dev/a /dev/b 512 1 1 adopt_data",
	"/dev/a /dev/b 1024 1 1 no_sharing\n/dev/a /dev/b 1024 1 2 sharing no_sharing",
	"/dev/a /dev/b 1024 18446744073709551615 1 skip_block_zeroing",
	"/dev/a /dev/b 512 0 9 x\n/dev/pool 16777215\n254:0 0",
};

static const char *const message[] = {
	"create_thin 0 131072 base\ncreate_snap 1 0\ncreate_snap 2 1 two\nlist",
	"create_thin 5\nset_size 5 2048\nset_name 5 five\nset_name 5 -\ninfo 5",
	"create_thin 1\ndelete 1\ncreate_thin 1 - x\ncheckpoint\nlist 1",
	"set_transaction_id 0 7\nreserve_metadata_snap\ncreate_thin 3\nrelease_metadata_snap",
	"create_thin 2\nset_sharing 2 off\nset_readonly 2 on\nmap_cache 100",
	"cache share on\ncache copies_limit 3\ncache entries 9\ncache scan_ms 10\ncache evict",
	"defrag start 1024\ndefrag stop\ndefrag status",
};

/* One record of each type, as the engine writes it. */
static const u8 journal[] = {
	0,					   /* the pool */
	5,  0,					   /* records; no lie */
	7,  0, 40, 0,  0, 0, 0,	  4, 9,	  0,	   /* CREATE */
	1,  2, 1,  0,  3, 0, 200, 3, 0,	  0,	   /* MAP */
	4,  4, 1,  0,  8, 0, 0,	  0, 0,	  0,	   /* UNMAP */
	14, 0, 0,  0,  0, 0, 9,	  0, 0,	  0,	   /* TID */
	8,  0, 41, 0,  0, 0, 1,	  0, 8,	  0,	   /* SNAP */
	6,  0, 2,  16, 1, 0, 16,  0, 64,  3, 0, 0, /* LARGE */
	5,  2, 1,  0,  3, 0, 40,  3, 200, 3,	   /* MOVE */
	9,  0, 1,  0,  0, 0, 0,	  0, 0,	  0,	   /* DELETE */
	15, 0, 0,  0,  0, 0, 0,	  0, 0,	  0,	   /* HOLD */
	16, 0, 0,  0,  0, 0, 0,	  0, 0,	  0,	   /* RELEASE */
	11, 0, 2,  0,  0, 0, 64,  0, 0,	  0,	   /* SIZE */
	2,  1, 14, 0,  0, 0, 0,	  0, 0,	  0, 0, 0, /* a wrong sequence number */
};

static void put_lines(const char *dir, const char *const *line, unsigned int nr)
{
	unsigned int i;

	mkdir(dir, 0777);
	for (i = 0; i < nr; i++)
		put(dir, i, (const u8 *)line[i], strlen(line[i]));
}

/* The same records in each pool, and with each lie. */
static void put_journals(const char *dir)
{
	u8 p[sizeof(journal)];
	unsigned int i;

	mkdir(dir, 0777);
	memcpy(p, journal, sizeof(p));
	for (i = 0; i < 16; i++) {
		p[0] = i;
		p[2] = i < 4 ? 0 : i;
		put(dir, i, p, sizeof(p));
	}
}

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
	snprintf(sub, sizeof(sub), "%s/table", argv[1]);
	put_lines(sub, table, ARRAY_SIZE(table));
	snprintf(sub, sizeof(sub), "%s/message", argv[1]);
	put_lines(sub, message, ARRAY_SIZE(message));
	snprintf(sub, sizeof(sub), "%s/journal", argv[1]);
	put_journals(sub);
	return 0;
}
