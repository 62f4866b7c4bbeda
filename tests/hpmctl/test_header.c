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
		T(bad_fields),	   T(bad_records),   T(malformed_records),
		T(global_records), T(large_numbers), T(record_wins),
		T(times),	   T(chains),	     T(further_volumes),
		T(cpio),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
