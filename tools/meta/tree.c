// SPDX-License-Identifier: GPL-2.0-only
#include "tree.h"

/*----------------------------------------------------------------
 * The cache: one block in each slot
 *--------------------------------------------------------------*/

struct cache {
	unsigned int slots;
	u64 *block;
	u8 *data;
};

static void cache_free(struct cache *c)
{
	if (!c)
		return;
	free(c->block);
	free(c->data);
	free(c);
}

static struct cache *cache_new(unsigned int slots)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->slots = slots;
	c->block = calloc(slots, sizeof(*c->block));
	c->data = blocks_alloc(slots);
	if (c->block && c->data)
		return c;
	cache_free(c);
	return NULL;
}

#define READER_SLOTS 2048u

int reader_begin(struct reader *r, const struct pool *p)
{
	/* No more slots than blocks, but one at least. */
	unsigned int slots = min_t(u64, READER_SLOTS, p->meta_blocks);

	*r = (struct reader){ .p = p, .cache = cache_new(slots ?: 1) };
	return r->cache ? 0 : complain("out of memory");
}

void reader_end(struct reader *r)
{
	cache_free(r->cache);
	r->cache = NULL;
}

static void __printf(3, 4)
	say(struct reader *r, u64 block, const char *fmt, ...)
{
	size_t n;
	va_list ap;

	n = scnprintf(r->why, sizeof(r->why), "block %llu ", block);
	va_start(ap, fmt);
	vsnprintf(r->why + n, sizeof(r->why) - n, fmt, ap);
	va_end(ap);
}

/* Always -1. */
#define bad(...) (say(__VA_ARGS__), -1)

/* A checked block; block 0 is the label, so 0 can mean "nothing cached". */
static int cached_read(struct reader *r, u64 block, void *buf)
{
	struct cache *c = r->cache;
	unsigned int slot = block % c->slots;
	u8 *data = c->data + (size_t)slot * HPM_BLOCK_SIZE;
	const char *what;
	int err;

	if (c->block[slot] != block) {
		c->block[slot] = 0;
		err = dev_read(&r->p->dev, block, 1, data);
		if (err)
			return bad(r, block, "cannot be read: %s",
				   strerror(-err));
		what = block_fault(r->p->seed, data, block);
		if (what)
			return bad(r, block, "%s", what);
		c->block[slot] = block;
	}
	memcpy(buf, data, HPM_BLOCK_SIZE);
	return 0;
}

static int read_node(struct reader *r, const struct hpm_disk_ptr *ptr, u8 type,
		     unsigned int level, void *buf)
{
	u64 block = le64_to_cpu(ptr->block), epoch = le64_to_cpu(ptr->epoch);
	const struct hpm_block_head *h = buf;

	if (!block || block >= r->p->meta_blocks)
		return bad(r, block, "is pointed to and is not on the device");
	if (cached_read(r, block, buf))
		return -1;
	if (h->type != type || h->level != level)
		return bad(r, block, "is %s of level %u, not %s of level %u",
			   block_type_name(h->type), h->level,
			   block_type_name(type), level);
	if (le64_to_cpu(h->epoch) != epoch || epoch > r->p->epoch)
		return bad(
			r, block,
			"is of epoch %llu, its pointer says %llu (a write was lost)",
			le64_to_cpu(h->epoch), epoch);
	return 0;
}

/*----------------------------------------------------------------
 * Maps
 *--------------------------------------------------------------*/

int read_map(struct reader *r, const struct hpm_disk_ptr *ptr,
	     unsigned int level, void *buf)
{
	const char *what;

	if (read_node(r, ptr, level ? HPM_BT_MAP_NODE : HPM_BT_MAP_LEAF, level,
		      buf))
		return -1;
	what = level ? map_node_fault(buf) : map_leaf_fault(buf);
	return what ? bad(r, le64_to_cpu(ptr->block), "%s", what) : 0;
}

/* The child that covers @key; key[0] is not looked at. */
static unsigned int child_of(const struct hpm_map_node *node, u64 key)
{
	unsigned int lo = 1, hi = block_nr(node), mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (le64_to_cpu(node->key[mid]) <= key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

int map_path(struct reader *r, const struct hpm_disk_root *root, u64 key,
	     struct path *path)
{
	struct hpm_disk_ptr ptr = root->ptr;
	struct hpm_map_node node = { 0 };
	unsigned int level, i;
	u64 upper = U64_MAX;

	path->height = root->height;
	if (root->height > MAX_HEIGHT)
		return bad(r, le64_to_cpu(ptr.block),
			   "is a root of impossible height");
	for (level = root->height; level--;) {
		path->block[level] = le64_to_cpu(ptr.block);
		path->upper[level] = upper;
		if (!level)
			break;
		if (read_map(r, &ptr, level, &node))
			return -1;
		i = child_of(&node, key);
		if (i + 1 < block_nr(&node))
			upper = min(upper, le64_to_cpu(node.key[i + 1]) + 0ull);
		/*
		 * If this were not checked, a caller that continues from there
		 * would loop.
		 */
		if (upper <= key)
			return bad(r, path->block[level],
				   "has keys outside its span");
		ptr = node.child[i];
	}
	return 0;
}

static int leaf_at(struct reader *r, const struct hpm_disk_root *root, u64 key,
		   struct hpm_map_leaf *leaf, u64 *upper)
{
	struct hpm_disk_ptr ptr = root->ptr;
	struct hpm_map_node node;
	unsigned int level, i;

	*upper = U64_MAX;
	if (root->height > MAX_HEIGHT)
		return bad(r, le64_to_cpu(ptr.block),
			   "is a root of impossible height");
	for (level = root->height - 1; level; level--) {
		if (read_map(r, &ptr, level, &node))
			return -1;
		i = child_of(&node, key);
		if (i + 1 < block_nr(&node))
			*upper = min(*upper,
				     le64_to_cpu(node.key[i + 1]) + 0ull);
		ptr = node.child[i];
	}
	if (read_map(r, &ptr, 0, leaf))
		return -1;
	if (*upper <= key || leaf_key(leaf, block_nr(leaf) - 1) >= *upper)
		return bad(r, le64_to_cpu(ptr.block),
			   "has keys outside its span");
	return 0;
}

int map_collect(struct reader *r, const struct hpm_disk_root *root, u64 from,
		u64 to, struct entry *e, unsigned int max, unsigned int *nr)
{
	struct hpm_map_leaf leaf;
	unsigned int i;
	u64 upper, key;

	*nr = 0;
	while (root->height && from < to && *nr < max) {
		if (leaf_at(r, root, from, &leaf, &upper))
			return -1;
		for (i = 0; i < block_nr(&leaf) && *nr < max; i++) {
			key = leaf_key(&leaf, i);
			if (key < from)
				continue;
			if (key >= to)
				return 0;
			e[(*nr)++] =
				(struct entry){ key,
						le64_to_cpu(leaf.value[i]) };
		}
		from = upper;
	}
	return 0;
}

void map_sum_join(struct map_sum *a, const struct map_sum *b)
{
	bool same = b->first == a->last, one = b->first == b->last;

	a->mapped += b->mapped;
	if (!same) {
		a->mapped += b->front_small;
	} else if (a->last_has_base) {
		a->mapped -= b->front_holes;
	} else if (a->first == a->last) {
		a->front_small += b->front_small;
		a->front_holes += b->front_holes;
	} else {
		a->mapped += b->front_small;
	}
	if (!(same && one && a->last_has_base))
		a->last_has_base = b->last_has_base;
	a->last = b->last;
}

/*----------------------------------------------------------------
 * Arrays
 *--------------------------------------------------------------*/

static int read_array(struct reader *r, const struct hpm_disk_ptr *ptr,
		      unsigned int kind, unsigned int level, u64 first,
		      void *buf)
{
	const struct hpm_block_head *h = buf;

	if (read_node(r, ptr, level ? HPM_BT_ARR_NODE : HPM_BT_ARR_LEAF, level,
		      buf))
		return -1;
	if (h->kind != kind || le64_to_cpu(h->aux) != first)
		return bad(
			r, le64_to_cpu(ptr->block),
			"is of array %u from %llu on, not of %u from %llu on",
			h->kind, le64_to_cpu(h->aux), kind, first);
	return 0;
}

struct walk {
	struct reader *r;
	unsigned int kind;
	leaf_fn fn;
	void *ctx;
};

static int walk_node(const struct walk *w, const struct hpm_disk_ptr *ptr,
		     unsigned int level, u64 first)
{
	struct hpm_arr_node node = { 0 };
	unsigned int i;
	int ret = 0;

	if (read_array(w->r, ptr, w->kind, level, first, &node)) {
		w->r->skipped++;
		return w->r->skip ? 0 : -1;
	}
	if (!level)
		return w->fn(w->ctx, first, &node.head + 1,
			     array_per_leaf(w->kind));
	for (i = 0; i < HPM_ARR_FANOUT && !ret; i++)
		if (node.child[i].block)
			ret = walk_node(w, &node.child[i], level - 1,
					first + i * array_span(w->kind,
							       level - 1));
	return ret;
}

int array_walk(struct reader *r, const struct hpm_disk_root *root,
	       unsigned int kind, leaf_fn fn, void *ctx)
{
	const struct walk w = { r, kind, fn, ctx };

	if (!root->height)
		return 0;
	if (root->height > MAX_HEIGHT)
		return bad(r, le64_to_cpu(root->ptr.block),
			   "is a root of impossible height");
	return walk_node(&w, &root->ptr, root->height - 1, 0);
}

int array_leaf(struct reader *r, const struct hpm_disk_root *root,
	       unsigned int kind, u64 index, void *buf, bool *there)
{
	struct hpm_disk_ptr ptr = root->ptr;
	const struct hpm_arr_node *node = buf;
	unsigned int level = root->height;
	u64 span;

	*there = false;
	if (!level || level > MAX_HEIGHT ||
	    index >= array_span(kind, level - 1))
		return 0;
	while (ptr.block) {
		span = array_span(kind, --level);
		if (read_array(r, &ptr, kind, level, index / span * span, buf))
			return -1;
		*there = !level;
		if (!level)
			return 0;
		ptr = node->child[index % span / array_span(kind, level - 1)];
	}
	return 0;
}

int punched_mask(struct reader *r, u64 pbn, struct small_mask *mask)
{
	unsigned int i, per = array_per_leaf(HPM_ARR_SMALL);
	u64 have = U64_MAX;
	u8 buf[HPM_BLOCK_SIZE];
	bool there = false;
	u16 v;

	memset(mask, 0, sizeof(*mask));
	for (i = 0; i < r->p->large_size; i++) {
		if ((pbn + i) / per != have &&
		    array_leaf(r, &r->p->sb->array[HPM_ARR_SMALL],
			       HPM_ARR_SMALL, pbn + i, buf, &there))
			return -1;
		have = (pbn + i) / per;
		v = there ? get_unaligned_le16(buf +
					       sizeof(struct hpm_block_head) +
					       2 * ((pbn + i) % per)) :
			    0;
		if (v & HPM_SMALL_PUNCHED)
			mask->bits[i / 64] |= 1ull << i % 64;
	}
	return 0;
}

static bool mark_counted(struct reader *r)
{
	u8 buf[HPM_BLOCK_SIZE];
	bool there;

	/* A superblock that was made up has no counts. */
	if (!r->p->sb->generation)
		return true;
	if (array_leaf(r, &r->p->sb->array[HPM_ARR_SMALL], HPM_ARR_SMALL,
		       HPM_MARK_BLOCK, buf, &there))
		return true;
	return there &&
	       get_unaligned_le16(buf + sizeof(struct hpm_block_head)) ==
		       HPM_MARK_COUNT;
}

bool pool_marked(const struct pool *p)
{
	struct reader r;
	bool marked;

	if (!(le64_to_cpu(p->label.compat) & HPM_COMPAT_MARK))
		return false;
	marked = reader_begin(&r, p) || mark_counted(&r);
	reader_end(&r);
	return marked;
}
