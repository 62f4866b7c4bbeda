// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pool's metadata as events.
 *
 * There are two rounds.  The first one counts the pointers to each node, and
 * reads each node once.  The second one emits the events; a node with more than
 * one pointer is emitted once, as a definition, before it is first needed.
 * Both recurse with falling levels, so a loop on the device ends.
 *
 * If damage is tolerated, everything below a node that cannot be read is lost.
 * If this may include overrides of a base, the base would show what they hid,
 * which may belong to another volume by now; so the rest of the large block is
 * emitted as holes.
 */
#include "sink.h"

struct def {
	u64 first, last; /* keys */
};

enum node_state {
	NS_UNKNOWN,
	NS_GOOD,
	NS_BAD
};

struct emit {
	struct reader r;
	const struct pool *p;
	const struct walk_params *par;
	struct walk_result *res;
	const struct sink *sink;
	void *ctx;
	u32 *count;  /* by block: pointers to it */
	u32 *def_of; /* by block: its definition, 0: none yet */
	u8 *state;   /* by block: enum node_state */
	u8 *level;   /* by block, plus one */
	struct def *def;
	u32 nr_defs, max_defs;
	struct run run;	 /* not emitted yet; nr 0: none */
	u64 first, last; /* keys of the present definition so far */
	bool any, said;
	char owner[64];
};

struct span {
	u64 lower, upper;
};

/* Reports that @span is lost; -1 if this is not tolerated. */
static int lose(struct emit *e, struct span span, const char *why)
{
	e->res->lost_nodes++;
	if (!e->par->tolerant) {
		e->said = true;
		return complain("%s: %s", e->owner, why);
	}
	if (span.upper >> (HPM_VBN_BITS + 1))
		note("%s: small blocks from %llu on are lost: %s", e->owner,
		     span.lower >> 1, why);
	else
		note("%s: small blocks %llu to %llu are lost: %s", e->owner,
		     span.lower >> 1, (span.upper - 1) >> 1, why);
	return 0;
}

/*----------------------------------------------------------------
 * First round
 *--------------------------------------------------------------*/

static struct span child_span(const struct hpm_map_node *node, unsigned int i,
			      struct span in)
{
	struct span s = in;

	if (i)
		s.lower = max_t(u64, in.lower, le64_to_cpu(node->key[i]));
	if (i + 1 < block_nr(node))
		s.upper = min_t(u64, in.upper, le64_to_cpu(node->key[i + 1]));
	return s;
}

static bool is_lost(const struct emit *e, const struct hpm_disk_ptr *ptr,
		    unsigned int level)
{
	u64 block = le64_to_cpu(ptr->block);

	return !block || block >= e->p->meta_blocks ||
	       e->state[block] != NS_GOOD || e->level[block] != level + 1;
}

static int count_node(struct emit *e, const struct hpm_disk_ptr *ptr,
		      unsigned int level, struct span span, u64 cursor);

static int count_children(struct emit *e, const struct hpm_map_node *node,
			  unsigned int level, struct span span, u64 cursor,
			  u64 block)
{
	struct span below;
	unsigned int i;

	for (i = 0; i < block_nr(node); i++) {
		below = child_span(node, i, span);
		if (below.lower >= below.upper) {
			snprintf(e->r.why, sizeof(e->r.why),
				 "block %llu has keys outside its span", block);
			if (lose(e, span, e->r.why))
				return -1;
			continue;
		}
		if (below.upper <= cursor)
			continue;
		if (count_node(e, &node->child[i], level - 1, below, cursor))
			return -1;
		if (!is_lost(e, &node->child[i], level - 1))
			e->state[block] = NS_GOOD;
	}
	return 0;
}

static int count_first(struct emit *e, const struct hpm_disk_ptr *ptr,
		       unsigned int level, struct span span, u64 cursor)
{
	u64 block = le64_to_cpu(ptr->block);
	struct hpm_map_node node;

	if (read_map(&e->r, ptr, level, &node)) {
		e->state[block] = NS_BAD;
		return lose(e, span, e->r.why);
	}
	e->state[block] = NS_BAD;
	if (level)
		return count_children(e, &node, level, span, cursor, block);
	if (leaf_key((void *)&node, 0) < span.lower ||
	    leaf_key((void *)&node, block_nr(&node) - 1) >= span.upper) {
		snprintf(e->r.why, sizeof(e->r.why),
			 "block %llu has keys outside its span", block);
		return lose(e, span, e->r.why);
	}
	e->state[block] = NS_GOOD;
	return 0;
}

static int count_node(struct emit *e, const struct hpm_disk_ptr *ptr,
		      unsigned int level, struct span span, u64 cursor)
{
	u64 block = le64_to_cpu(ptr->block);

	if (!block || block >= e->p->meta_blocks) {
		/* Block 0 stands for all impossible block numbers. */
		e->state[0] = NS_BAD;
		snprintf(
			e->r.why, sizeof(e->r.why),
			"a pointer leads to block %llu, which is not on the device",
			block);
		return lose(e, span, e->r.why);
	}
	if (!e->level[block])
		e->level[block] = level + 1;
	if (e->level[block] != level + 1) {
		snprintf(e->r.why, sizeof(e->r.why),
			 "block %llu is pointed to at two levels", block);
		return lose(e, span, e->r.why);
	}
	if (e->count[block]++)
		return 0;
	return count_first(e, ptr, level, span, cursor);
}

static const struct span everything = { 0, U64_MAX };

static int count_root(struct emit *e, const struct hpm_disk_root *root,
		      u64 cursor)
{
	if (!root->height)
		return 0;
	if (root->height > MAX_HEIGHT)
		return lose(e, everything, "its tree has an impossible height");
	return count_node(e, &root->ptr, root->height - 1, everything, cursor);
}

/*----------------------------------------------------------------
 * Emitting runs
 *--------------------------------------------------------------*/

static int flush_run(struct emit *e)
{
	int r = e->run.nr ? e->sink->run(e->ctx, &e->run) : 0;

	e->run.nr = 0;
	return r;
}

static int tell_run(struct emit *e, const struct run *run)
{
	struct run *cur = &e->run;
	u64 first = run->vbn << 1 | (run->kind != RUN_LARGE);
	u64 last = run->kind == RUN_LARGE ?
			   (run->vbn + run->nr - e->p->large_size) << 1 :
			   (run->vbn + run->nr - 1) << 1 | 1;

	if (!e->any)
		e->first = first;
	e->any = true;
	e->last = last;
	if (cur->nr && cur->kind == run->kind && cur->time == run->time &&
	    cur->vbn + cur->nr == run->vbn &&
	    (run->kind == RUN_HOLE || cur->pbn + cur->nr == run->pbn)) {
		cur->nr += run->nr;
		return 0;
	}
	if (flush_run(e))
		return -1;
	*cur = *run;
	return 0;
}

static const char *entry_fault(const struct emit *e, u64 key, u64 value)
{
	u64 pbn = value & HPM_PBN_MASK, mask = e->p->large_size - 1;

	if (value >> HPM_PBN_BITS > e->p->time)
		return "has a mapping with a time in the future";
	if (key & 1)
		return pbn == HPM_PBN_HOLE || pbn < e->p->data_blocks ?
			       NULL :
			       "maps to a block that is not on the device";
	if (pbn >= e->p->data_blocks || pbn & mask || key >> 1 & mask)
		return "maps to an impossible large block";
	return NULL;
}

static int tell_entry(struct emit *e, u64 block, u64 key, u64 value)
{
	const char *what = entry_fault(e, key, value);
	struct run run = {
		.kind = RUN_SMALL,
		.vbn = key >> 1,
		.pbn = value & HPM_PBN_MASK,
		.nr = 1,
		.time = value >> HPM_PBN_BITS,
	};

	if (what) {
		snprintf(e->r.why, sizeof(e->r.why), "block %llu %s", block,
			 what);
		return lose(e, (struct span){ key, key + 1 }, e->r.why);
	}
	if (!(key & 1)) {
		run.kind = RUN_LARGE;
		run.nr = e->p->large_size;
	} else if (run.pbn == HPM_PBN_HOLE) {
		run.kind = RUN_HOLE;
		run.pbn = 0;
	}
	return tell_run(e, &run);
}

/* Emits the rest of a large block whose overrides may be lost as holes. */
static int tell_nothing(struct emit *e, struct span span)
{
	u64 from = span.lower >> 1, to = span.upper >> 1;
	u64 size = e->p->large_size;
	struct run run = { .kind = RUN_HOLE, .vbn = from, .time = e->p->time };

	if (!(span.lower & (2 * size - 1)))
		return 0;
	to = min_t(u64, to, ((span.lower >> 1) & ~(size - 1)) + size);
	if (from >= to || to > 1ull << HPM_VBN_BITS)
		return 0;
	run.nr = to - from;
	return tell_run(e, &run);
}

/*----------------------------------------------------------------
 * Second round
 *--------------------------------------------------------------*/

static int tell_ref(struct emit *e, u64 block, struct span span)
{
	u32 id = e->def_of[block];
	const struct def *d = &e->def[id - 1];

	if (d->first < span.lower || d->last >= span.upper) {
		snprintf(e->r.why, sizeof(e->r.why),
			 "block %llu has keys outside its span", block);
		return lose(e, span, e->r.why) || tell_nothing(e, span);
	}
	if (flush_run(e))
		return -1;
	if (!e->any)
		e->first = d->first;
	e->any = true;
	e->last = d->last;
	return e->sink->ref(e->ctx, id);
}

static int tell_below(struct emit *e, const struct hpm_disk_ptr *ptr,
		      unsigned int level, struct span span, u64 cursor);

/* Emits the content of a node, whatever points to it. */
static int tell_content(struct emit *e, const struct hpm_disk_ptr *ptr,
			unsigned int level, struct span span, u64 cursor)
{
	u64 block = le64_to_cpu(ptr->block);
	struct hpm_map_node node;
	const struct hpm_map_leaf *leaf = (void *)&node;
	struct span below;
	unsigned int i;

	if (read_map(&e->r, ptr, level, &node))
		return complain("%s", e->r.why);
	for (i = 0; !level && i < block_nr(leaf); i++)
		if (tell_entry(e, block, leaf_key(leaf, i),
			       le64_to_cpu(leaf->value[i])))
			return -1;
	for (i = 0; level && i < block_nr(&node); i++) {
		below = child_span(&node, i, span);
		if (below.lower >= below.upper || below.upper <= cursor)
			continue;
		if (tell_below(e, &node.child[i], level - 1, below, cursor))
			return -1;
	}
	return 0;
}

static int tell_below(struct emit *e, const struct hpm_disk_ptr *ptr,
		      unsigned int level, struct span span, u64 cursor)
{
	u64 block = le64_to_cpu(ptr->block);

	if (is_lost(e, ptr, level))
		return tell_nothing(e, span);
	if (e->def_of[block])
		return tell_ref(e, block, span);
	return tell_content(e, ptr, level, span, cursor);
}

static int add_def(struct emit *e, u64 block)
{
	u32 max = e->max_defs ? 2 * e->max_defs : 256;
	struct def *more;

	if (e->nr_defs == e->max_defs) {
		more = realloc(e->def, max * sizeof(*more));
		if (!more)
			return complain("out of memory");
		e->def = more;
		e->max_defs = max;
	}
	e->def[e->nr_defs++] = (struct def){ e->first, e->last };
	e->def_of[block] = e->nr_defs;
	e->res->defs++;
	return 0;
}

static int tell_def(struct emit *e, const struct hpm_disk_ptr *ptr,
		    unsigned int level, struct span span)
{
	u64 block = le64_to_cpu(ptr->block);

	e->any = false;
	if (e->sink->def_begin(e->ctx, e->nr_defs + 1, level) ||
	    tell_content(e, ptr, level, span, 0) || flush_run(e) ||
	    e->sink->tree_end(e->ctx))
		return -1;
	if (!e->any) {
		/* All of it was lost: nothing may refer to it. */
		e->state[block] = NS_BAD;
		e->first = e->last = 0;
	}
	return add_def(e, block);
}

/* Emits definitions for all shared nodes from here on down. */
static int define_below(struct emit *e, const struct hpm_disk_ptr *ptr,
			unsigned int level, struct span span, u64 cursor)
{
	u64 block = le64_to_cpu(ptr->block);
	struct hpm_map_node node;
	struct span below;
	unsigned int i;

	if (is_lost(e, ptr, level) || e->def_of[block])
		return 0;
	if (level && read_map(&e->r, ptr, level, &node))
		return complain("%s", e->r.why);
	for (i = 0; level && i < block_nr(&node); i++) {
		below = child_span(&node, i, span);
		if (below.lower >= below.upper || below.upper <= cursor)
			continue;
		if (define_below(e, &node.child[i], level - 1, below, cursor))
			return -1;
	}
	return e->count[block] > 1 ? tell_def(e, ptr, level, span) : 0;
}

static int tell_tree(struct emit *e, const struct hpm_disk_root *root,
		     u64 cursor)
{
	e->any = false;
	if (root->height && root->height <= MAX_HEIGHT &&
	    tell_below(e, &root->ptr, root->height - 1, everything, cursor))
		return -1;
	return flush_run(e) || e->sink->tree_end(e->ctx) ? -1 : 0;
}

static int define_tree(struct emit *e, const struct hpm_disk_root *root,
		       u64 cursor)
{
	if (!root->height || root->height > MAX_HEIGHT)
		return 0;
	return define_below(e, &root->ptr, root->height - 1, everything,
			    cursor);
}

/*----------------------------------------------------------------
 * The tables
 *--------------------------------------------------------------*/

static bool volume_there(const struct hpm_disk_volume *v)
{
	return le32_to_cpu(v->flags) & HPM_VOL_LIVE && v->serial;
}

static void name_owner(struct emit *e, const char *what, u64 nr)
{
	snprintf(e->owner, sizeof(e->owner), "%s %llu", what, nr);
}

static int count_volumes(void *ctx, u64 first, const void *elts,
			 unsigned int nr)
{
	const struct hpm_disk_volume *v = elts;
	struct emit *e = ctx;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!volume_there(&v[i]))
			continue;
		name_owner(e, "volume", first + i);
		e->res->volumes++;
		if (count_root(e, &v[i].root, 0))
			return -1;
	}
	return 0;
}

static int count_dying(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_dying *d = elts;
	struct emit *e = ctx;
	unsigned int i;

	(void)first;
	for (i = 0; i < nr; i++) {
		if (!d[i].serial)
			continue;
		name_owner(e, "dying volume of serial",
			   le64_to_cpu(d[i].serial));
		if (count_root(e, &d[i].root, le64_to_cpu(d[i].cursor)))
			return -1;
	}
	return 0;
}

static void take_volume(const struct emit *e, u64 id,
			const struct hpm_disk_volume *d, struct sink_volume *v)
{
	bool recount = e->par->recount;

	*v = (struct sink_volume){
		.id = id,
		.flags = le32_to_cpu(d->flags) & ~HPM_VOL_LIVE,
		.snap_time = min_t(u32, le32_to_cpu(d->snap_time), e->p->time),
		.serial = le64_to_cpu(d->serial),
		.parent = le64_to_cpu(d->parent),
		.size = le64_to_cpu(d->size),
		.created = le64_to_cpu(d->created),
		.mapped = recount ? U64_MAX : le64_to_cpu(d->mapped),
	};
	memcpy(v->name, d->name, HPM_NAME_SIZE - 1);
}

static int tell_volume(struct emit *e, u64 id, const struct hpm_disk_volume *d)
{
	struct sink_volume v;

	name_owner(e, "volume", id);
	take_volume(e, id, d, &v);
	if (define_tree(e, &d->root, 0) || e->sink->volume_begin(e->ctx, &v))
		return -1;
	return tell_tree(e, &d->root, 0);
}

static int tell_volumes(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_volume *v = elts;
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (volume_there(&v[i]) && tell_volume(ctx, first + i, &v[i]))
			return -1;
	return 0;
}

static int tell_dying(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_dying *d = elts;
	struct emit *e = ctx;
	unsigned int i;
	u64 cursor;

	(void)first;
	for (i = 0; i < nr; i++) {
		if (!d[i].serial)
			continue;
		cursor = le64_to_cpu(d[i].cursor);
		if (define_tree(e, &d[i].root, cursor) ||
		    e->sink->dying_begin(e->ctx, le64_to_cpu(d[i].serial)) ||
		    tell_tree(e, &d[i].root, cursor))
			return -1;
	}
	return 0;
}

struct punch_run {
	struct emit *e;
	u64 pbn, nr;
};

static int flush_punched(struct punch_run *pr)
{
	int r = pr->nr ? pr->e->sink->punched(pr->e->ctx, pr->pbn, pr->nr) : 0;

	pr->nr = 0;
	return r;
}

static int tell_punched(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	struct punch_run *pr = ctx;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!(get_unaligned_le16((const u8 *)elts + (size_t)2 * i) &
		      HPM_SMALL_PUNCHED))
			continue;
		if (first + i >= pr->e->p->data_blocks)
			continue;
		if (pr->nr && pr->pbn + pr->nr != first + i &&
		    flush_punched(pr))
			return -1;
		if (!pr->nr)
			pr->pbn = first + i;
		pr->nr++;
	}
	return 0;
}

/*----------------------------------------------------------------
 * The whole
 *--------------------------------------------------------------*/

static void take_super(const struct emit *e, struct sink_super *s)
{
	const struct pool *p = e->p;
	bool recount = e->par->recount, marked = pool_marked(p);

	*s = (struct sink_super){
		.large_shift = p->large_shift,
		.data_blocks = p->data_blocks,
		.time = p->time,
		.transaction_id = le64_to_cpu(p->sb->transaction_id),
		.next_serial = le64_to_cpu(p->sb->next_serial),
		.data_used = recount || e->par->live ?
				     U64_MAX :
				     le64_to_cpu(p->sb->data_used) - marked,
		.marked = marked,
	};
	memcpy(s->uuid, p->label.uuid, HPM_UUID_SIZE);
}

/* A part of a table that cannot be read is a loss, too. */
static int table(struct emit *e, const struct hpm_disk_root *root,
		 unsigned int kind, leaf_fn fn, void *ctx)
{
	e->r.why[0] = 0;
	e->r.skip = e->par->tolerant;
	if (!root || !array_walk(&e->r, root, kind, fn, ctx))
		return 0;
	return e->r.why[0] && !e->said ? complain("%s", e->r.why) : -1;
}

/* Emits the volumes, from the table or from those that were found. */
static int volumes(struct emit *e, leaf_fn fn)
{
	u64 i;

	for (i = 0; i < e->par->nr_found; i++)
		if (fn(e, e->par->found[i].id, &e->par->found[i].d, 1))
			return -1;
	return table(e, e->par->volumes, HPM_ARR_VOLUME, fn, e);
}

static int emit_count(struct emit *e)
{
	e->r.skipped = 0;
	if (volumes(e, count_volumes))
		return -1;
	if (e->r.skipped)
		note("parts of the volume table are lost: %s", e->r.why);
	e->res->lost_volumes = e->r.skipped;
	if (table(e, e->par->dying, HPM_ARR_DYING, count_dying, e))
		return -1;
	return table(e, e->par->held, HPM_ARR_VOLUME, count_volumes, e);
}

static int tell_held(struct emit *e)
{
	if (!e->par->held)
		return 0;
	if (e->sink->held(e->ctx, le32_to_cpu(e->p->sb->held_time)))
		return -1;
	return table(e, e->par->held, HPM_ARR_VOLUME, tell_volumes, e);
}

static int emit_tell(struct emit *e)
{
	struct punch_run pr = { .e = e };
	struct sink_super s;
	int r;

	take_super(e, &s);
	if (e->sink->super(e->ctx, &s) || volumes(e, tell_volumes) ||
	    table(e, e->par->dying, HPM_ARR_DYING, tell_dying, e) ||
	    tell_held(e))
		return -1;
	/*
	 * If parts of this array are missing, the pool is still valid, it only
	 * has less space: punched blocks count as used.
	 */
	r = e->par->live ? 0 :
			   table(e, &e->p->sb->array[HPM_ARR_SMALL],
				 HPM_ARR_SMALL, tell_punched, &pr);
	return r || flush_punched(&pr) || e->sink->end(e->ctx) ? -1 : 0;
}

static int emit_begin(struct emit *e)
{
	u64 n = e->p->meta_blocks;

	e->count = calloc(n, sizeof(*e->count));
	e->def_of = calloc(n, sizeof(*e->def_of));
	e->state = calloc(n, 1);
	e->level = calloc(n, 1);
	if (!e->count || !e->def_of || !e->state || !e->level)
		return complain("out of memory");
	return reader_begin(&e->r, e->p);
}

static void emit_end(struct emit *e)
{
	reader_end(&e->r);
	free(e->def);
	free(e->count);
	free(e->def_of);
	free(e->state);
	free(e->level);
}

int walk_pool(const struct pool *p, const struct walk_params *params,
	      const struct sink *sink, void *ctx, struct walk_result *res)
{
	struct emit e = {
		.p = p,
		.par = params,
		.sink = sink,
		.ctx = ctx,
		.res = res,
	};
	int r;

	*res = (struct walk_result){ 0 };
	r = emit_begin(&e);
	if (!r)
		r = emit_count(&e);
	if (!r && sink)
		r = emit_tell(&e);
	emit_end(&e);
	return r;
}

int walk_losses(const struct pool *p, const struct walk_params *params,
		struct walk_result *res)
{
	return walk_pool(p, params, NULL, NULL, res);
}
