// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sparse arrays: counts of the data space, the volume table, the dying trees.
 *
 * An array is a radix tree.  A leaf is filled with elements, an inner node with
 * pointers, and the tree is as high as the highest index that was ever written
 * requires.  Elements that were never written may have no block and read as
 * zeroes.  An array does not shrink; it is destroyed as a whole.
 *
 * An array belongs to one root, so its blocks have a count of 1 and are copied
 * only when their epoch was sealed.  The volume table is an exception: a table
 * that is held is at first a second reference to its root, and the two separate
 * like the map trees of volumes, node by node as the living table changes
 * (volume-apply.c).  Each new node is linked to its parent at once, so the
 * array is complete after every step, and after an error it has at most a node
 * more than it needs.
 *
 * The applier counts neighbouring small blocks, so most accesses go to the same
 * leaf as the one before.  The array holds that leaf: as long as it can be used
 * unchanged, an access takes one comparison.  The leaf is never out of date,
 * since only this file changes arrays.
 */
#include "engine.h"
#include "array.h"
#include "node.h"
#include "refs.h"

#define ARR_MAX_HEIGHT	7	/* 2016 * 252^6 elements: more than 2^58 */

static const u16 elt_size[] = {
	[HPM_ARR_LARGE]		= sizeof(struct hpm_disk_large),
	[HPM_ARR_SMALL]		= sizeof(__le16),
	[HPM_ARR_SMALL_HI]	= sizeof(__le16),
	[HPM_ARR_VOLUME]	= sizeof(struct hpm_disk_volume),
	[HPM_ARR_DYING]		= sizeof(struct hpm_disk_dying),
};

static_assert(ARRAY_SIZE(elt_size) == HPM_NR_ARRAYS, "a kind is missing");

void hpm_array_init(struct hpm_array *a, enum hpm_array_kind kind)
{
	BUILD_BUG_ON(sizeof(struct hpm_disk_large) != 8);
	BUILD_BUG_ON(sizeof(struct hpm_disk_volume) != 256);
	BUILD_BUG_ON(sizeof(struct hpm_disk_dying) != 64);
	BUILD_BUG_ON(sizeof(struct hpm_arr_node) != HPM_BLOCK_SIZE);
	*a = (struct hpm_array){
		.kind = kind,
		.size = elt_size[kind],
		.per_leaf = HPM_PAYLOAD / elt_size[kind],
	};
}

/*----------------------------------------------------------------
 * Geometry
 *--------------------------------------------------------------*/

/* The number of elements below a node of @level. */
static u64 arr_span(const struct hpm_array *a, unsigned int level)
{
	u64 span = a->per_leaf;

	while (level--)
		span *= HPM_ARR_FANOUT;
	return span;
}

static u64 arr_first(const struct hpm_array *a, unsigned int level, u64 index)
{
	u64 span = arr_span(a, level);

	return div64_u64(index, span) * span;
}

/* The slot of the child that has @index below it, in the node of @level at @first. */
static unsigned int arr_slot(const struct hpm_array *a, unsigned int level,
			     u64 first, u64 index)
{
	return div64_u64(index - first, arr_span(a, level - 1));
}

static unsigned int arr_height(const struct hpm_array *a, u64 index)
{
	unsigned int height = 1;

	while (height <= ARR_MAX_HEIGHT && index >= arr_span(a, height - 1))
		height++;
	return height;
}

/*
 * The height is raised once.  The paths of the two leaves have only the root in
 * common.
 */
u32 hpm_array_worst_new(const struct hpm_array *a, u64 limit)
{
	unsigned int height = arr_height(a, limit - 1);

	return height > 1 ? 3 * (height - 1) : 1;
}

u32 hpm_array_worst_touched(const struct hpm_array *a, u64 limit, u32 n)
{
	unsigned int level, height = arr_height(a, limit - 1);
	u64 nodes;
	u32 sum = 0;

	for (level = 0; level < height; level++) {
		nodes = div64_u64(limit - 1, arr_span(a, level)) + 1;
		sum += min_t(u64, n, nodes);
	}
	return sum;
}

static void *arr_elts(struct hpm_node *n)
{
	return n->head + 1;
}

static u8 arr_type(unsigned int level)
{
	return level ? HPM_BT_ARR_NODE : HPM_BT_ARR_LEAF;
}

static unsigned int arr_fill(const struct hpm_array *a, unsigned int level)
{
	return level ? HPM_ARR_FANOUT : a->per_leaf;
}

/*----------------------------------------------------------------
 * The leaf used last
 *--------------------------------------------------------------*/

static bool last_covers(const struct hpm_array *a, u64 index)
{
	return a->last && index - a->first < a->per_leaf;
}

static void last_set(struct hpm_array *a, struct hpm_node *leaf, u64 first)
{
	if (a->last == leaf)
		return;
	hpm_array_release(a);
	hpm_node_hold(leaf);
	a->last = leaf;
	a->first = first;
}

void hpm_array_release(struct hpm_array *a)
{
	if (a->last)
		hpm_node_put(a->last);
	a->last = NULL;
}

/* Returns the element in the leaf used last; the leaf gets one more hold. */
static void *last_elt(struct hpm_array *a, u64 index, struct hpm_node **leaf)
{
	hpm_node_hold(a->last);
	*leaf = a->last;
	return arr_elts(a->last) + (u32)(index - a->first) * a->size;
}

/*----------------------------------------------------------------
 * Nodes
 *--------------------------------------------------------------*/

static int arr_corrupt(struct hpm_md *md, const struct hpm_array *a, u64 block,
		       const char *what)
{
	hpm_err_ratelimited(md, "metadata block %llu (array %u): %s",
			    (unsigned long long)block, a->kind, what);
	return -EUCLEAN;
}

static int arr_get(struct hpm_md *md, const struct hpm_array *a,
		   struct hpm_ptr ptr, unsigned int level, u64 first,
		   struct hpm_node **out)
{
	struct hpm_node *n;
	int r = hpm_node_get(md, ptr, arr_type(level), level, &n);

	if (r)
		return r;
	if (n->head->kind != a->kind || le64_to_cpu(n->head->aux) != first ||
	    le16_to_cpu(n->head->nr) != arr_fill(a, level)) {
		hpm_node_put(n);
		return arr_corrupt(md, a, ptr.block, "part of another array");
	}
	*out = n;
	return 0;
}

static int arr_new(struct hpm_md *md, const struct hpm_array *a,
		   unsigned int level, u64 first, struct hpm_node **out)
{
	int r = hpm_node_new(md, arr_type(level), level, out);

	if (r)
		return r;
	(*out)->head->kind = a->kind;
	(*out)->head->nr = cpu_to_le16(arr_fill(a, level));
	(*out)->head->aux = cpu_to_le64(first);
	return 0;
}

static struct hpm_ptr arr_child(const struct hpm_node *n, unsigned int slot)
{
	return hpm_ptr_from_disk(&n->arr->child[slot]);
}

static int arr_check_root(struct hpm_md *md, const struct hpm_array *a)
{
	const struct hpm_root *root = &a->root;

	if (root->height > ARR_MAX_HEIGHT || !root->height != !root->ptr.block)
		return arr_corrupt(md, a, root->ptr.block, "impossible height");
	return 0;
}

/*----------------------------------------------------------------
 * Reading
 *--------------------------------------------------------------*/

/* Finds the leaf with @index and holds it; NULL if there is none. */
static int arr_leaf(struct hpm_md *md, const struct hpm_array *a, u64 index,
		    struct hpm_node **leaf)
{
	unsigned int level = a->root.height;
	struct hpm_ptr ptr = a->root.ptr;
	struct hpm_node *n;
	u64 first;
	int r;

	*leaf = NULL;
	r = arr_check_root(md, a);
	if (r || !level || index >= arr_span(a, level - 1))
		return r;
	while (ptr.block) {
		level--;
		first = arr_first(a, level, index);
		r = arr_get(md, a, ptr, level, first, &n);
		if (r)
			return r;
		if (!level) {
			*leaf = n;
			return 0;
		}
		ptr = arr_child(n, arr_slot(a, level, first, index));
		hpm_node_put(n);
	}
	return 0;
}

int hpm_array_read(struct hpm_md *md, struct hpm_array *a, u64 index,
		   struct hpm_node **leaf, const void **elt)
{
	struct hpm_node *n;
	int r;

	lockdep_assert_held(&md->lock);
	if (last_covers(a, index)) {
		*elt = last_elt(a, index, leaf);
		return 0;
	}
	*leaf = NULL;
	*elt = NULL;
	r = arr_leaf(md, a, index, &n);
	if (r || !n)
		return r;
	last_set(a, n, le64_to_cpu(n->head->aux));
	*elt = last_elt(a, index, leaf);
	hpm_node_put(n);
	return 0;
}

/*----------------------------------------------------------------
 * Writing
 *--------------------------------------------------------------*/

static bool is_counts(const struct hpm_array *a)
{
	return a->kind <= HPM_ARR_SMALL_HI;
}

/*
 * Counts a node that this epoch has made or copied.  Readers see that its block
 * is taken before they see that it need not be copied any more.
 */
static void count_node(struct hpm_md *md, struct hpm_array *a, bool new)
{
	if (new)
		WRITE_ONCE(a->nodes, a->nodes + 1);
	if (!is_counts(a))
		return;
	/* Pairs with meta_room(). */
	smp_wmb();
	if (new)
		WRITE_ONCE(md->counts_made, md->counts_made + 1);
	else
		WRITE_ONCE(md->counts_left, md->counts_left - 1);
}

/* The two arrays that shared a node each have one of their own now. */
static void count_parted(struct hpm_md *md)
{
	/* The taken block must be visible first: pairs with meta_room(). */
	smp_wmb();
	WRITE_ONCE(md->table_shared, md->table_shared - !!md->table_shared);
}

void hpm_counts_epoch(struct hpm_md *md)
{
	u64 nodes = 0;
	unsigned int i;

	for (i = HPM_ARR_LARGE; i <= HPM_ARR_SMALL_HI; i++)
		nodes += md->array[i].nodes;
	WRITE_ONCE(md->counts_left, nodes);
	WRITE_ONCE(md->counts_made, 0);
}

/*
 * Adds roots until @height is reached; an empty array gets one of that height
 * at once.
 */
static int arr_raise(struct hpm_md *md, struct hpm_array *a,
		     unsigned int height)
{
	struct hpm_node *top;
	unsigned int level;
	int r;

	while (a->root.height < height) {
		level = a->root.height ? a->root.height : height - 1;
		r = arr_new(md, a, level, 0, &top);
		if (r)
			return r;
		count_node(md, a, true);
		if (a->root.height)
			hpm_ptr_to_disk(&top->arr->child[0], a->root.ptr);
		a->root.ptr = hpm_node_ptr(top);
		a->root.height = level + 1;
		hpm_node_put(top);
	}
	return 0;
}

/* Makes @slot of @parent, or the root of the array, point to the node, or to none. */
static void arr_link(struct hpm_array *a, struct hpm_node *parent,
		     unsigned int slot, struct hpm_node *n)
{
	if (parent && !n)
		hpm_ptr_to_disk(&parent->arr->child[slot],
				(struct hpm_ptr){ 0 });
	else if (parent)
		hpm_ptr_to_disk(&parent->arr->child[slot], hpm_node_ptr(n));
	else
		a->root.ptr = hpm_node_ptr(n);
}

/* One step down: gets the node that @ptr names, or a new one, writable and linked. */
static int arr_own(struct hpm_md *md, struct hpm_array *a, struct hpm_ptr ptr,
		   unsigned int level, u64 first, struct hpm_node *parent,
		   unsigned int slot, struct hpm_node **out)
{
	struct hpm_node *n;
	bool shared;
	int r;

	if (ptr.block)
		r = arr_get(md, a, ptr, level, first, &n);
	else
		r = arr_new(md, a, level, first, &n);
	if (r)
		return r;
	*out = n;
	if (ptr.block && hpm_node_owned(md, n))
		return 0;
	shared = ptr.block && hpm_refs_count(md, ptr.block) > 1;
	r = hpm_node_shadow(md, out);
	if (r) {
		hpm_node_put(n);
		return r;
	}
	arr_link(a, parent, slot, *out);
	count_node(md, a, !ptr.block);
	if (shared)
		count_parted(md);
	return 0;
}

/*
 * Finds or makes the leaf with @index, holds it, and makes its whole path
 * writable.
 */
static int arr_own_leaf(struct hpm_md *md, struct hpm_array *a, u64 index,
			struct hpm_node **leaf)
{
	unsigned int level = a->root.height, slot = 0;
	struct hpm_node *parent = NULL, *n;
	struct hpm_ptr ptr = a->root.ptr;
	u64 first;
	int r;

	for (;;) {
		level--;
		first = arr_first(a, level, index);
		r = arr_own(md, a, ptr, level, first, parent, slot, &n);
		if (parent)
			hpm_node_put(parent);
		if (r)
			return r;
		if (!level)
			break;
		slot = arr_slot(a, level, first, index);
		ptr = arr_child(n, slot);
		parent = n;
	}
	*leaf = n;
	return 0;
}

int hpm_array_write(struct hpm_md *md, struct hpm_array *a, u64 index,
		    struct hpm_node **leaf, void **elt)
{
	unsigned int height;
	struct hpm_node *n;
	int r;

	lockdep_assert_held(&md->lock);
	if (last_covers(a, index) && hpm_node_owned(md, a->last)) {
		*elt = last_elt(a, index, leaf);
		return 0;
	}
	*leaf = NULL;
	*elt = NULL;
	height = arr_height(a, index);
	if (height > ARR_MAX_HEIGHT)
		return -EINVAL;
	r = arr_check_root(md, a);
	if (!r)
		r = arr_raise(md, a, height);
	if (!r)
		r = arr_own_leaf(md, a, index, &n);
	if (r)
		return r;
	last_set(a, n, le64_to_cpu(n->head->aux));
	*elt = last_elt(a, index, leaf);
	hpm_node_put(n);
	return 0;
}

/*----------------------------------------------------------------
 * All of it
 *
 * Both walks recurse, to a depth of ARR_MAX_HEIGHT at most.
 *--------------------------------------------------------------*/

struct arr_walk {
	struct hpm_md *md;
	struct hpm_array *a;
	int (*fn)(void *ctx, u64 first, const void *elts, unsigned int nr);
	void *ctx;
};

static int walk_node(struct arr_walk *w, struct hpm_ptr ptr, unsigned int level,
		     u64 first)
{
	struct hpm_array *a = w->a;
	struct hpm_ptr child;
	struct hpm_node *n;
	unsigned int i;
	int r;

	r = arr_get(w->md, a, ptr, level, first, &n);
	if (r)
		return r;
	if (!level)
		r = w->fn(w->ctx, first, arr_elts(n), a->per_leaf);
	for (i = 0; level && !r && i < HPM_ARR_FANOUT; i++) {
		child = arr_child(n, i);
		if (child.block)
			r = walk_node(w, child, level - 1,
				      first + i * arr_span(a, level - 1));
	}
	hpm_node_put(n);
	return r;
}

/* @fn must not write to the array that is walked. */
int hpm_array_walk(struct hpm_md *md, struct hpm_array *a,
		   int (*fn)(void *ctx, u64 first, const void *elts,
			     unsigned int nr), void *ctx)
{
	struct arr_walk w = { .md = md, .a = a, .fn = fn, .ctx = ctx };
	int r;

	lockdep_assert_held(&md->lock);
	r = arr_check_root(md, a);
	if (r || !a->root.height)
		return r;
	return walk_node(&w, a->root.ptr, a->root.height - 1, 0);
}

/*----------------------------------------------------------------
 * Sharing, for the volume table and one that is held
 *--------------------------------------------------------------*/

static int inc_root(struct hpm_md *md, const struct hpm_disk_volume *d)
{
	return d->root.height ?
	       hpm_refs_inc(md, le64_to_cpu(d->root.ptr.block)) : 0;
}

/* Only nodes of the volume table may be shared, with a table that is held. */
static int inc_children(struct hpm_md *md, struct hpm_node *n)
{
	unsigned int i, per_leaf = HPM_PAYLOAD / elt_size[HPM_ARR_VOLUME];
	const struct hpm_disk_volume *d = arr_elts(n);
	int r = 0;

	if (n->head->kind != HPM_ARR_VOLUME)
		return arr_corrupt(md, &md->array[HPM_ARR_VOLUME], n->block,
				   "an array's block is shared");
	if (!n->head->level) {
		for (i = 0; !r && i < per_leaf; i++)
			r = inc_root(md, &d[i]);
		return r;
	}
	for (i = 0; !r && i < HPM_ARR_FANOUT; i++)
		if (arr_child(n, i).block)
			r = hpm_refs_inc(md, arr_child(n, i).block);
	return r;
}

const struct hpm_node_kind hpm_array_kind = {
	.raise_children = inc_children,
};

static int unshared_node(struct hpm_md *md, struct hpm_array *a,
			 struct hpm_ptr ptr, unsigned int level, u64 first,
			 u64 *nr)
{
	struct hpm_node *n;
	unsigned int i;
	int r;

	if (hpm_refs_count(md, ptr.block) > 1)
		return 0;
	(*nr)++;
	if (!level)
		return 0;
	r = arr_get(md, a, ptr, level, first, &n);
	if (r)
		return r;
	for (i = 0; !r && i < HPM_ARR_FANOUT; i++)
		if (arr_child(n, i).block)
			r = unshared_node(md, a, arr_child(n, i), level - 1,
					  first + i * arr_span(a, level - 1),
					  nr);
	hpm_node_put(n);
	return r;
}

int hpm_array_unshared(struct hpm_md *md, struct hpm_array *a, u64 *nr)
{
	int r = arr_check_root(md, a);

	*nr = 0;
	if (r || !a->root.height)
		return r;
	return unshared_node(md, a, a->root.ptr, a->root.height - 1, 0, nr);
}

/* Calls ->kept() for the leaves below a node that another array shares. */
static int cut_kept(struct hpm_md *md, struct hpm_array *a, struct hpm_ptr ptr,
		    unsigned int level, u64 first,
		    const struct hpm_cut_ops *ops)
{
	struct arr_walk w = { .md = md, .a = a, .fn = ops->kept, .ctx = md };

	return ops->kept ? walk_node(&w, ptr, level, first) : 0;
}

/* Drops one reference; with the last one, everything below is given back. */
static int cut_all(struct hpm_md *md, struct hpm_array *a, struct hpm_ptr ptr,
		   unsigned int level, u64 first,
		   const struct hpm_cut_ops *ops)
{
	struct hpm_node *n;
	unsigned int i;
	int r;

	if (hpm_refs_count(md, ptr.block) > 1) {
		r = cut_kept(md, a, ptr, level, first, ops);
		if (!r)
			r = hpm_refs_dec(md, ptr.block, ptr.epoch);
		return min(r, 0);
	}
	r = arr_get(md, a, ptr, level, first, &n);
	if (r)
		return r;
	if (!level)
		r = ops->gone(md, arr_elts(n), a->per_leaf);
	for (i = 0; level && !r && i < HPM_ARR_FANOUT; i++)
		if (arr_child(n, i).block)
			r = cut_all(md, a, arr_child(n, i), level - 1,
				    first + i * arr_span(a, level - 1), ops);
	if (!r)
		r = hpm_refs_dec(md, ptr.block, ptr.epoch);
	if (r) {
		hpm_node_put(n);
		return r;
	}
	hpm_node_drop(md, n);
	return 0;
}

static int cut_leaf(struct hpm_md *md, struct hpm_array *a, struct hpm_node *n,
		    u64 nr, const struct hpm_cut_ops *ops)
{
	int r = ops->gone(md, arr_elts(n), nr);

	if (!r)
		memset(arr_elts(n), 0, nr * a->size);
	return r;
}

/*
 * Cuts the node, which is writable and has @to inside of it, and goes down to
 * the leaf.
 */
static int cut_below(struct hpm_md *md, struct hpm_array *a, struct hpm_node *n,
		     unsigned int level, u64 first, u64 to,
		     const struct hpm_cut_ops *ops)
{
	u64 span = level ? arr_span(a, level - 1) : 0;
	struct hpm_node *child;
	struct hpm_ptr ptr;
	unsigned int i;
	int r = 0;

	if (!level)
		return cut_leaf(md, a, n, to - first, ops);
	for (i = 0; !r && i < HPM_ARR_FANOUT && first < to; i++, first += span) {
		ptr = arr_child(n, i);
		if (!ptr.block)
			continue;
		if (to - first >= span) {
			r = cut_all(md, a, ptr, level - 1, first, ops);
			arr_link(a, n, i, NULL);
			continue;
		}
		r = arr_own(md, a, ptr, level - 1, first, n, i, &child);
		if (r)
			break;
		r = cut_below(md, a, child, level - 1, first, to, ops);
		hpm_node_put(child);
	}
	return r;
}

/* After an error, counts are too low for what is left, so the engine must stop. */
int hpm_array_cut(struct hpm_md *md, struct hpm_array *a, u64 to,
		  const struct hpm_cut_ops *ops)
{
	unsigned int level = a->root.height - 1;
	struct hpm_node *top;
	int r;

	lockdep_assert_held(&md->lock);
	r = arr_check_root(md, a);
	if (r || !a->root.height)
		return r;
	hpm_array_release(a);
	if (to >= arr_span(a, level)) {
		r = cut_all(md, a, a->root.ptr, level, 0, ops);
		a->root = (struct hpm_root){ 0 };
		return r;
	}
	r = arr_own(md, a, a->root.ptr, level, 0, NULL, 0, &top);
	if (r)
		return r;
	r = cut_below(md, a, top, level, 0, to, ops);
	hpm_node_put(top);
	return r;
}

struct cut_bound {
	struct hpm_md *md;
	struct hpm_array *a;
	bool (*weigh)(void *ctx, const void *elt);
	void *ctx;
	bool all;
	unsigned int looks, heavy;
	u64 to;
};

static void bound_leaf(struct cut_bound *b, struct hpm_node *n, u64 first)
{
	unsigned int i;

	for (i = 0; i < b->a->per_leaf && b->looks; i++, b->looks--) {
		if (b->weigh(b->ctx, arr_elts(n) + i * b->a->size)) {
			if (!b->heavy) {
				b->looks = 0;
				return;
			}
			b->heavy--;
		}
		b->to = first + i + 1;
	}
}

static int bound_node(struct cut_bound *b, struct hpm_ptr ptr,
		      unsigned int level, u64 first)
{
	u64 span = level ? arr_span(b->a, level - 1) : 0;
	struct hpm_node *n;
	unsigned int i;
	int r;

	if (!b->all && hpm_refs_count(b->md, ptr.block) > 1) {
		b->to = first + arr_span(b->a, level);
		b->looks--;
		return 0;
	}
	r = arr_get(b->md, b->a, ptr, level, first, &n);
	if (r)
		return r;
	if (!level)
		bound_leaf(b, n, first);
	for (i = 0; level && !r && i < HPM_ARR_FANOUT && b->looks; i++)
		if (arr_child(n, i).block)
			r = bound_node(b, arr_child(n, i), level - 1,
				       first + i * span);
	hpm_node_put(n);
	return r;
}

int hpm_array_cut_bound(struct hpm_md *md, struct hpm_array *a,
			bool (*weigh)(void *ctx, const void *elt), void *ctx,
			bool all, unsigned int looks, unsigned int heavy,
			u64 *to)
{
	struct cut_bound b = {
		.md = md,
		.a = a,
		.weigh = weigh,
		.ctx = ctx,
		.all = all,
		.looks = looks,
		.heavy = heavy,
	};
	int r = arr_check_root(md, a);

	if (!r && a->root.height)
		r = bound_node(&b, a->root.ptr, a->root.height - 1, 0);
	/* If looks are left, the whole rest was looked at. */
	*to = b.looks ? U64_MAX : b.to;
	return r;
}
