// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of records: the metadata blocks that patterns of writes use, and the
 * most that one record takes, in the worst trees.
 *
 * A tree is planted node by node, so that it has shapes that the present
 * splices do not make, but those of an earlier version did: leaves with one
 * entry, inner nodes with one child, all nodes shared.  Records are applied to
 * it one by one, with only as many free blocks as their credit has reserved.
 */
#include "hpm_check.h"
#include "hpm_mem_io.h"
#include "rig.h"

#include "engine.h"
#include "apply.h"
#include "array.h"
#include "cost.h"
#include "dying.h"
#include "map.h"
#include "node.h"
#include "space.h"
#include "volumes.h"

#define LARGE 512u

struct pool {
	struct hpm_io *io;
	struct hpm_md *md;
	u64 rng;
	struct hpm_stock stock;
	u64 most; /* the most that one record took */
};

static u64 mix(u64 z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u64 rnd(struct pool *p, u64 n)
{
	p->rng += 0x9e3779b97f4a7c15ull;
	return mix(p->rng) % n;
}

static void drain(void *ctx, struct list_head *batches)
{
	struct pool *p = ctx;
	struct hpm_free_batch *b, *n;

	list_for_each_entry_safe(b, n, batches, list) {
		list_del(&b->list);
		hpm_free_done(p->md, b);
	}
}

static const struct hpm_md_ops ops = { .drain = drain };

static void pool_open(struct pool *p)
{
	struct hpm_md_params params = { .large_shift = 9, .may_format = true };
	const char *why;

	assert_int_equal(hpm_md_open(p->io, &params, &ops, p, &p->md, &why), 0);
	hpm_stock_init(&p->stock);
}

static struct pool *pool_new(u64 meta, u64 data, u64 seed)
{
	struct pool *p = calloc(1, sizeof(*p));

	p->rng = seed;
	p->io = hpm_mem_create(meta, data, seed);
	pool_open(p);
	return p;
}

static void pool_end(struct pool *p)
{
	hpm_md_close(p->md);
	hpm_io_close(p->io);
	free(p);
}

static struct hpm_vol *vol_new(struct pool *p, u32 id)
{
	struct hpm_vol *vol;
	const char *why;

	assert_int_equal(hpm_vol_create(p->md, id, 0, NULL, &why), 0);
	assert_int_equal(hpm_vol_open(p->md, id, &vol), 0);
	return vol;
}

static void checkpoints(struct pool *p)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(hpm_md_checkpoint(p->md), 0);
}

static void walk(struct pool *p)
{
	struct hpm_check_params params = { .error = rig_print_fault };
	struct hpm_check_result res;

	assert_int_equal(hpm_md_checkpoint(p->md), 0);
	assert_int_equal(hpm_check(p->io, &params, &res), 0);
	assert_int_equal(res.errors, 0);
}

/*
 *----------------------------------------------------------------
 * Patterns of writes
 *--------------------------------------------------------------
 */

static u64 writes; /* the number of writes in a pattern */

static u64 ascending(u64 i)
{
	return i;
}
static u64 every_second(u64 i)
{
	return 2 * i;
}
static u64 descending(u64 i)
{
	return writes - i;
}
static u64 alternating(u64 i)
{
	return i & 1 ? 600000 + i / 2 : 600000 - i / 2;
}
static u64 scattered(u64 i)
{
	return mix(i * 0x9e3779b97f4a7c15ull) >> 44;
}
static u64 downward_strided(u64 i)
{
	return 40000000 - 7 * i;
}
static u64 downward_far(u64 i)
{
	return 40000000 - 337 * i;
}
static u64 eight_down(u64 i)
{
	return i % 8 * 100000 + 90000 - i / 8;
}
static u64 many_down(u64 i)
{
	return i % 64 * 10000 + 9000 - i / 64;
}
static u64 many_up(u64 i)
{
	return i % 64 * 10000 + i / 64;
}
static u64 inward(u64 i)
{
	return i & 1 ? 900000 - i / 2 : i / 2;
}
static u64 groups_down(u64 i)
{
	return (writes / LARGE - i / LARGE) * LARGE + i % LARGE;
}
static u64 runs_down(u64 i)
{
	return (writes / 16 - i / 16) * 16 + i % 16;
}
static u64 down_in_groups(u64 i)
{
	return i / LARGE * LARGE + LARGE - 1 - i % LARGE;
}
static u64 down_in_runs(u64 i)
{
	return i / 16 * 16 + 15 - i % 16;
}
static u64 down_from_middle(u64 i)
{
	return i < writes / 2 ? 4 * i : 2 * writes - 3 * (i - writes / 2) - 1;
}

enum ground {
	BARE,
	FULL_LEAF, /* a full leaf in front of all writes */
	SPARSE,	   /* scattered entries */
	BASES,	   /* all writes override a base */
};

static const struct pattern {
	const char *name;
	u64 (*at)(u64 i);
	u64 writes;
	enum ground ground;
	u64 limit; /* metadata blocks */
} patterns[] = {
	/* The limits of the first five are those of an earlier version. */
	{ "ascending", ascending, 100000, BARE, 355 },
	{ "every second", every_second, 100000, BARE, 355 },
	{ "scattered", scattered, 100000, BARE, 505 },
	{ "descending", descending, 100000, BARE, 652 },
	{ "alternating", alternating, 100000, BARE, 498 },
	{ "downwards behind a full leaf", descending, 10000, FULL_LEAF, 100 },
	/* The counts of 20,000 blocks take 12 of the blocks. */
	{ "downwards, strided", downward_strided, 20000, FULL_LEAF, 160 },
	{ "downwards, far apart", downward_far, 20000, FULL_LEAF, 160 },
	{ "eight downwards", eight_down, 20000, FULL_LEAF, 160 },
	{ "64 downwards", many_down, 20000, FULL_LEAF, 160 },
	{ "64 upwards", many_up, 20000, FULL_LEAF, 160 },
	{ "from both ends", inward, 20000, FULL_LEAF, 160 },
	{ "large blocks downwards", groups_down, 20000, FULL_LEAF, 160 },
	{ "runs downwards", runs_down, 20000, FULL_LEAF, 160 },
	{ "downwards in each large block", down_in_groups, 20000, FULL_LEAF,
	  160 },
	{ "downwards in each run", down_in_runs, 20000, FULL_LEAF, 160 },
	{ "downwards from the middle", down_from_middle, 20000, FULL_LEAF,
	  160 },
	{ "zigzag among others", alternating, 20000, SPARSE, 160 },
	{ "downwards among others", descending, 20000, SPARSE, 160 },
	{ "eight downwards among others", eight_down, 20000, SPARSE, 160 },
	{ "runs downwards among others", runs_down, 20000, SPARSE, 160 },
	{ "upwards over bases", ascending, 20000, BASES, 160 },
	{ "downwards over bases", descending, 20000, BASES, 160 },
	{ "runs downwards over bases", runs_down, 20000, BASES, 160 },
	{ "from the middle over bases", down_from_middle, 20000, BASES, 160 },
};

static void put(struct pool *p, struct hpm_vol *vol, u64 key, u64 pbn)
{
	struct hpm_entry e = {
		.key = key,
		.value = hpm_value(p->md->time, pbn),
	};
	struct hpm_splice sp;

	mutex_lock(&p->md->lock);
	assert_int_equal(hpm_map_splice(vol, key, key + 1, &e, 1, &sp), 0);
	mutex_unlock(&p->md->lock);
}

/*
 * Makes the entries that are there before the writes; returns the next free
 * PBN.
 */
static u64 lay_ground(struct pool *p, struct hpm_vol *vol, enum ground ground)
{
	u64 i, shift = ground == FULL_LEAF ? 1ull << 24 : 0;

	switch (ground) {
	case FULL_LEAF:
		/*
		 * In front of the writes; in another region this would test
		 * nothing.
		 */
		for (i = 0; i < HPM_LEAF_MAX; i++)
			put(p, vol, hpm_key_small(2 * i), i);
		return shift ? HPM_LEAF_MAX : 0;
	case SPARSE:
		for (i = 0; i < 5000; i++)
			put(p, vol, hpm_key_small(997 * i + 333), i);
		return 5000;
	case BASES:
		for (i = 0; i < 200; i++)
			put(p, vol, hpm_key_base(i * LARGE), i * LARGE);
		return 200 * LARGE;
	default:
		return 0;
	}
}

static u64 run_pattern(const struct pattern *t)
{
	struct pool *p = pool_new(16384, 1 << 18, 1);
	struct hpm_vol *vol = vol_new(p, 1);
	u64 i, pbn, used, at = t->ground == FULL_LEAF ? 1000 : 0;

	writes = t->writes;
	pbn = lay_ground(p, vol, t->ground);
	checkpoints(p);
	used = p->md->refs.nr_used;
	for (i = 0; i < writes; i++) {
		put(p, vol, hpm_key_small(at + t->at(i)), pbn + i);
		if (i % 4000 == 3999)
			assert_int_equal(hpm_md_checkpoint(p->md), 0);
	}
	used = p->md->refs.nr_used - used;
	hpm_vol_put(vol);
	pool_end(p);
	return used;
}

static void test_patterns(void **state)
{
	const struct pattern *t;
	u64 used;

	(void)state;
	for (t = patterns; t < patterns + ARRAY_SIZE(patterns); t++) {
		used = run_pattern(t);
		fprintf(stderr, "    %s: %llu writes, %llu metadata blocks\n",
			t->name, t->writes, used);
		if (used > t->limit)
			fail_msg("%s: %llu metadata blocks, %llu are right",
				 t->name, used, t->limit);
	}
}

/*
 *----------------------------------------------------------------
 * Planting trees
 *--------------------------------------------------------------
 */

#define PLANT_MAX 4096u

struct shape {
	unsigned int leaf;   /* the most entries in a leaf; but see exact */
	unsigned int fan;    /* children of each inner node ... */
	unsigned int levels; /* ... on this many levels; above, full nodes */
	bool exact;	     /* exactly @leaf entries in each leaf */
};

struct plant {
	struct hpm_ptr ptr[PLANT_MAX];
	u64 key[PLANT_MAX];
	unsigned int nr;
};

static void plant_leaf(struct pool *p, struct plant *t,
		       const struct hpm_entry *e, unsigned int nr)
{
	struct hpm_node *n;
	unsigned int i;

	assert_int_equal(hpm_node_new(p->md, HPM_BT_MAP_LEAF, 0, &n), 0);
	n->head->aux = cpu_to_le64(e[0].key >> 32);
	n->head->nr = cpu_to_le16(nr);
	for (i = 0; i < nr; i++) {
		n->leaf->key[i] = cpu_to_le32((u32)e[i].key);
		n->leaf->value[i] = cpu_to_le64(e[i].value);
		assert_int_equal(hpm_space_count_entry(p->md, &e[i], 1), 0);
	}
	t->key[t->nr] = e[0].key;
	t->ptr[t->nr++] = hpm_node_ptr(n);
	hpm_node_put(n);
}

/* Makes the level above the @t->nr nodes. */
static void plant_level(struct pool *p, struct plant *t, unsigned int level,
			unsigned int fan)
{
	unsigned int i, k, nr = 0;
	struct hpm_node *n;

	for (i = 0; i < t->nr; i += k) {
		k = min(fan, t->nr - i);
		assert_int_equal(
			hpm_node_new(p->md, HPM_BT_MAP_NODE, level, &n), 0);
		n->head->nr = cpu_to_le16(k);
		for (unsigned int j = 0; j < k; j++) {
			n->node->key[j] = cpu_to_le64(t->key[i + j]);
			hpm_ptr_to_disk(&n->node->child[j], t->ptr[i + j]);
		}
		t->key[nr] = t->key[i];
		t->ptr[nr++] = hpm_node_ptr(n);
		hpm_node_put(n);
	}
	t->nr = nr;
}

/* Replaces the volume's map by a tree of these entries. */
static void plant(struct pool *p, struct hpm_vol *vol, struct shape s,
		  const struct hpm_entry *e, unsigned int nr)
{
	struct plant *t = calloc(1, sizeof(*t));
	unsigned int i, k, level;

	mutex_lock(&p->md->lock);
	for (i = 0; i < nr; i += k) {
		k = s.exact ? s.leaf : 1 + rnd(p, s.leaf);
		k = min(k, nr - i);
		plant_leaf(p, t, e + i, k);
	}
	for (level = 1; t->nr > 1 || level <= s.levels; level++)
		plant_level(p, t, level,
			    level <= s.levels ? s.fan : HPM_NODE_MAX - 1);
	assert_true(level <= HPM_MAP_HEIGHT - 1);
	vol->root.ptr = t->ptr[0];
	vol->root.height = level;
	hpm_cost_height(p->md, level);
	hpm_vol_mark_dirty(vol);
	mutex_unlock(&p->md->lock);
	free(t);
}

/*
 *----------------------------------------------------------------
 * Records
 *--------------------------------------------------------------
 */

/*
 * The blocks that a credit reserves now, except those for later copies of new
 * nodes of the counts.
 */
static u64 credit_worth(struct pool *p)
{
	u64 worth = hpm_record_blocks(p->md) +
		    min_t(u64, hpm_record_counts(p->md), p->md->counts_left);

	if (hpm_counts_may_carry(p->md, 1))
		worth += hpm_record_high(p->md);
	return worth;
}

/* Applies published records with the blocks of one credit only. */
static void apply_with_credit(struct pool *p, const char *what)
{
	struct hpm_refs *refs = &p->md->refs;
	u64 all = refs->nr_free, most;
	int r;

	most = credit_worth(p);
	assert_true(all >= most);
	refs->nr_free = most;
	r = hpm_md_apply(p->md);
	if (r)
		fail_msg("%s: %d, with %llu blocks", what, r, most);
	if (refs->nr_free < most)
		p->most = max(p->most, most - refs->nr_free);
	refs->nr_free = all - most + refs->nr_free;
}

/*
 * Takes blocks in one run: a free large block or, if there is none, fewer
 * blocks.
 */
static void take_blocks(struct pool *p, u32 *nr, u64 *pbn)
{
	if (!hpm_space_take_large(p->md, pbn)) {
		hpm_space_unreserve(p->md, *pbn + *nr, LARGE - *nr);
		return;
	}
	if (p->stock.blocks < *nr)
		assert_int_equal(hpm_space_refill(p->md, &p->stock), 0);
	*nr = hpm_stock_take(&p->stock, *nr, pbn);
	assert_int_not_equal(*nr, 0);
}

/*
 * Publishes a record without applying it; @nr may become smaller for a MAP or a
 * MOVE.
 */
static void publish(struct pool *p, struct hpm_vol *vol, u8 type, u64 vbn,
		    u32 *nr, u64 *pbn, u64 old)
{
	struct hpm_change *c = hpm_change_alloc(p->md, GFP_NOIO);
	LIST_HEAD(waiters);

	assert_int_equal(hpm_credit_wait(p->md, 1, HPM_FOR_WRITE), 0);
	c->vol = vol;
	c->type = type;
	c->vbn = vbn;
	c->old = old;
	if (type == HPM_REC_LARGE)
		assert_int_equal(hpm_space_take_large(p->md, pbn), 0);
	else if (type == HPM_REC_MAP || type == HPM_REC_MOVE)
		take_blocks(p, nr, pbn);
	c->pbn = *pbn;
	c->nr = *nr;
	assert_int_equal(hpm_change_lock(c, NULL), 0);
	hpm_change_publish(c, &waiters);
}

/* Publishes and applies one record. */
static void record(struct pool *p, struct hpm_vol *vol, u8 type, u64 vbn,
		   u32 *nr, u64 *pbn, u64 old)
{
	char what[80];

	publish(p, vol, type, vbn, nr, pbn, old);
	snprintf(what, sizeof(what), "record of type %u, block %llu, %u long",
		 type, vbn, *nr);
	apply_with_credit(p, what);
}

/*
 * Compares everything after a power cut at this point, as far as it was
 * committed.
 */
static void look_after_cut(struct pool *p, u32 id, u64 vbn, u32 nr,
			   const u64 *seen)
{
	struct pool q = { .io = hpm_mem_crash(p->io, HPM_LOSE_ALL, 1) };
	struct hpm_run run;
	struct hpm_vol *vol;
	u32 i;

	pool_open(&q);
	assert_int_equal(hpm_md_mode(q.md), HPM_MODE_WRITE);
	assert_int_equal(hpm_vol_open(q.md, id, &vol), 0);
	for (i = 0; i < nr; i++) {
		assert_int_equal(hpm_map_load(vol, vbn + i), 0);
		assert_int_equal(hpm_map_lookup(vol, vbn + i, 1, &run), 0);
		assert_int_equal(run.mapped ? run.pbn + 1 : 0, seen[i]);
	}
	hpm_vol_put(vol);
	walk(&q);
	hpm_md_close(q.md);
	hpm_io_close(q.io);
}

/*
 *----------------------------------------------------------------
 * Random records in random trees, against an array
 *--------------------------------------------------------------
 */

#define GROUPS 6u
#define VBNS   (GROUPS * LARGE)

/* By VBN: what is visible, and whether it is an override or part of a base. */
struct model {
	u64 seen[VBNS];	  /* PBN + 1; 0: nothing */
	u64 base[GROUPS]; /* PBN; 0: none */
	bool own[VBNS];	  /* has an entry of its own */
};

static void look_at(struct pool *p, struct hpm_vol *vol, struct model *m)
{
	struct hpm_run run;
	u64 value, i;

	for (i = 0; i < VBNS; i++) {
		assert_int_equal(hpm_map_load(vol, i), 0);
		assert_int_equal(hpm_map_lookup(vol, i, 1, &run), 0);
		m->seen[i] = run.mapped ? run.pbn + 1 : 0;
	}
	mutex_lock(&p->md->lock);
	for (i = 0; i < VBNS; i++) {
		m->own[i] = !hpm_map_value(p->md, vol->root, hpm_key_small(i),
					   &value);
		if (i % LARGE == 0)
			m->base[i / LARGE] = hpm_map_value(p->md, vol->root,
							   hpm_key_base(i),
							   &value) ?
						     0 :
						     hpm_value_pbn(value);
	}
	mutex_unlock(&p->md->lock);
}

static void compare(struct pool *p, struct hpm_vol *vol, const struct model *m)
{
	static struct model now;
	u64 i, mapped = 0;

	look_at(p, vol, &now);
	for (i = 0; i < VBNS; i++) {
		if (now.seen[i] != m->seen[i])
			fail_msg("block %llu is at %lld, not at %lld", i,
				 now.seen[i] - 1, m->seen[i] - 1);
		mapped += m->seen[i] != 0;
	}
	assert_int_equal(vol->mapped, mapped);
}

/* Makes random entries for the large blocks, in key order. */
static unsigned int make_entries(struct pool *p, struct hpm_entry *e,
				 u64 *mapped)
{
	unsigned int g, i, n = 0, dense;
	bool base;
	u64 pbn;

	*mapped = 0;
	for (g = 0; g < GROUPS; g++) {
		base = rnd(p, 3) != 0;
		dense = rnd(p, 2) ? 100 : rnd(p, 100);
		if (base) {
			pbn = (70 + rnd(p, 30)) * LARGE;
			e[n++] = (struct hpm_entry){
				.key = hpm_key_base(g * LARGE),
				.value = hpm_value(p->md->time, pbn),
			};
			*mapped += LARGE;
		}
		for (i = 0; i < LARGE; i++) {
			if (i == 77 || rnd(p, 100) >= dense)
				continue;
			pbn = 1 + rnd(p, 70 * LARGE - 1);
			if (base && !rnd(p, 4))
				pbn = HPM_PBN_HOLE;
			*mapped += pbn != HPM_PBN_HOLE;
			*mapped -= base;
			e[n++] = (struct hpm_entry){
				.key = hpm_key_small(g * LARGE + i),
				.value = hpm_value(p->md->time, pbn),
			};
		}
	}
	return n;
}

static void model_record(struct pool *p, struct hpm_vol *vol, struct model *m,
			 u8 type, u64 vbn, u32 nr)
{
	u64 pbn = 0, old = 0, g = vbn / LARGE, i;

	if (type == HPM_REC_MOVE) {
		/* Moves one block only, as runs of planted blocks are rare. */
		nr = 1;
		old = m->seen[vbn] - 1;
		if (!m->seen[vbn])
			return;
	}
	if (type == HPM_REC_PUNCH)
		pbn = m->base[g];
	if (type == HPM_REC_PUNCH && !pbn)
		return;
	record(p, vol, type, vbn, &nr, &pbn, old);
	if (type == HPM_REC_MOVE || type == HPM_REC_PUNCH) {
		/* The record may correctly have changed nothing. */
		look_at(p, vol, m);
		return;
	}
	for (i = 0; i < nr; i++)
		m->seen[vbn + i] = type == HPM_REC_UNMAP ? 0 : pbn + i + 1;
	if (type == HPM_REC_LARGE)
		m->base[g] = pbn;
}

static void random_record(struct pool *p, struct hpm_vol *vol, struct model *m)
{
	static const u8 types[] = { HPM_REC_MAP,   HPM_REC_MAP,	  HPM_REC_MAP,
				    HPM_REC_MOVE,  HPM_REC_UNMAP, HPM_REC_UNMAP,
				    HPM_REC_LARGE, HPM_REC_PUNCH };
	u8 type = types[rnd(p, ARRAY_SIZE(types))];
	u64 lvbn = rnd(p, GROUPS) * LARGE,
	    first = rnd(p, 2) ? 0 : rnd(p, LARGE);
	u32 nr = rnd(p, 2) ? LARGE - first : 1 + rnd(p, LARGE - first);

	if (type == HPM_REC_LARGE || type == HPM_REC_PUNCH) {
		first = 0;
		nr = LARGE;
	}
	model_record(p, vol, m, type, lvbn + first, nr);
	if (rnd(p, 2)) {
		look_at(p, vol, m);
		return;
	}
	/*
	 * Overrides all of a large block but one block, and then that: the base
	 * must go.
	 */
	if (type == HPM_REC_MAP && nr == 1)
		model_record(p, vol, m, HPM_REC_MAP, lvbn + 77, 1);
}

static const struct shape shapes[] = {
	{ 1, 1, 4, false }, { 1, 2, 3, false },	  { 1, 167, 1, false },
	{ 3, 1, 2, false }, { 336, 3, 2, false }, { 40, 2, 4, false },
};

static void cut_here(struct pool *p, struct model *m)
{
	assert_int_equal(hpm_md_commit(p->md), 0);
	look_after_cut(p, 1, 0, VBNS, m->seen);
}

/* There are so few counts that a record only takes blocks for the map. */
#define FEW (128u * LARGE)

static void random_tree(u64 seed, struct shape s)
{
	static struct hpm_entry e[GROUPS * (LARGE + 1)];
	struct pool *p = pool_new(65536, FEW, seed);
	struct hpm_vol *vol = vol_new(p, 1);
	static struct model m;
	const char *why;
	unsigned int i, nr;
	u64 mapped;

	nr = make_entries(p, e, &mapped);
	plant(p, vol, s, e, nr);
	vol->mapped = mapped;
	checkpoints(p);
	walk(p);
	look_at(p, vol, &m);
	for (i = 0; i < 24; i++) {
		if (i % 8 == 0)
			assert_int_equal(hpm_vol_snapshot(p->md, 2 + i, 1, NULL,
							  &why),
					 0);
		if (rnd(p, 4) == 0)
			assert_int_equal(hpm_md_checkpoint(p->md), 0);
		random_record(p, vol, &m);
		compare(p, vol, &m);
		if (rnd(p, 8) == 0)
			cut_here(p, &m);
	}
	walk(p);
	fprintf(stderr,
		"    leaves of %u, %u children: %llu blocks at the most; %u and %u kept\n",
		s.leaf, s.fan, p->most, hpm_record_blocks(p->md),
		hpm_record_counts(p->md));
	hpm_space_return(p->md, &p->stock);
	hpm_vol_put(vol);
	pool_end(p);
}

static void test_random(void **state)
{
	unsigned int i;
	u64 seed;

	(void)state;
	for (seed = rig_seed(); seed < rig_seed() + rig_scale(); seed++) {
		rig_say("records in planted trees", seed);
		for (i = 0; i < ARRAY_SIZE(shapes); i++)
			random_tree(seed * 100 + i, shapes[i]);
	}
}

/*
 *----------------------------------------------------------------
 * Every record over a large block of one-entry leaves
 *--------------------------------------------------------------
 */

/* All of group 1 but one block, with a base; a few entries on either side. */
static unsigned int comb_entries(struct pool *p, struct hpm_entry *e, u8 type)
{
	u64 i, pbn = type == HPM_REC_COLLAPSE ? 80 * LARGE : 1;
	unsigned int n = 0;

	e[n++].key = hpm_key_small(LARGE - 1);
	if (type != HPM_REC_COLLAPSE)
		e[n++].key = hpm_key_base(LARGE);
	for (i = 0; i < LARGE; i++)
		if (type == HPM_REC_COLLAPSE || i != 77)
			e[n++].key = hpm_key_small(LARGE + i);
	e[n++].key = hpm_key_small(2 * LARGE);
	for (i = 0; i < n; i++)
		e[i].value = hpm_value(p->md->time,
				       e[i].key & 1 ?
					       (i ? pbn - 1 + i : 20 * LARGE) :
					       90 * LARGE);
	return n;
}

static const struct comb_case {
	const char *name;
	u64 vbn;
	u64 seen_nr; /* blocks of group 1, afterwards */
	u32 nr;
	u8 type;
} comb_cases[] = {
	{ "map all but the ends", LARGE + 1, 512, 510, HPM_REC_MAP },
	{ "map what shows of the base", LARGE + 77, 512, 1, HPM_REC_MAP },
	{ "map all", LARGE, 512, 512, HPM_REC_MAP },
	{ "unmap all but the ends", LARGE + 1, 2, 510, HPM_REC_UNMAP },
	{ "unmap what shows of the base", LARGE + 77, 511, 1, HPM_REC_UNMAP },
	{ "unmap all but what shows", LARGE + 78, 78, 434, HPM_REC_UNMAP },
	{ "unmap the large block", LARGE, 0, 512, HPM_REC_UNMAP },
	{ "a large block", LARGE, 512, 512, HPM_REC_LARGE },
	{ "collapse", LARGE, 512, 512, HPM_REC_COLLAPSE },
	{ "punch", LARGE, 512, 512, HPM_REC_PUNCH },
	{ "move", LARGE + 78, 512, 434, HPM_REC_MOVE },
};

static void comb_case(const struct comb_case *c, struct shape s, bool shared)
{
	struct pool *p = pool_new(8192, FEW, 1);
	struct hpm_vol *vol = vol_new(p, 1);
	static struct hpm_entry e[LARGE + 4];
	static struct model m;
	u32 nr = c->nr;
	unsigned int n = comb_entries(p, e, c->type), i;
	const char *why;
	u64 seen = 0, pbn = 0;

	/*
	 * If the tree were shared, there would be nothing to collapse or to
	 * move.
	 */
	shared = shared && c->type != HPM_REC_COLLAPSE &&
		 c->type != HPM_REC_MOVE;
	plant(p, vol, s, e, n);
	vol->mapped = LARGE + 2;
	checkpoints(p);
	walk(p);
	if (shared)
		assert_int_equal(hpm_vol_snapshot(p->md, 2, 1, NULL, &why), 0);
	checkpoints(p);
	if (c->type == HPM_REC_COLLAPSE)
		pbn = 80 * LARGE;
	else if (c->type == HPM_REC_PUNCH)
		pbn = 90 * LARGE;
	record(p, vol, c->type, c->vbn, &nr, &pbn, 79);
	assert_int_equal(nr, c->nr);
	look_at(p, vol, &m);
	for (i = 0; i < LARGE; i++)
		seen += m.seen[LARGE + i] != 0;
	assert_int_equal(seen, c->seen_nr);
	assert_int_not_equal(m.seen[LARGE - 1], 0);
	assert_int_not_equal(m.seen[2 * LARGE], 0);
	cut_here(p, &m);
	walk(p);
	hpm_space_return(p->md, &p->stock);
	hpm_vol_put(vol);
	pool_end(p);
}

static void test_combs(void **state)
{
	static const struct shape combs[] = {
		{ 1, 167, 1, true },
		{ 1, 1, 4, true },
		{ 2, 2, 2, true },
	};
	const struct comb_case *c;
	unsigned int i;

	(void)state;
	for (c = comb_cases; c < comb_cases + ARRAY_SIZE(comb_cases); c++) {
		fprintf(stderr, "    %s\n", c->name);
		for (i = 0; i < 2 * ARRAY_SIZE(combs); i++)
			comb_case(c, combs[i / 2], i & 1);
	}
}

/*
 *----------------------------------------------------------------
 * Counts: the count of each entry in a leaf of its own
 *--------------------------------------------------------------
 */

#define MANY	 (1ull << 22)
#define PAGES	 2050u /* leaves of the small counts array */
#define PER_PAGE 2016u

static u64 page_pbn(u64 i)
{
	return i % PAGES * PER_PAGE + 100 + i / PAGES;
}

/*
 * A base that is overridden except for its last block.  Its first and its last
 * leaf are full and shared, those between belong to the volume alone: one MAP
 * changes the counts of all their entries.
 */
static void test_counts(void **state)
{
	struct pool *p = pool_new(16384, MANY, 1);
	struct hpm_vol *vol = vol_new(p, 1);
	const struct shape s = { HPM_LEAF_MAX, 167, 1, true };
	static struct hpm_entry e[4 * HPM_LEAF_MAX];
	unsigned int i, n = 0;
	const u64 lvbn = 4 * LARGE;
	const char *why;
	u32 nr = LARGE - 1;
	u64 pbn = 0, counts;

	(void)state;
	for (i = 0; i < HPM_LEAF_MAX - 1; i++)
		e[n++].key = hpm_key_small(lvbn - HPM_LEAF_MAX + i);
	e[n++].key = hpm_key_base(lvbn);
	for (i = 0; i < LARGE - 1; i++)
		e[n++].key = hpm_key_small(lvbn + i);
	for (i = 0; n < 3 * HPM_LEAF_MAX; i++)
		e[n++].key = hpm_key_small(lvbn + LARGE + i);
	for (i = 0; i < n; i++)
		e[i].value = hpm_value(p->md->time, page_pbn(i));
	e[HPM_LEAF_MAX - 1].value = hpm_value(p->md->time, MANY - LARGE);
	plant(p, vol, s, e, n);
	vol->mapped = n - 1 - (LARGE - 1) + LARGE;
	assert_int_equal(hpm_vol_snapshot(p->md, 2, 1, NULL, &why), 0);
	checkpoints(p);
	/* The leaf between is made the volume's own, with other blocks. */
	for (i = 0; i < HPM_LEAF_MAX; i++)
		put(p, vol, e[HPM_LEAF_MAX + i].key, page_pbn(n + i));
	checkpoints(p);
	walk(p);
	counts = p->md->counts_left;
	record(p, vol, HPM_REC_MAP, lvbn + 1, &nr, &pbn, 0);
	assert_int_equal(nr, LARGE - 1);
	counts -= p->md->counts_left;
	fprintf(stderr, "    %llu nodes of the counts, %u kept\n", counts,
		hpm_record_counts(p->md));
	/* More counts than two leaves have, twice, and the base is gone. */
	assert_true(counts > 2 * HPM_LEAF_MAX + 300);
	assert_int_equal(hpm_map_value(p->md, vol->root, hpm_key_base(lvbn),
				       &pbn),
			 -ENOENT);
	walk(p);
	hpm_space_return(p->md, &p->stock);
	hpm_vol_put(vol);
	pool_end(p);
}

/* Sets the lower half of the count of @pbn to its maximum. */
static void fill_low(struct pool *p, u64 pbn)
{
	struct hpm_node *leaf;
	void *elt;

	assert_int_equal(hpm_array_write(p->md, &p->md->array[HPM_ARR_SMALL],
					 pbn, &leaf, &elt),
			 0);
	*(__le16 *)elt = cpu_to_le16(HPM_SMALL_COUNT);
	hpm_node_put(leaf);
}

/*
 * So many snapshots share a leaf's blocks that one more copy needs upper halves
 * for the counts of all of them, each in a leaf of its own.  The counts are set
 * directly, as 32,767 snapshots would take as many leaves; so is the number of
 * volumes.
 */
static void test_high_halves(void **state)
{
	struct pool *p = pool_new(16384, MANY, 1);
	struct hpm_array *high = &p->md->array[HPM_ARR_SMALL_HI];
	struct hpm_vol *vol = vol_new(p, 1);
	const struct shape s = { HPM_LEAF_MAX, 3, 1, true };
	static struct hpm_entry e[3 * HPM_LEAF_MAX];
	unsigned int i;
	const char *why;
	u64 pbn = 0;
	u32 nr = 1;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(e); i++)
		e[i] = (struct hpm_entry){
			.key = hpm_key_small(2 * i),
			.value = hpm_value(p->md->time, page_pbn(i)),
		};
	plant(p, vol, s, e, ARRAY_SIZE(e));
	vol->mapped = ARRAY_SIZE(e);
	assert_int_equal(hpm_vol_snapshot(p->md, 2, 1, NULL, &why), 0);
	mutex_lock(&p->md->lock);
	for (i = 0; i < ARRAY_SIZE(e); i++)
		fill_low(p, page_pbn(i));
	mutex_unlock(&p->md->lock);
	checkpoints(p);
	assert_int_equal(high->nodes, 0);

	p->md->nr_volumes += HPM_SMALL_COUNT;
	record(p, vol, HPM_REC_MAP, 2 * HPM_LEAF_MAX + 1, &nr, &pbn, 0);
	fprintf(stderr, "    %llu nodes of upper halves\n", high->nodes);
	assert_true(high->nodes > HPM_LEAF_MAX);
	p->md->nr_volumes -= HPM_SMALL_COUNT;
	hpm_space_return(p->md, &p->stock);
	hpm_vol_put(vol);
	pool_end(p);
}

/*
 * Credits that are out when the number of trees gets that high do not prevent
 * deletes.
 */
static void test_many_out(void **state)
{
	struct pool *p = pool_new(12000, 1ull << 24, 1);
	unsigned int i;

	(void)state;
	for (i = 0; i < 24; i++)
		assert_int_equal(hpm_credit_get(p->md, 1, HPM_FOR_DATA), 0);
	p->md->nr_volumes = HPM_SMALL_COUNT - 24 - 1;
	assert_int_equal(hpm_credit_get(p->md, 1, HPM_FOR_WRITE), -EAGAIN);
	assert_int_equal(hpm_credit_get(p->md, 1, HPM_FOR_DELETE), 0);
	hpm_credit_put(p->md, 1);
	assert_int_equal(hpm_credit_get(p->md, 1, HPM_FOR_RECLAIM), 0);
	hpm_credit_put(p->md, 25);
	p->md->nr_volumes = 0;
	pool_end(p);
}

/* Makes a snapshot, and a leaf of its own for the origin; false: refused. */
static bool one_tree_more(struct pool *p, struct hpm_vol *vol, u32 id)
{
	const char *why;
	u64 pbn = 0;
	u32 nr = 1;
	int r = hpm_vol_snapshot(p->md, id, 1, NULL, &why);

	if (!r)
		r = hpm_credit_wait(p->md, 1, HPM_FOR_WRITE);
	if (r) {
		assert_int_equal(r, -ENOSPC);
		return false;
	}
	hpm_credit_put(p->md, 1);
	record(p, vol, HPM_REC_MAP, 0, &nr, &pbn, 0);
	return true;
}

/* Deletes volumes 1 to @last, which are all, and reclaims their trees. */
static void delete_all(struct pool *p, u32 last)
{
	const char *why;
	u32 id;
	int r;

	for (id = 1; id <= last; id++)
		assert_int_equal(hpm_vol_delete(p->md, id, &why), 0);
	while ((r = hpm_md_reclaim_step(p->md)) == 1)
		;
	assert_int_equal(r, 0);
	walk(p);
	assert_int_equal(p->md->space.used, 0);
}

/* The same with real snapshots, each with a leaf; some do not fit. */
static void many_trees(u64 meta, bool fits)
{
	struct pool *p = pool_new(meta, MANY, 1);
	struct hpm_vol *vol = vol_new(p, 1);
	u64 pbn = 0;
	u32 id, nr = 8;

	record(p, vol, HPM_REC_MAP, 0, &nr, &pbn, 0);
	for (id = 2; id < HPM_SMALL_COUNT + 4; id++) {
		if (!one_tree_more(p, vol, id))
			break;
		if (id == HPM_SMALL_COUNT / 2)
			assert_false(hpm_counts_may_carry(p->md, 1));
	}
	fprintf(stderr, "    %u volumes, %llu of %llu blocks in use\n", id - 1,
		p->md->refs.nr_used, meta);
	assert_int_equal(id == HPM_SMALL_COUNT + 4, fits);
	assert_int_equal(p->md->array[HPM_ARR_SMALL_HI].nodes > 0, fits);
	walk(p);
	hpm_space_return(p->md, &p->stock);
	hpm_vol_put(vol);
	hpm_md_close(p->md);
	pool_open(p);
	assert_true(hpm_counts_may_carry(p->md, 1));
	delete_all(p, p->md->nr_volumes);
	pool_end(p);
}

static void test_many_trees(void **state)
{
	(void)state;
	many_trees(65536, true);
	many_trees(42500, false);
}

/*
 * A held table keeps its trees: they count, also after the pool is opened
 * again.
 */
static void test_held_trees(void **state)
{
	struct pool *p = pool_new(2048, 1 << 17, 1);
	const char *why;
	u32 id;

	(void)state;
	for (id = 1; id <= 10; id++)
		assert_int_equal(hpm_vol_create(p->md, id, 0, NULL, &why), 0);
	assert_int_equal(hpm_md_hold(p->md, &why), 0);
	for (id = 1; id <= 10; id++)
		assert_int_equal(hpm_vol_delete(p->md, id, &why), 0);
	assert_true(p->md->held_volumes >= 10);
	hpm_md_close(p->md);
	pool_open(p);
	assert_true(p->md->held_volumes >= 10);
	assert_int_equal(hpm_md_release(p->md, &why), 0);
	while (hpm_md_reclaim_step(p->md) > 0)
		;
	assert_int_equal(p->md->held_volumes, 0);
	walk(p);
	pool_end(p);
}

/*
 * A subtree that was shared when a step of the reclaim was recorded is
 * exclusive when the record is applied, as writes to the other volume came in
 * between.
 */
static void test_reclaim(void **state)
{
	struct pool *p = pool_new(16384, MANY, 1);
	struct hpm_vol *vol = vol_new(p, 1), *other;
	const struct shape s = { HPM_LEAF_MAX, 20, 1, true };
	static struct hpm_entry e[40 * HPM_LEAF_MAX];
	union hpm_record_buf buf = { 0 };
	struct hpm_dying *d;
	const char *why;
	unsigned int i;
	u64 to, bound, most, all;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(e); i++)
		e[i] = (struct hpm_entry){
			.key = hpm_key_small(i),
			.value = hpm_value(p->md->time, page_pbn(i)),
		};
	plant(p, vol, s, e, ARRAY_SIZE(e));
	vol->mapped = ARRAY_SIZE(e);
	assert_int_equal(hpm_vol_snapshot(p->md, 2, 1, NULL, &why), 0);
	assert_int_equal(hpm_vol_open(p->md, 2, &other), 0);
	/* In the tree's second half, so that the first half stays shared. */
	put(p, other, e[ARRAY_SIZE(e) - 1].key, 7);
	hpm_vol_put(vol);
	assert_int_equal(hpm_vol_delete(p->md, 1, &why), 0);
	d = list_first_entry(&p->md->dying, struct hpm_dying, list);

	mutex_lock(&p->md->lock);
	assert_int_equal(hpm_map_reclaim_bound(p->md, d->root, 0, &to), 0);
	mutex_unlock(&p->md->lock);
	for (i = 0; i < 20; i++)
		put(p, other, e[i * HPM_LEAF_MAX].key, 8 + i);
	checkpoints(p);

	buf.rec.type = HPM_REC_RECLAIM;
	buf.rec.slots = 1;
	buf.rec.serial = cpu_to_le64(d->serial);
	buf.rec.pbn = cpu_to_le64(to);
	all = p->md->refs.nr_free;
	most = credit_worth(p);
	mutex_lock(&p->md->lock);
	p->md->refs.nr_free = most;
	assert_int_equal(hpm_apply_record(p->md, &buf.rec), 0);
	p->md->refs.nr_free += all - most;
	mutex_unlock(&p->md->lock);
	bound = hpm_key_small(HPM_RECLAIM_LEAVES * HPM_LEAF_MAX);
	assert_int_equal(d->cursor, bound);
	assert_true(to > bound);
	/* Reclaims the rest; nothing must be missing. */
	while ((i = hpm_md_reclaim_step(p->md)) == 1)
		assert_int_equal(hpm_md_checkpoint(p->md), 0);
	assert_int_equal(i, 0);
	walk(p);
	hpm_vol_put(other);
	pool_end(p);
}

/*
 *----------------------------------------------------------------
 * A step that lets a table go, and the replay of it
 *--------------------------------------------------------------
 */

static struct {
	struct pool *pool;
	struct hpm_vol *vol;
	const struct hpm_io_ops *ops;
	struct hpm_io *crashed; /* the result of a power cut */
} cut_short;

/* The pool continues after the cut, but the superblock is not written. */
static int write_run(struct hpm_io *io, u64 block, void **data, unsigned int nr,
		     unsigned int flags)
{
	struct pool *p = cut_short.pool;
	const char *why;
	u64 pbn = 0;
	u32 n = 1;

	if ((block == HPM_SUPER_A || block == HPM_SUPER_B) &&
	    !cut_short.crashed) {
		publish(p, cut_short.vol, HPM_REC_MAP, 0, &n, &pbn, 0);
		assert_int_equal(hpm_md_reclaim_step(p->md), 1);
		assert_int_equal(hpm_vol_create(p->md, 9000, 0, NULL, &why), 0);
		cut_short.crashed = hpm_mem_crash(io, HPM_LOSE_ALL, 1);
	}
	return cut_short.ops->write_run(io, block, data, nr, flags);
}

static void checkpoint_cut_short(struct pool *p, struct hpm_vol *vol)
{
	struct hpm_io_ops io_ops = *p->io->ops;

	cut_short.pool = p;
	cut_short.vol = vol;
	cut_short.ops = p->io->ops;
	cut_short.crashed = NULL;
	io_ops.write_run = write_run;
	p->io->ops = &io_ops;
	assert_int_equal(hpm_md_checkpoint(p->md), 0);
	p->io->ops = cut_short.ops;
	assert_non_null(cut_short.crashed);
	cut_short.crashed->ops = cut_short.ops;
}

/*
 * The cut flushes volumes whose leaves the held table shares until then; a
 * replay from the superblock before finds them still shared.  A step must make
 * the same trees dying ones, and all later serials must be the same.
 */
static void test_let_go_replayed(void **state)
{
	struct pool *p = pool_new(16384, 65536, 1), q = { 0 };
	struct hpm_vol *vol, *gone;
	const char *why;
	u64 pbn = 0;
	u32 nr, id;

	(void)state;
	for (id = 0; id < 600; id++)
		if (id % 15 == 0 || id == 314)
			assert_int_equal(
				hpm_vol_create(p->md, id, 0, NULL, &why), 0);
	assert_int_equal(hpm_vol_open(p->md, 240, &vol), 0);
	assert_int_equal(hpm_vol_open(p->md, 314, &gone), 0);
	nr = 8;
	record(p, vol, HPM_REC_MAP, 0, &nr, &pbn, 0);
	nr = 8;
	record(p, gone, HPM_REC_MAP, 0, &nr, &pbn, 0);
	hpm_vol_put(gone);
	checkpoints(p);
	assert_int_equal(hpm_md_hold(p->md, &why), 0);
	assert_int_equal(hpm_vol_delete(p->md, 314, &why), 0);
	assert_int_equal(hpm_md_release(p->md, &why), 0);
	checkpoints(p);
	for (id = 0; id < 15; id++)
		assert_int_equal(hpm_vol_snapshot(p->md, 10000 + id, 15 * id,
						  NULL, &why),
				 0);
	assert_int_equal(hpm_md_apply(p->md), 0);
	checkpoint_cut_short(p, vol);

	q.io = cut_short.crashed;
	pool_open(&q);
	assert_int_equal(hpm_md_mode(q.md), HPM_MODE_WRITE);
	while (hpm_md_reclaim_step(q.md) > 0)
		;
	walk(&q);
	hpm_md_close(q.md);
	hpm_io_close(q.io);
	hpm_space_return(p->md, &p->stock);
	hpm_vol_put(vol);
	pool_end(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_patterns),    rig_test(test_random),
		rig_test(test_combs),	    rig_test(test_counts),
		rig_test(test_high_halves), rig_test(test_many_out),
		rig_test(test_held_trees),  rig_test(test_many_trees),
		rig_test(test_reclaim),	    rig_test(test_let_go_replayed),
	};

	return rig_run(tests);
}
