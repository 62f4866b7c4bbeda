// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data space on disk: the counts, and what a change of them means.
 *
 * Two tiers
 * ---------
 * A large block that was mapped as one is named by "base" entries, a small
 * block by entries of its own.  Both kinds may name the same place at the same
 * time, if small blocks that are hidden in a base were freed and used again.
 * Hence there are two tiers of counts.  Both count the leaves with such an
 * entry (not the volumes: a leaf may be shared by many trees):
 *
 *	HPM_ARR_LARGE	per large block: refs, the base entries; used, how many
 *			of its small blocks have a count of their own; punched,
 *			how many have the punched bit
 *	HPM_ARR_SMALL	per small block: count (15 bits) and punched bit
 *	HPM_ARR_SMALL_HI  per small block: the count's upper 16 bits; this array
 *			exists only once 2^15 leaves have named one block
 *
 * Small block i of large block X is in use iff
 *
 *	count(i) > 0  or  (refs(X) > 0 and not punched(i))
 *
 * Punching frees blocks that are overridden for every reader of the only leaf
 * with this base.  It requires refs(X) == 1 at that time.  If the leaf is
 * shared later, each copy has the same overrides; by the rules of the map, they
 * stay at least as long as the base.  When refs(X) falls to 0, the bits lose
 * their meaning and are cleared, so refs(X) == 0 implies punched(X) == 0.
 *
 * The sums used(X) and punched(X) avoid accesses to HPM_ARR_SMALL: a large
 * block that is written and deleted in one piece changes one element of 8 bytes
 * twice, and never an element for each small block.
 *
 * Every change has three steps: check the counts, so that corruption is found
 * before anything is changed; get what the change needs, such as leaves of this
 * epoch and memory, which may fail; make the change, which cannot fail.  A call
 * that covers several large blocks does this for one after the other.
 *
 * All of this is done when records are applied, under md->lock, in the same way
 * at run time and in a replay.  The state that exists in memory only, i.e.
 * states of large blocks, busy blocks and free batches, belongs to busy.c,
 * which hpm_space_account() informs.
 */
#include "engine.h"
#include "array.h"
#include "busy.h"
#include "map.h"
#include "node.h"
#include "space.h"

#define HPM_COUNT_MAX	((u32)U16_MAX << 15 | HPM_SMALL_COUNT)

/*
 * The part of one large block that is being looked at or changed: the window.
 * A large block may lie in two leaves of the small arrays, never in more; the
 * elements of these two arrays have the same size, so their leaves end at the
 * same indices.
 */
struct counts {
	struct hpm_md *md;
	u64 large;
	u64 pbn;			/* where the window begins */
	unsigned int nr;		/* small blocks in the window */

	u32 refs;
	unsigned int used, punched;

	struct part {
		struct hpm_node *leaf, *hi_leaf;
		__le16 *low, *hi;	/* NULL: all zeroes */
		unsigned int nr;
		bool carry;		/* the upper half will change */
	} part[2];

	u32 gained, lost;		/* that come into, go out of use */
	DECLARE_BITMAP(gone, 1 << HPM_MAX_LARGE_SHIFT);	/* those that go out */
};

static int corrupt(struct hpm_md *md, u64 pbn, const char *what)
{
	hpm_err(md, "data block %llu: %s", pbn, what);
	return -EUCLEAN;
}

static bool on_device(struct hpm_md *md, u64 pbn, u64 nr)
{
	return pbn < md->space.nr_blocks && nr <= md->space.nr_blocks - pbn;
}

/*----------------------------------------------------------------
 * The large tier
 *--------------------------------------------------------------*/

static int large_check(struct counts *c)
{
	unsigned int n = c->md->large_size;

	if (c->used > n || c->punched > n || (c->punched && !c->refs))
		return corrupt(c->md, c->large << c->md->large_shift,
			       "impossible counts of its large block");
	return 0;
}

static int large_decode(struct counts *c, const struct hpm_disk_large *l)
{
	c->refs = le32_to_cpu(l->refs);
	c->used = le16_to_cpu(l->used);
	c->punched = le16_to_cpu(l->punched);
	return large_check(c);
}

/* Reads the large tier of large block @large; holds nothing. */
static int counts_begin(struct counts *c, struct hpm_md *md, u64 large)
{
	struct hpm_node *leaf;
	const void *elt;
	int r;

	memset(c, 0, sizeof(*c));
	c->md = md;
	c->large = large;
	r = hpm_array_read(md, &md->array[HPM_ARR_LARGE], large, &leaf, &elt);
	if (r || !elt)
		return r;
	r = large_decode(c, elt);
	hpm_node_put(leaf);
	return r;
}

/*
 * This is exact except if punched blocks were used again: then the state may be
 * PART although no block is free, which the allocation finds out.
 */
static enum hpm_large_state large_state(const struct counts *c)
{
	if (c->refs)
		return c->punched ? HPM_LARGE_PART : HPM_LARGE_FULL;
	if (!c->used)
		return HPM_LARGE_FREE;
	return c->used < c->md->large_size ? HPM_LARGE_PART : HPM_LARGE_FULL;
}

/* Gets the element to change, before anything is changed; @leaf is held. */
static int large_claim(struct counts *c, struct hpm_node **leaf,
		       struct hpm_disk_large **elt)
{
	void *p;
	int r;

	r = hpm_array_write(c->md, &c->md->array[HPM_ARR_LARGE], c->large,
			    leaf, &p);
	if (!r)
		*elt = p;
	return r;
}

static void large_encode(const struct counts *c, struct hpm_disk_large *l)
{
	l->refs = cpu_to_le32(c->refs);
	l->used = cpu_to_le16(c->used);
	l->punched = cpu_to_le16(c->punched);
}

/*----------------------------------------------------------------
 * The small tier
 *--------------------------------------------------------------*/

static u64 part_pbn(const struct counts *c, const struct part *p)
{
	return c->pbn + (p == c->part ? 0 : c->part[0].nr);
}

static int part_read(struct counts *c, struct part *p, enum hpm_array_kind kind,
		     struct hpm_node **leaf, __le16 **elts)
{
	const void *elt;
	int r;

	r = hpm_array_read(c->md, &c->md->array[kind], part_pbn(c, p), leaf,
			   &elt);
	if (!r)
		*elts = (__le16 *)elt;
	else
		*leaf = NULL;
	return r;
}

static int part_write(struct counts *c, struct part *p,
		      enum hpm_array_kind kind, struct hpm_node **leaf,
		      __le16 **elts)
{
	struct hpm_node *fresh;
	void *elt;
	int r;

	r = hpm_array_write(c->md, &c->md->array[kind], part_pbn(c, p), &fresh,
			    &elt);
	if (r)
		return r;
	if (*leaf)
		hpm_node_put(*leaf);
	*leaf = fresh;
	*elts = elt;
	return 0;
}

static int part_get(struct counts *c, struct part *p, bool write)
{
	int r;

	if (!p->nr)
		return 0;
	if (write)
		r = part_write(c, p, HPM_ARR_SMALL, &p->leaf, &p->low);
	else
		r = part_read(c, p, HPM_ARR_SMALL, &p->leaf, &p->low);
	if (r || !c->md->array[HPM_ARR_SMALL_HI].root.height)
		return r;
	return part_read(c, p, HPM_ARR_SMALL_HI, &p->hi_leaf, &p->hi);
}

static void smalls_put(struct counts *c)
{
	struct part *p;

	for (p = c->part; p < c->part + 2; p++) {
		if (p->leaf)
			hpm_node_put(p->leaf);
		if (p->hi_leaf)
			hpm_node_put(p->hi_leaf);
		p->leaf = NULL;
		p->hi_leaf = NULL;
	}
}

/*
 * Gets the elements of @nr small blocks; the caller calls smalls_put() even if
 * it fails.
 */
static int smalls_get(struct counts *c, u64 pbn, unsigned int nr, bool write)
{
	u32 per_leaf = c->md->array[HPM_ARR_SMALL].per_leaf, pos;
	int r;

	div_u64_rem(pbn, per_leaf, &pos);
	c->pbn = pbn;
	c->nr = nr;
	c->part[0].nr = min(nr, per_leaf - pos);
	c->part[1].nr = nr - c->part[0].nr;
	r = part_get(c, &c->part[0], write);
	return r ? r : part_get(c, &c->part[1], write);
}

/* Gets the elements of the whole large block. */
static int smalls_get_all(struct counts *c, bool write)
{
	return smalls_get(c, c->large << c->md->large_shift,
			  c->md->large_size, write);
}

/* Gets the upper halves that will change, for writing. */
static int smalls_claim_hi(struct counts *c)
{
	struct part *p;
	int r;

	for (p = c->part; p < c->part + 2; p++) {
		if (!p->carry)
			continue;
		r = part_write(c, p, HPM_ARR_SMALL_HI, &p->hi_leaf, &p->hi);
		if (r)
			return r;
	}
	return 0;
}

/* Returns the part with block @i of the window; *i becomes the index in that part. */
static struct part *small_part(struct counts *c, unsigned int *i)
{
	if (*i < c->part[0].nr)
		return &c->part[0];
	*i -= c->part[0].nr;
	return &c->part[1];
}

static u32 small_count(struct counts *c, unsigned int i)
{
	struct part *p = small_part(c, &i);
	u32 hi = p->hi ? le16_to_cpu(p->hi[i]) : 0;
	u32 low = p->low ? le16_to_cpu(p->low[i]) : 0;

	return hi << 15 | (low & HPM_SMALL_COUNT);
}

static bool small_punched(struct counts *c, unsigned int i)
{
	struct part *p = small_part(c, &i);

	return p->low && p->low[i] & cpu_to_le16(HPM_SMALL_PUNCHED);
}

/* Is the block in use through the base? */
static bool under_base(struct counts *c, unsigned int i)
{
	return c->refs && !small_punched(c, i);
}

/*
 * Stores a count.  It was checked before: it does not overflow, and its upper
 * half exists if it needs one.
 */
static void small_store(struct counts *c, unsigned int i, u32 count)
{
	struct part *p = small_part(c, &i);
	u16 flags = le16_to_cpu(p->low[i]) & HPM_SMALL_PUNCHED;

	p->low[i] = cpu_to_le16(flags | (count & HPM_SMALL_COUNT));
	if (p->carry)
		p->hi[i] = cpu_to_le16(count >> 15);
}

static void set_gone(struct counts *c, unsigned int i)
{
	__set_bit((c->pbn + i) & (c->md->large_size - 1), c->gone);
	c->lost++;
}

/*----------------------------------------------------------------
 * Counting small blocks
 *--------------------------------------------------------------*/

static int judge_raise(struct counts *c, unsigned int i)
{
	u32 count = small_count(c, i);
	unsigned int at = i;

	if (count == HPM_COUNT_MAX)
		return corrupt(c->md, c->pbn + i, "reference count overflow");
	if ((count & HPM_SMALL_COUNT) == HPM_SMALL_COUNT)
		small_part(c, &at)->carry = true;
	if (!count) {
		c->used++;
		c->gained += !under_base(c, i);
	}
	return 0;
}

static int judge_lower(struct counts *c, unsigned int i)
{
	u32 count = small_count(c, i);
	unsigned int at = i;

	if (!count || (count == 1 && !c->used))
		return corrupt(c->md, c->pbn + i, "reference count underflow");
	if (!(count & HPM_SMALL_COUNT))
		small_part(c, &at)->carry = true;
	if (count == 1) {
		c->used--;
		if (!under_base(c, i))
			set_gone(c, i);
	}
	return 0;
}

/* Computes the effects of the change; changes only @c. */
static int judge_small(struct counts *c, int delta)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < c->nr && !r; i++)
		r = delta > 0 ? judge_raise(c, i) : judge_lower(c, i);
	return r ? r : large_check(c);
}

static void store_small(struct counts *c, int delta)
{
	unsigned int i;

	for (i = 0; i < c->nr; i++)
		small_store(c, i, small_count(c, i) + delta);
}

/*
 * A change that only moves counts above one, as when leaves become shared or
 * unshared, does not touch the element of the large block and does not copy its
 * leaf.
 */
static int change_small(struct counts *c, int delta)
{
	unsigned int used = c->used;
	struct hpm_disk_large *elt = NULL;
	struct hpm_node *leaf = NULL;
	int r;

	r = judge_small(c, delta);
	if (!r)
		r = smalls_claim_hi(c);
	if (r)
		return r;
	hpm_space_prepare(c->md, c->gone);
	if (c->used != used)
		r = large_claim(c, &leaf, &elt);
	if (r)
		return r;

	store_small(c, delta);
	if (leaf) {
		large_encode(c, elt);
		hpm_node_put(leaf);
		hpm_space_account(c->md, c->large, large_state(c), c->gained,
				  c->lost, c->gone);
	}
	return 0;
}

int hpm_space_count_small(struct hpm_md *md, u64 pbn, u32 nr, int delta)
{
	struct counts c;
	u32 run;
	int r = 0;

	if (!on_device(md, pbn, nr))
		return corrupt(md, pbn, "beyond the end of the data device");
	for (; nr && !r; pbn += run, nr -= run) {
		run = min(nr, md->large_size -
			      (u32)(pbn & (md->large_size - 1)));
		r = counts_begin(&c, md, pbn >> md->large_shift);
		if (r)
			break;
		r = smalls_get(&c, pbn, run, true);
		if (!r)
			r = change_small(&c, delta);
		smalls_put(&c);
	}
	return r;
}

/*----------------------------------------------------------------
 * Counting large blocks
 *--------------------------------------------------------------*/

/* Computes what goes out of use with the last base entry. */
static int judge_baseless(struct counts *c)
{
	unsigned int i;
	int r;

	if (!c->used && !c->punched) {
		bitmap_fill(c->gone, c->md->large_size);
		c->lost = c->md->large_size;
		return 0;
	}
	r = smalls_get_all(c, c->punched);
	if (r)
		return r;
	for (i = 0; i < c->nr; i++)
		if (!small_count(c, i) && !small_punched(c, i))
			set_gone(c, i);
	return 0;
}

/*
 * With the first base entry, every block without a count of its own comes into
 * use.
 */
static int judge_large(struct counts *c, int delta)
{
	u64 pbn = c->large << c->md->large_shift;

	if (delta > 0 && c->refs == U32_MAX)
		return corrupt(c->md, pbn,
			       "reference count overflow as a large block");
	if (delta < 0 && !c->refs)
		return corrupt(c->md, pbn,
			       "reference count underflow as a large block");
	if (delta > 0 && !c->refs)
		c->gained = c->md->large_size - c->used;
	if (delta < 0 && c->refs == 1)
		return judge_baseless(c);
	return 0;
}

static void clear_punched(struct counts *c)
{
	unsigned int i, at;
	struct part *p;

	for (i = 0; i < c->nr; i++) {
		at = i;
		p = small_part(c, &at);
		p->low[at] &= cpu_to_le16(HPM_SMALL_COUNT);
	}
	c->punched = 0;
}

/* Does all that can fail before a change. */
static int large_ready(struct counts *c, struct hpm_node **leaf,
		       struct hpm_disk_large **elt)
{
	hpm_space_prepare(c->md, c->gone);
	return large_claim(c, leaf, elt);
}

static int change_large(struct counts *c, int delta)
{
	struct hpm_disk_large *elt;
	struct hpm_node *leaf;
	int r;

	r = judge_large(c, delta);
	if (!r)
		r = large_ready(c, &leaf, &elt);
	if (r)
		return r;

	c->refs += delta;
	if (!c->refs && c->punched)
		clear_punched(c);
	large_encode(c, elt);
	hpm_node_put(leaf);
	hpm_space_account(c->md, c->large, large_state(c), c->gained, c->lost,
			  c->gone);
	return 0;
}

/* Checks that @pbn is the start of a large block, and reads the large tier. */
static int base_begin(struct counts *c, struct hpm_md *md, u64 pbn)
{
	if (!on_device(md, pbn, md->large_size))
		return corrupt(md, pbn, "beyond the end of the data device");
	if (pbn & (md->large_size - 1))
		return corrupt(md, pbn, "not where a large block starts");
	return counts_begin(c, md, pbn >> md->large_shift);
}

int hpm_space_count_large(struct hpm_md *md, u64 pbn, int delta)
{
	struct counts c;
	int r;

	r = base_begin(&c, md, pbn);
	if (r)
		return r;
	r = change_large(&c, delta);
	smalls_put(&c);
	return r;
}

int hpm_space_count_entry(struct hpm_md *md, const struct hpm_entry *e,
			  int delta)
{
	u64 pbn = hpm_value_pbn(e->value);

	if (!(e->key & 1))
		return hpm_space_count_large(md, pbn, delta);
	if (pbn == HPM_PBN_HOLE)
		return 0;
	return hpm_space_count_small(md, pbn, 1, delta);
}

int hpm_space_base(struct hpm_md *md, u64 pbn, u32 *refs, u32 *punched)
{
	struct counts c;
	int r;

	r = base_begin(&c, md, pbn);
	if (!r) {
		*refs = c.refs;
		*punched = c.punched;
	}
	return r;
}

/*----------------------------------------------------------------
 * Punching
 *--------------------------------------------------------------*/

static void judge_punch(struct counts *c, const unsigned long *mask)
{
	unsigned int i;

	for (i = 0; i < c->nr; i++) {
		if (!test_bit(i, mask) || small_punched(c, i))
			continue;
		c->punched++;
		if (!small_count(c, i))
			set_gone(c, i);
	}
}

static void store_punch(struct counts *c, const unsigned long *mask)
{
	unsigned int i, at;
	struct part *p;

	for (i = 0; i < c->nr; i++) {
		if (!test_bit(i, mask))
			continue;
		at = i;
		p = small_part(c, &at);
		p->low[at] |= cpu_to_le16(HPM_SMALL_PUNCHED);
	}
}

static int change_punch(struct counts *c, const unsigned long *mask)
{
	struct hpm_disk_large *elt;
	struct hpm_node *leaf;
	int r;

	judge_punch(c, mask);
	r = large_check(c);
	if (!r)
		r = large_ready(c, &leaf, &elt);
	if (r)
		return r;

	store_punch(c, mask);
	large_encode(c, elt);
	hpm_node_put(leaf);
	hpm_space_account(c->md, c->large, large_state(c), 0, c->lost, c->gone);
	return 0;
}

int hpm_space_punch(struct hpm_md *md, u64 pbn, const unsigned long *mask)
{
	struct counts c;
	int r;

	r = base_begin(&c, md, pbn);
	if (r)
		return r;
	if (c.refs != 1)
		return corrupt(md, pbn, "punched as a base that is not held once");
	r = smalls_get_all(&c, true);
	if (!r)
		r = change_punch(&c, mask);
	smalls_put(&c);
	return r;
}

/*----------------------------------------------------------------
 * Looking for what is free
 *--------------------------------------------------------------*/

int hpm_space_free_bound(struct hpm_md *md, u64 large)
{
	struct counts c;
	int r;

	r = counts_begin(&c, md, large);
	if (r)
		return r;
	return c.refs ? c.punched : md->large_size - c.used;
}

int hpm_space_free_map(struct hpm_md *md, u64 large, unsigned long *map)
{
	struct counts c;
	unsigned int i;
	int r;

	bitmap_zero(map, md->large_size);
	r = counts_begin(&c, md, large);
	if (r)
		return r;
	r = smalls_get_all(&c, false);
	if (!r)
		for (i = 0; i < c.nr; i++)
			if (!small_count(&c, i) && !under_base(&c, i))
				__set_bit(i, map);
	smalls_put(&c);
	return r;
}

/*----------------------------------------------------------------
 * Loading
 *--------------------------------------------------------------*/

/* Counts the small blocks in use.  The sums suffice unless the two tiers overlap. */
static int count_used(struct counts *c, u32 *used)
{
	unsigned int i;
	int r;

	if (!c->refs || !c->punched || !c->used) {
		*used = c->refs ? c->md->large_size - c->punched : c->used;
		return 0;
	}
	*used = 0;
	r = smalls_get_all(c, false);
	if (!r)
		for (i = 0; i < c->nr; i++)
			*used += small_count(c, i) || under_base(c, i);
	smalls_put(c);
	return r;
}

static int load_large(struct hpm_md *md, u64 large,
		      const struct hpm_disk_large *l)
{
	struct counts c = { .md = md, .large = large };
	u32 used;
	int r;

	if (!l->refs && !l->used && !l->punched)
		return 0;
	if (large >= md->space.nr_large)
		return corrupt(md, large << md->large_shift,
			       "counted beyond the end of the data device");
	r = large_decode(&c, l);
	if (!r)
		r = count_used(&c, &used);
	if (!r)
		hpm_space_account(md, large, large_state(&c), used, 0, NULL);
	return r;
}

static int load_leaf(void *ctx, u64 first, const void *elts, unsigned int nr)
{
	const struct hpm_disk_large *l = elts;
	unsigned int i;
	int r = 0;

	for (i = 0; i < nr && !r; i++)
		r = load_large(ctx, first + i, &l[i]);
	return r;
}

int hpm_space_load(struct hpm_md *md)
{
	hpm_space_reset(md);
	return hpm_array_walk(md, &md->array[HPM_ARR_LARGE], load_leaf, md);
}
