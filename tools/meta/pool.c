// SPDX-License-Identifier: GPL-2.0-only
/* Label, superblocks, counts and journal of the pool on a device. */
#include "meta.h"

struct report {
	fault_fn fn;
	void *ctx;
};

static int __printf(2, 3) tell(const struct report *rep, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (rep->fn)
		rep->fn(rep->ctx, line);
	else
		complain("%s", line);
	return -1;
}

/*----------------------------------------------------------------
 * Label
 *--------------------------------------------------------------*/

static bool all_zero(const void *block)
{
	return !memchr_inv(block, 0, HPM_BLOCK_SIZE);
}

static int label_check(struct pool *p, const struct report *rep)
{
	const struct hpm_label *l = &p->label;
	u32 shift = le32_to_cpu(l->large_shift);
	const char *what = block_fault(label_seed(), l, HPM_LABEL_BLOCK);

	if (all_zero(l))
		return tell(
			rep,
			"block 0 (the label) is zeroed: there is no pool on %s, or it was wiped",
			p->dev.path);
	if (is_mark(l))
		return tell(
			rep,
			"block 0: %s holds the data of a pool, and not its metadata",
			p->dev.path);
	if (what || l->head.type != HPM_BT_LABEL)
		return tell(
			rep,
			"block 0 (the label) %s: it is damaged, or there is no pool on %s",
			what ? what : "is no label", p->dev.path);
	if (le32_to_cpu(l->version) != HPM_FORMAT_VERSION)
		return tell(
			rep,
			"block 0: the format is of version %u, which these tools do not know",
			le32_to_cpu(l->version));
	if (le64_to_cpu(l->incompat) & ~HPM_INCOMPAT_SUPPORTED)
		return tell(
			rep,
			"block 0: the pool has features %#llx, which these tools do not know",
			le64_to_cpu(l->incompat));
	if (shift < HPM_MIN_LARGE_SHIFT || shift > HPM_MAX_LARGE_SHIFT)
		return tell(
			rep,
			"block 0: a large block of 2^%u blocks is not possible",
			shift);
	p->journal_start = le64_to_cpu(l->journal_start);
	p->journal_blocks = le64_to_cpu(l->journal_blocks);
	if (p->journal_start < HPM_RESERVED_BLOCKS || p->journal_blocks < 64 ||
	    p->journal_blocks > 1 << 20 ||
	    p->journal_start > HPM_MAX_META_BLOCKS)
		return tell(rep,
			    "block 0: the journal's place is not possible");
	p->large_shift = shift;
	p->large_size = 1u << shift;
	p->seed = uuid_seed(l->uuid);
	return 0;
}

/*----------------------------------------------------------------
 * Superblocks
 *--------------------------------------------------------------*/

static bool super_sizes_sane(const struct pool *p, const struct hpm_super *sb)
{
	u64 meta = le64_to_cpu(sb->meta_blocks);
	u64 data = le64_to_cpu(sb->data_blocks);

	return meta >= HPM_MIN_META_BLOCKS && meta <= HPM_MAX_META_BLOCKS &&
	       p->journal_start + p->journal_blocks <= meta && data &&
	       data <= HPM_PBN_HOLE && !(data & (p->large_size - 1));
}

static bool root_sane(const struct hpm_disk_root *r)
{
	return r->height < MAX_HEIGHT && !r->height == !r->ptr.block;
}

static bool segments_sane(const struct hpm_super *sb)
{
	u64 next = 0, meta = le64_to_cpu(sb->meta_blocks), start;
	u32 i, nr, segments = le32_to_cpu(sb->nr_segments);

	if (segments > HPM_MAX_SEGMENTS)
		return false;
	for (i = 0; i < segments; i++) {
		nr = le32_to_cpu(sb->segment[i].nr);
		start = le64_to_cpu(sb->segment[i].start);
		if (le32_to_cpu(sb->segment[i].first) != next || !nr ||
		    nr > HPM_MAX_REFS_PAGES || start < HPM_RESERVED_BLOCKS ||
		    start > meta || (u64)HPM_REFS_HOMES * nr > meta - start)
			return false;
		next += nr;
	}
	return next == DIV_ROUND_UP(meta, HPM_REFS_PER_PAGE);
}

const char *super_check(const struct pool *p, const struct hpm_super *sb,
			u64 block)
{
	const char *what = block_fault(p->seed, sb, block);
	unsigned int i;

	if (what)
		return what;
	if (sb->head.type != HPM_BT_SUPER)
		return "is no superblock";
	if (memcmp(sb->uuid, p->label.uuid, HPM_UUID_SIZE))
		return "belongs to another pool";
	if (!super_sizes_sane(p, sb))
		return "has impossible sizes";
	if (le32_to_cpu(sb->time) > HPM_MAX_TIME)
		return "has an impossible time";
	if (!segments_sane(sb))
		return "has impossible places for the counts";
	for (i = 0; i < HPM_NR_ARRAYS; i++)
		if (!root_sane(&sb->array[i]))
			return "has an array of impossible height";
	return root_sane(&sb->held) ? NULL :
				      "has a held table of impossible height";
}

static void use_super(struct pool *p, const struct hpm_super *sb)
{
	p->sb = sb;
	p->meta_blocks = le64_to_cpu(sb->meta_blocks);
	p->data_blocks = le64_to_cpu(sb->data_blocks);
	p->epoch = le64_to_cpu(sb->head.epoch);
	p->time = le32_to_cpu(sb->time);
}

static const u64 super_place[2] = { HPM_SUPER_A, HPM_SUPER_B };

static int choose_super(struct pool *p, const struct report *rep)
{
	const struct hpm_super *s = p->super;
	unsigned int i;
	bool b;

	for (i = 0; i < 2; i++) {
		p->super_fault[i] = super_check(p, &s[i], super_place[i]);
		if (p->super_fault[i])
			tell(rep, "block %llu (superblock) %s", super_place[i],
			     p->super_fault[i]);
	}
	if (p->super_fault[0] && p->super_fault[1])
		return tell(
			rep,
			"there is no usable superblock (hpm_repair may help)");
	b = !p->super_fault[1] &&
	    (p->super_fault[0] ||
	     le64_to_cpu(s[1].generation) > le64_to_cpu(s[0].generation));
	use_super(p, &s[b]);
	if (p->dev.blocks < p->meta_blocks)
		return tell(rep, "%s has %llu blocks, the pool needs %llu",
			    p->dev.path, p->dev.blocks, p->meta_blocks);
	return 0;
}

static int read_fixed(struct pool *p, u64 block, void *data, const char *what,
		      const struct report *rep)
{
	void *buf = blocks_alloc(1);
	int r = buf ? dev_read(&p->dev, block, 1, buf) : -ENOMEM;

	if (!r)
		memcpy(data, buf, HPM_BLOCK_SIZE);
	free(buf);
	if (r)
		return tell(rep, "block %llu (%s) cannot be read: %s", block,
			    what, strerror(-r));
	return 0;
}

int pool_load(struct pool *p, fault_fn fault, void *ctx)
{
	const struct report rep = { fault, ctx };
	unsigned int i;

	BUILD_BUG_ON(sizeof(struct hpm_super) != HPM_BLOCK_SIZE);
	memset(p->super, 0, sizeof(p->super));
	if (p->dev.blocks < HPM_MIN_META_BLOCKS)
		return tell(&rep, "%s is smaller than any pool's", p->dev.path);
	if (read_fixed(p, HPM_LABEL_BLOCK, &p->label, "the label", &rep))
		return -1;
	if (label_check(p, &rep))
		return -1;
	for (i = 0; i < 2; i++)
		read_fixed(p, super_place[i], &p->super[i], "superblock", &rep);
	return choose_super(p, &rep);
}

int pool_open(struct pool *p, const char *path, unsigned int flags,
	      fault_fn fault, void *ctx)
{
	memset(p, 0, sizeof(*p));
	if (dev_open(&p->dev, path, flags))
		return -1;
	if (pool_load(p, fault, ctx)) {
		pool_close(p);
		return -1;
	}
	return 0;
}

void pool_close(struct pool *p)
{
	dev_close(&p->dev);
}

/*----------------------------------------------------------------
 * Counts
 *--------------------------------------------------------------*/

u64 refs_home(const struct hpm_super *sb, u64 page)
{
	u32 i, first, nr, segments = le32_to_cpu(sb->nr_segments);
	unsigned int home;

	if (page >= HPM_MAX_REFS_PAGES)
		return 0;
	home = sb->home[page / 4] >> page % 4 * 2 & 3;
	if (home >= HPM_REFS_HOMES)
		return 0;
	for (i = 0; i < min_t(u32, segments, HPM_MAX_SEGMENTS); i++) {
		first = le32_to_cpu(sb->segment[i].first);
		nr = le32_to_cpu(sb->segment[i].nr);
		if (page >= first && page - first < nr)
			return le64_to_cpu(sb->segment[i].start) +
			       (page - first) * HPM_REFS_HOMES + home;
	}
	return 0;
}

/*----------------------------------------------------------------
 * Journal
 *--------------------------------------------------------------*/

struct ring {
	const struct pool *p;
	const struct hpm_super *sb;
	struct hpm_journal_block *jb;
	u64 pos, seq;
	u64 stop; /* where the batch at @pos is bad */
	u32 prev;
};

static u64 ring_block(const struct pool *p, u64 pos)
{
	return p->journal_start + pos % p->journal_blocks;
}

/* Is there a valid block of this activation at @pos? */
static bool ring_read(const struct ring *r, u64 pos)
{
	const struct pool *p = r->p;
	u64 block = ring_block(p, pos);
	const struct hpm_journal_block *jb = r->jb;

	return !dev_read(&p->dev, block, 1, r->jb) &&
	       !block_fault(p->seed, jb, block) &&
	       jb->head.type == HPM_BT_JOURNAL && jb->nonce == r->sb->nonce &&
	       block_nr(jb) <= HPM_SLOTS_PER_BLOCK &&
	       le16_to_cpu(jb->index) < le16_to_cpu(jb->blocks) &&
	       le16_to_cpu(jb->blocks) <= HPM_MAX_BATCH_BLOCKS;
}

static u64 slots_records(const struct hpm_journal_block *jb)
{
	unsigned int i, nr = block_nr(jb);
	u64 records = 0;

	for (i = 0; i < nr; i += max_t(u8, jb->slot[i][1], 1))
		records++;
	return records;
}

/* Checks the batch at r->pos; false: it is missing or incomplete. */
static bool ring_batch(struct ring *r, u64 *records)
{
	unsigned int i, blocks = 1;

	*records = 0;
	for (i = 0; i < blocks; i++) {
		r->stop = r->pos + i;
		if (!ring_read(r, r->pos + i) ||
		    le64_to_cpu(r->jb->seq) != r->seq ||
		    le32_to_cpu(r->jb->prev) != r->prev ||
		    le64_to_cpu(r->jb->head.aux) != r->pos + i ||
		    le16_to_cpu(r->jb->index) != i ||
		    (i && le16_to_cpu(r->jb->blocks) != blocks))
			return false;
		blocks = le16_to_cpu(r->jb->blocks);
		*records += slots_records(r->jb);
	}
	r->prev = le32_to_cpu(r->jb->head.csum);
	r->pos += blocks;
	r->seq++;
	return true;
}

static bool ring_goes_on(const struct ring *r)
{
	u64 pos;

	for (pos = r->pos; pos < r->pos + r->p->journal_blocks; pos++)
		if (ring_read(r, pos) && le64_to_cpu(r->jb->seq) > r->seq)
			return true;
	return false;
}

int journal_look(const struct pool *p, const struct hpm_super *sb,
		 struct journal_state *j)
{
	struct ring r = {
		.p = p,
		.sb = sb,
		.jb = blocks_alloc(1),
		.pos = le64_to_cpu(sb->journal_pos),
		.seq = le64_to_cpu(sb->journal_seq),
		.prev = le32_to_cpu(sb->journal_prev),
	};
	u64 records, end;

	*j = (struct journal_state){ 0 };
	if (!r.jb)
		return complain("out of memory");
	end = r.pos + p->journal_blocks;
	while (r.pos < end && ring_batch(&r, &records)) {
		j->batches++;
		j->records += records;
	}
	j->pos = r.pos;
	if (ring_goes_on(&r))
		j->damaged = ring_block(p, r.stop);
	free(r.jb);
	return 0;
}

/*----------------------------------------------------------------
 * A state that does not change while it is read
 *--------------------------------------------------------------*/

static int open_snap(struct pool *p, struct hpm_disk_root *volumes)
{
	if (!super_holds(p->sb))
		return complain(
			"no metadata snapshot is held (dmsetup message <pool> 0 reserve_metadata_snap makes one)");
	*volumes = p->sb->held;
	return 0;
}

static int open_present(struct pool *p, struct hpm_disk_root *volumes)
{
	struct journal_state j;
	const char *why;

	if (journal_look(p, p->sb, &j))
		return -1;
	if (j.damaged)
		return complain(
			"block %llu (journal) is damaged: records behind it are there (see hpm_repair)",
			j.damaged);
	if (j.batches && pool_replay(p, &why))
		return complain(
			"the journal cannot be replayed: %s (see hpm_check)",
			why);
	*volumes = p->sb->array[HPM_ARR_VOLUME];
	return 0;
}

int pool_open_tables(struct pool *p, const char *path, bool snap,
		     struct hpm_disk_root *volumes)
{
	int r = pool_open(p, path, snap ? DEV_LIVE : 0, NULL, NULL);

	if (r)
		return r;
	r = snap ? open_snap(p, volumes) : open_present(p, volumes);
	if (r)
		pool_close(p);
	return r;
}
