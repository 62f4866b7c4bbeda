// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making, privately mounting and filling file systems, which must be clean
 * afterwards.
 */
#include "image.h"
#include <locale.h>
#include <sys/mount.h>

#include "fs.h"
#include "layer.h"
#include "loop.h"
#include "run.h"

static char *dir, file[64], tar[64];
static struct blkdev dev;
static int fd = -1;

static int setup(void **state)
{
	(void)state;
	dir = make_dir();
	(void)snprintf(file, sizeof(file), "%s/disk", dir);
	(void)snprintf(tar, sizeof(tar), "%s/x.tar", dir);
	if (geteuid() || access("/dev/loop-control", R_OK | W_OK))
		return 0;
	assert_works(file_make(file, 400 << 20, false));
	fd = loop_attach(file, false, &dev);
	assert_true(fd >= 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (fd >= 0)
		(void)close(fd);
	fd = -1;
	drop_dir(dir);
	err_clear();
	return 0;
}

static void unpack_into(const char *where)
{
	const struct item items[] = { { "./", S_IFDIR | 0755 },
				      { "etc/name", 0, "hello" },
				      { 0 } };
	struct layer_stats stats;
	struct stream *s;

	write_tar(tar, "gzip", items);
	assert_works(stream_open_file(tar, &s));
	assert_works(layer_unpack(s, where, &stats));
	stream_close(s);
	assert_int_equal(stats.entries, 2);
}

/* Nobody but us sees the mount. */
static bool seen_by_others(const char *where)
{
	char cmd[PATH_MAX + 64];

	(void)snprintf(cmd, sizeof(cmd), "grep -q %s /proc/1/mounts", where);
	return !system(cmd);
}

/*
 * @most: the most that mkfs may write (mainly its log; inode tables are not
 * needed)
 */
static void make_and_fill(const char *type, const char *fsck, long most)
{
	struct fs_mount m;
	char text[16], cmd[PATH_MAX + 64];
	struct stat st;

	if (fd < 0)
		skip();
	assert_works(fs_make(type, dev.path));
	assert_works(blkdev_fs_type(dev.path, text, sizeof(text)));
	assert_string_equal(text, type);
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_blocks * 512 < most << 20);
	assert_works(fs_mount(dev.path, type, &m));
	assert_false(seen_by_others(dev.path));
	assert_works(fs_empty(&m));
	unpack_into(m.dir);
	(void)snprintf(cmd, sizeof(cmd), "grep -q hello %s/etc/name", m.dir);
	assert_int_equal(system(cmd), 0);
	assert_works(fs_unmount(&m));
	(void)snprintf(cmd, sizeof(cmd), "%s %s >/dev/null 2>&1", fsck,
		       dev.path);
	assert_int_equal(system(cmd), 0);
}

static void ext4(void **state)
{
	(void)state;
	make_and_fill("ext4", "fsck.ext4 -fn", 10);
}

static void xfs(void **state)
{
	(void)state;
	make_and_fill("xfs", "xfs_repair -n", 80);
}

static void failures(void **state)
{
	struct fs_mount m;

	(void)state;
	assert_fails(fs_check_type("btrfs"), "ext4 or xfs");
	assert_fails(fs_check_size("xfs", 100 << 20), "--size 300M");
	assert_works(fs_check_size("xfs", 300 << 20));
	assert_fails(fs_check_size("ext4", 4096), "--size 1M");
	assert_works(fs_check_size("ext4", 1 << 20));
	assert_fails(fs_make("ext4", "/nowhere/dev"), "mkfs.ext4 failed");
	if (fd < 0)
		skip();
	assert_fails(fs_mount(dev.path, "ext4", &m), "cannot mount");
	assert_works(fs_unmount(&m));
}

static void programs(void **state)
{
	const char *const yes[] = { "true", NULL };
	const char *const no[] = { "sh", "-c", "echo why >&2; exit 7", NULL };
	const char *const much[] = { "sh", "-c", "head -c 300000 /dev/zero >&2",
				     NULL };
	const char *const killed[] = { "sh", "-c", "kill -9 $$", NULL };
	const char *const none[] = { "hpmctl-no-such-program", NULL };
	char text[16];

	(void)state;
	assert_int_equal(run_program(yes, NULL, 0), 0);
	assert_int_equal(run_program(no, text, sizeof(text)), 7);
	assert_string_equal(text, "why\n");
	assert_int_equal(run_program(much, text, sizeof(text)), 0);
	assert_int_equal(run_program(killed, NULL, 0), 128 + 9);
	assert_fails(run_program(none, NULL, 0), "cannot run");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(ext4),
		T(xfs),
		T(failures),
		T(programs),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
