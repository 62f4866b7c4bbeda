// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks the counts of data blocks, in memory that does not grow with the
 * pool's use.
 *
 * A TiB has 2^28 small blocks, and a count for each would take more memory than
 * a check may use.  Counts that are right are not needed one by one, so each
 * group of blocks has one sum: every reference from a leaf adds a random number
 * that belongs to the block, the count in the array subtracts this number times
 * the count, and so do the sums in the array of large blocks.  If everything
 * agrees, the sum of the group is 0.  If not, it is 0 with a probability of
 * 2^-64, which cannot be forced, as the numbers depend on a secret of this run.
 *
 * Groups whose sum is not 0 are counted again block by block, up to a limited
 * number of groups (detail_*).
 */
#include <sys/random.h>

#include "check.h"

#define GROUP_SHIFT   9 /* at least a large block */
#define MAX_GROUPS    (8ull << 20)
#define MAX_STRADDLES 1024u
#define MAX_DETAIL    2048u

enum term {
	T_SMALL,
	T_BASE,
	T_USED,
	T_PUNCHED
};

static u64 mix(u64 x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	return x;
}

static u64 term(const struct check *c, enum term t, u64 index)
{
	return mix((index << 2 | t) + c->secret);
}

static void add(struct check *c, u64 pbn, u64 v)
{
	c->acc[pbn >> c->group_shift] += v;
}

static void add_large(struct check *c, enum term t, u64 large, u64 times)
{
	add(c, large << c->p->large_shift, term(c, t, large) * times);
}

int data_begin(struct check *c)
{
	c->group_shift = GROUP_SHIFT;
	while (c->p->data_blocks >> c->group_shift > MAX_GROUPS)
		c->group_shift++;
	c->nr_groups = (c->p->data_blocks >> c->group_shift) + 1;
	c->acc = calloc(c->nr_groups, sizeof(*c->acc));
	c->punched =
		calloc(BITS_TO_LONGS(c->nr_large + 1), sizeof(*c->punched));
	c->straddle = calloc(MAX_STRADDLES, sizeof(*c->straddle));
	if (getrandom(&c->secret, sizeof(c->secret), 0) < 0)
		c->secret = 0x9e3779b97f4a7c15ull;
	if (!c->acc || !c->punched || !c->straddle)
		return -1;
	/* The pool itself refers to its mark. */
	if (c->marked)
		add(c, HPM_MARK_BLOCK,
		    term(c, T_SMALL, HPM_MARK_BLOCK) * HPM_MARK_COUNT);
	return 0;
}

void data_end(struct check *c)
{
	free(c->acc);
	free(c->punched);
}

/*----------------------------------------------------------------
 * What the arrays say
 *--------------------------------------------------------------*/

static void take_large(struct check *c, u64 block, u64 large,
		       const struct hpm_disk_large *l)
{
	u32 refs = le32_to_cpu(l->refs);
	u16 used = le16_to_cpu(l->used), punched = le16_to_cpu(l->punched);

	if (!refs && !used && !punched)
		return;
	if (large >= c->nr_large || used > c->p->large_size ||
	    punched > c->p->large_size || (punched && !refs)) {
		fault(c->rep,
		      "block %llu: large block %llu has impossible counts (%u base references, %u used, %u given back)",
		      block, large, refs, used, punched);
		return;
	}
	add_large(c, T_BASE, large, -(u64)refs);
	add_large(c, T_USED, large, -(u64)used);
	add_large(c, T_PUNCHED, large, -(u64)punched);
	c->data_used += refs ? c->p->large_size - punched : used;
	if (punched)
		__set_bit(large, c->punched);
}

void data_large(struct check *c, u64 block, u64 first, const void *elts)
{
	const unsigned int nr = array_per_leaf(HPM_ARR_LARGE);
	const struct hpm_disk_large *l = elts;
	unsigned int i;

	for (i = 0; i < nr; i++)
		take_large(c, block, first + i, &l[i]);
}

/* Sums of used and of punched small blocks, for one large block. */
struct tally {
	u64 large, used, punched;
};

static void end_tally(struct check *c, struct tally *t)
{
	if (t->used)
		add_large(c, T_USED, t->large, t->used);
	if (t->punched)
		add_large(c, T_PUNCHED, t->large, t->punched);
	t->used = 0;
	t->punched = 0;
}

static void take_small(struct check *c, u64 block, u64 pbn, u16 v,
		       struct tally *t)
{
	u64 count = v & HPM_SMALL_COUNT, large = pbn >> c->p->large_shift;

	if (pbn >= c->p->data_blocks) {
		fault(c->rep,
		      "block %llu: small block %llu has a count and is not on the device",
		      block, pbn);
		return;
	}
	if (large != t->large)
		end_tally(c, t);
	t->large = large;
	add(c, pbn, -(term(c, T_SMALL, pbn) * count));
	t->used += count != 0;
	t->punched += (v & HPM_SMALL_PUNCHED) != 0;
	if (count && v & HPM_SMALL_PUNCHED)
		c->data_used++;
}

void data_small(struct check *c, u64 block, u64 first, const void *elts)
{
	const unsigned int nr = array_per_leaf(HPM_ARR_SMALL);
	struct tally t = { 0 };
	unsigned int i;
	u16 v;

	for (i = 0; i < nr; i++) {
		v = get_unaligned_le16((const u8 *)elts + 2 * (size_t)i);
		if (v)
			take_small(c, block, first + i, v, &t);
	}
	end_tally(c, &t);
}

/*
 * The upper halves of counts.  If the lower half is 0, the block counts as used
 * because of the upper half.
 */
void data_small_hi(struct check *c, u64 block, u64 first, const void *elts)
{
	u8 low[HPM_BLOCK_SIZE];
	unsigned int i;
	bool there;
	u16 v, l;
	u64 pbn;

	if (array_leaf(&c->reader, &c->p->sb->array[HPM_ARR_SMALL],
		       HPM_ARR_SMALL, first, low, &there))
		return; /* reported when the leaf itself is read */
	for (i = 0; i < array_per_leaf(HPM_ARR_SMALL_HI); i++) {
		v = get_unaligned_le16((const u8 *)elts + (size_t)2 * i);
		pbn = first + i;
		if (!v)
			continue;
		if (pbn >= c->p->data_blocks || v > 0x7fff) {
			fault(c->rep,
			      "block %llu: small block %llu has an impossible count",
			      block, pbn);
			continue;
		}
		add(c, pbn, -(term(c, T_SMALL, pbn) * ((u64)v << 15)));
		l = there ? get_unaligned_le16(low +
					       sizeof(struct hpm_block_head) +
					       (size_t)2 * i) :
			    0;
		if (!(l & HPM_SMALL_COUNT))
			add_large(c, T_USED, pbn >> c->p->large_shift, 1);
		if (!(l & HPM_SMALL_COUNT) && l & HPM_SMALL_PUNCHED)
			c->data_used++;
	}
}

/*----------------------------------------------------------------
 * What a leaf says
 *--------------------------------------------------------------*/

struct leaf_walk {
	struct check *c;
	u64 block, upper;
	struct meta_block *m;
	u64 mapped;
	/* the present large block */
	bool first, has_base;
	u64 lvbn, base;
	unsigned int small, holes;
	u64 over[(1 << HPM_MAX_LARGE_SHIFT) / 64];
};

/* No punched block of a base may be visible. */
static void check_shown(struct leaf_walk *w)
{
	struct check *c = w->c;
	struct small_mask mask;
	unsigned int i;

	if (punched_mask(&c->reader, w->base, &mask))
		return;
	for (i = 0; i < c->p->large_size; i++)
		if (mask.bits[i / 64] & ~w->over[i / 64] & 1ull << i % 64)
			fault(c->rep,
			      "block %llu: small block %llu shows at %llu, which was given back",
			      w->block, w->base + i, w->lvbn + i);
}

static void end_large(struct leaf_walk *w, bool last)
{
	struct check *c = w->c;
	u64 end = (w->lvbn + c->p->large_size) << 1;

	if (w->has_base)
		w->mapped += c->p->large_size - w->holes;
	else if (!w->first)
		w->mapped += w->small;
	if (w->first && !w->has_base) {
		w->m->sum.front_small = w->small;
		w->m->sum.front_holes = w->holes;
	}
	if (!w->has_base || !test_bit(w->base >> c->p->large_shift, c->punched))
		return;
	if (last && w->upper < end) {
		if (c->nr_straddles < MAX_STRADDLES)
			c->straddle[c->nr_straddles++] =
				(struct straddle){ w->lvbn, w->base };
		return;
	}
	check_shown(w);
}

static void begin_large(struct leaf_walk *w, u64 lvbn)
{
	w->lvbn = lvbn;
	w->has_base = false;
	w->small = 0;
	w->holes = 0;
	memset(w->over, 0, sizeof(w->over));
}

static void take_base(struct leaf_walk *w, u64 vbn, u64 pbn)
{
	struct check *c = w->c;
	u64 mask = c->p->large_size - 1;

	if (pbn >= c->p->data_blocks || pbn & mask || vbn & mask) {
		fault(c->rep,
		      "block %llu maps %llu to the large block at %llu, which is not possible",
		      w->block, vbn, pbn);
		return;
	}
	add_large(c, T_BASE, pbn >> c->p->large_shift, 1);
	w->has_base = true;
	w->base = pbn;
}

static void take_over(struct leaf_walk *w, u64 vbn, u64 pbn)
{
	struct check *c = w->c;

	w->over[(vbn - w->lvbn) / 64] |= 1ull << (vbn - w->lvbn) % 64;
	if (pbn == HPM_PBN_HOLE) {
		w->holes++;
		return;
	}
	w->small++;
	if (pbn >= c->p->data_blocks) {
		fault(c->rep,
		      "block %llu maps %llu to small block %llu, which is not on the device",
		      w->block, vbn, pbn);
		return;
	}
	add(c, pbn, term(c, T_SMALL, pbn));
}

static void take_entry(struct leaf_walk *w, u64 key, u64 value, bool first)
{
	u64 vbn = key >> 1, pbn = value & HPM_PBN_MASK;
	u64 lvbn = vbn & ~(u64)(w->c->p->large_size - 1);

	if (value >> HPM_PBN_BITS > w->c->p->time)
		fault(w->c->rep,
		      "block %llu maps %llu in time %llu, which is in the future",
		      w->block, vbn, value >> HPM_PBN_BITS);
	if (first) {
		w->first = true;
		begin_large(w, lvbn);
	} else if (lvbn != w->lvbn) {
		end_large(w, false);
		w->first = false;
		begin_large(w, lvbn);
	}
	if (key & 1)
		take_over(w, vbn, pbn);
	else
		take_base(w, vbn, pbn);
}

void data_leaf(struct check *c, u64 block, const struct hpm_map_leaf *leaf,
	       u64 upper)
{
	struct leaf_walk w = {
		.c = c,
		.block = block,
		.upper = upper,
		.m = &c->mb[block],
	};
	unsigned int i, nr = block_nr(leaf);

	w.m->sum.front_small = 0;
	w.m->sum.front_holes = 0;
	for (i = 0; i < nr; i++)
		take_entry(&w, leaf_key(leaf, i), le64_to_cpu(leaf->value[i]),
			   !i);
	end_large(&w, true);
	w.m->sum.mapped = w.mapped;
	w.m->sum.first = leaf_key(leaf, 0) >> 1 >> c->p->large_shift;
	w.m->sum.last = leaf_key(leaf, nr - 1) >> 1 >> c->p->large_shift;
	w.m->sum.last_has_base = w.has_base;
	w.m->state = BS_SUMMED;
}

/*----------------------------------------------------------------
 * Block by block
 *--------------------------------------------------------------*/

struct detail_small {
	u32 counted, stored;
	bool punched;
};

struct detail_large {
	u32 counted, stored;
	u16 used, punched;
};

struct detail {
	unsigned int nr;
	u64 group[MAX_DETAIL]; /* ascending */
	struct detail_small *small;
	struct detail_large *large;
};

/* The index of a group among those in detail, or -1. */
static long detail_index(const struct check *c, u64 pbn)
{
	const struct detail *d = c->detail;
	u64 group = pbn >> c->group_shift;
	long lo = 0, hi = (long)d->nr - 1, mid;

	if (pbn >= c->p->data_blocks || !c->acc[group])
		return -1;
	while (lo <= hi) {
		mid = (lo + hi) / 2;
		if (d->group[mid] == group)
			return mid;
		if (d->group[mid] < group)
			lo = mid + 1;
		else
			hi = mid - 1;
	}
	return -1;
}

static struct detail_small *detail_small(const struct check *c, u64 pbn)
{
	long i = detail_index(c, pbn);
	u64 in = pbn & ((1ull << c->group_shift) - 1);

	return i < 0 ? NULL :
		       &c->detail->small[((u64)i << c->group_shift) + in];
}

static struct detail_large *detail_large(const struct check *c, u64 pbn)
{
	unsigned int shift = c->group_shift - c->p->large_shift;
	u64 in = pbn >> c->p->large_shift & ((1ull << shift) - 1);
	long i = detail_index(c, pbn);

	return i < 0 ? NULL : &c->detail->large[((u64)i << shift) + in];
}

static void detail_map(struct check *c, const struct hpm_map_leaf *leaf)
{
	struct detail_small *s;
	struct detail_large *l;
	unsigned int i;
	u64 pbn;

	for (i = 0; i < block_nr(leaf); i++) {
		pbn = le64_to_cpu(leaf->value[i]) & HPM_PBN_MASK;
		if (leaf_key(leaf, i) & 1) {
			s = detail_small(c, pbn);
			if (s)
				s->counted++;
		} else {
			l = detail_large(c, pbn);
			if (l)
				l->counted++;
		}
	}
}

static void detail_larges(struct check *c, u64 first, const void *elts)
{
	const struct hpm_disk_large *d = elts;
	struct detail_large *l;
	unsigned int i;

	for (i = 0; i < array_per_leaf(HPM_ARR_LARGE); i++) {
		if (first + i >= c->nr_large)
			return;
		l = detail_large(c, (first + i) << c->p->large_shift);
		if (!l)
			continue;
		l->stored = le32_to_cpu(d[i].refs);
		l->used = le16_to_cpu(d[i].used);
		l->punched = le16_to_cpu(d[i].punched);
	}
}

static void detail_smalls(struct check *c, u64 first, const void *elts,
			  bool high)
{
	struct detail_small *s;
	unsigned int i;
	u16 v;

	for (i = 0; i < array_per_leaf(HPM_ARR_SMALL); i++) {
		v = get_unaligned_le16((const u8 *)elts + (size_t)2 * i);
		s = v ? detail_small(c, first + i) : NULL;
		if (!s)
			continue;
		if (high) {
			s->stored += (u32)v << 15;
			continue;
		}
		s->stored += v & HPM_SMALL_COUNT;
		s->punched = v & HPM_SMALL_PUNCHED;
	}
}

/* The same once more, for the groups that do not agree. */
static void detail_block(struct check *c, u64 block, const void *data)
{
	const struct meta_block *m = &c->mb[block];
	const struct hpm_block_head *h = data;
	u64 first = le64_to_cpu(h->aux);

	switch (m->kind) {
	case BK_MAP:
		if (!map_leaf_fault(data))
			detail_map(c, data);
		break;
	case BK_ARRAY + HPM_ARR_LARGE:
		detail_larges(c, first, h + 1);
		break;
	case BK_ARRAY + HPM_ARR_SMALL:
	case BK_ARRAY + HPM_ARR_SMALL_HI:
		detail_smalls(c, first, h + 1,
			      m->kind == BK_ARRAY + HPM_ARR_SMALL_HI);
	}
}

static bool detail_wanted(void *ctx, u64 block)
{
	const struct check *c = ctx;
	const struct meta_block *m = &c->mb[block];

	return !m->level && m->state >= BS_GOOD && m->state != BS_BAD &&
	       m->kind >= BK_MAP && m->kind <= BK_ARRAY + HPM_ARR_SMALL_HI;
}

static void detail_take(void *ctx, u64 block, const void *data, int err)
{
	if (!err)
		detail_block(ctx, block, data);
}

static void tell_large(struct check *c, u64 pbn)
{
	const struct detail_large *l = detail_large(c, pbn);
	unsigned int i, used = 0, punched = 0;
	const struct detail_small *s;

	for (i = 0; i < c->p->large_size; i++) {
		s = detail_small(c, pbn + i);
		used += s->stored != 0;
		punched += s->punched;
		if (s->counted > s->stored)
			fault(c->rep,
			      "small block %llu is mapped by %u leaves, its count says %u",
			      pbn + i, s->counted, s->stored);
		else if (s->counted < s->stored)
			leak(c->rep, LEAK_SMALL, pbn + i, s->stored,
			     s->counted);
	}
	if (l->counted > l->stored)
		fault(c->rep,
		      "the large block at %llu is the base in %u leaves, its count says %u",
		      pbn, l->counted, l->stored);
	else if (l->counted < l->stored)
		leak(c->rep, LEAK_LARGE, pbn, l->stored, l->counted);
	if (used != l->used || punched != l->punched)
		fault(c->rep,
		      "the large block at %llu has %u used and %u given back blocks, its element says %u and %u",
		      pbn, used, punched, l->used, l->punched);
}

static void tell_detail(struct check *c)
{
	const struct detail *d = c->detail;
	unsigned int i;
	u64 pbn, end;

	for (i = 0; i < d->nr; i++) {
		pbn = d->group[i] << c->group_shift;
		end = min_t(u64, pbn + (1ull << c->group_shift),
			    c->p->data_blocks);
		for (; pbn < end; pbn += c->p->large_size)
			tell_large(c, pbn);
	}
}

static int detail_run(struct check *c)
{
	struct detail *d = c->detail;
	u64 size = (u64)d->nr << c->group_shift;
	int r;

	d->small = calloc(size, sizeof(*d->small));
	d->large = calloc(size >> c->p->large_shift, sizeof(*d->large));
	if (d->small && d->large) {
		if (c->marked && detail_small(c, HPM_MARK_BLOCK))
			detail_small(c, HPM_MARK_BLOCK)->counted +=
				HPM_MARK_COUNT;
		r = check_scan(c, detail_wanted, detail_take);
		if (!r)
			tell_detail(c);
	} else {
		r = complain("out of memory");
	}
	free(d->small);
	free(d->large);
	return r;
}

int data_compare(struct check *c)
{
	unsigned int max =
		max(1u, MAX_DETAIL >> (c->group_shift - GROUP_SHIFT));
	u64 g, more = 0;
	int r = 0;

	c->detail = calloc(1, sizeof(*c->detail));
	if (!c->detail)
		return complain("out of memory");
	for (g = 0; g < c->nr_groups; g++) {
		if (!c->acc[g])
			continue;
		if (c->detail->nr < max)
			c->detail->group[c->detail->nr++] = g;
		else
			more++;
	}
	if (c->detail->nr)
		r = detail_run(c);
	if (more)
		fault(c->rep,
		      "the counts of data blocks are wrong in %llu more places",
		      more);
	free(c->detail);
	c->detail = NULL;
	return r;
}
