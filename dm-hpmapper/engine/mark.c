// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mark on the data device: it tells which pool the data belong to.
 *
 * Nothing in the metadata of a pool tells its data device from another one of
 * the same size.  With a wrong device, volumes would show the data of another
 * pool, and writes to them would destroy these data.  So the data device names
 * its pool, and the pool opens only with that device.
 *
 * Where it stands
 * ---------------
 * In small block 0, which the pool allocates to itself when it is made and
 * never frees.  Its count makes it allocated, but no volume maps it.  So it is
 * never given out, no record names it, and it is neither moved nor discarded.
 * This also holds for versions that do not know of marks, as all versions obey
 * the counts.  The mark stays with the data when they are copied or moved, or
 * when the device grows.
 *
 * Why it is believed
 * ------------------
 * The user of a volume may write anything, including a block that looks like
 * the mark of another pool.  So the content of small block 0 counts only if the
 * metadata say that the block is the pool's own: by a flag in the label, which
 * is set only when the pool is made, and by a count of HPM_MARK_COUNT.  A pool
 * that was made before there were marks has no flag: its small block 0 may
 * belong to a volume, and the pool opens without a check.
 *
 * The value of the count is one that a volume's block hardly ever has, and that
 * an older hpm_check reports as a leak, which is its mildest finding.  If an
 * older version repaired this leak, the count has changed, and the pool counts
 * as one without a mark.  The flag alone would make such a pool unusable, as
 * its block 0 may belong to a volume now.
 *
 * Crashes
 * -------
 * The mark is durable before the label with the flag is written.  If a crash
 * interrupts the making of a pool, there is no label, and the pool is made
 * again, with another uuid and another mark.  After that, the block is written
 * only if the administrator replaces a lost device by another one and says so
 * (adopt_data).
 */
#include "engine.h"
#include "array.h"
#include "block.h"
#include "mark.h"
#include "node.h"
#include "space.h"

static u32 mark_seed(void)
{
	return crc32c(~0u, "hpmapper mark", 13);
}

static void mark_fill(struct hpm_md *md, struct hpm_mark *m)
{
	BUILD_BUG_ON(sizeof(struct hpm_mark) != HPM_BLOCK_SIZE);
	memset(m, 0, sizeof(*m));
	hpm_block_init(md, m, HPM_BT_MARK, HPM_MARK_BLOCK, 0);
	memcpy(m->uuid, md->uuid, HPM_UUID_SIZE);
	strscpy((char *)m->text, HPM_MARK_TEXT, sizeof(m->text));
	hpm_block_seal(mark_seed(), m);
}

/* The block cannot have another owner: the pool is new, and its space is empty. */
static int mark_take_block(struct hpm_md *md)
{
	unsigned int i;
	int r = 0;

	lockdep_assert_held(&md->lock);
	for (i = 0; !r && i < HPM_MARK_COUNT; i++)
		r = hpm_space_count_small(md, HPM_MARK_BLOCK, 1, 1);
	return r;
}

int hpm_mark_make(struct hpm_md *md, void *buf)
{
	int r;

	mark_fill(md, buf);
	r = hpm_io_write_mark(md->io, buf);
	if (r == -EOPNOTSUPP)
		return 0;
	if (r)
		return r;

	mutex_lock(&md->lock);
	r = mark_take_block(md);
	mutex_unlock(&md->lock);
	md->marked = !r;
	return r;
}

/*
 * Is small block 0 still the pool's?  If its count cannot be read, the answer
 * is yes.
 */
static bool mark_has_block(struct hpm_md *md)
{
	struct hpm_node *leaf;
	const void *elt;
	u16 count = HPM_MARK_COUNT;
	int r;

	mutex_lock(&md->lock);
	r = hpm_array_read(md, &md->array[HPM_ARR_SMALL], HPM_MARK_BLOCK, &leaf,
			   &elt);
	if (!r)
		count = elt ? le16_to_cpu(*(const __le16 *)elt) : 0;
	if (!r && leaf)
		hpm_node_put(leaf);
	mutex_unlock(&md->lock);
	return count == HPM_MARK_COUNT;
}

/*
 * Returns what is there in place of this pool's mark; NULL: it is this pool's
 * mark.
 */
static const char *mark_fault(struct hpm_md *md, const struct hpm_mark *m)
{
	if (!hpm_block_check(mark_seed(), m, HPM_BT_MARK, HPM_MARK_BLOCK))
		return memcmp(m->uuid, md->uuid, HPM_UUID_SIZE) ?
			"the data device belongs to another pool" : NULL;
	if (le32_to_cpu(m->head.magic) == HPM_MAGIC &&
	    m->head.type == HPM_BT_LABEL)
		return "the data device holds the metadata of a pool";
	return "the data device does not begin with the pool's mark: is it the right one?";
}

/* The block is the pool's, so nothing that belongs to a volume is overwritten. */
static int mark_adopt(struct hpm_md *md, void *buf, const char *fault,
		      const char **why)
{
	hpm_warn(md, "%s; it is adopted, as was asked for", fault);
	if (md->params.read_only)
		return 0;
	*why = "the data device's mark could not be written";
	mark_fill(md, buf);
	return hpm_io_write_mark(md->io, buf);
}

int hpm_mark_check(struct hpm_md *md, void *buf, const char **why)
{
	const char *fault;
	int r;

	if (!md->marked)
		return 0;
	md->marked = mark_has_block(md);
	if (!md->marked) {
		hpm_warn(md, "the block of the data device's mark was given away by an older version: the pool has no mark any more");
		return 0;
	}

	r = hpm_io_read_mark(md->io, buf);
	if (r == -EOPNOTSUPP)
		return 0;
	if (r) {	/* one bad sector must not make the pool unusable */
		hpm_warn(md, "the data device's mark cannot be read (%d): whether these are the pool's data is not known",
			 r);
		return 0;
	}

	fault = mark_fault(md, buf);
	if (!fault)
		return 0;
	if (md->params.adopt_data)
		return mark_adopt(md, buf, fault, why);
	*why = fault;
	return -EINVAL;
}
