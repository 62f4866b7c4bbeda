// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reference counts of metadata blocks.
 *
 * A count is the number of pointers to a block, from nodes and from roots.
 * All counts are in memory, four bytes a block: 4 MiB for the 4 GiB that a
 * large pool needs.  On the device they stand in pages of 1008, which are no
 * nodes: a page has three fixed homes and is never allocated, so that writing
 * the counts changes no count.
 *
 * Three homes
 * -----------
 * Both superblocks stay good until they are overwritten, so a page that a
 * checkpoint has to write finds one of its homes read by the newest superblock
 * and perhaps another read by the older one.  It goes to the third.  Which
 * home is which are two bits in the superblock, so the page and the superblock
 * that means it become valid in the same instant.
 *
 * When a block may be used again
 * ------------------------------
 * A block whose count falls to 0 in epoch E was in use when E was opened, so
 * the superblock before E's needs it (and perhaps the one before that).  Once
 * E's superblock is durable, the older of the two is still that one.  Once the
 * next one is durable too, none needs it.  So it goes through
 *
 *	freed	in the open epoch
 *	sealed	in an epoch whose checkpoint is under way
 *	older	in the epoch that the newest superblock has closed
 *
 * and when one more superblock is durable it is usable.  These are bitmaps and
 * not lists: giving a block back cannot fail for want of memory, which keeps
 * errors out of the middle of every change.  A block that was made in the open
 * epoch is in no durable state and skips all this.
 *
 * If a checkpoint fails, its `sealed' blocks stay where they are and those of
 * the next attempt join them: both belong to the epoch that it closes.
 */
#include "md.h"

#define HOME_NONE	3u	/* never written: all counts are 0 */
#define REFS_MAX	((u32)S32_MAX)	/* of one count */

static int refs_corrupt(u64 block, const char *what)
{
	pr_err_ratelimited("hpmapper: metadata block %llu: %s\n",
			   (unsigned long long)block, what);
	return -EUCLEAN;
}

/*----------------------------------------------------------------
 * Memory
 *--------------------------------------------------------------*/

static void refs_free(struct hpm_refs *r)
{
	kvfree(r->count);
	kvfree(r->barred);
	kvfree(r->freed);
	kvfree(r->sealed);
	kvfree(r->older);
	kvfree(r->dirty);
	kvfree(r->home);
	kvfree(r->home_old);
}

static unsigned long *bits_alloc(u64 nr)
{
	return kvcalloc(BITS_TO_LONGS(nr), sizeof(long), GFP_NOIO);
}

/* Counts come in whole pages; those behind the last block stay 0. */
static int refs_alloc(struct hpm_refs *r, u64 nr_blocks)
{
	*r = (struct hpm_refs){
		.nr_blocks = nr_blocks,
		.nr_pages = DIV_ROUND_UP_ULL(nr_blocks, HPM_REFS_PER_PAGE),
		.nr_free = nr_blocks,
		.reserve = clamp_t(u64, nr_blocks / 64, 64, 4096),
	};
	r->count = kvcalloc(r->nr_pages, HPM_REFS_PER_PAGE * sizeof(u32),
			    GFP_NOIO);
	r->barred = bits_alloc(nr_blocks);
	r->freed = bits_alloc(nr_blocks);
	r->sealed = bits_alloc(nr_blocks);
	r->older = bits_alloc(nr_blocks);
	r->dirty = bits_alloc(r->nr_pages);
	r->home = kvmalloc(r->nr_pages, GFP_NOIO);
	r->home_old = kvmalloc(r->nr_pages, GFP_NOIO);
	if (r->count && r->barred && r->freed && r->sealed && r->older &&
	    r->dirty && r->home && r->home_old) {
		memset(r->home, HOME_NONE, r->nr_pages);
		memset(r->home_old, HOME_NONE, r->nr_pages);
		return 0;
	}
	refs_free(r);
	*r = (struct hpm_refs){ 0 };
	return -ENOMEM;
}

int hpm_refs_init(struct hpm_md *md, u64 nr_blocks)
{
	if (nr_blocks < HPM_MIN_META_BLOCKS || nr_blocks > HPM_MAX_META_BLOCKS)
		return -EINVAL;
	return refs_alloc(&md->refs, nr_blocks);
}

void hpm_refs_exit(struct hpm_md *md)
{
	refs_free(&md->refs);
	md->refs = (struct hpm_refs){ 0 };
}

/*----------------------------------------------------------------
 * Counting; md->lock held
 *--------------------------------------------------------------*/

u32 hpm_refs_count(struct hpm_md *md, u64 block)
{
	const struct hpm_refs *r = &md->refs;

	return likely(block < r->nr_blocks) ? r->count[block] : 0;
}

/* Block numbers fit 32 bits, and a division by a constant is a product then. */
static void refs_touch(struct hpm_refs *r, u64 block)
{
	__set_bit((u32)block / HPM_REFS_PER_PAGE, r->dirty);
}

int hpm_refs_inc(struct hpm_md *md, u64 block)
{
	struct hpm_refs *r = &md->refs;
	u32 count = hpm_refs_count(md, block);

	/* What is referred to once more was referred to before. */
	if (unlikely(!count))
		return refs_corrupt(block, "referred to, but free");
	if (unlikely(count == REFS_MAX))
		return refs_corrupt(block, "referred to too often");
	r->count[block] = count + 1;
	refs_touch(r, block);
	return 0;
}

int hpm_refs_dec(struct hpm_md *md, u64 block, u64 born)
{
	struct hpm_refs *r = &md->refs;
	u32 count = hpm_refs_count(md, block);

	if (unlikely(!count))
		return refs_corrupt(block, "given back, but free");
	r->count[block] = --count;
	refs_touch(r, block);
	if (count)
		return count;
	WRITE_ONCE(r->nr_used, r->nr_used - 1);
	if (born == md->epoch) {
		__clear_bit(block, r->barred);
		WRITE_ONCE(r->nr_free, r->nr_free + 1);
	} else {
		__set_bit(block, r->freed);
	}
	return 0;
}

/* A usable block is in use from now on. */
static void refs_take(struct hpm_refs *r, u64 block)
{
	__set_bit(block, r->barred);
	r->count[block] = 1;
	refs_touch(r, block);
	WRITE_ONCE(r->nr_free, r->nr_free - 1);
	WRITE_ONCE(r->nr_used, r->nr_used + 1);
}

/*
 * From where the last one was, and round: a checkpoint's nodes stand one after
 * the other and its writes are few.
 */
int hpm_refs_alloc(struct hpm_md *md, u64 *block)
{
	struct hpm_refs *r = &md->refs;
	unsigned long b;

	if (!r->nr_free)
		return -ENOSPC;
	b = find_next_zero_bit(r->barred, r->nr_blocks, r->cursor);
	if (b >= r->nr_blocks)
		b = find_next_zero_bit(r->barred, r->nr_blocks, 0);
	if (WARN_ON_ONCE(b >= r->nr_blocks))
		return -ENOSPC;
	refs_take(r, b);
	r->cursor = b + 1;
	*block = b;
	return 0;
}

void hpm_refs_reserve_range(struct hpm_md *md, u64 start, u64 nr)
{
	struct hpm_refs *r = &md->refs;
	u64 b;

	for (b = start; b < start + nr && b < r->nr_blocks; b++)
		if (!test_bit(b, r->barred))
			refs_take(r, b);
}

/*----------------------------------------------------------------
 * Homes
 *--------------------------------------------------------------*/

u64 hpm_refs_home(struct hpm_md *md, u32 page, unsigned int home)
{
	const struct hpm_refs *r = &md->refs;
	unsigned int i = 0;

	while (page >= r->segment[i].first + r->segment[i].nr)
		i++;
	return r->segment[i].start +
	       (u64)HPM_REFS_HOMES * (page - r->segment[i].first) + home;
}

static void segment_add(struct hpm_refs *r, u32 first, u32 nr, u64 start)
{
	r->segment[r->nr_segments].first = first;
	r->segment[r->nr_segments].nr = nr;
	r->segment[r->nr_segments].start = start;
	r->nr_segments++;
}

int hpm_refs_format(struct hpm_md *md, u64 homes)
{
	struct hpm_refs *r = &md->refs;
	u64 end = homes + (u64)HPM_REFS_HOMES * r->nr_pages;

	if (end + r->reserve >= r->nr_blocks)
		return -ENOSPC;
	segment_add(r, 0, r->nr_pages, homes);
	hpm_refs_reserve_range(md, 0, end);
	return 0;
}

static int segments_load(struct hpm_refs *r, const struct hpm_super *sb)
{
	u32 i, first, nr, next = 0, segments = le32_to_cpu(sb->nr_segments);
	u64 start;

	if (segments > HPM_MAX_SEGMENTS)
		return -EUCLEAN;
	r->nr_segments = 0;
	for (i = 0; i < segments; i++) {
		first = le32_to_cpu(sb->segment[i].first);
		nr = le32_to_cpu(sb->segment[i].nr);
		start = le64_to_cpu(sb->segment[i].start);
		if (first != next || !nr || nr > r->nr_pages - next ||
		    start < HPM_RESERVED_BLOCKS || start > r->nr_blocks ||
		    (u64)HPM_REFS_HOMES * nr > r->nr_blocks - start)
			return -EUCLEAN;
		segment_add(r, first, nr, start);
		next += nr;
	}
	return next == r->nr_pages ? 0 : -EUCLEAN;
}

static void segments_store(const struct hpm_refs *r, struct hpm_super *sb)
{
	u32 i;

	memset(sb->segment, 0, sizeof(sb->segment));
	for (i = 0; i < r->nr_segments; i++) {
		sb->segment[i].first = cpu_to_le32(r->segment[i].first);
		sb->segment[i].nr = cpu_to_le32(r->segment[i].nr);
		sb->segment[i].start = cpu_to_le64(r->segment[i].start);
	}
	sb->nr_segments = cpu_to_le32(r->nr_segments);
}

static unsigned int home_load(const struct hpm_super *sb, u32 page)
{
	return sb->home[page / 4] >> page % 4 * 2 & 3;
}

static void home_store(struct hpm_super *sb, u32 page, unsigned int home)
{
	sb->home[page / 4] &= ~(3u << page % 4 * 2);
	sb->home[page / 4] |= home << page % 4 * 2;
}

/*----------------------------------------------------------------
 * Reading
 *--------------------------------------------------------------*/

/* A superblock never means a page that was written after it. */
static int page_read(struct hpm_md *md, const struct hpm_super *sb, u32 page,
		     struct hpm_refs_page *p)
{
	u64 block = hpm_refs_home(md, page, home_load(sb, page));
	int r = hpm_io_read(md->io, block, p);

	if (r) {
		pr_err("hpmapper: metadata block %llu: reference counts cannot be read (%d)\n",
		       (unsigned long long)block, r);
		return r;
	}
	if (hpm_block_check(md->seed, p, HPM_BT_REFS, block) ||
	    le64_to_cpu(p->head.aux) != page ||
	    le64_to_cpu(p->head.epoch) > le64_to_cpu(sb->head.epoch))
		return refs_corrupt(block, "no page of reference counts");
	return 0;
}

static int page_load(struct hpm_md *md, const struct hpm_super *sb, u32 page,
		     struct hpm_refs_page *p)
{
	struct hpm_refs *r = &md->refs;
	u64 block = (u64)page * HPM_REFS_PER_PAGE;
	unsigned int i;
	u32 count;
	int ret;

	if (home_load(sb, page) == HOME_NONE)
		return 0;
	ret = page_read(md, sb, page, p);
	if (ret)
		return ret;
	for (i = 0; i < HPM_REFS_PER_PAGE; i++, block++) {
		count = le32_to_cpu(p->refs[i]);
		if (!count)
			continue;
		if (block >= r->nr_blocks || count > REFS_MAX)
			return refs_corrupt(block, "impossible reference count");
		r->count[block] = count;
		__set_bit(block, r->barred);
		r->nr_used++;
		r->nr_free--;
	}
	return 0;
}

/* What is no node must never be given to one. */
static int check_reserved(struct hpm_md *md, u64 start, u64 nr)
{
	u64 b;

	for (b = start; b < start + nr; b++)
		if (!hpm_refs_count(md, b))
			return refs_corrupt(b, "in a reserved area, but free");
	return 0;
}

static int check_all_reserved(struct hpm_md *md)
{
	struct hpm_refs *r = &md->refs;
	unsigned int i;
	int ret;

	ret = check_reserved(md, 0, HPM_RESERVED_BLOCKS);
	if (!ret)
		ret = check_reserved(md, md->journal_start, md->journal_blocks);
	for (i = 0; !ret && i < r->nr_segments; i++)
		ret = check_reserved(md, r->segment[i].start,
				     (u64)HPM_REFS_HOMES * r->segment[i].nr);
	return ret;
}

/* Into what hpm_refs_init() has made. */
int hpm_refs_load(struct hpm_md *md, const struct hpm_super *sb)
{
	struct hpm_refs *r = &md->refs;
	struct hpm_refs_page *p;
	u32 page;
	int ret;

	if (le64_to_cpu(sb->meta_blocks) != r->nr_blocks ||
	    segments_load(r, sb))
		return refs_corrupt(le64_to_cpu(sb->head.blocknr),
				    "impossible places of reference counts");
	p = hpm_block_alloc(GFP_NOIO);
	if (!p)
		return -ENOMEM;
	ret = 0;
	for (page = 0; !ret && page < r->nr_pages; page++) {
		r->home[page] = home_load(sb, page);
		r->home_old[page] = r->home[page];
		ret = page_load(md, sb, page, p);
	}
	hpm_block_free(p);
	return ret ? ret : check_all_reserved(md);
}

/* Not usable before one more superblock is durable. */
static void refs_bar(struct hpm_refs *r, u64 block)
{
	if (block >= r->nr_blocks || test_bit(block, r->barred))
		return;
	__set_bit(block, r->barred);
	__set_bit(block, r->older);
	r->nr_free--;
}

/*
 * Bars what the older superblock uses and the newest does not.
 *
 * Those are the blocks that were freed in the newest one's epoch, which were
 * in `older' before the pool went down.  The next checkpoint overwrites the
 * older superblock, so they become usable when that is durable, just as if
 * nothing had happened; if they were usable at once, a crash during recovery
 * that takes the newest superblock with it would leave the older one with
 * overwritten trees.
 *
 * A page that both have in the same home is the same.  If one of the older
 * state cannot be read, the damage is that state's; the newest is whole, so
 * the pool opens, and all that the page could speak of stays barred.
 */
int hpm_refs_load_other(struct hpm_md *md, const struct hpm_super *sb)
{
	struct hpm_refs *r = &md->refs;
	struct hpm_refs_page *p = hpm_block_alloc(GFP_NOIO);
	u32 page, nr, i;
	bool unknown;

	if (!p)
		return -ENOMEM;
	nr = min_t(u64, r->nr_pages,
		   DIV_ROUND_UP_ULL(le64_to_cpu(sb->meta_blocks),
				    HPM_REFS_PER_PAGE));
	for (page = 0; page < nr; page++) {
		r->home_old[page] = home_load(sb, page);
		if (r->home_old[page] == HOME_NONE ||
		    r->home_old[page] == r->home[page])
			continue;
		unknown = page_read(md, sb, page, p) != 0;
		for (i = 0; i < HPM_REFS_PER_PAGE; i++)
			if (unknown || p->refs[i])
				refs_bar(r, (u64)page * HPM_REFS_PER_PAGE + i);
	}
	for (; page < r->nr_pages; page++)
		r->home_old[page] = HOME_NONE;
	hpm_block_free(p);
	return 0;
}

/*----------------------------------------------------------------
 * Growing; checkpoint_lock, commit_lock and md->lock held
 *--------------------------------------------------------------*/

static void bits_copy(unsigned long *dst, const unsigned long *src, u64 nr)
{
	memcpy(dst, src, BITS_TO_LONGS(nr) * sizeof(long));
}

/* All that @old knows, into the larger @r. */
static void refs_copy(struct hpm_refs *r, const struct hpm_refs *old)
{
	memcpy(r->count, old->count, old->nr_blocks * sizeof(*r->count));
	bits_copy(r->barred, old->barred, old->nr_blocks);
	bits_copy(r->freed, old->freed, old->nr_blocks);
	bits_copy(r->sealed, old->sealed, old->nr_blocks);
	bits_copy(r->older, old->older, old->nr_blocks);
	bits_copy(r->dirty, old->dirty, old->nr_pages);
	memcpy(r->home, old->home, old->nr_pages);
	memcpy(r->home_old, old->home_old, old->nr_pages);
	memcpy(r->segment, old->segment, sizeof(r->segment));
	r->nr_segments = old->nr_segments;
	r->cursor = old->cursor;
	r->nr_used = old->nr_used;
	r->nr_free = old->nr_free + (r->nr_blocks - old->nr_blocks);
}

/*
 * The pages of the new space have their homes at its start.  Nothing of this
 * is durable before the next checkpoint, and nothing durable is touched: after
 * a crash the pool is as large as it was.
 *
 * -ENOSPC: no segment is left, or the added space does not even hold the homes
 * of its own pages.
 */
int hpm_refs_grow(struct hpm_md *md, u64 nr_blocks)
{
	struct hpm_refs *old = &md->refs, r;
	u32 pages = DIV_ROUND_UP_ULL(nr_blocks, HPM_REFS_PER_PAGE);
	u64 homes = (u64)HPM_REFS_HOMES * (pages - old->nr_pages);
	u64 start = old->nr_blocks;
	int ret;

	lockdep_assert_held(&md->lock);
	if (nr_blocks < start || nr_blocks > HPM_MAX_META_BLOCKS)
		return -EINVAL;
	if (homes && (old->nr_segments == HPM_MAX_SEGMENTS ||
		      homes > nr_blocks - start))
		return -ENOSPC;
	ret = refs_alloc(&r, nr_blocks);
	if (ret)
		return ret;
	refs_copy(&r, old);
	if (homes)
		segment_add(&r, old->nr_pages, pages - old->nr_pages, start);
	refs_free(old);
	*old = r;
	hpm_refs_reserve_range(md, start, homes);
	return 0;
}

/*----------------------------------------------------------------
 * Checkpoints; checkpoint_lock held from the cut to its end
 *--------------------------------------------------------------*/

static void write_free(struct hpm_refs_write *w)
{
	unsigned int i;

	for (i = 0; i < w->nr; i++)
		hpm_block_free(w->vec[i].data);
	kvfree(w->vec);
	kvfree(w->page);
	kvfree(w->home);
	*w = (struct hpm_refs_write){ 0 };
}

static void write_alloc(struct hpm_refs_write *w, unsigned int nr)
{
	*w = (struct hpm_refs_write){ 0 };
	if (!nr)
		return;
	w->vec = kvcalloc(nr, sizeof(*w->vec), HPM_GFP_MUST);
	w->page = kvcalloc(nr, sizeof(*w->page), HPM_GFP_MUST);
	w->home = kvcalloc(nr, sizeof(*w->home), HPM_GFP_MUST);
	for (; w->nr < nr; w->nr++)
		w->vec[w->nr].data = hpm_block_alloc(HPM_GFP_MUST);
}

static unsigned int third_home(const struct hpm_refs *r, u32 page)
{
	unsigned int home = 0;

	while (home == r->home[page] || home == r->home_old[page])
		home++;
	return home;
}

static void page_fill(struct hpm_md *md, u64 epoch, u32 page, u64 block,
		      struct hpm_refs_page *p)
{
	const u32 *count = &md->refs.count[(u64)page * HPM_REFS_PER_PAGE];
	unsigned int i;

	hpm_block_init(md, p, HPM_BT_REFS, block, epoch);
	p->head.nr = cpu_to_le16(HPM_REFS_PER_PAGE);
	p->head.aux = cpu_to_le64(page);
	for (i = 0; i < HPM_REFS_PER_PAGE; i++)
		p->refs[i] = cpu_to_le32(count[i]);
	hpm_block_seal(md->seed, p);
}

/* What was freed up to here belongs to the epoch that is closed. */
static void refs_seal_freed(struct hpm_refs *r)
{
	u64 i, nr = BITS_TO_LONGS(r->nr_blocks);

	for (i = 0; i < nr; i++) {
		r->sealed[i] |= r->freed[i];
		r->freed[i] = 0;
	}
}

void hpm_refs_cut(struct hpm_md *md, u64 epoch, struct hpm_refs_write *w,
		  struct hpm_super *sb)
{
	struct hpm_refs *r = &md->refs;
	u32 page;
	unsigned int i = 0;

	lockdep_assert_held(&md->lock);
	BUILD_BUG_ON(sizeof(struct hpm_refs_page) != HPM_BLOCK_SIZE);
	write_alloc(w, bitmap_weight(r->dirty, r->nr_pages));
	segments_store(r, sb);
	memset(sb->home, 0, sizeof(sb->home));
	for (page = 0; page < r->nr_pages; page++) {
		home_store(sb, page, r->home[page]);
		if (!test_bit(page, r->dirty))
			continue;
		w->page[i] = page;
		w->home[i] = third_home(r, page);
		w->vec[i].block = hpm_refs_home(md, page, w->home[i]);
		page_fill(md, epoch, page, w->vec[i].block, w->vec[i].data);
		home_store(sb, page, w->home[i]);
		i++;
	}
	bitmap_zero(r->dirty, r->nr_pages);
	refs_seal_freed(r);
}

/* The blocks in `older' are free, those in `sealed' wait once more. */
static void refs_age_freed(struct hpm_refs *r)
{
	u64 i, nr = BITS_TO_LONGS(r->nr_blocks), gained = 0;

	for (i = 0; i < nr; i++) {
		gained += hweight_long(r->older[i]);
		r->barred[i] &= ~r->older[i];
		r->older[i] = r->sealed[i];
		r->sealed[i] = 0;
	}
	WRITE_ONCE(r->nr_free, r->nr_free + gained);
}

/*
 * The superblock that was the newest is the older one now, for pages that were
 * not written as well: those have the same home in both.
 */
void hpm_refs_cut_done(struct hpm_md *md, struct hpm_refs_write *w)
{
	struct hpm_refs *r = &md->refs;
	unsigned int i;

	lockdep_assert_held(&md->lock);
	memcpy(r->home_old, r->home, r->nr_pages);
	for (i = 0; i < w->nr; i++)
		r->home[w->page[i]] = w->home[i];
	refs_age_freed(r);
	write_free(w);
}

/*
 * The pages will be written again, to the same homes: so only if the
 * superblock that means them has certainly not been written.  Who cannot tell
 * must not make another checkpoint.
 */
void hpm_refs_cut_failed(struct hpm_md *md, struct hpm_refs_write *w)
{
	struct hpm_refs *r = &md->refs;
	unsigned int i;

	lockdep_assert_held(&md->lock);
	for (i = 0; i < w->nr; i++)
		__set_bit(w->page[i], r->dirty);
	write_free(w);
}
