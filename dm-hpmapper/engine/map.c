// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map trees: the physical block of each virtual block of a volume.
 *
 * Each volume has one B+tree for both levels of the map.  The entry of a large
 * block and the entries of the small blocks that override parts of it have
 * neighbouring keys (format.h).  So a look-up that finds no override usually
 * has the base one position to its left, and the first small write into a large
 * block costs twelve bytes and no node of its own.
 *
 * Who may look, and when
 * ----------------------
 * Trees are changed under md->lock, by applying records.  Readers take no lock:
 * they walk the nodes in memory under RCU, between read_seqcount_begin() and
 * read_seqcount_retry() of their volume.  This is correct because:
 *
 *  - a node that two volumes reach is never changed.  A change first makes
 *    each node on the path the volume's own (hpm_node_shadow()), so a node that
 *    changes while a reader of volume V sees it belongs to V, and V's counter
 *    covers it;
 *  - every visible change, i.e. an edit of a leaf, a new child pointer, a
 *    split or a new root, is made inside one write section.  Sections neither
 *    sleep nor allocate: all that can fail is done before;
 *  - a reader that loses the race may follow a pointer into a node that is
 *    being edited or that has left the tree.  Node memory goes through RCU,
 *    indices are clamped, and the result is thrown away by the retry.
 *
 * A node that is not in memory ends the look-up with -EAGAIN; a worker loads
 * it and the look-up starts again.
 *
 * Splitting and merging
 * ---------------------
 * On the way down, an inner node that has no room for the leaves that a splice
 * may make is split at once, so the split of a leaf always finds room in the
 * parent.  The entries of a leaf share the upper half of their keys, so entries
 * of another such region always go into another leaf.
 *
 * Where a full leaf is cut depends on the place of the new entry.  If it is at
 * the end, the old entries stay together, as a writer that goes upwards does
 * not come back to them.  A writer that goes downwards does come back: each of
 * its entries is behind the same full leaf and in front of its previous entry.
 * So an entry that would begin a new leaf goes to the front of the next leaf,
 * as long as that has room.  Anywhere else, the cut is beside the new entry if
 * it continues a run of neighbours, and in the middle if it does not; but each
 * half keeps a quarter of the entries, so that no pattern of writes makes
 * leaves with only a few entries.
 *
 * A leaf that is less than a quarter full is merged with a neighbour under the
 * same parent; an empty leaf is removed.  All of this depends only on the
 * sequence of records, so a replay builds trees of the same shape.
 *
 * What one splice takes
 * ---------------------
 * A record changes a tree by one splice, whose interval may cover any number of
 * leaves, as trees of an earlier version have leaves with one entry.  A splice
 * must not take blocks for each of them, since its record is in the journal and
 * can no longer be refused.
 *
 * So only nodes that keep entries are made the volume's own: those on the way
 * to the leaf where the interval begins, and those on the way to the leaf where
 * it ends, if that leaf keeps an entry.  What lies between is unlinked, subtree
 * by subtree, each as large as fits the interval, and is then given back, which
 * lowers counts and copies nothing.  Each time, the left leaf takes over the
 * keys of the subtree, and gets the new entries for these keys, in one write
 * section, so readers see either the old or the new entry of every key.
 *
 * In a tree of height g that is at most
 *
 *	g		nodes from the root to the left leaf
 *	g - 1		nodes to the right leaf, the root being the same
 *	2		new leaves: what is left of two full leaves and 513 new
 *			entries fits in two leaves beside the left one, or an
 *			entry goes to the leaf behind, which is copied instead
 *	g		inner nodes that were full, and a new root
 *
 * which is 3 * g + 1.  A merge takes none: the entries of a
 * neighbour that no other tree shares are moved into the leaf that is owned
 * already.  The counts that a splice touches are bounded as well; cost.c says
 * how.
 */
#include "engine.h"
#include "change.h"
#include "cost.h"
#include "map.h"
#include "node.h"
#include "refs.h"
#include "space.h"
#include "volumes.h"

#define MAP_NEW_LEAVES	2u	/* that one splice may make */
#define MAP_GAP		128u	/* keys of a gap that a run may fill */
#define MAP_MERGE_BELOW	(HPM_LEAF_MAX / 4)
#define MAP_MERGE_FILL	(HPM_LEAF_MAX * 3 / 4)

/*----------------------------------------------------------------
 * Inside a node.  Readers may see garbage for a moment: clamp.
 *--------------------------------------------------------------*/

static unsigned int leaf_nr(const struct hpm_node *n)
{
	return min_t(unsigned int, le16_to_cpu(n->head->nr), HPM_LEAF_MAX);
}

static unsigned int node_nr(const struct hpm_node *n)
{
	return min_t(unsigned int, le16_to_cpu(n->head->nr), HPM_NODE_MAX);
}

static void set_nr(struct hpm_node *n, unsigned int nr)
{
	n->head->nr = cpu_to_le16(nr);
}

static u64 leaf_region(const struct hpm_node *n)
{
	return le64_to_cpu(n->head->aux);
}

static u64 leaf_key(const struct hpm_node *n, unsigned int i)
{
	return leaf_region(n) << 32 | le32_to_cpu(n->leaf->key[i]);
}

static u64 leaf_value(const struct hpm_node *n, unsigned int i)
{
	return le64_to_cpu(n->leaf->value[i]);
}

/*
 * Returns where @low would be if the leaf's keys were evenly spaced, as they
 * are where all blocks are large ones, or all are small ones.  @low is between
 * the first key and the last.
 */
static unsigned int leaf_guess(const struct hpm_node *n, unsigned int nr,
			       u32 low)
{
	u32 first = le32_to_cpu(n->leaf->key[0]);
	u32 last = le32_to_cpu(n->leaf->key[nr - 1]);

	if (low <= first)
		return 0;
	if (low >= last)
		return nr - 1;
	return div_u64((u64)(low - first) * (nr - 1), last - first);
}

/*
 * Returns the first position whose key is >= @key: by a guess, a look at the
 * position beside it and, if that was not it, bisection.
 */
static unsigned int leaf_lower(const struct hpm_node *n, u64 key)
{
	unsigned int lo = 0, hi = leaf_nr(n), mid, looks = 0;
	u64 region = leaf_region(n);
	u32 low = key;

	if (key >> 32 != region)
		return key >> 32 < region ? 0 : hi;
	mid = hi ? leaf_guess(n, hi, low) : 0;
	while (lo < hi) {
		if (le32_to_cpu(n->leaf->key[mid]) < low) {
			lo = mid + 1;
			mid = looks ? (lo + hi) / 2 : lo;
		} else {
			hi = mid;
			mid = looks ? (lo + hi) / 2 : hi - 1;
		}
		looks++;
	}
	return lo;
}

/*
 * The same from position @pos on; nearly always the result is that position or
 * the next one.
 */
static unsigned int leaf_lower_from(const struct hpm_node *n, u64 key,
				    unsigned int pos)
{
	unsigned int nr = leaf_nr(n), i;

	for (i = pos; i < nr && i <= pos + 1; i++)
		if (leaf_key(n, i) >= key)
			return i;
	return i < nr ? leaf_lower(n, key) : nr;
}

/* The child that covers @key; key[0] counts as minus infinity. */
static unsigned int node_child(const struct hpm_node *n, u64 key)
{
	unsigned int lo = 1, hi = node_nr(n), mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (le64_to_cpu(n->node->key[mid]) <= key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

static u64 node_key(const struct hpm_node *n, unsigned int i)
{
	return le64_to_cpu(n->node->key[i]);
}

static struct hpm_ptr node_ptr(const struct hpm_node *n, unsigned int i)
{
	return hpm_ptr_from_disk(&n->node->child[i]);
}

static u8 level_type(unsigned int level)
{
	return level ? HPM_BT_MAP_NODE : HPM_BT_MAP_LEAF;
}

static int map_validate(const struct hpm_block_head *h)
{
	const struct hpm_map_leaf *leaf = (const void *)h;
	const struct hpm_map_node *node = (const void *)h;
	unsigned int i, nr = le16_to_cpu(h->nr);

	if (h->type == HPM_BT_MAP_LEAF) {
		if (nr > HPM_LEAF_MAX || le64_to_cpu(h->aux) >> 32)
			return -EUCLEAN;
		for (i = 1; i < nr; i++)
			if (le32_to_cpu(leaf->key[i - 1]) >=
			    le32_to_cpu(leaf->key[i]))
				return -EUCLEAN;
		return 0;
	}

	if (!nr || nr > HPM_NODE_MAX || !h->level ||
	    h->level >= HPM_MAP_HEIGHT)
		return -EUCLEAN;
	for (i = 2; i < nr; i++)
		if (le64_to_cpu(node->key[i - 1]) >= le64_to_cpu(node->key[i]))
			return -EUCLEAN;
	for (i = 0; i < nr; i++)
		if (!node->child[i].block)
			return -EUCLEAN;
	return 0;
}

/*----------------------------------------------------------------
 * Looking up, without a lock
 *--------------------------------------------------------------*/

/* A leaf and the interval of keys that it covers. */
struct map_spot {
	struct hpm_node *leaf;
	u64 lower, upper;
};

static int map_find(struct hpm_md *md, struct hpm_root root, u64 key,
		    struct map_spot *s)
{
	struct hpm_ptr ptr = root.ptr;
	struct hpm_node *n;
	unsigned int i, level;

	s->lower = 0;
	s->upper = U64_MAX;
	for (level = root.height - 1; level; level--) {
		n = hpm_node_find(md, ptr.block, ptr.epoch);
		if (!n)
			return -EAGAIN;
		i = node_child(n, key);
		if (i)
			s->lower = node_key(n, i);
		if (i + 1 < node_nr(n))
			s->upper = node_key(n, i + 1);
		ptr = node_ptr(n, i);
	}
	s->leaf = hpm_node_find(md, ptr.block, ptr.epoch);
	return s->leaf ? 0 : -EAGAIN;
}

/*
 * Finds the base of the large block at @lvbn: *value, or *found is false.  @s
 * is the leaf where the look-up ended, @pos the position of the first entry
 * behind the key.
 */
static int map_find_base(struct hpm_md *md, struct hpm_root root, u64 lvbn,
			 const struct map_spot *s, unsigned int pos,
			 u64 *value, bool *found)
{
	const struct hpm_node *leaf = s->leaf;
	u64 key = hpm_key_base(lvbn);
	struct map_spot other;
	unsigned int i;
	int r;

	/* The base is nearly always right here, or there is none. */
	if (pos && leaf_key(leaf, pos - 1) <= key) {
		i = pos - 1;
	} else {
		if (key < s->lower) {
			r = map_find(md, root, key, &other);
			if (r)
				return r;
			leaf = other.leaf;
		}
		i = leaf_lower(leaf, key);
	}
	*found = i < leaf_nr(leaf) && leaf_key(leaf, i) == key;
	*value = *found ? leaf_value(leaf, i) : 0;
	return 0;
}

static bool value_shared(u64 value, u32 snap_time)
{
	return hpm_value_time(value) < snap_time;
}

/* A run of small entries from position @pos on. */
static void run_of_small(const struct hpm_node *leaf, unsigned int pos,
			 u32 snap_time, u32 max, struct hpm_run *run)
{
	u64 value = leaf_value(leaf, pos), key = leaf_key(leaf, pos);
	unsigned int nr = leaf_nr(leaf);
	u64 v;

	run->pbn = hpm_value_pbn(value);
	run->mapped = run->pbn != HPM_PBN_HOLE;
	run->shared = run->mapped && value_shared(value, snap_time);
	run->base = false;
	for (run->nr = 1; run->nr < max && pos + run->nr < nr; run->nr++) {
		if (leaf_key(leaf, pos + run->nr) != key + 2ULL * run->nr)
			break;
		v = leaf_value(leaf, pos + run->nr);
		if (hpm_value_pbn(v) !=
		    (run->mapped ? run->pbn + run->nr : HPM_PBN_HOLE))
			break;
		if (run->mapped && value_shared(v, snap_time) != run->shared)
			break;
	}
}

/*
 * The number of VBNs from @vbn on that have no entry of their own; @pos is the
 * position of the first entry behind @vbn's base.
 */
static u64 gap_at(const struct map_spot *s, unsigned int pos, u64 vbn)
{
	u64 next = s->upper;

	if (pos < leaf_nr(s->leaf))
		next = leaf_key(s->leaf, pos);
	next >>= 1;
	return next > vbn ? next - vbn : 0;
}

/*
 * A run inside a base.  It continues into the next large blocks as long as they
 * are contiguous on the data device and nothing overrides them, so that one bio
 * is enough.
 */
static void run_of_base(struct hpm_md *md, const struct map_spot *s,
			unsigned int pos, u64 vbn, u64 value, u32 snap_time,
			u32 max, struct hpm_run *run)
{
	u64 lvbn = round_down(vbn, md->large_size), v, nr, gap;
	unsigned int n = leaf_nr(s->leaf);

	run->pbn = hpm_value_pbn(value) + (vbn - lvbn);
	run->mapped = true;
	run->shared = value_shared(value, snap_time);
	run->base = true;
	run->nr = 1;
	if (max == 1)
		return;
	nr = min_t(u64, gap_at(s, pos, vbn), lvbn + md->large_size - vbn);
	nr = max_t(u64, nr, 1);		/* 0: lost the race */
	while (nr < max && vbn + nr == lvbn + md->large_size && pos < n) {
		lvbn += md->large_size;
		v = leaf_value(s->leaf, pos);
		if (leaf_key(s->leaf, pos) != hpm_key_base(lvbn) ||
		    hpm_value_pbn(v) != run->pbn + nr ||
		    value_shared(v, snap_time) != run->shared)
			break;
		gap = gap_at(s, ++pos, lvbn);
		nr += min_t(u64, gap, md->large_size);
	}
	run->nr = min_t(u64, nr, max);
}

static int map_lookup(struct hpm_vol *vol, u64 vbn, u32 max,
		      struct hpm_run *run)
{
	struct hpm_md *md = vol->md;
	struct hpm_root root = vol->root;
	u64 key = hpm_key_small(vbn), value;
	u32 snap_time = READ_ONCE(vol->seen_time);
	struct map_spot s;
	unsigned int pos;
	bool found;
	int r;

	if (!root.height || root.height > HPM_MAP_HEIGHT) {
		*run = (struct hpm_run){ .nr = max };
		return 0;
	}
	r = map_find(md, root, key, &s);
	if (r)
		return r;
	pos = leaf_lower(s.leaf, key);
	if (pos < leaf_nr(s.leaf) && leaf_key(s.leaf, pos) == key) {
		run_of_small(s.leaf, pos, snap_time, max, run);
		return 0;
	}
	r = map_find_base(md, root, round_down(vbn, (u64)md->large_size), &s,
			  pos, &value, &found);
	if (r)
		return r;
	if (found) {
		run_of_base(md, &s, pos, vbn, value, snap_time, max, run);
		return 0;
	}
	*run = (struct hpm_run){
		.nr = clamp_t(u64, gap_at(&s, pos, vbn), 1, max),
	};
	return 0;
}

int hpm_map_lookup(struct hpm_vol *vol, u64 vbn, u32 max, struct hpm_run *run)
{
	unsigned int seq;
	int r;

	/*
	 * Published changes are searched first, the tree after them.  A change
	 * leaves the chains only when the tree has it, so a mapping that is in
	 * neither does not exist.
	 */
	rcu_read_lock();
	if (hpm_changes_lookup(vol, vbn, &max, run)) {
		rcu_read_unlock();
		return 0;
	}
	do {
		seq = read_seqcount_begin(&vol->seq);
		r = map_lookup(vol, vbn, max, run);
	} while (read_seqcount_retry(&vol->seq, seq));
	rcu_read_unlock();
	return r;
}

typedef int (*node_get_fn)(struct hpm_md *md, struct hpm_ptr ptr, u8 type,
			   u8 level, struct hpm_node **out);

/* The child of a held node, which may be changing. */
static struct hpm_ptr map_child(struct hpm_vol *vol, const struct hpm_node *n,
				u64 key)
{
	struct hpm_ptr ptr;
	unsigned int seq;

	do {
		seq = read_seqcount_begin(&vol->seq);
		ptr = node_ptr(n, node_child(n, key));
	} while (read_seqcount_retry(&vol->seq, seq));
	return ptr;
}

/* Brings the nodes on the way to @key into memory. */
static int map_load_key(struct hpm_vol *vol, u64 key, node_get_fn get)
{
	struct hpm_md *md = vol->md;
	struct hpm_root root;
	struct hpm_node *n;
	struct hpm_ptr ptr;
	unsigned int seq, level;
	int r;

	do {
		seq = read_seqcount_begin(&vol->seq);
		root = vol->root;
	} while (read_seqcount_retry(&vol->seq, seq));

	ptr = root.ptr;
	for (level = root.height; level; level--) {
		r = get(md, ptr, level_type(level - 1), level - 1, &n);
		if (r)
			return r;
		if (level > 1)
			ptr = map_child(vol, n, key);
		hpm_node_put(n);
	}
	return 0;
}

static int map_load_once(struct hpm_vol *vol, u64 vbn, node_get_fn get)
{
	u64 lvbn = round_down(vbn, (u64)vol->md->large_size);
	int r = map_load_key(vol, hpm_key_small(vbn), get);

	return r ? r : map_load_key(vol, hpm_key_base(lvbn), get);
}

/*
 * Runs at the same time as the applier: the root is a copy, and a node that the
 * applier drops meanwhile fails the check of its epoch or type; the next
 * attempt finds the new one.  Only if this happens with the applier locked out
 * is it damage.
 */
#define MAP_LOAD_TRIES	16

int hpm_map_load(struct hpm_vol *vol, u64 vbn)
{
	struct hpm_run run;
	int r, tries;

	for (tries = 0; tries < MAP_LOAD_TRIES; tries++) {
		if (hpm_map_lookup(vol, vbn, 1, &run) != -EAGAIN)
			return 0;
		r = map_load_once(vol, vbn, hpm_node_try_get);
		if (r && r != -EUCLEAN)
			return r;
		if (r)
			break;
	}
	mutex_lock(&vol->md->lock);
	r = map_load_once(vol, vbn, hpm_node_get);
	mutex_unlock(&vol->md->lock);
	return r;
}

int hpm_map_hole(struct hpm_vol *vol, u64 vbn, u64 max, u64 *nr)
{
	struct hpm_run run;
	u64 done = 0;
	int r;

	while (done < max) {
		r = hpm_map_lookup(vol, vbn + done,
				   min_t(u64, max - done, U32_MAX / 2), &run);
		if (r == -EAGAIN)
			r = hpm_map_load(vol, vbn + done);
		else if (!r && run.mapped)
			break;
		else if (!r)
			done += run.nr;
		if (r)
			return r;
	}
	*nr = done;
	return 0;
}

/*----------------------------------------------------------------
 * Reading under md->lock
 *--------------------------------------------------------------*/

/* Finds the leaf that covers @key, with a hold, and the end of its keys. */
static int map_leaf(struct hpm_md *md, struct hpm_root root, u64 key,
		    struct hpm_node **leaf, u64 *upper)
{
	struct hpm_ptr ptr = root.ptr;
	unsigned int i, level = root.height;
	struct hpm_node *n;
	int r;

	*upper = U64_MAX;
	for (;;) {
		level--;
		r = hpm_node_get(md, ptr, level_type(level), level, &n);
		if (r)
			return r;
		if (!level)
			break;
		i = node_child(n, key);
		if (i + 1 < node_nr(n))
			*upper = node_key(n, i + 1);
		ptr = node_ptr(n, i);
		hpm_node_put(n);
	}
	*leaf = n;
	return 0;
}

int hpm_map_collect(struct hpm_md *md, struct hpm_root root, u64 from, u64 to,
		    struct hpm_entry *e, unsigned int max, unsigned int *nr)
{
	struct hpm_node *leaf;
	unsigned int i;
	u64 upper;
	int r;

	*nr = 0;
	while (root.height && from < to && *nr < max) {
		r = map_leaf(md, root, from, &leaf, &upper);
		if (r)
			return r;
		for (i = leaf_lower(leaf, from);
		     i < leaf_nr(leaf) && leaf_key(leaf, i) < to && *nr < max;
		     i++)
			e[(*nr)++] = (struct hpm_entry){
				.key = leaf_key(leaf, i),
				.value = leaf_value(leaf, i),
			};
		hpm_node_put(leaf);
		from = upper;
	}
	return 0;
}

int hpm_map_value(struct hpm_md *md, struct hpm_root root, u64 key, u64 *value)
{
	struct hpm_node *leaf;
	unsigned int i;
	u64 upper;
	int r;

	if (!root.height)
		return -ENOENT;
	r = map_leaf(md, root, key, &leaf, &upper);
	if (r)
		return r;
	i = leaf_lower(leaf, key);
	r = -ENOENT;
	if (i < leaf_nr(leaf) && leaf_key(leaf, i) == key) {
		*value = leaf_value(leaf, i);
		r = 0;
	}
	hpm_node_put(leaf);
	return r;
}

int hpm_map_exclusive(struct hpm_md *md, struct hpm_root root, u64 key,
		      bool *exclusive)
{
	struct hpm_ptr ptr = root.ptr;
	unsigned int level = root.height;
	struct hpm_node *n;
	int r;

	*exclusive = true;
	while (level--) {
		if (hpm_refs_count(md, ptr.block) != 1) {
			*exclusive = false;
			return 0;
		}
		if (!level)
			break;
		r = hpm_node_get(md, ptr, HPM_BT_MAP_NODE, level, &n);
		if (r)
			return r;
		ptr = node_ptr(n, node_child(n, key));
		hpm_node_put(n);
	}
	return 0;
}

int hpm_map_last(struct hpm_md *md, struct hpm_root root, u64 *key)
{
	struct hpm_node *leaf;
	u64 upper;
	int r;

	if (!root.height)
		return -ENOENT;
	r = map_leaf(md, root, U64_MAX, &leaf, &upper);
	if (r)
		return r;
	r = -ENOENT;
	if (leaf_nr(leaf)) {
		*key = leaf_key(leaf, leaf_nr(leaf) - 1);
		r = 0;
	}
	hpm_node_put(leaf);
	return r;
}

/*----------------------------------------------------------------
 * The counts of what a leaf refers to
 *--------------------------------------------------------------*/

/* Neighbouring small blocks are counted as one run. */
static int count_entries(struct hpm_md *md, const struct hpm_entry *e,
			 unsigned int nr, int delta)
{
	unsigned int i, run;
	u64 pbn;
	int r;

	for (i = 0; i < nr; i += run) {
		run = 1;
		pbn = hpm_value_pbn(e[i].value);
		if (!(e[i].key & 1)) {
			r = hpm_space_count_large(md, pbn, delta);
		} else if (pbn == HPM_PBN_HOLE) {
			r = 0;
		} else {
			while (i + run < nr && e[i + run].key & 1 &&
			       hpm_value_pbn(e[i + run].value) == pbn + run)
				run++;
			r = hpm_space_count_small(md, pbn, run, delta);
		}
		if (r)
			return r;
	}
	return 0;
}

static void leaf_read(const struct hpm_node *n, unsigned int pos,
		      unsigned int nr, struct hpm_entry *e)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		e[i].key = leaf_key(n, pos + i);
		e[i].value = leaf_value(n, pos + i);
	}
}

static int leaf_count(struct hpm_md *md, struct hpm_node *n, int delta)
{
	struct hpm_entry *e = md->scratch + HPM_SCRATCH_COUNT;
	unsigned int nr = leaf_nr(n);

	leaf_read(n, 0, nr, e);
	return count_entries(md, e, nr, delta);
}

static int inc_children(struct hpm_md *md, struct hpm_node *n)
{
	unsigned int i;
	int r;

	if (n->head->type == HPM_BT_MAP_LEAF)
		return leaf_count(md, n, 1);
	for (i = 0; i < node_nr(n); i++) {
		r = hpm_refs_inc(md, node_ptr(n, i).block);
		if (r)
			return r;
	}
	return 0;
}

const struct hpm_node_kind hpm_map_kind = {
	.validate = map_validate,
	.raise_children = inc_children,
};

/*----------------------------------------------------------------
 * Visible changes
 *--------------------------------------------------------------*/

static void visible_begin(struct hpm_vol *vol)
{
	preempt_disable();
	write_seqcount_begin(&vol->seq);
}

static void visible_end(struct hpm_vol *vol)
{
	write_seqcount_end(&vol->seq);
	preempt_enable();
}

static void set_root(struct hpm_vol *vol, struct hpm_ptr ptr, u8 height)
{
	vol->root.ptr = ptr;
	vol->root.height = height;
}

static void leaf_write(struct hpm_node *n, unsigned int pos,
		       const struct hpm_entry *e, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		n->leaf->key[pos + i] = cpu_to_le32((u32)e[i].key);
		n->leaf->value[pos + i] = cpu_to_le64(e[i].value);
	}
}

/* Replaces positions [lo, hi) by the given entries; the leaf has room. */
static void leaf_edit(struct hpm_node *n, unsigned int lo, unsigned int hi,
		      const struct hpm_entry *e, unsigned int nr)
{
	unsigned int old = leaf_nr(n), tail = old - hi;
	struct hpm_map_leaf *l = n->leaf;

	if (nr != hi - lo && tail) {
		memmove(&l->key[lo + nr], &l->key[hi], tail * sizeof(l->key[0]));
		memmove(&l->value[lo + nr], &l->value[hi],
			tail * sizeof(l->value[0]));
	}
	if (nr && lo + tail == 0)
		n->head->aux = cpu_to_le64(e[0].key >> 32);
	leaf_write(n, lo, e, nr);
	set_nr(n, lo + nr + tail);
}

static void node_set_key(struct hpm_node *n, unsigned int pos, u64 key)
{
	n->node->key[pos] = cpu_to_le64(key);
}

static void node_insert(struct hpm_node *n, unsigned int pos, u64 key,
			struct hpm_ptr ptr)
{
	unsigned int nr = node_nr(n);
	struct hpm_map_node *m = n->node;

	memmove(&m->key[pos + 1], &m->key[pos], (nr - pos) * sizeof(m->key[0]));
	memmove(&m->child[pos + 1], &m->child[pos],
		(nr - pos) * sizeof(m->child[0]));
	m->key[pos] = cpu_to_le64(key);
	hpm_ptr_to_disk(&m->child[pos], ptr);
	set_nr(n, nr + 1);
}

static void node_remove(struct hpm_node *n, unsigned int pos)
{
	unsigned int nr = node_nr(n) - 1;
	struct hpm_map_node *m = n->node;

	memmove(&m->key[pos], &m->key[pos + 1], (nr - pos) * sizeof(m->key[0]));
	memmove(&m->child[pos], &m->child[pos + 1],
		(nr - pos) * sizeof(m->child[0]));
	set_nr(n, nr);
}

/*----------------------------------------------------------------
 * The path to a leaf, every node of it the volume's own
 *--------------------------------------------------------------*/

struct map_path {
	unsigned int depth;			/* of the leaf; 0: it is the root */
	struct hpm_node *node[HPM_MAP_HEIGHT];	/* from the root; held */
	unsigned int idx[HPM_MAP_HEIGHT];	/* slot of the next one */
	u64 upper;				/* end of the leaf's keys */
};

static void path_close(struct map_path *p)
{
	unsigned int d;

	for (d = 0; d < HPM_MAP_HEIGHT; d++)
		if (p->node[d])
			hpm_node_put(p->node[d]);
}

static void node_set_child(struct hpm_vol *vol, struct hpm_node *n,
			   unsigned int i, const struct hpm_node *child)
{
	visible_begin(vol);
	hpm_ptr_to_disk(&n->node->child[i], hpm_node_ptr(child));
	visible_end(vol);
}

/* Makes the node at depth @d writable and its parent point to it. */
static int path_own(struct hpm_vol *vol, struct map_path *p, unsigned int d)
{
	u64 block = p->node[d]->block;
	int r;

	r = hpm_node_shadow(vol->md, &p->node[d]);
	if (r || p->node[d]->block == block)
		return r;
	if (d) {
		node_set_child(vol, p->node[d - 1], p->idx[d - 1], p->node[d]);
	} else {
		visible_begin(vol);
		set_root(vol, hpm_node_ptr(p->node[0]), vol->root.height);
		visible_end(vol);
	}
	hpm_vol_mark_dirty(vol);
	return 0;
}

/* Adds a root above the present one, which becomes its only child. */
static int path_grow(struct hpm_vol *vol, struct map_path *p)
{
	struct hpm_node *top;
	int r;

	if (vol->root.height >= HPM_MAP_HEIGHT - 1)
		return -EFBIG;
	r = hpm_node_new(vol->md, HPM_BT_MAP_NODE, vol->root.height, &top);
	if (r)
		return r;
	node_insert(top, 0, 0, hpm_node_ptr(p->node[0]));
	visible_begin(vol);
	set_root(vol, hpm_node_ptr(top), vol->root.height + 1);
	visible_end(vol);
	hpm_vol_mark_dirty(vol);
	hpm_cost_height(vol->md, vol->root.height);

	memmove(&p->node[1], &p->node[0], sizeof(p->node) - sizeof(p->node[0]));
	memmove(&p->idx[1], &p->idx[0], sizeof(p->idx) - sizeof(p->idx[0]));
	p->node[0] = top;
	p->idx[0] = 0;
	p->depth++;
	return 0;
}

/* Splits the full inner node at depth @d in two; its parent has room. */
static int path_split_node(struct hpm_vol *vol, struct map_path *p,
			   unsigned int d)
{
	struct hpm_node *n, *right;
	unsigned int half, nr;
	int r;

	if (!d) {
		r = path_grow(vol, p);
		if (r)
			return r;
		d = 1;
	}
	n = p->node[d];
	r = hpm_node_new(vol->md, HPM_BT_MAP_NODE, n->head->level, &right);
	if (r)
		return r;
	nr = node_nr(n);
	half = nr / 2;
	memcpy(right->node->key, &n->node->key[half],
	       (nr - half) * sizeof(n->node->key[0]));
	memcpy(right->node->child, &n->node->child[half],
	       (nr - half) * sizeof(n->node->child[0]));
	set_nr(right, nr - half);

	visible_begin(vol);
	node_insert(p->node[d - 1], p->idx[d - 1] + 1, node_key(n, half),
		    hpm_node_ptr(right));
	set_nr(n, half);
	visible_end(vol);
	hpm_node_put(right);
	return 0;
}

static int path_first_leaf(struct hpm_vol *vol, struct map_path *p)
{
	int r = hpm_node_new(vol->md, HPM_BT_MAP_LEAF, 0, &p->node[0]);

	if (r)
		return r;
	visible_begin(vol);
	set_root(vol, hpm_node_ptr(p->node[0]), 1);
	visible_end(vol);
	hpm_vol_mark_dirty(vol);
	return 0;
}

/*
 * Finds the path to @key and holds it; changes nothing.  An empty tree has no
 * path.
 */
static int path_find(struct hpm_vol *vol, u64 key, struct map_path *p)
{
	struct hpm_ptr ptr = vol->root.ptr;
	unsigned int d, i, level = vol->root.height;
	struct hpm_node *n;
	int r;

	memset(p, 0, sizeof(*p));
	p->upper = U64_MAX;
	for (d = 0; level--; d++) {
		r = hpm_node_get(vol->md, ptr, level_type(level), level, &n);
		if (r)
			return r;
		p->node[d] = n;
		p->depth = d;
		if (!level)
			break;
		i = node_child(n, key);
		p->idx[d] = i;
		if (i + 1 < node_nr(n))
			p->upper = node_key(n, i + 1);
		ptr = node_ptr(n, i);
	}
	return 0;
}

/* One attempt; -ERESTART: an inner node was split, so find the path again. */
static int path_try_take(struct hpm_vol *vol, struct map_path *p,
			 unsigned int room)
{
	unsigned int d;
	int r;

	if (!p->node[0])
		return path_first_leaf(vol, p);
	for (d = 0; d <= p->depth; d++) {
		r = path_own(vol, p, d);
		if (r)
			return r;
		if (d < p->depth && node_nr(p->node[d]) + room > HPM_NODE_MAX) {
			r = path_split_node(vol, p, d);
			return r ? r : -ERESTART;
		}
	}
	return 0;
}

/*
 * Makes the path to @key that was found the volume's own, with room for @room
 * more children in each inner node.
 */
static int path_take(struct hpm_vol *vol, u64 key, struct map_path *p,
		     unsigned int room)
{
	int r;

	while ((r = path_try_take(vol, p, room)) == -ERESTART) {
		path_close(p);
		r = path_find(vol, key, p);
		if (r)
			break;
	}
	return r;
}

/* Returns the end of the keys of the node at depth @d. */
static u64 path_upper(const struct map_path *p, unsigned int d)
{
	while (d--)
		if (p->idx[d] + 1 < node_nr(p->node[d]))
			return node_key(p->node[d], p->idx[d] + 1);
	return U64_MAX;
}

/*
 * Removes the node at depth @d from the tree: it is empty or was merged with
 * another.
 */
static int path_remove(struct hpm_vol *vol, struct map_path *p, unsigned int d)
{
	struct hpm_md *md = vol->md;
	struct hpm_node *n = p->node[d];
	int r;

	if (!d) {
		visible_begin(vol);
		set_root(vol, (struct hpm_ptr){ 0 }, 0);
		visible_end(vol);
	} else if (node_nr(p->node[d - 1]) == 1) {
		r = path_remove(vol, p, d - 1);
		if (r)
			return r;
	} else {
		visible_begin(vol);
		node_remove(p->node[d - 1], p->idx[d - 1]);
		visible_end(vol);
	}
	hpm_vol_mark_dirty(vol);
	r = hpm_refs_dec(md, n->block, n->epoch);
	if (r < 0)
		return r;
	hpm_node_drop(md, n);
	p->node[d] = NULL;
	return 0;
}

/* While the root is an inner node with one child, makes the child the root. */
static int path_shrink(struct hpm_vol *vol, struct map_path *p)
{
	struct hpm_md *md = vol->md;
	struct hpm_node *top = p->node[0];
	int r;

	while (p->depth && top && node_nr(top) == 1) {
		visible_begin(vol);
		set_root(vol, node_ptr(top, 0), vol->root.height - 1);
		visible_end(vol);
		hpm_vol_mark_dirty(vol);
		r = hpm_refs_dec(md, top->block, top->epoch);
		if (r < 0)
			return r;
		hpm_node_drop(md, top);
		memmove(&p->node[0], &p->node[1],
			sizeof(p->node) - sizeof(p->node[0]));
		memmove(&p->idx[0], &p->idx[1],
			sizeof(p->idx) - sizeof(p->idx[0]));
		p->node[HPM_MAP_HEIGHT - 1] = NULL;
		p->depth--;
		top = p->node[0];
		/* After a merge, the lower end of the path may be gone. */
		if (!top || !hpm_node_owned(md, top))
			break;
	}
	return 0;
}

/*----------------------------------------------------------------
 * Splicing: a leaf that becomes several
 *--------------------------------------------------------------*/

/*
 * The entries that go into a leaf, from position @lo on.  If the leaf has no
 * room for them: also all of its entries, and where each of the new leaves
 * behind it begins.
 */
struct spread {
	unsigned int lo, nr, total;
	unsigned int leaves;			/* the number of new ones */
	unsigned int cut[MAP_NEW_LEAVES + 1];	/* the last cut is @total */
	const struct hpm_entry *all;
	struct hpm_node *leaf[MAP_NEW_LEAVES];
};

static u64 entry_region(const struct hpm_entry *e)
{
	return e->key >> 32;
}

static bool leaf_takes(const struct hpm_node *leaf, unsigned int rest,
		       const struct hpm_entry *e, unsigned int nr)
{
	return !nr || ((!rest || leaf_region(leaf) == entry_region(e)) &&
		       rest + nr <= HPM_LEAF_MAX);
}

/*
 * Cuts beside the new entries if they continue a run of neighbours, upwards or
 * downwards, into a gap that has room for much more of it; cuts in the middle
 * if not.
 */
static unsigned int cut_inside(const struct spread *s)
{
	const struct hpm_entry *all = s->all;
	unsigned int end = s->lo + s->nr, cut = s->total / 2;
	unsigned int quarter = s->total / 4;
	u64 below, above;

	if (s->lo && end < s->total) {
		below = all[s->lo].key - all[s->lo - 1].key;
		above = all[end].key - all[end - 1].key;
		if (below <= 2 && above >= MAP_GAP)
			cut = end;
		else if (above <= 2 && below >= MAP_GAP)
			cut = s->lo;
	}
	return clamp(cut, max(quarter, s->total - HPM_LEAF_MAX),
		     min(s->total - quarter, HPM_LEAF_MAX));
}

/*
 * Chooses the cuts.  If the region changes, it does so beside the new entries,
 * which are then at one end.  @front: no entry of the leaf is before the new
 * ones or makes room for them.  @pack: more entries will follow behind them.
 */
static void spread_cut(struct spread *s, bool front, bool pack)
{
	const struct hpm_entry *all = s->all;
	unsigned int end = s->lo + s->nr, first, next = 0;

	if (s->lo && entry_region(all + s->lo - 1) != entry_region(all + s->lo)) {
		first = s->lo;
	} else if (end < s->total &&
		   (front || entry_region(all) != entry_region(all + end))) {
		first = min(end, HPM_LEAF_MAX);
		next = end;
	} else if (pack || end == s->total) {
		first = HPM_LEAF_MAX;
	} else if (s->total <= 2 * HPM_LEAF_MAX) {
		first = cut_inside(s);
	} else {
		first = DIV_ROUND_UP(s->total, MAP_NEW_LEAVES + 1);
	}
	if (next <= first)
		next = first + HPM_LEAF_MAX;
	s->cut[0] = first;
	s->cut[1] = min(next, s->total);
	s->cut[2] = s->total;
	s->leaves = next < s->total ? 2 : 1;
}

/* Drops new leaves to which nothing points. */
static void spread_undo(struct hpm_md *md, struct spread *s)
{
	unsigned int i;

	for (i = 0; i < s->leaves && s->leaf[i]; i++)
		if (!hpm_refs_dec(md, s->leaf[i]->block, s->leaf[i]->epoch))
			hpm_node_drop(md, s->leaf[i]);
}

static int spread_fill(struct hpm_md *md, struct spread *s)
{
	unsigned int i, nr;
	int r;

	memset(s->leaf, 0, sizeof(s->leaf));
	for (i = 0; i < s->leaves; i++) {
		r = hpm_node_new(md, HPM_BT_MAP_LEAF, 0, &s->leaf[i]);
		if (r) {
			spread_undo(md, s);
			return r;
		}
		nr = s->cut[i + 1] - s->cut[i];
		s->leaf[i]->head->aux =
			cpu_to_le64(entry_region(s->all + s->cut[i]));
		leaf_write(s->leaf[i], 0, s->all + s->cut[i], nr);
		set_nr(s->leaf[i], nr);
	}
	return 0;
}

/*
 * Does all that can fail before positions [lo, hi) of the path's leaf are
 * replaced by @e.
 */
static int spread_ready(struct hpm_vol *vol, struct map_path *p,
			struct spread *s, unsigned int lo, unsigned int hi,
			const struct hpm_entry *e, unsigned int nr, bool pack)
{
	struct hpm_entry *all = vol->md->scratch + HPM_SCRATCH_MERGE;
	unsigned int old = leaf_nr(p->node[p->depth]);
	int r;

	s->lo = lo;
	s->nr = nr;
	s->leaves = 0;
	if (leaf_takes(p->node[p->depth], lo + old - hi, e, nr))
		return 0;
	if (!p->depth) {
		r = path_grow(vol, p);
		if (r)
			return r;
	}
	s->all = all;
	leaf_read(p->node[p->depth], 0, lo, all);
	memcpy(all + lo, e, nr * sizeof(*e));
	leaf_read(p->node[p->depth], hi, old - hi, all + lo + nr);
	s->total = lo + nr + old - hi;
	spread_cut(s, !lo && !hi, pack);
	return spread_fill(vol->md, s);
}

/* Makes the change visible; called in a write section. */
static void spread_show(struct map_path *p, const struct spread *s,
			unsigned int hi, const struct hpm_entry *e)
{
	struct hpm_node *leaf = p->node[p->depth];
	unsigned int i;

	if (!s->leaves) {
		leaf_edit(leaf, s->lo, hi, e, s->nr);
		return;
	}
	for (i = 0; i < s->leaves; i++)
		node_insert(p->node[p->depth - 1],
			    p->idx[p->depth - 1] + 1 + i,
			    s->all[s->cut[i]].key, hpm_node_ptr(s->leaf[i]));
	leaf->head->aux = cpu_to_le64(entry_region(s->all));
	if (s->cut[0] > s->lo)
		leaf_write(leaf, s->lo, s->all + s->lo, s->cut[0] - s->lo);
	set_nr(leaf, s->cut[0]);
}

/* From now on, the path leads to the last of the leaves. */
static void spread_end(struct map_path *p, struct spread *s)
{
	unsigned int i;

	if (!s->leaves)
		return;
	p->idx[p->depth - 1] += s->leaves;
	swap(p->node[p->depth], s->leaf[s->leaves - 1]);
	for (i = 0; i < s->leaves; i++)
		hpm_node_put(s->leaf[i]);
}

/*
 * Puts entries that would begin a new leaf behind the path's leaf to the front
 * of the next leaf, and returns 1, if that leaf has room.  If it is shared and
 * nearly full, it is not used, as a copy of it would raise all its counts.
 */
static int splice_behind(struct hpm_vol *vol, struct map_path *p,
			 const struct hpm_entry *e, unsigned int nr)
{
	struct hpm_node *parent, *leaf;
	unsigned int i, max;
	int r;

	if (!p->depth)
		return 0;
	parent = p->node[p->depth - 1];
	i = p->idx[p->depth - 1] + 1;
	if (i == node_nr(parent))
		return 0;
	r = hpm_node_get(vol->md, node_ptr(parent, i), HPM_BT_MAP_LEAF, 0,
			 &leaf);
	if (r)
		return r;
	max = hpm_refs_count(vol->md, leaf->block) > 1 ? MAP_MERGE_FILL :
							 HPM_LEAF_MAX;
	if (leaf_region(leaf) != entry_region(e) || leaf_nr(leaf) + nr > max) {
		hpm_node_put(leaf);
		return 0;
	}
	hpm_node_put(p->node[p->depth]);
	p->node[p->depth] = leaf;
	p->idx[p->depth - 1] = i;
	r = path_own(vol, p, p->depth);
	if (r)
		return r;
	visible_begin(vol);
	node_set_key(parent, i, e[0].key);
	leaf_edit(p->node[p->depth], 0, 0, e, nr);
	visible_end(vol);
	return 1;
}

/*----------------------------------------------------------------
 * Splicing: a leaf that has become small
 *--------------------------------------------------------------*/

/*
 * Moves the entries of the neighbour at @other to the path's leaf, which takes
 * over its keys; returns 1 if it did.  A shared neighbour stays, as its entries
 * would have to be counted again.
 */
static int merge_with(struct hpm_vol *vol, struct map_path *p,
		      unsigned int other)
{
	struct hpm_node *parent = p->node[p->depth - 1], *n;
	struct hpm_node *leaf = p->node[p->depth];
	struct hpm_entry *e = vol->md->scratch + HPM_SCRATCH_MERGE;
	unsigned int mine = p->idx[p->depth - 1], nr;
	struct hpm_md *md = vol->md;
	int r;

	r = hpm_node_get(md, node_ptr(parent, other), HPM_BT_MAP_LEAF, 0, &n);
	if (r)
		return r;
	nr = leaf_nr(n);
	if (leaf_nr(leaf) + nr > MAP_MERGE_FILL ||
	    leaf_region(leaf) != leaf_region(n) ||
	    hpm_refs_count(md, n->block) > 1) {
		hpm_node_put(n);
		return 0;
	}
	leaf_read(n, 0, nr, e);
	visible_begin(vol);
	if (other > mine) {
		leaf_edit(leaf, leaf_nr(leaf), leaf_nr(leaf), e, nr);
	} else {
		leaf_edit(leaf, 0, 0, e, nr);
		node_set_key(parent, mine, node_key(parent, other));
		p->idx[p->depth - 1] = other;
	}
	node_remove(parent, other);
	visible_end(vol);
	r = hpm_refs_dec(md, n->block, n->epoch);
	if (r) {
		hpm_node_put(n);
		return r;
	}
	hpm_node_drop(md, n);
	return 1;
}

static int splice_merge(struct hpm_vol *vol, struct map_path *p)
{
	unsigned int i = p->idx[p->depth - 1];
	int r = 0;

	if (i + 1 < node_nr(p->node[p->depth - 1]))
		r = merge_with(vol, p, i + 1);
	if (!r && i)
		r = merge_with(vol, p, i - 1);
	return min(r, 0);
}

static int splice_shrunk(struct hpm_vol *vol, struct map_path *p)
{
	struct hpm_node *leaf = p->node[p->depth];
	int r = 0;

	if (!leaf_nr(leaf))
		r = path_remove(vol, p, p->depth);
	else if (p->depth && leaf_nr(leaf) < MAP_MERGE_BELOW)
		r = splice_merge(vol, p);
	return r ? r : path_shrink(vol, p);
}

/*----------------------------------------------------------------
 * Splicing: what stands in the first leaf
 *--------------------------------------------------------------*/

static void splice_note(const struct hpm_entry *gone, unsigned int nr,
			struct hpm_splice *out)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!(gone[i].key & 1))
			out->large++;
		else if (hpm_value_pbn(gone[i].value) == HPM_PBN_HOLE)
			out->holes++;
		else
			out->small++;
	}
}

/*
 * Is there a base for the small key @from?  It is nearly always in this leaf,
 * in front of @lo, the position of @from.
 */
static void splice_base(const struct hpm_md *md, const struct hpm_node *leaf,
			u64 from, unsigned int lo, struct hpm_splice *out)
{
	u64 key = hpm_key_base(round_down(from >> 1, (u64)md->large_size));

	if (!(from & 1) || !lo)
		return;
	if (leaf_key(leaf, lo - 1) > key)
		lo = leaf_lower(leaf, key) + 1;
	out->base = lo <= leaf_nr(leaf) && leaf_key(leaf, lo - 1) == key;
	out->base_known = out->base || lo > 1 || leaf_key(leaf, 0) < key;
}

/*
 * Is the key in front of @from, or behind @to, taken?  At the end of the leaf
 * the answer is yes, which the caller must verify anyway.
 */
static bool taken_before(const struct hpm_node *leaf, u64 from, unsigned int lo)
{
	return !lo || leaf_key(leaf, lo - 1) + 2 >= from;
}

static bool taken_behind(const struct hpm_md *md, const struct hpm_node *leaf,
			 u64 to, unsigned int hi)
{
	return !(to >> 1 & (md->large_size - 1)) || hi == leaf_nr(leaf) ||
	       leaf_key(leaf, hi) == to + 1;
}

/* Puts in entries for which the leaf has no room. */
static int splice_spread(struct hpm_vol *vol, struct map_path *p,
			 unsigned int lo, unsigned int hi,
			 const struct hpm_entry *e, unsigned int nr, bool pack)
{
	struct spread s;
	int r = 0;

	if (lo == leaf_nr(p->node[p->depth]) && !pack)
		r = splice_behind(vol, p, e, nr);
	if (r)
		return min(r, 0);
	r = spread_ready(vol, p, &s, lo, hi, e, nr, pack);
	if (r)
		return r;
	visible_begin(vol);
	spread_show(p, &s, hi, e);
	visible_end(vol);
	spread_end(p, &s);
	return 0;
}

/* Replaces positions [lo, hi) of the path's leaf, which is owned by now, by @e. */
static int splice_leaf(struct hpm_vol *vol, struct map_path *p,
		       unsigned int lo, unsigned int hi,
		       const struct hpm_entry *e, unsigned int nr, bool pack,
		       struct hpm_splice *out)
{
	struct hpm_entry *gone = vol->md->scratch + HPM_SCRATCH_GONE;
	struct hpm_node *leaf = p->node[p->depth];
	unsigned int nr_gone = hi - lo;
	int r;

	leaf_read(leaf, lo, nr_gone, gone);
	if (leaf_takes(leaf, leaf_nr(leaf) - nr_gone, e, nr)) {
		visible_begin(vol);
		leaf_edit(leaf, lo, hi, e, nr);
		visible_end(vol);
	} else {
		r = splice_spread(vol, p, lo, hi, e, nr, pack);
		if (r)
			return r;
	}
	splice_note(gone, nr_gone, out);
	return count_entries(vol->md, gone, nr_gone, -1);
}

/*----------------------------------------------------------------
 * Splicing: what stands behind the first leaf
 *--------------------------------------------------------------*/

/* The state of a splice that goes through the leaves behind the first. */
struct reach {
	struct hpm_vol *vol;
	struct map_path *p;		/* path to the left leaf */
	u64 end, to;			/* how far it is, and where it ends */
	const struct hpm_entry *e;	/* still to be put in */
	unsigned int nr;
	struct hpm_splice *out;
};

static int cut_leaf(struct hpm_md *md, struct hpm_node *n, bool last,
		    struct hpm_splice *out)
{
	struct hpm_entry *gone = md->scratch + HPM_SCRATCH_GONE;

	leaf_read(n, 0, leaf_nr(n), gone);
	splice_note(gone, leaf_nr(n), out);
	return last ? count_entries(md, gone, leaf_nr(n), -1) : 0;
}

/*
 * The volume no longer points to the node.  If nothing else does (@ours: the
 * counted pointer belonged to this volume alone), everything that it refers to
 * is given back with it.  Recurses once a level.
 */
static int cut_node(struct hpm_md *md, struct hpm_ptr ptr, unsigned int level,
		    bool ours, struct hpm_splice *out)
{
	bool last = ours && hpm_refs_count(md, ptr.block) == 1;
	struct hpm_node *n;
	unsigned int i;
	int r;

	r = hpm_node_get(md, ptr, level_type(level), level, &n);
	if (r)
		return r;
	if (!level)
		r = cut_leaf(md, n, last, out);
	for (i = 0; level && !r && i < node_nr(n); i++)
		r = cut_node(md, node_ptr(n, i), level - 1, last, out);
	if (!r && ours) {
		r = hpm_refs_dec(md, n->block, n->epoch);
		if (!r) {
			hpm_node_drop(md, n);
			return 0;
		}
	}
	hpm_node_put(n);
	return min(r, 0);
}

/* The number of entries below @upper. */
static unsigned int reach_count(const struct reach *s, u64 upper)
{
	unsigned int k = 0;

	while (k < s->nr && s->e[k].key < upper)
		k++;
	return k;
}

/* Prepares the left leaf for @k more entries.  The caller makes them visible. */
static int reach_ready(struct reach *s, unsigned int k, struct spread *sp)
{
	unsigned int old = leaf_nr(s->p->node[s->p->depth]);

	return spread_ready(s->vol, s->p, sp, old, old, s->e, k, true);
}

static void reach_done(struct reach *s, struct spread *sp, u64 end)
{
	spread_end(s->p, sp);
	if (sp->nr)		/* @e may be NULL if there are none */
		s->e += sp->nr;
	s->nr -= sp->nr;
	s->end = end;
}

/*
 * Removes child @i of @n, which lies inside the interval and ends at @upper;
 * the left leaf takes over its keys.  If @top is NULL, @n is on the left path.
 * If not, it is on the right path, which begins at child @at of @top; the key
 * of that child becomes @upper.
 */
static int reach_drop(struct reach *s, struct hpm_node *n, unsigned int i,
		      u64 upper, unsigned int level, struct hpm_node *top,
		      unsigned int at)
{
	struct hpm_ptr ptr = node_ptr(n, i);
	struct spread sp;
	int r;

	r = reach_ready(s, reach_count(s, upper), &sp);
	if (r)
		return r;
	visible_begin(s->vol);
	node_remove(n, i);
	if (top)
		node_set_key(top, at, upper);
	spread_show(s->p, &sp, sp.lo, s->e);
	visible_end(s->vol);
	reach_done(s, &sp, upper);
	return cut_node(s->vol->md, ptr, level, true, s->out);
}

/* Trims the leaf that keeps the entries behind the end of the interval. */
static int reach_trim(struct reach *s, struct hpm_node *leaf,
		      struct hpm_node *top, unsigned int at)
{
	struct hpm_entry *gone = s->vol->md->scratch + HPM_SCRATCH_GONE;
	unsigned int nr = leaf_lower(leaf, s->to);
	struct spread sp;
	int r;

	leaf_read(leaf, 0, nr, gone);
	r = reach_ready(s, s->nr, &sp);
	if (r)
		return r;
	visible_begin(s->vol);
	leaf_edit(leaf, 0, nr, NULL, 0);
	node_set_key(top, at, s->to);
	spread_show(s->p, &sp, sp.lo, s->e);
	visible_end(s->vol);
	reach_done(s, &sp, s->to);
	splice_note(gone, nr, s->out);
	return count_entries(s->vol->md, gone, nr, -1);
}

/* Gets child @i of @parent, with a hold, writable and linked. */
static int child_own(struct hpm_vol *vol, struct hpm_node *parent,
		     unsigned int i, unsigned int level, struct hpm_node **out)
{
	struct hpm_node *n;
	u64 block;
	int r;

	r = hpm_node_get(vol->md, node_ptr(parent, i), level_type(level), level,
			 &n);
	if (r)
		return r;
	block = n->block;
	r = hpm_node_shadow(vol->md, &n);
	if (r) {
		hpm_node_put(n);
		return r;
	}
	if (n->block != block)
		node_set_child(vol, parent, i, n);
	*out = n;
	return 0;
}

/* Removes what lies inside the interval below @n, on the right path. */
static int reach_right_node(struct reach *s, struct hpm_node *n,
			    unsigned int level, struct hpm_node *top,
			    unsigned int at)
{
	int r = 0;

	while (!r && node_nr(n) > 1 && node_key(n, 1) <= s->to)
		r = reach_drop(s, n, 0, node_key(n, 1), level - 1, top, at);
	return r;
}

/* Handles the subtree at child @at of @top, in which the interval ends. */
static int reach_right(struct reach *s, struct hpm_node *top, unsigned int at,
		       unsigned int level)
{
	struct hpm_node *n, *below;
	int r = child_own(s->vol, top, at, level, &n);

	if (r)
		return r;
	for (; level; level--) {
		r = reach_right_node(s, n, level, top, at);
		if (r || s->end == s->to)
			break;
		r = child_own(s->vol, n, 0, level - 1, &below);
		if (r)
			break;
		hpm_node_put(n);
		n = below;
	}
	if (!level)
		r = reach_trim(s, n, top, at);
	hpm_node_put(n);
	return r;
}

/* Handles the next subtree: the largest that begins where the left leaf ends. */
static int reach_next(struct reach *s)
{
	const struct map_path *p = s->p;
	unsigned int d = p->depth, i;
	struct hpm_node *n;
	u64 upper;

	do {
		if (!d--)
			return -EUCLEAN;
		n = p->node[d];
		i = p->idx[d] + 1;
	} while (i == node_nr(n));
	upper = i + 1 < node_nr(n) ? node_key(n, i + 1) : path_upper(p, d);
	if (upper > s->to)
		return reach_right(s, n, i, p->depth - d - 1);
	return reach_drop(s, n, i, upper, p->depth - d - 1, NULL, 0);
}

/*
 * The interval ends in another leaf than it begins.  If that leaf keeps no
 * entry, the interval may as well end where the leaf ends.
 */
static int reach_end(struct hpm_vol *vol, u64 *to)
{
	struct hpm_node *leaf;
	u64 upper;
	int r;

	r = map_leaf(vol->md, vol->root, *to - 1, &leaf, &upper);
	if (r)
		return r;
	if (leaf_lower(leaf, *to) == leaf_nr(leaf))
		*to = upper;
	hpm_node_put(leaf);
	return 0;
}

/* A splice whose interval goes on behind the path's leaf. */
static int splice_far(struct hpm_vol *vol, struct map_path *p, unsigned int lo,
		      u64 to, const struct hpm_entry *e, unsigned int nr,
		      struct hpm_splice *out)
{
	struct reach s = {
		.vol = vol, .p = p, .end = p->upper, .to = to, .out = out,
		.e = e, .nr = nr,
	};
	unsigned int k = reach_count(&s, s.end);
	int r;

	r = reach_end(vol, &s.to);
	if (!r)
		r = splice_leaf(vol, p, lo, leaf_nr(p->node[p->depth]), e, k,
				true, out);
	if (k)			/* @e may be NULL if there are no entries */
		s.e += k;
	s.nr -= k;
	while (!r && s.end < s.to)
		r = reach_next(&s);
	return r ? r : splice_shrunk(vol, p);
}

/*----------------------------------------------------------------
 * Splicing
 *--------------------------------------------------------------*/

static int splice_owned(struct hpm_vol *vol, struct map_path *p,
			unsigned int lo, unsigned int hi, u64 to,
			const struct hpm_entry *e, unsigned int nr,
			struct hpm_splice *out)
{
	int r = count_entries(vol->md, e, nr, 1);

	if (r)
		return r;
	if (to > p->upper)
		return splice_far(vol, p, lo, to, e, nr, out);
	r = splice_leaf(vol, p, lo, hi, e, nr, false, out);
	return r || hi - lo <= nr ? r : splice_shrunk(vol, p);
}

/*
 * Would @nr small entries in [from, to) override the last visible part of a
 * base?  1: perhaps; only a look at the whole large block can tell.
 */
static int splice_hides(struct hpm_vol *vol, const struct map_path *p, u64 from,
			u64 to, unsigned int gone, unsigned int nr,
			struct hpm_splice *out)
{
	u64 base = hpm_key_base(round_down(from >> 1, (u64)vol->md->large_size));
	u64 value;
	int r;

	if (to <= p->upper && (gone == nr || !out->gap))
		return 0;
	if (!out->base_known) {
		r = hpm_map_value(vol->md, vol->root, base, &value);
		if (r && r != -ENOENT)
			return r;
		out->base = !r;
		out->base_known = true;
	}
	return out->base;
}

static int splice_path(struct hpm_vol *vol, struct map_path *p, u64 from,
		       u64 to, const struct hpm_entry *e, unsigned int nr,
		       bool ask, struct hpm_splice *out)
{
	const struct hpm_node *leaf = p->node[p->depth];
	unsigned int lo = 0, hi = 0;
	int r = 0;

	if (leaf) {
		lo = leaf_lower(leaf, from);
		hi = leaf_lower_from(leaf, to, lo);
		splice_base(vol->md, leaf, from, lo, out);
		out->gap = taken_before(leaf, from, lo) &&
			   taken_behind(vol->md, leaf, to, hi);
		if (ask)
			r = splice_hides(vol, p, from, to, hi - lo, nr, out);
	}
	if (!r)
		r = path_take(vol, from, p, nr > HPM_LEAF_MAX ? 2 : 1);
	return r ? r : splice_owned(vol, p, lo, hi, to, e, nr, out);
}

static int splice(struct hpm_vol *vol, u64 from, u64 to,
		  const struct hpm_entry *e, unsigned int nr, bool ask,
		  struct hpm_splice *out)
{
	struct hpm_entry first;
	struct map_path p;
	unsigned int k;
	int r;

	lockdep_assert_held(&vol->md->lock);
	*out = (struct hpm_splice){ 0 };
	if (!nr) {
		/* Entries are only removed: copy no node if there are none. */
		r = hpm_map_collect(vol->md, vol->root, from, to, &first, 1,
				    &k);
		if (r || !k)
			return r;
		from = first.key;
	}
	r = path_find(vol, from, &p);
	if (!r)
		r = splice_path(vol, &p, from, to, e, nr, ask, out);
	path_close(&p);
	return r;
}

int hpm_map_splice(struct hpm_vol *vol, u64 from, u64 to,
		   const struct hpm_entry *e, unsigned int nr,
		   struct hpm_splice *out)
{
	return splice(vol, from, to, e, nr, false, out);
}

int hpm_map_override(struct hpm_vol *vol, const struct hpm_entry *e,
		     unsigned int nr, struct hpm_splice *out)
{
	return splice(vol, e[0].key, e[nr - 1].key + 1, e, nr, true, out);
}

/*----------------------------------------------------------------
 * Reclaim
 *
 * The tree of a deleted volume is never changed.  A step walks from the cursor
 * to a bound and gives back each node that ends before the bound: an exclusive
 * node (count 1) with all that it refers to, a shared one by one decrement,
 * without a look inside.  The bound never falls inside a shared node, so what
 * the cursor has passed is done, even if counts change later.
 *
 * The bound was chosen when the step was recorded.  A node that was shared then
 * may be exclusive when the record is applied, because records before it have
 * copied the other tree's part; then a whole subtree would be given back at
 * once.  So the step ends behind HPM_RECLAIM_LEAVES leaves, wherever the bound
 * is, as space for the counts of more leaves was not reserved.  The cursor says
 * where it ended.
 *--------------------------------------------------------------*/

struct reclaim {
	u64 cursor, to;
	unsigned int leaves;		/* that may be given back yet */
};

static int reclaim_node(struct hpm_md *md, struct hpm_ptr ptr,
			unsigned int level, u64 lower, u64 upper,
			struct reclaim *rc);

static int reclaim_children(struct hpm_md *md, struct hpm_node *n,
			    unsigned int level, u64 lower, u64 upper,
			    struct reclaim *rc)
{
	unsigned int i, nr = node_nr(n);
	u64 lo, up;
	int r;

	for (i = 0; i < nr; i++) {
		lo = i ? node_key(n, i) : lower;
		up = i + 1 < nr ? node_key(n, i + 1) : upper;
		if (up <= rc->cursor)
			continue;
		if (lo >= rc->to)
			break;
		r = reclaim_node(md, node_ptr(n, i), level - 1, lo, up, rc);
		if (r)
			return r;
	}
	return 0;
}

/* Gives back a leaf; the last one that the step may give back ends the step. */
static int reclaim_leaf(struct hpm_md *md, struct hpm_node *n, u64 upper,
			struct reclaim *rc)
{
	if (!--rc->leaves)
		rc->to = upper;
	return leaf_count(md, n, -1);
}

static int reclaim_node(struct hpm_md *md, struct hpm_ptr ptr,
			unsigned int level, u64 lower, u64 upper,
			struct reclaim *rc)
{
	struct hpm_node *n;
	int r;

	if (hpm_refs_count(md, ptr.block) > 1) {
		if (upper > rc->to)
			return 0;
		r = hpm_refs_dec(md, ptr.block, ptr.epoch);
		return r < 0 ? r : 0;
	}
	if (!level && upper > rc->to)
		return 0;
	r = hpm_node_get(md, ptr, level_type(level), level, &n);
	if (r)
		return r;
	if (level)
		r = reclaim_children(md, n, level, lower, upper, rc);
	else
		r = reclaim_leaf(md, n, upper, rc);
	if (!r && upper <= rc->to) {
		r = hpm_refs_dec(md, n->block, n->epoch);
		if (!r) {
			hpm_node_drop(md, n);
			return 0;
		}
	}
	hpm_node_put(n);
	return r;
}

int hpm_map_reclaim(struct hpm_md *md, struct hpm_root root, u64 cursor,
		    u64 *to)
{
	struct reclaim rc = {
		.cursor = cursor,
		.to = *to,
		.leaves = HPM_RECLAIM_LEAVES,
	};
	int r;

	if (!root.height)
		return 0;
	r = reclaim_node(md, root.ptr, root.height - 1, 0, U64_MAX, &rc);
	*to = rc.to;
	return r;
}

/* Counts down *leaves; the bound is the end of the last leaf that is handled. */
static int bound_node(struct hpm_md *md, struct hpm_ptr ptr,
		      unsigned int level, u64 upper, u64 cursor,
		      unsigned int *leaves, u64 *to)
{
	struct hpm_node *n;
	unsigned int i, nr;
	u64 up;
	int r;

	if (!level || hpm_refs_count(md, ptr.block) > 1) {
		*to = upper;
		(*leaves)--;
		return 0;
	}
	r = hpm_node_get(md, ptr, level_type(level), level, &n);
	if (r)
		return r;
	nr = node_nr(n);
	for (i = 0; i < nr && *leaves && !r; i++) {
		up = i + 1 < nr ? node_key(n, i + 1) : upper;
		if (up > cursor)
			r = bound_node(md, node_ptr(n, i), level - 1, up,
				       cursor, leaves, to);
	}
	hpm_node_put(n);
	return r;
}

int hpm_map_reclaim_bound(struct hpm_md *md, struct hpm_root root, u64 cursor,
			  u64 *to)
{
	unsigned int leaves = HPM_RECLAIM_LEAVES;

	*to = U64_MAX;
	if (!root.height)
		return 0;
	return bound_node(md, root.ptr, root.height - 1, U64_MAX, cursor,
			  &leaves, to);
}
