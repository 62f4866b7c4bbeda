// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds how much of a device is for metadata.
 *
 * A pool may have a whole disk, with the metadata at the beginning and the data
 * behind them ("hpmctl pool create --disk").  If a tool took such a disk for a
 * metadata device, it would overwrite the data.  So before anything is built on
 * a device, its content decides how much of it is used:
 *
 *	a mark in its first block: nothing, it is the data device of a pool
 *	the mark of the data of the pool that is being built: what is before it
 *	a pool's superblock, or at least its label: as much as that pool has
 *	none of them: all of the device
 *
 * The mark is looked for at all places where a disk can have been cut in two.
 */
#include "meta.h"

/* hpmctl cuts disks at multiples of this (tools/hpmctl/parts.c). */
#define CUT_BLOCKS ((2u << 20) >> HPM_BLOCK_SHIFT)

bool is_mark(const void *block)
{
	const struct hpm_block_head *h = block;

	return !block_fault(mark_seed(), block, HPM_MARK_BLOCK) &&
	       h->type == HPM_BT_MARK;
}

int check_no_data(const struct dev *dev)
{
	void *buf = blocks_alloc(1);
	bool data;

	if (!buf)
		return complain("out of memory");
	data = dev->blocks && !dev_read(dev, HPM_MARK_BLOCK, 1, buf) &&
	       is_mark(buf);
	free(buf);
	return data ? complain(
			      "%s holds the data of a pool, which metadata would overwrite (if that is meant, zero its first block)",
			      dev->path) :
		      0;
}

/*
 * Returns where the data of the pool begin on the same device; 0: they are
 * elsewhere.
 */
static u64 own_data(const struct dev *dev, const u8 *uuid, void *buf)
{
	const struct hpm_mark *m = buf;
	u64 b;

	for (b = CUT_BLOCKS; b < dev->blocks; b += CUT_BLOCKS)
		if (!dev_read(dev, b, 1, buf) && is_mark(buf) &&
		    !memcmp(m->uuid, uuid, HPM_UUID_SIZE))
			return b;
	return 0;
}

/*
 * Returns the size in the newest superblock of the pool with this uuid; 0:
 * there is none.
 */
static u64 super_blocks(const struct dev *dev, const u8 *uuid, void *buf)
{
	static const u64 place[2] = { HPM_SUPER_A, HPM_SUPER_B };
	const struct hpm_super *sb = buf;
	u64 generation = 0, blocks = 0;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (dev_read(dev, place[i], 1, buf) ||
		    block_fault(uuid_seed(uuid), buf, place[i]) ||
		    sb->head.type != HPM_BT_SUPER ||
		    le64_to_cpu(sb->generation) < generation)
			continue;
		generation = le64_to_cpu(sb->generation);
		blocks = le64_to_cpu(sb->meta_blocks);
	}
	return blocks;
}

/* The label or its copy, and the superblocks of the pool that it names. */
static u64 pool_blocks(const struct dev *dev, void *buf)
{
	static const u64 place[2] = { HPM_LABEL_BLOCK, HPM_LABEL_COPY };
	struct hpm_label label;
	unsigned int i;
	u64 blocks;

	for (i = 0; i < 2; i++) {
		if (dev_read(dev, place[i], 1, buf) ||
		    block_fault(label_seed(), buf, place[i]))
			continue;
		memcpy(&label, buf, sizeof(label));
		if (label.head.type != HPM_BT_LABEL)
			continue;
		blocks = super_blocks(dev, label.uuid, buf);
		return blocks ? blocks : le64_to_cpu(label.created_with_blocks);
	}
	return 0;
}

int parse_meta_size(const char *text, u64 *blocks)
{
	u64 bytes;

	if (parse_bytes(text, &bytes))
		return -1;
	*blocks = bytes >> HPM_BLOCK_SHIFT;
	if (*blocks < HPM_MIN_META_BLOCKS || *blocks > HPM_MAX_META_BLOCKS)
		return complain("metadata have from 4M to 16G");
	return 0;
}

int room_for_metadata(const struct dev *dev, const u8 *uuid, u64 *blocks)
{
	void *buf = blocks_alloc(1);
	u64 room;

	if (!buf)
		return complain("out of memory");
	room = own_data(dev, uuid, buf);
	if (!room)
		room = pool_blocks(dev, buf);
	if (!room)
		room = super_blocks(dev, uuid, buf);
	free(buf);
	if (room < HPM_MIN_META_BLOCKS || room > dev->blocks)
		room = dev->blocks;
	if (room < dev->blocks)
		note("the metadata take the first %llu of the %llu blocks of %s, as the old ones did (--meta-size gives another size)",
		     room, dev->blocks, dev->path);
	*blocks = room;
	return 0;
}
