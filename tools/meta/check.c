// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks one state of a pool: everything that a superblock reaches is read
 * once and counted.
 *
 * Order of reading
 * ----------------
 * A depth-first walk would read a tree in small pieces from all over the
 * device.  So trees are read level by level.  A table by block number says what
 * is expected of each block (kind, level, epoch, span of keys).  The blocks
 * that are expected at one level are read in the order of their numbers, in
 * large requests, and the blocks that they point to are entered into the table
 * for the next level.  A block with several pointers to it is entered once and
 * counted each time.  Arrays are read first, as they contain the volumes'
 * roots.
 *
 * The table takes 36 bytes a metadata block; when a map node has been read, its
 * entry holds the sum of the mappings below it instead.
 *
 * Inner nodes are then read a second time, upwards, to add up how many small
 * blocks each volume maps.  A large block's entries may lie in two leaves, the
 * base in the first; so a node's sum counts separately what is at its front
 * without a base (map_sum_join()).
 *
 * Dying trees: children that end at or below the cursor were given back and are
 * not entered.  A node with the cursor inside of it belongs to no other tree.
 */
#include "check.h"

#define MAX_SAID 1000u

static void __printf(2, 0)
	say_fault(struct report *rep, const char *fmt, va_list ap)
{
	char line[256];

	if (rep->said++ == MAX_SAID)
		note("(no more of them are reported)");
	if (rep->said > MAX_SAID)
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	note("%s", line);
}

void fault(struct report *rep, const char *fmt, ...)
{
	va_list ap;

	rep->faults++;
	va_start(ap, fmt);
	say_fault(rep, fmt, ap);
	va_end(ap);
}

static void __printf(2, 3) total(struct report *rep, const char *fmt, ...)
{
	va_list ap;

	rep->stale_totals++;
	va_start(ap, fmt);
	say_fault(rep, fmt, ap);
	va_end(ap);
}

static void __printf(2, 3) say_leak(struct report *rep, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_fault(rep, fmt, ap);
	va_end(ap);
}

/*
 * An excess above this is not a leak of lost references; lowering the count
 * step by step, as records do, would take for ever.
 */
#define MAX_LEAK 4096u

void leak(struct report *rep, enum leak_kind kind, u64 index, u32 count,
	  u32 should)
{
	static const char *const what[] = { "metadata block", "small block",
					    "large block at" };
	u64 max = max_t(u64, 64, 2 * rep->max_leak);
	struct leak *more;

	if (count - should > MAX_LEAK) {
		fault(rep, "%s %llu has an impossible count: %u instead of %u",
		      what[kind], index, count, should);
		return;
	}
	rep->leaks++;
	say_leak(rep, "%s %llu leaks: its count is %u and should be %u",
		 what[kind], index, count, should);
	if (rep->nr_leak == rep->max_leak) {
		more = realloc(rep->leak, max * sizeof(*more));
		if (!more)
			return;
		rep->leak = more;
		rep->max_leak = max;
	}
	rep->leak[rep->nr_leak++] =
		(struct leak){ kind, index, count - should };
}

/*----------------------------------------------------------------
 * What is expected of a block
 *--------------------------------------------------------------*/

struct expect {
	u64 from; /* the block that points to it; 0: none */
	u8 kind, level;
	u64 lower, upper; /* for arrays: the first index, unused */
	u32 cursor;
};

/*
 * A node that the held table and the living one share is treated as the living
 * one's.
 */
static void unite_tables(struct meta_block *m, struct expect *e)
{
	const u8 table = BK_ARRAY + HPM_ARR_VOLUME;

	if (m->kind == BK_HELD && e->kind == table && m->state == BS_WANTED)
		m->kind = table;
	else if (m->kind == table && e->kind == BK_HELD)
		e->kind = table;
}

static bool expect_again(struct check *c, struct expect *e, u64 block,
			 u64 epoch)
{
	struct meta_block *m = &c->mb[block];

	unite_tables(m, e);

	if (m->kind == BK_FIXED) {
		fault(c->rep,
		      "block %llu points to block %llu, which cannot hold a node",
		      e->from, block);
		return false;
	}
	if (m->kind != e->kind || m->level != e->level ||
	    m->state != BS_WANTED || m->epoch != epoch ||
	    (e->kind != BK_MAP && m->lower != e->lower)) {
		fault(c->rep,
		      "block %llu points to block %llu, which is also used as something else",
		      e->from, block);
		return false;
	}
	/* What is below the node must fit all pointers to it. */
	m->lower = max_t(u64, m->lower, e->lower);
	m->upper = min_t(u64, m->upper, e->upper);
	if (!e->cursor)
		m->cursor = 0;
	return true;
}

static void expect_block(struct check *c, const struct expect *from,
			 const struct hpm_disk_ptr *ptr)
{
	struct expect copy = *from, *e = &copy;
	u64 block = le64_to_cpu(ptr->block), epoch = le64_to_cpu(ptr->epoch);
	struct meta_block *m;

	if (!block || block >= c->p->meta_blocks) {
		fault(c->rep,
		      "block %llu points to block %llu, which is not on the device",
		      e->from, block);
		return;
	}
	m = &c->mb[block];
	if (m->kind) {
		if (expect_again(c, e, block, epoch))
			m->counted++;
		return;
	}
	if (epoch > c->p->epoch)
		fault(c->rep,
		      "block %llu points to block %llu with epoch %llu, which is in the future",
		      e->from, block, epoch);
	*m = (struct meta_block){
		.epoch = epoch,
		.lower = e->lower,
		.upper = e->upper,
		.counted = 1,
		.cursor = e->cursor,
		.kind = e->kind,
		.level = e->level,
		.state = BS_WANTED,
	};
	c->nodes++;
}

static void expect_root(struct check *c, u64 from, u8 kind,
			const struct hpm_disk_root *root, u32 cursor)
{
	const struct expect e = {
		.from = from,
		.kind = kind,
		.level = root->height - 1,
		.upper = U64_MAX,
		.cursor = cursor,
	};

	if (!root->height)
		return;
	if (root->height > MAX_HEIGHT) {
		fault(c->rep, "block %llu: a tree has height %u", from,
		      root->height);
		return;
	}
	expect_block(c, &e, &root->ptr);
}

static void fix_range(struct check *c, u64 start, u64 nr)
{
	for (; nr && start < c->p->meta_blocks; nr--, start++) {
		c->mb[start].kind = BK_FIXED;
		c->mb[start].counted++;
	}
}

static void expect_fixed(struct check *c)
{
	const struct hpm_super *sb = c->p->sb;
	u32 i;

	fix_range(c, 0, HPM_RESERVED_BLOCKS);
	fix_range(c, c->p->journal_start, c->p->journal_blocks);
	for (i = 0; i < le32_to_cpu(sb->nr_segments); i++)
		fix_range(c, le64_to_cpu(sb->segment[i].start),
			  (u64)le32_to_cpu(sb->segment[i].nr) * HPM_REFS_HOMES);
}

/*----------------------------------------------------------------
 * Reading a level
 *--------------------------------------------------------------*/

static u8 expected_type(const struct meta_block *m)
{
	if (m->kind == BK_MAP)
		return m->level ? HPM_BT_MAP_NODE : HPM_BT_MAP_LEAF;
	return m->level ? HPM_BT_ARR_NODE : HPM_BT_ARR_LEAF;
}

static unsigned int array_kind(const struct meta_block *m)
{
	return m->kind == BK_HELD ? HPM_ARR_VOLUME : m->kind - BK_ARRAY;
}

/* Does the block have what its pointers say? */
static bool block_good(struct check *c, u64 block, const void *data, int err)
{
	const struct meta_block *m = &c->mb[block];
	const struct hpm_block_head *h = data;
	const char *type = block_type_name(expected_type(m)), *what;

	if (err) {
		fault(c->rep, "block %llu (%s) cannot be read: %s", block, type,
		      strerror(-err));
		return false;
	}
	what = block_fault(c->p->seed, data, block);
	if (what) {
		fault(c->rep, "block %llu (%s) %s", block, type, what);
		return false;
	}
	if (h->type != expected_type(m) || h->level != m->level) {
		fault(c->rep,
		      "block %llu should be %s of level %u and is %s of level %u",
		      block, type, m->level, block_type_name(h->type),
		      h->level);
		return false;
	}
	if (le64_to_cpu(h->epoch) != m->epoch) {
		fault(c->rep,
		      "block %llu (%s) is of epoch %llu, its pointer says %llu (a write was lost)",
		      block, type, le64_to_cpu(h->epoch), m->epoch);
		return false;
	}
	return true;
}

static bool level_wanted(void *ctx, u64 block)
{
	struct check *c = ctx;
	const struct meta_block *m = &c->mb[block];

	return m->state == c->want_state && m->level == c->level &&
	       m->kind >= BK_MAP && (m->kind != BK_MAP) == c->arrays;
}

int check_scan(struct check *c, bool (*wanted)(void *ctx, u64 block),
	       void (*fn)(void *ctx, u64 block, const void *data, int err))
{
	struct scan s = {
		.dev = &c->p->dev,
		.end = c->p->meta_blocks,
		.ctx = c,
		.wanted = wanted,
		.block = fn,
		.what = "checking",
		.done = c->scanned,
		.total = c->scan_total,
	};
	int r = scan_run(&s);

	c->scanned = s.done;
	return r;
}

static int
scan_level(struct check *c, bool arrays, unsigned int level, u8 state,
	   void (*fn)(void *ctx, u64 block, const void *data, int err))
{
	c->arrays = arrays;
	c->level = level;
	c->want_state = state;
	return check_scan(c, level_wanted, fn);
}

/*----------------------------------------------------------------
 * Volumes and dying trees
 *--------------------------------------------------------------*/

static int add_number(u64 **list, u64 *nr, u64 *max, u64 v)
{
	u64 want = max_t(u64, 64, 2 * *max), *more;

	if (*nr == *max) {
		more = realloc(*list, want * sizeof(*more));
		if (!more)
			return -1;
		*list = more;
		*max = want;
	}
	(*list)[(*nr)++] = v;
	return 0;
}

static void take_volume(struct check *c, u64 block, bool held, u64 id,
			const struct hpm_disk_volume *v)
{
	u64 serial = le64_to_cpu(v->serial);
	bool live = le32_to_cpu(v->flags) & HPM_VOL_LIVE;

	if (!live && !serial)
		return;
	if (!live || !serial || id > HPM_MAX_VOLUME_ID) {
		fault(c->rep, "block %llu: volume %llu is incomplete", block,
		      id);
		return;
	}
	if (!held) {
		c->volumes++;
		if (add_number(&c->serial, &c->nr_serials, &c->max_serials,
			       serial))
			fault(c->rep, "out of memory");
	}
	if (serial >= le64_to_cpu(c->p->sb->next_serial))
		fault(c->rep,
		      "block %llu: volume %llu has serial %llu, which is in the future",
		      block, id, serial);
	if (le32_to_cpu(v->snap_time) > c->p->time)
		fault(c->rep,
		      "block %llu: volume %llu was snapshotted in time %u, which is in the future",
		      block, id, le32_to_cpu(v->snap_time));
	if (v->name[HPM_NAME_SIZE - 1])
		fault(c->rep, "block %llu: the name of volume %llu has no end",
		      block, id);
	expect_root(c, block, BK_MAP, &v->root, 0);
}

static u32 add_cursor(struct check *c, u64 cursor)
{
	u32 max = c->max_cursors ? 2 * c->max_cursors : 64;
	u64 *more;

	if (!cursor)
		return 0;
	if (c->nr_cursors + 1 >= c->max_cursors) {
		more = realloc(c->cursor, max * sizeof(*more));
		if (!more) {
			fault(c->rep, "out of memory");
			return 0;
		}
		c->cursor = more;
		c->max_cursors = max;
	}
	c->cursor[++c->nr_cursors] = cursor;
	return c->nr_cursors;
}

static void take_dying(struct check *c, u64 block,
		       const struct hpm_disk_dying *d)
{
	u64 cursor = le64_to_cpu(d->cursor);

	if (!d->serial)
		return;
	c->dying++;
	if (!d->root.height || cursor == U64_MAX)
		fault(c->rep,
		      "block %llu: the dying tree of serial %llu is empty",
		      block, le64_to_cpu(d->serial));
	else
		expect_root(c, block, BK_MAP, &d->root, add_cursor(c, cursor));
}

/*----------------------------------------------------------------
 * Arrays
 *--------------------------------------------------------------*/

static void take_elements(struct check *c, u64 block, u8 kind, u64 first,
			  const void *elts)
{
	const struct hpm_disk_volume *v = elts;
	const struct hpm_disk_dying *d = elts;
	unsigned int i, nr;

	switch (kind) {
	case BK_ARRAY + HPM_ARR_LARGE:
		data_large(c, block, first, elts);
		break;
	case BK_ARRAY + HPM_ARR_SMALL:
		data_small(c, block, first, elts);
		break;
	case BK_ARRAY + HPM_ARR_SMALL_HI:
		data_small_hi(c, block, first, elts);
		break;
	case BK_ARRAY + HPM_ARR_DYING:
		nr = array_per_leaf(HPM_ARR_DYING);
		for (i = 0; i < nr; i++)
			take_dying(c, block, &d[i]);
		break;
	default:
		nr = array_per_leaf(HPM_ARR_VOLUME);
		for (i = 0; i < nr; i++)
			take_volume(c, block, kind == BK_HELD, first + i,
				    &v[i]);
	}
}

static void take_array(void *ctx, u64 block, const void *data, int err)
{
	struct check *c = ctx;
	struct meta_block *m = &c->mb[block];
	const struct hpm_arr_node *node = data;
	unsigned int kind = array_kind(m), i;
	struct expect e = { .from = block, .kind = m->kind };

	m->state = BS_BAD;
	if (!block_good(c, block, data, err))
		return;
	if (node->head.kind != kind ||
	    le64_to_cpu(node->head.aux) != m->lower) {
		fault(c->rep,
		      "block %llu is of array %u from %llu on, not of %u from %llu on",
		      block, node->head.kind, le64_to_cpu(node->head.aux), kind,
		      m->lower);
		return;
	}
	m->state = BS_GOOD;
	if (!m->level) {
		take_elements(c, block, m->kind, m->lower, &node->head + 1);
		return;
	}
	e.level = m->level - 1;
	for (i = 0; i < HPM_ARR_FANOUT; i++) {
		e.lower = m->lower + i * array_span(kind, e.level);
		if (node->child[i].block)
			expect_block(c, &e, &node->child[i]);
	}
}

/*----------------------------------------------------------------
 * Maps, downwards
 *--------------------------------------------------------------*/

static void take_leaf(struct check *c, u64 block,
		      const struct hpm_map_leaf *leaf)
{
	struct meta_block *m = &c->mb[block];
	const char *what = map_leaf_fault(leaf);
	u64 upper = m->upper;

	if (what) {
		fault(c->rep, "block %llu (a leaf of a map) %s", block, what);
		return;
	}
	if (leaf_key(leaf, 0) < m->lower ||
	    leaf_key(leaf, block_nr(leaf) - 1) >= upper) {
		fault(c->rep,
		      "block %llu (a leaf of a map) has keys outside its span",
		      block);
		return;
	}
	if (m->cursor && c->cursor[m->cursor] > m->lower)
		fault(c->rep,
		      "block %llu: the cursor of a dying tree points into the leaf",
		      block);
	m->state = BS_GOOD;
	data_leaf(c, block, leaf, upper);
}

static void take_children(struct check *c, u64 block,
			  const struct hpm_map_node *node)
{
	const struct meta_block *m = &c->mb[block];
	unsigned int i, nr = block_nr(node);
	u64 cursor = m->cursor ? c->cursor[m->cursor] : 0;
	struct expect e = {
		.from = block,
		.kind = BK_MAP,
		.level = m->level - 1,
		.cursor = m->cursor,
	};

	for (i = 0; i < nr; i++) {
		e.lower = i ? le64_to_cpu(node->key[i]) : m->lower;
		e.upper = i + 1 < nr ? le64_to_cpu(node->key[i + 1]) : m->upper;
		if (e.upper > cursor)
			expect_block(c, &e, &node->child[i]);
	}
}

static void take_node(struct check *c, u64 block,
		      const struct hpm_map_node *node)
{
	struct meta_block *m = &c->mb[block];
	const char *what = map_node_fault(node);
	unsigned int nr;

	if (what) {
		fault(c->rep, "block %llu (an inner node of a map) %s", block,
		      what);
		return;
	}
	nr = block_nr(node);
	if (nr > 1 && (le64_to_cpu(node->key[1]) <= m->lower ||
		       le64_to_cpu(node->key[nr - 1]) >= m->upper)) {
		fault(c->rep,
		      "block %llu (an inner node of a map) has keys outside its span",
		      block);
		return;
	}
	m->state = BS_GOOD;
	take_children(c, block, node);
}

static void take_map(void *ctx, u64 block, const void *data, int err)
{
	struct check *c = ctx;

	c->mb[block].state = BS_BAD;
	if (!block_good(c, block, data, err))
		return;
	if (c->mb[block].level)
		take_node(c, block, data);
	else
		take_leaf(c, block, data);
}

/*----------------------------------------------------------------
 * Maps, upwards
 *--------------------------------------------------------------*/

static void sum_node(void *ctx, u64 block, const void *data, int err)
{
	struct check *c = ctx;
	const struct hpm_map_node *node = data;
	struct meta_block *m = &c->mb[block], *below;
	struct map_sum sum = { 0 };
	unsigned int i;
	u64 child;

	if (err || map_node_fault(node))
		return;
	for (i = 0; i < block_nr(node); i++) {
		child = le64_to_cpu(node->child[i].block);
		below = child < c->p->meta_blocks ? &c->mb[child] : NULL;
		if (!below || below->state != BS_SUMMED)
			return;
		if (i)
			map_sum_join(&sum, &below->sum);
		else
			sum = below->sum;
	}
	m->sum = sum;
	m->state = BS_SUMMED;
}

/* Checks a base with punched blocks whose overrides lie in two leaves. */
static void check_straddle(struct check *c, u64 id,
			   const struct hpm_disk_root *root,
			   const struct straddle *s)
{
	struct entry e[(1 << HPM_MAX_LARGE_SHIFT) + 1];
	struct small_mask mask;
	unsigned int i, nr;
	u64 at;

	if (map_collect(&c->reader, root, s->lvbn << 1,
			(s->lvbn + c->p->large_size) << 1, e, ARRAY_SIZE(e),
			&nr) ||
	    !nr || e[0].key != s->lvbn << 1 || entry_pbn(&e[0]) != s->pbn)
		return;
	if (punched_mask(&c->reader, s->pbn, &mask))
		return;
	for (i = 1; i < nr; i++) {
		at = (e[i].key >> 1) - s->lvbn;
		mask.bits[at / 64] &= ~(1ull << at % 64);
	}
	for (i = 0; i < c->p->large_size; i++)
		if (mask.bits[i / 64] >> i % 64 & 1)
			fault(c->rep,
			      "volume %llu shows small block %llu at %llu, which was given back",
			      id, s->pbn + i, s->lvbn + i);
}

static void compare_volume(struct check *c, u64 id, bool held,
			   const struct hpm_disk_volume *v)
{
	u64 root = le64_to_cpu(v->root.ptr.block), mapped = 0;
	const struct meta_block *m;
	unsigned int i;

	if (!(le32_to_cpu(v->flags) & HPM_VOL_LIVE))
		return;
	if (v->root.height) {
		m = root < c->p->meta_blocks ? &c->mb[root] : NULL;
		if (!m || m->state != BS_SUMMED)
			return;
		mapped = map_sum_mapped(&m->sum);
	}
	if (mapped != le64_to_cpu(v->mapped))
		fault(c->rep,
		      "volume %llu%s maps %llu small blocks, its element says %llu",
		      id, held ? " of the held snapshot" : "", mapped,
		      le64_to_cpu(v->mapped));
	for (i = 0; i < c->nr_straddles; i++)
		check_straddle(c, id, &v->root, &c->straddle[i]);
}

static void compare_volumes(void *ctx, u64 block, const void *data, int err)
{
	struct check *c = ctx;
	const struct meta_block *m = &c->mb[block];
	const struct hpm_arr_node *node = data;
	const struct hpm_disk_volume *v = (const void *)(&node->head + 1);
	unsigned int i;

	if (err || array_kind(m) != HPM_ARR_VOLUME)
		return;
	for (i = 0; i < array_per_leaf(HPM_ARR_VOLUME); i++)
		compare_volume(c, m->lower + i, m->kind == BK_HELD, &v[i]);
}

/*----------------------------------------------------------------
 * Counts of metadata blocks
 *--------------------------------------------------------------*/

static void compare_page(struct check *c, u64 page,
			 const struct hpm_refs_page *rp)
{
	u64 b = page * HPM_REFS_PER_PAGE;
	unsigned int i;
	u32 have, want;

	for (i = 0; i < HPM_REFS_PER_PAGE && b < c->p->meta_blocks; i++, b++) {
		have = rp ? le32_to_cpu(rp->refs[i]) : 0;
		want = c->mb[b].counted;
		if (have < want)
			fault(c->rep,
			      "metadata block %llu is referred to %u times, its count says %u",
			      b, want, have);
		else if (have > want)
			leak(c->rep, LEAK_META, b, have, want);
	}
}

static bool page_good(struct check *c, u64 page, u64 block, const void *data)
{
	const struct hpm_block_head *h = data;
	const char *what = block_fault(c->p->seed, data, block);

	if (!what && (h->type != HPM_BT_REFS || le64_to_cpu(h->aux) != page ||
		      le64_to_cpu(h->epoch) > c->p->epoch))
		what = "is not what the superblock says";
	if (what)
		fault(c->rep, "block %llu (page %llu of counts) %s", block,
		      page, what);
	return !what;
}

/* All pages may be valid, and one of them still be an older version. */
static void check_pages_csum(struct check *c, const __le32 *csum, u64 pages)
{
	const struct hpm_super *sb = c->p->sb;

	if (sb->refs_epoch != sb->head.epoch ||
	    sb->refs_csum == pages_csum(c->p->seed, csum, pages))
		return;
	fault(c->rep,
	      "block %llu (superblock) was written with other pages of counts than there are (a write was lost)",
	      le64_to_cpu(sb->head.blocknr));
}

/*
 * @compare: compares the counts; if false, only checks that the pages are
 * valid.
 */
static int check_refs(struct check *c, bool compare)
{
	u64 page, block, pages;
	struct hpm_refs_page *buf = blocks_alloc(1);
	__le32 *csum;
	int r;

	pages = DIV_ROUND_UP(c->p->meta_blocks, HPM_REFS_PER_PAGE);
	csum = calloc(pages, sizeof(*csum));
	if (!buf || !csum) {
		free(buf);
		free(csum);
		return complain("out of memory");
	}
	for (page = 0; page < pages; page++) {
		block = refs_home(c->p->sb, page);
		if (!block) {
			if (compare)
				compare_page(c, page, NULL);
			continue;
		}
		r = dev_read(&c->p->dev, block, 1, buf);
		if (r)
			fault(c->rep,
			      "block %llu (page %llu of counts) cannot be read: %s",
			      block, page, strerror(-r));
		else if (compare)
			compare_page(c, page, buf);
		else if (page_good(c, page, block, buf))
			csum[page] = buf->head.csum;
	}
	if (!compare && !c->rep->faults)
		check_pages_csum(c, csum, pages);
	free(buf);
	free(csum);
	return 0;
}

/*----------------------------------------------------------------
 * The whole
 *--------------------------------------------------------------*/

static int check_begin(struct check *c)
{
	c->mb = calloc(c->p->meta_blocks, sizeof(*c->mb));
	c->nr_large = c->p->data_blocks >> c->p->large_shift;
	c->marked = pool_marked(c->p);
	c->scan_total = le64_to_cpu(c->p->sb->array_nodes[HPM_ARR_SMALL]) * 6;
	if (!c->mb || data_begin(c))
		return complain("out of memory");
	return reader_begin(&c->reader, c->p);
}

static void check_end(struct check *c)
{
	reader_end(&c->reader);
	data_end(c);
	free(c->straddle);
	free(c->cursor);
	free(c->serial);
	free(c->mb);
}

static int check_down(struct check *c)
{
	unsigned int level;

	for (level = MAX_HEIGHT; level--;)
		if (scan_level(c, true, level, BS_WANTED, take_array))
			return -1;
	for (level = MAX_HEIGHT; level--;)
		if (scan_level(c, false, level, BS_WANTED, take_map))
			return -1;
	return 0;
}

static int check_up(struct check *c)
{
	unsigned int level;

	for (level = 1; level < MAX_HEIGHT; level++)
		if (scan_level(c, false, level, BS_GOOD, sum_node))
			return -1;
	return scan_level(c, true, 0, BS_GOOD, compare_volumes);
}

static int compare_numbers(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void check_totals(struct check *c)
{
	const struct hpm_super *sb = c->p->sb;
	u64 i;

	if (c->nr_serials)
		qsort(c->serial, c->nr_serials, sizeof(*c->serial),
		      compare_numbers);
	for (i = 1; i < c->nr_serials; i++)
		if (c->serial[i] == c->serial[i - 1])
			fault(c->rep, "two volumes have serial %llu",
			      c->serial[i]);
	if (c->volumes != le64_to_cpu(sb->nr_volumes))
		total(c->rep,
		      "there are %llu volumes, the superblock says %llu",
		      c->volumes, le64_to_cpu(sb->nr_volumes));
	if (c->data_used != le64_to_cpu(sb->data_used))
		total(c->rep,
		      "%llu small blocks are in use, the superblock says %llu",
		      c->data_used, le64_to_cpu(sb->data_used));
}

static int check_all(struct check *c)
{
	const struct hpm_super *sb = c->p->sb;
	unsigned int i;

	expect_fixed(c);
	for (i = 0; i < HPM_NR_ARRAYS; i++)
		expect_root(c, le64_to_cpu(sb->head.blocknr), BK_ARRAY + i,
			    &sb->array[i], 0);
	expect_root(c, le64_to_cpu(sb->head.blocknr), BK_HELD, &sb->held, 0);
	if (check_down(c) || check_refs(c, false))
		return -1;
	/*
	 * Everything below a node that cannot be read would look like a leak.
	 */
	if (c->rep->faults) {
		note("counts were not compared, as not everything could be counted");
		return 0;
	}
	if (check_up(c) || check_refs(c, true) || data_compare(c))
		return -1;
	check_totals(c);
	return 0;
}

int check_state(struct pool *p, struct report *rep)
{
	struct check c = { .p = p, .rep = rep };
	int r = check_begin(&c);

	if (!r)
		r = check_all(&c);
	check_end(&c);
	return r;
}

int check_held(struct pool *p, struct report *rep)
{
	struct check c = { .p = p, .rep = rep };
	int r = check_begin(&c);

	if (!r) {
		expect_fixed(&c);
		expect_root(&c, le64_to_cpu(p->sb->head.blocknr), BK_HELD,
			    &p->sb->held, 0);
		r = check_down(&c);
	}
	if (!r && !rep->faults)
		r = check_up(&c);
	check_end(&c);
	return r;
}
