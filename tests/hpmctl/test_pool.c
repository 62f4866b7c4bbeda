// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parsing what the kernel shows of pools and volumes, and the devices below a
 * pool.
 */
#include "test.h"
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "label.h"
#include "loop.h"
#include "parts.h"
#include "pool.h"
#include "volume.h"

static void table(void **state)
{
	struct pool p = { .name = "x" };

	(void)state;
	assert_works(pool_parse_table("253:0 253:1 512 1024 0", &p));
	assert_string_equal(p.meta, "253:0");
	assert_string_equal(p.data, "253:1");
	assert_int_equal(p.large_sectors, 512);
	assert_int_equal(p.low_water, 1024 * 4096);
	assert_string_equal(p.features, "");
	assert_works(pool_parse_table(
		"7:0 7:1 128 0 2 no_discard_passdown read_only", &p));
	assert_string_equal(p.features, "no_discard_passdown read_only");
	assert_fails(pool_parse_table("7:0 7:1 128", &p), "cannot understand");
	assert_fails(pool_parse_table("", &p), "cannot understand");
	assert_fails(pool_parse_table("7:0 7:1 x 0", &p), "cannot understand");
}

#define STATUS                                                                 \
	"7 100/4096 2000/262144 - rw discard_passdown error_if_no_space - 64 " \
	"time 3 volumes 12 dying 0 record 900 applied 900 durable 899 "        \
	"checkpoints 4 commits 17 journal_writes 17 journal 5/256 "            \
	"nodes 40/2 node_reads 1 node_writes 2 cow_blocks 33 "                 \
	"copied_bytes 44 inplace 55 hops 66 defrag idle moved 0 pinned 0 "     \
	"share on copies_limit 1/2 copies 77/5000 blocks 70 hits 88 "          \
	"not_read 360448"

static void status(void **state)
{
	struct pool p = { .name = "p\xff", .meta = "0:0", .data = "0:0" };
	struct pool_status st;
	json_t *o, *c;

	(void)state;
	assert_works(pool_parse_status(STATUS, &st));
	assert_int_equal(st.transaction_id, 7);
	assert_int_equal(st.meta_used, 100 * 4096);
	assert_int_equal(st.data_total, 1 << 30);
	assert_string_equal(st.mode, "rw");
	assert_false(st.needs_check);
	assert_int_equal(st.meta_low_water, 64 * 4096);
	assert_int_equal(st.held_root, 0);
	assert_int_equal(pool_status_value(&st, "volumes"), 12);
	assert_int_equal(pool_status_value(&st, "hops"), 66);
	assert_int_equal(pool_status_value(&st, "nothing"), 0);
	o = pool_json(&p, &st);
	err_clear(); /* these devices do not exist */
	assert_string_equal(json_string_value(json_object_get(o, "name")),
			    "p\\xff");
	c = json_object_get(o, "counters");
	assert_string_equal(json_string_value(json_object_get(c, "defrag")),
			    "idle");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(c, "journal"), "total")),
			 256);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(c, "nodes"), "dirty")),
			 2);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(o, "data"), "free")),
			 (262144 - 2000) * 4096);
	assert_int_equal(pool_status_value(&st, "copies"), 77);
	assert_int_equal(pool_status_value(&st, "not_read"), 88 * 4096);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(c, "copies_limit"), "now")),
			 1);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(c, "copies_limit"), "set")),
			 2);
	json_decref(o);
	pool_status_free(&st);
}

static void bad_status(void **state)
{
	struct pool_status st;

	(void)state;
	assert_works(pool_parse_status("Fail", &st));
	assert_string_equal(st.mode, "Fail");
	pool_status_free(&st);
	assert_works(pool_parse_status(
		"0 1/2 3/4 77 out_of_data_space no_discard_passdown queue_if_no_space needs_check 1 key",
		&st));
	assert_int_equal(st.held_root, 77);
	assert_true(st.needs_check);
	assert_int_equal(st.nr_pairs, 0);
	pool_status_free(&st);
	assert_fails(pool_parse_status("", &st), "cannot understand");
	assert_fails(pool_parse_status("0 1/2 3/4", &st), "cannot understand");
	assert_fails(pool_parse_status("0 1/2 x/4 - rw a b - 1", &st),
		     "cannot understand");
}

static void volume_lines(void **state)
{
	char line[] = "17 42 41 20971520 8192 readonly,active 5 redis";
	char none[] = "0 1 0 0 0 - 0 -";
	char others[] = "0 1 0 0 0 inactive,readonly2 0 -";
	char last[] = "0 1 0 0 0 x,noshare 0 -";
	char shorter[] = "17 42 41 20971520 8192 readonly,active 5";
	char large[] = "16777216 1 0 0 0 - 0 -";
	char label[HPM_NAME_SIZE];
	struct volume v;

	(void)state;
	assert_true(volume_parse(line, &v));
	assert_int_equal(v.id, 17);
	assert_int_equal(v.serial, 42);
	assert_int_equal(v.parent, 41);
	assert_int_equal(v.bytes, 10ULL << 30);
	assert_int_equal(v.mapped, 4 << 20);
	assert_true(v.read_only && v.active && !v.no_share);
	assert_string_equal(volume_label(&v, label), "redis");
	assert_true(volume_parse(none, &v));
	assert_false(v.read_only || v.active || v.no_share);
	assert_string_equal(volume_label(&v, label), "0");
	assert_true(volume_parse(others, &v));
	assert_false(v.read_only || v.active || v.no_share);
	assert_true(volume_parse(last, &v));
	assert_true(v.no_share && !v.read_only && !v.active);
	assert_false(volume_parse(shorter, &v));
	assert_false(volume_parse(large, &v));
}

static void volume_lists(void **state)
{
	char text[] = "0 1 0 8 8 - 0 base\n1 2 1 8 8 - 1 c1\n3 9 1 8 8 - 2 -\n";
	char bad[] = "0 1 0 8 8 - 0 base\nnonsense\n";
	struct volumes vols = { 0 };
	struct pool pool = { .name = "p" };
	uint32_t last = 0;
	json_t *o;

	(void)state;
	assert_int_equal(volumes_parse(text, &vols, &last), 3);
	assert_int_equal(last, 3);
	assert_int_equal(volumes_free_id(&vols), 2);
	assert_int_equal(volume_find(&vols, "c1")->id, 1);
	assert_int_equal(volume_find(&vols, "3")->serial, 9);
	assert_null(volume_find(&vols, "2"));
	assert_null(volume_find(&vols, "c2"));
	assert_null(volume_find(&vols, ""));
	o = volume_json(&pool, &vols, &vols.v[1]);
	assert_string_equal(json_string_value(json_object_get(o, "parent")),
			    "base");
	json_decref(o);
	o = volume_json(&pool, &vols, &vols.v[2]);
	assert_true(json_is_null(json_object_get(o, "name")));
	assert_true(json_is_null(json_object_get(o, "device")));
	json_decref(o);
	assert_fails(volumes_parse(bad, &vols, &last), "cannot understand");
	volumes_free(&vols);
}

static void no_volumes(void **state)
{
	char text[] = "";
	struct volumes vols = { 0 };
	uint32_t last = 0;

	(void)state;
	assert_int_equal(volumes_parse(text, &vols, &last), 0);
	assert_int_equal(volumes_free_id(&vols), 0);
	volumes_free(&vols);
}

static void write_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	assert_int_equal(close(fd), 0);
}

static void labels(void **state)
{
	char path[] = "/tmp/hpmctl-test-XXXXXX", text[UUID_TEXT];
	struct hpm_label l = {
		.head = { .magic = htole32(HPM_MAGIC), .type = HPM_BT_LABEL },
		.version = htole32(1),
		.large_shift = htole32(6),
		.created_with_blocks = htole64(2048),
		.uuid = { 1, 2, 3, 0xff },
	};
	struct label label;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	write_file(path, &l, sizeof(l));
	assert_works(label_read(path, &label));
	assert_true(label.found);
	assert_int_equal(label.large_sectors, 512);
	assert_int_equal(label.meta_bytes, 8 << 20);
	assert_string_equal(uuid_text(label.uuid, text),
			    "010203ff-0000-0000-0000-000000000000");
	l.head.type = HPM_BT_SUPER;
	write_file(path, &l, sizeof(l));
	assert_works(label_read(path, &label));
	assert_false(label.found);
	write_file(path, &l, 100);
	assert_fails(label_read(path, &label), "too small");
	assert_int_equal(unlink(path), 0);
	assert_fails(label_read(path, &label), "cannot open");
}

static void marks(void **state)
{
	char path[] = "/tmp/hpmctl-test-XXXXXX", zeroes[8192] = "";
	const uint8_t uuid[HPM_UUID_SIZE] = { 9, 8, 7 };
	const uint8_t other[HPM_UUID_SIZE] = { 9, 8, 6 };
	uint64_t start, bytes;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	write_file(path, zeroes, sizeof(zeroes));
	assert_fails(mark_read(path, uuid, 1, &start, &bytes), "was not added");
	assert_works(mark_write(path, uuid, 1, 4 << 20, 8 << 20));
	assert_works(mark_read(path, uuid, 1, &start, &bytes));
	assert_int_equal(start, 4 << 20);
	assert_int_equal(bytes, 8 << 20);
	assert_fails(mark_read(path, uuid, 2, &start, &bytes), "in the order");
	assert_fails(mark_read(path, other, 1, &start, &bytes), "another pool");
	assert_int_equal(unlink(path), 0);
}

/* As the kernel computes it, bit by bit, over all but the checksum itself. */
static uint32_t crc_of(const void *data, size_t n)
{
	const uint8_t *p = data, *end = p + n;
	uint32_t crc = ~0u;
	const char *seed;
	int bit;

	for (seed = "hpmapper mark"; *seed || p < end;) {
		crc ^= *seed ? (uint8_t)*seed++ : *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static void write_data_mark(const char *path, uint8_t first, uint64_t blocknr)
{
	struct hpm_mark m = {
		.head = { .magic = htole32(HPM_MAGIC),
			  .type = HPM_BT_MARK,
			  .blocknr = htole64(blocknr) },
		.uuid = { first },
	};

	m.head.csum = htole32(crc_of(&m.head.magic, sizeof(m) - 4));
	write_file(path, &m, sizeof(m));
}

/*
 * Metadata with the uuid 1..., and various contents at the beginning of the
 * data.
 */
static void pairs(void **state)
{
	char path[] = "/tmp/hpmctl-test-XXXXXX", block[4096] = "";
	struct parts_spec spec = { 0 };
	struct parts parts = { .label = { .found = true, .marked = true } };
	struct hpm_label l = {
		.head = { .magic = htole32(HPM_MAGIC), .type = HPM_BT_LABEL },
		.large_shift = htole32(6),
		.uuid = { 2 },
	};
	const uint8_t other[HPM_UUID_SIZE] = { 3 };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	parts.label.uuid[0] = 1;
	(void)snprintf(parts.data.path, sizeof(parts.data.path), "%s", path);
	(void)snprintf(parts.meta.path, sizeof(parts.meta.path), "/meta");
	write_data_mark(path, 1, HPM_MARK_BLOCK);
	assert_works(parts_check_pair(&spec, &parts));
	write_data_mark(path, 2, HPM_MARK_BLOCK);
	assert_bad(parts_check_pair(&spec, &parts),
		   "the pool with uuid 02000000-");
	assert_bad(parts_check_pair(&spec, &parts),
		   "/meta are those of the pool with uuid 01000000-");
	/* the user said that these are the data; the kernel writes the mark */
	spec.adopt = true;
	assert_works(parts_check_pair(&spec, &parts));
	spec.adopt = false;
	/* the metadata of a pool have no mark: a volume may have written this */
	parts.label.marked = false;
	assert_works(parts_check_pair(&spec, &parts));
	parts.label.marked = true;
	/* contents that mean nothing here are left to the kernel */
	write_data_mark(path, 2, HPM_MARK_BLOCK + 1);
	assert_works(parts_check_pair(&spec, &parts));
	write_file(path, block, sizeof(block));
	assert_works(parts_check_pair(&spec, &parts));
	write_file(path, &l, sizeof(l));
	assert_bad(parts_check_pair(&spec, &parts),
		   "a pool's metadata (uuid 02");
	/* also if they are the pool's own metadata */
	l.uuid[0] = 1;
	write_file(path, &l, sizeof(l));
	assert_bad(parts_check_pair(&spec, &parts),
		   "a pool's metadata (uuid 01");
	write_file(path, block, sizeof(block));
	assert_works(mark_write(path, other, 1, 4 << 20, 8 << 20));
	assert_bad(parts_check_pair(&spec, &parts), "a further disk of a pool");
	write_file(path, block, 100);
	assert_bad(parts_check_pair(&spec, &parts), "too small");
	assert_int_equal(unlink(path), 0);
	assert_fails(parts_check_pair(&spec, &parts), "cannot open");
}

static long long blocks_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_blocks;
}

static void files(void **state)
{
	char dir[] = "/tmp/hpmctl-test-XXXXXX", path[64], aside[128];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	assert_works(file_make(path, 1 << 20, false));
	assert_fails(file_make(path, 1 << 20, false), "File exists");
	assert_int_equal(blocks_of(path), 0);
	assert_works(file_fill(path));
	assert_true(blocks_of(path) * 512 >= 1 << 20);
	assert_works(file_grow(path, 2 << 20, false));
	assert_true(blocks_of(path) * 512 < 2 << 20);
	assert_works(file_grow(path, 3 << 20, true));
	assert_true(blocks_of(path) * 512 >= 3 << 20);
	assert_fails(file_grow(path, 1 << 20, false), "cannot shrink");
	file_shrink(path, 2 << 20);
	assert_works(file_grow(path, 2 << 20, false));
	/* a replaced file can be put back, and a missing one is no error */
	assert_works(file_put_aside(path, aside, sizeof(aside)));
	assert_int_equal(access(path, F_OK), -1);
	assert_works(file_make(path, 4096, true));
	file_put_back(aside, path);
	assert_true(blocks_of(path) * 512 > 4096);
	assert_int_equal(unlink(path), 0);
	assert_works(file_put_aside(path, aside, sizeof(aside)));
	assert_string_equal(aside, "");
	assert_fails(file_grow(path, 1 << 20, false), "cannot open");
	/* only a file is replaced */
	assert_int_equal(mkdir(path, 0755), 0);
	assert_fails(file_put_aside(path, aside, sizeof(aside)), "not a file");
	assert_string_equal(aside, "");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_fails(file_put_aside(path, aside, sizeof(aside)), "not a file");
	assert_int_equal(unlink(path), 0);
	if (!geteuid() && !mknod(path, S_IFBLK | 0600, makedev(7, 0))) {
		if (!access("/sys/block/loop0", F_OK))
			assert_fails(file_put_aside(path, aside, sizeof(aside)),
				     "--disk");
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

/* A file, made a block device; needs a machine that lets us. */
static void loops(void **state)
{
	char dir[] = "/tmp/hpmctl-test-XXXXXX", path[64], again[256], cmd[400];
	struct blkdev dev, other;
	struct label label;
	int fd, ro;

	(void)state;
	if (geteuid() || access("/dev/loop-control", R_OK | W_OK))
		skip();
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	assert_works(file_make(path, 16 << 20, false));
	fd = loop_attach(path, false, &dev);
	assert_true(fd >= 0);
	assert_int_equal(dev.bytes, 16 << 20);
	loop_file(dev.num, again, sizeof(again));
	assert_string_equal(again, path);
	assert_fails(loop_attach(path, false, &other),
		     "is in use by the loop device");
	/* only that file is deleted or enlarged, no other */
	assert_works(loop_check_file(dev.num, path));
	assert_works(loop_check_file(dev.num, ""));
	(void)snprintf(again, sizeof(again), "%s/g", dir);
	assert_int_equal(rename(path, again), 0);
	assert_works(file_make(path, 4096, false));
	assert_fails(loop_check_file(dev.num, path), "any more");
	assert_int_equal(rename(again, path), 0);
	assert_works(loop_check_file(dev.num, path));
	assert_works(blkdev_check_empty(&dev, false));
	(void)snprintf(cmd, sizeof(cmd), "mkfs.ext4 -q %s", dev.path);
	assert_int_equal(system(cmd), 0);
	assert_works(blkdev_fs_type(dev.path, again, sizeof(again)));
	assert_string_equal(again, "ext4");
	assert_fails(blkdev_check_empty(&dev, false), "of type ext4");
	assert_works(blkdev_check_empty(&dev, true));
	assert_works(blkdev_check_empty(&dev, false));
	assert_works(file_grow(path, 32 << 20, false));
	assert_works(loop_set_capacity(&dev));
	assert_works(blkdev_get_num(dev.num, &other));
	assert_int_equal(other.bytes, 32 << 20);
	assert_string_equal(other.path, dev.path);
	assert_int_equal(close(fd), 0);
	fd = loop_attach(path, false, &other);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	/*
	 * a file that cannot be written to, as in a file system that has failed
	 */
	(void)snprintf(cmd, sizeof(cmd),
		       "mount --bind %s %s && mount -o remount,bind,ro %s", dir,
		       dir, dir);
	if (!system(cmd)) {
		assert_fails(loop_attach(path, false, &dev), "Read-only");
		fd = loop_attach(path, true, &dev);
		assert_true(fd >= 0);
		assert_int_equal(dev.bytes, 32 << 20);
		assert_works(label_read(dev.path, &label));
		assert_int_equal(close(fd), 0);
		(void)snprintf(cmd, sizeof(cmd), "umount %s", dir);
		assert_int_equal(system(cmd), 0);
	}
	fd = loop_attach(path, true, &dev);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, BLKROGET, &ro), 0);
	assert_false(ro);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* Makes a loop device for the file with losetup, with partitions. */
static int losetup(const char *file, struct blkdev *dev)
{
	char cmd[256], path[64] = "";
	FILE *f;

	(void)snprintf(cmd, sizeof(cmd), "losetup -Pf --show %s", file);
	f = popen(cmd, "r");
	assert_non_null(f);
	if (!fgets(path, sizeof(path), f))
		path[0] = '\0';
	path[strcspn(path, "\n")] = '\0';
	return pclose(f) || blkdev_get(path, dev) ? -1 : 0;
}

/* Two different devices may still have the same blocks. */
static void overlaps(void **state)
{
	char dir[] = "/tmp/hpmctl-test-XXXXXX", file[64], cmd[600];
	struct blkdev a, b, part;
	bool parted;

	(void)state;
	if (geteuid() || access("/dev/loop-control", R_OK | W_OK))
		skip();
	assert_non_null(mkdtemp(dir));
	(void)snprintf(file, sizeof(file), "%s/f", dir);
	assert_works(file_make(file, 16 << 20, false));
	if (losetup(file, &a) || losetup(file, &b))
		skip();
	assert_fails(parts_check_apart(&a, &a),
		     "both the metadata and the data");
	assert_fails(parts_check_apart(&a, &b), "the same file");
	(void)snprintf(cmd, sizeof(cmd), "addpart %s 1 2048 8192", a.path);
	parted = !system(cmd);
	if (parted) {
		(void)snprintf(cmd, sizeof(cmd), "%sp1", a.path);
		assert_works(blkdev_get(cmd, &part));
		assert_fails(parts_check_apart(&a, &part), "a partition of");
		assert_fails(parts_check_apart(&part, &a), "a partition of");
		assert_works(parts_check_apart(&part, &b));
		(void)snprintf(cmd, sizeof(cmd), "delpart %s 1", a.path);
		assert_int_equal(system(cmd), 0);
	}
	(void)snprintf(cmd, sizeof(cmd), "losetup -d %s %s", a.path, b.path);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),	cmocka_unit_test(status),
		cmocka_unit_test(bad_status),	cmocka_unit_test(volume_lines),
		cmocka_unit_test(volume_lists), cmocka_unit_test(no_volumes),
		cmocka_unit_test(labels),	cmocka_unit_test(marks),
		cmocka_unit_test(pairs),	cmocka_unit_test(files),
		cmocka_unit_test(loops),	cmocka_unit_test(overlaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
