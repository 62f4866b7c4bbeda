// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "label.h"
#include "loop.h"
#include "ondisk.h"
#include "out.h"
#include "pool.h"
#include "text.h"

/*----------------------------------------------------------------
 * The table
 *--------------------------------------------------------------*/

static bool copy_word(char **text, char *out, size_t size)
{
	const char *word = next_word(text);

	if (!word || strlen(word) >= size)
		return false;
	strcpy(out, word);
	return true;
}

static bool take_number(char **text, uint64_t *value)
{
	const char *word = next_word(text);
	char *end;

	if (!word || !isdigit((unsigned char)*word))
		return false;
	*value = strtoull(word, &end, 10);
	return !*end;
}

int pool_parse_table(const char *params, struct pool *pool)
{
	char *copy = strdup(params), *rest = copy;
	uint64_t nr;
	int ret = 0;

	if (!copy)
		return err_nomem();
	if (!copy_word(&rest, pool->meta, sizeof(pool->meta)) ||
	    !copy_word(&rest, pool->data, sizeof(pool->data)) ||
	    !take_number(&rest, &pool->large_sectors) ||
	    !take_number(&rest, &pool->low_water))
		ret = err_say(ST_FAILED,
			      "cannot understand the pool's table: %s", params);
	pool->low_water *= HPM_BLOCK_SIZE;
	if (!ret && take_number(&rest, &nr))
		(void)snprintf(pool->features, sizeof(pool->features), "%s",
			       rest);
	free(copy);
	return ret;
}

static int pool_load(const char *name, const struct dm_line *line,
		     struct pool *pool)
{
	(void)snprintf(pool->name, sizeof(pool->name), "%s", name);
	pool->sectors = line->length;
	return pool_parse_table(line->params, pool);
}

int pool_get(const char *name, struct pool *pool)
{
	struct dm_state state;
	struct dm_line line;
	int ret;

	memset(pool, 0, sizeof(*pool));
	if (check_pool_name(name) || dm_state_of(name, &state))
		return -1;
	if (!state.exists || !state.live)
		return err_say(ST_NOT_FOUND, "there is no active pool %s",
			       name);
	if (dm_table(name, &line))
		return -1;
	(void)snprintf(pool->num, sizeof(pool->num), "%u:%u", state.major,
		       state.minor);
	if (strcmp(line.type, POOL_TARGET) != 0)
		ret = err_say(ST_NOT_FOUND,
			      "%s is not a pool, but a device of type %s", name,
			      line.type);
	else
		ret = pool_load(name, &line, pool);
	dm_lines_free(&line, 1);
	return ret;
}

struct each {
	int (*fn)(struct pool *pool, void *ctx);
	void *ctx;
};

/* A pool that was removed while it was read is skipped; this is no failure. */
static int forgive_gone(const char *name)
{
	struct dm_state st;

	if (err_errno() != ENXIO)
		return -1;
	err_clear();
	return dm_state_of(name, &st) ? -1 :
	       st.exists ? err_sys(ENXIO, "cannot ask the pool %s", name) :
			   0;
}

static int each_device(const struct dm_name *dev, void *ctx)
{
	const struct each *each = ctx;
	struct pool pool = { .name = "" };
	struct dm_line line;
	int nr, ret = 0;

	nr = dm_table_lines(dev->name, &line, 1);
	if (nr < 0) {
		/* it was removed meanwhile */
		if (err_errno() == ENXIO) {
			err_clear();
			return 0;
		}
		return -1;
	}
	if (nr && !strcmp(line.type, POOL_TARGET)) {
		(void)snprintf(pool.num, sizeof(pool.num), "%u:%u", dev->major,
			       dev->minor);
		ret = pool_load(dev->name, &line, &pool);
		if (!ret)
			ret = each->fn(&pool, each->ctx);
	}
	dm_lines_free(&line, nr);
	return ret < 0 ? forgive_gone(dev->name) : ret;
}

int pool_each(int (*fn)(struct pool *pool, void *ctx), void *ctx)
{
	struct each each = { fn, ctx };

	return dm_each(each_device, &each);
}

bool dm_name_of(const char *num, char name[DM_NAME_MAX])
{
	return !sysfs_read(num, "dm/name", name, DM_NAME_MAX) && *name;
}

/*----------------------------------------------------------------
 * The status
 *--------------------------------------------------------------*/

static bool take_pair(char **text, uint64_t *a, uint64_t *b)
{
	const char *word = next_word(text);

	return word && parse_pair(word, a, b);
}

/* The words that dm-thin's status has, too. */
static bool take_fixed(char **text, struct pool_status *st)
{
	const char *word;

	if (!take_number(text, &st->transaction_id) ||
	    !take_pair(text, &st->meta_used, &st->meta_total) ||
	    !take_pair(text, &st->data_used, &st->data_total))
		return false;
	word = next_word(text);
	if (!word)
		return false;
	st->held_root = strtoull(word, NULL, 10);
	if (!copy_word(text, st->mode, sizeof(st->mode)) ||
	    !copy_word(text, st->discard, sizeof(st->discard)) ||
	    !copy_word(text, st->no_space, sizeof(st->no_space)))
		return false;
	word = next_word(text);
	if (!word)
		return false;
	st->needs_check = !strcmp(word, "needs_check");
	return take_number(text, &st->meta_low_water);
}

static void take_rest(char **text, struct pool_status *st)
{
	while (st->nr_pairs < STATUS_PAIRS) {
		const char *key = next_word(text);
		const char *value = key ? next_word(text) : NULL;

		if (!value)
			return;
		st->pair[st->nr_pairs].key = key;
		st->pair[st->nr_pairs].value = value;
		st->nr_pairs++;
	}
}

int pool_parse_status(const char *params, struct pool_status *st)
{
	char *rest;

	memset(st, 0, sizeof(*st));
	st->text = strdup(params);
	if (!st->text)
		return err_nomem();
	rest = st->text;
	if (!strcmp(params, "Fail") || !strcmp(params, "Error")) {
		(void)snprintf(st->mode, sizeof(st->mode), "%s", params);
		return 0;
	}
	if (!take_fixed(&rest, st)) {
		pool_status_free(st);
		return err_say(ST_FAILED,
			       "cannot understand the pool's status: %s",
			       params);
	}
	st->meta_used *= HPM_BLOCK_SIZE;
	st->meta_total *= HPM_BLOCK_SIZE;
	st->data_used *= HPM_BLOCK_SIZE;
	st->data_total *= HPM_BLOCK_SIZE;
	st->meta_low_water *= HPM_BLOCK_SIZE;
	take_rest(&rest, st);
	return 0;
}

void pool_status_free(struct pool_status *st)
{
	free(st->text);
	st->text = NULL;
	st->nr_pairs = 0;
}

uint64_t pool_status_value(const struct pool_status *st, const char *key)
{
	unsigned int i;

	for (i = 0; i < st->nr_pairs; i++)
		if (!strcmp(st->pair[i].key, key))
			return strtoull(st->pair[i].value, NULL, 10);
	return 0;
}

int pool_get_status(const struct pool *pool, bool flush, struct pool_status *st)
{
	struct dm_line line;
	int ret;

	if (dm_status(pool->name, flush, &line))
		return -1;
	ret = pool_parse_status(line.params, st);
	dm_lines_free(&line, 1);
	return ret;
}

/*----------------------------------------------------------------
 * JSON
 *--------------------------------------------------------------*/

/* A value is a number, "a/b" (the key tells the two names), or a word. */
static json_t *value_json(const char *key, const char *value)
{
	uint64_t a, b;
	char *end;

	if (parse_pair(value, &a, &b)) {
		const char *first = "used", *second = "total";

		if (!strcmp(key, "nodes")) {
			first = "cached";
			second = "dirty";
		} else if (!strcmp(key, "copies_limit")) {
			first = "now";
			second = "set";
		}
		return json_pack("{s:I, s:I}", first, (json_int_t)a, second,
				 (json_int_t)b);
	}
	a = strtoull(value, &end, 10);
	if (isdigit((unsigned char)*value) && !*end)
		return json_integer((json_int_t)a);
	return json_text(value);
}

static json_t *pairs_json(const struct pool_status *st)
{
	json_t *o = json_object();
	unsigned int i;

	for (i = 0; o && i < st->nr_pairs; i++)
		(void)json_object_set_new(o, st->pair[i].key,
					  value_json(st->pair[i].key,
						     st->pair[i].value));
	return o;
}

static json_t *space_json(uint64_t used, uint64_t total)
{
	return json_pack("{s:I, s:I, s:I}", "used", (json_int_t)used, "total",
			 (json_int_t)total, "free", (json_int_t)(total - used));
}

static json_t *device_json(const char *num)
{
	struct blkdev dev;
	char file[4096];

	blkdev_describe(num, &dev);
	loop_file(num, file, sizeof(file));
	return json_pack("{s:o, s:s, s:I, s:o}", "device", json_text(dev.path),
			 "number", num, "bytes", (json_int_t)dev.bytes, "file",
			 *file ? json_text(file) : json_null());
}

/* If a pool has failed, even this may be unreadable. */
static json_t *uuid_json(const struct pool *pool)
{
	char text[UUID_TEXT];
	struct blkdev dev;
	struct label label;

	if (!blkdev_get_num(pool->meta, &dev) &&
	    !label_read(dev.path, &label) && label.found)
		return json_string(uuid_text(label.uuid, text));
	err_clear();
	return json_null();
}

static json_t *status_json(const struct pool_status *st)
{
	return json_pack("{s:s, s:I, s:o, s:o, s:I, s:b, s:s, s:s, s:I, s:o}",
			 "mode", st->mode, "transaction_id",
			 (json_int_t)st->transaction_id, "metadata",
			 space_json(st->meta_used, st->meta_total), "data",
			 space_json(st->data_used, st->data_total), "held_root",
			 (json_int_t)st->held_root, "needs_check",
			 st->needs_check, "discard", st->discard, "no_space",
			 st->no_space, "metadata_low_water",
			 (json_int_t)st->meta_low_water, "counters",
			 pairs_json(st));
}

json_t *pool_json(const struct pool *pool, const struct pool_status *st)
{
	/* (a pool that was not made by hpmctl may have any name) */
	json_t *o = json_pack("{s:o, s:s, s:I, s:I, s:I}", "name",
			      json_text(pool->name), "number", pool->num,
			      "bytes", (json_int_t)pool->sectors * SECTOR_SIZE,
			      "large_block",
			      (json_int_t)pool->large_sectors * SECTOR_SIZE,
			      "low_water", (json_int_t)pool->low_water);

	if (!o)
		return NULL;
	(void)json_object_set_new(o, "uuid", uuid_json(pool));
	(void)json_object_set_new(o, "metadata_device",
				  device_json(pool->meta));
	(void)json_object_set_new(o, "data_device", device_json(pool->data));
	(void)json_object_update_new(o, status_json(st));
	return o;
}
