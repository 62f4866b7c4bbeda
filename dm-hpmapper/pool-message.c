// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages
 *
 * A message that changes something returns when the change is durable, or has
 * changed nothing and said why in the log.
 */
#include <linux/ctype.h>

#include "index.h"
#include "pool-priv.h"
#include "volume.h"

/* Says why a message is refused, and gives the error. */
#define refuse(pool, err, fmt, ...) \
({ \
	DMERR("%s: " fmt, (pool)->name, ##__VA_ARGS__); \
	(err); \
})

struct message {
	struct hpm_pool *pool;
	unsigned int argc;
	char **argv;
	char *result;
	unsigned int maxlen;
};

/*
 *----------------------------------------------------------------
 * Arguments
 *--------------------------------------------------------------
 */

static int read_id(struct message *m, const char *arg, u32 *id)
{
	if (kstrtou32(arg, 10, id) || *id > HPM_MAX_VOLUME_ID)
		return refuse(m->pool, -EINVAL,
			      "%s: \"%s\" is no volume id (0 to %u)",
			      m->argv[0], arg, HPM_MAX_VOLUME_ID);
	return 0;
}

/* In sectors; *blocks is 0 if it is not set. */
static int read_size(struct message *m, const char *arg, u64 *blocks)
{
	u64 sectors;

	*blocks = 0;
	if (!strcmp(arg, "-"))
		return 0;

	if (kstrtou64(arg, 10, &sectors))
		return refuse(m->pool, -EINVAL, "%s: \"%s\" is no size",
			      m->argv[0], arg);
	if (sectors % HPM_BLOCK_SECTORS)
		return refuse(m->pool, -EINVAL,
			      "%s: %llu sectors are not whole blocks of %u",
			      m->argv[0], sectors, HPM_BLOCK_SECTORS);
	if (sectors / HPM_BLOCK_SECTORS > 1ULL << HPM_VBN_BITS)
		return refuse(m->pool, -EINVAL,
			      "%s: %llu sectors are more than a volume can have",
			      m->argv[0], sectors);

	*blocks = sectors / HPM_BLOCK_SECTORS;
	return 0;
}

/*
 * A name is one word of a list's line and of a message: it has no blanks, no
 * backslash (which a message would take for itself), and is not "-".
 */
static int read_name(struct message *m, const char *arg, const char **name)
{
	const char *p;

	for (p = arg; *p; p++)
		if (!isascii(*p) || !isgraph(*p) || *p == '\\')
			return refuse(m->pool, -EINVAL,
				      "%s: a name has visible ASCII characters other than \\",
				      m->argv[0]);

	if (!strcmp(arg, "-"))
		return refuse(m->pool, -EINVAL, "%s: \"-\" is no name",
			      m->argv[0]);
	if (p - arg >= HPM_NAME_SIZE)
		return refuse(m->pool, -ENAMETOOLONG,
			      "%s: a name has at most %u characters",
			      m->argv[0], HPM_NAME_SIZE - 1);

	*name = arg;
	return 0;
}

static int read_switch(struct message *m, const char *arg, bool *on)
{
	*on = !strcasecmp(arg, "on");
	if (!*on && strcasecmp(arg, "off"))
		return refuse(m->pool, -EINVAL, "%s: on or off, not \"%s\"",
			      m->argv[0], arg);
	return 0;
}

/* The engine's result, with what it says about it. */
static int finish(struct message *m, int r, const char *why)
{
	if (r && m->argc > 1)
		return refuse(m->pool, r, "%s %s failed: %s (error %d)",
			      m->argv[0], m->argv[1], why, r);
	if (r)
		return refuse(m->pool, r, "%s failed: %s (error %d)",
			      m->argv[0], why, r);
	return 0;
}

#define NO_REASON	"no reason given"

/*
 *----------------------------------------------------------------
 * Volumes
 *--------------------------------------------------------------
 */

/* The active volume with this id, held, or NULL. */
static struct hpm_volume *get_active(struct hpm_pool *pool, u32 id)
{
	struct hpm_volume *v;

	spin_lock_irq(&pool->lock);
	v = hpm_volume_by_id(pool, id);
	if (v)
		hpm_volume_get(v);
	spin_unlock_irq(&pool->lock);

	return v;
}

static bool is_active(struct hpm_pool *pool, u32 id)
{
	bool active;

	spin_lock_irq(&pool->lock);
	active = hpm_volume_by_id(pool, id);
	spin_unlock_irq(&pool->lock);

	return active;
}

/* create_thin <id> [<size in sectors>|-] [<name>] */
static int create_thin(struct message *m)
{
	const char *why = NO_REASON, *name = NULL;
	u64 size = 0;
	u32 id;
	int r;

	r = read_id(m, m->argv[1], &id);
	if (!r && m->argc > 2)
		r = read_size(m, m->argv[2], &size);
	if (!r && m->argc > 3)
		r = read_name(m, m->argv[3], &name);
	if (r)
		return r;

	r = hpm_vol_create(m->pool->md, id, size, name, &why);
	return finish(m, r, why);
}

/*
 * create_snap <id> <origin id> [<name>]
 *
 * An active origin's writes wait while the record is made, and those that were
 * in flight are done before: a write is in the snapshot, or it is not.
 */
static int create_snap(struct message *m)
{
	const char *why = NO_REASON, *name = NULL;
	struct hpm_volume *v;
	u32 id, origin;
	int r;

	r = read_id(m, m->argv[1], &id);
	if (!r)
		r = read_id(m, m->argv[2], &origin);
	if (!r && m->argc > 3)
		r = read_name(m, m->argv[3], &name);
	if (r)
		return r;

	v = get_active(m->pool, origin);
	if (v)
		hpm_volume_park(v);
	r = hpm_vol_snapshot(m->pool->md, id, origin, name, &why);
	if (v) {
		hpm_volume_unpark(v);
		hpm_volume_put(v);
	}

	return finish(m, r, why);
}

/* delete <id> */
static int delete_volume(struct message *m)
{
	const char *why = NO_REASON;
	u32 id;
	int r;

	r = read_id(m, m->argv[1], &id);
	if (r)
		return r;

	if (is_active(m->pool, id))
		return refuse(m->pool, -EBUSY, "%s %u: the volume is active",
			      m->argv[0], id);

	r = hpm_vol_delete(m->pool->md, id, &why);
	return finish(m, r, why);
}

/* set_size <id> <sectors> */
static int set_size(struct message *m)
{
	const char *why = NO_REASON;
	u64 size;
	u32 id;
	int r;

	r = read_id(m, m->argv[1], &id);
	if (!r)
		r = read_size(m, m->argv[2], &size);
	if (r)
		return r;

	r = hpm_vol_set_size(m->pool->md, id, size, &why);
	return finish(m, r, why);
}

/* set_name <id> <name>|- */
static int set_name(struct message *m)
{
	const char *why = NO_REASON, *name = NULL;
	u32 id;
	int r;

	r = read_id(m, m->argv[1], &id);
	if (!r && strcmp(m->argv[2], "-"))
		r = read_name(m, m->argv[2], &name);
	if (r)
		return r;

	r = hpm_vol_set_name(m->pool->md, id, name, &why);
	return finish(m, r, why);
}

static int find_volume(struct message *m, u32 id, struct hpm_vol_info *info)
{
	int r;

	r = hpm_vol_next(m->pool->md, id, info);
	if (r == -ENOENT || (!r && info->id != id))
		return refuse(m->pool, -ENOENT, "%s: there is no volume %u",
			      m->argv[0], id);
	if (r)
		return refuse(m->pool, r, "%s: cannot read volume %u: error %d",
			      m->argv[0], id, r);
	return 0;
}

static int set_flag(struct message *m, u32 id, u32 flag, bool on)
{
	const char *why = NO_REASON;
	struct hpm_vol_info info;
	u32 flags;
	int r;

	r = find_volume(m, id, &info);
	if (r)
		return r;

	flags = info.flags & (HPM_VOL_READONLY | HPM_VOL_NOSHARE);
	if (on)
		flags |= flag;
	else
		flags &= ~flag;

	r = hpm_vol_set_flags(m->pool->md, id, flags, &why);
	return finish(m, r, why);
}

/* What is active heeds it from now on. */
static void tell_sharing(struct hpm_pool *pool, u32 id, bool on)
{
	struct hpm_volume *v = get_active(pool, id);

	if (!v)
		return;
	WRITE_ONCE(v->share, on);
	if (!on)
		hpm_index_forget(pool);
	hpm_volume_put(v);
}

/* set_sharing <id> on|off */
static int set_sharing(struct message *m)
{
	bool on;
	u32 id;
	int r;

	r = read_id(m, m->argv[1], &id);
	if (!r)
		r = read_switch(m, m->argv[2], &on);
	if (r)
		return r;

	r = set_flag(m, id, HPM_VOL_NOSHARE, !on);
	if (!r)
		tell_sharing(m->pool, id, on);
	return r;
}

/*
 * set_readonly <id> on|off
 *
 * Whoever has the volume open relies on it as it was when he opened it.
 */
static int set_readonly(struct message *m)
{
	bool on;
	u32 id;
	int r;

	r = read_id(m, m->argv[1], &id);
	if (!r)
		r = read_switch(m, m->argv[2], &on);
	if (r)
		return r;

	if (is_active(m->pool, id))
		return refuse(m->pool, -EBUSY,
			      "%s %u: the volume is active", m->argv[0], id);

	return set_flag(m, id, HPM_VOL_READONLY, on);
}

/*
 *----------------------------------------------------------------
 * Listing
 *--------------------------------------------------------------
 */

static unsigned int emit_flags(struct hpm_pool *pool,
			       const struct hpm_vol_info *info, char *result,
			       unsigned int sz, unsigned int maxlen)
{
	const char *sep = "";

	if (info->flags & HPM_VOL_READONLY) {
		DMEMIT("readonly");
		sep = ",";
	}
	if (info->flags & HPM_VOL_NOSHARE) {
		DMEMIT("%snoshare", sep);
		sep = ",";
	}
	if (is_active(pool, info->id)) {
		DMEMIT("%sactive", sep);
		sep = ",";
	}
	if (!*sep)
		DMEMIT("-");

	return sz;
}

/*
 * <id> <serial> <parent serial> <size> <mapped sectors> <flags> <created>
 * <name>|-
 */
static unsigned int emit_volume(struct hpm_pool *pool,
				const struct hpm_vol_info *info, char *result,
				unsigned int sz, unsigned int maxlen)
{
	DMEMIT("%u %llu %llu %llu %llu ", info->id, info->serial, info->parent,
	       info->size * HPM_BLOCK_SECTORS,
	       info->mapped * HPM_BLOCK_SECTORS);
	sz = emit_flags(pool, info, result, sz, maxlen);
	DMEMIT(" %u %s\n", info->created, *info->name ? info->name : "-");

	return sz;
}

/* The figures are those of what has been written by now. */
static void apply_published(struct hpm_pool *pool)
{
	if (!hpm_pool_refuses_writes(pool))
		hpm_md_apply(pool->md);
}

/* list [<first id>]: dm tells a caller whose buffer is too small for it. */
static int list_volumes(struct message *m)
{
	struct hpm_vol_info info;
	unsigned int sz = 0;
	u32 id = 0;
	int r;

	if (m->argc > 1) {
		r = read_id(m, m->argv[1], &id);
		if (r)
			return r;
	}

	apply_published(m->pool);
	*m->result = '\0';
	while (sz + 1 < m->maxlen && id <= HPM_MAX_VOLUME_ID) {
		r = hpm_vol_next(m->pool->md, id, &info);
		if (r == -ENOENT)
			break;
		if (r)
			return refuse(m->pool, r, "%s: error %d", m->argv[0], r);

		sz = emit_volume(m->pool, &info, m->result, sz, m->maxlen);
		id = info.id + 1;
	}

	return 1;
}

/* info <id> */
static int volume_info(struct message *m)
{
	struct hpm_vol_info info;
	u32 id;
	int r;

	r = read_id(m, m->argv[1], &id);
	if (r)
		return r;

	apply_published(m->pool);
	r = find_volume(m, id, &info);
	if (r)
		return r;

	emit_volume(m->pool, &info, m->result, 0, m->maxlen);
	return 1;
}

/*
 *----------------------------------------------------------------
 * The pool
 *--------------------------------------------------------------
 */

/* set_transaction_id <old> <new> */
static int set_transaction_id(struct message *m)
{
	const char *why = NO_REASON;
	u64 old, new;
	int r;

	if (kstrtou64(m->argv[1], 10, &old) || kstrtou64(m->argv[2], 10, &new))
		return refuse(m->pool, -EINVAL,
			      "%s: \"%s\" or \"%s\" is no transaction id",
			      m->argv[0], m->argv[1], m->argv[2]);

	r = hpm_md_set_transaction_id(m->pool->md, old, new, &why);
	return finish(m, r, why);
}

/* reserve_metadata_snap */
static int reserve_metadata_snap(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_md_hold(m->pool->md, &why);
	return finish(m, r, why);
}

/* release_metadata_snap */
static int release_metadata_snap(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_md_release(m->pool->md, &why);
	return finish(m, r, why);
}

/* checkpoint: and what has been freed so far is free when it returns. */
static int checkpoint(struct message *m)
{
	int r;

	r = hpm_pool_settle(m->pool);
	if (!r)
		r = hpm_md_checkpoint(m->pool->md);
	if (!r)
		hpm_pool_drain_wait(m->pool, true);

	return finish(m, r, "an error of the metadata device");
}

/* map_cache <nodes> */
static int map_cache(struct message *m)
{
	unsigned long nodes;

	if (kstrtoul(m->argv[1], 10, &nodes) || !nodes)
		return refuse(m->pool, -EINVAL,
			      "%s: \"%s\" is no number of nodes", m->argv[0],
			      m->argv[1]);

	hpm_md_cache_limit(m->pool->md, nodes);
	return 0;
}

/*
 * cache share on|off
 * cache copies_limit <copies>
 * cache entries <copies of all blocks>
 * cache scan_ms <time between two scans>
 * cache evict
 */
static int cache(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_share_message(m->pool, m->argc, m->argv, &why);
	return finish(m, r, why);
}

/* defrag start [<limit KiB/s>] | stop | status */
static int defrag(struct message *m)
{
	if (!strcasecmp(m->argv[1], "start")) {
		if (hpm_pool_refuses_writes(m->pool))
			return refuse(m->pool, -EOPNOTSUPP,
				      "%s: the pool is read-only", m->argv[0]);
		if (READ_ONCE(m->pool->suspended))
			return refuse(m->pool, -EBUSY,
				      "%s: the pool is suspended", m->argv[0]);
	}

	return hpm_defrag_message(m->pool, m->argc, m->argv, m->result,
				  m->maxlen);
}

/*
 *----------------------------------------------------------------
 * Which is which
 *--------------------------------------------------------------
 */

static const struct {
	const char *name;
	unsigned int min_argc, max_argc;
	bool writes;			/* not for a pool that is read-only */
	int (*fn)(struct message *m);
} messages[] = {
	{ "create_thin",		2, 4, true,  create_thin },
	{ "create_snap",		3, 4, true,  create_snap },
	{ "delete",			2, 2, true,  delete_volume },
	{ "set_transaction_id",		3, 3, true,  set_transaction_id },
	{ "reserve_metadata_snap",	1, 1, true,  reserve_metadata_snap },
	{ "release_metadata_snap",	1, 1, true,  release_metadata_snap },
	{ "set_size",			3, 3, true,  set_size },
	{ "set_name",			3, 3, true,  set_name },
	{ "set_sharing",		3, 3, true,  set_sharing },
	{ "set_readonly",		3, 3, true,  set_readonly },
	{ "list",			1, 2, false, list_volumes },
	{ "info",			2, 2, false, volume_info },
	{ "checkpoint",			1, 1, true,  checkpoint },
	{ "map_cache",			2, 2, false, map_cache },
	{ "cache",			2, 3, false, cache },
	{ "defrag",			2, 3, false, defrag },
};

int hpm_pool_message(struct dm_target *ti, unsigned int argc, char **argv,
		     char *result, unsigned int maxlen)
{
	struct hpm_table *t = ti->private;
	struct hpm_pool *pool = t->pool;
	struct message m = {
		.pool = pool, .argc = argc, .argv = argv,
		.result = result, .maxlen = maxlen,
	};
	unsigned int i, noio;
	int r;

	for (i = 0; i < ARRAY_SIZE(messages); i++)
		if (!strcasecmp(argv[0], messages[i].name))
			break;
	if (i == ARRAY_SIZE(messages))
		return refuse(pool, -EINVAL, "unknown message \"%s\"", argv[0]);

	if (argc < messages[i].min_argc || argc > messages[i].max_argc)
		return refuse(pool, -EINVAL, "%s: wrong number of arguments",
			      argv[0]);
	if (hpm_pool_failed(pool))
		return refuse(pool, -EOPNOTSUPP, "%s: the pool has failed",
			      argv[0]);
	if (messages[i].writes && hpm_pool_refuses_writes(pool))
		return refuse(pool, -EOPNOTSUPP, "%s: the pool is read-only",
			      argv[0]);

	noio = hpm_noio_begin();
	mutex_lock(&pool->message_lock);
	r = messages[i].fn(&m);
	mutex_unlock(&pool->message_lock);
	hpm_noio_end(noio);

	return r;
}
