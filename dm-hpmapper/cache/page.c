// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages: what is in one, and what may be done with it
 *
 * What may be entered
 * -------------------
 * Only what no user can have changed between the device and the fingerprint: a
 * page of a file of this very volume, locked and not up to date; or of this
 * volume's own block device, likewise or with the buffer of its file system
 * that is locked and being read, if nobody but that file system has the device
 * open.  Of what a file system reads into buffers of its own a copy is kept
 * (index.c), as they are no pages that could be found again.  Not direct I/O,
 * whose owner writes into the buffer when he likes, and so would plant what
 * others then take for the block; not encrypted files, whose pages are
 * decrypted in place.
 */
#include <linux/buffer_head.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/jbd2.h>
#include <linux/pagemap.h>

#include "fault.h"
#include "page.h"

/* Of the kind that has an inode; not anonymous, not a driver's. */
static struct address_space *file_mapping(struct folio *folio)
{
	struct address_space *mapping = READ_ONCE(folio->mapping);

	if (folio_test_slab(folio) ||
	    (unsigned long)mapping & HPM_MAPPING_FLAGS)
		return NULL;
	return mapping;
}

static bool is_of_volume(struct hpm_volume *v, struct inode *host)
{
	struct block_device *bdev = host->i_sb->s_bdev;

	return bdev && bdev->bd_disk == v->disk;
}

/*
 * Its reader, who has locked it, is the only one who gets at it: no process has
 * it mapped, and no direct I/O of one is under way into it.  Such a page is not
 * leaving its mapping, so the inode is there.
 */
static bool is_private(struct hpm_volume *v, struct folio *folio,
		       struct address_space *mapping, bool meta)
{
	if (!folio_test_locked(folio) || folio_test_uptodate(folio) ||
	    !mapping || folio_mapped(folio) || folio_maybe_dma_pinned(folio))
		return false;
	return meta || is_of_volume(v, mapping->host);
}

/* The buffer of a page, if the page is divided into buffers of a block each. */
static struct buffer_head *block_buffer(struct folio *folio, unsigned long nr)
{
	struct buffer_head *bh = folio_buffers(folio);

	if (!bh || bh->b_size != HPM_BLOCK_SIZE)
		return NULL;
	while (nr--)
		bh = bh->b_this_page;
	return bh;
}

/* The volume's file system reads this page of its device.  See at the top. */
static bool is_private_buffer(struct folio *folio, struct page *page)
{
	struct buffer_head *bh;

	if (folio_test_uptodate(folio) || folio_mapped(folio))
		return false;
	/* It cannot go while it is being read. */
	bh = block_buffer(folio, folio_page_idx(folio, page));
	return bh && buffer_locked(bh) && !buffer_uptodate(bh);
}

/*
 * Is what a file system reads into a file's page what the page has in the end?
 *
 * Not if it decrypts or decompresses there.  erofs, for one, reads compressed
 * blocks into pages of the file itself and then decompresses over them: locked,
 * not up to date, in their place in the file, these look like any other page that
 * is being read.  But a file whose bytes are those of its blocks has an address on
 * the device for each page, and its file system tells it (->bmap()); for one that
 * is compressed there is none to tell: so with erofs, squashfs, isofs, ntfs3, btrfs.
 * f2fs tells it for both, but reads compressed blocks into pages that only say
 * that they are of the file: the file's page cache does not have them.
 */
static bool is_source_file(struct folio *folio, pgoff_t index,
			   const struct address_space *mapping)
{
	const struct inode *host = mapping->host;

	if (!S_ISREG(host->i_mode) || IS_ENCRYPTED(host) ||
	    !mapping->a_ops->bmap)
		return false;
	/* A page of that kind has something attached to it; most have not. */
	return !folio_test_private(folio) ||
	       xa_load((struct xarray *)&mapping->i_pages, index) == folio;
}

/*
 * Memory that a file system reads its metadata into, and that nobody else gets at
 * before the read has ended: xfs has buffers of its own, of pages or of a slab.  No
 * read of a user's is marked as metadata.
 */
bool hpm_is_buffer_memory(const struct bio *bio, struct folio *folio)
{
	if (!(bio->bi_opf & REQ_META))
		return false;
	return folio_test_slab(folio) ||
	       (!READ_ONCE(folio->mapping) && !folio_mapped(folio));
}

static bool is_source(struct hpm_volume *v, struct folio *folio,
		      struct page *page, const struct hpm_dest *d)
{
	if (READ_ONCE(v->barred))
		return false;
	if (hpm_fault(HPM_FAULT_DIRECT_SOURCE))
		return true;
	if (d->place.meta)
		return disk_openers(v->disk) <= 1 &&
		       (d->private || is_private_buffer(folio, page));
	return d->private &&
	       is_source_file(folio, d->place.index, d->place.mapping);
}

void hpm_look_at_page(struct hpm_volume *v, struct page *page,
		      struct hpm_dest *d)
{
	struct folio *folio = page_folio(page);
	struct address_space *mapping = file_mapping(folio);
	pgoff_t index = READ_ONCE(folio->index) + folio_page_idx(folio, page);

	/* Of a page that nobody has locked, these words may be another's now. */
	d->place.pfn = page_to_pfn(page);
	d->place.mapping = READ_ONCE(folio->mapping);
	d->place.index = (u32)index;
	d->place.meta = mapping == v->mapping;
	d->place.kept = false;
	d->private = is_private(v, folio, mapping, d->place.meta);
	d->source = index <= U32_MAX && is_source(v, folio, page, d);
}

/*
 * Before the folio is touched it must look like what was entered: a frame may
 * have become a slab or a page table, whose words mean other things.
 */
struct folio *hpm_place_get(const struct hpm_place *place)
{
	struct page *page = pfn_to_page(place->pfn);
	struct folio *folio = page_folio(page);

	if (PageHWPoison(page) ||
	    !hpm_frame_looks(page, folio, place->mapping, place->index) ||
	    !folio_try_get(folio))
		return NULL;
	if (page_folio(page) == folio && !folio_test_slab(folio) &&
	    hpm_frame_looks(page, folio, place->mapping, place->index))
		return folio;
	folio_put(folio);
	return NULL;
}

/*
 * A journal changes buffers long before it says that they are dirty.  What is
 * attached to a page is buffers only if the page is a block device's: where the
 * device's page cache was there may be another file's by now.
 */
static bool __is_buffer_clean(struct folio *folio, struct page *page,
			      const struct address_space *mapping)
{
	struct buffer_head *bh;

	if (folio->mapping != mapping || !S_ISBLK(mapping->host->i_mode))
		return false;
	bh = folio_test_private(folio) ?
		block_buffer(folio, folio_page_idx(folio, page)) : NULL;
	return !bh || (!buffer_dirty(bh) && !buffer_jbddirty(bh));
}

bool hpm_buffers_clean(struct folio *folio, struct page *page,
		       const struct address_space *mapping)
{
	bool clean;

	if (!folio_trylock(folio))
		return false;
	clean = __is_buffer_clean(folio, page, mapping);
	folio_unlock(folio);
	return clean;
}
