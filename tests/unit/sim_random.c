// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens next: what a test asks for, or what comes by chance.
 */
#include "sim.h"
#include "sim_parts.h"

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
		hpm_md_nodes_scan(s->md, sim_rnd(s, 64));
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
