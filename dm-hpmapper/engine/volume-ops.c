// SPDX-License-Identifier: GPL-2.0-only
/*
 * The requests of a pool's owner: creating, changing, deleting, listing and
 * opening volumes, holding and releasing a metadata snapshot.
 */
#include "engine.h"
#include "applier.h"
#include "change.h"
#include "checkpoint.h"
#include "credit.h"
#include "dying.h"
#include "journal.h"
#include "map.h"
#include "room.h"
#include "volumes.h"

/*----------------------------------------------------------------
 * Requests of the pool's owner
 *--------------------------------------------------------------*/

static int credit_wait(struct hpm_md *md, enum hpm_credit_use use,
		       const char **why)
{
	int r = hpm_credit_wait(md, 1, use);

	if (r == -ENOSPC)
		*why = "no metadata space is left";
	else if (r == -EROFS)
		*why = "the pool is read-only";
	else if (r == -ERESTART)
		*why = "writes under way have what metadata space is left";
	else if (r)
		*why = "the metadata device failed";
	return r;
}

/*
 * Takes md->lock; after this, all volumes exist.  The exception is a snapshot
 * that cannot be applied; the pool is read-only then.
 */
static int volumes_lock(struct hpm_md *md)
{
	mutex_lock(&md->lock);
	return hpm_apply_snap_pending(md);
}

/*
 * Takes a credit and md->lock, under which the state that *why describes does
 * not change.
 */
static int change_begin(struct hpm_md *md, enum hpm_credit_use use,
			const char **why)
{
	int r = credit_wait(md, use, why);

	if (!r)
		volumes_lock(md);
	return r;
}

static int change_commit(struct hpm_md *md, const char **why)
{
	int r = hpm_md_commit(md);

	if (r)
		*why = "the change could not be made durable";
	return r;
}

static int change_end(struct hpm_md *md, union hpm_record_buf *buf,
		      const char **why)
{
	int r = hpm_record_now(md, buf);

	mutex_unlock(&md->lock);
	if (r)
		*why = "the change could not be applied";
	return r ? r : change_commit(md, why);
}

static void buf_name(union hpm_record_buf *buf, const char *name)
{
	if (!name || !*name)
		return;
	buf->rec.slots = HPM_MAX_RECORD_SLOTS;
	strscpy((char *)buf->slots[1], name, HPM_NAME_SIZE);
}

/*
 * Names that have another meaning where a name is a word of a line or part of a
 * path.
 */
static bool name_reserved(const char *name, const char **why)
{
	*why = "'-' stands for no name, '.' and '..' are no names";
	return !strcmp(name, "-") || !strcmp(name, ".") || !strcmp(name, "..");
}

static int check_name(struct hpm_md *md, const char *name, const char **why)
{
	const char *c;

	if (!name || !*name)
		return 0;
	if (strlen(name) >= HPM_NAME_SIZE) {
		*why = "the name is longer than 63 characters";
		return -ENAMETOOLONG;
	}
	for (c = name; *c; c++) {
		if (!hpm_name_char_ok(*c)) {
			*why = "a name has letters, digits and ._-+:@=, only";
			return -EINVAL;
		}
	}
	if (name_reserved(name, why))
		return -EINVAL;
	if (hpm_vol_named(md, name)) {
		*why = "a volume of that name exists";
		return -EEXIST;
	}
	return 0;
}

static int check_new(struct hpm_md *md, u32 id, const char *name,
		     const char **why)
{
	if (id > HPM_MAX_VOLUME_ID) {
		*why = "volume ids go from 0 to 16777215";
		return -EINVAL;
	}
	if (hpm_vol_by_id(md, id)) {
		*why = "a volume with that id exists";
		return -EEXIST;
	}
	return check_name(md, name, why);
}

static int check_size(u64 size, const char **why)
{
	if (size <= 1ULL << HPM_VBN_BITS)
		return 0;
	*why = "a volume is at most 256 TiB";
	return -EFBIG;
}

static struct hpm_vol *find_vol(struct hpm_md *md, u32 id, const char **why)
{
	struct hpm_vol *vol = hpm_vol_by_id(md, id);

	if (!vol)
		*why = "no volume has that id";
	return vol;
}

/* change_begin(), and finds the volume to change. */
static int vol_begin(struct hpm_md *md, u32 id, enum hpm_credit_use use,
		     struct hpm_vol **vol, const char **why)
{
	int r = change_begin(md, use, why);

	if (r)
		return r;
	*vol = find_vol(md, id, why);
	return *vol ? 0 : hpm_change_refuse(md, -ENOENT);
}

int hpm_vol_create(struct hpm_md *md, u32 id, u64 size, const char *name,
		   const char **why)
{
	union hpm_record_buf buf;
	int r = check_size(size, why);

	if (!r)
		r = change_begin(md, HPM_FOR_WRITE, why);
	if (r)
		return r;
	r = check_new(md, id, name, why);
	if (r)
		return hpm_change_refuse(md, r);
	hpm_record_init(&buf, HPM_REC_CREATE, md->next_serial, size);
	buf.rec.arg_lo = cpu_to_le32(id);
	buf_name(&buf, name);
	return change_end(md, &buf, why);
}

/*
 * From now until the snapshot's record has a number, no other record may take
 * the snapshot's serial: that record would be applied first.  Messages come one
 * at a time, so only a step that lets a table go could do this.  Such a step
 * reads snap_prepared with md->lock held.
 */
static void snapshot_prepare(struct hpm_md *md)
{
	WRITE_ONCE(md->snap_prepared, true);
	if (READ_ONCE(md->letting_go)) {
		/* A step that has not seen the flag has ended. */
		mutex_lock(&md->lock);
		mutex_unlock(&md->lock);
	}
}

static void snapshot_unprepare(struct hpm_md *md)
{
	/* The snapshot's number must be visible first: pairs with let_go_step(). */
	smp_store_release(&md->snap_prepared, false);
	if (READ_ONCE(md->letting_go))
		hpm_kick(md, HPM_KICK_RECLAIM);
}

/*
 * Fills in the record.  No other message changes the set of volumes, no
 * snapshot is pending, and this one is prepared, so what is read here does not
 * change although md->lock is not held.
 */
static int snapshot_check(struct hpm_md *md, u32 id, u32 origin,
			  const char *name, const char **why)
{
	struct hpm_pending_snap *snap = &md->journal.snap;
	int r = check_new(md, id, name, why);

	if (r)
		return r;
	snap->origin = hpm_vol_by_id(md, origin);
	if (!snap->origin) {
		*why = "the origin does not exist";
		return -ENOENT;
	}
	if (md->time >= HPM_MAX_TIME) {
		*why = "this pool has taken all the snapshots it can tell apart";
		return -EOVERFLOW;
	}
	snap->time = md->time + 1;
	snap->nr_volumes = md->nr_volumes + 1;
	hpm_record_init(&snap->buf, HPM_REC_SNAP, md->next_serial,
			snap->origin->serial);
	snap->buf.rec.arg_lo = cpu_to_le32(id);
	buf_name(&snap->buf, name);
	return 0;
}

/* Applies the previous snapshot and allocates the structure of this one's volume. */
static int snapshot_ready(struct hpm_md *md, const char **why)
{
	int r = 0;

	if (hpm_snap_pending(md)) {
		r = volumes_lock(md);
		mutex_unlock(&md->lock);
	}
	if (r) {
		*why = "the snapshot before could not be applied";
		return r;
	}
	if (!md->spare_vol)
		md->spare_vol = kzalloc(sizeof(*md->spare_vol), GFP_NOIO);
	if (!md->spare_vol) {
		*why = "no memory is left";
		return -ENOMEM;
	}
	return 0;
}

int hpm_vol_snapshot_begin(struct hpm_md *md, u32 id, u32 origin,
			   const char *name, const char **why)
{
	int r = snapshot_ready(md, why);

	if (!r)
		r = credit_wait(md, HPM_FOR_WRITE, why);
	if (r)
		return r;
	snapshot_prepare(md);
	r = snapshot_check(md, id, origin, name, why);
	if (r)
		hpm_vol_snapshot_cancel(md);
	return r;
}

void hpm_vol_snapshot_cancel(struct hpm_md *md)
{
	snapshot_unprepare(md);
	hpm_credit_put(md, 1);
}

void hpm_vol_snapshot_publish(struct hpm_md *md)
{
	hpm_snap_publish(md);
	snapshot_unprepare(md);
}

int hpm_vol_snapshot_end(struct hpm_md *md, const char **why)
{
	return change_commit(md, why);
}

int hpm_vol_snapshot(struct hpm_md *md, u32 id, u32 origin, const char *name,
		     const char **why)
{
	int r = hpm_vol_snapshot_begin(md, id, origin, name, why);

	if (r)
		return r;
	hpm_vol_snapshot_publish(md);
	return hpm_vol_snapshot_end(md, why);
}

int hpm_vol_delete(struct hpm_md *md, u32 id, const char **why)
{
	union hpm_record_buf buf;
	struct hpm_vol *vol;
	int r = vol_begin(md, id, HPM_FOR_DELETE, &vol, why);

	if (r)
		return r;
	if (vol->opens) {
		*why = "the volume is active";
		return hpm_change_refuse(md, -EBUSY);
	}
	if (!hpm_dying_room(md, 1)) {
		*why = "too many deleted volumes are being given back: try again later";
		return hpm_change_refuse(md, -ENOSPC);
	}
	hpm_record_init(&buf, HPM_REC_DELETE, vol->serial, 0);
	return change_end(md, &buf, why);
}

int hpm_vol_set_size(struct hpm_md *md, u32 id, u64 size, const char **why)
{
	union hpm_record_buf buf;
	struct hpm_vol *vol;
	int r = check_size(size, why);

	if (!r)
		r = vol_begin(md, id, HPM_FOR_WRITE, &vol, why);
	if (r)
		return r;
	hpm_record_init(&buf, HPM_REC_SIZE, vol->serial, size);
	return change_end(md, &buf, why);
}

int hpm_vol_set_name(struct hpm_md *md, u32 id, const char *name,
		     const char **why)
{
	union hpm_record_buf buf;
	struct hpm_vol *vol;
	int r = vol_begin(md, id, HPM_FOR_WRITE, &vol, why);

	if (r)
		return r;
	/*
	 * Its own name needs no check: no other volume has it, and it may be
	 * one of an older version.
	 */
	r = name && !strcmp(name, vol->name) ? 0 : check_name(md, name, why);
	if (r)
		return hpm_change_refuse(md, r);
	hpm_record_init(&buf, HPM_REC_NAME, vol->serial, 0);
	buf_name(&buf, name);
	return change_end(md, &buf, why);
}

int hpm_vol_set_flags(struct hpm_md *md, u32 id, u32 flags, const char **why)
{
	union hpm_record_buf buf;
	struct hpm_vol *vol;
	int r = vol_begin(md, id, HPM_FOR_WRITE, &vol, why);

	if (r)
		return r;
	hpm_record_init(&buf, HPM_REC_FLAGS, vol->serial, 0);
	buf.rec.nr = cpu_to_le16(flags & (HPM_VOL_READONLY | HPM_VOL_NOSHARE));
	return change_end(md, &buf, why);
}

int hpm_md_set_transaction_id(struct hpm_md *md, u64 old, u64 new,
			      const char **why)
{
	union hpm_record_buf buf;
	int r = change_begin(md, HPM_FOR_WRITE, why);

	if (r)
		return r;
	if (md->transaction_id != old) {
		*why = "the transaction id is not the one given as old";
		return hpm_change_refuse(md, -EINVAL);
	}
	hpm_record_init(&buf, HPM_REC_TID, 0, new);
	return change_end(md, &buf, why);
}

/* Makes the record durable; then a checkpoint writes the table that it is about. */
static int hold_end(struct hpm_md *md, union hpm_record_buf *buf,
		    const char **why)
{
	int r = change_end(md, buf, why);

	if (r)
		return r;
	r = hpm_md_checkpoint(md);
	if (r)
		*why = "the checkpoint failed";
	return r;
}

/*
 * All of the table may have to be copied, and its volumes count as additional
 * trees.  First publish their number to callers that get a credit without
 * md->lock, then test whether the space suffices for the credits that are out.
 */
static bool hold_fits(struct hpm_md *md)
{
	WRITE_ONCE(md->held_volumes, md->nr_volumes);
	/* Pairs with hpm_credit_try(). */
	smp_mb();
	if (hpm_credit_spare(md) >= md->array[HPM_ARR_VOLUME].nodes)
		return true;
	WRITE_ONCE(md->held_volumes, 0);
	return false;
}

/* Takes a credit and md->lock, and makes room for the held table. */
static int hold_begin(struct hpm_md *md, const char **why)
{
	unsigned int tried;
	int r;

	for (tried = 0;; tried++) {
		r = change_begin(md, HPM_FOR_WRITE, why);
		if (r)
			return r;
		if (md->has_held) {
			*why = "a metadata snapshot is held already";
			return hpm_change_refuse(md, -EBUSY);
		}
		if (hold_fits(md))
			return 0;
		hpm_change_refuse(md, -ENOSPC);
		*why = "too little metadata space is left to hold the volume table";
		if (tried)
			return -ENOSPC;
		r = hpm_md_make_room(md);
		if (r)
			return r;
	}
}

/* Gives back what is left of the previous metadata snapshot. */
static int let_go_all(struct hpm_md *md, const char **why)
{
	int r = 1;

	while (r > 0 && READ_ONCE(md->letting_go))
		r = hpm_md_reclaim_step(md);
	if (r < 0)
		*why = "the metadata snapshot before could not be given back";
	return min(r, 0);
}

int hpm_md_hold(struct hpm_md *md, const char **why)
{
	union hpm_record_buf buf;
	int r = let_go_all(md, why);

	if (!r)
		r = hold_begin(md, why);
	if (r)
		return r;
	hpm_record_init(&buf, HPM_REC_HOLD, 0, 0);
	return hold_end(md, &buf, why);
}

int hpm_md_release(struct hpm_md *md, const char **why)
{
	union hpm_record_buf buf;
	int r = change_begin(md, HPM_FOR_RECLAIM, why);

	if (r)
		return r;
	if (!md->has_held) {
		*why = "no metadata snapshot is held";
		return hpm_change_refuse(md, -EINVAL);
	}
	hpm_record_init(&buf, HPM_REC_RELEASE, 0, 0);
	buf.rec.nr = cpu_to_le16(1);
	return hold_end(md, &buf, why);
}

/*----------------------------------------------------------------
 * Asking
 *--------------------------------------------------------------*/

static void fill_info(const struct hpm_vol *vol, struct hpm_vol_info *info)
{
	info->id = vol->id;
	info->serial = vol->serial;
	info->parent = vol->parent;
	info->size = vol->size;
	info->mapped = vol->mapped;
	info->flags = vol->flags;
	info->snap_time = vol->snap_time;
	info->created = vol->created;
	memcpy(info->name, vol->name, HPM_NAME_SIZE);
}

/* Finds the volume with the lowest id from @id on, by a look at all volumes. */
static struct hpm_vol *vol_above(struct hpm_md *md, u32 id)
{
	struct hpm_vol *vol, *best = NULL;
	unsigned int i;

	for (i = 0; i < 1 << HPM_VOL_HASH_BITS; i++)
		hlist_for_each_entry(vol, &md->vols_by_id[i], by_id)
			if (vol->id >= id && (!best || vol->id < best->id))
				best = vol;
	return best;
}

int hpm_vol_next(struct hpm_md *md, u32 id, struct hpm_vol_info *info)
{
	struct hpm_vol *best;
	unsigned int i;

	volumes_lock(md);
	best = hpm_vol_by_id(md, id);
	for (i = 0; !best && i < 1 << HPM_VOL_HASH_BITS; i++)
		best = hpm_vol_by_id(md, id + i);
	if (!best)
		best = vol_above(md, id);
	if (best)
		fill_info(best, info);
	mutex_unlock(&md->lock);
	return best ? 0 : -ENOENT;
}

int hpm_vol_by_name(struct hpm_md *md, const char *name,
		    struct hpm_vol_info *info)
{
	struct hpm_vol *vol;

	volumes_lock(md);
	vol = hpm_vol_named(md, name);
	if (vol)
		fill_info(vol, info);
	mutex_unlock(&md->lock);
	return vol ? 0 : -ENOENT;
}

/*
 * Adds an owner; the first one needs chains.  GFP_NOIO, as memory reclaim may
 * need md->lock.
 */
static int vol_use(struct hpm_vol *vol)
{
	if (!vol->changes)
		vol->changes = kzalloc(sizeof(*vol->changes), GFP_NOIO);
	if (!vol->changes)
		return -ENOMEM;
	vol->opens++;
	return 0;
}

int hpm_vol_open(struct hpm_md *md, u32 id, struct hpm_vol **volp)
{
	int r = volumes_lock(md);
	struct hpm_vol *vol = hpm_vol_by_id(md, id);

	if (vol)
		r = vol_use(vol);
	else if (!r)	/* if r is set, it may be the pending snapshot */
		r = -ENOENT;
	mutex_unlock(&md->lock);
	*volp = r ? NULL : vol;
	return r;
}

void hpm_vol_put(struct hpm_vol *vol)
{
	struct hpm_md *md = vol->md;

	mutex_lock(&md->lock);
	vol->opens--;
	mutex_unlock(&md->lock);
}

void hpm_vol_get_info(struct hpm_vol *vol, struct hpm_vol_info *info)
{
	mutex_lock(&vol->md->lock);
	fill_info(vol, info);
	mutex_unlock(&vol->md->lock);
}

/* Finds the last mapped block of the large block that the tree's last key is in. */
static int highest_in(struct hpm_md *md, struct hpm_vol *vol, u64 key, u64 *vbn)
{
	struct hpm_entry *e = md->scratch + HPM_SCRATCH_APPLY;
	u64 lvbn = round_down(key >> 1, (u64)md->large_size), at;
	unsigned int nr;
	int r;

	r = hpm_map_collect(md, vol->root, hpm_key_base(lvbn), key + 1, e,
			    md->large_size + 1, &nr);
	if (r)
		return r;
	at = lvbn + md->large_size - 1;
	if (nr && !(e[0].key & 1)) {
		/* With a base, blocks without an entry are mapped. */
		while (nr > 1 && e[nr - 1].key >> 1 == at &&
		       hpm_value_pbn(e[nr - 1].value) == HPM_PBN_HOLE) {
			nr--;
			at--;
		}
	} else if (nr) {
		at = e[nr - 1].key >> 1;
	}
	*vbn = at;
	return 0;
}

int hpm_vol_highest(struct hpm_vol *vol, u64 *vbn)
{
	struct hpm_md *md = vol->md;
	u64 key;
	int r;

	mutex_lock(&md->lock);
	r = hpm_map_last(md, vol->root, &key);
	if (!r)
		r = highest_in(md, vol, key, vbn);
	mutex_unlock(&md->lock);
	return r;
}

bool hpm_vol_durable(struct hpm_vol *vol)
{
	return READ_ONCE(vol->last_record) <=
	       READ_ONCE(vol->md->journal.durable);
}
