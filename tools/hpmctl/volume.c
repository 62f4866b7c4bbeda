// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dm.h"
#include "err.h"
#include "out.h"
#include "text.h"
#include "users.h"
#include "volume.h"

#define VOLUME_UUID "HPM-vol-"

/*----------------------------------------------------------------
 * The pool's list
 *--------------------------------------------------------------*/

static bool word_number(char **line, uint64_t *value)
{
	const char *word = next_word(line);
	char *end;

	if (!word || !isdigit((unsigned char)*word))
		return false;
	*value = strtoull(word, &end, 10);
	return !*end;
}

/* Is the word in a list that has a comma between two? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word), n;

	for (;; list += n + 1) {
		n = strcspn(list, ",");
		if (n == len && !strncmp(list, word, n))
			return true;
		if (!list[n])
			return false;
	}
}

static void parse_flags(const char *words, struct volume *v)
{
	v->read_only = has_word(words, "readonly");
	v->no_share = has_word(words, "noshare");
	v->active = has_word(words, "active");
}

/* <id> <serial> <parent> <sectors> <mapped sectors> <flags> <created> <name> */
bool volume_parse(char *line, struct volume *v)
{
	const char *flags, *name;
	uint64_t id;

	memset(v, 0, sizeof(*v));
	if (!word_number(&line, &id) || id > HPM_MAX_VOLUME_ID ||
	    !word_number(&line, &v->serial) ||
	    !word_number(&line, &v->parent) || !word_number(&line, &v->bytes) ||
	    !word_number(&line, &v->mapped))
		return false;
	flags = next_word(&line);
	if (!flags || !word_number(&line, &v->created))
		return false;
	parse_flags(flags, v);
	name = next_word(&line);
	if (!name || strlen(name) >= sizeof(v->name))
		return false;
	if (strcmp(name, "-") != 0)
		strcpy(v->name, name);
	v->id = (uint32_t)id;
	v->bytes *= SECTOR_SIZE;
	v->mapped *= SECTOR_SIZE;
	return true;
}

static struct volume *volumes_add(struct volumes *vols)
{
	if (vols->nr == vols->room) {
		size_t room = vols->room ? 2 * vols->room : 64;
		struct volume *v = reallocarray(vols->v, room, sizeof(*v));

		if (!v) {
			(void)err_nomem();
			return NULL;
		}
		vols->v = v;
		vols->room = room;
	}
	return &vols->v[vols->nr++];
}

int volumes_parse(char *text, struct volumes *vols, uint32_t *last)
{
	char *line, *save = NULL;
	int nr = 0;

	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save), nr++) {
		struct volume *v = volumes_add(vols);

		if (!v)
			return -1;
		if (!volume_parse(line, v)) {
			vols->nr--;
			return err_say(
				ST_FAILED,
				"cannot understand the pool's list of volumes: %s",
				line);
		}
		*last = v->id;
	}
	return nr;
}

/*
 * Asks again from the last id on until the answer is empty, as the size of an
 * answer is limited
 */
int volumes_read(const struct pool *pool, struct volumes *vols)
{
	uint32_t first = 0, last = 0;
	char *text;
	int nr;

	memset(vols, 0, sizeof(*vols));
	do {
		if (dm_message(pool->name, &text, "list %u", first))
			nr = -1;
		else
			nr = volumes_parse(text, vols, &last);
		if (nr >= 0)
			free(text);
		first = last + 1;
	} while (nr > 0 && last < HPM_MAX_VOLUME_ID);
	if (nr < 0) {
		volumes_free(vols);
		return -1;
	}
	return 0;
}

void volumes_free(struct volumes *vols)
{
	free(vols->v);
	memset(vols, 0, sizeof(*vols));
}

struct volume *volume_find(const struct volumes *vols, const char *name)
{
	bool is_id = *name && !name[strspn(name, "0123456789")];
	size_t i;

	for (i = 0; i < vols->nr; i++) {
		if (is_id && vols->v[i].id == strtoull(name, NULL, 10))
			return &vols->v[i];
		if (!is_id && *name && !strcmp(vols->v[i].name, name))
			return &vols->v[i];
	}
	return NULL;
}

struct volume *volume_by_serial(const struct volumes *vols, uint64_t serial)
{
	size_t i;

	for (i = 0; serial && i < vols->nr; i++)
		if (vols->v[i].serial == serial)
			return &vols->v[i];
	return NULL;
}

/* The list is in the order of the ids. */
uint32_t volumes_free_id(const struct volumes *vols)
{
	uint32_t id = 0;
	size_t i;

	for (i = 0; i < vols->nr && vols->v[i].id == id; i++)
		id++;
	return id;
}

const char *volume_label(const struct volume *v, char out[HPM_NAME_SIZE])
{
	if (v->name[0])
		memcpy(out, v->name, HPM_NAME_SIZE);
	else
		(void)snprintf(out, HPM_NAME_SIZE, "%u", v->id);
	return out;
}

int volume_get(const struct pool *pool, const char *name, struct volume *v)
{
	struct volumes vols;
	const struct volume *found;

	if (volumes_read(pool, &vols))
		return -1;
	found = volume_find(&vols, name);
	if (found)
		*v = *found;
	volumes_free(&vols);
	if (!found)
		return err_say(ST_NOT_FOUND, "the pool %s has no volume %s",
			       pool->name, name);
	return 0;
}

/*----------------------------------------------------------------
 * Devices
 *--------------------------------------------------------------*/

int volume_device_name(const struct pool *pool, const struct volume *v,
		       char out[DM_NAME_MAX])
{
	char label[HPM_NAME_SIZE];

	return print_to(out, DM_NAME_MAX, "%s-%s", pool->name,
			volume_label(v, label));
}

/* Whether a device is a volume of the pool; *@id is the volume's id. */
static bool is_volume(const struct pool *pool, const char *name, uint32_t *id)
{
	char num[DM_NUM_TEXT];
	struct dm_line line;
	bool is = false;
	bool pending = err_pending();
	int nr;

	nr = dm_table_lines(name, &line, 1);
	if (nr < 1) {
		if (nr < 0 && dm_last_errno() == ENXIO && !pending)
			err_clear(); /* it was removed meanwhile */
		return false;
	}
	if (!strcmp(line.type, VOLUME_TARGET))
		is = sscanf(line.params, "%23s %u", num, id) == 2 &&
		     !strcmp(num, pool->num);
	dm_lines_free(&line, nr);
	return is;
}

struct search {
	const struct pool *pool;
	struct volumes *vols;
};

static int search_device(const struct dm_name *dev, void *ctx)
{
	struct search *s = ctx;
	uint32_t id;
	size_t i;

	if (!is_volume(s->pool, dev->name, &id))
		return err_pending() ? -1 : 0;
	for (i = 0; i < s->vols->nr; i++) {
		struct volume *v = &s->vols->v[i];

		if (v->id != id)
			continue;
		v->active = true;
		(void)snprintf(v->device, sizeof(v->device), "%s", dev->name);
		(void)snprintf(v->num, sizeof(v->num), "%u:%u", dev->major,
			       dev->minor);
	}
	return 0;
}

int volumes_find_devices(const struct pool *pool, struct volumes *vols)
{
	struct search s = { pool, vols };
	struct err_state was;
	int ret;

	err_save(&was);
	ret = dm_each(search_device, &s);
	err_restore(&was);
	return ret;
}

static int find_device(const struct pool *pool, struct volume *v)
{
	struct volumes one = { v, 1, 1 };
	char name[DM_NAME_MAX];
	struct dm_state st;
	uint32_t id;

	if (volume_device_name(pool, v, name) || dm_state_of(name, &st))
		return -1;
	if (st.exists && is_volume(pool, name, &id) && id == v->id) {
		v->active = true;
		memcpy(v->device, name, sizeof(v->device));
		(void)snprintf(v->num, sizeof(v->num), "%u:%u", st.major,
			       st.minor);
		return 0;
	}
	if (err_pending())
		return -1;
	return v->active ? volumes_find_devices(pool, &one) : 0;
}

/*
 * The device usually has the name that we give; if not, all devices are
 * searched.
 */
int volume_find_device(const struct pool *pool, struct volume *v)
{
	struct err_state was;
	int ret;

	err_save(&was);
	ret = find_device(pool, v);
	err_restore(&was);
	return ret;
}

/* Finds the pool of a volume's device by the device's table. */
static bool owner_of(const char *device, char pool[DM_NAME_MAX], uint32_t *id)
{
	char num[DM_NUM_TEXT];
	struct dm_line line;
	bool is = false;

	if (dm_table(device, &line)) {
		err_clear();
		return false;
	}
	if (!strcmp(line.type, VOLUME_TARGET))
		is = sscanf(line.params, "%23s %u", num, id) == 2 &&
		     dm_name_of(num, pool);
	dm_lines_free(&line, 1);
	return is;
}

/*
 * Device names are POOL-VOLUME, and both parts may have hyphens in them: b-c of
 * the pool a and c of the pool a-b would have the same.  Doubling hyphens, as
 * LVM does, would tell them apart, but would rename the devices that fstabs and
 * scripts know.  So the second one is refused, with a sentence.
 */
int volume_check_device_name(const struct pool *pool, const struct volume *v)
{
	char name[DM_NAME_MAX], other[DM_NAME_MAX];
	struct dm_state st;
	uint32_t id;

	if (volume_device_name(pool, v, name) || dm_state_of(name, &st))
		return -1;
	if (!st.exists)
		return 0;
	if (owner_of(name, other, &id))
		return err_say(
			ST_BUSY,
			"there is a device %s already: it is the volume with the id %u of the pool %s, and devices are named POOL-VOLUME (\"volume rename\" changes one of the two)",
			name, id, other);
	return err_say(
		ST_BUSY,
		"there is a device %s already, which is not a volume of the pool %s (\"volume rename\" gives the volume another name)",
		name, pool->name);
}

int volume_activate(const struct pool *pool, struct volume *v, uint64_t bytes,
		    bool read_only, bool hidden)
{
	char params[64], uuid[DM_NAME_MAX + 1];
	struct dm_spec spec = {
		.name = v->device,
		.uuid = uuid,
		.read_only = read_only || v->read_only,
		.hidden = hidden,
		.nr = 1,
		.line[0] = { .type = VOLUME_TARGET, .params = params },
	};
	struct dm_state st;

	if (!bytes)
		bytes = v->bytes;
	if (!bytes)
		return err_say(
			ST_USAGE,
			"the volume has no size of its own: give one with --size");
	spec.line[0].length = bytes / SECTOR_SIZE;
	if (volume_check_device_name(pool, v) ||
	    volume_device_name(pool, v, v->device) ||
	    print_to(params, sizeof(params), "%s %u", pool->num, v->id) ||
	    print_to(uuid, sizeof(uuid), VOLUME_UUID "%s-%u", pool->name,
		     v->id) ||
	    dm_create(&spec)) {
		v->device[0] = '\0';
		return -1;
	}
	if (dm_state_of(v->device, &st)) {
		dm_unmake(v->device);
		v->device[0] = '\0';
		return -1;
	}
	(void)snprintf(v->num, sizeof(v->num), "%u:%u", st.major, st.minor);
	v->active = true;
	return 0;
}

int volume_check_unused(const struct volume *v)
{
	return v->device[0] ? users_wait(v->device, v->num) : 0;
}

int volume_deactivate(const struct pool *pool, struct volume *v, bool deferred)
{
	char label[HPM_NAME_SIZE];

	if (!v->device[0] && volume_find_device(pool, v))
		return -1;
	if (!v->device[0])
		return err_say(ST_NOT_FOUND, "the volume %s is not active",
			       volume_label(v, label));
	if (!deferred && volume_check_unused(v))
		return -1;
	return dm_remove(v->device, deferred);
}

int volume_deactivate_saved(const struct pool *pool, struct volume *v,
			    struct removed *removed)
{
	struct dm_saved *dev =
		reallocarray(removed->dev, removed->nr + 1, sizeof(*dev));

	if (!dev)
		return err_nomem();
	removed->dev = dev;
	dev += removed->nr;
	if (dm_save(v->device, dev)) {
		/* it was removed meanwhile: as if it had been inactive */
		if (dm_last_errno() != ENXIO)
			return -1;
		err_clear();
		return 0;
	}
	if (volume_deactivate(pool, v, false)) {
		dm_saved_free(dev);
		return -1;
	}
	removed->nr++;
	return 0;
}

void removed_restore(const struct removed *removed)
{
	size_t i;

	for (i = 0; i < removed->nr; i++)
		dm_restore(&removed->dev[i]);
}

void removed_free(struct removed *removed)
{
	while (removed->nr)
		dm_saved_free(&removed->dev[--removed->nr]);
	free(removed->dev);
	removed->dev = NULL;
}

static int refuse_active(const struct pool *pool, const struct volumes *vols)
{
	char names[256] = "";
	size_t i, len = 0, active = 0;

	for (i = 0; i < vols->nr; i++) {
		if (!vols->v[i].device[0])
			continue;
		if (active++ < 8) {
			len += (size_t)snprintf(names + len,
						sizeof(names) - len, " %s",
						vols->v[i].device);
			if (len >= sizeof(names))
				len = sizeof(names) - 1;
		}
	}
	if (!active)
		return 0;
	return err_say(
		ST_BUSY,
		"%zu volumes of the pool %s are active (--force deactivates them):%s%s",
		active, pool->name, names, active > 8 ? " ..." : "");
}

int volumes_deactivate_all(const struct pool *pool, bool force,
			   struct removed *removed)
{
	struct volumes vols;
	size_t i;
	int ret;

	if (volumes_read(pool, &vols))
		return -1;
	ret = volumes_find_devices(pool, &vols);
	if (!ret && !force)
		ret = refuse_active(pool, &vols);
	for (i = 0; !ret && i < vols.nr; i++)
		ret = volume_check_unused(&vols.v[i]);
	for (i = 0; !ret && i < vols.nr; i++)
		if (vols.v[i].device[0])
			ret = volume_deactivate_saved(pool, &vols.v[i],
						      removed);
	if (ret)
		removed_restore(removed);
	volumes_free(&vols);
	return ret;
}

/*----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------*/

static int read_back(const struct pool *pool, uint32_t id, struct volume *v)
{
	char *text;
	int ret = 0;

	if (dm_message(pool->name, &text, "info %u", id))
		return -1;
	chomp(text);
	if (!volume_parse(text, v))
		ret = err_say(
			ST_FAILED,
			"cannot understand the pool's answer about a volume: %s",
			text);
	free(text);
	return ret;
}

/* Checks what the kernel would refuse with a less helpful message. */
static int check_new(const struct pool *pool, const char *name, uint32_t *id)
{
	struct volumes vols;
	char text[16];
	int ret = 0;

	if (volumes_read(pool, &vols))
		return -1;
	(void)snprintf(text, sizeof(text), "%u", *id);
	if (volume_find(&vols, name))
		ret = err_say(ST_BUSY, "the pool %s has a volume %s already",
			      pool->name, name);
	else if (*id == NO_ID)
		*id = volumes_free_id(&vols);
	else if (volume_find(&vols, text))
		ret = err_say(ST_BUSY,
			      "the pool %s has a volume with the id %u already",
			      pool->name, *id);
	volumes_free(&vols);
	return ret;
}

/*
 * Sends a message that makes a volume, with an id between @before and @after.
 * If we choose the id, another program may have taken it meanwhile.
 */
static int make(const struct pool *pool, const char *name, uint32_t want,
		const char *before, const char *after, struct volume *v)
{
	int tries;

	for (tries = 0; tries < 16; tries++) {
		uint32_t id = want;

		if (check_new(pool, name, &id))
			return -1;
		if (!dm_message(pool->name, NULL, "%s %u %s %s", before, id,
				after, name)) {
			if (!read_back(pool, id, v))
				return 0;
			(void)dm_message(pool->name, NULL, "delete %u", id);
			return -1;
		}
		if (want != NO_ID || err_errno() != EEXIST)
			return -1;
		err_clear();
	}
	return err_say(ST_BUSY, "no id stays free long enough");
}

int volume_create(const struct pool *pool, const char *name, uint32_t id,
		  uint64_t bytes, struct volume *v)
{
	char sectors[32];

	(void)snprintf(sectors, sizeof(sectors), "%llu",
		       (unsigned long long)(bytes / SECTOR_SIZE));
	return make(pool, name, id, "create_thin", sectors, v);
}

/* Whether the id still belongs to that volume: 1: yes, 0: it was deleted */
static int still_there(const struct pool *pool, const struct volume *v)
{
	bool pending = err_pending();
	struct volume now;

	if (!read_back(pool, v->id, &now))
		return now.serial == v->serial;
	if (dm_last_errno() != ENOENT)
		return -1;
	if (!pending)
		err_clear();
	return 0;
}

#define DELETE_TRIES 50
#define DELETE_NSEC  100000000L

/*
 * A device that another program is removing disappears before the volume is
 * released: for a moment, the pool still reports the volume as active.  The
 * serial is compared each time, as the id may belong to another volume by now.
 */
static int delete_it(const struct pool *pool, struct volume *v)
{
	const struct timespec ts = { 0, DELETE_NSEC };
	int tries, there;

	for (tries = 0;; tries++) {
		there = still_there(pool, v);
		if (there <= 0)
			return there;
		if (!dm_message(pool->name, NULL, "delete %u", v->id))
			return 0;
		if (dm_last_errno() != EBUSY || tries == DELETE_TRIES)
			return -1;
		v->device[0] = '\0';
		err_clear();
		if (volume_find_device(pool, v))
			return -1;
		if (v->device[0])
			return err_say(
				ST_BUSY,
				"the volume is active again, as /dev/mapper/%s",
				v->device);
		(void)nanosleep(&ts, NULL);
	}
}

/* Commands that have failed also use this to undo their work. */
int volume_delete(const struct pool *pool, struct volume *v)
{
	struct err_state was;
	int ret;

	err_save(&was);
	ret = delete_it(pool, v);
	err_restore(&was);
	return ret;
}

int volume_set_read_only(const struct pool *pool, const struct volume *v,
			 bool on)
{
	return dm_message(pool->name, NULL, "set_readonly %u %s", v->id,
			  on ? "on" : "off");
}

int volume_snapshot(const struct pool *pool, const struct volume *origin,
		    const char *name, uint32_t id, uint64_t bytes,
		    struct volume *v)
{
	struct volume now;
	char text[16];

	if (bytes && bytes < origin->bytes)
		return err_say(ST_USAGE,
			       "a snapshot cannot be smaller than its origin");
	(void)snprintf(text, sizeof(text), "%u", origin->id);
	if (make(pool, name, id, "create_snap", text, v))
		return -1;
	/* A snapshot of an image's layer is made to be written. */
	if ((v->read_only && volume_set_read_only(pool, v, false)) ||
	    (bytes && bytes != v->bytes &&
	     dm_message(pool->name, NULL, "set_size %u %llu", v->id,
			(unsigned long long)(bytes / SECTOR_SIZE)))) {
		(void)volume_delete(pool, v);
		return -1;
	}
	if (read_back(pool, v->id, &now)) {
		(void)volume_delete(pool, v);
		return -1;
	}
	*v = now;
	return 0;
}

/*----------------------------------------------------------------
 * JSON
 *--------------------------------------------------------------*/

static json_t *text_or_null(const char *text)
{
	return *text ? json_text(text) : json_null();
}

static void add_parent(json_t *o, const struct volumes *vols,
		       const struct volume *v)
{
	const struct volume *parent = vols ? volume_by_serial(vols, v->parent) :
					     NULL;
	char label[HPM_NAME_SIZE];

	(void)json_object_set_new(
		o, "parent",
		parent ? json_text(volume_label(parent, label)) : json_null());
	(void)json_object_set_new(o, "parent_serial",
				  json_integer((json_int_t)v->parent));
}

json_t *volume_json(const struct pool *pool, const struct volumes *vols,
		    const struct volume *v)
{
	char path[DEV_PATH_MAX] = "";
	json_t *o;

	if (v->device[0])
		(void)snprintf(path, sizeof(path), "/dev/mapper/%s", v->device);
	o = json_pack("{s:o, s:I, s:o, s:I, s:I, s:I, s:b, s:b, s:b, s:I, s:o}",
		      "pool", json_text(pool->name), "id", (json_int_t)v->id,
		      "name", text_or_null(v->name), "serial",
		      (json_int_t)v->serial, "bytes", (json_int_t)v->bytes,
		      "mapped", (json_int_t)v->mapped, "read_only",
		      v->read_only, "sharing", !v->no_share, "active",
		      v->active, "created", (json_int_t)v->created, "device",
		      text_or_null(path));
	if (o)
		add_parent(o, vols, v);
	return o;
}
