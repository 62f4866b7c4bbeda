// SPDX-License-Identifier: GPL-2.0-only
/*
 * The consistency checker; hpm_check.h says what it is for.
 *
 * What is counted, and from where
 * -------------------------------
 * A metadata block's count is the number of places that point to it: child
 * pointers in nodes, roots in volume elements, in dying elements and in the
 * superblock, and 1 for a block of a fixed area.  A node is read once, however
 * many pointers it has, so its own pointers are counted once, too; this gives
 * the counts of shared trees.
 *
 * A large block's count is the number of leaves that have it as a base, a small
 * block's the number of leaves that name it.
 *
 * A dying tree is not changed while it is given back; its cursor tells which
 * part of it is gone.  Nodes that end at or below the cursor are not read.
 *
 * Volumes are then walked a second time, one by one and in the order of their
 * keys, for faults that only show in a whole tree: the order across leaves, the
 * number of mapped blocks, and punched blocks of a base that are visible.
 */
#include "hpm_check.h"
#include "format.h"

#define MAX_HEIGHT 16
#define MAX_SLOTS  8192u

/* The counted references of one large block, and what the arrays say. */
struct large {
	u32 refs, disk_refs;
	u16 disk_used, disk_punched;
	u32 *small;	 /* counted; NULL: none */
	u32 *disk_small; /* with the punched bit at the top */
};

#define DISK_PUNCHED 0x80000000u

struct check {
	struct hpm_io *io;
	const struct hpm_check_params *p;
	struct hpm_check_result *res;

	u32 seed;
	unsigned int large_shift;
	u64 journal_start, journal_blocks;
	u64 meta_blocks, data_blocks;
	u64 epoch;
	u32 time;
	struct hpm_super *sb;
	bool marked; /* according to the label */

	u32 *refs; /* by metadata block: counted */
	u32 *disk_refs;
	__le32 page_csum[HPM_MAX_REFS_PAGES];
	u8 *seen; /* by metadata block: was read */
	u64 nr_large;
	struct large *large;
	unsigned int nr_slots; /* of the cache */
	u64 *slot_block;       /* the block in each slot */
	u8 *slots;
};

static void __printf(2, 3) fault(struct check *c, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	c->res->errors++;
	if (!c->p->error)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	c->p->error(c->p->ctx, line);
}

/*
 *----------------------------------------------------------------
 * Blocks
 *--------------------------------------------------------------
 */

static u32 block_sum(u32 seed, const void *block)
{
	return crc32c(seed, (const u8 *)block + sizeof(__le32),
		      HPM_BLOCK_SIZE - sizeof(__le32));
}

static const char *head_fault(u32 seed, const struct hpm_block_head *h, u8 type,
			      u64 block)
{
	if (le32_to_cpu(h->magic) != HPM_MAGIC)
		return "has no magic";
	if (le32_to_cpu(h->csum) != block_sum(seed, h))
		return "fails its checksum";
	if (le64_to_cpu(h->blocknr) != block)
		return "says it is another block";
	if (h->type != type)
		return "is of another type";
	return NULL;
}

/* Reads through a cache with one block in each slot. */
static int read_block(struct check *c, u64 block, void *data)
{
	unsigned int slot = block % c->nr_slots;
	u8 *cached = c->slots + (size_t)slot * HPM_BLOCK_SIZE;
	int r;

	if (c->slot_block[slot] != block) {
		c->slot_block[slot] = 0;
		r = hpm_io_read(c->io, block, cached);
		if (r)
			return r;
		c->slot_block[slot] = block;
	}
	memcpy(data, cached, HPM_BLOCK_SIZE);
	return 0;
}

/*
 * Reads a node and compares it with its parent's data; false: it differs
 * (reported).
 */
static bool read_node(struct check *c, u64 block, u64 epoch, u8 type, u8 level,
		      void *data)
{
	const struct hpm_block_head *h = data;
	const char *what;
	int r;

	if (!block || block >= c->meta_blocks) {
		fault(c, "a pointer leads to block %llu, out of the device",
		      block);
		return false;
	}
	r = read_block(c, block, data);
	if (r) {
		fault(c, "block %llu cannot be read: %s", block, strerror(-r));
		return false;
	}
	what = head_fault(c->seed, h, type, block);
	if (what) {
		fault(c, "block %llu %s", block, what);
		return false;
	}
	if (h->level != level) {
		fault(c, "block %llu is of level %u, not %u", block, h->level,
		      level);
		return false;
	}
	if (le64_to_cpu(h->epoch) != epoch) {
		fault(c, "block %llu is of epoch %llu, its pointer says %llu",
		      block, le64_to_cpu(h->epoch), epoch);
		return false;
	}
	if (epoch > c->epoch) {
		fault(c,
		      "block %llu is of epoch %llu, later than its checkpoint",
		      block, epoch);
		return false;
	}
	return true;
}

/* Counts a reference; true if the block is met for the first time. */
static bool refer(struct check *c, u64 block)
{
	if (!block || block >= c->meta_blocks) {
		fault(c, "a pointer leads to block %llu, out of the device",
		      block);
		return false;
	}
	c->refs[block]++;
	if (c->seen[block])
		return false;
	c->seen[block] = 1;
	c->res->nodes++;
	return true;
}

/*
 *----------------------------------------------------------------
 * Counting what leaves refer to
 *--------------------------------------------------------------
 */

static void count_small(struct check *c, u64 block, u64 pbn)
{
	struct large *l;

	if (pbn >= c->data_blocks) {
		fault(c,
		      "leaf %llu maps to small block %llu, out of the device",
		      block, pbn);
		return;
	}
	l = &c->large[pbn >> c->large_shift];
	if (!l->small) {
		l->small = calloc(1u << c->large_shift, sizeof(*l->small));
		BUG_ON(!l->small);
	}
	l->small[pbn & ((1u << c->large_shift) - 1)]++;
}

static void count_large(struct check *c, u64 block, u64 vbn, u64 pbn)
{
	u64 mask = (1u << c->large_shift) - 1;

	if (pbn >= c->data_blocks) {
		fault(c,
		      "leaf %llu maps to large block at %llu, out of the device",
		      block, pbn);
		return;
	}
	if (pbn & mask || vbn & mask)
		fault(c, "leaf %llu: base %llu at %llu is not aligned", block,
		      pbn, vbn);
	c->large[pbn >> c->large_shift].refs++;
}

static u64 leaf_key(const struct hpm_map_leaf *leaf, unsigned int i)
{
	return le64_to_cpu(leaf->head.aux) << 32 | le32_to_cpu(leaf->key[i]);
}

static void count_leaf(struct check *c, u64 block,
		       const struct hpm_map_leaf *leaf)
{
	unsigned int i, nr = le16_to_cpu(leaf->head.nr);

	for (i = 0; i < nr; i++) {
		u64 value = le64_to_cpu(leaf->value[i]),
		    key = leaf_key(leaf, i);
		u64 pbn = value & HPM_PBN_MASK;

		if (value >> HPM_PBN_BITS > c->time)
			fault(c,
			      "leaf %llu: time %llu of entry %u is in the future",
			      block, value >> HPM_PBN_BITS, i);
		if (!(key & 1))
			count_large(c, block, key >> 1, pbn);
		else if (pbn != HPM_PBN_HOLE)
			count_small(c, block, pbn);
	}
}

/*
 *----------------------------------------------------------------
 * Map trees, each node once
 *--------------------------------------------------------------
 */

struct span {
	u64 lower, upper; /* bounds of the keys below a node */
};

static bool leaf_is_sane(struct check *c, u64 block,
			 const struct hpm_map_leaf *leaf, struct span span)
{
	unsigned int i, nr = le16_to_cpu(leaf->head.nr);

	if (!nr || nr > HPM_LEAF_MAX) {
		fault(c, "leaf %llu has %u entries", block, nr);
		return false;
	}
	for (i = 0; i < nr; i++) {
		u64 key = leaf_key(leaf, i);

		if (i && key <= leaf_key(leaf, i - 1))
			fault(c, "leaf %llu: keys out of order at %u", block,
			      i);
		if (key < span.lower || key >= span.upper)
			fault(c, "leaf %llu: key %#llx is not in its span",
			      block, key);
	}
	return true;
}

static bool node_is_sane(struct check *c, u64 block,
			 const struct hpm_map_node *node)
{
	unsigned int nr = le16_to_cpu(node->head.nr);

	if (!nr || nr > HPM_NODE_MAX) {
		fault(c, "node %llu has %u children", block, nr);
		return false;
	}
	return true;
}

/* Computes what child @i of a node covers; false: this is impossible. */
static bool child_span(struct check *c, u64 block,
		       const struct hpm_map_node *node, unsigned int i,
		       struct span *span)
{
	struct span in = *span;

	if (i)
		span->lower = le64_to_cpu(node->key[i]);
	if (i + 1 < le16_to_cpu(node->head.nr))
		span->upper = le64_to_cpu(node->key[i + 1]);
	if (span->lower < in.lower || span->upper > in.upper ||
	    span->lower >= span->upper) {
		fault(c, "node %llu: child %u has the wrong keys", block, i);
		return false;
	}
	return true;
}

/* Keys below @cursor were given back (0 for a living tree). */
static void count_map(struct check *c, const struct hpm_disk_ptr *ptr,
		      unsigned int level, struct span span, u64 cursor)
{
	u64 block = le64_to_cpu(ptr->block);
	u8 buf[HPM_BLOCK_SIZE];
	unsigned int i;

	if (span.upper <= cursor && cursor)
		return;
	if (!refer(c, block))
		return;
	if (!read_node(c, block, le64_to_cpu(ptr->epoch),
		       level ? HPM_BT_MAP_NODE : HPM_BT_MAP_LEAF, level, buf))
		return;
	if (!level) {
		if (cursor > span.lower)
			fault(c, "a cursor points into leaf %llu", block);
		if (leaf_is_sane(c, block, (void *)buf, span))
			count_leaf(c, block, (void *)buf);
		return;
	}
	if (!node_is_sane(c, block, (void *)buf))
		return;
	for (i = 0; i < le16_to_cpu(((struct hpm_map_node *)buf)->head.nr);
	     i++) {
		const struct hpm_map_node *node = (void *)buf;
		struct span below = span;

		if (child_span(c, block, node, i, &below))
			count_map(c, &node->child[i], level - 1, below, cursor);
	}
}

static void count_root(struct check *c, const struct hpm_disk_root *root,
		       u64 cursor)
{
	struct span all = { 0, U64_MAX };

	if (!root->height)
		return;
	if (root->height > MAX_HEIGHT) {
		fault(c, "a tree has height %u", root->height);
		return;
	}
	count_map(c, &root->ptr, root->height - 1, all, cursor);
}

/*
 *----------------------------------------------------------------
 * Arrays
 *--------------------------------------------------------------
 */

typedef void (*elements_fn)(struct check *c, u64 first, const void *elts,
			    unsigned int nr);

static const unsigned int element_size[] = {
	[HPM_ARR_LARGE] = sizeof(struct hpm_disk_large),
	[HPM_ARR_SMALL] = sizeof(__le16),
	[HPM_ARR_SMALL_HI] = sizeof(__le16),
	[HPM_ARR_VOLUME] = sizeof(struct hpm_disk_volume),
	[HPM_ARR_DYING] = sizeof(struct hpm_disk_dying),
};

static_assert(ARRAY_SIZE(element_size) == HPM_NR_ARRAYS, "a kind is missing");

static void walk_array(struct check *c, const struct hpm_disk_ptr *ptr,
		       unsigned int level, unsigned int kind, u64 first,
		       elements_fn fn)
{
	unsigned int i, per_leaf = HPM_PAYLOAD / element_size[kind];
	u64 block = le64_to_cpu(ptr->block), span = per_leaf;
	u8 buf[HPM_BLOCK_SIZE];
	const struct hpm_arr_node *node = (void *)buf;

	if (!refer(c, block))
		return;
	if (!read_node(c, block, le64_to_cpu(ptr->epoch),
		       level ? HPM_BT_ARR_NODE : HPM_BT_ARR_LEAF, level, buf))
		return;
	if (node->head.kind != kind)
		fault(c, "block %llu is of array %u, not %u", block,
		      node->head.kind, kind);
	if (!level) {
		if (le64_to_cpu(node->head.aux) != first)
			fault(c, "array leaf %llu begins at %llu, not %llu",
			      block, le64_to_cpu(node->head.aux), first);
		fn(c, first, buf + sizeof(node->head), per_leaf);
		return;
	}
	for (i = 1; i < level; i++)
		span *= HPM_ARR_FANOUT;
	for (i = 0; i < HPM_ARR_FANOUT; i++)
		if (node->child[i].block)
			walk_array(c, &node->child[i], level - 1, kind,
				   first + i * span, fn);
}

static void walk_array_root(struct check *c, const struct hpm_disk_root *root,
			    unsigned int kind, elements_fn fn)
{
	if (!root->height)
		return;
	if (root->height > MAX_HEIGHT) {
		fault(c, "array %u has height %u", kind, root->height);
		return;
	}
	walk_array(c, &root->ptr, root->height - 1, kind, 0, fn);
}

static struct large *large_of(struct check *c, u64 index, const char *what,
			      bool in_use)
{
	if (index < c->nr_large)
		return &c->large[index];
	if (in_use)
		fault(c, "%s %llu is out of the device and has a count", what,
		      index);
	return NULL;
}

static void take_large(struct check *c, u64 first, const void *elts,
		       unsigned int nr)
{
	const struct hpm_disk_large *d = elts;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct large *l =
			large_of(c, first + i, "large block",
				 d[i].refs || d[i].used || d[i].punched);

		if (!l)
			continue;
		l->disk_refs = le32_to_cpu(d[i].refs);
		l->disk_used = le16_to_cpu(d[i].used);
		l->disk_punched = le16_to_cpu(d[i].punched);
	}
}

static void add_small(struct check *c, u64 first, const void *elts,
		      unsigned int nr, unsigned int shift)
{
	u64 mask = (1u << c->large_shift) - 1;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		u32 v = get_unaligned_le16((const u8 *)elts + (size_t)2 * i);
		struct large *l;

		if (!v)
			continue;
		l = large_of(c, (first + i) >> c->large_shift, "large block",
			     true);
		if (!l)
			continue;
		if (!l->disk_small) {
			l->disk_small = calloc(mask + 1, sizeof(u32));
			BUG_ON(!l->disk_small);
		}
		if (!shift && v & HPM_SMALL_PUNCHED)
			l->disk_small[(first + i) & mask] |= DISK_PUNCHED;
		if (!shift)
			v &= HPM_SMALL_COUNT;
		l->disk_small[(first + i) & mask] += v << shift;
	}
}

static void take_small(struct check *c, u64 first, const void *elts,
		       unsigned int nr)
{
	add_small(c, first, elts, nr, 0);
}

static void take_small_hi(struct check *c, u64 first, const void *elts,
			  unsigned int nr)
{
	add_small(c, first, elts, nr, 15);
}

static void take_volumes(struct check *c, u64 first, const void *elts,
			 unsigned int nr)
{
	const struct hpm_disk_volume *v = elts;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		bool live = le32_to_cpu(v[i].flags) & HPM_VOL_LIVE;

		if (live != (v[i].serial != 0))
			fault(c, "volume %llu is half there", first + i);
		if (live)
			count_root(c, &v[i].root, 0);
	}
}

static void take_dying(struct check *c, u64 first, const void *elts,
		       unsigned int nr)
{
	const struct hpm_disk_dying *d = elts;
	unsigned int i;

	(void)first;
	for (i = 0; i < nr; i++) {
		if (!d[i].serial)
			continue;
		c->res->dying++;
		count_root(c, &d[i].root, le64_to_cpu(d[i].cursor));
	}
}

/*
 *----------------------------------------------------------------
 * One volume in the order of its keys
 *--------------------------------------------------------------
 */

struct volume_walk {
	struct check *c;
	u32 id;
	u64 last_key; /* plus one; 0: none yet */
	u64 mapped;
	/* the present large block */
	u64 lvbn;
	bool at_one, has_base;
	u64 base;
	u64 over[(1 << HPM_MAX_LARGE_SHIFT) / 64];
};

static void check_under_base(struct volume_walk *w)
{
	struct check *c = w->c;
	struct large *l;
	u64 i, start = 0;

	if (w->base >= c->data_blocks)
		return;
	l = &c->large[w->base >> c->large_shift];
	for (i = 0; i < 1u << c->large_shift; i++) {
		bool hidden = w->over[i / 64] >> i % 64 & 1;

		if (!hidden) {
			if (l->disk_small && l->disk_small[i] & DISK_PUNCHED)
				fault(c,
				      "volume %u: %llu shows block %llu, which was given back",
				      w->id, w->lvbn + i, w->base + i);
			continue;
		}
		if (c->p->mapping && i > start)
			c->p->mapping(c->p->ctx, w->lvbn + start,
				      w->base + start, i - start);
		start = i + 1;
	}
	if (c->p->mapping && i > start)
		c->p->mapping(c->p->ctx, w->lvbn + start, w->base + start,
			      i - start);
}

static void end_large(struct volume_walk *w)
{
	if (w->at_one && w->has_base)
		check_under_base(w);
	w->at_one = false;
}

static void begin_large(struct volume_walk *w, u64 lvbn)
{
	end_large(w);
	w->at_one = true;
	w->has_base = false;
	w->lvbn = lvbn;
	memset(w->over, 0, sizeof(w->over));
}

static void walk_entry(struct volume_walk *w, u64 key, u64 value)
{
	u64 vbn = key >> 1, pbn = value & HPM_PBN_MASK, offset;
	u64 size = 1u << w->c->large_shift, lvbn = vbn & ~(size - 1);

	if (w->last_key > key)
		fault(w->c, "volume %u: key %#llx comes after a higher one",
		      w->id, key);
	w->last_key = key + 1;
	if (!w->at_one || w->lvbn != lvbn)
		begin_large(w, lvbn);
	if (!(key & 1)) {
		w->has_base = true;
		w->base = pbn;
		w->mapped += size;
		return;
	}
	offset = vbn - lvbn;
	w->over[offset / 64] |= 1ull << offset % 64;
	if (w->has_base)
		w->mapped--;
	if (pbn == HPM_PBN_HOLE)
		return;
	w->mapped++;
	if (w->c->p->mapping)
		w->c->p->mapping(w->c->p->ctx, vbn, pbn, 1);
}

static void walk_map(struct volume_walk *w, const struct hpm_disk_ptr *ptr,
		     unsigned int level)
{
	u8 buf[HPM_BLOCK_SIZE];
	const struct hpm_map_leaf *leaf = (void *)buf;
	const struct hpm_map_node *node = (void *)buf;
	u64 block = le64_to_cpu(ptr->block);
	unsigned int i;

	/* Its faults were reported when it was counted. */
	if (block >= w->c->meta_blocks || read_block(w->c, block, buf) ||
	    node->head.level != level)
		return;
	if (level) {
		for (i = 0;
		     i < min_t(u32, le16_to_cpu(node->head.nr), HPM_NODE_MAX);
		     i++)
			walk_map(w, &node->child[i], level - 1);
		return;
	}
	for (i = 0; i < min_t(u32, le16_to_cpu(leaf->head.nr), HPM_LEAF_MAX);
	     i++)
		walk_entry(w, leaf_key(leaf, i), le64_to_cpu(leaf->value[i]));
}

static void walk_volume(struct check *c, u32 id,
			const struct hpm_disk_volume *v)
{
	struct volume_walk w = { .c = c, .id = id };

	c->res->volumes++;
	if (c->p->volume)
		c->p->volume(c->p->ctx, id, le64_to_cpu(v->serial));
	if (v->root.height && v->root.height <= MAX_HEIGHT)
		walk_map(&w, &v->root.ptr, v->root.height - 1);
	end_large(&w);
	if (w.mapped != le64_to_cpu(v->mapped))
		fault(c,
		      "volume %u has %llu mapped blocks, its element says %llu",
		      id, w.mapped, le64_to_cpu(v->mapped));
	if (le64_to_cpu(v->serial) >= le64_to_cpu(c->sb->next_serial))
		fault(c, "volume %u has serial %llu, which is in the future",
		      id, le64_to_cpu(v->serial));
	if (le32_to_cpu(v->snap_time) > c->time)
		fault(c, "volume %u has a snapshot time in the future", id);
	if (strnlen((const char *)v->name, HPM_NAME_SIZE) == HPM_NAME_SIZE)
		fault(c, "volume %u: the name has no end", id);
}

static void walk_volumes(struct check *c, const struct hpm_disk_ptr *ptr,
			 unsigned int level, u64 first)
{
	unsigned int i, per = HPM_PAYLOAD / sizeof(struct hpm_disk_volume);
	u8 buf[HPM_BLOCK_SIZE];
	const struct hpm_arr_node *node = (void *)buf;
	const struct hpm_disk_volume *v;
	u64 block = le64_to_cpu(ptr->block), span = per;

	if (block >= c->meta_blocks || read_block(c, block, buf) ||
	    node->head.level != level)
		return;
	if (!level) {
		v = (const void *)(buf + sizeof(node->head));
		for (i = 0; i < per; i++)
			if (le32_to_cpu(v[i].flags) & HPM_VOL_LIVE)
				walk_volume(c, first + i, &v[i]);
		return;
	}
	for (i = 1; i < level; i++)
		span *= HPM_ARR_FANOUT;
	for (i = 0; i < HPM_ARR_FANOUT; i++)
		if (node->child[i].block)
			walk_volumes(c, &node->child[i], level - 1,
				     first + i * span);
}

/*
 *----------------------------------------------------------------
 * Comparing
 *--------------------------------------------------------------
 */

static void compare_refs(struct check *c)
{
	u64 b;

	for (b = 0; b < c->meta_blocks; b++) {
		if (c->refs[b])
			c->res->meta_used++;
		if (c->refs[b] != c->disk_refs[b])
			fault(c,
			      "block %llu is referred to %u times, its count says %u",
			      b, c->refs[b], c->disk_refs[b]);
	}
}

static void compare_small(struct check *c, u64 index, struct large *l)
{
	u64 i, pbn = index << c->large_shift;
	unsigned int used = 0, punched = 0, taken = 0;

	for (i = 0; i < 1u << c->large_shift; i++) {
		u32 counted = l->small ? l->small[i] : 0;
		u32 disk = l->disk_small ? l->disk_small[i] : 0;
		bool hole = disk & DISK_PUNCHED;

		disk &= ~DISK_PUNCHED;
		if (c->marked && pbn + i == HPM_MARK_BLOCK &&
		    disk == HPM_MARK_COUNT)
			counted += HPM_MARK_COUNT;
		if (counted != disk)
			fault(c,
			      "small block %llu is mapped by %u leaves, its count says %u",
			      pbn + i, counted, disk);
		used += counted != 0;
		punched += hole;
		taken += counted || (l->refs && !hole);
	}
	if (punched && !l->refs)
		fault(c, "large block %llu has given-back parts and is no base",
		      index);
	if (used != l->disk_used || punched != l->disk_punched)
		fault(c,
		      "large block %llu: %u used and %u given back, its element says %u and %u",
		      index, used, punched, l->disk_used, l->disk_punched);
	c->res->data_used += taken;
	c->res->punched += punched;
}

static void compare_data(struct check *c)
{
	u64 i;

	for (i = 0; i < c->nr_large; i++) {
		struct large *l = &c->large[i];

		if (l->refs != l->disk_refs)
			fault(c,
			      "large block %llu is the base in %u leaves, its count says %u",
			      i, l->refs, l->disk_refs);
		compare_small(c, i, l);
	}
	if (c->res->data_used != le64_to_cpu(c->sb->data_used))
		fault(c,
		      "%llu small blocks are in use, the superblock says %llu",
		      c->res->data_used, le64_to_cpu(c->sb->data_used));
}

/*
 *----------------------------------------------------------------
 * Label, superblocks, counts, journal
 *--------------------------------------------------------------
 */

static bool read_label(struct check *c)
{
	u8 buf[HPM_BLOCK_SIZE];
	const struct hpm_label *l = (void *)buf;
	const char *what;

	if (hpm_io_read(c->io, HPM_LABEL_BLOCK, buf)) {
		fault(c, "the label cannot be read");
		return false;
	}
	what = head_fault(crc32c(~0u, "hpmapper label", 14), &l->head,
			  HPM_BT_LABEL, HPM_LABEL_BLOCK);
	if (what) {
		fault(c, "the label %s", what);
		return false;
	}
	if (le32_to_cpu(l->version) != HPM_FORMAT_VERSION || l->incompat) {
		fault(c, "the format is of version %u, with features %#llx",
		      le32_to_cpu(l->version), le64_to_cpu(l->incompat));
		return false;
	}
	c->marked = le64_to_cpu(l->compat) & HPM_COMPAT_MARK;
	c->seed = crc32c(~0u, l->uuid, HPM_UUID_SIZE);
	c->large_shift = le32_to_cpu(l->large_shift);
	c->journal_start = le64_to_cpu(l->journal_start);
	c->journal_blocks = le64_to_cpu(l->journal_blocks);
	if (c->large_shift < HPM_MIN_LARGE_SHIFT ||
	    c->large_shift > HPM_MAX_LARGE_SHIFT) {
		fault(c, "the label's large block is not possible");
		return false;
	}
	return true;
}

static bool read_super(struct check *c, u64 block, struct hpm_super *sb)
{
	return !hpm_io_read(c->io, block, sb) &&
	       !head_fault(c->seed, &sb->head, HPM_BT_SUPER, block);
}

static bool choose_super(struct check *c)
{
	struct hpm_super *a = c->sb, *b = malloc(HPM_BLOCK_SIZE);
	bool ok_a, ok_b, want_b;

	BUG_ON(!b);
	ok_a = read_super(c, HPM_SUPER_A, a);
	ok_b = read_super(c, HPM_SUPER_B, b);
	switch (c->p->super) {
	case HPM_CHECK_BLOCK_A:
	case HPM_CHECK_BLOCK_B:
		want_b = c->p->super == HPM_CHECK_BLOCK_B;
		break;
	default:
		want_b = ok_b && (!ok_a || le64_to_cpu(b->generation) >
						   le64_to_cpu(a->generation));
		if (c->p->super == HPM_CHECK_OLDER)
			want_b = !want_b;
	}
	if (want_b)
		memcpy(a, b, HPM_BLOCK_SIZE);
	free(b);
	if (want_b ? ok_b : ok_a)
		return true;
	fault(c, "there is no such superblock");
	return false;
}

static unsigned int home_of(const struct hpm_super *sb, u32 page)
{
	return sb->home[page / 4] >> page % 4 * 2 & 3;
}

static void take_refs_page(struct check *c, u32 page, u64 start)
{
	u8 buf[HPM_BLOCK_SIZE];
	const struct hpm_refs_page *p = (void *)buf;
	unsigned int i, home = home_of(c->sb, page);
	u64 block = start + home, first = (u64)page * HPM_REFS_PER_PAGE;
	const char *what;

	if (home >= HPM_REFS_HOMES)
		return; /* never written: all counts are 0 */
	if (block >= c->meta_blocks || read_block(c, block, buf)) {
		fault(c, "counts page %u cannot be read", page);
		return;
	}
	what = head_fault(c->seed, &p->head, HPM_BT_REFS, block);
	if (what || le64_to_cpu(p->head.aux) != page ||
	    le64_to_cpu(p->head.epoch) > c->epoch) {
		fault(c, "counts page %u in block %llu %s", page, block,
		      what ?: "is another page, or of a later epoch");
		return;
	}
	c->page_csum[page] = p->head.csum;
	for (i = 0; i < HPM_REFS_PER_PAGE && first + i < c->meta_blocks; i++)
		c->disk_refs[first + i] = le32_to_cpu(p->refs[i]);
}

/* Checks the checksum over @nr pages. */
static void check_page_csums(struct check *c, u32 nr)
{
	const struct hpm_super *sb = c->sb;
	u32 sum = crc32c(c->seed, c->page_csum, nr * sizeof(c->page_csum[0]));

	if (sb->refs_epoch == sb->head.epoch &&
	    le32_to_cpu(sb->refs_csum) != sum)
		fault(c, "the counts pages are not the superblock's");
}

static void fix(struct check *c, u64 start, u64 nr)
{
	for (; nr && start < c->meta_blocks; nr--, start++)
		c->refs[start]++;
}

static void take_refs(struct check *c)
{
	u32 s, p, next = 0, nr_segments = le32_to_cpu(c->sb->nr_segments);

	fix(c, 0, HPM_RESERVED_BLOCKS);
	fix(c, c->journal_start, c->journal_blocks);
	if (nr_segments > HPM_MAX_SEGMENTS) {
		fault(c, "there are %u segments of counts pages", nr_segments);
		return;
	}
	for (s = 0; s < nr_segments; s++) {
		const struct hpm_disk_segment *d = &c->sb->segment[s];
		u32 nr = le32_to_cpu(d->nr);

		if (le32_to_cpu(d->first) != next ||
		    nr > HPM_MAX_REFS_PAGES - next) {
			fault(c, "segment %u of counts pages is not next", s);
			return;
		}
		fix(c, le64_to_cpu(d->start), (u64)nr * HPM_REFS_HOMES);
		for (p = 0; p < nr; p++)
			take_refs_page(c, next + p,
				       le64_to_cpu(d->start) +
					       (u64)p * HPM_REFS_HOMES);
		next += nr;
	}
	if ((u64)next * HPM_REFS_PER_PAGE < c->meta_blocks)
		fault(c, "%u counts pages are too few for %llu blocks", next,
		      c->meta_blocks);
	check_page_csums(c, next);
}

/* Follows the chain of batches behind the checkpoint. */
static void follow_journal(struct check *c)
{
	u64 pos = le64_to_cpu(c->sb->journal_pos);
	u64 seq = le64_to_cpu(c->sb->journal_seq), batch_nr = 0, i = 0, steps;
	u32 prev = le32_to_cpu(c->sb->journal_prev);
	u8 buf[HPM_BLOCK_SIZE];
	const struct hpm_journal_block *jb = (void *)buf;
	u64 records = 0;

	for (steps = 0; steps < c->journal_blocks; steps++) {
		u64 block = c->journal_start + (pos + i) % c->journal_blocks;
		unsigned int s, nr;

		if (read_block(c, block, buf) ||
		    head_fault(c->seed, &jb->head, HPM_BT_JOURNAL, block) ||
		    jb->nonce != c->sb->nonce || le64_to_cpu(jb->seq) != seq ||
		    le32_to_cpu(jb->prev) != prev ||
		    le16_to_cpu(jb->index) != i)
			return;
		nr = min_t(u16, le16_to_cpu(jb->head.nr), HPM_SLOTS_PER_BLOCK);
		for (s = 0; s < nr; s += max_t(u8, jb->slot[s][1], 1))
			records++;
		batch_nr = le16_to_cpu(jb->blocks);
		if (++i < batch_nr)
			continue;
		c->res->journal_batches++;
		c->res->journal_records += records;
		records = 0;
		prev = le32_to_cpu(jb->head.csum);
		pos += batch_nr;
		seq++;
		i = 0;
	}
}

/*
 *----------------------------------------------------------------
 * The whole
 *--------------------------------------------------------------
 */

static int check_prepare(struct check *c)
{
	struct hpm_super *sb = c->sb;

	c->meta_blocks = le64_to_cpu(sb->meta_blocks);
	c->data_blocks = le64_to_cpu(sb->data_blocks);
	c->epoch = le64_to_cpu(sb->head.epoch);
	c->time = le32_to_cpu(sb->time);
	if (c->meta_blocks > hpm_io_meta_blocks(c->io) ||
	    c->meta_blocks > HPM_MAX_META_BLOCKS) {
		fault(c, "the metadata device is smaller than the pool");
		return -EUCLEAN;
	}
	c->nr_large = c->data_blocks >> c->large_shift;
	c->refs = calloc(c->meta_blocks, sizeof(*c->refs));
	c->disk_refs = calloc(c->meta_blocks, sizeof(*c->disk_refs));
	c->seen = calloc(c->meta_blocks, 1);
	c->large = calloc(c->nr_large + 1, sizeof(*c->large));
	if (!c->refs || !c->disk_refs || !c->seen || !c->large) {
		fault(c, "out of memory");
		return -ENOMEM;
	}
	c->res->epoch = c->epoch;
	c->res->generation = le64_to_cpu(sb->generation);
	c->res->record = le64_to_cpu(sb->record);
	return 0;
}

static void check_all(struct check *c)
{
	static const elements_fn take[] = {
		[HPM_ARR_LARGE] = take_large,
		[HPM_ARR_SMALL] = take_small,
		[HPM_ARR_SMALL_HI] = take_small_hi,
		[HPM_ARR_VOLUME] = take_volumes,
		[HPM_ARR_DYING] = take_dying,
	};
	const struct hpm_disk_root *volumes = &c->sb->array[HPM_ARR_VOLUME];
	unsigned int i;

	static_assert(ARRAY_SIZE(take) == HPM_NR_ARRAYS, "a kind is missing");
	take_refs(c);
	for (i = 0; i < HPM_NR_ARRAYS; i++)
		walk_array_root(c, &c->sb->array[i], i, take[i]);
	walk_array_root(c, &c->sb->held, HPM_ARR_VOLUME, take_volumes);
	compare_refs(c);
	compare_data(c);
	if (volumes->height && volumes->height <= MAX_HEIGHT)
		walk_volumes(c, &volumes->ptr, volumes->height - 1, 0);
	if (c->res->volumes != le64_to_cpu(c->sb->nr_volumes))
		fault(c, "there are %llu volumes, the superblock says %llu",
		      c->res->volumes, le64_to_cpu(c->sb->nr_volumes));
	follow_journal(c);
}

static void check_free(struct check *c)
{
	u64 i;

	for (i = 0; c->large && i < c->nr_large; i++) {
		free(c->large[i].small);
		free(c->large[i].disk_small);
	}
	free(c->large);
	free(c->refs);
	free(c->disk_refs);
	free(c->seen);
	free(c->slots);
	free(c->slot_block);
	free(c->sb);
}

int hpm_check(struct hpm_io *io, const struct hpm_check_params *params,
	      struct hpm_check_result *res)
{
	struct check c = { .io = io, .p = params, .res = res };
	int r = -EUCLEAN;

	memset(res, 0, sizeof(*res));
	c.sb = malloc(HPM_BLOCK_SIZE);
	c.nr_slots = clamp_t(u64, hpm_io_meta_blocks(io) / 8, 64, MAX_SLOTS);
	c.slot_block = calloc(c.nr_slots, sizeof(*c.slot_block));
	c.slots = malloc((size_t)c.nr_slots * HPM_BLOCK_SIZE);
	if (!c.sb || !c.slot_block || !c.slots) {
		fault(&c, "out of memory");
		r = -ENOMEM;
	} else if (read_label(&c) && choose_super(&c)) {
		r = check_prepare(&c);
		if (!r)
			check_all(&c);
	}
	check_free(&c);
	return r;
}
