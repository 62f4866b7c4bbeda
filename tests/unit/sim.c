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
		hpm_md_nodes_scan(s->md, sim_rnd(s, 1000));
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
		hpm_md_nodes_scan(s->md, 1000);
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
