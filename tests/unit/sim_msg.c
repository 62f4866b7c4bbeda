// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done to volumes: messages, and the work that moves their blocks.
 */
#include "sim.h"
#include "sim_parts.h"

/* Until no write of the volume is under way; it is parked, so no more come. */
static void quiesce(struct sim *s, struct sim_vol *v)
{
	struct sim_op *op;
	bool again;

	do {
		again = false;
		list_for_each_entry(op, &s->ops, list) {
			if (op->v == v && op->kind != SIM_READ &&
			    op->state != SIM_NEW && op->state != SIM_BLOCKED) {
				sim_op_step(op);
				again = true;
				break;
			}
		}
	} while (again);
}

/*
 *----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------
 */

static int vol_open(struct sim *s, struct sim_vol *v)
{
	int r = hpm_vol_open(s->md, v->id, &v->vol);

	if (!r)
		hpm_stock_init(&v->stock);
	return r;
}

static void message_begin(struct sim *s, int what, u32 id)
{
	memset(&s->msg, 0, sizeof(s->msg));
	s->msg.what = what;
	s->msg.id = id;
	s->msg.since = s->clock;
	s->msg.mode = hpm_md_mode(s->md);
}

/*
 * A message that fails has changed nothing, but for the one whose commit made
 * the pool read-only: its record may have reached the disk or not.  There is
 * only one such, as none comes through afterwards.
 */
static int message_end(struct sim *s, int r, const char *why)
{
	struct sim_message m = s->msg;

	s->msg.what = SIM_MSG_NONE;
	if (r && !s->may_fail && !hpm_mem_is_cut(s->io) && r != -ENOSPC)
		sim_fail(s, "message %d for volume %u: %d (%s)", m.what, m.id,
			 r, why ?: "no reason");
	if (!r && s->unsure.what != SIM_MSG_NONE)
		sim_fail(s, "message %d for volume %u after a failed commit",
			 m.what, m.id);
	if (!r)
		sim_durable(s, m.since);
	else if (m.mode < HPM_MODE_READ_ONLY &&
		 hpm_md_mode(s->md) >= HPM_MODE_READ_ONLY)
		s->unsure = m;
	return r;
}

/* A snapshot that is durable and cannot be applied is there once it can be. */
static void learn_info(struct sim *s, struct sim_vol *v)
{
	struct hpm_vol_info info;

	if (hpm_vol_next(s->md, v->id, &info) || info.id != v->id) {
		if (!s->may_fail || hpm_md_mode(s->md) < HPM_MODE_READ_ONLY)
			sim_fail(s, "volume %u was made and is not there",
				 v->id);
		v->flags = HPM_VOL_LIVE;
		return;
	}
	v->serial = info.serial;
	v->flags = info.flags;
}

int sim_msg_create(struct sim *s, u32 id)
{
	const char *why = NULL;
	struct sim_vol *v;
	int r;

	message_begin(s, SIM_MSG_CREATE, id);
	r = message_end(s, hpm_vol_create(s->md, id, 0, NULL, &why), why);
	if (r)
		return r;
	v = sim_vol_new(s, id);
	learn_info(s, v);
	s->st.creates++;
	return vol_open(s, v);
}

static int snapshot(struct sim *s, u32 id, struct sim_vol *o, const char **why)
{
	u64 bytes = s->p.vol_blocks * HPM_SECTORS * sizeof(u64);
	int r = hpm_vol_snapshot_begin(s->md, id, o->id, NULL, why);

	if (r)
		return r;
	o->parked = true;
	quiesce(s, o);
	s->msg.since = s->clock;
	memcpy(s->image, o->now, bytes);
	hpm_vol_snapshot_publish(s->md);
	o->parked = false;
	/* It is numbered and neither applied nor durable. */
	if (s->hooks_on)
		sim_ops_go_on(s);
	return hpm_vol_snapshot_end(s->md, why);
}

int sim_msg_snap(struct sim *s, u32 id, u32 origin)
{
	struct sim_vol *o = sim_vol(s, origin), *v;
	u64 bytes = s->p.vol_blocks * HPM_SECTORS * sizeof(u64);
	const char *why = NULL;
	int r;

	message_begin(s, SIM_MSG_SNAP, id);
	s->msg.origin = origin;
	r = message_end(s, snapshot(s, id, o, &why), why);
	if (r)
		return r;
	v = sim_vol_new(s, id);
	v->parent = o->serial;
	v->size = o->size;
	memcpy(v->now, s->image, bytes);
	memcpy(v->durable, s->image, bytes);
	sim_log_inherit(s, o, v);
	learn_info(s, v);
	s->st.snapshots++;
	sim_trace(NULL, 0, 0, "v%u is a snapshot of v%u", id, origin);
	return vol_open(s, v);
}

static bool vol_busy(struct sim *s, struct sim_vol *v)
{
	struct sim_op *op;

	list_for_each_entry(op, &s->ops, list)
		if (op->v == v)
			return true;
	return false;
}

static void vol_deactivate(struct sim *s, struct sim_vol *v)
{
	struct hpm_vol *vol;
	struct sim_op *op;

	while (vol_busy(s, v)) {
		op = sim_op_pick(s);
		if (op->v == v)
			sim_op_step(op);
	}
	vol = v->vol;
	v->vol = NULL; /* nothing new begins from here on */
	while (v->users)
		hpm_env_yield();
	hpm_space_return(s->md, &v->stock);
	hpm_vol_put(vol);
}

int sim_msg_delete(struct sim *s, u32 id)
{
	struct sim_vol *v = sim_vol(s, id);
	const char *why = NULL;
	int r;

	r = hpm_vol_delete(s->md, id, &why);
	/* Ops that are under way may hold all the room there is. */
	if (!r || (r != -EBUSY && !(r == -ENOSPC && s->nr_ops) &&
		   !s->may_fail && !hpm_mem_is_cut(s->io)))
		sim_fail(s, "deletion of an active volume: %d", r);
	vol_deactivate(s, v);
	message_begin(s, SIM_MSG_DELETE, id);
	r = message_end(s, hpm_vol_delete(s->md, id, &why), why);
	if (r) {
		vol_open(s, v);
		return r;
	}
	sim_vol_forget(s, v);
	s->st.deletes++;
	return 0;
}

int sim_msg_tid(struct sim *s, u64 value)
{
	const char *why = NULL;
	int r;

	message_begin(s, SIM_MSG_TID, 0);
	s->msg.value = value;
	r = message_end(s,
			hpm_md_set_transaction_id(s->md, s->transaction_id,
						  value, &why),
			why);
	if (!r)
		s->transaction_id = value;
	return r;
}

int sim_msg_name(struct sim *s, u32 id, const char *name)
{
	struct sim_vol *v = sim_vol(s, id);
	const char *why = NULL;
	int r;

	message_begin(s, SIM_MSG_NAME, id);
	strscpy(s->msg.name, name, sizeof(s->msg.name));
	r = message_end(s, hpm_vol_set_name(s->md, id, name, &why), why);
	if (!r)
		strscpy(v->name, name, sizeof(v->name));
	return r;
}

int sim_msg_attr(struct sim *s, struct sim_vol *v)
{
	u64 value = sim_rnd(s, 1000) + 1;
	const char *why = NULL;
	char name[32];
	int r;

	switch (sim_rnd(s, 4)) {
	case 0:
		return sim_msg_tid(s, s->transaction_id + value);
	case 1:
		snprintf(name, sizeof(name), "name-%llu", value);
		if (sim_rnd(s, 3))
			snprintf(name, sizeof(name), "v%u-%llu", v->id, value);
		/* A name is taken by one volume at a time. */
		{
			struct hpm_vol_info info;

			if (!hpm_vol_by_name(s->md, name, &info))
				return 0;
		}
		return sim_msg_name(s, v->id, name);
	case 2:
		message_begin(s, SIM_MSG_SIZE, v->id);
		s->msg.value = value;
		r = message_end(s, hpm_vol_set_size(s->md, v->id, value, &why),
				why);
		if (!r)
			v->size = value;
		return r;
	default:
		value = v->flags ^ HPM_VOL_NOSHARE;
		message_begin(s, SIM_MSG_FLAGS, v->id);
		s->msg.value = value;
		r = message_end(s, hpm_vol_set_flags(s->md, v->id, value, &why),
				why);
		if (!r)
			v->flags = value;
		return r;
	}
}

/*
 *----------------------------------------------------------------
 * Streams, punches, moves
 *--------------------------------------------------------------
 */

/* A change, which the caller frees or publishes, and the credit for its record. */
static int new_change(struct sim *s, struct hpm_change **c)
{
	int r = hpm_credit_wait(s->md, 1, HPM_FOR_WRITE);

	if (r)
		return r;
	*c = hpm_change_alloc(s->md, GFP_KERNEL);
	if (*c)
		return 0;
	hpm_credit_put(s->md, 1);
	return -ENOMEM;
}

/* One record, from a credit to its publication. */
static int record(struct sim *s, struct sim_vol *v, u8 type, u64 vbn, u32 nr,
		  u64 pbn, u64 old)
{
	struct hpm_change *c;
	LIST_HEAD(waiters);
	int r = new_change(s, &c);

	if (r)
		return r;
	c->vol = v->vol;
	c->type = type;
	c->vbn = vbn;
	c->nr = nr;
	c->pbn = pbn;
	c->old = old;
	r = hpm_change_lock(c, NULL);
	if (r) {
		hpm_change_free(s->md, c);
		hpm_credit_put(s->md, 1);
		return r;
	}
	hpm_change_publish(c, &waiters);
	sim_trace(v, vbn * HPM_SECTORS, nr * HPM_SECTORS,
		  "v%u record type %u at %llu", v->id, type, pbn);
	sim_wake(&waiters);
	return 0;
}

static int stream_part(struct sim *s, struct sim_vol *v, u64 vbn, u32 nr,
		       u64 pbn)
{
	u64 i, n = (u64)nr * HPM_SECTORS, *stamps = calloc(n, sizeof(u64)), id;
	struct sim_write *w;
	int r;

	BUG_ON(!stamps);
	w = sim_log_add(s, v, vbn * HPM_SECTORS, n, s->stamp);
	for (i = 0; i < n; i++)
		stamps[i] = w->stamp + i;
	id = hpm_mem_data_start(s->io, pbn * HPM_SECTORS, n, stamps, false);
	free(stamps);
	r = hpm_mem_data_end(s->io, id);
	if (!r)
		r = record(s, v, HPM_REC_MAP, vbn, nr, pbn, 0);
	if (r) {
		sim_log_drop(w);
		hpm_space_unreserve(s->md, pbn, nr);
	} else {
		sim_log_done(s, w);
	}
	return r;
}

/* A reserved large block filled from its start, then made one entry. */
int sim_stream(struct sim *s, u32 id, u64 lvbn)
{
	u32 size = 1u << s->p.large_shift, at, nr;
	struct sim_vol *v = sim_vol(s, id);
	u64 pbn;
	int r;

	r = hpm_space_take_large(s->md, &pbn);
	if (r)
		return r == -ENOSPC ? 0 : r;
	s->stream_vol = v;
	s->stream_at = lvbn * HPM_SECTORS;
	for (at = 0; at < size; at += nr) {
		nr = min_t(u32, 1 + sim_rnd(s, size), size - at);
		if (!sim_rnd(s, 16))
			break;
		r = stream_part(s, v, lvbn + at, nr, pbn + at);
		if (r) {
			at += nr;
			break;
		}
	}
	if (at < size)
		hpm_space_unreserve(s->md, pbn + at, size - at);
	else if (!r)
		r = record(s, v, HPM_REC_COLLAPSE, lvbn, size, pbn, 0);
	s->stream_vol = NULL;
	s->st.streams++;
	return r;
}

/* Gives back what overrides hide of the base at @lvbn, if that can be. */
int sim_punch(struct sim *s, u32 id, u64 lvbn)
{
	u32 size = 1u << s->p.large_shift;
	struct sim_vol *v = sim_vol(s, id);
	struct hpm_survey survey;
	int r = hpm_map_survey(v->vol, lvbn, &survey);

	if (r || survey.base == HPM_PBN_HOLE || !survey.hidden)
		return r;
	/* A record that finds nothing to give back does no harm either. */
	if (!survey.punchable && sim_rnd(s, 4))
		return 0;
	s->st.punches++;
	return record(s, v, HPM_REC_PUNCH, lvbn, size, survey.base, 0);
}

static int move_locked(struct sim *s, struct hpm_change *c)
{
	u64 *stamps = calloc((u64)c->nr * HPM_SECTORS, sizeof(u64)), id;
	LIST_HEAD(waiters);
	int r;

	BUG_ON(!stamps);
	r = hpm_mem_data_read(s->io, c->old * HPM_SECTORS, c->nr * HPM_SECTORS,
			      stamps);
	id = hpm_mem_data_start(s->io, c->pbn * HPM_SECTORS,
				c->nr * HPM_SECTORS, stamps, false);
	free(stamps);
	if (hpm_mem_data_end(s->io, id))
		r = -EIO;
	if (r) {
		hpm_space_unreserve(s->md, c->pbn, c->nr);
		hpm_credit_put(s->md, 1);
		hpm_change_cancel(c, &waiters);
	} else {
		sim_trace(NULL, c->vbn * HPM_SECTORS, c->nr * HPM_SECTORS,
			  "move %llu to %llu", c->old, c->pbn);
		hpm_change_publish(c, &waiters);
		s->st.moves++;
	}
	sim_wake(&waiters);
	return r;
}

static void move_undo(struct sim *s, struct sim_vol *v, struct hpm_change *c,
		      bool locked)
{
	LIST_HEAD(waiters);

	hpm_credit_put(s->md, 1);
	hpm_stock_give(&v->stock, c->pbn, c->nr);
	if (locked)
		hpm_change_cancel(c, &waiters);
	else
		hpm_change_free(s->md, c);
	sim_wake(&waiters);
}

static int move_parked(struct sim *s, struct sim_vol *v, u64 at)
{
	u32 size = 1u << s->p.large_shift,
	    nr = min(size - (u32)(at % size), 8u);
	struct hpm_change *c;
	struct hpm_run run;
	int r = new_change(s, &c);

	if (r)
		return r;
	c->vol = v->vol;
	c->type = HPM_REC_MOVE;
	c->vbn = at;
	c->nr = hpm_stock_take(&v->stock, 1 + sim_rnd(s, nr), &c->pbn);
	if (!c->nr || hpm_change_lock(c, NULL)) {
		move_undo(s, v, c, false);
		return 0;
	}
	r = hpm_map_lookup(v->vol, at, c->nr, &run);
	if (r || !run.mapped || run.shared || run.base || run.nr < c->nr) {
		move_undo(s, v, c, true);
		return 0;
	}
	c->old = run.pbn;
	return move_locked(s, c);
}

/* Small blocks that only one volume has go elsewhere; its writes are parked. */
int sim_move(struct sim *s, u32 id, u64 at)
{
	struct sim_vol *v = sim_vol(s, id);
	int r;

	v->parked = true;
	quiesce(s, v);
	r = move_parked(s, v, at);
	v->parked = false;
	return r;
}
