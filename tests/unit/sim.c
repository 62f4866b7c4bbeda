// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated target: a pool from its opening to its end, its workers, and what
 * happens inside calls of the engine.
 */
#include "sim.h"
#include "sim_parts.h"

struct sim *sim_hooked;

/*
 *----------------------------------------------------------------
 * Workers
 *--------------------------------------------------------------
 */

int sim_commit(struct sim *s)
{
	u64 since = s->clock;
	int r = hpm_md_commit(s->md);

	if (!r)
		sim_durable(s, since);
	s->st.commits++;
	if (r && !s->may_fail && !hpm_mem_is_cut(s->io))
		sim_fail(s, "commit: %d", r);
	return r;
}

int sim_checkpoint(struct sim *s)
{
	u64 since = s->clock;
	int r = hpm_md_checkpoint(s->md);

	if (!r)
		sim_durable(s, since);
	s->st.checkpoints++;
	if (r && !s->may_fail && !hpm_mem_is_cut(s->io))
		sim_fail(s, "checkpoint: %d", r);
	return r;
}

int sim_reclaim(struct sim *s)
{
	int r = hpm_md_reclaim_step(s->md);

	/* Ops that are under way may hold all the room there is. */
	if (r < 0 && !(r == -ENOSPC && s->nr_ops) && !s->may_fail &&
	    !hpm_mem_is_cut(s->io))
		sim_fail(s, "reclaim: %d", r);
	return r;
}

static bool token_out(struct sim *s, u64 barrier)
{
	struct sim_op *op;

	list_for_each_entry(op, &s->ops, list)
		if (op->token && op->token <= barrier)
			return true;
	return false;
}

static void drain_one(struct sim *s, struct sim_drain *d)
{
	unsigned int i;

	for (i = 0; i < d->batch->nr && sim_rnd(s, 2); i++)
		hpm_mem_data_discard(s->io, d->batch->ext[i].pbn,
				     d->batch->ext[i].nr, SIM_STAMP_POISON);
	for (i = 0; i < d->batch->nr; i++)
		sim_trace(NULL, d->batch->ext[i].pbn * HPM_SECTORS,
			  d->batch->ext[i].nr * HPM_SECTORS, "drained");
	hpm_free_done(s->md, d->batch);
	list_del(&d->list);
	free(d);
	s->st.drains++;
}

/* Those that no token holds up. */
void sim_drain_some(struct sim *s)
{
	struct sim_drain *d, *n;

	list_for_each_entry_safe(d, n, &s->drains, list)
		if (!token_out(s, d->barrier))
			drain_one(s, d);
}

/* Ends what is under way for who waits for tokens; maps nothing new. */
static void end_ios(struct sim *s)
{
	struct sim_op *op, *n;

	list_for_each_entry_safe(op, n, &s->ops, list)
		if (op->state == SIM_IO)
			sim_op_end(op);
}

int sim_drain_now(struct sim *s)
{
	int r = hpm_md_apply(s->md);

	sim_drain_some(s);
	return r;
}

int sim_drain_all(struct sim *s)
{
	int r = sim_commit(s);

	end_ios(s);
	sim_drain_some(s);
	return r;
}

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

/* One record, from a credit to its publication. */
static int record(struct sim *s, struct sim_vol *v, u8 type, u64 vbn, u32 nr,
		  u64 pbn, u64 old)
{
	struct hpm_change *c;
	LIST_HEAD(waiters);
	int r = hpm_credit_wait(s->md, 1, HPM_FOR_WRITE);

	if (r)
		return r;
	c = hpm_change_alloc(s->md, GFP_KERNEL);
	if (!c) {
		hpm_credit_put(s->md, 1);
		return -ENOMEM;
	}
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
	int r = hpm_credit_wait(s->md, 1, HPM_FOR_WRITE);

	if (r)
		return r;
	c = hpm_change_alloc(s->md, GFP_KERNEL);
	if (!c) {
		hpm_credit_put(s->md, 1);
		return -ENOMEM;
	}
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

/*
 *----------------------------------------------------------------
 * Scripted ops
 *--------------------------------------------------------------
 */

static int run_op(struct sim *s, u32 id, enum sim_kind kind, u64 first, u64 nr)
{
	struct sim_vol *v = sim_vol(s, id);

	sim_op_new(s, v, kind, first, nr);
	sim_finish(s);
	return hpm_mem_is_cut(s->io) ? -EIO : 0;
}

int sim_write_sectors(struct sim *s, u32 id, u64 first, u64 nr)
{
	return run_op(s, id, SIM_WRITE, first, nr);
}

int sim_write_blocks(struct sim *s, u32 id, u64 at, u64 nr)
{
	return run_op(s, id, SIM_WRITE, at * HPM_SECTORS, nr * HPM_SECTORS);
}

int sim_discard_blocks(struct sim *s, u32 id, u64 at, u64 nr)
{
	return run_op(s, id, SIM_DISCARD, at * HPM_SECTORS, nr * HPM_SECTORS);
}

/*
 *----------------------------------------------------------------
 * Random steps
 *--------------------------------------------------------------
 */

struct sim_vol *sim_vol_pick(struct sim *s)
{
	unsigned int i, n = 0, pick;

	for (i = 0; i < SIM_MAX_VOLS; i++)
		n += s->vols[i].exists && s->vols[i].vol;
	if (!n)
		return NULL;
	pick = sim_rnd(s, n);
	for (i = 0; i < SIM_MAX_VOLS; i++)
		if (s->vols[i].exists && s->vols[i].vol && !pick--)
			return &s->vols[i];
	return NULL;
}

/* A file system does not write where it is writing already. */
static bool range_free(struct sim *s, struct sim_vol *v, u64 first, u64 nr)
{
	struct sim_op *op;

	list_for_each_entry(op, &s->ops, list)
		if (op->v == v && op->kind != SIM_READ &&
		    op->first < first + nr && first < op->first + op->nr)
			return false;
	return s->stream_vol != v || s->stream_at >= first + nr ||
	       first >= s->stream_at + ((u64)HPM_SECTORS << s->p.large_shift);
}

static void random_range(struct sim *s, u64 *first, u64 *nr)
{
	u64 large = 1u << s->p.large_shift, max = s->p.vol_blocks;

	switch (sim_rnd(s, 10)) {
	case 8: /* few blocks, by sectors, again and again */
	case 9:
		*first = sim_rnd(s, 3) * large * HPM_SECTORS +
			 sim_rnd(s, 2 * HPM_SECTORS);
		*nr = 1 + sim_rnd(s, 3);
		break;
	case 0: /* whole large blocks */
		*first = sim_rnd(s, max / large) * large * HPM_SECTORS;
		*nr = (1 + sim_rnd(s, 3)) * large * HPM_SECTORS;
		break;
	case 1: /* long, not aligned */
		*first = sim_rnd(s, max) * HPM_SECTORS;
		*nr = (1 + sim_rnd(s, 2 * large)) * HPM_SECTORS;
		break;
	case 2: /* sectors */
		*first = sim_rnd(s, max * HPM_SECTORS);
		*nr = 1 + sim_rnd(s, 12);
		break;
	default: /* a few blocks, and often the same */
		*first =
			sim_rnd(s, sim_rnd(s, 2) ? max : max / 8) * HPM_SECTORS;
		*nr = (1 + sim_rnd(s, 5)) * HPM_SECTORS;
	}
	*nr = min(*nr, max * HPM_SECTORS - *first);
}

void sim_op_start(struct sim *s)
{
	struct sim_vol *v = sim_vol_pick(s);
	u64 kind = sim_rnd(s, 10), first, nr;
	struct sim_op *op;

	if (!v || s->nr_ops >= s->p.max_ops)
		return;
	random_range(s, &first, &nr);
	if (kind < 3) {
		sim_op_new(s, v, SIM_READ, first, nr);
		return;
	}
	if (kind == 3) {
		nr = max_t(u64, 1, nr / HPM_SECTORS) * HPM_SECTORS;
		first = round_down(first, HPM_SECTORS);
	}
	if (v->parked || !range_free(s, v, first, nr))
		return;
	op = sim_op_new(s, v, kind == 3 ? SIM_DISCARD : SIM_WRITE, first, nr);
	op->fua = !sim_rnd(s, 20);
}

static void random_message(struct sim *s)
{
	struct sim_vol *v = sim_vol_pick(s);
	unsigned int i, n = 0;
	u32 id;

	for (i = 0; i < SIM_MAX_VOLS; i++)
		n += s->vols[i].exists;
	id = sim_rnd(s, s->p.max_vols * 3);
	if (!v) {
		sim_msg_create(s, id);
		return;
	}
	switch (sim_rnd(s, 8)) {
	case 0:
		if (n < s->p.max_vols && !sim_vol(s, id))
			sim_msg_create(s, id);
		break;
	case 1:
	case 2:
	case 3:
		if (n < s->p.max_vols && !sim_vol(s, id))
			sim_msg_snap(s, id, v->id);
		break;
	case 4:
	case 5:
	case 6:
		if (n > 1 && n >= s->p.max_vols / 2)
			sim_msg_delete(s, v->id);
		break;
	default:
		sim_msg_attr(s, v);
	}
}

static u64 random_lvbn(struct sim *s)
{
	u64 large = 1u << s->p.large_shift;

	return sim_rnd(s, s->p.vol_blocks / large) * large;
}

static void random_move(struct sim *s, struct sim_vol *v)
{
	u64 moves = s->st.moves;
	unsigned int i;

	for (i = 0; i < 16 && s->st.moves == moves; i++)
		if (sim_move(s, v->id, sim_rnd(s, s->p.vol_blocks)))
			return;
}

static void random_job(struct sim *s)
{
	struct sim_vol *v = sim_vol_pick(s);
	u64 lvbn = random_lvbn(s), large = 1u << s->p.large_shift;

	if (!v)
		return;
	switch (sim_rnd(s, 4)) {
	case 0:
	case 1:
		if (range_free(s, v, lvbn * HPM_SECTORS, large * HPM_SECTORS))
			sim_stream(s, v->id, lvbn);
		break;
	case 2:
		sim_punch(s, v->id, lvbn);
		break;
	default:
		random_move(s, v);
	}
}

static void random_work(struct sim *s)
{
	switch (sim_rnd(s, 8)) {
	case 0:
	case 1:
		hpm_md_apply(s->md);
		break;
	case 2:
	case 3:
		if (!s->p.rare || !sim_rnd(s, s->p.rare))
			sim_commit(s);
		break;
	case 4:
		sim_drain_some(s);
		break;
	case 5:
		sim_reclaim(s);
		break;
	case 6:
		hpm_md_cache_scan(s->md, sim_rnd(s, 64));
		break;
	default:
		if (!sim_rnd(s, 4))
			sim_checkpoint(s);
	}
}

static void serve_kicks(struct sim *s)
{
	unsigned long kicks = s->kicks;

	s->kicks = 0;
	if (kicks & (BIT(HPM_KICK_APPLY) | BIT(HPM_KICK_APPLY_SOON)))
		hpm_md_apply(s->md);
	if (kicks & BIT(HPM_KICK_COMMIT))
		sim_commit(s);
	if (kicks & BIT(HPM_KICK_CHECKPOINT))
		sim_checkpoint(s);
	if (kicks & BIT(HPM_KICK_RECLAIM))
		sim_reclaim(s);
}

/*
 *----------------------------------------------------------------
 * Tasks: who flushes, applies, checkpoints, reclaims and loads at a time
 *--------------------------------------------------------------
 */

struct sim_task {
	struct sim *s;
	struct sim_vol *v;
	struct hpm_vol *vol;
};

static void task_run(void *ctx)
{
	struct sim_task *t = ctx;
	struct sim *s = t->s;

	switch (sim_rnd(s, 8)) {
	case 0:
	case 1:
	case 2:
		sim_commit(s);
		break;
	case 3:
		hpm_md_apply(s->md);
		break;
	case 4:
		sim_checkpoint(s);
		break;
	case 5:
		sim_reclaim(s);
		break;
	default:
		if (t->vol)
			hpm_map_load(t->vol, sim_rnd(s, s->p.vol_blocks));
	}
	if (t->vol)
		t->v->users--;
	free(t);
}

static void start_task(struct sim *s)
{
	struct sim_task *t = calloc(1, sizeof(*t));

	BUG_ON(!t);
	t->s = s;
	t->v = sim_vol_pick(s);
	if (t->v) {
		t->vol = t->v->vol;
		t->v->users++;
	}
	s->st.tasks++;
	hpm_env_task_start(task_run, t);
}

static void step_some_op(struct sim *s)
{
	struct sim_op *op = sim_op_pick(s);

	if (op)
		sim_op_step(op);
}

/* While a message is under way. */
void sim_ops_go_on(struct sim *s)
{
	while (sim_rnd(s, 16)) {
		if (sim_rnd(s, 2))
			sim_op_start(s);
		else
			step_some_op(s);
	}
}

void sim_step(struct sim *s)
{
	u64 what = sim_rnd(s, 100);

	sim_hooked = s;
	s->hooks_on = s->p.interleave;
	if (s->kicks && !sim_rnd(s, 4))
		serve_kicks(s);
	if (hpm_env_tasks() < s->p.max_tasks && !sim_rnd(s, 8))
		start_task(s);
	if (what < 40) {
		sim_op_start(s);
	} else if (what < 88) {
		step_some_op(s);
	} else if (what < 95) {
		random_work(s);
	} else if (what < 98) {
		random_job(s);
	} else if (!s->p.rare || !sim_rnd(s, s->p.rare)) {
		random_message(s);
	}
	s->hooks_on = false;
	sim_hooked = NULL;
}

/*
 *----------------------------------------------------------------
 * In between
 *--------------------------------------------------------------
 */

/* What another worker may be doing, where nobody holds a lock. */
static void other_worker(struct sim *s)
{
	struct sim_vol *v = sim_vol_pick(s);

	switch (sim_rnd(s, 8)) {
	case 0:
		hpm_md_commit(s->md);
		break;
	case 1:
	case 2:
		hpm_md_apply(s->md);
		break;
	case 3:
		if (!sim_rnd(s, 4))
			hpm_md_checkpoint(s->md);
		break;
	case 4:
		hpm_md_reclaim_step(s->md);
		break;
	case 5:
		hpm_md_cache_scan(s->md, sim_rnd(s, 1000));
		break;
	default:
		if (v)
			hpm_map_load(v->vol, sim_rnd(s, s->p.vol_blocks));
	}
}

/* While an engine call sleeps, bios end and new ones are mapped. */
static void sleeper(void *ctx, unsigned int held)
{
	struct sim_op *op;
	struct sim *s = sim_hooked;

	(void)ctx;
	if (!s || !s->hooks_on || sim_rnd(s, 8))
		return;
	s->st.hooks++;
	if (!held && !sim_rnd(s, 4)) {
		other_worker(s);
		return;
	}
	if (!sim_rnd(s, 3))
		sim_op_start(s);
	op = sim_op_pick(s);
	if (!op)
		return;
	if (op->state == SIM_NEW)
		sim_op_map(op);
	else if (op->state == SIM_IO)
		sim_op_end(op);
}

/* While a look-up walks, the trees change and nodes are dropped. */
static void reader(void *ctx, unsigned int held)
{
	struct sim *s = sim_hooked;

	(void)ctx;
	if (!s || !s->hooks_on || held || sim_rnd(s, 64))
		return;
	s->st.hooks++;
	if (sim_rnd(s, 2))
		hpm_md_apply(s->md);
	else
		hpm_md_cache_scan(s->md, 1000);
}

/*
 *----------------------------------------------------------------
 * Opening and closing
 *--------------------------------------------------------------
 */

static void sim_kick(void *ctx, enum hpm_kick what)
{
	struct sim *s = ctx;

	s->kicks |= BIT(what);
}

static void sim_drain(void *ctx, struct list_head *batches)
{
	struct hpm_free_batch *b, *n;
	struct sim *s = ctx;

	might_sleep();
	list_for_each_entry_safe(b, n, batches, list) {
		struct sim_drain *d = calloc(1, sizeof(*d));

		BUG_ON(!d);
		list_del(&b->list);
		d->batch = b;
		d->barrier = s->token_seq;
		list_add_tail(&d->list, &s->drains);
	}
}

static void sim_failed(void *ctx, enum hpm_mode mode, const char *why, int err)
{
	struct sim *s = ctx;

	if (!s->may_fail && !hpm_mem_is_cut(s->io))
		sim_fail(s, "the pool has failed: %s (%d)", why, err);
	s->mode = mode;
}

static const struct hpm_md_ops sim_ops = {
	.kick = sim_kick,
	.drain = sim_drain,
	.failed = sim_failed,
};

int sim_open(struct sim *s)
{
	struct hpm_md_params p = {
		.large_shift = s->p.large_shift,
		.may_format = true,
		.cache_nodes = s->p.cache_nodes,
	};
	const char *why = NULL;
	int r;

	s->kicks = 0;
	s->mode = HPM_MODE_WRITE;
	s->hooks_on = false;
	r = hpm_md_open(s->io, &p, &sim_ops, s, &s->md, &why);
	if (r && !hpm_mem_is_cut(s->io) && !s->may_fail)
		fprintf(stderr, "  open: %s (%d)\n", why ?: "no reason", r);
	return r;
}

static void close_volumes(struct sim *s)
{
	unsigned int i;

	for (i = 0; i < SIM_MAX_VOLS; i++) {
		if (!s->vols[i].vol)
			continue;
		hpm_space_return(s->md, &s->vols[i].stock);
		hpm_vol_put(s->vols[i].vol);
		s->vols[i].vol = NULL;
		memset(&s->vols[i].stock, 0, sizeof(s->vols[i].stock));
		s->vols[i].parked = false;
	}
}

void sim_shutdown(struct sim *s)
{
	int r;

	sim_finish(s);
	sim_drain_all(s);
	close_volumes(s);
	r = hpm_md_shutdown(s->md);
	if (r)
		sim_fail(s, "shutdown: %d", r);
	hpm_md_close(s->md);
	s->md = NULL;
}

void sim_drop(struct sim *s)
{
	struct sim_drain *d, *dn;
	struct sim_op *op, *n;

	hpm_env_task_wait();
	list_for_each_entry(op, &s->ops, list)
		if (op->change)
			sim_op_cancel(op);
	list_for_each_entry_safe(op, n, &s->ops, list)
		sim_op_done(op);
	list_for_each_entry_safe(d, dn, &s->drains, list) {
		hpm_free_done(s->md, d->batch);
		list_del(&d->list);
		free(d);
	}
	close_volumes(s);
	hpm_md_close(s->md);
	s->md = NULL;
}

struct sim *sim_create(const struct sim_params *p)
{
	struct sim *s = calloc(1, sizeof(*s));

	BUG_ON(!s);
	s->p = *p;
	s->rng = p->seed;
	s->stamp = 1;
	INIT_LIST_HEAD(&s->log);
	INIT_LIST_HEAD(&s->past);
	INIT_LIST_HEAD(&s->ops);
	INIT_LIST_HEAD(&s->drains);
	s->image = calloc(p->vol_blocks * HPM_SECTORS, sizeof(u64));
	BUG_ON(!s->image);
	hpm_env_seed(p->seed);
	hpm_env_task_seed(p->seed);
	s->io = hpm_mem_create(p->meta_blocks, p->data_blocks, p->seed);
	if (p->mark)
		hpm_mem_with_mark(s->io);
	hpm_env_set_hooks(p->interleave ? reader : NULL,
			  p->interleave ? sleeper : NULL, NULL);
	if (sim_open(s))
		sim_fail(s, "a new pool cannot be opened");
	return s;
}

void sim_destroy(struct sim *s)
{
	struct sim_write *w, *n;
	unsigned int i;

	hpm_env_set_hooks(NULL, NULL, NULL);
	sim_hooked = NULL;
	if (s->md)
		sim_drop(s);
	list_for_each_entry_safe(w, n, &s->log, list)
		sim_log_drop(w);
	sim_past_clear(s);
	free(s->image);
	for (i = 0; i < SIM_MAX_VOLS; i++) {
		free(s->vols[i].now);
		free(s->vols[i].durable);
		free(s->vols[i].durable_at);
	}
	hpm_io_close(s->io);
	free(s);
}
