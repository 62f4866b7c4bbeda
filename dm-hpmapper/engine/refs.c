// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reference counts of metadata blocks.
 *
 * A count is the number of pointers to a block, from nodes and from roots.  All
 * counts are in memory, four bytes a block: 4 MiB for 4 GiB of metadata, the
 * need of a large pool.  On the device they are in pages of 1008 counts.  A
 * page is not a node: it has three fixed homes and is never allocated, so
 * writing the counts changes no count.
 *
 * Three homes
 * -----------
 * Both superblocks stay valid until they are overwritten.  So when a checkpoint
 * must write a page, the newest superblock uses one of its homes, and the older
 * one may use another.  The page is written to the third.  Two bits in the
 * superblock name the home, so a page becomes valid at the same instant as the
 * superblock that refers to it.
 *
 * When a block may be used again
 * ------------------------------
 * A block whose count falls to 0 in epoch E was in use when E was opened, so
 * the superblock before E's needs it (and perhaps the one before that).  When
 * E's superblock is durable, that one is still there as the older one.  When
 * the next superblock is durable, too, no superblock needs the block.  So the
 * block passes through
 *
 *	freed	in the open epoch
 *	sealed	in an epoch whose checkpoint is under way
 *	older	in the epoch that the newest superblock has closed
 *
 * and is usable when one more superblock is durable.  These are bitmaps, not
 * lists, so that giving back a block cannot fail for want of memory in the
 * middle of a change.  A block that was made in the open epoch is in no durable
 * state and skips these steps.
 *
 * If a checkpoint fails, its `sealed' blocks stay in the bitmap, and those of
 * the next attempt are added: all of them belong to the epoch that the attempt
 * closes.
 *
 * A lost write
 * ------------
 * A home is written again and again.  If the device loses the last write to it,
 * it has an older page, which looks valid: its checksum and place are right,
 * and the superblock allows its epoch.  With its counts, blocks that are in use
 * would be allocated again.  Nodes are safe from this, as a pointer names the
 * epoch of its node.  Likewise, the superblock names its pages, by one checksum
 * over the checksums of all pages (refs_csum).
 *
 * The checksum is valid only if refs_epoch is the superblock's own epoch.  A
 * version that does not know the two fields writes zeroes to them when it makes
 * a checkpoint.  When it only sets a flag, it copies the superblock with its
 * epoch, and the pages are the same.  So a superblock of such a version has
 * either no checksum or the right one.
 */
#include "engine.h"
#include "audit.h"
#include "block.h"
#include "refs.h"

#define HOME_NONE	3u	/* never written: all counts are 0 */
#define REFS_MAX	((u32)S32_MAX)	/* the highest value of a count */

static int refs_corrupt(struct hpm_md *md, u64 block, const char *what)
{
	hpm_err_ratelimited(md, "metadata block %llu: %s",
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
	kvfree(r->csum);
	kvfree(r->home);
	kvfree(r->home_old);
}

static unsigned long *bits_alloc(u64 nr)
{
	return kvcalloc(BITS_TO_LONGS(nr), sizeof(long), GFP_NOIO);
}

/* Counts are allocated in whole pages; those behind the last block stay 0. */
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
	r->csum = kvcalloc(r->nr_pages, sizeof(*r->csum), GFP_NOIO);
	r->home = kvmalloc(r->nr_pages, GFP_NOIO);
	r->home_old = kvmalloc(r->nr_pages, GFP_NOIO);
	if (r->count && r->barred && r->freed && r->sealed && r->older &&
	    r->dirty && r->csum && r->home && r->home_old) {
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

u64 hpm_refs_limbo(struct hpm_md *md)
{
	const struct hpm_refs *r = &md->refs;
	u64 nr_free = READ_ONCE(r->nr_free), used = READ_ONCE(r->nr_used);

	/* Without the lock, the sum may be larger than the number of blocks. */
	return r->nr_blocks - min(r->nr_blocks, nr_free + used);
}

/*
 * Block numbers fit 32 bits, so the division by a constant becomes a
 * multiplication.
 */
static void refs_touch(struct hpm_refs *r, u64 block)
{
	__set_bit((u32)block / HPM_REFS_PER_PAGE, r->dirty);
}

int hpm_refs_inc(struct hpm_md *md, u64 block)
{
	struct hpm_refs *r = &md->refs;
	u32 count = hpm_refs_count(md, block);

	/* A block that gets one more reference must have had one before. */
	if (unlikely(!count))
		return refs_corrupt(md, block, "referred to, but free");
	if (unlikely(count == REFS_MAX))
		return refs_corrupt(md, block, "referred to too often");
	r->count[block] = count + 1;
	refs_touch(r, block);
	return 0;
}

int hpm_refs_dec(struct hpm_md *md, u64 block, u64 born)
{
	struct hpm_refs *r = &md->refs;
	u32 count = hpm_refs_count(md, block);

	if (unlikely(!count))
		return refs_corrupt(md, block, "given back, but free");
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

/* Takes a usable block into use. */
static void refs_take(struct hpm_refs *r, u64 block)
{
	__set_bit(block, r->barred);
	r->count[block] = 1;
	refs_touch(r, block);
	WRITE_ONCE(r->nr_free, r->nr_free - 1);
	WRITE_ONCE(r->nr_used, r->nr_used + 1);
}

/*
 * Searches from the last allocated block, and round: so the nodes of a
 * checkpoint are next to each other, and it needs few writes.
 */
int hpm_refs_alloc(struct hpm_md *md, u64 *block)
{
	struct hpm_refs *r = &md->refs;
	unsigned long b;

	hpm_audit_look(md);
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

/* The blocks of fixed areas have a count of 1 for ever. */
static void reserve_range(struct hpm_md *md, u64 start, u64 nr)
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

static u64 home_block(struct hpm_md *md, u32 page, unsigned int home)
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
	reserve_range(md, 0, end);
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

/* Returns the block where @sb has a page; 0: it has none. */
static u64 home_in_super(const struct hpm_super *sb, u32 page)
{
	u32 i, first, nr, home = home_load(sb, page);

	for (i = 0; home != HOME_NONE && i < le32_to_cpu(sb->nr_segments);
	     i++) {
		first = le32_to_cpu(sb->segment[i].first);
		nr = le32_to_cpu(sb->segment[i].nr);
		if (page >= first && page - first < nr)
			return le64_to_cpu(sb->segment[i].start) +
			       (u64)HPM_REFS_HOMES * (page - first) + home;
	}
	return 0;
}

/*----------------------------------------------------------------
 * The checksum of all pages
 *--------------------------------------------------------------*/

static __le32 pages_csum(struct hpm_md *md, const __le32 *csum, u32 nr)
{
	return cpu_to_le32(crc32c(md->seed, csum, nr * sizeof(*csum)));
}

static void csum_store(struct hpm_md *md, struct hpm_super *sb)
{
	const struct hpm_refs *r = &md->refs;

	sb->refs_csum = pages_csum(md, r->csum, r->nr_pages);
	sb->refs_epoch = sb->head.epoch;
}

/* Are these the pages that @sb names?  True if @sb has no checksum of them. */
static bool csum_right(struct hpm_md *md, const struct hpm_super *sb,
		       const __le32 *csum, u32 nr)
{
	return sb->refs_epoch != sb->head.epoch ||
	       sb->refs_csum == pages_csum(md, csum, nr);
}

/*----------------------------------------------------------------
 * Reading
 *--------------------------------------------------------------*/

/* A superblock never names a page that was written after it. */
static int page_read(struct hpm_md *md, const struct hpm_super *sb, u32 page,
		     struct hpm_refs_page *p)
{
	u64 block = home_in_super(sb, page);
	int r = -EUCLEAN;

	if (block < md->refs.nr_blocks)
		r = hpm_io_read(md->io, block, p);
	if (r) {
		hpm_err(md, "metadata block %llu: reference counts cannot be read (%d)",
			(unsigned long long)block, r);
		return r;
	}
	if (hpm_block_check(md->seed, p, HPM_BT_REFS, block) ||
	    le64_to_cpu(p->head.aux) != page ||
	    le64_to_cpu(p->head.epoch) > le64_to_cpu(sb->head.epoch))
		return refs_corrupt(md, block, "no page of reference counts");
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
	r->csum[page] = p->head.csum;
	for (i = 0; i < HPM_REFS_PER_PAGE; i++, block++) {
		count = le32_to_cpu(p->refs[i]);
		if (!count)
			continue;
		if (block >= r->nr_blocks || count > REFS_MAX)
			return refs_corrupt(md, block, "impossible reference count");
		r->count[block] = count;
		__set_bit(block, r->barred);
		r->nr_used++;
		r->nr_free--;
	}
	return 0;
}

/* A block of a reserved area must never be given to a node. */
static int check_reserved(struct hpm_md *md, u64 start, u64 nr)
{
	u64 b;

	for (b = start; b < start + nr; b++)
		if (!hpm_refs_count(md, b))
			return refs_corrupt(md, b, "in a reserved area, but free");
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

/* Loads the counts into the memory that hpm_refs_init() has allocated. */
int hpm_refs_load(struct hpm_md *md, const struct hpm_super *sb)
{
	struct hpm_refs *r = &md->refs;
	struct hpm_refs_page *p;
	u32 page;
	int ret;

	if (le64_to_cpu(sb->meta_blocks) != r->nr_blocks ||
	    segments_load(r, sb))
		return refs_corrupt(md, le64_to_cpu(sb->head.blocknr),
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
	if (!ret && !csum_right(md, sb, r->csum, r->nr_pages))
		ret = refs_corrupt(md, le64_to_cpu(sb->head.blocknr),
				   "its pages of reference counts are not those it was written with: a write of one was lost");
	return ret ? ret : check_all_reserved(md);
}

/* Makes a block unusable until one more superblock is durable. */
static void refs_bar(struct hpm_refs *r, u64 block)
{
	if (block >= r->nr_blocks || test_bit(block, r->barred))
		return;
	__set_bit(block, r->barred);
	__set_bit(block, r->older);
	r->nr_older++;
	r->nr_free--;
}

/* Does the older superblock have this page in another home than the newest one? */
static bool page_is_other(struct hpm_md *md, const struct hpm_super *sb,
			  u32 page)
{
	u64 block = home_in_super(sb, page);

	return block && block != home_in_super(md->sb, page);
}

/*
 * Returns the home in the older superblock.  It is none if all homes have moved
 * since.
 */
static unsigned int home_of_other(struct hpm_md *md, const struct hpm_super *sb,
				  u32 page)
{
	unsigned int home = home_load(sb, page);

	if (home == HOME_NONE ||
	    home_in_super(sb, page) != home_block(md, page, home))
		return HOME_NONE;
	return home;
}

/*
 * Bars all blocks with a count in a page of the older superblock; returns the
 * page's checksum.
 */
static __le32 bar_page(struct hpm_md *md, const struct hpm_super *sb, u32 page,
		       struct hpm_refs_page *p)
{
	bool unknown = page_read(md, sb, page, p) != 0;
	u32 i;

	for (i = 0; i < HPM_REFS_PER_PAGE; i++)
		if (unknown || p->refs[i])
			refs_bar(&md->refs, (u64)page * HPM_REFS_PER_PAGE + i);
	return unknown ? 0 : p->head.csum;
}

static void bar_all_other(struct hpm_md *md, const struct hpm_super *sb)
{
	struct hpm_refs *r = &md->refs;
	u32 page, i;

	hpm_warn(md, "the older superblock (metadata block %llu) is of no use: a page of its reference counts is not the one it was written with",
		 (unsigned long long)le64_to_cpu(sb->head.blocknr));
	for (page = 0; page < r->nr_pages; page++) {
		if (!page_is_other(md, sb, page))
			continue;
		for (i = 0; i < HPM_REFS_PER_PAGE; i++)
			refs_bar(r, (u64)page * HPM_REFS_PER_PAGE + i);
	}
}

/*
 * Bars the blocks that the older superblock uses and the newest does not.
 *
 * Those are the blocks that were freed in the newest superblock's epoch, and
 * that were in `older' before the pool went down.  The next checkpoint
 * overwrites the older superblock, so they become usable when that is durable,
 * just as at run time.  If they were usable at once, and a crash during the
 * recovery destroyed the newest superblock, the older one would be left with
 * overwritten trees.
 *
 * If both superblocks have a page in the same home, it is the same page.  If a
 * page of the older state only cannot be read, the newest state is intact, so
 * the pool opens, and all blocks that the page has counts for are barred.  If
 * the write of such a page was lost, it is not known which one, so this is done
 * for all of them.
 */
int hpm_refs_load_other(struct hpm_md *md, const struct hpm_super *sb)
{
	struct hpm_refs *r = &md->refs;
	struct hpm_refs_page *p = hpm_block_alloc(GFP_NOIO);
	__le32 *csum = kvcalloc(r->nr_pages, sizeof(*csum), GFP_NOIO);
	u32 page, nr;
	int ret = -ENOMEM;

	if (!p || !csum)
		goto out;
	nr = min_t(u64, r->nr_pages,
		   DIV_ROUND_UP_ULL(le64_to_cpu(sb->meta_blocks),
				    HPM_REFS_PER_PAGE));
	for (page = 0; page < nr; page++) {
		r->home_old[page] = home_of_other(md, sb, page);
		if (page_is_other(md, sb, page))
			csum[page] = bar_page(md, sb, page, p);
		else if (home_load(sb, page) != HOME_NONE)
			csum[page] = r->csum[page];
	}
	for (; page < r->nr_pages; page++)
		r->home_old[page] = HOME_NONE;
	if (!csum_right(md, sb, csum, nr))
		bar_all_other(md, sb);
	ret = 0;
out:
	if (p)
		hpm_block_free(p);
	kvfree(csum);
	return ret;
}

/*----------------------------------------------------------------
 * Growing; checkpoint_lock, commit_lock and md->lock held
 *--------------------------------------------------------------*/

static void bits_copy(unsigned long *dst, const unsigned long *src, u64 nr)
{
	memcpy(dst, src, BITS_TO_LONGS(nr) * sizeof(long));
}

/* Copies the state of @old to the larger @r. */
static void refs_copy(struct hpm_refs *r, const struct hpm_refs *old)
{
	memcpy(r->count, old->count, old->nr_blocks * sizeof(*r->count));
	bits_copy(r->barred, old->barred, old->nr_blocks);
	bits_copy(r->freed, old->freed, old->nr_blocks);
	bits_copy(r->sealed, old->sealed, old->nr_blocks);
	bits_copy(r->older, old->older, old->nr_blocks);
	bits_copy(r->dirty, old->dirty, old->nr_pages);
	memcpy(r->csum, old->csum, old->nr_pages * sizeof(*r->csum));
	memcpy(r->home, old->home, old->nr_pages);
	memcpy(r->home_old, old->home_old, old->nr_pages);
	memcpy(r->segment, old->segment, sizeof(r->segment));
	r->nr_segments = old->nr_segments;
	r->cursor = old->cursor;
	r->nr_used = old->nr_used;
	r->nr_older = old->nr_older;
	r->nr_free = old->nr_free + (r->nr_blocks - old->nr_blocks);
}

/*
 * Each growth adds a segment.  When the list is full, the next growth gives all
 * pages new homes, in a single segment.  This segment is in the new space, so
 * no durable superblock has anything there.  The former homes are freed like
 * any block: they are used again when both superblocks have the new homes.
 */
static bool segments_full(const struct hpm_refs *r)
{
	return r->nr_segments == HPM_MAX_SEGMENTS;
}

/* The number of homes that a growth to @pages must make room for. */
static u64 homes_wanted(const struct hpm_refs *r, u32 pages)
{
	u32 old = segments_full(r) ? 0 : r->nr_pages;

	return pages == r->nr_pages ? 0 : (u64)HPM_REFS_HOMES * (pages - old);
}

u64 hpm_refs_usable(struct hpm_md *md, u64 nr_blocks)
{
	const struct hpm_refs *r = &md->refs;
	u32 pages = DIV_ROUND_UP_ULL(nr_blocks, HPM_REFS_PER_PAGE);
	u64 homes = homes_wanted(r, pages);

	if (homes < nr_blocks - r->nr_blocks)
		return nr_blocks;
	return min_t(u64, nr_blocks, (u64)r->nr_pages * HPM_REFS_PER_PAGE);
}

static void segments_merge(struct hpm_refs *r, u64 start)
{
	r->nr_segments = 0;
	segment_add(r, 0, r->nr_pages, start);
	memset(r->home, HOME_NONE, r->nr_pages);
	memset(r->home_old, HOME_NONE, r->nr_pages);
	bitmap_fill(r->dirty, r->nr_pages);
}

/* Frees the homes in the segments of @old, which are no longer used. */
static int homes_free(struct hpm_md *md, const struct hpm_refs *old)
{
	u64 b, end;
	u32 i;
	int ret = 0;

	for (i = 0; i < old->nr_segments; i++) {
		b = old->segment[i].start;
		end = b + (u64)HPM_REFS_HOMES * old->segment[i].nr;
		for (; !ret && b < end; b++)
			ret = hpm_refs_dec(md, b, 0);
	}
	return ret;
}

/*
 * The homes of the new space's pages are at its start.  Nothing of this is
 * durable before the next checkpoint, and nothing durable is changed: after a
 * crash the pool has its old size.
 */
int hpm_refs_grow(struct hpm_md *md, u64 nr_blocks)
{
	struct hpm_refs old = md->refs, *r = &md->refs;
	u32 pages = DIV_ROUND_UP_ULL(nr_blocks, HPM_REFS_PER_PAGE);
	u64 homes = homes_wanted(&old, pages);
	bool merge = homes && segments_full(&old);
	int ret;

	lockdep_assert_held(&md->lock);
	if (nr_blocks < old.nr_blocks || nr_blocks > HPM_MAX_META_BLOCKS ||
	    hpm_refs_usable(md, nr_blocks) != nr_blocks)
		return -EINVAL;
	ret = refs_alloc(r, nr_blocks);
	if (ret) {
		*r = old;
		return ret;
	}
	refs_copy(r, &old);
	if (merge)
		segments_merge(r, old.nr_blocks);
	else if (homes)
		segment_add(r, old.nr_pages, pages - old.nr_pages,
			    old.nr_blocks);
	reserve_range(md, old.nr_blocks, homes);
	if (merge)
		ret = homes_free(md, &old);
	refs_free(&old);
	return ret;
}

int hpm_refs_beyond(struct hpm_md *md, u64 nr_blocks)
{
	struct hpm_refs *old = &md->refs, r;
	int ret = refs_alloc(&r, old->nr_blocks + nr_blocks);

	lockdep_assert_held(&md->lock);
	if (ret)
		return ret;
	refs_copy(&r, old);
	r.reserve = old->reserve;
	refs_free(old);
	*old = r;
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

/* Fills in a page; returns its checksum. */
static __le32 page_fill(struct hpm_md *md, u64 epoch, u32 page, u64 block,
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
	return p->head.csum;
}

/* The blocks that were freed up to here belong to the epoch that is closed. */
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
		w->vec[i].block = home_block(md, page, w->home[i]);
		r->csum[page] = page_fill(md, epoch, page, w->vec[i].block,
					  w->vec[i].data);
		home_store(sb, page, w->home[i]);
		i++;
	}
	csum_store(md, sb);
	bitmap_zero(r->dirty, r->nr_pages);
	refs_seal_freed(r);
}

/*
 * The blocks in `older' become free, those in `sealed' wait for one more
 * superblock.
 */
static void refs_age_freed(struct hpm_refs *r)
{
	u64 i, nr = BITS_TO_LONGS(r->nr_blocks), gained = 0, older = 0;

	for (i = 0; i < nr; i++) {
		gained += hweight_long(r->older[i]);
		r->barred[i] &= ~r->older[i];
		r->older[i] = r->sealed[i];
		r->sealed[i] = 0;
		older += hweight_long(r->older[i]);
	}
	r->nr_older = older;
	WRITE_ONCE(r->nr_free, r->nr_free + gained);
}

/*
 * The former newest superblock is the older one now, also for pages that were
 * not written: these have the same home in both.
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

void hpm_refs_settled(struct hpm_md *md)
{
	struct hpm_refs *r = &md->refs;

	lockdep_assert_held(&md->lock);
	memcpy(r->home_old, r->home, r->nr_pages);
	refs_age_freed(r);
}

/*
 * The pages will be written again, to the same homes.  So the caller must know
 * that the superblock with these homes has not been written; if it cannot tell,
 * it must not make another checkpoint.
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
