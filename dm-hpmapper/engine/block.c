// SPDX-License-Identifier: GPL-2.0-only
/* Metadata blocks: their memory, heads and checksums. */
#include "engine.h"
#include "block.h"

void *hpm_block_alloc(gfp_t gfp)
{
	BUILD_BUG_ON(PAGE_SIZE < HPM_BLOCK_SIZE);
	return (void *)__get_free_page(gfp);
}

void hpm_block_free(void *p)
{
	if (p)
		free_page((unsigned long)p);
}

static u32 block_csum(u32 seed, const void *block)
{
	const struct hpm_block_head *h = block;

	return crc32c(seed, &h->magic, HPM_BLOCK_SIZE - sizeof(h->csum));
}

void hpm_block_init(struct hpm_md *md, void *block, u8 type, u64 nr, u64 epoch)
{
	struct hpm_block_head *h = block;

	*h = (struct hpm_block_head){
		.magic = cpu_to_le32(HPM_MAGIC),
		.type = type,
		.blocknr = cpu_to_le64(nr),
		.epoch = cpu_to_le64(epoch),
	};
}

void hpm_block_seal(u32 seed, void *block)
{
	struct hpm_block_head *h = block;

	h->csum = cpu_to_le32(block_csum(seed, block));
}

const char *hpm_block_fault(u32 seed, const void *block, u8 type, u64 nr)
{
	const struct hpm_block_head *h = block;

	if (le32_to_cpu(h->magic) != HPM_MAGIC)
		return "wrong magic number";
	if (le32_to_cpu(h->csum) != block_csum(seed, block))
		return "wrong checksum";
	if (le64_to_cpu(h->blocknr) != nr)
		return "written for another place";
	if (h->type != type)
		return "wrong type";
	return NULL;
}

int hpm_block_check(u32 seed, const void *block, u8 type, u64 nr)
{
	return hpm_block_fault(seed, block, type, nr) ? -EUCLEAN : 0;
}
