// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fields in headers that are not numbers, or that no file can have: the archive
 * is bad, and no file may get another owner than the archive says.
 */
#include "image.h"
#include <locale.h>

#include "layer.h"

static char *dir, root[64], tar[64];

static int setup(void **state)
{
	(void)state;
	dir = make_dir();
	(void)snprintf(root, sizeof(root), "%s/root", dir);
	(void)snprintf(tar, sizeof(tar), "%s/x.tar", dir);
	return mkdir(root, 0755);
}

static int teardown(void **state)
{
	(void)state;
	drop_dir(dir);
	err_clear();
	return 0;
}

static int unpack(void)
{
	struct layer_stats stats;
	struct stream *s;
	int ret = stream_open_file(tar, &s);

	if (!ret) {
		ret = layer_unpack(s, root, &stats);
		stream_close(s);
	}
	return ret;
}

static struct stat look(const char *name)
{
	char path[512];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	if (lstat(path, &st))
		fail_msg("%s is not there", name);
	return st;
}

/*----------------------------------------------------------------
 * Archives, byte by byte
 *--------------------------------------------------------------*/

static unsigned char blocks[64 << 10];
static size_t used;

static void begin(void)
{
	memset(blocks, 0, sizeof(blocks));
	used = 0;
}

static void sum(unsigned char *h)
{
	unsigned int i, n = 0;

	memset(h + 148, ' ', 8);
	for (i = 0; i < 512; i++)
		n += h[i];
	(void)snprintf((char *)h + 148, 8, "%06o", n);
}

/* Adds a header of an empty file, or of an extended header for the next one. */
static unsigned char *add(const char *name, char type, size_t size)
{
	static const char magic[8] = { 'u', 's', 't', 'a', 'r', 0, '0', '0' };
	unsigned char *h = blocks + used;

	strcpy((char *)h, name);
	strcpy((char *)h + 100, "0000644");
	(void)snprintf((char *)h + 108, 8, "%07o", 1000);
	(void)snprintf((char *)h + 116, 8, "%07o", 1001);
	(void)snprintf((char *)h + 124, 12, "%011zo", size);
	(void)snprintf((char *)h + 136, 12, "%011o", 1000000000);
	h[156] = (unsigned char)type;
	memcpy(h + 257, magic, sizeof(magic));
	sum(h);
	used += 512;
	return h;
}

static void add_body(const char *data, size_t size)
{
	memcpy(blocks + used, data, size);
	used += (size + 511) / 512 * 512;
}

static void add_pax(const char *data, size_t size, char type)
{
	(void)add("PaxHeaders/f", type, size);
	add_body(data, size);
}

/* "uid=5" becomes the record "9 uid=5\n". */
static size_t record(char *out, size_t room, const char *text)
{
	size_t len = strlen(text) + 3, digits = 1, n = len;

	while (n >= 10) {
		digits++;
		n /= 10;
	}
	len += digits - 1;
	return (size_t)snprintf(out, room, "%zu %s\n", len, text);
}

static void put(void)
{
	spit(tar, (char *)blocks, used + 1024);
}

/* Unpacks a file with other bytes in one field of its header. */
static int with_field(size_t at, const char *bytes, size_t len, char type)
{
	unsigned char *h;

	begin();
	(void)add("before", '0', 0);
	h = add("f", type, 0);
	memcpy(h + at, bytes, len);
	sum(h);
	put();
	return unpack();
}

static int with_pax(const char *text)
{
	char body[512];

	begin();
	add_pax(body, record(body, sizeof(body), text), 'x');
	(void)add("f", '0', 0);
	put();
	return unpack();
}

/*----------------------------------------------------------------
 * Tests
 *--------------------------------------------------------------*/

#define FIELD(s) (s), sizeof(s) - 1

static void bad_fields(void **state)
{
	static const struct {
		size_t at;
		const char *bytes;
		size_t len;
		char type;
		const char *words;
	} bad[] = {
		{ 108, FIELD("abc\0\0\0\0\0"), '0', "owner" },
		{ 108, FIELD("00019000"), '0', "owner" },
		{ 108, FIELD("12x4567\0"), '0', "owner" },
		{ 108, FIELD("-000001\0"), '0', "owner" },
		{ 108, FIELD("0x12345\0"), '0', "owner" },
		{ 108, FIELD("\xff\xff\xff\xff\xff\xff\xff\xff"), '0',
		  "owner" },
		{ 108, FIELD("\x80\0\0\1\0\0\0\0"), '0', "owner" },
		{ 108, FIELD("\x80\0\0\0\xff\xff\xff\xff"), '0', "owner" },
		{ 108, FIELD("\x80\1\0\0\0\0\0\0"), '5', "owner" },
		{ 116, FIELD("abc\0\0\0\0\0"), '0', "group" },
		{ 116, FIELD("\x80\0\0\1\0\0\0\0"), '2', "group" },
		{ 116, FIELD("\x80\0\0\0\xff\xff\xff\xff"), '5', "group" },
		{ 100, FIELD("rw-r--r-"), '0', "mode" },
		{ 100, FIELD("7777777\0"), '0', "mode" },
		{ 100, FIELD("\xff\xff\xff\xff\xff\xff\xff\xff"), '0', "mode" },
		{ 124, FIELD("0000000000z\0"), '0', "size" },
		{ 124,
		  FIELD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		  '0', "" },
		{ 136, FIELD("yesterday\0\0\0"), '0', "time" },
		{ 136, FIELD("\x80\0\0\1\0\0\0\0\0\0\0\0"), '0', "time" },
		{ 329, FIELD("0010000\0"), '3', "device number" },
		{ 329, FIELD("sda\0\0\0\0\0"), '4', "device number" },
		{ 337, FIELD("4000000\0"), '3', "device number" },
		{ 337, FIELD("\x80\0\0\1\0\0\0\0"), '4', "device number" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_bad(with_field(bad[i].at, bad[i].bytes, bad[i].len,
				      bad[i].type),
			   bad[i].words);
}

static void bad_records(void **state)
{
	static const char *const bad[] = {
		"uid=abc",
		"uid=",
		"uid=-1",
		"uid=+5",
		"uid= 5",
		"uid=5 ",
		"uid=0x10",
		"uid=5.5",
		"uid=4294967295",
		"uid=4294967296",
		"uid=18446744073709551616",
		"uid=99999999999999999999999999",
		"gid=",
		"gid=abc",
		"gid=4294967295",
		"size=-1",
		"size=9223372036854775808",
		"size=ten",
		"mtime=soon",
		"mtime=",
		"mtime=1e9",
		"mtime=9223372036854775808",
		"mtime=1.5x",
		"mtime=--5",
		"atime=x",
		"ctime=1,5",
		"SCHILY.devmajor=4096",
		"SCHILY.devminor=1048576",
		"SCHILY.devminor=x",
		"GNU.sparse.realsize=x",
		"SCHILY.acl.access=user::rw-,user:4294967297:rw-,group::r--",
		"SCHILY.acl.default=user::rw-,group:x:r--:2147483648",
		"path=",
		"linkpath=",
		"=5",
		"uid",
	};
	size_t i;

	(void)state;
	/* (libarchive itself reports a negative size) */
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_bad(with_pax(bad[i]), "");
}

static int with_body(const char *body, size_t len, char type)
{
	begin();
	add_pax(body, len, type);
	(void)add("f", '0', 0);
	put();
	return unpack();
}

static void malformed_records(void **state)
{
	static const struct {
		const char *body;
		size_t len;
	} bad[] = {
		{ FIELD("uid=5\n") },	    { FIELD("9 uid=5\n") },
		{ FIELD("10 uid=5\n") },    { FIELD("0 uid=5\n") },
		{ FIELD("8 uid=5x") },	    { FIELD("99999999 uid=5\n") },
		{ FIELD("7 uid5\n") },	    { FIELD("-8 uid=5\n") },
		{ FIELD("8\tuid=5\n") },    { FIELD("8 uid=5\n\0") },
		{ FIELD("10 path=a\0\n") },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_bad(with_body(bad[i].body, bad[i].len, 'x'),
			   "impossible");
}

/* libarchive does not apply them, so no file would have them. */
static void global_records(void **state)
{
	(void)state;
	assert_works(with_body(FIELD("13 comment=x\n"), 'g'));
	assert_bad(with_body(FIELD("8 uid=5\n"), 'g'), "for all its entries");
	assert_bad(with_body(FIELD("8 gid=5\n"), 'g'), "for all its entries");
	assert_bad(with_body(FIELD("9 path=a\n"), 'g'), "for all its entries");
	assert_bad(with_body(FIELD("8 uid=x\n"), 'g'), "owner");
}

/* Large but valid numbers stay right. */
static void large_numbers(void **state)
{
	static const char most[] = "\x80\0\0\0\xff\xff\xff\xfe";

	(void)state;
	if (geteuid())
		skip();
	assert_works(with_field(108, FIELD("7777777\0"), '0'));
	assert_int_equal(look("f").st_uid, 07777777);
	assert_works(with_field(108, FIELD(" 17501 \0"), '0'));
	assert_int_equal(look("f").st_uid, 017501);
	assert_works(with_field(108, FIELD(most), '0'));
	assert_int_equal(look("f").st_uid, 4294967294U);
	assert_works(with_field(116, FIELD(most), '5'));
	assert_int_equal(look("f").st_gid, 4294967294U);
	assert_works(with_pax("uid=4294967294"));
	assert_int_equal(look("f").st_uid, 4294967294U);
	assert_works(with_pax("gid=3000000000"));
	assert_int_equal(look("f").st_gid, 3000000000U);
	/* an empty field means root, as with every other tool */
	assert_works(with_field(108, FIELD("\0\0\0\0\0\0\0\0"), '0'));
	assert_int_equal(look("f").st_uid, 0);
	assert_works(with_field(100, FIELD("0100600\0"), '0'));
	assert_int_equal(look("f").st_mode, S_IFREG | 0600);
	assert_works(with_field(329, FIELD("0007777\0"), '3'));
}

/* A record gives the value, so the field in the header does not matter. */
static void record_wins(void **state)
{
	char body[512];
	unsigned char *h;
	size_t n;

	(void)state;
	begin();
	n = record(body, sizeof(body), "uid=7");
	n += record(body + n, sizeof(body) - n, "uid=77");
	add_pax(body, n, 'x');
	h = add("f", '0', 0);
	memset(h + 108, '*', 8);
	sum(h);
	put();
	assert_works(unpack());
	if (!geteuid())
		assert_int_equal(look("f").st_uid, 77);
}

static void times(void **state)
{
	(void)state;
	assert_works(with_pax("mtime=-5"));
	assert_int_equal(look("f").st_mtime, -5);
	assert_works(with_pax("mtime=1000000000.123456789123"));
	assert_int_equal(look("f").st_mtim.tv_nsec, 123456789);
	/* year 1, which programs in Go write for an unknown time */
	assert_works(with_pax("mtime=-62135596800"));
	assert_int_equal(look("f").st_mtime, INT32_MIN);
	assert_works(with_pax("mtime=9223372036854775807"));
	assert_int_equal(look("f").st_mtime, 15032385535);
	assert_works(with_field(
		136, FIELD("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
		'5'));
	assert_int_equal(look("f").st_mtime, -2);
}

/* Many headers before one entry, and a name that is longer than a header. */
static void chains(void **state)
{
	char name[300], body[512];

	(void)state;
	memset(name, 'n', sizeof(name));
	memset(name + 100, '/', 1);
	name[250] = '\0';
	begin();
	(void)add("././@LongLink", 'L', 251);
	add_body(name, 251);
	add_pax(body, record(body, sizeof(body), "uid=78"), 'x');
	(void)add("f", '0', 0);
	put();
	assert_works(unpack());
	if (!geteuid())
		assert_int_equal(look(name).st_uid, 78);
	begin();
	(void)add("././@LongLink", 'L', 251);
	add_body(name, 251);
	add_pax(body, record(body, sizeof(body), "uid=abc"), 'x');
	(void)add("f", '0', 0);
	put();
	assert_bad(unpack(), "owner");
	/* a label with a body, which not all readers skip */
	begin();
	(void)add("label", 'V', 512);
	(void)add("f", '0', 0);
	put();
	assert_bad(unpack(), "size");
}

/* Readers use different ones, and libarchive drops what was checked. */
static void twice(void **state)
{
	static const char *const kinds[] = { "xx", "Xx", "xX", "xLx" };
	char body[64];
	unsigned char *h;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *kind;

		begin();
		for (kind = kinds[i]; *kind; kind++) {
			n = record(body, sizeof(body),
				   kind == kinds[i] ? "uid=77" : "gid=78");
			if (*kind == 'L')
				n = (size_t)snprintf(body, sizeof(body), "l");
			add_pax(body, n, *kind);
		}
		h = add("f", '0', 0);
		memset(h + 108, '*', 8);
		sum(h);
		put();
		assert_bad(unpack(), "two extended headers");
	}
	begin();
	(void)add("././@LongLink", 'L', 4);
	add_body("one", 4);
	add_pax(body, record(body, sizeof(body), "path=two"), 'x');
	(void)add("f", '0', 0);
	put();
	assert_bad(unpack(), "two paths");
	begin();
	add_pax(body, record(body, sizeof(body), "linkpath=two"), 'x');
	(void)add("././@LongLink", 'K', 4);
	add_body("one", 4);
	(void)add("f", '2', 0);
	put();
	assert_bad(unpack(), "two links");
}

/* These would become empty files. */
static void links_to_nothing(void **state)
{
	(void)state;
	assert_bad(with_field(157, FIELD("\0"), '1'), "link");
	assert_bad(with_field(157, FIELD("\0"), '2'), "link");
	assert_works(with_field(157, FIELD("before"), '1'));
	assert_works(with_field(157, FIELD("before"), '2'));
	begin();
	(void)add("././@LongLink", 'K', 1);
	add_body("", 1);
	(void)add("f", '2', 0);
	put();
	assert_bad(unpack(), "link");
}

/* Only a part of the file is in this archive; it begins in another one. */
static void further_volumes(void **state)
{
	(void)state;
	begin();
	(void)add("f", 'M', 3);
	add_body("end", 3);
	put();
	assert_bad(unpack(), "one of several volumes");
	assert_bad(with_body(FIELD("23 GNU.volume.offset=3\n"), 'g'),
		   "one of several volumes");
	assert_works(with_body(FIELD("22 GNU.volume.label=x\n"), 'g'));
}

/*----------------------------------------------------------------
 * Sparse files
 *--------------------------------------------------------------*/

/* @records: separated by spaces; @data: 10 bytes, perhaps behind a map */
static int with_map(const char *records, const char *map)
{
	char body[1024], copy[512], data[1024] = { 0 }, *p = copy, *text;
	size_t n = 0, len = strlen(map) ? 512 : 0;

	(void)snprintf(copy, sizeof(copy), "%s", records);
	while ((text = strsep(&p, " ")))
		n += record(body + n, sizeof(body) - n, text);
	(void)snprintf(data, sizeof(data), "%s", map);
	(void)snprintf(data + len, sizeof(data) - len, "helloworld");
	begin();
	add_pax(body, n, 'x');
	(void)add("f", '0', len + 10);
	add_body(data, len + 10);
	(void)add("behind", '0', 0);
	put();
	return unpack();
}

#define MAP01(map) \
	"GNU.sparse.size=4096 GNU.sparse.numblocks=3 GNU.sparse.map=" map
#define MAP10 "GNU.sparse.major=1 GNU.sparse.minor=0 GNU.sparse.realsize=4096"

static void assert_sparse(void)
{
	char path[128], *text;
	size_t size;

	(void)snprintf(path, sizeof(path), "%s/f", root);
	text = slurp(path, &size);
	assert_int_equal(size, 4096);
	assert_memory_equal(text, "hello\0", 6);
	assert_memory_equal(text + 999, "\0world\0", 7);
	free(text);
	(void)look("behind");
}

/* A wrong map would lose data without a word. */
static void sparse_maps(void **state)
{
	static const char *const lists[] = {
		MAP01("0,5,x,5,4096,0"),
		MAP01("0,5,1000,5,4096"),
		MAP01("0,5,1000,5,"),
		MAP01("0,5"),
		MAP01("0,5,1000,4,9,0"),
		MAP01("0,5,1000,500,4096,0"),
		MAP01("0,5,4092,5,9,0"),
		MAP01("0,5,1000,5"),
		MAP01("0,5,1000,-5,9,0"),
		MAP01("0,5,9223372036854775807,5,9,0"),
		MAP01("0,5,18446744073709551615,5,9,0"),
		"GNU.sparse.size=4096 GNU.sparse.numblocks=2",
		"GNU.sparse.numblocks=1 GNU.sparse.map=0,10",
		"GNU.sparse.size=4096 GNU.sparse.offset=0 GNU.sparse.offset=5",
		"GNU.sparse.size=4096 GNU.sparse.numbytes=10",
		"GNU.sparse.size=4096 GNU.sparse.offset=0",
		"GNU.sparse.size=4096 GNU.sparse.map=0,10 GNU.sparse.map=0,10",
		"GNU.sparse.size=4096",
		"SCHILY.realsize=4096",
	};
	static const char *const maps[] = {
		"2\n0\n5\n1000\n",
		"2\n0\n5\n1000\n-5\n",
		"x\n",
		"1\n0\n5\n",
		"2\n0\n5\n1000\n500\n",
		"2\n0\n5\n4092\n5\n",
		"99999999999999999999\n0\n5\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		assert_bad(with_map(lists[i], ""), "sparse file");
	for (i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		assert_bad(with_map(MAP10, maps[i]), "");
	assert_bad(with_map("GNU.sparse.major=2 GNU.sparse.minor=0 "
			    "GNU.sparse.realsize=4096",
			    "2\n0\n5\n1000\n5\n"),
		   "unknown format");
	assert_bad(with_map("GNU.sparse.major=1 GNU.sparse.minor=1 "
			    "GNU.sparse.realsize=4096",
			    "2\n0\n5\n1000\n5\n"),
		   "unknown format");
	assert_works(with_map(MAP01("0,5,1000,5,4096,0"), ""));
	assert_sparse();
	assert_works(with_map("GNU.sparse.size=4096 GNU.sparse.numblocks=2 "
			      "GNU.sparse.offset=0 GNU.sparse.numbytes=5 "
			      "GNU.sparse.offset=1000 GNU.sparse.numbytes=5",
			      ""));
	assert_sparse();
	assert_works(with_map(MAP10, "3\n0\n5\n1000\n5\n4096\n0\n"));
	assert_sparse();
	assert_works(with_map("SCHILY.realsize=10", ""));
}

/* @part: the second one; @extended: there are further blocks of parts */
static int with_old_map(const char *offset, const char *length, bool extended)
{
	unsigned char *h;

	begin();
	h = add("f", 'S', 10);
	memcpy(h + 257, "ustar  ", 8);
	memset(h + 345, 0, 155);
	strcpy((char *)h + 386, "00000000000");
	strcpy((char *)h + 398, "00000000005");
	strcpy((char *)h + 410, offset);
	strcpy((char *)h + 422, length);
	h[482] = extended;
	strcpy((char *)h + 483, "00000010000");
	sum(h);
	if (extended)
		add_body("", 1);
	add_body("helloworld", 10);
	(void)add("behind", '0', 0);
	put();
	return unpack();
}

static void old_sparse_maps(void **state)
{
	(void)state;
	assert_works(with_old_map("00000001750", "00000000005", false));
	assert_sparse();
	assert_works(with_old_map("00000001750", "00000000005", true));
	assert_sparse();
	assert_bad(with_old_map("zz", "00000000005", false), "not a number");
	assert_bad(with_old_map("00000001750", "5x", false), "not a number");
	assert_bad(with_old_map("00000001750", "", false), "not a number");
	assert_bad(with_old_map("", "", false), "does not fit");
	assert_bad(with_old_map("00000001750", "00000000004", false),
		   "does not fit");
	assert_bad(with_old_map("00000001750", "00000000006", false),
		   "does not fit");
	assert_bad(with_old_map("00000010000", "00000000005", false),
		   "behind the end");
}

static void add_cpio(const char *name, const char *owner)
{
	char *h = (char *)blocks + used;
	int n;

	n = sprintf(h, "07070100000001%08X%s%s%08X%040d%08d%08zX%08d",
		    S_IFREG | 0644, owner, owner, 1, 0, 0, strlen(name) + 1, 0);
	n += sprintf(h + n, "%s", name);
	used += (size_t)(n + 4) & ~3UL;
}

static void write_cpio(const char *owner)
{
	begin();
	add_cpio("f", owner);
	add_cpio("TRAILER!!!", "00000000");
	put();
}

static void cpio(void **state)
{
	(void)state;
	write_cpio("000003E8");
	assert_works(unpack());
	if (!geteuid())
		assert_int_equal(look("f").st_uid, 1000);
	write_cpio("0000zzzz");
	assert_bad(unpack(), "number");
	write_cpio("FFFFFFFF");
	assert_bad(unpack(), "owner");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(bad_fields),	   T(bad_records),     T(malformed_records),
		T(global_records), T(large_numbers),   T(record_wins),
		T(times),	   T(chains),	       T(further_volumes),
		T(cpio),	   T(twice),	       T(links_to_nothing),
		T(sparse_maps),	   T(old_sparse_maps),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
