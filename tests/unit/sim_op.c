// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads, writes and discards as small state machines.
 *
 * What map() and end_io would do is done with sleeping forbidden, ends of bios
 * in an interrupt; the rest is the workers'.
 */
#include "sim.h"
#include "sim_parts.h"

/*
 * TRACE=<volume>,<block> tells on stderr what happens to one block; TRACE=all
 * what happens at all.
 */
bool sim_traced(const struct sim_vol *v, u64 first, u64 nr)
{
	static const char *what;
	static int id;
	static long long block;

	if (!what) {
		what = getenv("TRACE") ?: "";
		if (sscanf(what, "%d,%lld", &id, &block) != 2)
			id = -1;
	}
	if (!*what)
		return false;
	return id < 0 || !v ||
	       (v->id == (u32)id && (u64)block * HPM_SECTORS < first + nr &&
		first < (u64)(block + 1) * HPM_SECTORS);
}

/*
 *----------------------------------------------------------------
 * Ops and tokens
 *--------------------------------------------------------------
 */

struct sim_op *sim_op_new(struct sim *s, struct sim_vol *v, enum sim_kind kind,
			  u64 first, u64 nr)
{
	struct sim_op *op = calloc(1, sizeof(*op));

	BUG_ON(!op);
	op->s = s;
	op->v = v;
	op->kind = kind;
	op->first = first;
	op->nr = nr;
	INIT_LIST_HEAD(&op->waiter);
	list_add_tail(&op->list, &s->ops);
	s->nr_ops++;
	s->st.ops[kind]++;
	if (kind == SIM_READ) {
		s->nr_reads++;
	} else {
		v->writes++;
		op->stamp = kind == SIM_WRITE ? s->stamp : 0;
		op->log = sim_log_add(s, v, first, nr, op->stamp);
	}
	return op;
}

static void token_get(struct sim_op *op)
{
	BUG_ON(op->token);
	op->token = ++op->s->token_seq;
}

static void token_put(struct sim_op *op)
{
	op->token = 0;
}

/* Only the first @nr sectors now; the rest is an op of its own. */
static void op_cut(struct sim_op *op, u64 nr)
{
	struct sim_op *rest;

	if (nr >= op->nr)
		return;
	rest = sim_op_new(op->s, op->v, op->kind, op->first + nr, op->nr - nr);
	op->s->st.ops[op->kind]--;
	rest->fua = op->fua;
	op->nr = nr;
	if (op->log)
		op->log->nr = nr;
}

static void large_back(struct sim_op *op)
{
	if (op->has_large)
		hpm_space_unreserve(op->s->md, op->large,
				    1u << op->s->p.large_shift);
	op->has_large = false;
}

void sim_op_done(struct sim_op *op)
{
	token_put(op);
	if (op->credit)
		hpm_credit_put(op->s->md, 1);
	large_back(op);
	if (op->kind != SIM_READ)
		op->v->writes--;
	else if (!--op->s->nr_reads)
		sim_past_clear(op->s);
	list_del(&op->list);
	op->s->nr_ops--;
	free(op->before);
	free(op);
}

/* It ends with an error, which is right only if something was broken. */
static void op_error(struct sim_op *op, int r)
{
	struct sim *s = op->s;

	if (!s->may_fail && !hpm_mem_is_cut(s->io) && r != -ENOSPC)
		sim_fail(s, "an op of kind %d at %llu + %llu: %d", op->kind,
			 op->first, op->nr, r);
	if (r == -ENOSPC)
		s->st.no_space++;
	if (op->log)
		sim_log_drop(op->log);
	sim_op_done(op);
}

static u64 op_vbn(const struct sim_op *op)
{
	return op->first / HPM_SECTORS;
}

static bool op_is_partial(const struct sim_op *op)
{
	return op->first % HPM_SECTORS || op->nr % HPM_SECTORS;
}

/*
 *----------------------------------------------------------------
 * Reading
 *--------------------------------------------------------------
 */

static void read_start(struct sim_op *op, const struct hpm_run *run)
{
	u64 in = op->first % HPM_SECTORS;

	op_cut(op, run->nr * HPM_SECTORS - in);
	sim_trace(op->v, op->first, op->nr, "v%u read, mapped %d at %llu",
		  op->v->id, run->mapped, run->pbn);
	op->mapped = run->mapped;
	op->pbn = run->pbn;
	op->since = op->s->clock;
	op->before = malloc(op->nr * sizeof(u64));
	BUG_ON(!op->before);
	memcpy(op->before, op->v->now + op->first, op->nr * sizeof(u64));
	op->state = SIM_IO;
}

static void read_end(struct sim_op *op)
{
	u64 i, *got = calloc(op->nr, sizeof(u64));
	struct sim *s = op->s;

	BUG_ON(!got);
	if (op->mapped &&
	    hpm_mem_data_read(s->io,
			      op->pbn * HPM_SECTORS + op->first % HPM_SECTORS,
			      op->nr, got)) {
		free(got);
		op_error(op, -EIO);
		return;
	}
	for (i = 0; i < op->nr; i++)
		if (!sim_may_read(s, op->v, op->first + i, got[i],
				  op->before[i], op->since))
			sim_fail(
				s,
				"volume %u sector %llu (pbn %lld): read %#llx, was %#llx, is %#llx",
				op->v->id, op->first + i,
				op->mapped ? (long long)op->pbn : -1LL, got[i],
				op->before[i], op->v->now[op->first + i]);
	free(got);
	sim_op_done(op);
}

/*
 *----------------------------------------------------------------
 * Changing
 *--------------------------------------------------------------
 */

void sim_wake(struct list_head *waiters)
{
	struct sim_op *op, *n;

	list_for_each_entry_safe(op, n, waiters, waiter) {
		list_del_init(&op->waiter);
		op->state = SIM_NEW;
		op->s->st.blocked++;
	}
}

void sim_op_cancel(struct sim_op *op)
{
	LIST_HEAD(waiters);

	sim_trace(op->v, op->first, op->nr, "v%u cancelled", op->v->id);
	hpm_change_cancel(op->change, &waiters);
	op->change = NULL;
	sim_wake(&waiters);
}

static void change_publish(struct sim_op *op)
{
	LIST_HEAD(waiters);

	hpm_change_publish(op->change, &waiters);
	op->change = NULL;
	op->credit = false;
	sim_wake(&waiters);
}

/* Who waits holds nothing that the one it waits for may need. */
static void credit_back(struct sim_op *op)
{
	if (op->credit)
		hpm_credit_put(op->s->md, 1);
	op->credit = false;
}

static bool credit_have(struct sim_op *op)
{
	int r;

	if (op->credit)
		return true;
	r = hpm_credit_get(op->s->md, 1, HPM_FOR_DATA);
	if (!r) {
		op->credit = true;
		return true;
	}
	token_put(op);
	if (r == -EAGAIN)
		op->state = SIM_NEED_CREDIT;
	else
		op_error(op, r);
	return false;
}

/* Locks the op's range.  -EBUSY: it waits behind another change. */
static int change_lock(struct sim_op *op, u8 type, u64 pbn)
{
	struct hpm_change *c = hpm_change_alloc(op->s->md, GFP_NOWAIT);

	if (!c)
		return -ENOMEM;
	c->vol = op->v->vol;
	c->type = type;
	c->vbn = op_vbn(op);
	c->nr = DIV_ROUND_UP(op->first + op->nr, HPM_SECTORS) - c->vbn;
	c->pbn = pbn;
	if (!hpm_change_lock(c, &op->waiter)) {
		op->change = c;
		return 0;
	}
	hpm_change_free(op->s->md, c);
	token_put(op);
	credit_back(op);
	op->state = SIM_BLOCKED;
	return -EBUSY;
}

static void discard_start(struct sim_op *op, const struct hpm_run *run)
{
	int r;

	if (!run->mapped) {
		op_cut(op, run->nr * HPM_SECTORS);
		sim_log_done(op->s, op->log);
		sim_op_done(op);
		return;
	}
	if (!credit_have(op))
		return;
	r = change_lock(op, HPM_REC_UNMAP, 0);
	if (!r)
		op->state = SIM_IO;
	else if (r != -EBUSY)
		op_error(op, r);
}

static void write_in_place(struct sim_op *op, const struct hpm_run *run)
{
	u64 i, *stamps;

	op_cut(op, run->nr * HPM_SECTORS - op->first % HPM_SECTORS);
	sim_trace(op->v, op->first, op->nr, "v%u write %#llx in place at %llu",
		  op->v->id, op->stamp, run->pbn);
	op->fua_passed = op->fua && hpm_vol_durable(op->v->vol);
	stamps = calloc(op->nr, sizeof(u64));
	BUG_ON(!stamps);
	for (i = 0; i < op->nr; i++)
		stamps[i] = op->stamp + i;
	op->data_id = hpm_mem_data_start(
		op->s->io, run->pbn * HPM_SECTORS + op->first % HPM_SECTORS,
		op->nr, stamps, op->fua_passed);
	free(stamps);
	op->state = SIM_IO;
	op->s->st.in_place++;
}

static bool wait_for_space(struct sim_op *op)
{
	token_put(op);
	credit_back(op);
	op->state = SIM_NEED_SPACE;
	return false;
}

/* The stock gives blocks, or the op waits for them; cuts it to what there is. */
static bool blocks_have(struct sim_op *op)
{
	u64 nr = DIV_ROUND_UP(op->nr, HPM_SECTORS), size;
	u32 got;

	size = 1u << op->s->p.large_shift;
	if (op_vbn(op) % size == 0 && nr == size && !op->no_large) {
		if (!op->has_large)
			return wait_for_space(op);
		op->pbn = op->large;
		return true;
	}
	large_back(op);
	got = hpm_stock_take(&op->v->stock, nr, &op->pbn);
	if (!got)
		return wait_for_space(op);
	if (got > nr)
		sim_fail(op->s, "%u blocks from a stock, %llu wanted", got, nr);
	if (op->pbn + got > op->s->p.data_blocks)
		sim_fail(op->s, "blocks %llu + %u from a stock", op->pbn, got);
	if (got < nr)
		op_cut(op, got * HPM_SECTORS);
	return true;
}

static void blocks_return(struct sim_op *op)
{
	if (!op->has_large)
		hpm_stock_give(&op->v->stock, op->pbn,
			       DIV_ROUND_UP(op->nr, HPM_SECTORS));
}

/*
 * The block under a partial write, as it is now that nobody else can change
 * its mapping.  False: somebody gave it a block of its own meanwhile, or the
 * map is not in memory; from the start again.
 */
static bool merge_source(struct sim_op *op, u64 *stamps)
{
	struct hpm_run run;
	int r = hpm_map_lookup(op->v->vol, op_vbn(op), 1, &run);

	if (r || (run.mapped && !run.shared)) {
		sim_op_cancel(op);
		blocks_return(op);
		token_put(op);
		op->state = r ? SIM_NEED_LOAD : SIM_NEW;
		return false;
	}
	if (run.mapped && hpm_mem_data_read(op->s->io, run.pbn * HPM_SECTORS,
					    HPM_SECTORS, stamps)) {
		sim_op_cancel(op);
		blocks_return(op);
		op_error(op, -EIO);
		return false;
	}
	op->s->st.merged += run.mapped;
	return true;
}

static void write_cow(struct sim_op *op)
{
	u64 i, *stamps, nr, in = op->first % HPM_SECTORS;
	int r;

	if (!credit_have(op) || !blocks_have(op))
		return;
	r = change_lock(op, op->has_large ? HPM_REC_LARGE : HPM_REC_MAP,
			op->pbn);
	if (r) {
		blocks_return(op);
		if (r != -EBUSY)
			op_error(op, r);
		return;
	}
	nr = round_up(in + op->nr, HPM_SECTORS);
	stamps = calloc(nr, sizeof(u64));
	BUG_ON(!stamps);
	if (op_is_partial(op) && !merge_source(op, stamps)) {
		free(stamps);
		return;
	}
	sim_trace(op->v, op->first, op->nr, "v%u write %#llx to %s %llu",
		  op->v->id, op->stamp, op->has_large ? "large" : "small",
		  op->pbn);
	for (i = 0; i < op->nr; i++)
		stamps[in + i] = op->stamp + i;
	op->data_id = hpm_mem_data_start(op->s->io, op->pbn * HPM_SECTORS, nr,
					 stamps, false);
	free(stamps);
	op->state = SIM_IO;
	op->s->st.cow++;
	op->s->st.whole += op->has_large;
	if (hpm_fault(HPM_FAULT_RECORD_EARLY)) {
		change_publish(op);
		op->has_large = false;
	}
}

static void write_start(struct sim_op *op, const struct hpm_run *run)
{
	if (run->mapped && !run->shared) {
		write_in_place(op, run);
		return;
	}
	/* Sometimes more than the run: what is there is replaced as well. */
	if (!op_is_partial(op) && !op->has_large && sim_rnd(op->s, 4))
		op_cut(op, run->nr * HPM_SECTORS);
	write_cow(op);
}

/*
 *----------------------------------------------------------------
 * map() and end_io
 *--------------------------------------------------------------
 */

/* To one large block, and partial blocks to one block. */
static void op_trim(struct sim_op *op)
{
	u64 large = HPM_SECTORS << op->s->p.large_shift;
	u64 in = op->first % HPM_SECTORS;

	op_cut(op, large - op->first % large);
	if (op->kind == SIM_READ)
		return;
	if (in)
		op_cut(op, HPM_SECTORS - in);
	else if (op->nr > HPM_SECTORS)
		op_cut(op, round_down(op->nr, HPM_SECTORS));
}

static void __op_map(struct sim_op *op)
{
	u64 nr = DIV_ROUND_UP(op->first % HPM_SECTORS + op->nr, HPM_SECTORS);
	struct hpm_run run;
	int r;

	token_get(op);
	if (op->kind != SIM_READ && hpm_md_mode(op->s->md) != HPM_MODE_WRITE) {
		op_error(op, -EIO);
		return;
	}
	r = hpm_map_lookup(op->v->vol, op_vbn(op), nr, &run);
	if (r) {
		token_put(op);
		op->state = SIM_NEED_LOAD;
		if (r != -EAGAIN)
			op_error(op, r);
		return;
	}
	if (!run.nr || run.nr > nr)
		sim_fail(op->s, "a run of %u of %llu", run.nr, nr);
	if (op->kind == SIM_READ)
		read_start(op, &run);
	else if (op->kind == SIM_DISCARD)
		discard_start(op, &run);
	else
		write_start(op, &run);
}

void sim_op_map(struct sim_op *op)
{
	if (op->v->parked && op->kind != SIM_READ)
		return;
	op_trim(op);
	preempt_disable();
	__op_map(op);
	preempt_enable();
}

static void write_failed(struct sim_op *op)
{
	if (op->change) {
		if (!op->has_large)
			hpm_space_unreserve(op->s->md, op->change->pbn,
					    op->change->nr);
		sim_op_cancel(op);
		op_error(op, -EIO);
		return;
	}
	if (!op->s->may_fail && !hpm_mem_is_cut(op->s->io))
		sim_fail(op->s, "a data write failed");
	sim_log_failed(op->log);
	sim_op_done(op);
}

static void write_end(struct sim_op *op)
{
	if (op->kind == SIM_WRITE && hpm_mem_data_end(op->s->io, op->data_id)) {
		write_failed(op);
		return;
	}
	if (op->change) {
		sim_trace(op->v, op->first, op->nr,
			  "v%u publish kind %d as %llu", op->v->id, op->kind,
			  op->s->clock);
		change_publish(op);
		op->has_large = false;
	}
	sim_log_done(op->s, op->log);
	if (op->fua_passed) {
		sim_durable_write(op->s, op->log);
	} else if (op->fua) {
		token_put(op);
		op->state = SIM_NEED_COMMIT;
		return;
	}
	sim_op_done(op);
}

void sim_op_end(void *ctx)
{
	struct sim_op *op = ctx;

	if (op->kind == SIM_READ)
		read_end(op);
	else
		write_end(op);
}

/*
 *----------------------------------------------------------------
 * What a worker does for them
 *--------------------------------------------------------------
 */

static void return_stocks(struct sim *s)
{
	unsigned int i;

	for (i = 0; i < SIM_MAX_VOLS; i++)
		if (s->vols[i].vol)
			hpm_space_return(s->md, &s->vols[i].stock);
}

static int take_space(struct sim_op *op)
{
	struct sim *s = op->s;

	if (op_vbn(op) % (1u << s->p.large_shift) == 0 && !op->no_large &&
	    op->nr == (u64)HPM_SECTORS << s->p.large_shift) {
		int r = hpm_space_take_large(s->md, &op->large);

		op->has_large = !r;
		op->no_large = r == -ENOSPC;
		return op->no_large ? 0 : r;
	}
	return hpm_space_refill(s->md, &op->v->stock);
}

/* With nothing freed on its way back, nothing allocatable may be left. */
static void check_no_space(struct sim *s)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(s->md, &st);
	if (list_empty(&s->drains) && st.data_free_now && !s->may_fail &&
	    !hpm_mem_is_cut(s->io))
		sim_fail(s, "no space, and %llu blocks are free",
			 st.data_free_now);
}

static void need_space(struct sim_op *op)
{
	struct sim *s = op->s;
	int r = take_space(op);

	if (r == -ENOSPC) {
		/* @op holds no token and is not ended by this. */
		sim_drain_all(s);
		return_stocks(s);
		while (sim_reclaim(s) > 0)
			;
		hpm_md_apply(s->md);
		sim_drain_all(s);
		r = take_space(op);
	}
	if (r == -ENOSPC)
		check_no_space(s);
	if (r)
		op_error(op, r);
	else
		op->state = SIM_NEW;
}

static void need_credit(struct sim_op *op)
{
	int r = hpm_credit_wait(op->s->md, 1,
				op->kind == SIM_DISCARD ? HPM_FOR_DISCARD :
							  HPM_FOR_WRITE);

	if (r && r != -ERESTART) {
		op_error(op, r);
		return;
	}
	/* Without one, too, it begins again. */
	op->credit = !r;
	op->state = SIM_NEW;
}

static void op_work(struct sim_op *op)
{
	int r;

	switch (op->state) {
	case SIM_NEED_LOAD:
		r = hpm_map_load(op->v->vol, op_vbn(op));
		if (r)
			op_error(op, r);
		else
			op->state = SIM_NEW;
		break;
	case SIM_NEED_CREDIT:
		need_credit(op);
		break;
	case SIM_NEED_SPACE:
		need_space(op);
		break;
	case SIM_NEED_COMMIT:
		/* What a commit that failed means, sim_commit() has noted. */
		sim_commit(op->s);
		op->log = NULL;
		sim_op_done(op);
		break;
	default:
		break;
	}
}

/* One step of one op, in the context where it belongs. */
void sim_op_step(struct sim_op *op)
{
	if (op->state == SIM_NEW)
		sim_op_map(op);
	else if (op->state == SIM_IO)
		hpm_env_on_cpu(sim_rnd(op->s, 2), sim_op_end, op);
	else
		op_work(op);
}

struct sim_op *sim_op_pick(struct sim *s)
{
	struct sim_op *op;
	u64 n;

	if (!s->nr_ops)
		return NULL;
	n = sim_rnd(s, s->nr_ops);
	list_for_each_entry(op, &s->ops, list)
		if (!n--)
			return op;
	return NULL;
}

void sim_finish(struct sim *s)
{
	struct sim_op *op;

	hpm_env_task_wait();
	while ((op = sim_op_pick(s)))
		sim_op_step(op);
}
