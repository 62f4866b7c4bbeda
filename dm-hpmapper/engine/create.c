// SPDX-License-Identifier: GPL-2.0-only
/*
 * A new pool, on devices that hold nothing else.
 */
#include "engine.h"
#include "block.h"
#include "busy.h"
#include "checkpoint.h"
#include "create.h"
#include "journal.h"
#include "label.h"
#include "mark.h"
#include "refs.h"
#include "space.h"

/* Is this a block of some pool, valid or not? */
static bool is_ours(const struct hpm_block_head *h)
{
	return le32_to_cpu(h->magic) == HPM_MAGIC &&
	       h->type >= HPM_BT_LABEL && h->type <= HPM_BT_ARR_NODE;
}

/* Did a format begin here that did not end? */
static bool format_began(struct hpm_md *md, void *buf)
{
	return !hpm_io_read(md->io, HPM_LABEL_COPY, buf) &&
	       !hpm_block_check(hpm_label_seed(), buf, HPM_BT_LABEL,
				HPM_LABEL_COPY);
}

static const char not_blank[] =
	"the metadata device begins with zeroes but holds something else: clear its first 128 KiB";

/*
 * May the device be formatted?  Yes, if each block of its head is zero or an
 * old pool's.  A crash during a format may have torn a superblock so that its
 * first sector, which tells what the block is, is missing.  The copy of the
 * label is written before the superblocks and proves that a format had begun.
 */
static int check_blank(struct hpm_md *md, void *buf, const char **why)
{
	bool began = format_began(md, buf);
	u64 b;
	int r;

	for (b = 1; b < HPM_RESERVED_BLOCKS; b++) {
		if (began && (b == HPM_SUPER_A || b == HPM_SUPER_B))
			continue;
		r = hpm_io_read(md->io, b, buf);
		if (r) {
			*why = "the metadata device cannot be read";
			return r;
		}
		if (!hpm_block_is_zero(buf) && !is_ours(buf)) {
			*why = not_blank;
			return -EINVAL;
		}
	}
	return 0;
}

static u64 journal_size(u64 meta_blocks)
{
	return clamp_t(u64, meta_blocks / 16, 128, 2048);
}

static int check_devices(struct hpm_md *md, const char **why)
{
	u64 meta = hpm_io_meta_blocks(md->io), data = hpm_io_data_blocks(md->io);

	if (meta < HPM_MIN_META_BLOCKS) {
		*why = "the metadata device is too small: 4 MiB at least";
		return -ENOSPC;
	}
	if (data >> md->large_shift == 0) {
		*why = "the data device is too small: one large block at least";
		return -ENOSPC;
	}
	if (data >> md->large_shift << md->large_shift > HPM_PBN_HOLE) {
		*why = "the data device is too large: 256 TiB at most";
		return -EFBIG;
	}
	return 0;
}

/*
 * Clears the head of the device behind the label, so that nothing of an older
 * pool is left.
 */
static int wipe_head(struct hpm_md *md, void *buf)
{
	struct hpm_io_vec vec = { .data = buf };
	u64 b;
	int r;

	memset(buf, 0, HPM_BLOCK_SIZE);
	for (b = 1; b < HPM_RESERVED_BLOCKS; b++) {
		vec.block = b;
		r = hpm_io_write(md->io, &vec, 1);
		if (r)
			return r;
	}
	return hpm_io_flush_meta(md->io);
}

/* Makes the empty pool in memory: counts, arrays, nothing else. */
static int format_state(struct hpm_md *md)
{
	u64 meta = min_t(u64, hpm_io_meta_blocks(md->io), HPM_MAX_META_BLOCKS);
	u64 data = hpm_io_data_blocks(md->io);
	u8 uuid[HPM_UUID_SIZE];
	int r;

	get_random_bytes(uuid, sizeof(uuid));
	if (hpm_fault(HPM_FAULT_OLD_SUPER))
		memset(uuid, 'x', sizeof(uuid));
	hpm_set_uuid(md, uuid);
	md->meta_blocks = meta;
	md->journal_start = HPM_RESERVED_BLOCKS;
	md->journal_blocks = journal_size(meta);
	md->epoch = 1;
	md->next_serial = 1;
	md->super_block = HPM_SUPER_B;
	r = hpm_refs_init(md, meta);
	if (r)
		return r;
	r = hpm_refs_format(md, md->journal_start + md->journal_blocks);
	if (r)
		return r;
	r = hpm_space_resize(md, data >> md->large_shift << md->large_shift);
	if (r)
		return r;
	r = hpm_journal_init(md);
	if (r)
		return r;
	md->journal.next_record = 1;
	return hpm_space_load(md);
}

/*
 * Both superblocks are written before the label: until the label is there, the
 * device counts as blank and would be formatted again.
 */
int hpm_format(struct hpm_md *md, void *buf, const char **why)
{
	int r;

	if (!md->large_shift) {
		*why = "there is no pool on the metadata device";
		return -ENODATA;
	}
	r = check_devices(md, why);
	if (r)
		return r;
	r = check_blank(md, buf, why);
	if (r)
		return r;
	*why = "the new pool could not be written";
	mutex_lock(&md->lock);
	r = format_state(md);
	mutex_unlock(&md->lock);
	if (!r && !hpm_fault(HPM_FAULT_OLD_SUPER))
		r = wipe_head(md, buf);
	if (!r)
		r = hpm_mark_make(md, buf);
	if (!r)
		r = hpm_label_write(md, HPM_LABEL_COPY, buf);
	if (r)
		return r;
	hpm_journal_restart(md);
	r = hpm_md_checkpoint(md);
	if (!r && !hpm_fault(HPM_FAULT_OLD_SUPER))
		r = hpm_md_checkpoint(md);
	if (!r)
		r = hpm_label_write(md, HPM_LABEL_BLOCK, buf);
	return r;
}
