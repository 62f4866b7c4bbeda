// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unpacking: what a layer writes and deletes, and that nothing is written
 * outside.
 *
 * Each test has a directory with "root", where layers are unpacked, beside
 * "outside", which nothing may touch.
 */
#include "image.h"
#include <errno.h>
#include <locale.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "layer.h"
#include "tree.h"

static char *dir, root[64], tar[64];
static struct layer_stats stats;

static int setup(void **state)
{
	char path[64];

	(void)state;
	dir = make_dir();
	(void)snprintf(root, sizeof(root), "%s/root", dir);
	(void)snprintf(tar, sizeof(tar), "%s/layer.tar", dir);
	(void)snprintf(path, sizeof(path), "%s/outside", dir);
	assert_int_equal(mkdir(root, 0755), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/outside/secret", dir);
	spit(path, "secret", 6);
	return 0;
}

static int teardown(void **state)
{
	char path[64], *text;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/outside/secret", dir);
	text = slurp(path, NULL);
	assert_string_equal(text, "secret");
	free(text);
	drop_dir(dir);
	err_clear();
	return 0;
}

static int unpack_file(const char *path)
{
	struct stream *s;
	int ret = stream_open_file(path, &s);

	if (!ret) {
		ret = layer_unpack(s, root, &stats);
		stream_close(s);
	}
	return ret;
}

static int unpack(const struct item *items)
{
	write_tar(tar, NULL, items);
	return unpack_file(tar);
}

static const char *at(const char *path)
{
	static char out[256];

	(void)snprintf(out, sizeof(out), "%s/%s", root, path);
	return out;
}

static bool exists(const char *path)
{
	struct stat st;

	return !lstat(at(path), &st);
}

static struct stat look(const char *path)
{
	struct stat st;

	if (lstat(at(path), &st))
		fail_msg("%s is not there", path);
	return st;
}

static void assert_holds(const char *path, const char *data)
{
	char *text = slurp(at(path), NULL);

	assert_string_equal(text, data);
	free(text);
}

/* Except for the secret, which teardown() checks. */
static void assert_nothing_outside(void)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/outside", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	assert_int_equal(st.st_nlink, 2);
	(void)snprintf(path, sizeof(path), "%s/outside/evil", dir);
	assert_int_equal(access(path, F_OK), -1);
}

#define DIR_ (S_IFDIR | 0755)
#define LNK_ (S_IFLNK | 0777)

static void plain(void **state)
{
	const struct item items[] = {
		{ "./", DIR_ },
		{ "./etc/", S_IFDIR | 0750 },
		{ "./etc/passwd", S_IFREG | 0600, "root" },
		{ "./bin", LNK_, "usr/bin" },
		{ "usr/bin/su", S_IFREG | 04755, "su" },
		{ "/abs", 0, "absolute" },
		{ "etc/again", 0, NULL, "./etc/passwd" },
		{ "fifo", S_IFIFO | 0644 },
		{ 0 },
	};

	(void)state;
	assert_works(unpack(items));
	assert_int_equal(stats.entries, 8);
	assert_int_equal(stats.bytes, 14);
	assert_int_equal(stats.warnings, 0);
	assert_holds("etc/passwd", "root");
	assert_holds("abs", "absolute");
	assert_int_equal(look("etc").st_mode, S_IFDIR | 0750);
	assert_int_equal(look("etc").st_mtime, 1000000000);
	assert_int_equal(look("etc/passwd").st_mode, S_IFREG | 0600);
	assert_int_equal(look("etc/passwd").st_nlink, 2);
	assert_int_equal(look("etc/again").st_ino, look("etc/passwd").st_ino);
	assert_int_equal(look("usr/bin/su").st_mode, S_IFREG | 04755);
	assert_int_equal(look("usr").st_mode, S_IFDIR | 0755);
	assert_true(S_ISLNK(look("bin").st_mode));
	assert_true(S_ISFIFO(look("fifo").st_mode));
}

static void owners_and_devices(void **state)
{
	const struct item items[] = {
		{ "null", S_IFCHR | 0666, .dev = makedev(1, 3) },
		{ "file", 0, "x", .uid = 4242 },
		{ "link", LNK_, "file", .uid = 4243 },
		{ 0 },
	};

	(void)state;
	if (geteuid())
		skip();
	assert_works(unpack(items));
	assert_int_equal(look("null").st_rdev, makedev(1, 3));
	assert_int_equal(look("file").st_uid, 4242);
	assert_int_equal(look("link").st_uid, 4243);
}

/* Real images use attributes and ACLs: ping, and mail spools. */
static void attributes(void **state)
{
	char cmd[1024];

	(void)state;
	if (geteuid())
		skip();
	(void)snprintf(
		cmd, sizeof(cmd),
		"cd '%s' && mkdir src && cd src && touch a && mkdir d && "
		"setfattr -n user.colour -v blue a && setfacl -m u:77:rwx a && "
		"setfacl -d -m g:78:r d && setfattr -n security.capability "
		"-v 0x0100000200200000000000000000000000000000 a && "
		"tar --acls --xattrs --xattrs-include='*' -cf ../layer.tar .",
		dir);
	if (system(cmd))
		skip();
	assert_works(unpack_file(tar));
	assert_int_equal(stats.warnings, 0);
	(void)snprintf(
		cmd, sizeof(cmd),
		"cd '%s' && for f in a d; do "
		"cmp <(cd src && getfacl -n $f) <(cd root && getfacl -n $f) && "
		"cmp <(cd src && getfattr -d -m - $f) "
		"<(cd root && getfattr -d -m - $f) || exit 1; done",
		dir);
	spit("/tmp/hpmctl-test.sh", cmd, strlen(cmd));
	assert_int_equal(system("bash /tmp/hpmctl-test.sh"), 0);
	assert_int_equal(unlink("/tmp/hpmctl-test.sh"), 0);
}

static void compressed(void **state)
{
	static const char *const filters[] = { NULL,   "gzip", "bzip2", "xz",
					       "zstd", "lz4",  "lzip" };
	const struct item items[] = { { "f", 0, "hello" }, { 0 } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		write_tar(tar, filters[i], items);
		assert_works(unpack_file(tar));
		assert_holds("f", "hello");
		assert_int_equal(unlink(at("f")), 0);
	}
}

static void utf8(void **state)
{
	const struct item items[] = {
		{ "k\xc3\xb6ln/\xe6\x97\xa5\xe6\x9c\xac", 0, "x" },
		{ "latin\xe9", 0, "y" },
		{ 0 },
	};

	(void)state;
	assert_works(unpack(items));
	assert_holds("k\xc3\xb6ln/\xe6\x97\xa5\xe6\x9c\xac", "x");
	assert_holds("latin\xe9", "y");
}

static void upper_replaces(void **state)
{
	const struct item lower[] = {
		{ "a", 0, "long old contents" },
		{ "d", S_IFDIR | 0700 },
		{ "d/x", 0, "x" },
		{ "lib", LNK_, "usr/lib" },
		{ "usr/lib/one", 0, "1" },
		{ "was-dir/deep/file", 0, "x" },
		{ "was-link", LNK_, "a" },
		{ "same", 0, "old" },
		{ "hard", 0, NULL, "same" },
		{ 0 },
	};
	const struct item upper[] = {
		{ "a", 0, "new" },     { "d", S_IFDIR | 0755 },
		{ "lib/two", 0, "2" }, { "was-dir", 0, "a file now" },
		{ "was-link", DIR_ },  { "was-link/f", 0, "in it" },
		{ "same", 0, "new" },  { 0 },
	};

	(void)state;
	assert_works(unpack(lower));
	assert_works(unpack(upper));
	assert_holds("a", "new");
	assert_int_equal(look("d").st_mode, S_IFDIR | 0755);
	assert_holds("d/x", "x");
	assert_true(S_ISLNK(look("lib").st_mode));
	assert_holds("usr/lib/two", "2");
	assert_holds("usr/lib/one", "1");
	assert_holds("was-dir", "a file now");
	assert_holds("was-link/f", "in it");
	/* the other name of a hard link keeps its content */
	assert_holds("hard", "old");
	assert_holds("same", "new");
}

static void whiteouts(void **state)
{
	const struct item lower[] = {
		{ "etc/keep", 0, "k" },
		{ "etc/gone", 0, "g" },
		{ "etc/dir/sub/deep", 0, "d" },
		{ "var/log/old", 0, "o" },
		{ 0 },
	};
	const struct item upper[] = {
		{ "etc/.wh.gone", 0, "" },	{ "etc/.wh.dir", 0, "" },
		{ "etc/.wh.never-was", 0, "" }, { "var/log/new", 0, "n" },
		{ "var/.wh.log", 0, "" },	{ ".wh..wh.plnk", DIR_ },
		{ "brand/.wh.new", 0, "" },	{ 0 },
	};

	(void)state;
	assert_works(unpack(lower));
	assert_works(unpack(upper));
	assert_int_equal(stats.whiteouts, 6);
	assert_true(exists("etc/keep"));
	assert_false(exists("etc/gone"));
	assert_false(exists("etc/dir"));
	/* log was deleted from below and made again here, in any order */
	assert_false(exists("var/log/old"));
	assert_holds("var/log/new", "n");
	assert_false(exists(".wh..wh.plnk"));
	assert_true(exists("brand"));
	assert_false(exists("etc/.wh.gone"));
}

static void opaque(void **state)
{
	const struct item lower[] = {
		{ "app/old", 0, "o" },
		{ "app/both/old", 0, "o" },
		{ "app/both/stays", 0, "old" },
		{ "app/tree/a/b/c", 0, "o" },
		{ "other", 0, "x" },
		{ 0 },
	};
	const struct item upper[] = {
		{ "app", S_IFDIR | 0711 },	{ "app/before", 0, "b" },
		{ "app/both/stays", 0, "new" }, { "app/.wh..wh..opq", 0, "" },
		{ "app/after", 0, "a" },	{ 0 },
	};

	(void)state;
	assert_works(unpack(lower));
	assert_works(unpack(upper));
	assert_false(exists("app/old"));
	assert_false(exists("app/tree"));
	assert_false(exists("app/both/old"));
	assert_holds("app/both/stays", "new");
	assert_holds("app/before", "b");
	assert_holds("app/after", "a");
	assert_holds("other", "x");
	assert_int_equal(look("app").st_mode, S_IFDIR | 0711);
}

static void opaque_root(void **state)
{
	const struct item lower[] = { { "a/b", 0, "x" },
				      { "c", 0, "y" },
				      { 0 } };
	const struct item upper[] = { { ".wh..wh..opq", 0, "" },
				      { "d", 0, "z" },
				      { 0 } };

	(void)state;
	assert_works(unpack(lower));
	assert_works(unpack(upper));
	assert_false(exists("a"));
	assert_false(exists("c"));
	assert_holds("d", "z");
}

/* Links lead where they lead in a container, never outside. */
static void links_stay_inside(void **state)
{
	char outside[64];
	const struct item items[] = {
		{ "abs", LNK_, outside },
		{ "up", LNK_, "../outside" },
		{ "far", LNK_, "../../../../../../../../tmp" },
		{ "magic", LNK_, "/proc/self/root" },
		{ "tmp", DIR_ },
		{ "far/file", 0, "f" },
		{ 0 },
	};

	(void)state;
	(void)snprintf(outside, sizeof(outside), "%s/outside", dir);
	assert_works(unpack(items));
	assert_holds("tmp/file", "f");

	const struct item through[] = { { "abs/evil", 0, "e" }, { 0 } };
	const struct item dotted[] = { { "up/evil", 0, "e" }, { 0 } };
	const struct item magic[] = { { "magic/tmp/evil", 0, "e" }, { 0 } };

	assert_works(unpack(through));
	(void)snprintf(outside, sizeof(outside), "%s/outside/evil", dir + 1);
	assert_holds(outside, "e");
	assert_works(unpack(dotted));
	assert_holds("outside/evil", "e");
	assert_bad(unpack(magic), "leads to /proc");
	assert_nothing_outside();
}

/* One entry makes the link, the next goes through it. */
static void link_then_through(void **state)
{
	char outside[64];
	const struct item items[] = {
		{ "d/x", 0, "x" },
		{ "d", LNK_, outside },
		{ "d/secret", 0, "evil" },
		{ 0 },
	};
	const struct item over[] = {
		{ "l", LNK_, outside },
		{ "l", 0, "a file now" },
		{ 0 },
	};
	const struct item purge[] = {
		{ "p", LNK_, outside },
		{ "p/.wh.secret", 0, "" },
		{ 0 },
	};
	const struct item opq[] = {
		{ "q", LNK_, outside },
		{ "q/.wh..wh..opq", 0, "" },
		{ 0 },
	};

	(void)state;
	(void)snprintf(outside, sizeof(outside), "%s/outside", dir);
	assert_works(unpack(items));
	(void)snprintf(outside, sizeof(outside), "%s/outside/secret", dir + 1);
	assert_holds(outside, "evil");
	(void)snprintf(outside, sizeof(outside), "%s/outside", dir);
	assert_works(unpack(over));
	assert_holds("l", "a file now");
	assert_works(unpack(purge));
	assert_works(unpack(opq));
	assert_nothing_outside();
}

static void dots_are_refused(void **state)
{
	static const char *const paths[] = {
		"../outside/evil", "a/../../x", "/../x", "a/..", "..", "./../x"
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct item items[] = { { paths[i], 0, "e" }, { 0 } };

		assert_bad(unpack(items), "leads outside");
		assert_bad(unpack(items), "leads outside");
	}
}

static void hard_links_stay_inside(void **state)
{
	char secret[64];
	const struct item dotted[] = { { "h", 0, NULL, "../outside/secret" },
				       { 0 } };
	const struct item absolute[] = { { "h", 0, NULL, secret }, { 0 } };
	const struct item through[] = {
		{ "l", LNK_, "../outside" },
		{ "h", 0, NULL, "l/secret" },
		{ 0 },
	};
	const struct item itself[] = { { "f", 0, "x" },
				       { "f", 0, NULL, "f" },
				       { 0 } };

	(void)state;
	(void)snprintf(secret, sizeof(secret), "%s/outside/secret", dir);
	assert_bad(unpack(dotted), "leads outside");
	assert_bad(unpack(absolute), "outside/secret, which is not there");
	assert_bad(unpack(through), "l/secret, which is not there");
	assert_false(exists("h"));
	assert_bad(unpack(itself), "to itself");
}

static void bad_whiteouts(void **state)
{
	const struct item dots[] = { { "a/.wh...", 0, "" }, { 0 } };
	const struct item dot[] = { { "a/.wh..", 0, "" }, { 0 } };
	const struct item nothing[] = { { "a/.wh.", 0, "" }, { 0 } };

	(void)state;
	assert_bad(unpack(dots), "whiteout without a name");
	assert_bad(unpack(dot), "whiteout without a name");
	assert_bad(unpack(nothing), "whiteout without a name");
}

static void root_stays_directory(void **state)
{
	const struct item file[] = { { "./", S_IFREG | 0644, "x" }, { 0 } };
	const struct item link[] = { { ".", LNK_, "/etc" }, { 0 } };

	(void)state;
	assert_bad(unpack(file), "");
	assert_bad(unpack(link), "root is not a directory");
	assert_true(S_ISDIR(look(".").st_mode));
}

static void broken_archives(void **state)
{
	const struct item items[] = { { "f", 0, "some contents of a file" },
				      { 0 } };
	size_t size;
	char *text;

	(void)state;
	spit(tar, "this is no archive at all, but it is long enough", 48);
	assert_bad(unpack_file(tar), "Unrecognized archive format");
	write_tar(tar, NULL, items);
	text = slurp(tar, &size);
	spit(tar, text, 520);
	assert_bad(unpack_file(tar), "cannot unpack");
	free(text);
	write_tar(tar, "gzip", items);
	text = slurp(tar, &size);
	spit(tar, text, size / 2);
	assert_bad(unpack_file(tar), "truncated gzip");
	/*
	 * cut behind the last entry: what follows it says whether the file is
	 * complete
	 */
	spit(tar, text, size - 9);
	assert_bad(unpack_file(tar), "truncated gzip");
	free(text);
	spit(tar, "", 0);
	assert_bad(unpack_file(tar), "Unrecognized archive format");
	assert_fails(unpack_file("/tmp"), "Is a directory");
	assert_fails(unpack_file("/nowhere/x.tar"), "cannot open");
}

/* The checksums in a packed archive are compared with its content. */
static void checksums(void **state)
{
	static const char *const filters[] = { "gzip", "bzip2", "xz" };
	const struct item items[] = { { "f", 0, "some contents of a file" },
				      { 0 } };
	char *text, *both;
	size_t size, i;

	(void)state;
	for (i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		write_tar(tar, filters[i], items);
		text = slurp(tar, &size);
		text[i ? size / 2 : size - 6] ^= 1;
		spit(tar, text, size);
		assert_bad(unpack_file(tar), "cannot unpack");
		free(text);
	}
	/*
	 * Members may follow each other, and padding may follow the last one.
	 */
	write_tar(tar, "gzip", items);
	assert_works(unpack_file(tar));
	text = slurp(tar, &size);
	both = calloc(1, 2 * size + 1000);
	assert_non_null(both);
	memcpy(both, text, size);
	spit(tar, both, size + 1000);
	assert_works(unpack_file(tar));
	memcpy(both + size, text, size);
	both[2 * size - 6] ^= 1;
	spit(tar, both, 2 * size);
	assert_bad(unpack_file(tar), "incorrect data check");
	free(both);
	free(text);
}

/*
 * Changes each byte of an archive in turn: any error is allowed, but no crash
 * and no escape.
 */
static void mutated_archives(void **state)
{
	char outside[64];
	const struct item items[] = {
		{ "d/", DIR_ },		{ "d/f", 0, "contents" },
		{ "l", LNK_, outside }, { "h", 0, NULL, "d/f" },
		{ "d/.wh.x", 0, "" },	{ 0 },
	};
	size_t size, i;
	char *text;

	(void)state;
	(void)snprintf(outside, sizeof(outside), "%s/outside", dir);
	write_tar(tar, NULL, items);
	text = slurp(tar, &size);
	for (i = 0; i < size; i += 7) {
		char old = text[i];

		text[i] = (char)(old ^ (1 << (i % 8)));
		spit(tar, text, size);
		(void)unpack_file(tar);
		err_clear();
		text[i] = old;
	}
	free(text);
}

static void deep_paths(void **state)
{
	char path[3000] = "", *p = path;
	const struct item items[] = { { path, 0, "x" }, { 0 } };
	char name[400];
	const struct item long_name[] = { { name, 0, "x" }, { 0 } };

	(void)state;
	while (p < path + sizeof(path) - 10)
		p = stpcpy(p, "d/");
	strcpy(p, "f");
	assert_bad(unpack(items), "too deep");
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_bad(unpack(long_name), "too long");
}

/*
 * A directory gets its mode when the layer is complete.  By then a link may
 * have replaced a part of its path.
 */
static void replaced_directories(void **state)
{
	const struct item items[] = {
		{ "d", DIR_ },
		{ "d/outside", S_IFDIR | 0777 },
		{ "d", LNK_, ".." },
		{ "e", DIR_ },
		{ "e/f", S_IFDIR | 0700 },
		{ "e/f", 0, "a file now" },
		{ "g", S_IFDIR | 0711 },
		{ "g", LNK_, "../outside" },
		{ 0 },
	};

	(void)state;
	assert_works(unpack(items));
	assert_nothing_outside();
	assert_true(S_ISLNK(look("d").st_mode));
	assert_int_equal(look("e/f").st_mode, S_IFREG | 0644);
	assert_int_equal(look("e").st_mode, S_IFDIR | 0755);
}

/*
 * The target of a link may come later; until then it is made, below the root.
 */
static void links_to_later(void **state)
{
	const struct item items[] = {
		{ "var", DIR_ },
		{ "var/log", LNK_, "/data/var/log" },
		{ "var/log/lastlog", 0, "ll" },
		{ "data/var/log", S_IFDIR | 0700 },
		{ "var/run", LNK_, "../run" },
		{ "var/run/lock", S_IFDIR | 01777 },
		{ "var/run/lock/x", 0, "x" },
		{ "one", LNK_, "two/../three" },
		{ "three", LNK_, "../../../four/five" },
		{ "one/six", 0, "6" },
		{ "var/run/.wh.lock", 0, "" },
		{ 0 },
	};

	(void)state;
	assert_works(unpack(items));
	assert_holds("data/var/log/lastlog", "ll");
	assert_int_equal(look("data/var/log").st_mode, S_IFDIR | 0700);
	assert_int_equal(look("run/lock").st_mode, S_IFDIR | 01777);
	assert_holds("run/lock/x", "x");
	assert_holds("four/five/six", "6");
	assert_nothing_outside();
}

static void links_to_nothing(void **state)
{
	char name[300];
	const struct item circle[] = {
		{ "a", LNK_, "b" }, { "b", LNK_, "a" }, { "a/x", 0, "x" }, { 0 }
	};
	const struct item itself[] = { { "s", LNK_, "s/t" },
				       { "s/x", 0, "x" },
				       { 0 } };
	const struct item grows[] = { { "g", LNK_, "missing/../g/g" },
				      { "g/x", 0, "x" },
				      { 0 } };
	const struct item file[] = {
		{ "f", 0, "f" }, { "l", LNK_, "f" }, { "l/x", 0, "x" }, { 0 }
	};
	const struct item kernels[] = { { "proc", DIR_ },
					{ "p", LNK_, "/proc/self/root" },
					{ "p/tmp/evil", 0, "x" },
					{ 0 } };
	const struct item below_file[] = { { "f/x", 0, "x" }, { 0 } };
	const struct item name_too_long[] = { { "n", LNK_, name },
					      { "n/x", 0, "x" },
					      { 0 } };
	const struct item hard_later[] = { { "h", 0, NULL, "later/b" },
					   { "later/b", 0, "x" },
					   { 0 } };
	const struct item hard_dir[] = { { "d", DIR_ },
					 { "h", 0, NULL, "d" },
					 { 0 } };

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_bad(unpack(circle), "a loop of links");
	assert_bad(unpack(itself), "a loop of links");
	assert_bad(unpack(grows), "a loop of links");
	assert_bad(unpack(file), "which is not a directory");
	assert_bad(unpack(below_file), "which is not a directory");
	assert_bad(unpack(kernels), "leads to /proc/self");
	assert_bad(unpack(name_too_long), "too long");
	assert_bad(unpack(hard_later), "later/b, which is not there");
	assert_bad(unpack(hard_dir), "to the directory d");
}

static time_t time_of(const char *path)
{
	return look(path).st_mtime;
}

static void set_time(const char *path, time_t seconds)
{
	const struct timespec ts[2] = { { seconds, 0 }, { seconds, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, at(path), ts, AT_SYMLINK_NOFOLLOW),
			 0);
}

/*
 * A directory has the time from the uppermost layer that lists it; entries that
 * are added to it or deleted from it do not change the time.
 */
static void directory_times(void **state)
{
	static const char *const dirs[] = { "listed",	"put",	     "deleted",
					    "opaque",	"opaque/in", "linked",
					    "replaced", "implied",   "." };
	const struct item lower[] = {
		{ "listed/a", 0, "a" },	   { "put/a", 0, "a" },
		{ "deleted/a", 0, "a" },   { "opaque/in/a", 0, "a" },
		{ "opaque/in/b", 0, "b" }, { "linked/a", 0, "a" },
		{ "l", LNK_, "linked" },   { "replaced/a", 0, "a" },
		{ "implied/a", 0, "a" },   { 0 },
	};
	const struct item upper[] = {
		{ "listed", DIR_ },
		{ "listed/b", 0, "b" },
		{ "listed/.wh.a", 0, "" },
		{ "put/b", 0, "b" },
		{ "deleted/.wh.a", 0, "" },
		{ "opaque/.wh..wh..opq", 0, "" },
		{ "opaque/in/c", 0, "c" },
		{ "opaque/.wh..wh..opq", 0, "" },
		{ "l/b", 0, "b" },
		{ "replaced/a", 0, "other" },
		{ "implied/made/here", 0, "x" },
		{ 0 },
	};
	size_t i;

	(void)state;
	assert_works(unpack(lower));
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		set_time(dirs[i], 900000000 + (time_t)i);
	assert_works(unpack(upper));
	assert_int_equal(time_of("listed"), 1000000000);
	for (i = 1; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (strcmp(dirs[i], "opaque/in") != 0)
			assert_int_equal(time_of(dirs[i]),
					 900000000 + (time_t)i);
	assert_false(exists("deleted/a"));
	assert_false(exists("opaque/in/b"));
	assert_holds("implied/made/here", "x");
}

/*
 * The last entry of a directory in the archive counts, whatever came between.
 */
static void directories_again(void **state)
{
	const struct item items[] = {
		{ "d", S_IFDIR | 0500 }, { "d/f", 0, "f" },
		{ "d", S_IFDIR | 0555 }, { "d/g", 0, "g" },
		{ "x", S_IFDIR | 0700 }, { "x", 0, "a file" },
		{ "x", S_IFDIR | 0711 }, { 0 },
	};

	(void)state;
	assert_works(unpack(items));
	assert_int_equal(look("d").st_mode, S_IFDIR | 0555);
	assert_int_equal(time_of("d"), 1000000000);
	assert_holds("d/g", "g");
	assert_int_equal(look("x").st_mode, S_IFDIR | 0711);
}

static ssize_t attr_size(const char *path, const char *name)
{
	return lgetxattr(at(path), name, NULL, 0);
}

/*
 * What a layer puts into a directory does not inherit the default ACL from a
 * lower layer: it has the mode from the archive.
 */
static void lower_acls(void **state)
{
	static const char def[] = "system.posix_acl_default";
	const struct item lower[] = { { "d", DIR_ },
				      { "listed", DIR_ },
				      { 0 } };
	const struct item upper[] = {
		{ "d/f", S_IFREG | 0666, "f" },
		{ "d/in", S_IFDIR | 0777 },
		{ "d/implied/f", S_IFREG | 0640, "f" },
		{ "listed/before", S_IFREG | 0666, "f" },
		{ "listed", S_IFDIR | 0751 },
		{ "listed/f", S_IFREG | 0666, "f" },
		{ 0 },
	};
	const char *const made[] = { "d/f",	      "d/in",
				     "d/implied",     "d/implied/f",
				     "listed/before", "listed/f" };
	char cmd[256];
	size_t i;

	(void)state;
	assert_works(unpack(lower));
	(void)snprintf(
		cmd, sizeof(cmd),
		"cd '%s' && setfacl -d -m u:77:rwx,g::-,o::- d listed && "
		"setfacl -m u:78:rwx d listed && setfattr -n user.a -v b d listed",
		root);
	if (system(cmd))
		skip();
	assert_works(unpack(upper));
	for (i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		assert_int_equal(attr_size(made[i], def), -1);
		assert_int_equal(attr_size(made[i], "system.posix_acl_access"),
				 -1);
	}
	assert_int_equal(look("d/f").st_mode, S_IFREG | 0666);
	assert_int_equal(look("d/in").st_mode, S_IFDIR | 0777);
	assert_int_equal(look("d/implied").st_mode, S_IFDIR | 0755);
	assert_int_equal(look("listed/f").st_mode, S_IFREG | 0666);
	/*
	 * a directory that is not listed keeps its attributes, a listed one has
	 * the archive's
	 */
	assert_true(attr_size("d", def) > 0);
	assert_true(attr_size("d", "system.posix_acl_access") > 0);
	assert_true(attr_size("d", "user.a") > 0);
	assert_int_equal(attr_size("listed", def), -1);
	assert_int_equal(attr_size("listed", "system.posix_acl_access"), -1);
	assert_int_equal(attr_size("listed", "user.a"), -1);
	assert_int_equal(look("listed").st_mode, S_IFDIR | 0751);
}

/* Files that an old aufs kept in its layers do not belong to the image. */
static void aufs(void **state)
{
	const struct item items[] = {
		{ ".wh..wh.aufs", 0, "" },
		{ ".wh..wh.orph", S_IFDIR | 0700 },
		{ ".wh..wh.orph/x", 0, "x" },
		{ ".wh..wh.plnk", S_IFDIR | 0700 },
		{ ".wh..wh.plnk/12.34", 0, "shared" },
		{ "a", 0, NULL, ".wh..wh.plnk/12.34" },
		{ "b", 0, NULL, "./.wh..wh.plnk/12.34" },
		{ "d/.wh..wh.x/y", 0, "y" },
		{ ".wh..wh.p/y", 0, "y" },
		{ "d/.wh..wh.plnk/12.34", 0, "y" },
		{ "d/f", 0, "f" },
		{ 0 },
	};
	const struct item below[] = { { "d/.wh.x/y", 0, "y" }, { 0 } };
	const struct item below_opq[] = { { "d/.wh..wh..opq/y", DIR_ }, { 0 } };

	(void)state;
	assert_works(unpack(items));
	assert_false(exists(".wh..wh.aufs"));
	assert_false(exists(".wh..wh.orph"));
	assert_false(exists(".wh..wh.plnk"));
	assert_false(exists("d/.wh..wh.x"));
	assert_false(exists(".wh..wh.p"));
	assert_false(exists("d/.wh..wh.plnk"));
	assert_holds("a", "shared");
	assert_holds("b", "shared");
	assert_int_equal(look("a").st_nlink, 2);
	assert_bad(unpack(below), "below a whiteout");
	assert_works(unpack(below_opq));
	assert_false(exists("d/.wh..wh..opq"));
}

/*
 * An empty archive consists of zeroes, but not everything that begins with
 * zeroes is one.
 */
static void zeroes(void **state)
{
	static char disk[64 << 10];

	(void)state;
	spit(tar, disk, 1024);
	assert_works(unpack_file(tar));
	assert_int_equal(stats.entries, 0);
	spit(tar, disk, sizeof(disk));
	assert_works(unpack_file(tar));
	/* an ext4 has its superblock at 1024, an ISO 9660 at 32 KiB */
	disk[1080] = 'S';
	spit(tar, disk, sizeof(disk));
	assert_bad(unpack_file(tar), "is not an archive");
	disk[1080] = 0;
	disk[32769] = 'C';
	spit(tar, disk, sizeof(disk));
	assert_bad(unpack_file(tar), "is not an archive");
}

/* If a file cannot be written, the archive is at fault. */
static void impossible_files(void **state)
{
	static char target[5000];
	const struct item long_link[] = { { "l", LNK_, target }, { 0 } };

	(void)state;
	memset(target, 'x', sizeof(target) - 1);
	assert_bad(unpack(long_link), "an impossible file: l");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(plain),
		T(owners_and_devices),
		T(attributes),
		T(compressed),
		T(utf8),
		T(upper_replaces),
		T(whiteouts),
		T(opaque),
		T(opaque_root),
		T(links_stay_inside),
		T(link_then_through),
		T(dots_are_refused),
		T(hard_links_stay_inside),
		T(bad_whiteouts),
		T(root_stays_directory),
		T(broken_archives),
		T(checksums),
		T(mutated_archives),
		T(deep_paths),
		T(replaced_directories),
		T(links_to_later),
		T(links_to_nothing),
		T(directory_times),
		T(directories_again),
		T(lower_acls),
		T(aufs),
		T(zeroes),
		T(impossible_files),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
