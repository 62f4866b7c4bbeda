// SPDX-License-Identifier: GPL-2.0-only
/* hpmctl volume ... */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "dm.h"
#include "err.h"
#include "freeze.h"
#include "iostat.h"
#include "out.h"
#include "text.h"
#include "volume.h"

static struct {
	uint64_t size, id;
	bool activate, freeze, deferred, read_only, force, names;
	bool several; /* volumes are named: a list in --json */
} want = { .id = NO_ID };

static const struct opt no_opts[] = { { 0 } };

/* The size of a volume is rounded up to whole small blocks. */
static uint64_t whole_blocks(uint64_t bytes)
{
	return (bytes + HPM_BLOCK_SIZE - 1) & ~(uint64_t)(HPM_BLOCK_SIZE - 1);
}

static int check_id(void)
{
	if (want.id != NO_ID && want.id > HPM_MAX_VOLUME_ID)
		return err_say(ST_USAGE, "an id is from 0 to %u",
			       HPM_MAX_VOLUME_ID);
	return 0;
}

/*
 * The key for one volume is "volume"; for a command that takes several,
 * "volumes".
 */
static int tell_json(const char *key, json_t *o)
{
	if (want.several)
		return out_json_item("volumes", o);
	return out_json(json_pack("{s:o}", key, o));
}

/* Shows a volume that was made or changed. */
static int show_volume(const struct pool *pool, const char *name)
{
	struct volumes vols;
	struct volume *v;
	char label[HPM_NAME_SIZE], size[SIZE_TEXT];
	int ret = 0;

	if (volumes_read(pool, &vols))
		return -1;
	v = volume_find(&vols, name);
	if (!v)
		ret = err_say(ST_NOT_FOUND, "the pool %s has no volume %s",
			      pool->name, name);
	else if (v->active)
		ret = volume_find_device(pool, v);
	if (!ret && want_json)
		ret = tell_json("volume", volume_json(pool, &vols, v));
	else if (!ret)
		printf("%s: id %u, %s%s%s%s\n", volume_label(v, label), v->id,
		       v->bytes ? size_text(v->bytes, size) : "no size",
		       v->read_only ? ", read-only" : "",
		       v->device[0] ? ", active as /dev/mapper/" : "",
		       v->device);
	volumes_free(&vols);
	return ret;
}

/*
 * Finds all volumes that a command names, in @named, with their devices.  A
 * name that does not exist, or that comes twice, is found before anything is
 * done.
 */
static int find_named(const struct pool *pool, char **names, int nr,
		      struct volumes *named)
{
	struct volumes all;
	int i, j, ret = 0;

	want.several = nr > 1;
	*named = (struct volumes){ 0 };
	if (volumes_read(pool, &all))
		return -1;
	named->v = calloc((size_t)nr, sizeof(*named->v));
	if (!named->v)
		ret = err_nomem();
	for (i = 0; i < nr && !ret; i++) {
		const struct volume *v = volume_find(&all, names[i]);

		if (!v) {
			ret = err_say(ST_NOT_FOUND,
				      "the pool %s has no volume %s",
				      pool->name, names[i]);
			break;
		}
		for (j = 0; j < i && !ret; j++)
			if (named->v[j].id == v->id)
				ret = err_say(ST_USAGE,
					      "%s and %s are the same volume",
					      names[j], names[i]);
		named->v[named->nr++] = *v;
		if (!ret)
			ret = volume_find_device(pool, &named->v[i]);
	}
	volumes_free(&all);
	if (ret)
		volumes_free(named);
	return ret;
}

/*----------------------------------------------------------------
 * create, snapshot
 *--------------------------------------------------------------*/

static const struct opt create_opts[] = {
	{ "size", 's', OPT_SIZE, &want.size, "SIZE", "its size" },
	{ "id", 0, OPT_UINT, &want.id, "N",
	  "its id (default: the lowest that is free)" },
	{ "activate", 'a', OPT_FLAG, &want.activate, NULL,
	  "make its device, too" },
	{ 0 },
};

/*
 * A clone has the uuid of its origin's file system.  xfs refuses to mount both,
 * and btrfs takes the two for one; their own messages do not tell the reason.
 */
static void hint_clone(const char *device)
{
	char path[DEV_PATH_MAX], type[32];

	if (print_to(path, sizeof(path), "/dev/mapper/%s", device) ||
	    blkdev_fs_type(path, type, sizeof(type))) {
		err_clear(); /* a missing hint is no failure */
		return;
	}
	if (!strcmp(type, "xfs"))
		warn("the xfs on %s has the uuid of its origin: mount it with -o nouuid while that is mounted, or give it its own with \"xfs_admin -U generate %s\"",
		     path, path);
	else if (!strcmp(type, "btrfs"))
		warn("the btrfs on %s has the uuid of its origin: give it its own with \"btrfstune -u %s\" before both are mounted",
		     path, path);
}

static int finish_new(const struct pool *pool, struct volume *v)
{
	if (want.activate && volume_activate(pool, v, 0, false, false)) {
		(void)volume_delete(pool, v);
		return -1;
	}
	if (want.activate && v->parent)
		hint_clone(v->device);
	return cli_shown(show_volume(pool, v->name));
}

/* Checks that the new volume's device, if it is to have one, can be made. */
static int check_device(const struct pool *pool, const char *name)
{
	struct volume v = { .id = NO_ID };

	if (!want.activate)
		return 0;
	(void)snprintf(v.name, sizeof(v.name), "%s", name);
	return volume_check_device_name(pool, &v);
}

/* "volume create p v 10G" */
static const char *volume_size(const char *arg)
{
	return isdigit((unsigned char)arg[0]) ? "--size" : NULL;
}

static int cmd_create(char **args, int nr)
{
	struct pool pool;
	struct volume v;

	(void)nr;
	if (!want.size)
		return err_say(ST_USAGE, "the size is missing (--size)");
	if (check_volume_name(args[1]) || check_id() ||
	    pool_get(args[0], &pool) || check_device(&pool, args[1]) ||
	    volume_create(&pool, args[1], (uint32_t)want.id,
			  whole_blocks(want.size), &v))
		return -1;
	return finish_new(&pool, &v);
}

const struct cmd volume_create_cmd = {
	.noun = "volume",
	.verb = "create",
	.args = "POOL NAME",
	.need = "--size SIZE",
	.min_args = 2,
	.max_args = 2,
	.option_for = volume_size,
	.summary = "make an empty volume",
	.more = "It takes no space until it is written to, so its size may exceed the pool's.\n",
	.examples =
		"  hpmctl volume create fast web --size 20G\n"
		"  hpmctl volume create fast web --size 20G --activate && mkfs.ext4 /dev/mapper/fast-web\n",
	.opts = create_opts,
	.run = cmd_create,
};

static const struct opt snapshot_opts[] = {
	{ "size", 's', OPT_SIZE, &want.size, "SIZE",
	  "a larger size than its origin's" },
	{ "id", 0, OPT_UINT, &want.id, "N",
	  "its id (default: the lowest that is free)" },
	{ "freeze", 0, OPT_FLAG, &want.freeze, NULL,
	  "freeze the origin's file system meanwhile" },
	{ "activate", 'a', OPT_FLAG, &want.activate, NULL,
	  "make its device, too" },
	{ 0 },
};

static int frozen_snapshot(const struct pool *pool, struct volume *origin,
			   const char *name, struct volume *v)
{
	struct frozen fs;
	int ret;

	if (volume_find_device(pool, origin))
		return -1;
	if (!origin->device[0]) {
		warn("%s is not active, so there is nothing to freeze",
		     origin->name);
		return volume_snapshot(pool, origin, name, (uint32_t)want.id,
				       whole_blocks(want.size), v);
	}
	if (freeze_begin(origin->device, origin->num, &fs))
		return -1;
	ret = volume_snapshot(pool, origin, name, (uint32_t)want.id,
			      whole_blocks(want.size), v);
	/*
	 * If another program has thawed it meanwhile, the snapshot is not
	 * consistent.
	 */
	if (!freeze_end(&fs))
		return ret;
	if (!ret)
		(void)volume_delete(pool, v);
	return -1;
}

static int cmd_snapshot(char **args, int nr)
{
	struct volume origin, v;
	struct pool pool;
	int ret;

	(void)nr;
	if (check_volume_name(args[2]) || check_id() ||
	    pool_get(args[0], &pool) || volume_get(&pool, args[1], &origin) ||
	    check_device(&pool, args[2]))
		return -1;
	if (want.freeze)
		ret = frozen_snapshot(&pool, &origin, args[2], &v);
	else
		ret = volume_snapshot(&pool, &origin, args[2],
				      (uint32_t)want.id,
				      whole_blocks(want.size), &v);
	return ret ? -1 : finish_new(&pool, &v);
}

const struct cmd volume_snapshot_cmd = {
	.noun = "volume",
	.verb = "snapshot",
	.args = "POOL ORIGIN NAME",
	.min_args = 3,
	.max_args = 3,
	.summary = "make a writable copy of a volume in an instant",
	.more = "The snapshot has the content of the origin at that instant, even while the\n"
		"origin is written to.  A mounted file system in it looks as after a power\n"
		"cut, unless --freeze makes it write everything first.\n",
	.examples = "  hpmctl volume snapshot fast redis c1 --activate\n"
		    "  hpmctl volume snapshot fast c1 c1-backup --freeze\n",
	.opts = snapshot_opts,
	.run = cmd_snapshot,
};

/*----------------------------------------------------------------
 * activate, deactivate, remove
 *--------------------------------------------------------------*/

static const struct opt activate_opts[] = {
	{ "read-only", 'r', OPT_FLAG, &want.read_only, NULL,
	  "its device cannot be written to" },
	{ "size", 's', OPT_SIZE, &want.size, "SIZE",
	  "size of the device (default: the volume's)" },
	{ 0 },
};

static int check_activate(const struct pool *pool, const struct volume *v)
{
	char label[HPM_NAME_SIZE];

	if (v->device[0])
		return err_say(ST_BUSY,
			       "%s is active already, as /dev/mapper/%s",
			       volume_label(v, label), v->device);
	return volume_check_device_name(pool, v);
}

/* Activates all volumes, or none. */
static int activate_all(const struct pool *pool, struct volumes *named)
{
	size_t i;

	for (i = 0; i < named->nr; i++)
		if (check_activate(pool, &named->v[i]))
			return -1;
	for (i = 0; i < named->nr; i++)
		if (volume_activate(pool, &named->v[i], want.size & ~511ULL,
				    want.read_only, false))
			break;
	if (i == named->nr)
		return 0;
	while (i--)
		(void)volume_deactivate(pool, &named->v[i], false);
	return -1;
}

static int cmd_activate(char **args, int nr)
{
	struct volumes named;
	struct pool pool;
	size_t i;
	int ret;

	if (want.size && want.size < SECTOR_SIZE)
		return err_say(ST_USAGE, "a device has at least one sector");
	if (pool_get(args[0], &pool) ||
	    find_named(&pool, args + 1, nr - 1, &named))
		return -1;
	ret = activate_all(&pool, &named);
	for (i = 0; !ret && i < named.nr; i++) {
		if (named.v[i].parent)
			hint_clone(named.v[i].device);
		ret = cli_shown(show_volume(&pool, args[i + 1]));
	}
	volumes_free(&named);
	return ret;
}

const struct cmd volume_activate_cmd = {
	.noun = "volume",
	.verb = "activate",
	.args = "POOL VOLUME...",
	.min_args = 2,
	.max_args = 1 << 20,
	.summary = "make a volume's device, /dev/mapper/POOL-NAME",
	.examples = "  hpmctl volume activate fast c1\n"
		    "  hpmctl volume activate fast c1 c2 c3 --read-only\n",
	.opts = activate_opts,
	.run = cmd_activate,
};

static const struct opt deactivate_opts[] = {
	{ "deferred", 0, OPT_FLAG, &want.deferred, NULL,
	  "if it is in use: when its last user closes it" },
	{ 0 },
};

static int check_deactivate(const struct volume *v)
{
	char label[HPM_NAME_SIZE];

	if (!v->device[0])
		return err_say(ST_NOT_FOUND, "the volume %s is not active",
			       volume_label(v, label));
	return want.deferred ? 0 : volume_check_unused(v);
}

/*
 * Deactivates all volumes, or none, except for those whose removal is deferred.
 */
static int deactivate_all(const struct pool *pool, struct volumes *named)
{
	struct removed removed = { 0 };
	size_t i;
	int ret = 0;

	for (i = 0; i < named->nr; i++)
		if (check_deactivate(&named->v[i]))
			return -1;
	for (i = 0; i < named->nr && !ret; i++)
		ret = want.deferred ?
			      volume_deactivate(pool, &named->v[i], true) :
			      volume_deactivate_saved(pool, &named->v[i],
						      &removed);
	if (ret)
		removed_restore(&removed);
	removed_free(&removed);
	return ret;
}

static int cmd_deactivate(char **args, int nr)
{
	struct volumes named;
	struct pool pool;
	int i, ret;

	if (pool_get(args[0], &pool) ||
	    find_named(&pool, args + 1, nr - 1, &named))
		return -1;
	ret = deactivate_all(&pool, &named);
	volumes_free(&named);
	for (i = 1; !ret && want_json && i < nr; i++)
		ret = cli_shown(show_volume(&pool, args[i]));
	return ret;
}

const struct cmd volume_deactivate_cmd = {
	.noun = "volume",
	.verb = "deactivate",
	.args = "POOL VOLUME...",
	.min_args = 2,
	.max_args = 1 << 20,
	.summary = "remove a volume's device, but keep the volume",
	.examples = "  hpmctl volume deactivate fast c1\n"
		    "  hpmctl volume deactivate fast c1 --deferred\n",
	.opts = deactivate_opts,
	.run = cmd_deactivate,
};

static int tell_removed(const struct pool *pool, const char *name, uint32_t id)
{
	json_t *o = json_pack("{s:o, s:s, s:I}", "removed", json_text(name),
			      "pool", pool->name, "id", (json_int_t)id);

	return want.several ? out_json_item("volumes", o) : out_json(o);
}

/* If the pool refuses to delete the volume, its device is restored. */
static int remove_one(const struct pool *pool, struct volume *v,
		      const char *name)
{
	struct removed removed = { 0 };
	int ret = 0;

	if (v->device[0])
		ret = volume_deactivate_saved(pool, v, &removed);
	if (!ret && volume_delete(pool, v)) {
		removed_restore(&removed);
		ret = -1;
	}
	removed_free(&removed);
	if (!ret && want_json)
		ret = tell_removed(pool, name, v->id);
	return ret;
}

/*
 * A deletion cannot be undone, so everything is checked before the first one:
 * that all volumes exist, and that none is in use.
 */
static int cmd_remove(char **args, int nr)
{
	struct volumes named;
	struct pool pool;
	size_t i;
	int ret = 0;

	if (pool_get(args[0], &pool) ||
	    find_named(&pool, args + 1, nr - 1, &named))
		return -1;
	for (i = 0; !ret && i < named.nr; i++)
		ret = volume_check_unused(&named.v[i]);
	for (i = 0; !ret && i < named.nr; i++)
		ret = remove_one(&pool, &named.v[i], args[i + 1]);
	volumes_free(&named);
	return ret;
}

const struct cmd volume_remove_cmd = {
	.noun = "volume",
	.verb = "remove",
	.args = "POOL VOLUME...",
	.min_args = 2,
	.max_args = 1 << 20,
	.summary = "delete a volume and free the space that only it uses",
	.more = "An active volume that is not in use is deactivated first.  Its snapshots stay.\n"
		"The command returns at once; the space is freed in the background.\n",
	.examples = "  hpmctl volume remove fast c1 c2\n",
	.opts = no_opts,
	.run = cmd_remove,
};

/*----------------------------------------------------------------
 * list, stat
 *--------------------------------------------------------------*/

static const struct opt list_opts[] = {
	{ "quiet", 'q', OPT_FLAG, &want.names, NULL, "names only" },
	{ 0 },
};

static void list_row(struct table *t, const struct volumes *vols,
		     const struct volume *v)
{
	const struct volume *parent = volume_by_serial(vols, v->parent);
	char label[HPM_NAME_SIZE], origin[HPM_NAME_SIZE];
	char id[16], size[SIZE_TEXT], mapped[SIZE_TEXT], dev[DEV_PATH_MAX];

	(void)snprintf(id, sizeof(id), "%u", v->id);
	if (v->device[0])
		(void)snprintf(dev, sizeof(dev), "/dev/mapper/%s", v->device);
	else
		strcpy(dev, v->active ? "active" : "-");
	table_row(t, volume_label(v, label), id,
		  v->bytes ? size_text(v->bytes, size) : "-",
		  size_text(v->mapped, mapped),
		  parent    ? volume_label(parent, origin) :
		  v->parent ? "(deleted)" :
			      "-",
		  v->read_only ? "ro" : "rw", dev);
}

static int list_table(const struct volumes *vols)
{
	static const char *const header[] = { "VOLUME",	 ">ID",	   ">SIZE",
					      ">MAPPED", "ORIGIN", "MODE",
					      "DEVICE" };
	struct table *t = table_new(header, 7);
	size_t i;

	if (!t)
		return err_nomem();
	for (i = 0; i < vols->nr; i++)
		list_row(t, vols, &vols->v[i]);
	table_print(t, "The pool has no volumes.");
	table_free(t);
	return 0;
}

static int list_json(const struct pool *pool, const struct volumes *vols)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; array && i < vols->nr; i++)
		(void)json_array_append_new(array, volume_json(pool, vols,
							       &vols->v[i]));
	return out_json(
		json_pack("{s:s, s:o}", "pool", pool->name, "volumes", array));
}

static int list_names(const struct volumes *vols)
{
	char label[HPM_NAME_SIZE];
	size_t i;

	for (i = 0; i < vols->nr; i++)
		puts(volume_label(&vols->v[i], label));
	return 0;
}

static int cmd_list(char **args, int nr)
{
	struct volumes vols;
	struct pool pool;
	int ret;

	(void)nr;
	if (pool_get(args[0], &pool) || volumes_read(&pool, &vols))
		return -1;
	if (want.names && !want_json)
		ret = list_names(&vols);
	else if (volumes_find_devices(&pool, &vols))
		ret = -1;
	else
		ret = want_json ? list_json(&pool, &vols) : list_table(&vols);
	volumes_free(&vols);
	return ret;
}

const struct cmd volume_list_cmd = {
	.noun = "volume",
	.verb = "list",
	.args = "POOL",
	.min_args = 1,
	.max_args = 1,
	.summary = "list a pool's volumes",
	.more = "MAPPED is the space that a volume maps, shared with others or not.\n",
	.examples =
		"  hpmctl volume list fast\n"
		"  hpmctl volume list fast --json | jq -r '.volumes[].name'\n",
	.opts = list_opts,
	.run = cmd_list,
};

static void print_stat(const struct volumes *vols, const struct volume *v,
		       const char *highest, const struct iostat *io)
{
	const struct volume *parent = volume_by_serial(vols, v->parent);
	char text[SIZE_TEXT], label[HPM_NAME_SIZE];

	printf("%s\n  id            %u\n  serial        %llu\n",
	       volume_label(v, label), v->id, (unsigned long long)v->serial);
	printf("  size          %s\n",
	       v->bytes ? size_text(v->bytes, text) : "not set");
	printf("  mapped        %s\n", size_text(v->mapped, text));
	printf("  origin        %s\n", parent	 ? volume_label(parent, label) :
				       v->parent ? "deleted" :
						   "none");
	printf("  mode          %s, sharing %s\n",
	       v->read_only ? "read-only" : "read-write",
	       v->no_share ? "off" : "on");
	if (!v->device[0])
		return;
	printf("  device        /dev/mapper/%s (%s)\n", v->device, v->num);
	printf("  highest       %s\n", highest);
	printf("  read          %llu requests, %s\n",
	       (unsigned long long)io->reads, size_text(io->read_bytes, text));
	printf("  written       %llu requests, %s\n",
	       (unsigned long long)io->writes,
	       size_text(io->written_bytes, text));
	printf("  discarded     %s\n", size_text(io->discarded_bytes, text));
}

/* "<mapped sectors> <highest mapped sector>|-" */
static int read_highest(const struct volume *v, char *out, size_t size)
{
	struct dm_line line;
	char *rest;
	const char *word;

	if (dm_status(v->device, true, &line))
		return -1;
	rest = line.params;
	word = next_word(&rest);
	if (word && *rest)
		word = next_word(&rest);
	(void)snprintf(out, size, "%s", word ? word : "-");
	dm_lines_free(&line, 1);
	return 0;
}

/* Whether the volume was deactivated meanwhile. */
static bool is_gone(const struct volume *v)
{
	bool pending = err_pending();
	struct dm_state st;

	return pending && !dm_state_of(v->device, &st) && !st.exists;
}

static int stat_one(const struct pool *pool, const struct volumes *vols,
		    struct volume *v)
{
	char highest[32] = "-";
	struct iostat io = { 0 };
	json_t *o;

	if (volume_find_device(pool, v))
		return -1;
	if (v->device[0] && (read_highest(v, highest, sizeof(highest)) ||
			     iostat_read(v->num, &io))) {
		if (!is_gone(v))
			return -1;
		err_clear();
		v->device[0] = '\0';
		v->active = false;
	}
	if (!want_json) {
		print_stat(vols, v, highest, &io);
		return 0;
	}
	o = volume_json(pool, vols, v);
	if (o && v->device[0]) {
		char *end;
		unsigned long long n = strtoull(highest, &end, 10);

		(void)json_object_set_new(o, "highest_mapped_sector",
					  *end ? json_null() :
						 json_integer((json_int_t)n));
		(void)json_object_set_new(o, "io", iostat_json(&io));
	}
	return tell_json("volume", o);
}

static int cmd_stat(char **args, int nr)
{
	struct volumes vols;
	struct volume *v;
	struct pool pool;
	int i, ret = 0;

	want.several = nr > 2;
	if (pool_get(args[0], &pool) || volumes_read(&pool, &vols))
		return -1;
	for (i = 1; i < nr && !ret; i++)
		if (!volume_find(&vols, args[i]))
			ret = err_say(ST_NOT_FOUND,
				      "the pool %s has no volume %s", pool.name,
				      args[i]);
	for (i = 1; i < nr && !ret; i++) {
		v = volume_find(&vols, args[i]);
		ret = stat_one(&pool, &vols, v);
	}
	volumes_free(&vols);
	return ret;
}

const struct cmd volume_stat_cmd = {
	.noun = "volume",
	.verb = "stat",
	.args = "POOL VOLUME...",
	.min_args = 2,
	.max_args = 1 << 20,
	.summary = "show all about a volume",
	.examples = "  hpmctl volume stat fast c1\n",
	.opts = no_opts,
	.run = cmd_stat,
};

/*----------------------------------------------------------------
 * resize, rename, set
 *--------------------------------------------------------------*/

static const struct opt resize_opts[] = {
	{ "force", 'f', OPT_FLAG, &want.force, NULL,
	  "make it smaller; data behind the new end is lost" },
	{ 0 },
};

static int reload_volume(const struct volume *v, uint64_t bytes)
{
	struct dm_spec spec = { .name = v->device, .nr = 1 };
	struct dm_state st;
	struct dm_line line;
	int ret;

	if (dm_state_of(v->device, &st) || dm_table(v->device, &line))
		return -1;
	spec.read_only = st.read_only;
	line.length = bytes / SECTOR_SIZE;
	spec.line[0] = line;
	ret = dm_replace(&spec, false, NULL);
	dm_lines_free(&line, 1);
	return ret ? -1 : 0;
}

static int check_resize(const struct volume *v, uint64_t bytes)
{
	if (!bytes)
		return err_say(ST_USAGE, "the size of a volume must not be 0");
	if (bytes < v->bytes && v->device[0])
		return err_say(
			ST_BUSY,
			"the volume is active: deactivate it to make it smaller");
	if (bytes < v->bytes && !want.force)
		return err_say(
			ST_USAGE,
			"that makes the volume smaller, and the data behind its new end would be lost; --force does it");
	return 0;
}

static int set_size(const struct pool *pool, const struct volume *v,
		    uint64_t bytes)
{
	return dm_message(pool->name, NULL, "set_size %u %llu", v->id,
			  (unsigned long long)(bytes / SECTOR_SIZE));
}

static int cmd_resize(char **args, int nr)
{
	struct pool pool;
	struct volume v;
	uint64_t bytes;

	(void)nr;
	if (parse_new_size(args[2], 0, &bytes) || pool_get(args[0], &pool) ||
	    volume_get(&pool, args[1], &v) || volume_find_device(&pool, &v) ||
	    parse_new_size(args[2], v.bytes, &bytes))
		return -1;
	bytes = whole_blocks(bytes);
	if (check_resize(&v, bytes) || set_size(&pool, &v, bytes))
		return -1;
	if (v.device[0] && reload_volume(&v, bytes)) {
		(void)set_size(&pool, &v, v.bytes);
		return -1;
	}
	return cli_shown(show_volume(&pool, args[1]));
}

const struct cmd volume_resize_cmd = {
	.noun = "volume",
	.verb = "resize",
	.args = "POOL VOLUME SIZE",
	.min_args = 3,
	.max_args = 3,
	.summary = "give a volume another size, also while it is in use",
	.more = "Its file system is not resized; resize2fs or xfs_growfs does that.\n",
	.examples =
		"  hpmctl volume resize fast c1 +10G && resize2fs /dev/mapper/fast-c1\n",
	.opts = resize_opts,
	.run = cmd_resize,
};

/* Checks that neither a volume nor a device has the new name. */
static int check_new_name(const struct pool *pool, const struct volume *v,
			  const char *name)
{
	struct volume renamed = *v;
	struct volumes vols;
	int ret = 0;

	if (volumes_read(pool, &vols))
		return -1;
	if (volume_find(&vols, name))
		ret = err_say(ST_BUSY, "the pool %s has a volume %s already",
			      pool->name, name);
	volumes_free(&vols);
	if (ret || !v->device[0])
		return ret;
	(void)snprintf(renamed.name, sizeof(renamed.name), "%s", name);
	return volume_check_device_name(pool, &renamed);
}

static int rename_device(const struct pool *pool, const struct volume *v,
			 const char *name)
{
	struct volume renamed = *v;
	char device[DM_NAME_MAX];

	(void)snprintf(renamed.name, sizeof(renamed.name), "%s", name);
	return volume_device_name(pool, &renamed, device) ||
	       dm_rename(v->device, device);
}

static int cmd_rename(char **args, int nr)
{
	struct pool pool;
	struct volume v;

	(void)nr;
	if (check_volume_name(args[2]) || pool_get(args[0], &pool) ||
	    volume_get(&pool, args[1], &v) || volume_find_device(&pool, &v))
		return -1;
	if (!strcmp(v.name, args[2]))
		return show_volume(&pool, args[2]);
	if (check_new_name(&pool, &v, args[2]) ||
	    dm_message(pool.name, NULL, "set_name %u %s", v.id, args[2]))
		return -1;
	if (v.device[0] && rename_device(&pool, &v, args[2])) {
		(void)dm_message(pool.name, NULL, "set_name %u %s", v.id,
				 v.name[0] ? v.name : "-");
		return -1;
	}
	return cli_shown(show_volume(&pool, args[2]));
}

const struct cmd volume_rename_cmd = {
	.noun = "volume",
	.verb = "rename",
	.args = "POOL VOLUME NEW-NAME",
	.min_args = 3,
	.max_args = 3,
	.summary = "give a volume, and its device, another name",
	.examples = "  hpmctl volume rename fast c1 web\n"
		    "  hpmctl volume rename fast 17 web\n",
	.opts = no_opts,
	.run = cmd_rename,
};

static int cmd_set(char **args, int nr)
{
	bool read_only = !strcmp(args[2], "readonly");
	struct pool pool;
	struct volume v;

	(void)nr;
	if (!read_only && strcmp(args[2], "sharing") != 0)
		return err_say(
			ST_USAGE,
			"a volume has no setting %s; it has readonly and sharing",
			args[2]);
	if (strcmp(args[3], "on") != 0 && strcmp(args[3], "off") != 0)
		return err_say(ST_USAGE, "%s is on or off", args[2]);
	if (pool_get(args[0], &pool) || volume_get(&pool, args[1], &v) ||
	    dm_message(pool.name, NULL, "%s %u %s",
		       read_only ? "set_readonly" : "set_sharing", v.id,
		       args[3]))
		return -1;
	return cli_shown(show_volume(&pool, args[1]));
}

const struct cmd volume_set_cmd = {
	.noun = "volume",
	.verb = "set",
	.args = "POOL VOLUME SETTING on|off",
	.min_args = 4,
	.max_args = 4,
	.summary = "change a setting of a volume: readonly, sharing",
	.more = "  readonly   it cannot be written to; snapshots of it can\n"
		"  sharing    its blocks may be served from other volumes' cached copies\n",
	.examples = "  hpmctl volume set fast golden readonly on\n",
	.opts = no_opts,
	.run = cmd_set,
};
