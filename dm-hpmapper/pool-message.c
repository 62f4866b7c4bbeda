// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages
 *
 * A message that changes something returns when the change is durable, or it
 * has changed nothing and has logged the reason.
 *
 * One at a time
 * -------------
 * message_lock serialises messages, except defrag, and the activation of
 * volumes.  All tenants need these to start and end containers.  So a holder
 * may wait for the metadata device, which only the pool uses, but not for a
 * volume's I/O, which io.max or the device can delay without limit.  If such
 * I/O holds all that is left of the metadata space or of the journal, the
 * message drops the lock and begins again, and after some seconds it is
 * refused.  Three messages must wait for the I/O of volumes, and do so without
 * the lock:
 *
 *	create_snap	waits for the origin's writes in flight.  At first it
 *			waits a moment with the lock, which is enough as a rule
 *			and keeps the writes parked for the shortest time.  If
 *			they take longer, it cancels what it has begun, waits
 *			with only a reference to the origin, and begins again:
 *			by then the id may be taken or the pool suspended, so
 *			everything is checked again.
 *	checkpoint	promises that freed blocks are free on return, so it
 *			waits for the drain, which waits for all I/O in flight
 *	defrag		waits for a copy; it has a lock of its own
 *
 * The removal of a volume waits for the volume's last bios without the lock,
 * too (volume.c).
 */
#include <linux/sched/signal.h>

#include "cache.h"
#include "pool-priv.h"
#include "volume.h"

/* Logs why a message is refused; its value is the error. */
#define refuse(pool, err, fmt, ...) \
({ \
	DMERR("%s: " fmt, (pool)->name, ##__VA_ARGS__); \
	(err); \
})

/* A message that is being carried out. */
struct message {
	struct hpm_pool *pool;
	const struct hpm_message *say;
	char *result;
	unsigned int maxlen;
};

/*
 * Logs an error of the engine with its reason, and returns it.  -ERESTART is
 * not logged, as nothing has changed and the message is tried again.
 */
static int finish(struct message *m, int r, const char *why)
{
	if (r == -ERESTART)
		return r;
	if (r && m->say->about)
		return refuse(m->pool, r, "%s %s failed: %s (error %d)",
			      m->say->word, m->say->about, why, r);
	if (r)
		return refuse(m->pool, r, "%s failed: %s (error %d)",
			      m->say->word, why, r);
	return 0;
}

#define NO_REASON	"no reason given"

/*
 *----------------------------------------------------------------
 * Volumes
 *--------------------------------------------------------------
 */

/* The active volume with this id, with a reference, or NULL. */
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
static int msg_create_thin(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_vol_create(m->pool->md, m->say->id, m->say->blocks,
			   m->say->name, &why);
	return finish(m, r, why);
}

static int begin_snap(struct message *m, const char **why)
{
	return hpm_vol_snapshot_begin(m->pool->md, m->say->id, m->say->origin,
				      m->say->name, why);
}

/* The origin's writes take long, so other messages may run meanwhile. */
static int wait_for_origin(struct message *m, struct hpm_volume *v,
			   const char **why)
{
	struct hpm_pool *pool = m->pool;
	int r;

	mutex_unlock(&pool->message_lock);
	r = hpm_volume_wait_parked(v);
	mutex_lock(&pool->message_lock);
	if (r) {
		*why = "killed while it waited for the origin's writes";
	} else if (READ_ONCE(pool->suspended)) {
		*why = "the pool has been suspended";
		r = -EBUSY;
	}
	return r;
}

/* Publishes the snapshot that was begun, or cancels it and returns an error. */
static int snap_parked(struct message *m, struct hpm_volume *v,
		       const char **why)
{
	struct hpm_md *md = m->pool->md;
	int r = 0;

	if (!hpm_volume_is_parked(v)) {
		hpm_vol_snapshot_cancel(md);
		r = wait_for_origin(m, v, why);
		if (!r)
			r = begin_snap(m, why);
	}
	if (!r)
		hpm_vol_snapshot_publish(md);
	return r;
}

/*
 * create_snap <id> <origin id> [<name>]
 *
 * Writes to an active origin wait while the record gets its number, and those
 * in flight end before that: so each write is in the snapshot or it is not.
 */
static int msg_create_snap(struct message *m)
{
	struct hpm_md *md = m->pool->md;
	const char *why = NO_REASON;
	struct hpm_volume *v;
	int r;

	r = begin_snap(m, &why);
	if (r)
		return finish(m, r, why);

	v = get_active(m->pool, m->say->origin);
	if (v) {
		hpm_volume_park(v);
		r = snap_parked(m, v, &why);
		hpm_volume_unpark(v);
		hpm_volume_put(v);
	} else {
		hpm_vol_snapshot_publish(md);
	}
	if (!r)
		r = hpm_vol_snapshot_end(md, &why);

	return finish(m, r, why);
}

/* delete <id> */
static int msg_delete(struct message *m)
{
	const char *why = NO_REASON;
	u32 id = m->say->id;
	int r;

	if (is_active(m->pool, id))
		return refuse(m->pool, -EBUSY, "%s %u: the volume is active",
			      m->say->word, id);

	r = hpm_vol_delete(m->pool->md, id, &why);
	return finish(m, r, why);
}

/* set_size <id> <sectors> */
static int msg_set_size(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_vol_set_size(m->pool->md, m->say->id, m->say->blocks, &why);
	return finish(m, r, why);
}

/* set_name <id> <name>|- */
static int msg_set_name(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_vol_set_name(m->pool->md, m->say->id, m->say->name, &why);
	return finish(m, r, why);
}

static int find_volume(struct message *m, struct hpm_vol_info *info)
{
	u32 id = m->say->id;
	int r;

	r = hpm_vol_next(m->pool->md, id, info);
	if (r == -ENOENT || (!r && info->id != id))
		return refuse(m->pool, -ENOENT, "%s: there is no volume %u",
			      m->say->word, id);
	if (r)
		return refuse(m->pool, r, "%s: cannot read volume %u: error %d",
			      m->say->word, id, r);
	return 0;
}

static int set_flag(struct message *m, u32 flag, bool on)
{
	const char *why = NO_REASON;
	struct hpm_vol_info info;
	u32 flags;
	int r;

	r = find_volume(m, &info);
	if (r)
		return r;

	flags = info.flags & (HPM_VOL_READONLY | HPM_VOL_NOSHARE);
	if (on)
		flags |= flag;
	else
		flags &= ~flag;

	r = hpm_vol_set_flags(m->pool->md, info.id, flags, &why);
	return finish(m, r, why);
}

/* If the volume is active, the setting takes effect at once. */
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
static int msg_set_sharing(struct message *m)
{
	int r;

	r = set_flag(m, HPM_VOL_NOSHARE, !m->say->on);
	if (!r)
		tell_sharing(m->pool, m->say->id, m->say->on);
	return r;
}

/*
 * set_readonly <id> on|off
 *
 * Refused for an active volume: its users rely on the mode in which they have
 * opened it.
 */
static int msg_set_readonly(struct message *m)
{
	if (is_active(m->pool, m->say->id))
		return refuse(m->pool, -EBUSY, "%s %u: the volume is active",
			      m->say->word, m->say->id);

	return set_flag(m, HPM_VOL_READONLY, m->say->on);
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

/* Applies what was published, so that the figures are up to date. */
static void apply_published(struct hpm_pool *pool)
{
	if (!hpm_pool_refuses_writes(pool) && !READ_ONCE(pool->suspended))
		hpm_md_apply(pool->md);
}

/* list [<first id>]: dm tells the caller if the buffer is too small. */
static int msg_list(struct message *m)
{
	struct hpm_vol_info info;
	unsigned int sz = 0;
	u32 id = m->say->id;
	int r;

	apply_published(m->pool);
	*m->result = '\0';
	while (sz + 1 < m->maxlen && id <= HPM_MAX_VOLUME_ID) {
		r = hpm_vol_next(m->pool->md, id, &info);
		if (r == -ENOENT)
			break;
		if (r)
			return refuse(m->pool, r, "%s: cannot read the volumes: error %d",
				      m->say->word, r);

		sz = emit_volume(m->pool, &info, m->result, sz, m->maxlen);
		id = info.id + 1;
	}

	return 1;
}

/* info <id> */
static int msg_info(struct message *m)
{
	struct hpm_vol_info info;
	int r;

	apply_published(m->pool);
	r = find_volume(m, &info);
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
static int msg_set_transaction_id(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_md_set_transaction_id(m->pool->md, m->say->old_tid,
				      m->say->new_tid, &why);
	return finish(m, r, why);
}

/* reserve_metadata_snap */
static int msg_reserve_metadata_snap(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_md_hold(m->pool->md, &why);
	return finish(m, r, why);
}

/* release_metadata_snap */
static int msg_release_metadata_snap(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_md_release(m->pool->md, &why);
	return finish(m, r, why);
}

/* checkpoint: when it returns, the blocks that were freed before are free. */
static int msg_checkpoint(struct message *m)
{
	int r;

	r = hpm_pool_settle(m->pool);
	if (!r)
		r = hpm_md_checkpoint(m->pool->md);
	if (!r) {
		mutex_unlock(&m->pool->message_lock);
		hpm_pool_drain_wait(m->pool);
		mutex_lock(&m->pool->message_lock);
	}

	return finish(m, r, "an error of the metadata device");
}

/* map_cache <nodes> */
static int msg_map_cache(struct message *m)
{
	hpm_md_nodes_limit(m->pool->md, m->say->number);
	return 0;
}

/*
 * cache share on|off
 * cache copies_limit <copies>
 * cache entries <copies of all blocks>
 * cache scan_ms <time between two scans>
 * cache evict
 */
static int msg_cache(struct message *m)
{
	const char *why = NO_REASON;
	int r;

	r = hpm_cache_message(m->pool, m->say, &why);
	return finish(m, r, why);
}

/* defrag start [<limit KiB/s>] | stop | status */
static int msg_defrag(struct message *m)
{
	if (m->say->action == HPM_DEFRAG_START &&
	    hpm_pool_refuses_writes(m->pool))
		return refuse(m->pool, -EOPNOTSUPP, "%s: the pool is read-only",
			      m->say->word);

	return hpm_defrag_message(m->pool, m->say, m->result, m->maxlen);
}

/*
 *----------------------------------------------------------------
 * Carrying messages out
 *--------------------------------------------------------------
 */

#define MESSAGE(id, word, ...)	[HPM_MSG_##id] = msg_##word,
static int (*const messages[HPM_NR_MESSAGES])(struct message *m) = {
	HPM_MESSAGES(MESSAGE)
};

/*
 * A suspended pool writes nothing.  presuspend sets ->suspended and then takes
 * message_lock, so a message that has found it false has ended by then.
 */
static int check_suspended(const struct message *m)
{
	lockdep_assert_held(&m->pool->message_lock);

	if (!m->say->writes || !READ_ONCE(m->pool->suspended))
		return 0;
	return refuse(m->pool, -EBUSY, "%s: the pool is suspended",
		      m->say->word);
}

static int try_once(struct message *m)
{
	int r;

	mutex_lock(&m->pool->message_lock);
	r = check_suspended(m);
	if (!r)
		r = messages[m->say->type](m);
	mutex_unlock(&m->pool->message_lock);
	return r;
}

/* Some seconds with the waits of each try, in which most writes end. */
#define MOST_TRIES	50
#define BETWEEN_TRIES	(HZ / 50)

/*
 * If writes in flight hold what the message needs, it tries again, and other
 * messages may run between two tries.
 */
static int carry_out(struct message *m)
{
	unsigned int tries;
	int r;

	for (tries = 0; tries < MOST_TRIES; tries++) {
		r = try_once(m);
		if (r != -ERESTART)
			return r;
		schedule_timeout_killable(BETWEEN_TRIES);
		if (fatal_signal_pending(current))
			return refuse(m->pool, -EINTR,
				      "%s: killed while it waited for writes in flight",
				      m->say->word);
	}
	return refuse(m->pool, -ENOSPC,
		      "%s: writes in flight hold what is left of the metadata space or of the journal: try again when they have ended",
		      m->say->word);
}

int hpm_pool_message(struct dm_target *ti, unsigned int argc, char **argv,
		     char *result, unsigned int maxlen)
{
	struct hpm_table *t = ti->private;
	struct hpm_pool *pool = t->pool;
	struct hpm_message say;
	struct message m = {
		.pool = pool, .say = &say, .result = result, .maxlen = maxlen,
	};
	char why[HPM_WHY_SIZE];
	unsigned int noio;
	int r;

	r = hpm_parse_message(argc, argv, &say, why);
	if (r)
		return refuse(pool, r, "%s", why);
	if (hpm_pool_failed(pool))
		return refuse(pool, -EOPNOTSUPP, "%s: the pool has failed",
			      say.word);
	if (say.writes && hpm_pool_refuses_writes(pool))
		return refuse(pool, -EOPNOTSUPP, "%s: the pool is read-only",
			      say.word);

	noio = hpm_noio_begin();
	r = say.type == HPM_MSG_DEFRAG ? msg_defrag(&m) : carry_out(&m);
	hpm_noio_end(noio);

	return r;
}
