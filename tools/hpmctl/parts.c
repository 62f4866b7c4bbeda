// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "err.h"
#include "loop.h"
#include "ondisk.h"
#include "parts.h"
#include "pool.h"
#include "size.h"
#include "text.h"

#define PART_UUID "HPM-part-"
/* All cuts are at multiples of this, so that large blocks stay aligned. */
#define CUT_ALIGN (2ULL << 20)

static uint64_t cut_down(uint64_t bytes)
{
	return bytes & ~(CUT_ALIGN - 1);
}

int parts_check(const struct parts_spec *spec)
{
	int ways = !!spec->disk + !!spec->file + (spec->meta || spec->data);

	if (ways != 1 || !spec->meta != !spec->data)
		return err_say(
			ST_USAGE,
			"name the devices of the pool: --disk DEV, or --file PATH, or --meta DEV and --data DEV");
	if (spec->more.nr && !spec->disk)
		return err_say(ST_USAGE, "--add goes with --disk");
	if ((spec->size || spec->preallocate) && !spec->file)
		return err_say(ST_USAGE,
			       "--size and --preallocate go with --file");
	if (spec->meta_size && spec->meta)
		return err_say(ST_USAGE,
			       "--meta-size goes with --disk or --file");
	return 0;
}

static void let_go(struct parts *parts)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (parts->hold[i] > 0)
			(void)close(parts->hold[i]);
		parts->hold[i] = 0;
	}
}

void parts_done(struct parts *parts)
{
	int i;

	let_go(parts);
	for (i = 0; i < 2; i++)
		if (parts->aside[i][0])
			(void)unlink(parts->aside[i]);
}

/*
 * The kernel would report a wrong table in sectors, and only after the content
 * of the devices is gone.
 */
static int check_sizes(uint64_t meta, uint64_t data, uint64_t large)
{
	const uint64_t least = (uint64_t)HPM_MIN_META_BLOCKS * HPM_BLOCK_SIZE;
	char a[SIZE_TEXT], b[SIZE_TEXT];

	if (data < large)
		return err_say(
			ST_USAGE,
			"%s is too small for a pool: its data take at least one large block (%s)",
			size_text(data, a), size_text(large, b));
	if (data > POOL_BYTES_MAX)
		return err_say(
			ST_USAGE,
			"%s is too large: a pool has less than 256 TiB of data",
			size_text(data, a));
	if (meta < least)
		return err_say(
			ST_USAGE,
			"%s is too small for a pool's metadata, which take at least %s",
			size_text(meta, a), size_text(least, b));
	if (meta > META_BYTES_MAX)
		return err_say(
			ST_USAGE,
			"%s is too large: a pool uses at most %s for metadata",
			size_text(meta, a), size_text(META_BYTES_MAX, b));
	return 0;
}

void parts_tell_unused(const struct blkdev *meta)
{
	char a[SIZE_TEXT], b[SIZE_TEXT];

	if (meta->bytes > META_BYTES_MAX)
		warn("%s has %s, but a pool has at most %s of metadata: the rest of it is not used",
		     meta->path, size_text(meta->bytes, a),
		     size_text(META_BYTES_MAX, b));
}

/*----------------------------------------------------------------
 * Two devices
 *--------------------------------------------------------------*/

static bool is_partition_of(const struct blkdev *part,
			    const struct blkdev *disk)
{
	char text[DM_NUM_TEXT];

	return !sysfs_read(part->num, "partition", text, sizeof(text)) &&
	       !sysfs_read(part->num, "../dev", text, sizeof(text)) &&
	       !strcmp(text, disk->num);
}

static bool have_one_file(const struct blkdev *a, const struct blkdev *b)
{
	char file[2][4096], offset[2][32];

	loop_file(a->num, file[0], sizeof(file[0]));
	loop_file(b->num, file[1], sizeof(file[1]));
	return *file[0] && !strcmp(file[0], file[1]) &&
	       !sysfs_read(a->num, "loop/offset", offset[0],
			   sizeof(offset[0])) &&
	       !sysfs_read(b->num, "loop/offset", offset[1],
			   sizeof(offset[1])) &&
	       !strcmp(offset[0], offset[1]);
}

/*
 * The kernel finds most of these, but only after --force has overwritten the
 * content.
 */
int parts_check_apart(const struct blkdev *meta, const struct blkdev *data)
{
	if (!strcmp(meta->num, data->num))
		return err_say(
			ST_USAGE,
			"%s cannot be both the metadata and the data device",
			meta->path);
	if (is_partition_of(meta, data) || is_partition_of(data, meta))
		return err_say(
			ST_USAGE,
			"one of %s and %s is a partition of the other: a pool's metadata and data must not overlap",
			meta->path, data->path);
	if (have_one_file(meta, data))
		return err_say(
			ST_USAGE,
			"%s and %s are loop devices of the same file: a pool's metadata and data must not overlap",
			meta->path, data->path);
	return 0;
}

static int devices_get(const struct parts_spec *spec, struct parts *parts)
{
	if (blkdev_get(spec->meta, &parts->meta) ||
	    blkdev_get(spec->data, &parts->data))
		return -1;
	return parts_check_apart(&parts->meta, &parts->data);
}

static int devices_make(const struct parts_spec *spec, struct parts *parts)
{
	if (devices_get(spec, parts) ||
	    check_sizes(parts->meta.bytes < META_BYTES_MAX ? parts->meta.bytes :
							     META_BYTES_MAX,
			parts->data.bytes, spec->large) ||
	    blkdev_check_free(&parts->meta) ||
	    blkdev_check_free(&parts->data) ||
	    blkdev_check_empty(&parts->meta, spec->force) ||
	    blkdev_check_empty(&parts->data, spec->force))
		return -1;
	parts_tell_unused(&parts->meta);
	return blkdev_zero(&parts->meta, ZERO_AREA);
}

static int devices_find(const struct parts_spec *spec, struct parts *parts)
{
	if (devices_get(spec, parts) || blkdev_check_free(&parts->meta) ||
	    blkdev_check_free(&parts->data))
		return -1;
	return label_read(parts->meta.path, &parts->label);
}

/*----------------------------------------------------------------
 * A file, and its metadata in PATH.meta
 *--------------------------------------------------------------*/

static int meta_path(const struct parts_spec *spec, char out[DEV_PATH_MAX])
{
	return print_to(out, DEV_PATH_MAX, "%s.meta", spec->file);
}

static int files_attach(const struct parts_spec *spec, struct parts *parts)
{
	char meta[DEV_PATH_MAX];

	if (meta_path(spec, meta))
		return -1;
	parts->hold[0] = loop_attach(meta, spec->read_only, &parts->meta);
	if (parts->hold[0] < 0)
		return -1;
	parts->hold[1] = loop_attach(spec->file, spec->read_only, &parts->data);
	return parts->hold[1] < 0 ? -1 : 0;
}

/*
 * The metadata file gets all its space at once: if the file system is full, a
 * pool that cannot write metadata becomes read-only.  If it cannot write data,
 * only these writes fail, so the data file stays sparse.
 */
static int files_create(const struct parts_spec *spec, const char *meta,
			uint64_t meta_bytes, struct parts *parts)
{
	if (spec->force &&
	    (file_put_aside(meta, parts->aside[0], DEV_PATH_MAX) ||
	     file_put_aside(spec->file, parts->aside[1], DEV_PATH_MAX)))
		return -1;
	if (file_make(meta, meta_bytes, true))
		return -1;
	if (file_make(spec->file, spec->size, spec->preallocate)) {
		(void)unlink(meta);
		return -1;
	}
	parts->files = true;
	return 0;
}

static int files_make(const struct parts_spec *spec, struct parts *parts)
{
	uint64_t meta_bytes = spec->meta_size ? spec->meta_size :
						meta_size_for(spec->size);
	char meta[DEV_PATH_MAX];

	if (!spec->size)
		return err_say(ST_USAGE, "--file needs --size");
	if (check_sizes(meta_bytes, spec->size, spec->large) ||
	    meta_path(spec, meta) ||
	    files_create(spec, meta, meta_bytes, parts))
		return -1;
	return files_attach(spec, parts);
}

/* Pools of older versions have a sparse metadata file. */
static void fill_meta(const struct parts_spec *spec)
{
	char meta[DEV_PATH_MAX];

	if (!meta_path(spec, meta) && file_fill(meta) == 1)
		warn("%s is sparse, and its file system has no space for all of it, or cannot reserve it: if the file system becomes full, the pool becomes read-only",
		     meta);
}

static int files_find(const struct parts_spec *spec, struct parts *parts)
{
	char meta[DEV_PATH_MAX];

	if (!spec->read_only && !meta_path(spec, meta) &&
	    !access(spec->file, F_OK) && !access(meta, F_OK))
		fill_meta(spec);
	if (files_attach(spec, parts))
		return -1;
	return label_read(parts->meta.path, &parts->label);
}

/*----------------------------------------------------------------
 * A disk that is cut in two, and more disks behind it
 *--------------------------------------------------------------*/

int part_name(const char *pool, const char *part, char out[DM_NAME_MAX])
{
	return print_to(out, DM_NAME_MAX, "%s-%s", pool, part);
}

bool part_is_linear(const char *pool, const char *part, const char *num)
{
	char name[DM_NAME_MAX], want[DM_NAME_MAX], uuid[DM_NAME_MAX + 1];

	return dm_name_of(num, name) && !part_name(pool, part, want) &&
	       !strcmp(name, want) &&
	       !sysfs_read(num, "dm/uuid", uuid, sizeof(uuid)) &&
	       !strncmp(uuid, PART_UUID, strlen(PART_UUID));
}

#define DISKS_MAX 32

struct linear {
	struct dm_spec spec;
	char name[DM_NAME_MAX];
	char uuid[DM_NAME_MAX + 16];
	char params[DISKS_MAX][64]; /* parameters of the spec's lines */
};

static int linear_begin(struct linear *l, const char *pool, const char *part)
{
	memset(l, 0, sizeof(*l));
	if (part_name(pool, part, l->name) ||
	    print_to(l->uuid, sizeof(l->uuid), PART_UUID "%s", l->name))
		return -1;
	l->spec.name = l->name;
	l->spec.uuid = l->uuid;
	l->spec.hidden = true;
	return 0;
}

static int linear_add(struct linear *l, const char *num, uint64_t offset,
		      uint64_t bytes)
{
	struct dm_line *line = &l->spec.line[l->spec.nr];
	char *params = l->params[l->spec.nr];

	if (l->spec.nr == DISKS_MAX)
		return err_say(ST_FAILED, "a pool has no more than %u disks",
			       DISKS_MAX);
	(void)snprintf(params, sizeof(l->params[0]), "%s %llu", num,
		       (unsigned long long)(offset / SECTOR_SIZE));
	strcpy(line->type, "linear");
	line->length = bytes / SECTOR_SIZE;
	line->params = params;
	l->spec.nr++;
	return 0;
}

static uint64_t linear_bytes(const struct linear *l)
{
	uint64_t sectors = 0;
	unsigned int i;

	for (i = 0; i < l->spec.nr; i++)
		sectors += l->spec.line[i].length;
	return sectors * SECTOR_SIZE;
}

static int linear_create(struct linear *l, struct blkdev *dev)
{
	char path[DEV_PATH_MAX];

	if (dm_create(&l->spec) ||
	    print_to(path, sizeof(path), "/dev/mapper/%s", l->name))
		return -1;
	return blkdev_get(path, dev);
}

/*
 * Puts the added disks behind the first one; each must start where the data
 * before it end
 */
static int add_more(const struct parts_spec *spec, const struct label *label,
		    struct linear *l)
{
	uint64_t start, bytes;
	struct blkdev dev;
	unsigned int i;

	for (i = 0; i < spec->more.nr; i++) {
		if (blkdev_get(spec->more.item[i], &dev) ||
		    blkdev_check_free(&dev) ||
		    mark_read(dev.path, label->uuid, i + 1, &start, &bytes))
			return -1;
		if (!i && start / SECTOR_SIZE <= l->spec.line[0].length)
			l->spec.line[0].length = start / SECTOR_SIZE;
		if (start != linear_bytes(l) || bytes > dev.bytes - MARK_AREA)
			return err_say(
				ST_BAD_INPUT,
				"%s does not fit behind the disks before it",
				dev.path);
		if (linear_add(l, dev.num, MARK_AREA, bytes))
			return -1;
	}
	return 0;
}

static int make_linear(const struct parts_spec *spec, struct parts *parts,
		       const struct blkdev *disk, uint64_t meta_bytes)
{
	struct linear meta, data;

	if (linear_begin(&meta, spec->pool, "meta") ||
	    linear_begin(&data, spec->pool, "data"))
		return -1;
	parts->linear = true;
	if (linear_add(&meta, disk->num, 0, meta_bytes) ||
	    linear_add(&data, disk->num, meta_bytes,
		       cut_down(disk->bytes - meta_bytes)) ||
	    add_more(spec, &parts->label, &data) ||
	    linear_create(&meta, &parts->meta) ||
	    linear_create(&data, &parts->data))
		return -1;
	return 0;
}

static int disk_make(const struct parts_spec *spec, struct parts *parts)
{
	struct blkdev disk;
	uint64_t meta_bytes;

	if (spec->more.nr)
		return err_say(
			ST_USAGE,
			"make the pool on one disk first, then \"pool grow --add\" the others");
	if (blkdev_get(spec->disk, &disk) || blkdev_check_free(&disk))
		return -1;
	meta_bytes = cut_down((spec->meta_size ? spec->meta_size :
						 meta_size_for(disk.bytes)) +
			      CUT_ALIGN - 1);
	if (disk.bytes < meta_bytes + 2 * CUT_ALIGN)
		return err_say(ST_USAGE, "%s is too small for a pool",
			       disk.path);
	if (check_sizes(meta_bytes, cut_down(disk.bytes - meta_bytes),
			spec->large) ||
	    blkdev_check_empty(&disk, spec->force) ||
	    blkdev_zero(&disk, ZERO_AREA))
		return -1;
	return make_linear(spec, parts, &disk, meta_bytes);
}

static int disk_find(const struct parts_spec *spec, struct parts *parts)
{
	struct blkdev disk;

	if (blkdev_get(spec->disk, &disk) || blkdev_check_free(&disk) ||
	    label_read(disk.path, &parts->label))
		return -1;
	if (!parts->label.found)
		return 0;
	if (parts->label.meta_bytes % CUT_ALIGN ||
	    disk.bytes < parts->label.meta_bytes + CUT_ALIGN)
		return err_say(
			ST_BAD_INPUT,
			"the pool on %s was not made with --disk, or the disk is smaller now",
			disk.path);
	return make_linear(spec, parts, &disk, parts->label.meta_bytes);
}

static int line_split(const struct dm_line *line, char num[DM_NUM_TEXT],
		      uint64_t *offset)
{
	unsigned long long sector;

	if (strcmp(line->type, "linear") != 0 ||
	    sscanf(line->params, "%23s %llu", num, &sector) != 2)
		return err_say(
			ST_FAILED,
			"cannot understand the table of the pool's data: %s %s",
			line->type, line->params);
	*offset = sector * SECTOR_SIZE;
	return 0;
}

/* The last disk may have become larger. */
static int extend_last(struct linear *l, const uint8_t *uuid)
{
	struct dm_line *last = &l->spec.line[l->spec.nr - 1];
	char num[DM_NUM_TEXT];
	struct blkdev dev;
	uint64_t offset, bytes, start;

	if (line_split(last, num, &offset) || blkdev_get_num(num, &dev))
		return -1;
	bytes = cut_down(dev.bytes - offset);
	if (bytes / SECTOR_SIZE <= last->length)
		return 0;
	start = linear_bytes(l) - last->length * SECTOR_SIZE;
	last->length = bytes / SECTOR_SIZE;
	if (l->spec.nr == 1)
		return 0;
	return mark_write(dev.path, uuid, l->spec.nr - 1, start, bytes);
}

static int extend_add(struct linear *l, const uint8_t *uuid,
		      const struct blkdev *dev)
{
	uint64_t bytes;

	if (dev->bytes < MARK_AREA + CUT_ALIGN)
		return err_say(ST_USAGE, "%s is too small", dev->path);
	bytes = cut_down(dev->bytes - MARK_AREA);
	if (mark_write(dev->path, uuid, l->spec.nr, linear_bytes(l), bytes))
		return -1;
	return linear_add(l, dev->num, MARK_AREA, bytes);
}

/* Reads the present table line by line. */
static int linear_read(struct linear *l)
{
	struct dm_line line[DISKS_MAX];
	char num[DM_NUM_TEXT];
	uint64_t offset;
	int i, ret = 0, nr = dm_table_lines(l->name, line, DISKS_MAX);

	if (!nr)
		return err_say(ST_FAILED, "%s has no table", l->name);
	for (i = 0; i < nr && !ret; i++)
		ret = line_split(&line[i], num, &offset) ||
		      linear_add(l, num, offset, line[i].length * SECTOR_SIZE);
	dm_lines_free(line, nr);
	return nr < 0 || ret ? -1 : 0;
}

static int replace(const struct linear *l)
{
	return dm_replace(&l->spec, false, NULL);
}

int parts_extend(const char *pool, const uint8_t *uuid,
		 const struct blkdev *add, struct parts_was *was)
{
	struct linear l;

	memset(was, 0, sizeof(*was));
	if (linear_begin(&l, pool, "data") || linear_read(&l))
		return -1;
	was->nr = dm_table_lines(l.name, was->line, DISKS_MAX);
	if (was->nr < 0 || extend_last(&l, uuid))
		return -1;
	if (add)
		(void)snprintf(was->added, sizeof(was->added), "%s", add->path);
	memcpy(was->uuid, uuid, sizeof(was->uuid));
	return (add && extend_add(&l, uuid, add)) || replace(&l) ? -1 : 0;
}

/*
 * The disk that was added becomes as empty as it was, so that it can be added
 * again.
 */
void parts_shrink(const char *pool, struct parts_was *was)
{
	struct linear l;

	if (was->nr > 0 && !linear_begin(&l, pool, "data")) {
		l.spec.nr = (unsigned int)was->nr;
		memcpy(l.spec.line, was->line,
		       (size_t)was->nr * sizeof(was->line[0]));
		(void)replace(&l);
	}
	if (was->added[0] && mark_found(was->added, was->uuid))
		mark_wipe(was->added);
}

void parts_was_free(struct parts_was *was)
{
	if (was->nr > 0)
		dm_lines_free(was->line, was->nr);
	was->nr = 0;
}

/*----------------------------------------------------------------
 * All three kinds
 *--------------------------------------------------------------*/

/*
 * Notes the present mark, to distinguish it from the one that the kernel
 * writes.
 */
static void note_mark(struct parts *parts)
{
	enum data_kind kind;

	if (data_kind(parts->data.path, &kind, parts->old_mark)) {
		err_clear();
		kind = DATA_UNKNOWN;
	}
	if (kind != DATA_MARKED)
		memset(parts->old_mark, 0, sizeof(parts->old_mark));
}

int parts_make(const struct parts_spec *spec, struct parts *parts)
{
	int ret;

	memset(parts, 0, sizeof(*parts));
	if (spec->disk)
		ret = disk_make(spec, parts);
	else if (spec->file)
		ret = files_make(spec, parts);
	else
		ret = devices_make(spec, parts);
	if (ret) {
		parts_undo(spec, parts);
		return ret;
	}
	note_mark(parts);
	parts->fresh = true;
	return 0;
}

/*
 * The kernel refuses devices that do not fit the metadata.  This tells which
 * devices were mixed up, if the first block of the data device can be trusted:
 * it cannot if the pool has no mark, as a volume may have written it.
 */
int parts_check_pair(const struct parts_spec *spec, const struct parts *parts)
{
	char own[UUID_TEXT], text[UUID_TEXT];
	uint8_t uuid[HPM_UUID_SIZE];
	enum data_kind kind;

	if (data_kind(parts->data.path, &kind, uuid))
		return -1;
	if (kind == DATA_UNKNOWN || spec->adopt ||
	    (kind == DATA_MARKED &&
	     !memcmp(uuid, parts->label.uuid, sizeof(uuid))))
		return 0;
	(void)uuid_text(parts->label.uuid, own);
	(void)uuid_text(uuid, text);
	if (!parts->label.marked) {
		warn("%s looks as if it belonged to the pool with uuid %s, and not to this one with uuid %s: if so, remove this pool at once",
		     parts->data.path, text, own);
		return 0;
	}
	if (kind == DATA_MARKED)
		return err_say(
			ST_BAD_INPUT,
			"%s holds the data of the pool with uuid %s; the metadata on %s are those of the pool with uuid %s",
			parts->data.path, text, parts->meta.path, own);
	return err_say(ST_BAD_INPUT,
		       "%s holds no data of this pool, but %s (uuid %s)",
		       parts->data.path,
		       kind == DATA_LABEL ? "a pool's metadata" :
					    "a further disk of a pool",
		       text);
}

/* There is no label: was the data device given for the metadata device? */
static int no_pool(const struct parts *parts, const char *where)
{
	uint8_t uuid[HPM_UUID_SIZE];
	char text[UUID_TEXT];
	enum data_kind kind;
	const char *path = *parts->meta.path ? parts->meta.path : where;

	if (data_kind(path, &kind, uuid) || kind != DATA_MARKED) {
		err_clear();
		return err_say(ST_NOT_FOUND, "there is no pool on %s", where);
	}
	return err_say(
		ST_BAD_INPUT,
		"%s holds the data of the pool with uuid %s, and not its metadata: were the two mixed up?",
		path, uuid_text(uuid, text));
}

int parts_find(const struct parts_spec *spec, struct parts *parts)
{
	const char *where = spec->disk ? spec->disk :
			    spec->file ? spec->file :
					 spec->meta;
	int ret;

	memset(parts, 0, sizeof(*parts));
	if (spec->disk)
		ret = disk_find(spec, parts);
	else if (spec->file)
		ret = files_find(spec, parts);
	else
		ret = devices_find(spec, parts);
	if (!ret && !parts->label.found)
		ret = no_pool(parts, where);
	if (!ret)
		ret = parts_check_pair(spec, parts);
	if (ret)
		parts_undo(spec, parts);
	return ret;
}

/*
 * Removes what the kernel has written for a new pool that could not be
 * activated: the label and the blocks behind it, where zeroes were, and the
 * mark in the data.  The mark is removed first: as long as there is a label, it
 * can be seen that something is left.
 */
static int clear_format(const struct parts *parts)
{
	uint8_t uuid[HPM_UUID_SIZE];
	enum data_kind kind;

	if (blkdev_check_free(&parts->meta) ||
	    blkdev_check_free(&parts->data) ||
	    data_kind(parts->data.path, &kind, uuid))
		return -1;
	if (kind == DATA_MARKED &&
	    memcmp(uuid, parts->old_mark, sizeof(uuid)) != 0 &&
	    data_mark_clear(parts->data.path, uuid))
		return -1;
	return blkdev_zero(&parts->meta, ZERO_AREA);
}

static void unformat(const struct parts_spec *spec, const struct parts *parts)
{
	struct err_state first;

	err_save(&first);
	if (clear_format(parts))
		warn("%s%s%s may hold what was written for the new pool (%s): when this is fixed, \"pool create\" with --force overwrites it",
		     spec->disk ? spec->disk : parts->meta.path,
		     spec->disk ? "" : " and ",
		     spec->disk ? "" : parts->data.path, err_text());
	err_restore(&first);
}

static void remove_linear(const char *pool, const char *part)
{
	struct err_state first;
	char name[DM_NAME_MAX];
	struct dm_state st;

	if (part_name(pool, part, name))
		return;
	err_save(&first);
	if (dm_state_of(name, &st))
		warn("it is not known whether the device %s was removed: %s",
		     name, err_text());
	err_restore(&first);
	if (st.exists && !strncmp(st.uuid, PART_UUID, strlen(PART_UUID)))
		dm_unmake(name);
}

void parts_undo(const struct parts_spec *spec, struct parts *parts)
{
	char meta[DEV_PATH_MAX];

	/* New files are deleted as a whole. */
	if (parts->fresh && !parts->files)
		unformat(spec, parts);
	let_go(parts);
	if (parts->linear) {
		remove_linear(spec->pool, "data");
		remove_linear(spec->pool, "meta");
	}
	if (parts->files && spec->file && !meta_path(spec, meta)) {
		(void)unlink(meta);
		(void)unlink(spec->file);
	}
	if (spec->file && !meta_path(spec, meta)) {
		file_put_back(parts->aside[0], meta);
		file_put_back(parts->aside[1], spec->file);
	}
}
