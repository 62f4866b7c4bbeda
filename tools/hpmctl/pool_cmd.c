// SPDX-License-Identifier: GPL-2.0-only
/* hpmctl pool ... */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "dm.h"
#include "err.h"
#include "escape.h"
#include "loop.h"
#include "ondisk.h"
#include "out.h"
#include "parts.h"
#include "pool.h"
#include "text.h"
#include "users.h"
#include "volume.h"

#define POOL_UUID     "HPM-pool-"
#define LARGE_DEFAULT (256u << 10)
#define LARGE_MAX     (2u << 20)
#define NOT_GIVEN     UINT64_MAX

/*----------------------------------------------------------------
 * Printing
 *--------------------------------------------------------------*/

static const char *space_text(uint64_t used, uint64_t total, char out[96])
{
	char a[SIZE_TEXT], b[SIZE_TEXT];

	(void)snprintf(out, 96, "%s of %s used (%.1f%%)", size_text(used, a),
		       size_text(total, b),
		       total ? 100.0 * (double)used / (double)total : 0.0);
	return out;
}

/* "/dev/mapper/p-data" or "/dev/loop0 (/var/lib/p)" */
static const char *where_text(const char *num, char *out, size_t size)
{
	struct blkdev dev;
	char file[4096], text[4400];

	blkdev_describe(num, &dev);
	loop_file(num, file, sizeof(file));
	(void)snprintf(text, sizeof(text), "%s%s%s%s", dev.path,
		       *file ? " (" : "", file, *file ? ")" : "");
	return text_escape(out, size, text);
}

static void print_counters(const struct pool_status *st)
{
	unsigned int i;

	for (i = 0; i < st->nr_pairs; i++)
		printf("%s%s %s", i % 4 ? "  " : "\n    ", st->pair[i].key,
		       st->pair[i].value);
	putchar('\n');
}

static void print_pool(const struct pool *pool, const struct pool_status *st)
{
	char where[4400], text[96], size[SIZE_TEXT];

	printf("%s: %s%s\n", pool->name, st->mode,
	       st->needs_check ? ", needs check" : "");
	if (!st->nr_pairs)
		return;
	printf("  data          %s\n                on %s\n",
	       space_text(st->data_used, st->data_total, text),
	       where_text(pool->data, where, sizeof(where)));
	printf("  metadata      %s\n                on %s\n",
	       space_text(st->meta_used, st->meta_total, text),
	       where_text(pool->meta, where, sizeof(where)));
	printf("  large block   %s\n",
	       size_text(pool->large_sectors * SECTOR_SIZE, size));
	printf("  low water     %s\n", size_text(pool->low_water, size));
	printf("  options       %s %s\n", st->discard, st->no_space);
	printf("  transaction   %llu\n",
	       (unsigned long long)st->transaction_id);
	if (st->held_root)
		printf("  held root     %llu\n",
		       (unsigned long long)st->held_root);
	printf("  counters");
	print_counters(st);
}

/*
 * The main facts about a pool that was just made or activated; "pool status"
 * prints the rest.
 */
static void print_made(const struct pool *pool, const struct pool_status *st)
{
	char where[4400], a[SIZE_TEXT], b[SIZE_TEXT];

	printf("%s: %s%s, %llu volumes, large blocks of %s\n", pool->name,
	       st->mode, st->needs_check ? ", needs check" : "",
	       (unsigned long long)pool_status_value(st, "volumes"),
	       size_text(pool->large_sectors * SECTOR_SIZE, a));
	if (!st->nr_pairs)
		return;
	printf("  data      %s, %s free, on %s\n", size_text(st->data_total, a),
	       size_text(st->data_total - st->data_used, b),
	       where_text(pool->data, where, sizeof(where)));
	printf("  metadata  %s, %s free, on %s\n", size_text(st->meta_total, a),
	       size_text(st->meta_total - st->meta_used, b),
	       where_text(pool->meta, where, sizeof(where)));
}

/* Shows the present state of the pool; the end of most commands. */
static int show(const char *name, void (*print)(const struct pool *pool,
						const struct pool_status *st))
{
	struct pool pool;
	struct pool_status st;

	if (pool_get(name, &pool) || pool_get_status(&pool, true, &st))
		return -1;
	if (want_json)
		(void)out_json(
			json_pack("{s:o}", "pool", pool_json(&pool, &st)));
	else
		print(&pool, &st);
	pool_status_free(&st);
	return 0;
}

static int show_pool(const char *name)
{
	return show(name, print_pool);
}

/*----------------------------------------------------------------
 * create, activate
 *--------------------------------------------------------------*/

static struct {
	struct parts_spec parts;
	uint64_t large, low_water;
	bool queue, ignore_discard, no_passdown, read_only, no_sharing;
} want = { .low_water = NOT_GIVEN };

/* clang-format off */
#define TABLE_OPTS							\
	{ "low-water", 0, OPT_SIZE_0, &want.low_water, "SIZE",		\
	  "send a dm event when less is free (default: 1/16)" },	\
	{ "queue-if-no-space", 0, OPT_FLAG, &want.queue, NULL,		\
	  "writes wait (at most a minute) if the pool is full" },	\
	{ "ignore-discard", 0, OPT_FLAG, &want.ignore_discard, NULL,	\
	  "volumes refuse discards" },					\
	{ "no-discard-passdown", 0, OPT_FLAG, &want.no_passdown, NULL,	\
	  "do not discard freed space on the data device" },		\
	{ "no-sharing", 0, OPT_FLAG, &want.no_sharing, NULL,		\
	  "do not serve reads from cached copies" },			\
	{ "disk", 0, OPT_STRING, &want.parts.disk, "DEV",		\
	  "a disk, for metadata and data" },				\
	{ "file", 0, OPT_STRING, &want.parts.file, "PATH",		\
	  "a file for data, and PATH.meta for metadata" },		\
	{ "meta", 0, OPT_STRING, &want.parts.meta, "DEV",		\
	  "a device for metadata" },					\
	{ "data", 0, OPT_STRING, &want.parts.data, "DEV",		\
	  "a device for data" }
/* clang-format on */

static const struct opt create_opts[] = {
	TABLE_OPTS,
	{ "size", 's', OPT_SIZE, &want.parts.size, "SIZE", "size of the file" },
	{ "meta-size", 0, OPT_SIZE, &want.parts.meta_size, "SIZE",
	  "size of the metadata on a disk or in a file (default: 1/64)" },
	{ "large-block", 0, OPT_SIZE, &want.large, "SIZE",
	  "64K to 2M, a power of two (default: 256K)" },
	{ "preallocate", 0, OPT_FLAG, &want.parts.preallocate, NULL,
	  "allocate all space of the files at once" },
	{ "force", 'f', OPT_FLAG, &want.parts.force, NULL,
	  "overwrite what is on the devices, replace the files" },
	{ 0 },
};

static const struct opt activate_opts[] = {
	TABLE_OPTS,
	{ "add", 0, OPT_LIST, &want.parts.more, "DEV",
	  "a disk added by \"pool grow --add\"; in that order" },
	{ "read-only", 'r', OPT_FLAG, &want.read_only, NULL,
	  "write nothing to the pool" },
	{ "adopt-data", 0, OPT_FLAG, &want.parts.adopt, NULL,
	  "accept the data device although it has no mark of the pool" },
	{ 0 },
};

static int add_feature(char *out, size_t size, unsigned int *nr, bool on,
		       const char *word)
{
	size_t len = strlen(out);

	if (!on)
		return 0;
	++*nr;
	return print_to(out + len, size - len, " %s", word);
}

static int table_params(const struct parts *parts, char *out, size_t size)
{
	char features[128] = "";
	unsigned int nr = 0;
	uint64_t low = want.low_water;

	if (low == NOT_GIVEN)
		low = parts->data.bytes / 16;
	if (add_feature(features, sizeof(features), &nr, want.ignore_discard,
			"ignore_discard") ||
	    add_feature(features, sizeof(features), &nr, want.no_passdown,
			"no_discard_passdown") ||
	    add_feature(features, sizeof(features), &nr, want.read_only,
			"read_only") ||
	    add_feature(features, sizeof(features), &nr, want.parts.adopt,
			"adopt_data") ||
	    add_feature(features, sizeof(features), &nr, want.queue,
			"queue_if_no_space") ||
	    add_feature(features, sizeof(features), &nr, want.no_sharing,
			"no_sharing"))
		return -1;
	return print_to(out, size, "%s %s %llu %llu %u%s", parts->meta.num,
			parts->data.num,
			(unsigned long long)(want.large / SECTOR_SIZE),
			(unsigned long long)(low / HPM_BLOCK_SIZE), nr,
			features);
}

/*
 * The device may be larger than the largest pool, as a file of a wrong size is:
 * the pool uses as much as it can.
 */
static uint64_t table_length(uint64_t bytes)
{
	if (bytes > POOL_BYTES_MAX)
		bytes = POOL_BYTES_MAX & ~(uint64_t)(LARGE_MAX - 1);
	return bytes / HPM_BLOCK_SIZE * HPM_BLOCK_SECTORS;
}

static int load_pool(const char *name, const struct parts *parts)
{
	char params[256], uuid[DM_NAME_MAX + 16];
	struct dm_spec spec = {
		.name = name,
		.uuid = uuid,
		.hidden = true,
		.nr = 1,
		.line[0] = {
			.length = table_length(parts->data.bytes),
			.type = POOL_TARGET,
			.params = params,
		},
	};

	if (table_params(parts, params, sizeof(params)) ||
	    print_to(uuid, sizeof(uuid), POOL_UUID "%s", name))
		return -1;
	return dm_create(&spec);
}

static int prepare(const char *name)
{
	struct dm_state st;

	want.parts.pool = name;
	if (check_pool_name(name) || parts_check(&want.parts) ||
	    dm_need_target(POOL_TARGET) || dm_state_of(name, &st))
		return -1;
	if (st.exists)
		return err_say(ST_BUSY, "there is a device %s already", name);
	return 0;
}

static int check_large(uint64_t bytes)
{
	const uint64_t least = (uint64_t)HPM_BLOCK_SIZE << HPM_MIN_LARGE_SHIFT;
	const uint64_t most = (uint64_t)HPM_BLOCK_SIZE << HPM_MAX_LARGE_SHIFT;

	if (bytes < least || bytes > most || (bytes & (bytes - 1)))
		return err_say(
			ST_USAGE,
			"a large block is 64K, 128K, 256K, 512K, 1M or 2M");
	return 0;
}

/*
 * Reports a missing mark; only the kernel knows for certain whether there
 * should be one.
 */
static void tell_no_mark(const struct parts *parts)
{
	const char *reason = err_reason();

	if (!reason || !strstr(reason, "pool's mark"))
		return;
	err_clear();
	err_set_say(
		ST_BAD_INPUT,
		"%s does not begin with the mark of this pool: it is another device, or its first block was overwritten (then --adopt-data writes the mark again)",
		parts->data.path);
}

static int show_made(const char *name, const struct parts_spec *spec)
{
	char file[4400];

	if (show(name, print_made))
		return -1;
	if (!want_json && spec->file && spec->size && !spec->preallocate)
		printf("  %s is sparse: it takes space from its file system as it is written to\n",
		       text_escape(file, sizeof(file), spec->file));
	return 0;
}

static int finish_pool(const char *name, struct parts *parts)
{
	if (load_pool(name, parts)) {
		tell_no_mark(parts);
		parts_undo(&want.parts, parts);
		return -1;
	}
	parts_done(parts);
	return cli_shown(show_made(name, &want.parts));
}

/* "pool create p /dev/vda" */
static const char *disk_or_file(const char *arg)
{
	struct stat st;

	if (!strncmp(arg, "/dev/", 5) ||
	    (!stat(arg, &st) && S_ISBLK(st.st_mode)))
		return "--disk";
	return strchr(arg, '/') ? "--file" : NULL;
}

static int pool_create(char **args, int nr)
{
	struct parts parts;

	(void)nr;
	if (!want.large)
		want.large = LARGE_DEFAULT;
	want.parts.large = want.large;
	if (check_large(want.large) || prepare(args[0]) ||
	    parts_make(&want.parts, &parts))
		return -1;
	return finish_pool(args[0], &parts);
}

const struct cmd pool_create_cmd = {
	.noun = "pool",
	.verb = "create",
	.args = "NAME",
	.need = "{--disk DEV | --file PATH --size SIZE | --meta DEV --data DEV}",
	.min_args = 1,
	.max_args = 1,
	.option_for = disk_or_file,
	.summary = "make a pool on a disk, a file, or two devices",
	.more = "The devices must be empty; --force overwrites what is on them.\n"
		"A disk is cut in two: its beginning becomes NAME-meta, the rest NAME-data.\n",
	.examples =
		"  hpmctl pool create fast --disk /dev/nvme1n1\n"
		"  hpmctl pool create test --file /var/lib/test.pool --size 20G\n"
		"  hpmctl pool create big --meta /dev/vg/meta --data /dev/vg/data --large-block 1M\n",
	.opts = create_opts,
	.run = pool_create,
};

static int pool_activate(char **args, int nr)
{
	struct parts parts;

	(void)nr;
	want.parts.read_only = want.read_only;
	if (prepare(args[0]) || parts_find(&want.parts, &parts))
		return -1;
	want.large = (uint64_t)parts.label.large_sectors * SECTOR_SIZE;
	return finish_pool(args[0], &parts);
}

const struct cmd pool_activate_cmd = {
	.noun = "pool",
	.verb = "activate",
	.args = "NAME",
	.need = "{--disk DEV | --file PATH | --meta DEV --data DEV}",
	.min_args = 1,
	.max_args = 1,
	.option_for = disk_or_file,
	.summary = "activate an existing pool",
	.more = "This never formats anything.  Volumes are activated one by one.\n",
	.examples =
		"  hpmctl pool activate fast --disk /dev/nvme1n1\n"
		"  hpmctl pool activate fast --disk /dev/nvme1n1 --add /dev/nvme2n1\n"
		"  hpmctl pool activate test --file /var/lib/test.pool\n",
	.opts = activate_opts,
	.run = pool_activate,
};

/*----------------------------------------------------------------
 * status, list
 *--------------------------------------------------------------*/

static struct {
	bool names;
} list_want;

static const struct opt no_opts[] = { { 0 } };

struct listing {
	bool names;	     /* nothing else */
	json_t *json;	     /* an array, or NULL */
	struct table *table; /* NULL: print the status in full */
};

static void list_row(struct table *t, const struct pool *pool,
		     const struct pool_status *st)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT], d[SIZE_TEXT], vols[24];

	(void)snprintf(vols, sizeof(vols), "%llu",
		       (unsigned long long)pool_status_value(st, "volumes"));
	table_row(t, pool->name, st->mode, vols, size_text(st->data_used, a),
		  size_text(st->data_total, b), size_text(st->meta_used, c),
		  size_text(st->meta_total, d));
}

static int list_pool(struct pool *pool, void *ctx)
{
	struct listing *l = ctx;
	struct pool_status st;

	if (l->names) {
		puts(pool->name);
		return 0;
	}
	if (pool_get_status(pool, false, &st))
		return -1;
	if (l->json)
		(void)json_array_append_new(l->json, pool_json(pool, &st));
	else if (l->table)
		list_row(l->table, pool, &st);
	else
		print_pool(pool, &st);
	pool_status_free(&st);
	return 0;
}

static int list_all(struct listing *l)
{
	if (want_json)
		l->json = json_array();
	if (pool_each(list_pool, l)) {
		json_decref(l->json);
		return -1;
	}
	if (l->json)
		return out_json(json_pack("{s:o}", "pools", l->json));
	return 0;
}

static int pool_status(char **args, int nr)
{
	struct listing l = { 0 };

	return nr ? show_pool(args[0]) : list_all(&l);
}

const struct cmd pool_status_cmd = {
	.noun = "pool",
	.verb = "status",
	.args = "[NAME]",
	.max_args = 1,
	.summary = "show the state of a pool, or of every pool",
	.examples = "  hpmctl pool status\n"
		    "  hpmctl pool status fast --json\n",
	.opts = no_opts,
	.run = pool_status,
};

static const struct opt list_opts[] = {
	{ "quiet", 'q', OPT_FLAG, &list_want.names, NULL, "names only" },
	{ 0 },
};

static int pool_list(char **args, int nr)
{
	static const char *const header[] = { "POOL",  "MODE", ">VOLUMES",
					      ">DATA", ">OF",  ">METADATA",
					      ">OF" };
	struct listing l = { 0 };
	int ret;

	(void)args;
	(void)nr;
	l.names = list_want.names && !want_json;
	if (!want_json && !l.names)
		l.table = table_new(header, 7);
	ret = list_all(&l);
	if (!ret && l.table)
		table_print(l.table, "There is no active pool.");
	table_free(l.table);
	return ret;
}

const struct cmd pool_list_cmd = {
	.noun = "pool",
	.verb = "list",
	.args = "",
	.summary = "list the active pools",
	.examples = "  hpmctl pool list\n"
		    "  hpmctl pool list -q\n",
	.opts = list_opts,
	.run = pool_list,
};

/*----------------------------------------------------------------
 * grow
 *--------------------------------------------------------------*/

static struct {
	const char *data, *meta, *add;
	bool force;
} grow;

static const struct opt grow_opts[] = {
	{ "data", 0, OPT_STRING, &grow.data, "SIZE",
	  "new size of the data file, or +SIZE" },
	{ "meta", 0, OPT_STRING, &grow.meta, "SIZE",
	  "new size of the metadata file, or +SIZE" },
	{ "add", 0, OPT_STRING, &grow.add, "DEV",
	  "a further disk for a pool made with --disk" },
	{ "force", 'f', OPT_FLAG, &grow.force, NULL,
	  "overwrite what is on the further disk" },
	{ 0 },
};

/* A file below the pool, and its old size. */
struct file_part {
	char path[4096];
	struct blkdev dev;
	uint64_t was, bytes; /* bytes 0: does not grow */
	bool changed;
};

/* Finds everything that can be wrong before anything is changed. */
static int plan_file(const char *num, const char *text, const char *what,
		     uint64_t most, struct file_part *f)
{
	char size[SIZE_TEXT];

	memset(f, 0, sizeof(*f));
	if (!text)
		return 0;
	if (blkdev_get_num(num, &f->dev))
		return -1;
	f->was = f->dev.bytes;
	loop_file(num, f->path, sizeof(f->path));
	if (!*f->path)
		return err_say(
			ST_USAGE,
			"the pool's %s are not in a file: enlarge %s with its own tools, then \"pool grow\" without a size",
			what, f->dev.path);
	if (loop_check_file(num, f->path) ||
	    parse_new_size(text, f->was, &f->bytes))
		return -1;
	if (f->bytes < f->was)
		return err_say(ST_USAGE,
			       "%s is larger already: a pool cannot shrink",
			       f->path);
	if (f->bytes > most)
		return err_say(ST_USAGE,
			       "%s is too large: a pool's %s are at most %s",
			       text, what, size_text(most, size));
	return 0;
}

static int grow_file(struct file_part *f, bool preallocate)
{
	if (!f->bytes)
		return 0;
	if (file_grow(f->path, f->bytes, preallocate))
		return -1;
	f->changed = true;
	return loop_set_capacity(&f->dev);
}

static void shrink_file(const struct file_part *f)
{
	if (!f->changed)
		return;
	file_shrink(f->path, f->was);
	(void)loop_set_capacity(&f->dev);
}

static int grow_disks(const struct pool *pool, struct parts_was *was)
{
	struct label label;
	struct blkdev meta, add;

	if (!part_is_linear(pool->name, "data", pool->data)) {
		if (!grow.add)
			return 0;
		return err_say(ST_USAGE,
			       "--add is for pools that were made with --disk");
	}
	if (blkdev_get_num(pool->meta, &meta) || label_read(meta.path, &label))
		return -1;
	if (!label.found)
		return err_say(ST_BAD_INPUT, "%s has no label", meta.path);
	if (grow.add &&
	    (blkdev_get(grow.add, &add) || blkdev_check_free(&add) ||
	     blkdev_check_empty(&add, grow.force)))
		return -1;
	return parts_extend(pool->name, label.uuid, grow.add ? &add : NULL,
			    was);
}

/*
 * Whether the pool still has its old size.  If not, or if this is not known,
 * the devices below it must keep their size: the pool may already have data in
 * the new space.
 */
static bool is_as_before(const struct pool *pool, const struct pool_status *was)
{
	struct pool_status now;
	bool same;

	if (pool_get_status(pool, false, &now))
		return false;
	same = now.data_total == was->data_total &&
	       now.meta_total == was->meta_total;
	pool_status_free(&now);
	return same;
}

/* What has been enlarged below a pool, and its former state. */
struct growth {
	const struct pool *pool;
	const struct pool_status *was;
	struct file_part data, meta;
	struct parts_was disks;
	bool undone;
};

/* Undoes the steps in reverse order, unless the pool has grown already. */
static void undo_growth(void *ctx)
{
	struct growth *g = ctx;

	if (g->undone || !is_as_before(g->pool, g->was))
		return;
	g->undone = true;
	parts_shrink(g->pool->name, &g->disks);
	shrink_file(&g->meta);
	shrink_file(&g->data);
}

/* Reloads the table with the present length of the data device. */
static int reload_pool(struct growth *g)
{
	const struct dm_undo undo = { undo_growth, g };
	const struct pool *pool = g->pool;
	struct dm_line line;
	struct dm_spec spec = { .name = pool->name, .hidden = true, .nr = 1 };
	struct blkdev meta, data;
	int ret;

	if (blkdev_get_num(pool->meta, &meta) ||
	    blkdev_get_num(pool->data, &data) || dm_table(pool->name, &line))
		return -1;
	parts_tell_unused(&meta);
	line.length = table_length(data.bytes);
	spec.line[0] = line;
	ret = dm_replace(&spec, true, &undo);
	dm_lines_free(&line, 1);
	return ret ? -1 : 0;
}

/* "pool grow p +10G", "pool grow p /dev/vdb" */
static const char *data_or_disk(const char *arg)
{
	return arg[0] == '/' ? "--add" : "--data";
}

/*
 * Enlarges the devices below the pool, then the pool.  If a step fails, the
 * steps before it are undone.  If the pool's own step fails, they are undone
 * before the pool is resumed, as a pool uses the metadata device in the size
 * that it finds then.
 */
static int grow_pool(const struct pool *pool, const struct pool_status *st)
{
	struct growth g = { .pool = pool, .was = st };
	int ret;

	if (plan_file(pool->data, grow.data, "data", POOL_BYTES_MAX, &g.data) ||
	    plan_file(pool->meta, grow.meta, "metadata", META_BYTES_MAX,
		      &g.meta))
		return -1;
	ret = grow_file(&g.data, false) || grow_file(&g.meta, true) ||
	      grow_disks(pool, &g.disks) || reload_pool(&g);
	if (ret)
		undo_growth(&g);
	parts_was_free(&g.disks);
	return ret ? -1 : 0;
}

static int pool_grow(char **args, int nr)
{
	struct pool_status st;
	struct pool pool;
	uint64_t bytes;
	int ret;

	(void)nr;
	/* Finds a malformed size before the pool is read. */
	if ((grow.data && parse_new_size(grow.data, 0, &bytes)) ||
	    (grow.meta && parse_new_size(grow.meta, 0, &bytes)) ||
	    pool_get(args[0], &pool) || pool_get_status(&pool, false, &st))
		return -1;
	ret = grow_pool(&pool, &st);
	pool_status_free(&st);
	return ret ? -1 : cli_shown(show(args[0], print_made));
}

const struct cmd pool_grow_cmd = {
	.noun = "pool",
	.verb = "grow",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.option_for = data_or_disk,
	.summary = "give a pool more space, while it is in use",
	.more = "Files are enlarged.  Without a size, the pool uses what its disk or its\n"
		"devices have gained.  A pool never shrinks.\n",
	.examples = "  hpmctl pool grow test --data +10G\n"
		    "  hpmctl pool grow fast --add /dev/nvme2n1\n"
		    "  lvextend -L +100G vg/data && hpmctl pool grow big\n",
	.opts = grow_opts,
	.run = pool_grow,
};

/*----------------------------------------------------------------
 * checkpoint, set
 *--------------------------------------------------------------*/

static int pool_checkpoint(char **args, int nr)
{
	struct pool pool;

	(void)nr;
	if (pool_get(args[0], &pool) ||
	    dm_message(pool.name, NULL, "checkpoint"))
		return -1;
	return want_json ? cli_shown(show_pool(args[0])) : 0;
}

const struct cmd pool_checkpoint_cmd = {
	.noun = "pool",
	.verb = "checkpoint",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.summary = "write all metadata, so that the journal is empty",
	.examples = "  hpmctl pool checkpoint fast\n",
	.opts = no_opts,
	.run = pool_checkpoint,
};

/* The settings, and the message that sets each. */
static const struct setting {
	const char *key, *message, *values;
} settings[] = {
	{ "defrag", "defrag", "start [KiB/s] | stop | status" },
	{ "cache", "cache",
	  "share on|off, copies_limit N, entries N, scan_ms N, evict" },
	{ "map-cache", "map_cache", "number of metadata blocks in memory" },
	{ "transaction-id", "set_transaction_id", "OLD NEW" },
	{ "metadata-snap", NULL, "reserve | release" },
};

static const struct setting *find_setting(const char *key)
{
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (!strcmp(settings[i].key, key))
			return &settings[i];
	(void)err_say(
		ST_USAGE,
		"a pool has no setting %s; it has defrag, cache, map-cache, transaction-id, metadata-snap",
		key);
	return NULL;
}

/* Checks the words for the cache before the kernel is asked. */
static int check_cache(const struct setting *s, char **args, int nr)
{
	static const struct number {
		const char *key;
		uint64_t max;
	} numbers[] = {
		{ "copies_limit", 1024 },
		{ "entries", UINT64_MAX },
		{ "scan_ms", UINT32_MAX },
	};
	uint64_t value;
	size_t i;

	if (nr == 1 && !strcmp(args[0], "evict"))
		return 0;
	if (nr == 2 && !strcmp(args[0], "share") &&
	    (!strcmp(args[1], "on") || !strcmp(args[1], "off")))
		return 0;
	for (i = 0; nr == 2 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strcmp(args[0], numbers[i].key))
			return parse_uint(args[1], numbers[i].max, &value);
	return err_say(ST_USAGE, "%s is set to: %s", s->key, s->values);
}

static int setting_message(const struct setting *s, char **args, int nr,
			   char *out, size_t size)
{
	size_t len;
	int i;

	if (!s->message) {
		if (nr != 1 || (strcmp(args[0], "reserve") != 0 &&
				strcmp(args[0], "release") != 0))
			return err_say(ST_USAGE, "%s is set to: %s", s->key,
				       s->values);
		return print_to(out, size, "%s_metadata_snap", args[0]);
	}
	if (!strcmp(s->key, "cache") && check_cache(s, args, nr))
		return -1;
	if (print_to(out, size, "%s", s->message))
		return -1;
	for (i = 0; i < nr; i++) {
		if (!*args[i] || strpbrk(args[i], " \t\n\\"))
			return err_say(ST_USAGE, "\"%s\" is not a value",
				       args[i]);
		len = strlen(out);
		if (print_to(out + len, size - len, " %s", args[i]))
			return -1;
	}
	return 0;
}

static int pool_set(char **args, int nr)
{
	const struct setting *s = find_setting(args[1]);
	char message[256], *reply;
	struct pool pool;
	int ret = 0;

	if (!s ||
	    setting_message(s, args + 2, nr - 2, message, sizeof(message)) ||
	    pool_get(args[0], &pool) ||
	    dm_message(pool.name, &reply, "%s", message))
		return -1;
	chomp(reply);
	if (want_json)
		ret = out_json(json_pack("{s:s, s:s, s:o}", "pool", pool.name,
					 "setting", s->key, "reply",
					 json_text(reply)));
	else if (*reply)
		puts(reply);
	free(reply);
	return ret;
}

const struct cmd pool_set_cmd = {
	.noun = "pool",
	.verb = "set",
	.args = "NAME SETTING VALUE...",
	.min_args = 3,
	.max_args = 12,
	.summary = "change how a pool works, or start and stop a job",
	.more = "Settings:\n"
		"  defrag start [KiB/s]   join scattered blocks, in the background\n"
		"  defrag stop | status\n"
		"  map-cache BLOCKS       how much of the map is kept in memory\n"
		"  cache share on|off     serve reads of shared blocks from memory, or not\n"
		"  cache copies_limit N   how many copies of a block may stay\n"
		"  cache entries N        how many copies are known at most\n"
		"  cache scan_ms N        the time between two scans of the copies\n"
		"  cache evict            scan and evict copies now\n"
		"  transaction-id OLD NEW a number that a manager keeps in the pool\n"
		"  metadata-snap reserve | release\n",
	.examples = "  hpmctl pool set fast defrag start 20480\n"
		    "  hpmctl pool set fast defrag status\n"
		    "  hpmctl pool set fast cache copies_limit 1\n",
	.opts = no_opts,
	.run = pool_set,
};

/*----------------------------------------------------------------
 * remove
 *--------------------------------------------------------------*/

static struct {
	bool wipe, force;
} rm;

static const struct opt remove_opts[] = {
	{ "wipe", 0, OPT_FLAG, &rm.wipe, NULL,
	  "destroy the pool: overwrite its label, delete its files" },
	{ "force", 'f', OPT_FLAG, &rm.force, NULL,
	  "deactivate its volumes first (fails if one is in use)" },
	{ 0 },
};

/* What is needed to wipe a pool that is no longer active. */
struct leftovers {
	bool linear_meta, linear_data;
	char meta_file[4096], data_file[4096];
	struct blkdev meta, data;
	struct label label;
};

static int look_below(const struct pool *pool, struct leftovers *l)
{
	memset(l, 0, sizeof(*l));
	l->linear_meta = part_is_linear(pool->name, "meta", pool->meta);
	l->linear_data = part_is_linear(pool->name, "data", pool->data);
	loop_own_file(pool->meta, l->meta_file, sizeof(l->meta_file));
	loop_own_file(pool->data, l->data_file, sizeof(l->data_file));
	if (blkdev_get_num(pool->meta, &l->meta) ||
	    blkdev_get_num(pool->data, &l->data))
		return -1;
	if (!rm.wipe)
		return 0;
	if (loop_check_file(pool->meta, l->meta_file) ||
	    loop_check_file(pool->data, l->data_file))
		return -1;
	return label_read(l->meta.path, &l->label);
}

/* Wipes the label last: as long as it is there, the pool can be wiped again. */
static int wipe_pool(const struct leftovers *l)
{
	if (!*l->data_file && l->label.marked &&
	    data_mark_clear(l->data.path, l->label.uuid))
		return -1;
	return *l->meta_file ? 0 : blkdev_zero(&l->meta, ZERO_AREA);
}

static int remove_part(const char *pool, const char *part)
{
	char name[DM_NAME_MAX];

	return part_name(pool, part, name) || dm_remove(name, false);
}

static int delete_file(const char *path)
{
	if (*path && unlink(path))
		return err_sys(errno, "cannot delete %s", path);
	return 0;
}

/* The pool is gone: if one step fails, the others are done all the same. */
static int remove_below(const struct pool *pool, const struct leftovers *l)
{
	int ret = rm.wipe && wipe_pool(l) ? -1 : 0;

	if (l->linear_data && remove_part(pool->name, "data"))
		ret = -1;
	if (l->linear_meta && remove_part(pool->name, "meta"))
		ret = -1;
	if (rm.wipe && delete_file(l->meta_file))
		ret = -1;
	if (rm.wipe && delete_file(l->data_file))
		ret = -1;
	return ret;
}

/* If the pool cannot be removed, its volumes' devices are restored. */
static int deactivate_pool(const struct pool *pool)
{
	struct removed removed = { 0 };
	int ret = volumes_deactivate_all(pool, rm.force, &removed);

	if (!ret) {
		ret = users_wait(pool->name, pool->num) ||
		      dm_remove(pool->name, false);
		if (ret)
			removed_restore(&removed);
	}
	removed_free(&removed);
	return ret ? -1 : 0;
}

static int pool_remove(char **args, int nr)
{
	struct leftovers l;
	struct pool pool;

	(void)nr;
	if (pool_get(args[0], &pool) || look_below(&pool, &l) ||
	    deactivate_pool(&pool) || remove_below(&pool, &l))
		return -1;
	if (want_json)
		return out_json(json_pack("{s:s, s:b}", "removed", pool.name,
					  "wiped", rm.wipe));
	return 0;
}

const struct cmd pool_remove_cmd = {
	.noun = "pool",
	.verb = "remove",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.summary = "deactivate a pool; with --wipe, destroy it",
	.more = "Without --wipe nothing is lost: \"pool activate\" activates it again.\n",
	.examples = "  hpmctl pool remove fast\n"
		    "  hpmctl pool remove test --force --wipe\n",
	.opts = remove_opts,
	.run = pool_remove,
};
