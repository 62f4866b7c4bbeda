// SPDX-License-Identifier: GPL-2.0-only
/* Sizes, names, words; lines of the kernel's log; progress; mounts. */
#include "test.h"
#include "escape.h"
#include "freeze.h"
#include "kmsg.h"
#include "out.h"
#include "parts.h"
#include "progress.h"
#include "suggest.h"
#include "text.h"
#include "size.h"

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "1B", 1 },
		{ "8s", 4096 },
		{ "64K", 65536 },
		{ "64k", 65536 },
		{ "64KiB", 65536 },
		{ "64kb", 65536 },
		{ "64Ki", 65536 },
		{ "10Gi", 10ULL << 30 },
		{ "512b", 512 },
		{ "512bytes", 512 },
		{ "8S", 4096 },
		{ "1.5s", 768 },
		{ "1.000G", 1ULL << 30 },
		{ "00001K", 1024 },
		{ "1.5G", 3ULL << 29 },
		{ "0.5K", 512 },
		{ "2T", 2ULL << 40 },
		{ "1P", 1ULL << 50 },
		{ "7E", 7ULL << 60 },
		{ "9223372036854775807", INT64_MAX },
	};
	static const char *const bad[] = {
		"",	 "-1",	 "1X",
		"K",	 "1 K",	 "1KK",
		"1..5K", "0x10", "1.5",
		"+1",	 "1e3",	 "nan",
		".5K",	 "1.K",	 "10Gib ",
		" 1",	 "1\n",	 "1Gig",
		"0.1K",	 "0.3G", "1.0000000000000000001G",
		"Ki",	 "1i",	 "--1",
		"1,5G",	 "inf",	 "\xc2\xb9K"
	};
	uint64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_works(parse_size(good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(parse_size(bad[i], &bytes), "is not a size");
	assert_fails(parse_size("-5G", &bytes), "must not be negative");
	assert_fails(parse_size("10 G", &bytes), "no space in it");
	assert_fails(parse_size("0.1G", &bytes), "a whole number of bytes");
	assert_fails(parse_size("8E", &bytes), "too large");
	assert_fails(parse_size("9223372036854775808", &bytes), "too large");
	assert_fails(parse_size("99999999999999999999999T", &bytes),
		     "too large");
}

static void new_sizes(void **state)
{
	uint64_t bytes;

	(void)state;
	assert_works(parse_new_size("+1K", 4096, &bytes));
	assert_int_equal(bytes, 5120);
	assert_works(parse_new_size("1K", 4096, &bytes));
	assert_int_equal(bytes, 1024);
	assert_fails(parse_new_size("++1K", 0, &bytes), "not a size");
	assert_fails(parse_new_size("+7E", 7ULL << 60, &bytes), "too large");
	assert_fails(parse_new_size("-1K", 8192, &bytes), "give its new size");
	assert_fails(parse_new_size("", 8192, &bytes), "not a size");
}

static void size_texts(void **state)
{
	char out[SIZE_TEXT];

	(void)state;
	assert_string_equal(size_text(0, out), "0 B");
	assert_string_equal(size_text(512, out), "512 B");
	assert_string_equal(size_text(65536, out), "64 KiB");
	assert_string_equal(size_text(10ULL << 30, out), "10 GiB");
	assert_string_equal(size_text((3ULL << 29) + 1, out), "1.5 GiB");
	assert_string_equal(size_text((200ULL << 20) + 4096, out), "200 MiB");
	assert_string_equal(size_text(UINT64_MAX, out), "16.0 EiB");
}

static void numbers(void **state)
{
	uint64_t n;
	double s;

	(void)state;
	assert_works(parse_uint("16777215", 16777215, &n));
	assert_int_equal(n, 16777215);
	assert_fails(parse_uint("16777216", 16777215, &n), "is not a number");
	assert_fails(parse_uint("-1", 100, &n), "is not a number");
	assert_fails(parse_uint("1x", 100, &n), "is not a number");
	assert_fails(parse_uint("", 100, &n), "is not a number");
	assert_fails(parse_uint("99999999999999999999", UINT64_MAX, &n),
		     "is not a number");
	assert_works(parse_seconds("0.5", &s));
	assert_true(s > 0.49 && s < 0.51);
	assert_fails(parse_seconds("0", &s), "is not a time");
	assert_fails(parse_seconds("nan", &s), "is not a time");
	assert_fails(parse_seconds("1s", &s), "is not a time");
	assert_fails(parse_seconds(" 1", &s), "is not a time");
	assert_fails(parse_seconds("0x10", &s), "is not a time");
	assert_fails(parse_seconds(".", &s), "is not a time");
}

static void names(void **state)
{
	char name[200];

	(void)state;
	assert_works(check_pool_name("fast-1.x_y+z"));
	assert_works(check_volume_name("redis.layer1"));
	assert_works(check_volume_name("7zip"));
	assert_fails(check_pool_name(""), "must have a name");
	assert_fails(check_pool_name("-x"), "cannot be the name");
	assert_fails(check_pool_name(".."), "cannot be the name");
	assert_fails(check_pool_name("a/b"), "cannot be the name");
	assert_fails(check_pool_name("a b"), "cannot be the name");
	assert_fails(check_volume_name("a\\x20b"), "cannot be the name");
	assert_fails(check_volume_name("k\xc3\xb6ln"), "cannot be the name");
	assert_fails(check_volume_name("123"), "taken for an id");
	assert_fails(check_volume_name("meta"), "can be named meta");
	assert_fails(check_volume_name("data"), "can be named data");
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_works(check_volume_name(name));
	name[63] = 'a';
	name[64] = '\0';
	assert_fails(check_volume_name(name), "longer than 63");
	assert_fails(check_pool_name(name), "longer than 63");
}

static void words(void **state)
{
	char text[] = "  one two\tthree ", *rest = text;
	uint64_t a, b;

	(void)state;
	assert_string_equal(next_word(&rest), "one");
	assert_string_equal(next_word(&rest), "two");
	assert_string_equal(next_word(&rest), "three");
	assert_null(next_word(&rest));
	assert_null(next_word(&rest));
	assert_true(parse_pair("12/34", &a, &b));
	assert_int_equal(a, 12);
	assert_int_equal(b, 34);
	assert_false(parse_pair("12", &a, &b));
	assert_false(parse_pair("12/", &a, &b));
	assert_false(parse_pair("/34", &a, &b));
	assert_false(parse_pair("12/34x", &a, &b));
	assert_false(parse_pair("-1/3", &a, &b));
}

static void kernel_reasons(void **state)
{
	static const char *const log[][2] = {
		{ "3,700,12345,-;device-mapper: table: 253:1: hpmapper-pool: Metadata and data device are the same (-EINVAL)\n",
		  "Metadata and data device are the same" },
		{ "3,701,12345,-;device-mapper: hpmapper: 253:0: create_thin 5 failed: there is such a volume (error -17)\n SUBSYSTEM=x\n",
		  "create_thin 5 failed: there is such a volume" },
		{ "3,701,12345,-;device-mapper: hpmapper: fast: delete 5: the volume is active\n",
		  "fast: delete 5: the volume is active" },
		{ "4,702,12,c;device-mapper: ioctl: unable to set up device queue\n",
		  "ioctl: unable to set up device queue" },
		{ "6,703,12,-;EXT4-fs (dm-3): mounted\n", NULL },
		{ "garbage", NULL },
	};
	char record[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(log) / sizeof(log[0]); i++) {
		const char *text;

		strcpy(record, log[i][0]);
		text = kmsg_sentence(record);
		if (log[i][1])
			assert_string_equal(text, log[i][1]);
		else
			assert_null(text);
	}
}

/* Names that are not UTF-8, in documents. */
static void json_texts(void **state)
{
	json_t *o;

	(void)state;
	o = json_text("caf\xe9\n");
	assert_string_equal(json_string_value(o), "caf\\xe9\\x0a");
	json_decref(o);
	o = json_text("k\xc3\xb6ln");
	assert_string_equal(json_string_value(o), "k\xc3\xb6ln");
	json_decref(o);
}

static void distances(void **state)
{
	(void)state;
	assert_int_equal(word_distance("list", "list"), 0);
	assert_int_equal(word_distance("lits", "list"), 1);
	assert_int_equal(word_distance("lst", "list"), 1);
	assert_int_equal(word_distance("snapshoot", "snapshot"), 1);
	assert_int_equal(word_distance("", "abc"), 3);
	assert_int_equal(word_distance("kitten", "sitting"), 3);
	assert_true(word_distance("a-word-that-is-longer-than-all", "a") > 24);
}

static void suggestions(void **state)
{
	static const char *const words[][3] = {
		{ "list", NULL,
		  "did you mean \"pool list\", or \"volume list\"?" },
		{ "volume", "ls", "did you mean \"volume list\"?" },
		{ "volume", "snapshto", "did you mean \"volume snapshot\"?" },
		{ "create", "pool", "did you mean \"pool create\"?" },
		{ "volumes", "list", "did you mean \"volume list\"?" },
		{ "pol", "create", "did you mean \"pool create\"?" },
		{ "pool-list", NULL, "did you mean \"pool list\"?" },
		{ "volume", "delete", "did you mean \"volume remove\"?" },
		{ "volume", "show", "or \"volume stat\"?" },
		{ "imprt", "p", "did you mean \"import\"?" },
		{ "resize", "p", "did you mean \"volume resize\"?" },
		{ "frob", NULL, "" },
		{ "pool", "frob", "" },
		{ "xy", "z", "" },
	};
	char out[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		suggest_command(words[i][0], words[i][1], out, sizeof(out));
		if (!*words[i][2])
			assert_string_equal(out, "");
		else if (!strstr(out, words[i][2]))
			fail_msg("%s: \"%s\"", words[i][0], out);
	}
}

static void progress_lines(void **state)
{
	char out[256];

	(void)state;
	progress_line("layer 1/2", 50 << 20, 100 << 20, 1, 79, out,
		      sizeof(out));
	assert_non_null(strstr(out, "layer 1/2 ["));
	assert_non_null(strstr(out, " 50%"));
	assert_non_null(strstr(out, "52.4 MB/s"));
	assert_true(strlen(out) <= 79);
	progress_line("x", 1 << 20, 0, 0, 79, out, sizeof(out));
	assert_string_equal(out, "x      1 MiB     0.0 MB/s");
	progress_line("x", 300, 100, 1, 20, out, sizeof(out));
	assert_true(strlen(out) <= 20);
}

static void mount_points(void **state)
{
	static const char info[] =
		"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
		"40 22 253:7 / /mnt/a\\040b rw - ext4 /dev/mapper/p-v rw\n"
		"41 22 253:70 / /mnt/c rw - ext4 /dev/mapper/p-w rw\n";
	char out[256];

	(void)state;
	mount_point_of(info, "253:7", out, sizeof(out));
	assert_string_equal(out, "/mnt/a b");
	mount_point_of(info, "253:70", out, sizeof(out));
	assert_string_equal(out, "/mnt/c");
	mount_point_of(info, "253:8", out, sizeof(out));
	assert_string_equal(out, "");
}

static void meta_sizes(void **state)
{
	(void)state;
	assert_int_equal(meta_size_for(1 << 20), 8 << 20);
	assert_int_equal(meta_size_for(10ULL << 30), 160 << 20);
	assert_int_equal(meta_size_for((10ULL << 30) + 1), 160 << 20);
	assert_int_equal(meta_size_for(1ULL << 40), 16ULL << 30);
	assert_int_equal(meta_size_for(100ULL << 40), 16ULL << 30);
	assert_int_equal(meta_size_for(123456789012) % (2 << 20), 0);
}

/*
 * The options for a pool's devices: one kind, and no option that contradicts
 * it.
 */
static void ways(void **state)
{
	struct parts_spec s = { .pool = "p" };

	(void)state;
	assert_fails(parts_check(&s), "name the devices of the pool");
	s.disk = "/dev/x";
	assert_works(parts_check(&s));
	s.file = "/f";
	assert_fails(parts_check(&s), "name the devices of the pool");
	s.disk = NULL;
	s.size = 1 << 30;
	assert_works(parts_check(&s));
	s.more.nr = 1;
	assert_fails(parts_check(&s), "--add goes with --disk");
	s = (struct parts_spec){ .meta = "/dev/m" };
	assert_fails(parts_check(&s), "name the devices of the pool");
	s.data = "/dev/d";
	assert_works(parts_check(&s));
	s.meta_size = 1;
	assert_fails(parts_check(&s), "--meta-size goes with");
	s.meta_size = 0;
	s.size = 1;
	assert_fails(parts_check(&s), "go with --file");
}

/* Names in an archive, and what the user sees of them. */
static void escapes(void **state)
{
	static const struct {
		const char *in, *out;
	} want[] = {
		{ "", "" },
		{ "usr/lib", "usr/lib" },
		{ "k\xc3\xb6ln/\xe6\x97\xa5 \xf0\x9f\x90\xb3",
		  "k\xc3\xb6ln/\xe6\x97\xa5 \xf0\x9f\x90\xb3" },
		{ "a\nb\tc\r", "a\\x0ab\\x09c\\x0d" },
		{ "\x1b[31m\x07\x7f", "\\x1b[31m\\x07\\x7f" },
		{ "caf\xe9", "caf\\xe9" },
		/* a C1 control, which some terminals obey, in UTF-8 */
		{ "\xc2\x9b"
		  "31m",
		  "\\xc2\\x9b31m" },
		/* overlong, a surrogate, beyond Unicode, cut short */
		{ "\xc0\xaf", "\\xc0\\xaf" },
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
		{ "x\xe6\x97", "x\\xe6\\x97" },
		/* text from right to left, no width, a line of its own */
		/* NOLINTNEXTLINE(misc-misleading-bidirectional) */
		{ "a\xe2\x80\xae"
		  "b",
		  "a\\xe2\\x80\\xaeb" },
		{ "a\xe2\x80\x8b"
		  "b\xe2\x80\xa8",
		  "a\\xe2\\x80\\x8bb\\xe2\\x80\\xa8" },
	};
	char out[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_string_equal(text_escape(out, sizeof(out), want[i].in),
				    want[i].out);
	assert_string_equal(text_escape(out, 9, "12345678"), "12345678");
	assert_string_equal(text_escape(out, 9, "123456789"), "12345...");
	assert_string_equal(text_escape(out, 9, "1234\n6789"), "1234...");
	assert_string_equal(text_escape(out, 9, "123456\xc3\xb6"),
			    "123456\xc3\xb6");
	assert_string_equal(text_escape(out, 2, "12345"), "1");
}

/* Every sentence is one line, and every failure is a document. */
static void sentences(void **state)
{
	char huge[4000], *text;
	json_t *doc;

	(void)state;
	err_clear();
	(void)err_say(ST_BAD_INPUT, "bad: %s", "a\nhpmctl: fine\x1b[2J\xff");
	assert_string_equal(err_text(), "bad: a\\x0ahpmctl: fine\\x1b[2J\\xff");
	err_kernel("caf\xe9");
	doc = err_json();
	assert_non_null(doc);
	text = json_dumps(doc, 0);
	assert_non_null(text);
	assert_non_null(strstr(text, "caf\\\\xe9"));
	free(text);
	json_decref(doc);
	err_clear();
	memset(huge, '\n', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	(void)err_sys(ENOSPC, "%s", huge);
	assert_non_null(strstr(err_text(), "...: No space left"));
	doc = err_json();
	assert_non_null(doc);
	json_decref(doc);
	err_clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(new_sizes),
		cmocka_unit_test(size_texts),
		cmocka_unit_test(numbers),
		cmocka_unit_test(names),
		cmocka_unit_test(words),
		cmocka_unit_test(kernel_reasons),
		cmocka_unit_test(json_texts),
		cmocka_unit_test(distances),
		cmocka_unit_test(suggestions),
		cmocka_unit_test(progress_lines),
		cmocka_unit_test(mount_points),
		cmocka_unit_test(meta_sizes),
		cmocka_unit_test(ways),
		cmocka_unit_test(escapes),
		cmocka_unit_test(sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
