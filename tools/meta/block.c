// SPDX-License-Identifier: GPL-2.0-only
/* Checks of single blocks: is a block what its head says, and in bounds? */
#include "meta.h"

u32 label_seed(void)
{
	return crc32c(~0u, "hpmapper label", 14);
}

u32 mark_seed(void)
{
	return crc32c(~0u, "hpmapper mark", 13);
}

u32 uuid_seed(const u8 *uuid)
{
	return crc32c(~0u, uuid, HPM_UUID_SIZE);
}

static u32 block_sum(u32 seed, const void *block)
{
	return crc32c(seed, (const u8 *)block + sizeof(__le32),
		      HPM_BLOCK_SIZE - sizeof(__le32));
}

const char *block_fault(u32 seed, const void *block, u64 nr)
{
	const struct hpm_block_head *h = block;

	if (le32_to_cpu(h->magic) != HPM_MAGIC)
		return "has no magic number";
	if (le32_to_cpu(h->csum) != block_sum(seed, block))
		return "fails its checksum";
	if (le64_to_cpu(h->blocknr) != nr)
		return "was written for another place";
	return NULL;
}

void block_seal(u32 seed, void *block)
{
	struct hpm_block_head *h = block;

	h->csum = cpu_to_le32(block_sum(seed, block));
}

__le32 pages_csum(u32 seed, const __le32 *csum, u64 nr)
{
	return cpu_to_le32(crc32c(seed, csum, nr * sizeof(*csum)));
}

const char *block_type_name(u8 type)
{
	static const char *const name[] = {
		[HPM_BT_LABEL] = "a label",
		[HPM_BT_SUPER] = "a superblock",
		[HPM_BT_JOURNAL] = "a journal block",
		[HPM_BT_REFS] = "a page of counts",
		[HPM_BT_MAP_LEAF] = "a leaf of a map",
		[HPM_BT_MAP_NODE] = "an inner node of a map",
		[HPM_BT_ARR_LEAF] = "a leaf of an array",
		[HPM_BT_ARR_NODE] = "an inner node of an array",
	};

	if (type >= ARRAY_SIZE(name) || !name[type])
		return "of no known type";
	return name[type];
}

const char *map_leaf_fault(const struct hpm_map_leaf *leaf)
{
	unsigned int i, nr = block_nr(leaf);

	if (!nr || nr > HPM_LEAF_MAX)
		return "has an impossible number of entries";
	if (le64_to_cpu(leaf->head.aux) >> (HPM_VBN_BITS + 1 - 32))
		return "has keys beyond the largest volume";
	for (i = 1; i < nr; i++)
		if (le32_to_cpu(leaf->key[i]) <= le32_to_cpu(leaf->key[i - 1]))
			return "has keys out of order";
	return NULL;
}

const char *map_node_fault(const struct hpm_map_node *node)
{
	unsigned int i, nr = block_nr(node);

	if (!nr || nr > HPM_NODE_MAX)
		return "has an impossible number of children";
	for (i = 2; i < nr; i++)
		if (le64_to_cpu(node->key[i]) <= le64_to_cpu(node->key[i - 1]))
			return "has keys out of order";
	return NULL;
}

unsigned int elt_size(unsigned int kind)
{
	static const unsigned int size[] = {
		[HPM_ARR_LARGE] = sizeof(struct hpm_disk_large),
		[HPM_ARR_SMALL] = sizeof(__le16),
		[HPM_ARR_SMALL_HI] = sizeof(__le16),
		[HPM_ARR_VOLUME] = sizeof(struct hpm_disk_volume),
		[HPM_ARR_DYING] = sizeof(struct hpm_disk_dying),
	};

	static_assert(ARRAY_SIZE(size) == HPM_NR_ARRAYS, "a kind is missing");
	return size[kind];
}

unsigned int array_per_leaf(unsigned int kind)
{
	return HPM_PAYLOAD / elt_size(kind);
}

u64 array_span(unsigned int kind, unsigned int level)
{
	u64 span = array_per_leaf(kind);

	while (level--)
		span *= HPM_ARR_FANOUT;
	return span;
}
