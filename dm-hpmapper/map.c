// SPDX-License-Identifier: GPL-2.0-only
/*
 * Map trees: which physical block a volume's virtual block is.
 *
 * One B+tree a volume holds both levels of the map.  The entry of a large
 * block and the entries of the small blocks that override parts of it have
 * neighbouring keys (format.h), so a look-up that finds no override has, as a
 * rule, the base one step to its left, and a first small write into a large
 * block costs twelve bytes and no node of its own.
 *
 * Who may look, and when
 * ----------------------
 * Trees are changed under md->lock, by applying records.  Readers take no lock
 * at all: they walk the nodes in memory under RCU, between
 * read_seqcount_begin() and read_seqcount_retry() of their volume.  What makes
 * that right:
 *
 *  - a node reached from two volumes is never changed.  A change first makes
 *    each node on the path the volume's own (hpm_node_shadow()), so whatever
 *    a reader of volume V can see change belongs to V, and V's counter covers
 *    it;
 *  - every visible change, be it an edit of a leaf, a new child pointer, a
 *    split or a new root, happens whole inside one write section.  Sections
 *    neither sleep nor allocate: all that can fail is done before;
 *  - a reader that loses the race may follow a pointer into a node that is
 *    being edited or that has left the tree.  Node memory goes through RCU,
 *    indices are clamped, and the result is thrown away by the retry.
 *
 * A node that is not in memory ends the look-up with -EAGAIN; a worker loads
 * it and the look-up starts again.
 *
 * Splitting and merging
 * ---------------------
 * On the way down a full inner node is split at once, so a leaf's split always
 * finds room in the parent.  Entries of one leaf share the upper half of their
 * keys, so entries of another such region always go into a leaf of their own.
 * A leaf that shrank below a quarter is merged with a neighbour under the same
 * parent; an empty one is taken out.  All of this depends on the sequence of
 * records alone, so a replay builds trees of the same shape.
 */
#include "md.h"

#define MAP_MAX_HEIGHT	8
#define MAP_CHUNK	128u	/* entries put in at once: one split is enough */
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
 * Where @low would stand if the leaf's keys were evenly spaced, as they are
 * where all is large blocks, or all is small ones.  @low is between the first
 * key and the last.
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
 * The first position whose key is >= @key: a guess, a look at what is beside
 * it, and if that was not it, bisection.
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

int hpm_map_validate(const struct hpm_block_head *h)
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
	    h->level >= MAP_MAX_HEIGHT)
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
 * The base of the large block at @lvbn: its value, or 0 and *found false.
 * @s is the leaf where the look-up came down, @pos the position behind it.
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

	/* Nearly always the base is right here, or nowhere. */
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
 * VBNs from @vbn on that have no entry of their own, if the first entry behind
 * @vbn's base is at @pos.
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
 * A run inside a base, going on into the next large blocks as long as they are
 * contiguous below and nothing overrides them: one bio where one will do.
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
	nr = max_t(u64, nr, 1);		/* 0: lost the race, to be thrown away */
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

	if (!root.height || root.height > MAP_MAX_HEIGHT) {
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
	 * Published changes first, the tree after: a change leaves the chains
	 * only when the tree has it, so what is in neither was never made.
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

/* The node is held, and may be being changed. */
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
 * Runs beside the applier: the root is a snapshot, and a node that the applier
 * gives up meanwhile fails its epoch or type, which the next look sorts out.
 * Only with the applier kept out is it damage.
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

/* The leaf that covers @key, held, and where it ends. */
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
 * Counting what a leaf refers to
 *--------------------------------------------------------------*/

/* Neighbouring small blocks go to the counts as one run. */
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
	struct hpm_entry *e = md->scratch + HPM_SCRATCH_GONE;
	unsigned int nr = leaf_nr(n);

	leaf_read(n, 0, nr, e);
	return count_entries(md, e, nr, delta);
}

int hpm_map_inc_children(struct hpm_md *md, struct hpm_node *n)
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

/* Positions [lo, hi) become the given entries; the leaf has room. */
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
	struct hpm_node *node[MAP_MAX_HEIGHT];	/* from the root; held */
	unsigned int idx[MAP_MAX_HEIGHT];	/* of the next one in it */
	u64 upper;				/* where the leaf's keys end */
};

static void path_close(struct map_path *p)
{
	unsigned int d;

	for (d = 0; d < MAP_MAX_HEIGHT; d++)
		if (p->node[d])
			hpm_node_put(p->node[d]);
	memset(p, 0, sizeof(*p));
}

/* Makes the node at depth @d writable and its parent point to it. */
static int path_own(struct hpm_vol *vol, struct map_path *p, unsigned int d)
{
	struct hpm_node *parent;
	u64 block = p->node[d]->block;
	int r;

	r = hpm_node_shadow(vol->md, &p->node[d]);
	if (r || p->node[d]->block == block)
		return r;
	visible_begin(vol);
	if (d) {
		parent = p->node[d - 1];
		hpm_ptr_to_disk(&parent->node->child[p->idx[d - 1]],
				hpm_node_ptr(p->node[d]));
	} else {
		set_root(vol, hpm_node_ptr(p->node[0]), vol->root.height);
	}
	visible_end(vol);
	hpm_vol_mark_dirty(vol);
	return 0;
}

/* A root above the present one, with it as the only child. */
static int path_grow(struct hpm_vol *vol, struct map_path *p)
{
	struct hpm_node *top;
	int r;

	if (vol->root.height >= MAP_MAX_HEIGHT - 1)
		return -EFBIG;
	r = hpm_node_new(vol->md, HPM_BT_MAP_NODE, vol->root.height, &top);
	if (r)
		return r;
	node_insert(top, 0, 0, hpm_node_ptr(p->node[0]));
	visible_begin(vol);
	set_root(vol, hpm_node_ptr(top), vol->root.height + 1);
	visible_end(vol);
	hpm_vol_mark_dirty(vol);

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

/* One try; -ERESTART: an inner node was split, look again. */
static int path_descend(struct hpm_vol *vol, u64 key, struct map_path *p)
{
	struct hpm_ptr ptr = vol->root.ptr;
	unsigned int d, i, level = vol->root.height;
	struct hpm_node *n;
	int r;

	p->upper = U64_MAX;
	p->depth = 0;
	if (!level)
		return path_first_leaf(vol, p);
	for (d = 0;; d++) {
		level--;
		r = hpm_node_get(vol->md, ptr, level_type(level), level,
				 &p->node[d]);
		if (r)
			return r;
		p->depth = d;
		r = path_own(vol, p, d);
		if (r || !level)
			return r;
		n = p->node[d];
		if (node_nr(n) == HPM_NODE_MAX) {
			r = path_split_node(vol, p, d);
			return r ? r : -ERESTART;
		}
		i = node_child(n, key);
		p->idx[d] = i;
		if (i + 1 < node_nr(n))
			p->upper = node_key(n, i + 1);
		ptr = node_ptr(n, i);
	}
}

static int path_open(struct hpm_vol *vol, u64 key, struct map_path *p)
{
	int r;

	memset(p, 0, sizeof(*p));
	do {
		r = path_descend(vol, key, p);
		if (r)
			path_close(p);
	} while (r == -ERESTART);
	return r;
}

/* The node at depth @d is empty or merged away: takes it out of the tree. */
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

/* While the root is an inner node with one child, the child is the root. */
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
		p->node[MAP_MAX_HEIGHT - 1] = NULL;
		p->depth--;
		top = p->node[0];
		/* Below a merge the path may have lost its lower end. */
		if (!top || !hpm_node_owned(md, top))
			break;
	}
	return 0;
}

/*----------------------------------------------------------------
 * Splicing
 *--------------------------------------------------------------*/

/* The leaf and what goes into it do not fit one leaf: a right neighbour. */
static int splice_split(struct hpm_vol *vol, struct map_path *p,
			unsigned int lo, unsigned int hi,
			const struct hpm_entry *e, unsigned int nr)
{
	struct hpm_entry *all = vol->md->scratch + HPM_SCRATCH_MERGE;
	struct hpm_node *leaf, *right;
	unsigned int old, total, cut;
	int r;

	if (!p->depth) {
		r = path_grow(vol, p);
		if (r)
			return r;
	}
	leaf = p->node[p->depth];
	old = leaf_nr(leaf);
	leaf_read(leaf, 0, lo, all);
	memcpy(all + lo, e, nr * sizeof(*e));
	leaf_read(leaf, hi, old - hi, all + lo + nr);
	total = lo + nr + old - hi;

	/*
	 * At the end of a leaf the old entries stay as they are: who writes
	 * upwards leaves full leaves behind.  A change of region falls on
	 * either side of what is new, which stands at one end then.
	 */
	if (lo == old || (lo && all[lo - 1].key >> 32 != e[0].key >> 32))
		cut = lo;
	else if (hi < old && all[lo + nr].key >> 32 != e[0].key >> 32)
		cut = lo + nr;
	else
		cut = total / 2;

	r = hpm_node_new(vol->md, HPM_BT_MAP_LEAF, 0, &right);
	if (r)
		return r;
	right->head->aux = cpu_to_le64(all[cut].key >> 32);
	leaf_write(right, 0, all + cut, total - cut);
	set_nr(right, total - cut);

	visible_begin(vol);
	node_insert(p->node[p->depth - 1], p->idx[p->depth - 1] + 1,
		    all[cut].key, hpm_node_ptr(right));
	leaf->head->aux = cpu_to_le64(all[0].key >> 32);
	leaf_write(leaf, 0, all, cut);
	set_nr(leaf, cut);
	visible_end(vol);
	hpm_node_put(right);
	return 0;
}

/* Puts the right one of two neighbouring leaves into the left one. */
static int merge_pair(struct hpm_vol *vol, struct map_path *p,
		      unsigned int left)
{
	struct hpm_node *parent = p->node[p->depth - 1], *other;
	struct hpm_node *l, *rt;
	unsigned int mine = p->idx[p->depth - 1];
	unsigned int oi = mine == left ? left + 1 : left, nl, nr;
	struct hpm_md *md = vol->md;
	int r;

	r = hpm_node_get(md, node_ptr(parent, oi), HPM_BT_MAP_LEAF, 0, &other);
	if (r)
		return r;
	l = mine == left ? p->node[p->depth] : other;
	rt = mine == left ? other : p->node[p->depth];
	nl = leaf_nr(l);
	nr = leaf_nr(rt);
	if (nl + nr > MAP_MERGE_FILL || leaf_region(l) != leaf_region(rt)) {
		hpm_node_put(other);
		return 0;
	}

	/* The neighbour's entries change hands only if it is ours. */
	p->idx[p->depth - 1] = oi;
	swap(p->node[p->depth], other);
	r = path_own(vol, p, p->depth);
	swap(p->node[p->depth], other);
	p->idx[p->depth - 1] = mine;
	if (r) {
		hpm_node_put(other);
		return r;
	}
	l = mine == left ? p->node[p->depth] : other;
	rt = mine == left ? other : p->node[p->depth];

	visible_begin(vol);
	memcpy(&l->leaf->key[nl], rt->leaf->key, nr * sizeof(rt->leaf->key[0]));
	memcpy(&l->leaf->value[nl], rt->leaf->value,
	       nr * sizeof(rt->leaf->value[0]));
	set_nr(l, nl + nr);
	node_remove(parent, left + 1);
	visible_end(vol);

	r = hpm_refs_dec(md, rt->block, rt->epoch);
	if (r < 0) {
		hpm_node_put(other);
		return r;
	}
	hpm_node_drop(md, rt);
	p->node[p->depth] = l;
	p->idx[p->depth - 1] = left;
	return 0;
}

static int splice_shrunk(struct hpm_vol *vol, struct map_path *p)
{
	struct hpm_node *leaf = p->node[p->depth];
	unsigned int idx;
	int r = 0;

	if (!leaf_nr(leaf)) {
		r = path_remove(vol, p, p->depth);
	} else if (p->depth && leaf_nr(leaf) < MAP_MERGE_BELOW) {
		idx = p->idx[p->depth - 1];
		if (idx + 1 < node_nr(p->node[p->depth - 1]))
			r = merge_pair(vol, p, idx);
		else if (idx)
			r = merge_pair(vol, p, idx - 1);
	}
	return r ? r : path_shrink(vol, p);
}

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
 * While the leaf is at hand: is there a base under the small key @from?  It
 * stands in this leaf nearly always, @lo being the position of @from.
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
 * And what is beside [from, to)?  Across the end of a leaf the answer is "an
 * override", which whoever asks has to verify anyway.
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

/* One leaf's part: [from, to) of it becomes @e. */
static int splice_leaf(struct hpm_vol *vol, struct map_path *p, u64 from,
		       u64 to, const struct hpm_entry *e, unsigned int nr,
		       struct hpm_splice *out)
{
	struct hpm_md *md = vol->md;
	struct hpm_entry *gone = md->scratch + HPM_SCRATCH_GONE;
	struct hpm_node *leaf = p->node[p->depth];
	unsigned int lo = leaf_lower(leaf, from), hi = leaf_lower(leaf, to);
	unsigned int nr_gone = hi - lo, rest = leaf_nr(leaf) - nr_gone;
	bool region = !nr || !rest || leaf_region(leaf) == e[0].key >> 32;
	int r;

	r = count_entries(md, e, nr, 1);
	if (r)
		return r;
	if (!out->base_known)
		splice_base(md, leaf, from, lo, out);
	out->gap = taken_before(leaf, from, lo) &&
		   taken_behind(md, leaf, to, hi);
	leaf_read(leaf, lo, nr_gone, gone);
	if (region && rest + nr <= HPM_LEAF_MAX) {
		visible_begin(vol);
		leaf_edit(leaf, lo, hi, e, nr);
		visible_end(vol);
	} else {
		r = splice_split(vol, p, lo, hi, e, nr);
		if (r)
			return r;
	}
	splice_note(gone, nr_gone, out);
	r = count_entries(md, gone, nr_gone, -1);
	if (!r && nr_gone > nr)
		r = splice_shrunk(vol, p);
	return r;
}

int hpm_map_splice(struct hpm_vol *vol, u64 from, u64 to,
		   const struct hpm_entry *e, unsigned int nr,
		   struct hpm_splice *out)
{
	struct hpm_entry first;
	struct map_path p;
	unsigned int k;
	u64 end;
	int r;

	lockdep_assert_held(&vol->md->lock);
	*out = (struct hpm_splice){ 0 };
	while (from < to) {
		if (!nr) {
			/* Only taking out: nothing is copied for nothing. */
			r = hpm_map_collect(vol->md, vol->root, from, to,
					    &first, 1, &k);
			if (r || !k)
				return r;
			from = first.key;
		}
		r = path_open(vol, from, &p);
		if (r)
			return r;
		end = min(to, p.upper);
		for (k = 0; k < nr && e[k].key < end; k++) {
			if (k == MAP_CHUNK) {
				end = e[k].key;
				break;
			}
		}
		r = splice_leaf(vol, &p, from, end, e, k, out);
		path_close(&p);
		if (r)
			return r;
		if (k)		/* @e may be NULL with nothing to put in */
			e += k;
		nr -= k;
		from = end;
	}
	return 0;
}

/*----------------------------------------------------------------
 * Reclaim
 *
 * The tree of a deleted volume is never changed.  A step walks from the cursor
 * to a bound and gives back each node that ends inside it: an exclusive one
 * (count 1) with all that it refers to, a shared one by one decrement, its
 * insides not looked at.  The bound never falls inside a shared node, so what
 * the cursor has passed is done, whatever becomes of the counts later.
 *--------------------------------------------------------------*/

static int reclaim_node(struct hpm_md *md, struct hpm_ptr ptr,
			unsigned int level, u64 lower, u64 upper, u64 cursor,
			u64 to);

static int reclaim_children(struct hpm_md *md, struct hpm_node *n,
			    unsigned int level, u64 lower, u64 upper,
			    u64 cursor, u64 to)
{
	unsigned int i, nr = node_nr(n);
	u64 lo, up;
	int r;

	for (i = 0; i < nr; i++) {
		lo = i ? node_key(n, i) : lower;
		up = i + 1 < nr ? node_key(n, i + 1) : upper;
		if (up <= cursor)
			continue;
		if (lo >= to)
			break;
		r = reclaim_node(md, node_ptr(n, i), level - 1, lo, up, cursor,
				 to);
		if (r)
			return r;
	}
	return 0;
}

static int reclaim_node(struct hpm_md *md, struct hpm_ptr ptr,
			unsigned int level, u64 lower, u64 upper, u64 cursor,
			u64 to)
{
	struct hpm_node *n;
	int r;

	if (hpm_refs_count(md, ptr.block) > 1) {
		if (upper > to)
			return 0;
		r = hpm_refs_dec(md, ptr.block, ptr.epoch);
		return r < 0 ? r : 0;
	}
	if (!level && upper > to)
		return 0;
	r = hpm_node_get(md, ptr, level_type(level), level, &n);
	if (r)
		return r;
	if (level)
		r = reclaim_children(md, n, level, lower, upper, cursor, to);
	else
		r = leaf_count(md, n, -1);
	if (!r && upper <= to) {
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
		    u64 to)
{
	if (!root.height)
		return 0;
	return reclaim_node(md, root.ptr, root.height - 1, 0, U64_MAX, cursor,
			    to);
}

/* Counts down *leaves; the bound is where the last one handled ends. */
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
			  unsigned int leaves, u64 *to)
{
	*to = U64_MAX;
	if (!root.height)
		return 0;
	return bound_node(md, root.ptr, root.height - 1, U64_MAX, cursor,
			  &leaves, to);
}
