// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages: which may be entered, and which still look like a copy
 *
 * What may be entered
 * -------------------
 * A page may be entered only if no user can have changed its bytes between the
 * device and the fingerprint.  This is so for a page of a file on this volume
 * that is locked and not up to date.  It is so, too, for a page of this
 * volume's block device, if only its file system has the device open, and if
 * the page is locked and not up to date, or the file system has locked its
 * buffer for the read.  Buffers of a file system's own are no pages that could
 * be found again, so a copy of their bytes is kept (index.c).
 *
 * The buffers of direct I/O are not entered: their owner can write to them at
 * any time, and so could plant bytes that other volumes take for the block's.
 * Neither are pages of encrypted files, which are decrypted in place.
 */
#include <linux/buffer_head.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/jbd2.h>
#include <linux/pagemap.h>

#include "fault.h"
#include "page.h"

/* Returns the mapping of a file's page; NULL for anonymous or driver memory. */
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
 * Has only the reader, which has locked the folio, access to it?  No process
 * has it mapped, and no direct I/O into it is in flight.  A locked folio does
 * not leave its mapping, so the inode exists.
 */
static bool is_private(struct hpm_volume *v, struct folio *folio,
		       struct address_space *mapping, bool meta)
{
	if (!folio_test_locked(folio) || folio_test_uptodate(folio) ||
	    !mapping || folio_mapped(folio) || folio_maybe_dma_pinned(folio))
		return false;
	return meta || is_of_volume(v, mapping->host);
}

/* Returns buffer @nr of a folio, or NULL if its buffers are not blocks. */
static struct buffer_head *block_buffer(struct folio *folio, unsigned long nr)
{
	struct buffer_head *bh = folio_buffers(folio);

	if (!bh || bh->b_size != HPM_BLOCK_SIZE)
		return NULL;
	while (nr--)
		bh = bh->b_this_page;
	return bh;
}

/* Has the file system locked this page's buffer to read it from its device? */
static bool is_private_buffer(struct folio *folio, struct page *page)
{
	struct buffer_head *bh;

	if (folio_test_uptodate(folio) || folio_mapped(folio))
		return false;
	/* The buffer cannot be freed while it is being read. */
	bh = block_buffer(folio, folio_page_idx(folio, page));
	return bh && buffer_locked(bh) && !buffer_uptodate(bh);
}

/*
 * Does the page of a file keep the bytes that its file system reads into it?
 *
 * Not if the file system decrypts or decompresses them in place.  erofs, for
 * example, reads compressed blocks into pages of the file itself and then
 * decompresses over them: these are locked, not up to date, and at their place
 * in the file, as any other page that is being read.  But if the bytes of a
 * file are those of its blocks, each page has an address on the device, and the
 * file system has ->bmap() to tell it.  erofs, squashfs, isofs, ntfs3 and btrfs
 * do not have it for compressed files.  f2fs has ->bmap() for both, but reads
 * compressed blocks into pages whose mapping is the file's, although the file's
 * page cache does not contain them.
 */
static bool is_source_file(struct folio *folio, pgoff_t index,
			   const struct address_space *mapping)
{
	const struct inode *host = mapping->host;

	if (!S_ISREG(host->i_mode) || IS_ENCRYPTED(host) ||
	    !mapping->a_ops->bmap)
		return false;
	/* Such a page of f2fs has private data; most pages have none. */
	return !folio_test_private(folio) ||
	       xa_load((struct xarray *)&mapping->i_pages, index) == folio;
}

/*
 * Is @bio a file system's read of metadata into memory that only the file
 * system has access to before the read has ended?  xfs has such buffers, of
 * pages or of a slab.  No read of a user is marked as metadata.
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

	/* If the page is not locked, these may change at any time. */
	d->place.pfn = page_to_pfn(page);
	d->place.mapping = READ_ONCE(folio->mapping);
	d->place.index = (u32)index;
	d->place.meta = mapping == v->mapping;
	d->place.kept = false;
	d->private = is_private(v, folio, mapping, d->place.meta);
	d->source = index <= U32_MAX && is_source(v, folio, page, d);
}

/*
 * The folio must look like the one that was entered before its reference count
 * is touched: the frame may be used for a slab or a page table by now, where
 * the fields have other meanings.
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
 * A journal changes buffers long before it marks them as dirty.  A page's
 * private data is buffers only if the page belongs to a block device, which is
 * tested, as the memory of the device's mapping may be the mapping of a file by
 * now.
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
