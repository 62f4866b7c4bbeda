// SPDX-License-Identifier: GPL-2.0-only
/*
 * Builds a pool's metadata on an empty device from events.
 *
 * Trees are built from their leaves up, in the order of their keys.  On each
 * level one node is being filled; when it is full, or when a subtree of a
 * higher level comes, the node is written and becomes a child of the one above.
 * A definition becomes a node of exactly its level.  Each node is written once,
 * behind the one before.
 *
 * Counts follow from what is written: leaves raise those of data blocks,
 * pointers those of metadata blocks.
 *
 * The label is wiped first and written last, so if this is interrupted, the
 * device holds no pool.
 */
#include <sys/random.h>

#include "sink.h"

/*----------------------------------------------------------------
 * Arrays in memory: leaves by index, as they will be on the device
 *--------------------------------------------------------------*/

struct arr_leaf {
	struct arr_leaf *next;
	u64 index;
	u8 elts[HPM_PAYLOAD];
};

struct arr {
	unsigned int kind, per, size;
	struct arr_leaf **hash;
	u64 buckets, nr;
	struct arr_leaf *last;
	struct hpm_disk_root root;
	u64 nodes;
};

/* A node that is being filled, or a finished child. */
struct child {
	u64 key; /* the first key below it */
	struct hpm_disk_ptr ptr;
};

struct open_node {
	unsigned int nr;
	struct child child[HPM_NODE_MAX];
};

struct done_def {
	u64 first, last;
	struct hpm_disk_ptr ptr;
	struct map_sum sum;
	u32 block;
	u8 level;
};

/* The held table is another array of volumes. */
#define ARR_HELD HPM_NR_ARRAYS
#define NR_ARR	 (HPM_NR_ARRAYS + 1)

enum tree_kind {
	TREE_NONE,
	TREE_DEF,
	TREE_VOLUME,
	TREE_DYING
};

#define OUT_BLOCKS 256u

struct build {
	struct dev *dev;
	u64 blocks; /* of the device that are for metadata */
	u32 seed;
	struct sink_super s;
	u32 large_size;
	u64 epoch;
	u64 journal_start, journal_blocks, refs_start, refs_pages;
	u64 next; /* the next node's block */
	u32 *refs;
	u8 *out; /* nodes to be written: [out_first, next) */
	u64 out_first;
	struct arr arr[NR_ARR];
	struct done_def *def;
	u32 nr_defs, max_defs;
	u64 nr_volumes, nr_dying, data_used;
	u64 generation;
	/* the tree that is open */
	enum tree_kind tree;
	bool held; /* volumes are the held ones */
	u32 held_time;
	struct sink_volume vol;
	u64 serial;
	unsigned int def_level;
	bool any;
	u64 first_key, last_key;
	struct map_sum sum;
	struct hpm_map_leaf leaf;
	struct open_node level[MAX_HEIGHT + 2]; /* [0] is not used */
	/* for repair */
	const struct hpm_super *journal_of;
};

/*----------------------------------------------------------------
 * Elements
 *--------------------------------------------------------------*/

static void arr_init(struct arr *a, unsigned int kind)
{
	a->kind = kind;
	a->per = array_per_leaf(kind);
	a->size = elt_size(kind);
}

static int arr_grow(struct arr *a)
{
	u64 buckets = a->buckets ? 4 * a->buckets : 64, i;
	struct arr_leaf **hash = calloc(buckets, sizeof(*hash)), *l;

	if (!hash)
		return complain("out of memory");
	for (i = 0; i < a->buckets; i++) {
		while ((l = a->hash[i])) {
			a->hash[i] = l->next;
			l->next = hash[l->index & (buckets - 1)];
			hash[l->index & (buckets - 1)] = l;
		}
	}
	free(a->hash);
	a->hash = hash;
	a->buckets = buckets;
	return 0;
}

static struct arr_leaf *arr_find(struct arr *a, u64 index)
{
	struct arr_leaf *l = a->last;

	if (l && l->index == index)
		return l;
	l = a->buckets ? a->hash[index & (a->buckets - 1)] : NULL;
	while (l && l->index != index)
		l = l->next;
	if (l)
		a->last = l;
	return l;
}

/* Finds or makes the element; NULL: no memory (reported). */
static void *arr_elt(struct arr *a, u64 at)
{
	u64 index = at / a->per;
	struct arr_leaf *l = arr_find(a, index), **head;

	if (!l) {
		if (a->nr >= a->buckets && arr_grow(a))
			return NULL;
		l = calloc(1, sizeof(*l));
		if (!l) {
			complain("out of memory");
			return NULL;
		}
		head = &a->hash[index & (a->buckets - 1)];
		l->index = index;
		l->next = *head;
		*head = l;
		a->nr++;
		a->last = l;
	}
	return l->elts + at % a->per * a->size;
}

/* The same, but NULL if nothing was counted there. */
static const void *arr_peek(struct arr *a, u64 at)
{
	struct arr_leaf *l = arr_find(a, at / a->per);

	return l ? l->elts + at % a->per * a->size : NULL;
}

static void arr_free(struct arr *a)
{
	struct arr_leaf *l;
	u64 i;

	for (i = 0; i < a->buckets; i++) {
		while ((l = a->hash[i])) {
			a->hash[i] = l->next;
			free(l);
		}
	}
	free(a->hash);
}

/*----------------------------------------------------------------
 * Writing blocks
 *--------------------------------------------------------------*/

static int out_flush(struct build *b)
{
	unsigned int nr = b->next - b->out_first;
	int r = nr ? dev_write(b->dev, b->out_first, nr, b->out) : 0;

	b->out_first = b->next;
	return r ? complain("%s cannot be written: %s", b->dev->path,
			    strerror(-r)) :
		   0;
}

/* Returns the next block; only the checksum is added when it is written. */
static void *out_new(struct build *b, u8 type, u8 level)
{
	struct hpm_block_head *h;

	if (b->next - b->out_first == OUT_BLOCKS && out_flush(b))
		return NULL;
	if (b->next >= b->blocks) {
		complain(
			"%s is too small: the %llu blocks for metadata are used up; a larger device is needed",
			b->dev->path, b->blocks);
		return NULL;
	}
	h = (void *)(b->out + (b->next - b->out_first) * HPM_BLOCK_SIZE);
	memset(h, 0, HPM_BLOCK_SIZE);
	h->magic = cpu_to_le32(HPM_MAGIC);
	h->type = type;
	h->level = level;
	h->blocknr = cpu_to_le64(b->next);
	h->epoch = cpu_to_le64(b->epoch);
	b->next++;
	return h;
}

static struct hpm_disk_ptr out_done(struct build *b, void *block)
{
	const struct hpm_block_head *h = block;

	block_seal(b->seed, block);
	return (struct hpm_disk_ptr){ h->blocknr, h->epoch };
}

static int put_block(struct build *b, u64 nr, u8 type, u64 epoch, u32 seed,
		     void *block)
{
	struct hpm_block_head *h = block;
	int r;

	h->magic = cpu_to_le32(HPM_MAGIC);
	h->type = type;
	h->blocknr = cpu_to_le64(nr);
	h->epoch = cpu_to_le64(epoch);
	block_seal(seed, block);
	r = dev_write(b->dev, nr, 1, block);
	return r ? complain("%s: block %llu cannot be written: %s",
			    b->dev->path, nr, strerror(-r)) :
		   0;
}

/*----------------------------------------------------------------
 * Counting
 *--------------------------------------------------------------*/

static int count_small(struct build *b, u64 pbn)
{
	u8 *low = arr_elt(&b->arr[HPM_ARR_SMALL], pbn), *high;
	struct hpm_disk_large *l;
	u16 v;

	if (!low)
		return -1;
	v = get_unaligned_le16(low);
	if ((v & HPM_SMALL_COUNT) == HPM_SMALL_COUNT) {
		high = arr_elt(&b->arr[HPM_ARR_SMALL_HI], pbn);
		if (!high)
			return -1;
		put_unaligned_le16(get_unaligned_le16(high) + 1, high);
		put_unaligned_le16(v & HPM_SMALL_PUNCHED, low);
		return 0;
	}
	put_unaligned_le16(v + 1, low);
	if (v & HPM_SMALL_COUNT)
		return 0;
	/* The first count, or the step after an overflow. */
	high = b->arr[HPM_ARR_SMALL_HI].nr ?
		       arr_elt(&b->arr[HPM_ARR_SMALL_HI], pbn) :
		       NULL;
	if (high && get_unaligned_le16(high))
		return 0;
	l = arr_elt(&b->arr[HPM_ARR_LARGE], pbn >> b->s.large_shift);
	if (l)
		l->used = cpu_to_le16(le16_to_cpu(l->used) + 1);
	return l ? 0 : -1;
}

static int count_large(struct build *b, u64 pbn)
{
	struct hpm_disk_large *l =
		arr_elt(&b->arr[HPM_ARR_LARGE], pbn >> b->s.large_shift);

	if (l)
		l->refs = cpu_to_le32(le32_to_cpu(l->refs) + 1);
	return l ? 0 : -1;
}

/*
 * The mark's block belongs to the pool, unless it has another owner: an older
 * version may have given it away.
 */
static int count_mark(struct build *b)
{
	struct hpm_disk_large *l;
	u8 *low;

	if (!b->s.marked)
		return 0;
	low = arr_elt(&b->arr[HPM_ARR_SMALL], HPM_MARK_BLOCK);
	l = arr_elt(&b->arr[HPM_ARR_LARGE], HPM_MARK_BLOCK >> b->s.large_shift);
	if (!low || !l)
		return -1;
	if (l->refs || get_unaligned_le16(low)) {
		note("small block %u belongs to a volume: the pool has no mark on its data device",
		     HPM_MARK_BLOCK);
		b->s.marked = false;
		return 0;
	}
	put_unaligned_le16(HPM_MARK_COUNT, low);
	l->used = cpu_to_le16(le16_to_cpu(l->used) + 1);
	return 0;
}

/*----------------------------------------------------------------
 * Trees
 *--------------------------------------------------------------*/

static int flush_node(struct build *b, unsigned int level);

/* Adds a finished node of @level - 1 to the open one of @level. */
static int add_child(struct build *b, unsigned int level, u64 key,
		     struct hpm_disk_ptr ptr)
{
	struct open_node *n;

	if (level > MAX_HEIGHT)
		return complain("a tree is too high");
	n = &b->level[level];
	if (n->nr == HPM_NODE_MAX && flush_node(b, level))
		return -1;
	n->child[n->nr++] = (struct child){ key, ptr };
	return 0;
}

static int flush_node(struct build *b, unsigned int level)
{
	struct open_node *n = &b->level[level];
	struct hpm_map_node *node;
	unsigned int i, nr = n->nr;

	if (!nr)
		return 0;
	if (level >= MAX_HEIGHT)
		return complain("a tree is too high");
	node = out_new(b, HPM_BT_MAP_NODE, level);
	if (!node)
		return -1;
	node->head.nr = cpu_to_le16(nr);
	for (i = 0; i < nr; i++) {
		node->key[i] = cpu_to_le64(n->child[i].key);
		node->child[i] = n->child[i].ptr;
		b->refs[le64_to_cpu(n->child[i].ptr.block)]++;
	}
	n->nr = 0;
	return add_child(b, level + 1, n->child[0].key, out_done(b, node));
}

static int count_entry(struct build *b, u64 key, u64 value)
{
	u64 pbn = value & HPM_PBN_MASK;

	if (!(key & 1))
		return count_large(b, pbn);
	return pbn == HPM_PBN_HOLE ? 0 : count_small(b, pbn);
}

static int flush_leaf(struct build *b)
{
	unsigned int i, nr = block_nr(&b->leaf);
	struct hpm_map_leaf *leaf;
	u64 key;

	if (!nr)
		return 0;
	for (i = 0; i < nr; i++)
		if (count_entry(b, leaf_key(&b->leaf, i),
				le64_to_cpu(b->leaf.value[i])))
			return -1;
	leaf = out_new(b, HPM_BT_MAP_LEAF, 0);
	if (!leaf)
		return -1;
	leaf->head.nr = b->leaf.head.nr;
	leaf->head.aux = b->leaf.head.aux;
	memcpy(leaf->key, b->leaf.key, nr * sizeof(leaf->key[0]));
	memcpy(leaf->value, b->leaf.value, nr * sizeof(leaf->value[0]));
	key = leaf_key(leaf, 0);
	b->leaf.head.nr = 0;
	return add_child(b, 1, key, out_done(b, leaf));
}

static int key_follows(struct build *b, u64 key)
{
	if (b->tree == TREE_NONE)
		return complain("a mapping is outside of a tree");
	if (b->any && key <= b->last_key)
		return complain(
			"the mapping of small block %llu comes after a higher one",
			key >> 1);
	if (!b->any)
		b->first_key = key;
	b->any = true;
	b->last_key = key;
	return 0;
}

static void add_sum(struct build *b, bool any, const struct map_sum *sum)
{
	if (any)
		map_sum_join(&b->sum, sum);
	else
		b->sum = *sum;
}

static void sum_entry(struct build *b, bool any, u64 key, u64 value)
{
	u32 large = key >> 1 >> b->s.large_shift;
	bool hole = (value & HPM_PBN_MASK) == HPM_PBN_HOLE, base = !(key & 1);
	const struct map_sum sum = {
		.mapped = base ? b->large_size : 0,
		.first = large,
		.last = large,
		.front_small = !base && !hole,
		.front_holes = !base && hole,
		.last_has_base = base,
	};

	add_sum(b, any, &sum);
}

static int add_entry(struct build *b, u64 key, u64 value)
{
	struct hpm_map_leaf *leaf = &b->leaf;
	unsigned int nr = block_nr(leaf);
	bool any = b->any;

	if (key_follows(b, key))
		return -1;
	sum_entry(b, any, key, value);
	if (nr == HPM_LEAF_MAX ||
	    (nr && le64_to_cpu(leaf->head.aux) != key >> 32)) {
		if (flush_leaf(b))
			return -1;
		nr = 0;
	}
	leaf->head.aux = cpu_to_le64(key >> 32);
	leaf->key[nr] = cpu_to_le32((u32)key);
	leaf->value[nr] = cpu_to_le64(value);
	leaf->head.nr = cpu_to_le16(nr + 1);
	return 0;
}

/* Writes everything below @level. */
static int flush_below(struct build *b, unsigned int level)
{
	unsigned int l;

	if (flush_leaf(b))
		return -1;
	for (l = 1; l < level; l++)
		if (flush_node(b, l))
			return -1;
	return 0;
}

static unsigned int highest(const struct build *b)
{
	unsigned int l = MAX_HEIGHT;

	while (l && !b->level[l].nr)
		l--;
	return l;
}

/* A single child at the top is the root. */
static int close_root(struct build *b, struct hpm_disk_root *root)
{
	unsigned int top, l;

	memset(root, 0, sizeof(*root));
	if (flush_leaf(b))
		return -1;
	for (l = 1; (top = highest(b)) != 0; l++) {
		if (l == top && b->level[l].nr == 1)
			break;
		if (flush_node(b, l))
			return -1;
	}
	if (!top)
		return 0;
	root->ptr = b->level[top].child[0].ptr;
	root->height = top;
	b->level[top].nr = 0;
	b->refs[le64_to_cpu(root->ptr.block)]++;
	return 0;
}

static void open_tree(struct build *b, enum tree_kind kind)
{
	unsigned int l;

	b->tree = kind;
	b->any = false;
	b->leaf.head.nr = 0;
	for (l = 0; l < ARRAY_SIZE(b->level); l++)
		b->level[l].nr = 0;
}

/*----------------------------------------------------------------
 * The sink: trees
 *--------------------------------------------------------------*/

static int build_def(void *ctx, u32 id, unsigned int level)
{
	struct build *b = ctx;

	if (id != b->nr_defs + 1)
		return complain("definition %u comes where %u was expected", id,
				b->nr_defs + 1);
	open_tree(b, TREE_DEF);
	b->def_level = level;
	return 0;
}

static int close_def(struct build *b)
{
	u32 max = b->max_defs ? 2 * b->max_defs : 256;
	struct done_def *more;
	struct open_node *top = &b->level[b->def_level + 1];
	struct done_def d = { .first = b->first_key,
			      .last = b->last_key,
			      .sum = b->sum,
			      .level = b->def_level };

	if (b->any) {
		if (flush_below(b, b->def_level + 1))
			return -1;
		if (top->nr != 1 || highest(b) != b->def_level + 1)
			return complain(
				"definition %u is too large for level %u",
				b->nr_defs + 1, b->def_level);
		d.ptr = top->child[0].ptr;
		d.block = le64_to_cpu(d.ptr.block);
	}
	if (b->nr_defs == b->max_defs) {
		more = realloc(b->def, max * sizeof(*more));
		if (!more)
			return complain("out of memory");
		b->def = more;
		b->max_defs = max;
	}
	b->def[b->nr_defs++] = d;
	return 0;
}

static int build_ref(void *ctx, u32 id)
{
	struct build *b = ctx;
	const struct done_def *d;
	bool any = b->any;

	if (!id || id > b->nr_defs || !b->def[id - 1].block)
		return complain("definition %u is not there", id);
	d = &b->def[id - 1];
	if (key_follows(b, d->first))
		return -1;
	if (b->tree == TREE_DEF && d->level >= b->def_level)
		return complain(
			"definition %u is too high to be part of one of level %u",
			id, b->def_level);
	b->last_key = d->last;
	add_sum(b, any, &d->sum);
	if (flush_below(b, d->level + 1))
		return -1;
	return add_child(b, d->level + 1, d->first, d->ptr);
}

static int run_bad(const struct build *b, const struct run *r)
{
	u64 mask = b->large_size - 1;

	if (r->time > b->s.time)
		return complain(
			"a mapping is of time %u, which is in the future",
			r->time);
	if (r->kind != RUN_HOLE &&
	    (r->pbn >= b->s.data_blocks || r->nr > b->s.data_blocks - r->pbn))
		return complain(
			"blocks from %llu on are not on the data device",
			r->pbn);
	if (r->kind == RUN_LARGE && ((r->pbn | r->vbn | r->nr) & mask))
		return complain("the large block at %llu is not aligned",
				r->vbn);
	return 0;
}

static int build_run(void *ctx, const struct run *r)
{
	struct build *b = ctx;
	u64 time = (u64)r->time << HPM_PBN_BITS;
	bool large = r->kind == RUN_LARGE;
	u64 i, step = large ? b->large_size : 1, pbn;

	if (run_bad(b, r))
		return -1;
	for (i = 0; i < r->nr; i += step) {
		pbn = r->kind == RUN_HOLE ? HPM_PBN_HOLE : r->pbn + i;
		if (add_entry(b, (r->vbn + i) << 1 | !large, time | pbn))
			return -1;
	}
	return 0;
}

static struct arr *volumes(struct build *b)
{
	return &b->arr[b->held ? ARR_HELD : HPM_ARR_VOLUME];
}

static int build_volume(void *ctx, const struct sink_volume *v)
{
	struct build *b = ctx;
	const struct hpm_disk_volume *d = arr_elt(volumes(b), v->id);

	if (!d)
		return -1;
	if (d->serial)
		return complain("there are two volumes %u", v->id);
	if (!v->serial || v->serial >= b->s.next_serial ||
	    v->snap_time > b->s.time)
		return complain(
			"volume %u has a time or a serial in the future",
			v->id);
	open_tree(b, TREE_VOLUME);
	b->vol = *v;
	return 0;
}

static int close_volume(struct build *b)
{
	const struct sink_volume *v = &b->vol;
	struct hpm_disk_volume *d = arr_elt(volumes(b), v->id);
	u64 mapped = b->any ? map_sum_mapped(&b->sum) : 0;

	if (v->mapped != U64_MAX && v->mapped != mapped)
		return complain(
			"volume %u maps %llu small blocks, the text says %llu",
			v->id, mapped, v->mapped);
	*d = (struct hpm_disk_volume){
		.flags = cpu_to_le32(v->flags | HPM_VOL_LIVE),
		.snap_time = cpu_to_le32(v->snap_time),
		.serial = cpu_to_le64(v->serial),
		.parent = cpu_to_le64(v->parent),
		.size = cpu_to_le64(v->size),
		.mapped = cpu_to_le64(mapped),
		.created = cpu_to_le64(v->created),
	};
	memcpy(d->name, v->name, HPM_NAME_SIZE);
	b->nr_volumes += !b->held;
	return close_root(b, &d->root);
}

static int build_dying(void *ctx, u64 serial)
{
	struct build *b = ctx;

	open_tree(b, TREE_DYING);
	b->serial = serial;
	return serial ? 0 : complain("a dying volume needs a serial");
}

static int close_dying(struct build *b)
{
	struct hpm_disk_dying *d;
	struct hpm_disk_root root;

	if (close_root(b, &root))
		return -1;
	if (!root.height)
		return 0;
	d = arr_elt(&b->arr[HPM_ARR_DYING], b->nr_dying++);
	if (!d)
		return -1;
	d->serial = cpu_to_le64(b->serial);
	d->root = root;
	return 0;
}

static int build_tree_end(void *ctx)
{
	struct build *b = ctx;
	int r = -1;

	if (b->tree == TREE_DEF)
		r = close_def(b);
	else if (b->tree == TREE_VOLUME)
		r = close_volume(b);
	else if (b->tree == TREE_DYING)
		r = close_dying(b);
	b->tree = TREE_NONE;
	return r;
}

static int build_held(void *ctx, u32 time)
{
	struct build *b = ctx;

	if (b->held)
		return complain("there are two held snapshots");
	b->held = true;
	b->held_time = time;
	return 0;
}

static int build_punched(void *ctx, u64 pbn, u64 nr)
{
	struct build *b = ctx;
	struct hpm_disk_large *l;
	u16 v;
	u8 *low;

	if (pbn >= b->s.data_blocks || nr > b->s.data_blocks - pbn)
		return complain(
			"blocks from %llu on are not on the data device", pbn);
	for (; nr; nr--, pbn++) {
		l = arr_elt(&b->arr[HPM_ARR_LARGE], pbn >> b->s.large_shift);
		if (!l)
			return -1;
		/*
		 * In a repair the base may be lost; then its punched bits mean
		 * nothing.
		 */
		if (!l->refs)
			continue;
		low = arr_elt(&b->arr[HPM_ARR_SMALL], pbn);
		if (!low)
			return -1;
		v = get_unaligned_le16(low);
		if (v & HPM_SMALL_PUNCHED)
			return complain("small block %llu is given back twice",
					pbn);
		put_unaligned_le16(v | HPM_SMALL_PUNCHED, low);
		l->punched = cpu_to_le16(le16_to_cpu(l->punched) + 1);
	}
	return 0;
}

/*----------------------------------------------------------------
 * The sink: beginning
 *--------------------------------------------------------------*/

/* Epochs continue those of a pool with the same uuid on this device. */
static u64 first_epoch(struct build *b)
{
	static const u64 place[2] = { HPM_SUPER_A, HPM_SUPER_B };
	struct hpm_super *sb = blocks_alloc(1);
	u64 epoch = 0;
	unsigned int i;

	for (i = 0; sb && i < 2; i++)
		if (!dev_read(b->dev, place[i], 1, sb) &&
		    !block_fault(b->seed, sb, place[i]))
			epoch = max_t(u64, epoch, le64_to_cpu(sb->head.epoch));
	free(sb);
	return epoch + 1;
}

static int wipe(struct build *b, u64 start, u64 nr)
{
	u64 n;
	int r = 0;

	memset(b->out, 0, (size_t)OUT_BLOCKS * HPM_BLOCK_SIZE);
	for (; nr && !r; start += n, nr -= n) {
		n = min_t(u64, nr, OUT_BLOCKS);
		r = dev_write(b->dev, start, n, b->out);
	}
	return r ? complain("%s cannot be written: %s", b->dev->path,
			    strerror(-r)) :
		   0;
}

static void place_areas(struct build *b)
{
	u64 meta = b->blocks;

	if (!b->journal_blocks) {
		b->journal_start = HPM_RESERVED_BLOCKS;
		b->journal_blocks = meta / 16 < 128  ? 128 :
				    meta / 16 > 2048 ? 2048 :
						       meta / 16;
	}
	b->refs_start = b->journal_start + b->journal_blocks;
	b->refs_pages = DIV_ROUND_UP(meta, HPM_REFS_PER_PAGE);
	b->next = b->refs_start + HPM_REFS_HOMES * b->refs_pages;
	b->out_first = b->next;
}

static int find_room(struct build *b)
{
	if (check_no_data(b->dev))
		return -1;
	if (!b->blocks)
		return room_for_metadata(b->dev, b->s.uuid, &b->blocks);
	if (b->blocks > b->dev->blocks)
		return complain("%s has %llu blocks, and not %llu",
				b->dev->path, b->dev->blocks, b->blocks);
	return 0;
}

static int build_super(void *ctx, const struct sink_super *s)
{
	struct build *b = ctx;
	u64 i;

	b->s = *s;
	b->large_size = 1u << s->large_shift;
	b->seed = uuid_seed(s->uuid);
	if (!s->data_blocks || s->data_blocks & (b->large_size - 1))
		return complain("the data device is not of whole large blocks");
	if (find_room(b))
		return -1;
	place_areas(b);
	if (b->blocks < HPM_MIN_META_BLOCKS || b->next >= b->blocks)
		return complain("%s is too small", b->dev->path);
	b->epoch = first_epoch(b);
	b->refs = calloc(b->refs_pages, HPM_REFS_PER_PAGE * sizeof(*b->refs));
	if (!b->refs)
		return complain("out of memory");
	for (i = 0; i < b->next; i++)
		b->refs[i] = 1;
	for (i = 0; i < NR_ARR; i++)
		arr_init(&b->arr[i], i == ARR_HELD ? HPM_ARR_VOLUME : i);
	return wipe(b, 0, b->next);
}

/*----------------------------------------------------------------
 * The sink: end
 *--------------------------------------------------------------*/

static int compare_leaves(const void *x, const void *y)
{
	struct arr_leaf *const *a = x, *const *b = y;

	return (*a)->index < (*b)->index ? -1 : (*a)->index > (*b)->index;
}

/* The same, one level up: the written nodes by index. */
struct arr_done {
	u64 index;
	struct hpm_disk_ptr ptr;
};

static int write_leaf(struct build *b, struct arr *a, const struct arr_leaf *l,
		      struct arr_done *done)
{
	struct hpm_block_head *h = out_new(b, HPM_BT_ARR_LEAF, 0);

	if (!h)
		return -1;
	h->kind = a->kind;
	h->nr = cpu_to_le16(a->per);
	h->aux = cpu_to_le64(l->index * a->per);
	memcpy(h + 1, l->elts, (size_t)a->per * a->size);
	*done = (struct arr_done){ l->index, out_done(b, h) };
	b->refs[le64_to_cpu(h->blocknr)]++;
	a->nodes++;
	return 0;
}

/*
 * Writes one inner node from the children that belong to it; returns their
 * number.
 */
static u64 write_inner(struct build *b, struct arr *a, unsigned int level,
		       const struct arr_done *below, u64 nr,
		       struct arr_done *done)
{
	u64 index = below[0].index / HPM_ARR_FANOUT, i;
	struct hpm_arr_node *node = out_new(b, HPM_BT_ARR_NODE, level);

	if (!node)
		return 0;
	node->head.kind = a->kind;
	node->head.nr = cpu_to_le16(HPM_ARR_FANOUT);
	node->head.aux = cpu_to_le64(index * array_span(a->kind, level));
	for (i = 0; i < nr && below[i].index / HPM_ARR_FANOUT == index; i++)
		node->child[below[i].index % HPM_ARR_FANOUT] = below[i].ptr;
	*done = (struct arr_done){ index, out_done(b, node) };
	b->refs[le64_to_cpu(node->head.blocknr)]++;
	a->nodes++;
	return i;
}

static int write_levels(struct build *b, struct arr *a, struct arr_done *done)
{
	u64 nr = a->nr, above, i, n;
	unsigned int level = 0;

	while (nr > 1 || done[0].index) {
		level++;
		for (above = 0, i = 0; i < nr; i += n, above++) {
			n = write_inner(b, a, level, done + i, nr - i,
					&done[above]);
			if (!n)
				return -1;
		}
		nr = above;
	}
	a->root.ptr = done[0].ptr;
	a->root.height = level + 1;
	return 0;
}

static int write_array(struct build *b, struct arr *a)
{
	struct arr_leaf **list = calloc(a->nr, sizeof(*list)), *l;
	struct arr_done *done = calloc(a->nr, sizeof(*done));
	u64 i, n = 0;
	int r = 0;

	if (a->nr && (!list || !done)) {
		r = complain("out of memory");
		goto out;
	}
	for (i = 0; i < a->buckets; i++)
		for (l = a->hash[i]; l; l = l->next)
			list[n++] = l;
	if (!n)
		goto out;
	qsort(list, n, sizeof(*list), compare_leaves);
	for (i = 0; i < n && !r; i++)
		r = write_leaf(b, a, list[i], &done[i]);
	if (!r)
		r = write_levels(b, a, done);
out:
	free(list);
	free(done);
	return r;
}

static void sum_large(struct build *b, const struct arr_leaf *leaf)
{
	const struct hpm_disk_large *l = (const void *)leaf->elts;
	unsigned int i;

	for (i = 0; i < b->arr[HPM_ARR_LARGE].per; i++)
		b->data_used +=
			l[i].refs ? b->large_size - le16_to_cpu(l[i].punched) :
				    le16_to_cpu(l[i].used);
}

/*
 * Counts small blocks that have a count of their own and are punched as well.
 */
static void sum_small(struct build *b, const struct arr_leaf *leaf)
{
	struct arr *hi = &b->arr[HPM_ARR_SMALL_HI];
	unsigned int i, per = b->arr[HPM_ARR_SMALL].per;
	const struct arr_leaf *h = hi->nr ? arr_find(hi, leaf->index) : NULL;
	u16 v;

	for (i = 0; i < per; i++) {
		v = get_unaligned_le16(leaf->elts + (size_t)2 * i);
		if (v & HPM_SMALL_PUNCHED &&
		    (v & HPM_SMALL_COUNT ||
		     (h && get_unaligned_le16(h->elts + (size_t)2 * i))))
			b->data_used++;
	}
}

static void sum_used(struct build *b)
{
	const struct arr *large = &b->arr[HPM_ARR_LARGE];
	const struct arr *small = &b->arr[HPM_ARR_SMALL];
	const struct arr_leaf *l;
	u64 i;

	for (i = 0; i < large->buckets; i++)
		for (l = large->hash[i]; l; l = l->next)
			sum_large(b, l);
	for (i = 0; i < small->buckets; i++)
		for (l = small->hash[i]; l; l = l->next)
			sum_small(b, l);
}

static int write_refs(struct build *b, struct hpm_super *sb)
{
	struct hpm_refs_page *p = blocks_alloc(1);
	__le32 *csum = calloc(b->refs_pages, sizeof(*csum));
	u64 page;
	unsigned int i;
	int r = 0;

	if (!p || !csum) {
		free(p);
		free(csum);
		return complain("out of memory");
	}
	for (page = 0; page < b->refs_pages && !r; page++) {
		memset(p, 0, sizeof(*p));
		p->head.nr = cpu_to_le16(HPM_REFS_PER_PAGE);
		p->head.aux = cpu_to_le64(page);
		for (i = 0; i < HPM_REFS_PER_PAGE; i++)
			p->refs[i] = cpu_to_le32(
				b->refs[page * HPM_REFS_PER_PAGE + i]);
		r = put_block(b, b->refs_start + page * HPM_REFS_HOMES,
			      HPM_BT_REFS, b->epoch, b->seed, p);
		csum[page] = p->head.csum;
	}
	sb->refs_csum = pages_csum(b->seed, csum, b->refs_pages);
	sb->refs_epoch = cpu_to_le64(b->epoch);
	/* All homes are the first ones: two bits of 0 each. */
	sb->nr_segments = cpu_to_le32(1);
	sb->segment[0].nr = cpu_to_le32((u32)b->refs_pages);
	sb->segment[0].start = cpu_to_le64(b->refs_start);
	free(p);
	free(csum);
	return r;
}

static void fill_journal(struct build *b, struct hpm_super *sb)
{
	const struct hpm_super *from = b->journal_of;
	u64 nonce = 0;

	if (from) {
		sb->nonce = from->nonce;
		sb->record = from->record;
		sb->journal_pos = from->journal_pos;
		sb->journal_seq = from->journal_seq;
		sb->journal_prev = from->journal_prev;
		/* Records may let the held table go, so make an empty one. */
		sb->held_flags = from->held_flags;
		sb->held_time = from->held_time;
		return;
	}
	while (!nonce)
		if (getrandom(&nonce, sizeof(nonce), 0) < 0)
			nonce = b->epoch;
	sb->nonce = cpu_to_le64(nonce);
	sb->journal_seq = cpu_to_le64(1);
}

static void fill_super(struct build *b, struct hpm_super *sb)
{
	unsigned int i;

	memcpy(sb->uuid, b->s.uuid, HPM_UUID_SIZE);
	sb->time = cpu_to_le32(b->s.time);
	sb->transaction_id = cpu_to_le64(b->s.transaction_id);
	sb->next_serial = cpu_to_le64(b->s.next_serial);
	sb->data_blocks = cpu_to_le64(b->s.data_blocks);
	sb->meta_blocks = cpu_to_le64(b->blocks);
	sb->data_used = cpu_to_le64(b->data_used);
	sb->nr_volumes = cpu_to_le64(b->nr_volumes);
	sb->held = b->arr[ARR_HELD].root;
	sb->held_time = cpu_to_le32(b->held_time);
	sb->held_flags = cpu_to_le32(b->held);
	for (i = 0; i < HPM_NR_ARRAYS; i++) {
		sb->array[i] = b->arr[i].root;
		sb->array_nodes[i] = cpu_to_le64(b->arr[i].nodes);
	}
	fill_journal(b, sb);
}

static int write_supers(struct build *b, struct hpm_super *sb)
{
	static const u64 place[2] = { HPM_SUPER_A, HPM_SUPER_B };
	unsigned int i;
	int r = 0;

	for (i = 0; i < 2 && !r; i++) {
		sb->generation = cpu_to_le64(i + 1);
		r = put_block(b, place[i], HPM_BT_SUPER, b->epoch, b->seed, sb);
	}
	return r;
}

static int flush(struct build *b)
{
	int r = dev_flush(b->dev);

	return r ? complain("%s cannot be written: %s", b->dev->path,
			    strerror(-r)) :
		   0;
}

static int write_label(struct build *b)
{
	struct hpm_label *l = blocks_alloc(1);
	int r;

	if (!l)
		return complain("out of memory");
	memset(l, 0, sizeof(*l));
	l->version = cpu_to_le32(HPM_FORMAT_VERSION);
	l->large_shift = cpu_to_le32(b->s.large_shift);
	if (b->s.marked)
		l->compat = cpu_to_le64(HPM_COMPAT_MARK);
	memcpy(l->uuid, b->s.uuid, HPM_UUID_SIZE);
	l->journal_start = cpu_to_le64(b->journal_start);
	l->journal_blocks = cpu_to_le64(b->journal_blocks);
	l->created_with_blocks = cpu_to_le64(b->blocks);
	r = put_block(b, HPM_LABEL_COPY, HPM_BT_LABEL, 0, label_seed(), l);
	if (!r)
		r = flush(b);
	if (!r)
		r = put_block(b, HPM_LABEL_BLOCK, HPM_BT_LABEL, 0, label_seed(),
			      l);
	free(l);
	return r;
}

/*
 * The text of an older version counts the mark's block, which that version does
 * not know, and does not say that there is a mark.
 */
static bool mark_was_counted(struct build *b, u64 used)
{
	const struct hpm_disk_large *l;
	const void *low;

	if (b->s.marked || b->s.data_used != used + 1)
		return false;
	low = arr_peek(&b->arr[HPM_ARR_SMALL], HPM_MARK_BLOCK);
	l = arr_peek(&b->arr[HPM_ARR_LARGE],
		     HPM_MARK_BLOCK >> b->s.large_shift);
	if ((l && l->refs) || (low && get_unaligned_le16(low)))
		return false;
	note("the text counts small block %u, which no volume has, as older versions do with the mark: the pool has no mark on its data device",
	     HPM_MARK_BLOCK);
	return true;
}

static int check_totals(struct build *b)
{
	u64 used = b->data_used - b->s.marked;

	if (b->s.data_used == U64_MAX || b->s.data_used == used ||
	    mark_was_counted(b, used))
		return 0;
	return complain("%llu small blocks are in use, the text says %llu",
			used, b->s.data_used);
}

static int build_end(void *ctx)
{
	struct build *b = ctx;
	struct hpm_super *sb = blocks_alloc(1);
	unsigned int i;
	int r = sb ? count_mark(b) : complain("out of memory");

	for (i = 0; i < NR_ARR && !r; i++)
		r = write_array(b, &b->arr[i]);
	if (!r)
		r = out_flush(b);
	if (!r) {
		memset(sb, 0, sizeof(*sb));
		sum_used(b);
		r = check_totals(b);
	}
	if (!r)
		r = write_refs(b, sb);
	if (!r)
		r = flush(b);
	if (!r) {
		fill_super(b, sb);
		r = write_supers(b, sb) || flush(b) || write_label(b) ||
		    flush(b);
	}
	free(sb);
	return r ? -1 : 0;
}

const struct sink build_sink = {
	.super = build_super,
	.def_begin = build_def,
	.volume_begin = build_volume,
	.dying_begin = build_dying,
	.tree_end = build_tree_end,
	.run = build_run,
	.ref = build_ref,
	.held = build_held,
	.punched = build_punched,
	.end = build_end,
};

/*----------------------------------------------------------------
 * Making a builder
 *--------------------------------------------------------------*/

struct build *build_new(struct dev *dev, u64 blocks)
{
	struct build *b = calloc(1, sizeof(*b));

	if (b) {
		b->dev = dev;
		b->blocks = blocks;
		b->out = blocks_alloc(OUT_BLOCKS);
	}
	if (b && b->out)
		return b;
	build_free(b);
	complain("out of memory");
	return NULL;
}

void build_free(struct build *b)
{
	unsigned int i;

	if (!b)
		return;
	for (i = 0; i < NR_ARR; i++)
		arr_free(&b->arr[i]);
	free(b->def);
	free(b->refs);
	free(b->out);
	free(b);
}

void build_journal(struct build *b, const struct hpm_super *from, u64 start,
		   u64 blocks)
{
	b->journal_of = from;
	b->journal_start = start;
	b->journal_blocks = blocks;
}

u64 build_blocks_used(const struct build *b)
{
	return b->next;
}

u64 build_blocks(const struct build *b)
{
	return b->blocks;
}
