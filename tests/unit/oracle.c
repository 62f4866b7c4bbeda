// SPDX-License-Identifier: GPL-2.0-only
/*
 * The expected content: arrays of stamps, and a log of writes that a crash may
 * undo.
 */
#include <stdarg.h>

#include "hpm_check.h"
#include "rig.h"
#include "sim.h"

u64 sim_rnd(struct sim *s, u64 n)
{
	u64 z = s->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % n;
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "  after %llu stamps, %llu crashes: ", s->stamp,
		s->st.crashes);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	rig_dump();
	fflush(stderr);
	abort();
}

static u64 vol_sectors(struct sim *s)
{
	return s->p.vol_blocks * HPM_SECTORS;
}

static unsigned int vol_index(struct sim *s, struct sim_vol *v)
{
	return v - s->vols;
}

struct sim_vol *sim_vol(struct sim *s, u32 id)
{
	unsigned int i;

	for (i = 0; i < SIM_MAX_VOLS; i++)
		if (s->vols[i].exists && s->vols[i].id == id)
			return &s->vols[i];
	return NULL;
}

struct sim_vol *sim_vol_new(struct sim *s, u32 id)
{
	struct sim_vol *v = s->vols;

	while (v->exists)
		BUG_ON(++v == s->vols + SIM_MAX_VOLS);
	memset(v, 0, sizeof(*v));
	v->exists = true;
	v->id = id;
	v->now = calloc(vol_sectors(s), sizeof(u64));
	v->durable = calloc(vol_sectors(s), sizeof(u64));
	v->durable_at = calloc(vol_sectors(s), sizeof(u64));
	BUG_ON(!v->now || !v->durable || !v->durable_at);
	return v;
}

void sim_vol_forget(struct sim *s, struct sim_vol *v)
{
	struct sim_write *w, *n;

	list_for_each_entry_safe(w, n, &s->log, list)
		if (w->vi == vol_index(s, v))
			sim_log_drop(w);
	list_for_each_entry_safe(w, n, &s->past, list)
		if (w->vi == vol_index(s, v))
			sim_log_drop(w);
	free(v->now);
	free(v->durable);
	free(v->durable_at);
	memset(v, 0, sizeof(*v));
}

/*
 *----------------------------------------------------------------
 * The log
 *--------------------------------------------------------------
 */

struct sim_write *sim_log_add(struct sim *s, struct sim_vol *v, u64 first,
			      u64 nr, u64 stamp)
{
	struct sim_write *w = calloc(1, sizeof(*w));

	BUG_ON(!w);
	w->vi = vol_index(s, v);
	w->first = first;
	w->nr = nr;
	w->stamp = stamp;
	s->stamp += nr;
	list_add_tail(&w->list, &s->log);
	return w;
}

static u64 stamp_at(const struct sim_write *w, u64 sector)
{
	return w->stamp ? w->stamp + (sector - w->first) : 0;
}

static bool covers(const struct sim_write *w, unsigned int vi, u64 sector)
{
	return w->vi == vi && sector >= w->first && sector < w->first + w->nr;
}

static void write_into(u64 *array, const struct sim_write *w)
{
	u64 i;

	for (i = w->first; i < w->first + w->nr; i++)
		array[i] = stamp_at(w, i);
}

void sim_log_done(struct sim *s, struct sim_write *w)
{
	write_into(s->vols[w->vi].now, w);
	w->done = true;
	w->when = ++s->clock;
}

void sim_log_failed(struct sim_write *w)
{
	w->failed = true;
}

void sim_log_inherit(struct sim *s, struct sim_vol *origin, struct sim_vol *v)
{
	struct sim_write *w, *copy;

	list_for_each_entry(w, &s->log, list) {
		if (w->vi != vol_index(s, origin) || !w->failed)
			continue;
		copy = malloc(sizeof(*copy));
		BUG_ON(!copy);
		*copy = *w;
		copy->vi = vol_index(s, v);
		/* Added in front, so that the loop skips it. */
		list_add(&copy->list, &s->log);
	}
}

void sim_log_drop(struct sim_write *w)
{
	list_del(&w->list);
	free(w);
}

/* Failed writes below a later one cannot reappear. */
static void drop_failed_under(struct sim *s, struct sim_write *over)
{
	struct sim_write *w, *n;

	list_for_each_entry_safe(w, n, &s->log, list) {
		if (w == over)
			return;
		if (w->failed && w->vi == over->vi && w->first >= over->first &&
		    w->first + w->nr <= over->first + over->nr)
			sim_log_drop(w);
	}
}

/*
 * A FUA write is durable before older writes of the same sectors, which stay
 * below it.
 */
static void write_durable(struct sim_vol *v, const struct sim_write *w)
{
	u64 i;

	for (i = w->first; i < w->first + w->nr; i++) {
		if (w->when < v->durable_at[i])
			continue;
		v->durable[i] = stamp_at(w, i);
		v->durable_at[i] = w->when;
	}
}

void sim_durable_write(struct sim *s, struct sim_write *w)
{
	drop_failed_under(s, w);
	write_durable(&s->vols[w->vi], w);
	if (s->nr_reads)
		list_move_tail(&w->list, &s->past);
	else
		sim_log_drop(w);
}

void sim_past_clear(struct sim *s)
{
	struct sim_write *w, *n;

	list_for_each_entry_safe(w, n, &s->past, list)
		sim_log_drop(w);
}

void sim_durable(struct sim *s, u64 since)
{
	struct sim_write *w, *n;

	if (getenv("TRACE")) {
		struct hpm_md_stats st;

		hpm_md_get_stats(s->md, &st);
		fprintf(stderr,
			"  durable until %llu: record %llu applied %llu durable %llu checkpoints %llu\n",
			since, st.record, st.record_applied, st.record_durable,
			st.checkpoints);
	}
	list_for_each_entry_safe(w, n, &s->log, list)
		if (w->done && w->when <= since)
			sim_durable_write(s, w);
}

static bool shows(const struct list_head *list, unsigned int vi, u64 sector,
		  u64 value, u64 since)
{
	struct sim_write *w;

	list_for_each_entry(w, list, list)
		if (covers(w, vi, sector) && value == stamp_at(w, sector) &&
		    (!w->done || w->failed || w->when > since))
			return true;
	return false;
}

bool sim_may_read(struct sim *s, struct sim_vol *v, u64 sector, u64 value,
		  u64 before, u64 since)
{
	return value == before || value == v->now[sector] ||
	       shows(&s->log, vol_index(s, v), sector, value, since) ||
	       shows(&s->past, vol_index(s, v), sector, value, since);
}

static bool may_survive(struct sim *s, struct sim_vol *v, u64 sector, u64 value)
{
	const struct list_head *log = s->look ? &s->look->log : &s->log;
	struct sim_write *w;

	if (value == v->durable[sector])
		return true;
	list_for_each_entry(w, log, list)
		if ((covers(w, vol_index(s, v), sector) ||
		     (v->twin && w->failed && covers(w, v->twin - 1, sector))) &&
		    value == stamp_at(w, sector))
			return true;
	return false;
}

/*
 *----------------------------------------------------------------
 * Comparing everything
 *--------------------------------------------------------------
 */

static void lookup(struct sim *s, struct sim_vol *v, u64 vbn, u32 max,
		   struct hpm_run *run)
{
	int r;

	while ((r = hpm_map_lookup(v->vol, vbn, max, run)) == -EAGAIN) {
		r = hpm_map_load(v->vol, vbn);
		if (r)
			sim_fail(s,
				 "volume %u: map of %llu cannot be loaded: %d",
				 v->id, vbn, r);
	}
	if (r)
		sim_fail(s, "volume %u: look-up of %llu: %d", v->id, vbn, r);
	if (!run->nr || run->nr > max)
		sim_fail(s,
			 "volume %u: a run of %u blocks at %llu, %u asked for",
			 v->id, run->nr, vbn, max);
}

static void complain(struct sim *s, struct sim_vol *v, u64 sector, u64 value,
		     const struct hpm_run *run)
{
	sim_fail(
		s,
		"volume %u block %llu sector %llu (pbn %lld): read %#llx, now %#llx, durable %#llx",
		v->id, sector / HPM_SECTORS, sector % HPM_SECTORS,
		run->mapped ? (long long)run->pbn : -1LL, value, v->now[sector],
		v->durable[sector]);
}

static void compare_vol(struct sim *s, struct sim_vol *v, bool crashed)
{
	u64 vbn, i, sectors, *got = calloc(vol_sectors(s), sizeof(u64));
	struct hpm_run run;

	BUG_ON(!got);
	for (vbn = 0; vbn < s->p.vol_blocks; vbn += run.nr) {
		lookup(s, v, vbn, s->p.vol_blocks - vbn, &run);
		sectors = (u64)run.nr * HPM_SECTORS;
		if (run.mapped && run.pbn + run.nr > s->p.data_blocks)
			sim_fail(s, "volume %u: %llu is at %llu", v->id, vbn,
				 run.pbn);
		if (run.mapped)
			hpm_mem_data_read(s->io, run.pbn * HPM_SECTORS, sectors,
					  got + vbn * HPM_SECTORS);
		for (i = vbn * HPM_SECTORS; sectors--; i++) {
			bool ok = crashed ? may_survive(s, v, i, got[i]) :
					    sim_may_read(s, v, i, got[i],
							 v->now[i], s->clock);

			if (!ok)
				complain(s, v, i, got[i], &run);
		}
	}
	if (crashed && !s->look) {
		memcpy(v->now, got, vol_sectors(s) * sizeof(u64));
		memcpy(v->durable, got, vol_sectors(s) * sizeof(u64));
	}
	free(got);
}

static void compare_info(struct sim *s, struct sim_vol *v)
{
	struct hpm_vol_info info;

	hpm_vol_get_info(v->vol, &info);
	if (info.id != v->id || (v->serial && info.serial != v->serial) ||
	    info.parent != v->parent || info.size != v->size ||
	    info.flags != v->flags || strcmp(info.name, v->name))
		sim_fail(
			s,
			"volume %u: id %u serial %llu parent %llu size %llu flags %u name '%s', awaited %llu %llu %llu %u '%s'",
			v->id, info.id, info.serial, info.parent, info.size,
			info.flags, info.name, v->serial, v->parent, v->size,
			v->flags, v->name);
	v->serial = info.serial;
}

/* Checks that the pool lists exactly the expected volumes. */
static void compare_list(struct sim *s)
{
	struct hpm_vol_info info;
	unsigned int i, found = 0, awaited = 0;
	u32 id = 0;

	while (!hpm_vol_next(s->md, id, &info)) {
		if (!sim_vol(s, info.id))
			sim_fail(s, "there is a volume %u", info.id);
		found++;
		id = info.id + 1;
	}
	for (i = 0; i < SIM_MAX_VOLS; i++)
		awaited += s->vols[i].exists;
	if (found != awaited)
		sim_fail(s, "there are %u volumes, not %u", found, awaited);
}

static void compare_all(struct sim *s, bool crashed)
{
	unsigned int i;

	compare_list(s);
	for (i = 0; i < SIM_MAX_VOLS; i++) {
		struct sim_vol *v = &s->vols[i];

		if (!v->exists)
			continue;
		if (!v->vol && hpm_vol_open(s->md, v->id, &v->vol))
			sim_fail(s, "volume %u cannot be opened", v->id);
		if (!v->stock.md)
			hpm_stock_init(&v->stock);
		compare_info(s, v);
		compare_vol(s, v, crashed);
	}
}

void sim_compare_data(struct sim *s)
{
	unsigned int i;

	for (i = 0; i < SIM_MAX_VOLS; i++)
		if (s->vols[i].exists && s->vols[i].vol)
			compare_vol(s, &s->vols[i], false);
}

void sim_compare(struct sim *s)
{
	compare_all(s, false);
}

/*
 *----------------------------------------------------------------
 * The walker
 *--------------------------------------------------------------
 */

static void walk(struct sim *s)
{
	struct hpm_check_params p = {
		.super = HPM_CHECK_NEWEST,
		.error = rig_print_fault,
	};
	struct hpm_check_result res;

	if (hpm_check(s->io, &p, &res) || res.errors)
		sim_fail(s, "the metadata of checkpoint %llu is not whole",
			 res.generation);
	s->st.punched = max(s->st.punched, res.punched);
	s->st.nodes = max(s->st.nodes, res.nodes);

	/*
	 * The older state must be valid, too, unless its superblock was torn.
	 */
	p.super = HPM_CHECK_OLDER;
	p.error = rig_drop_fault;
	if (hpm_check(s->io, &p, &res) || !res.errors)
		return;
	p.error = rig_print_fault;
	hpm_check(s->io, &p, &res);
	sim_fail(s, "the metadata of the older checkpoint %llu is not whole",
		 res.generation);
}

void sim_may_delete(struct sim *s)
{
	int i, r = 0;

	for (i = 0; i < 3 && !r; i++)
		r = sim_checkpoint(s);
	if (!r)
		r = hpm_credit_wait(s->md, 1, HPM_FOR_DELETE);
	if (!r)
		hpm_credit_put(s->md, 1);
	else if (!s->may_fail && !hpm_mem_is_cut(s->io))
		sim_fail(s, "there is no room for a delete: %d", r);
}

void sim_check(struct sim *s)
{
	int r = sim_checkpoint(s);

	if (r && !s->may_fail)
		sim_fail(s, "checkpoint: %d", r);
	if (!r)
		walk(s);
	if (!r)
		sim_may_delete(s);
}

void sim_check_space(struct sim *s)
{
	struct hpm_md_stats st;
	unsigned int i;
	int r;

	do {
		r = sim_reclaim(s);
	} while (r > 0);
	if (!r)
		r = hpm_md_apply(s->md);
	if (!r)
		r = sim_commit(s);
	if (!r)
		r = sim_drain_all(s);
	if (r)
		sim_fail(s, "cannot settle: %d", r);
	for (i = 0; i < SIM_MAX_VOLS; i++)
		if (s->vols[i].vol)
			hpm_space_return(s->md, &s->vols[i].stock);
	hpm_md_get_stats(s->md, &st);
	if (st.data_free_now != st.data_total - st.data_used - s->p.mark)
		sim_fail(
			s,
			"%llu of %llu blocks are used and %llu are free: some are lost",
			st.data_used, st.data_total, st.data_free_now);
}

/*
 *----------------------------------------------------------------
 * Crashes
 *--------------------------------------------------------------
 */

static bool listed(struct sim *s, u32 id, struct hpm_vol_info *info)
{
	return !hpm_vol_next(s->md, id, info) && info->id == id;
}

/*
 * Finds out whether a message that was in flight, or not committed, had an
 * effect.
 */
static void resolve_message(struct sim *s, struct sim_message *m)
{
	struct hpm_vol_info info;
	bool there = listed(s, m->id, &info);
	struct sim_vol *v, *origin;
	struct hpm_md_stats st;

	switch (m->what) {
	case SIM_MSG_NONE:
		break;
	case SIM_MSG_CREATE:
		if (there)
			sim_vol_new(s, m->id)->flags = info.flags;
		break;
	case SIM_MSG_SNAP:
		if (!there)
			break;
		origin = sim_vol(s, m->origin);
		v = sim_vol_new(s, m->id);
		v->parent = origin->serial;
		v->size = origin->size;
		v->flags = info.flags;
		v->twin = vol_index(s, origin) + 1;
		memcpy(v->now, s->image, vol_sectors(s) * sizeof(u64));
		memcpy(v->durable, s->image, vol_sectors(s) * sizeof(u64));
		break;
	case SIM_MSG_DELETE:
		v = sim_vol(s, m->id);
		if (!there && s->look)
			v->exists = false;
		else if (!there)
			sim_vol_forget(s, v);
		break;
	case SIM_MSG_SIZE:
		if (there && info.size == m->value)
			sim_vol(s, m->id)->size = m->value;
		break;
	case SIM_MSG_FLAGS:
		if (there && info.flags == m->value)
			sim_vol(s, m->id)->flags = m->value;
		break;
	case SIM_MSG_NAME:
		if (there && !strcmp(info.name, m->name))
			strscpy(sim_vol(s, m->id)->name, m->name,
				HPM_NAME_SIZE);
		break;
	case SIM_MSG_TID:
		hpm_md_get_stats(s->md, &st);
		if (st.transaction_id == m->value)
			s->transaction_id = m->value;
		break;
	}
	m->what = SIM_MSG_NONE;
}

static void compare_after_crash(struct sim *s)
{
	struct hpm_md_stats st;

	resolve_message(s, &s->unsure);
	resolve_message(s, &s->msg);
	hpm_md_get_stats(s->md, &st);
	if (getenv("TRACE"))
		fprintf(stderr, "  opened: record %llu\n", st.record);
	if (st.transaction_id != s->transaction_id)
		sim_fail(s, "transaction id %llu, awaited %llu",
			 st.transaction_id, s->transaction_id);
	compare_all(s, true);
	walk(s);
}

void sim_crash(struct sim *s, enum hpm_mem_loss loss, u64 seed)
{
	struct sim_write *w, *n;
	struct hpm_io *io;
	unsigned int i;
	int r;

	hpm_env_task_wait();
	io = hpm_mem_crash(s->io, loss, seed);
	s->st.crashes++;
	if (getenv("TRACE"))
		fprintf(stderr, "  crash\n");
	sim_drop(s);
	hpm_io_close(s->io);
	s->io = io;
	r = sim_open(s);
	if (r)
		sim_fail(s, "the pool cannot be opened after a crash: %d", r);
	compare_after_crash(s);
	for (i = 0; i < SIM_MAX_VOLS; i++)
		s->vols[i].twin = 0;
	list_for_each_entry_safe(w, n, &s->log, list)
		sim_log_drop(w);
	sim_past_clear(s);
}

/* Opens the pool until a recovery is no longer interrupted. */
static void open_with_cut(struct sim *s, enum hpm_mem_loss loss, u64 seed,
			  u64 cut)
{
	struct hpm_io *io;
	int r;

	if (cut)
		hpm_mem_cut_at(s->io, cut);
	r = sim_open(s);
	if (cut && hpm_mem_is_cut(s->io)) {
		if (!r)
			sim_drop(s);
		io = hpm_mem_crash(s->io, loss, seed + 1);
		hpm_io_close(s->io);
		s->io = io;
		r = sim_open(s);
	}
	if (r)
		sim_fail(s, "the pool cannot be opened after a crash: %d", r);
}

static bool super_whole(struct hpm_io *io, enum hpm_check_super which,
			u64 *generation)
{
	struct hpm_check_params p = { .super = which };
	struct hpm_check_result res;
	int r = hpm_check(io, &p, &res);

	*generation = res.generation;
	return !r;
}

static void rot_newer(struct hpm_io *io, u64 seed)
{
	u8 block[HPM_BLOCK_SIZE];
	u64 a, b, at;

	if (!super_whole(io, HPM_CHECK_BLOCK_A, &a) ||
	    !super_whole(io, HPM_CHECK_BLOCK_B, &b))
		return;
	at = a > b ? HPM_SUPER_A : HPM_SUPER_B;
	memcpy(block, hpm_mem_peek(io, at), sizeof(block));
	block[seed % HPM_BLOCK_SIZE] ^= 1u << seed / 7 % 8;
	hpm_mem_poke(io, at, block);
}

static void look(struct sim *s, struct hpm_io *io, enum hpm_mem_loss loss,
		 u64 seed, u64 recovery_cut)
{
	struct sim c = *s;
	unsigned int i;

	c.look = s;
	c.io = io;
	c.md = NULL;
	INIT_LIST_HEAD(&c.log);
	INIT_LIST_HEAD(&c.past);
	INIT_LIST_HEAD(&c.ops);
	INIT_LIST_HEAD(&c.drains);
	c.nr_reads = 0;
	for (i = 0; i < SIM_MAX_VOLS; i++) {
		c.vols[i].vol = NULL;
		memset(&c.vols[i].stock, 0, sizeof(c.vols[i].stock));
	}
	open_with_cut(&c, loss, seed, recovery_cut);
	compare_after_crash(&c);
	sim_drop(&c);
	hpm_io_close(c.io);
	for (i = 0; i < SIM_MAX_VOLS; i++) {
		if (c.vols[i].now == s->vols[i].now)
			continue;
		free(c.vols[i].now);
		free(c.vols[i].durable);
		free(c.vols[i].durable_at);
	}
}

void sim_crash_look(struct sim *s, enum hpm_mem_loss loss, u64 seed,
		    u64 recovery_cut)
{
	look(s, hpm_mem_crash(s->io, loss, seed), loss, seed, recovery_cut);
}

void sim_crash_rot(struct sim *s, enum hpm_mem_loss loss, u64 seed)
{
	struct hpm_io *io = hpm_mem_crash(s->io, loss, seed);

	rot_newer(io, seed);
	look(s, io, loss, seed, 0);
}
