// SPDX-License-Identifier: GPL-2.0-only
/*
 * The label, which says what pool this is and how it is laid out.
 */
#include "engine.h"
#include "block.h"
#include "label.h"

void hpm_set_uuid(struct hpm_md *md, const u8 *uuid)
{
	memcpy(md->uuid, uuid, HPM_UUID_SIZE);
	md->seed = crc32c(~0u, md->uuid, HPM_UUID_SIZE);
}

void hpm_set_large_shift(struct hpm_md *md, unsigned int shift)
{
	md->large_shift = shift;
	md->large_size = 1u << shift;
}

int hpm_label_write(struct hpm_md *md, u64 block, struct hpm_label *label)
{
	void *data = label;

	memset(label, 0, sizeof(*label));
	hpm_block_init(md, label, HPM_BT_LABEL, block, 0);
	label->version = cpu_to_le32(HPM_FORMAT_VERSION);
	label->large_shift = cpu_to_le32(md->large_shift);
	memcpy(label->uuid, md->uuid, HPM_UUID_SIZE);
	label->journal_start = cpu_to_le64(md->journal_start);
	label->journal_blocks = cpu_to_le64(md->journal_blocks);
	label->created_with_blocks = cpu_to_le64(md->meta_blocks);
	if (md->marked)
		label->compat = cpu_to_le64(HPM_COMPAT_MARK);
	hpm_block_seal(hpm_label_seed(), label);
	return hpm_io_write_run(md->io, block, &data, 1,
				HPM_IO_PREFLUSH | HPM_IO_FUA);
}

static int check_features(const struct hpm_label *l, bool *ro,
			  const char **why)
{
	if (le32_to_cpu(l->version) != HPM_FORMAT_VERSION) {
		*why = "the pool's format has another version";
		return -EOPNOTSUPP;
	}
	if (le64_to_cpu(l->incompat) & ~HPM_INCOMPAT_SUPPORTED) {
		*why = "the pool uses features that this version does not know";
		return -EOPNOTSUPP;
	}
	*ro = le64_to_cpu(l->compat_ro) & ~HPM_COMPAT_RO_SUPPORTED;
	return 0;
}

int hpm_label_take(struct hpm_md *md, const struct hpm_label *l,
		   const char **why)
{
	u32 shift = le32_to_cpu(l->large_shift);
	bool ro;
	int r;

	if (le32_to_cpu(l->head.magic) != HPM_MAGIC) {
		*why = "the metadata device holds something that is not a pool";
		return -EINVAL;
	}
	if (l->head.type == HPM_BT_MARK) {
		*why = "the metadata device is a pool's data device";
		return -EINVAL;
	}
	if (hpm_block_check(hpm_label_seed(), l, HPM_BT_LABEL, HPM_LABEL_BLOCK)) {
		*why = "the pool's label (metadata block 0) is damaged";
		return -EUCLEAN;
	}
	r = check_features(l, &ro, why);
	if (r)
		return r;
	if (ro && !md->params.read_only) {
		*why = "the pool has features that allow reading only";
		return -EROFS;
	}
	if (shift < HPM_MIN_LARGE_SHIFT || shift > HPM_MAX_LARGE_SHIFT) {
		*why = "the pool's label (metadata block 0) is damaged";
		return -EUCLEAN;
	}
	if (md->large_shift && md->large_shift != shift) {
		*why = "the pool has another large block size";
		return -EINVAL;
	}
	hpm_set_large_shift(md, shift);
	hpm_set_uuid(md, l->uuid);
	md->marked = le64_to_cpu(l->compat) & HPM_COMPAT_MARK;
	md->journal_start = le64_to_cpu(l->journal_start);
	md->journal_blocks = le64_to_cpu(l->journal_blocks);
	if (md->journal_start < HPM_RESERVED_BLOCKS ||
	    md->journal_blocks < 64 || md->journal_blocks > 1 << 20 ||
	    md->journal_start > HPM_MAX_META_BLOCKS) {
		*why = "the pool's label (metadata block 0) is damaged";
		return -EUCLEAN;
	}
	return 0;
}
