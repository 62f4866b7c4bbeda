// SPDX-License-Identifier: GPL-2.0-only
#include "find.h"

static const u64 super_place[2] = { HPM_SUPER_A, HPM_SUPER_B };

static int read_into(const struct pool *p, u64 block, void *data)
{
	void *buf = blocks_alloc(1);
	int r = buf ? dev_read(&p->dev, block, 1, buf) : -ENOMEM;

	if (!r)
		memcpy(data, buf, HPM_BLOCK_SIZE);
	free(buf);
	return r;
}

/*----------------------------------------------------------------
 * Label and superblocks
 *--------------------------------------------------------------*/

static void use_large(struct pool *p, unsigned int shift)
{
	p->large_shift = shift;
	p->large_size = 1u << shift;
}

static void read_supers(struct pool *p)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		p->super_fault[i] = "cannot be read";
		if (!read_into(p, super_place[i], &p->super[i]))
			p->super_fault[i] =
				super_check(p, &p->super[i], super_place[i]);
		if (p->super_fault[i])
			note("block %llu (superblock) %s", super_place[i],
			     p->super_fault[i]);
	}
}

/* Checks the label, or its copy at @block. */
static bool label_good(struct pool *p, u64 block)
{
	const struct hpm_label *l = &p->label;
	u32 shift;

	if (read_into(p, block, &p->label))
		return false;
	shift = le32_to_cpu(l->large_shift);
	if (block_fault(label_seed(), l, block) ||
	    l->head.type != HPM_BT_LABEL || shift < HPM_MIN_LARGE_SHIFT ||
	    shift > HPM_MAX_LARGE_SHIFT)
		return false;
	p->journal_start = le64_to_cpu(l->journal_start);
	p->journal_blocks = le64_to_cpu(l->journal_blocks);
	if (p->journal_start != HPM_RESERVED_BLOCKS || p->journal_blocks < 64 ||
	    p->journal_blocks > 1 << 20)
		return false;
	use_large(p, shift);
	p->seed = uuid_seed(l->uuid);
	return true;
}

/* A superblock names the uuid, too, and where the journal ends. */
static bool label_from_super(struct pool *p)
{
	struct hpm_super *sb = &p->super[0];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (read_into(p, super_place[i], sb))
			continue;
		p->seed = uuid_seed(sb->uuid);
		if (block_fault(p->seed, sb, super_place[i]) ||
		    sb->head.type != HPM_BT_SUPER)
			continue;
		memcpy(p->label.uuid, sb->uuid, HPM_UUID_SIZE);
		p->journal_start = HPM_RESERVED_BLOCKS;
		p->journal_blocks =
			le64_to_cpu(sb->segment[0].start) - HPM_RESERVED_BLOCKS;
		return p->journal_blocks >= 64 && p->journal_blocks <= 1 << 20;
	}
	return false;
}

/*
 * A pool with unknown features cannot be rebuilt: some of its content would be
 * lost without notice.
 */
static int features_known(const struct hpm_label *l)
{
	if (le32_to_cpu(l->version) != HPM_FORMAT_VERSION)
		return complain(
			"block 0: the format is of version %u, which these tools do not know",
			le32_to_cpu(l->version));
	if (le64_to_cpu(l->incompat) & ~HPM_INCOMPAT_SUPPORTED)
		return complain(
			"block 0: the pool has features %#llx, which these tools do not know",
			le64_to_cpu(l->incompat));
	return 0;
}

/*
 * The copy of the label was written when the pool was made.  A pool that was
 * made later on the device has superblocks of its own.
 */
static bool copy_fits(struct pool *p)
{
	u8 uuid[HPM_UUID_SIZE];

	if (!label_from_super(p))
		return label_good(p, HPM_LABEL_COPY);
	memcpy(uuid, p->label.uuid, sizeof(uuid));
	return label_good(p, HPM_LABEL_COPY) &&
	       !memcmp(uuid, p->label.uuid, sizeof(uuid));
}

static int label_lost(struct pool *p, const struct find_params *fp)
{
	memset(&p->label, 0, sizeof(p->label));
	if (!label_from_super(p))
		return complain(
			"neither the label nor a superblock can be read: nothing says what belongs to the pool");
	if (!fp->large_shift)
		return complain(
			"the label is gone: --large-block must say how large the pool's large blocks are");
	use_large(p, fp->large_shift);
	p->label.version = cpu_to_le32(HPM_FORMAT_VERSION);
	/*
	 * The count says whether the block of the mark still belongs to the
	 * pool.
	 */
	p->label.compat = cpu_to_le64(HPM_COMPAT_MARK);
	return 0;
}

int find_label(struct pool *p, const struct find_params *fp)
{
	if (p->dev.blocks < HPM_MIN_META_BLOCKS)
		return complain("%s is smaller than any pool's", p->dev.path);
	if (!label_good(p, HPM_LABEL_BLOCK)) {
		note("block 0 (the label) is damaged");
		if (copy_fits(p))
			note("its copy (block %u) is used", HPM_LABEL_COPY);
		else if (label_lost(p, fp))
			return -1;
	}
	if (features_known(&p->label))
		return -1;
	read_supers(p);
	return 0;
}

/*----------------------------------------------------------------
 * Leaves of the volume table
 *--------------------------------------------------------------*/

struct table_leaf {
	u64 block, epoch, first;
};

struct finder {
	struct pool *p;
	struct table_leaf *leaf;
	u64 nr, max;
	u64 epoch, serial, pbn;
	u32 time;
	bool failed;
};

static void add_leaf(struct finder *f, const struct hpm_block_head *h)
{
	u64 max = f->max ? 2 * f->max : 64;
	struct table_leaf *more;

	if (f->nr == f->max) {
		more = realloc(f->leaf, max * sizeof(*more));
		if (!more) {
			f->failed = true;
			return;
		}
		f->leaf = more;
		f->max = max;
	}
	f->leaf[f->nr++] = (struct table_leaf){
		le64_to_cpu(h->blocknr),
		le64_to_cpu(h->epoch),
		le64_to_cpu(h->aux),
	};
}

/* The highest time and block of a leaf of a map. */
static void look_at_map(struct finder *f, const struct hpm_map_leaf *leaf)
{
	unsigned int i;
	u64 value;

	for (i = 0; i < block_nr(leaf); i++) {
		value = le64_to_cpu(leaf->value[i]);
		f->time = max_t(u32, f->time, value >> HPM_PBN_BITS);
		value &= HPM_PBN_MASK;
		if (value == HPM_PBN_HOLE)
			continue;
		if (!(leaf_key(leaf, i) & 1))
			value += f->p->large_size - 1;
		f->pbn = max_t(u64, f->pbn, value);
	}
}

static void look_at(void *ctx, u64 block, const void *data, int err)
{
	const struct hpm_block_head *h = data;
	struct finder *f = ctx;

	if (err || block_fault(f->p->seed, data, block))
		return;
	f->epoch = max_t(u64, f->epoch, le64_to_cpu(h->epoch));
	if (h->type == HPM_BT_MAP_LEAF && !map_leaf_fault(data))
		look_at_map(f, data);
	if (h->type == HPM_BT_ARR_LEAF && h->kind == HPM_ARR_VOLUME)
		add_leaf(f, h);
}

static bool wanted(void *ctx, u64 block)
{
	(void)ctx;
	return block >= HPM_RESERVED_BLOCKS;
}

static int newest_first(const void *a, const void *b)
{
	const struct table_leaf *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->epoch > y->epoch ? -1 : x->epoch < y->epoch;
}

/*----------------------------------------------------------------
 * Volumes
 *--------------------------------------------------------------*/

static bool root_there(struct reader *r, const struct hpm_disk_volume *v)
{
	u8 buf[HPM_BLOCK_SIZE];

	if (!v->root.height)
		return true;
	return v->root.height <= MAX_HEIGHT &&
	       !read_map(r, &v->root.ptr, v->root.height - 1, buf);
}

static int add_found(struct found *f, u64 id, const struct hpm_disk_volume *d)
{
	u64 max = f->max ? 2 * f->max : 64;
	struct found_volume *more;

	if (f->nr == f->max) {
		more = realloc(f->vol, max * sizeof(*more));
		if (!more)
			return complain("out of memory");
		f->vol = more;
		f->max = max;
	}
	f->vol[f->nr++] = (struct found_volume){ id, *d };
	return 0;
}

/*
 * Takes the volume from the newest leaf or, if its root is lost, from an older
 * one.  @nr leaves for the same ids, newest first.
 */
static int find_volume(struct finder *f, struct reader *r,
		       const struct table_leaf *leaf, u64 nr, unsigned int at,
		       struct found *out)
{
	u8 buf[HPM_BLOCK_SIZE];
	const struct hpm_disk_volume *v;
	u64 i, id = leaf->first + at, serial = 0;

	for (i = 0; i < nr; i++) {
		if (read_into(f->p, leaf[i].block, buf))
			continue;
		v = (const void *)(buf + sizeof(struct hpm_block_head) +
				   at * sizeof(*v));
		if (!i)
			serial = le64_to_cpu(v->serial);
		if (!serial || id > HPM_MAX_VOLUME_ID)
			return 0;
		if (le64_to_cpu(v->serial) != serial ||
		    !(le32_to_cpu(v->flags) & HPM_VOL_LIVE) ||
		    !root_there(r, v))
			continue;
		f->serial = max_t(u64, f->serial, serial);
		f->time = max_t(u32, f->time, le32_to_cpu(v->snap_time));
		if (i)
			note("volume %llu: its newest root is gone, one of epoch %llu is taken",
			     id, leaf[i].epoch);
		return add_found(out, id, v);
	}
	note("volume %llu: no root of it can be read", id);
	return 0;
}

static int collect(struct finder *f, struct found *out)
{
	unsigned int at, per = array_per_leaf(HPM_ARR_VOLUME);
	struct reader r;
	u64 i, n;
	int ret = reader_begin(&r, f->p);

	if (f->nr)
		qsort(f->leaf, f->nr, sizeof(*f->leaf), newest_first);
	for (i = 0; i < f->nr && !ret; i += n) {
		for (n = 1;
		     i + n < f->nr && f->leaf[i + n].first == f->leaf[i].first;
		     n++)
			;
		for (at = 0; at < per && !ret; at++)
			ret = find_volume(f, &r, &f->leaf[i], n, at, out);
	}
	reader_end(&r);
	return ret;
}

/* Fills in what a superblock would say. */
static int make_up(struct finder *f, const struct find_params *fp)
{
	struct pool *p = f->p;
	struct hpm_super *sb = &p->super[0];
	u64 size = p->large_size;
	u64 data = fp->data_blocks ? fp->data_blocks & ~(size - 1) :
				     (f->pbn + size) & ~(size - 1);

	if (!data || data > HPM_PBN_HOLE)
		return complain(
			"the size of the data device is not known (--data-size)");
	if (!fp->data_blocks)
		note("the data device is assumed to have %llu blocks: --data-size gives its real size",
		     data);
	memset(sb, 0, sizeof(*sb));
	sb->head.epoch = cpu_to_le64(f->epoch);
	sb->time = cpu_to_le32(f->time);
	sb->next_serial = cpu_to_le64(f->serial + 1);
	sb->data_blocks = cpu_to_le64(data);
	sb->meta_blocks = cpu_to_le64(p->dev.blocks);
	return 0;
}

int find_volumes(struct pool *p, const struct find_params *fp,
		 struct found *out)
{
	struct finder f = { .p = p };
	struct scan s = {
		.dev = &p->dev,
		.end = p->dev.blocks,
		.ctx = &f,
		.wanted = wanted,
		.block = look_at,
		.what = "looking for the volume table",
		.total = p->dev.blocks,
	};
	int r = scan_run(&s);

	if (!r && f.failed)
		r = complain("out of memory");
	p->meta_blocks = p->dev.blocks;
	p->epoch = f.epoch;
	if (!r)
		r = collect(&f, out);
	if (!r && !out->nr)
		r = complain("no volume can be found");
	if (!r)
		r = make_up(&f, fp);
	free(f.leaf);
	return r;
}
