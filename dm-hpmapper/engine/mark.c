// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mark on the data device: whose data these are.
 *
 * Nothing in the metadata of a pool tells one data device from another of the
 * same size.  With the wrong one, volumes would show the bytes of another pool,
 * and what they write would destroy them.  So the data device names its pool,
 * and the pool opens on that one alone.
 *
 * Where it stands
 * ---------------
 * In small block 0, which the pool allocates to itself when it is made and never
 * gives back.  Its count says so: no volume maps the block, so it is allocated
 * to nobody, no record names it, and it is neither moved nor discarded.  Any
 * version goes by the counts, also one that does not know of marks.  The place
 * follows the data wherever they are copied or moved, and however they grow.
 *
 * Why it is believed
 * ------------------
 * A tenant may write whatever he likes, and that includes a block that looks
 * like the mark of another pool.  So what small block 0 holds is of interest
 * only if the metadata say that it is the pool's own: by a flag in the label,
 * which is set when the pool is made and at no other time, and by a count of
 * HPM_MARK_COUNT.  A pool from before there were marks has no flag: its small
 * block 0 is some volume's, and it opens as ever.
 *
 * The count is a number that is hardly ever a tenant's, and that an older
 * hpm_check still calls a leak, and no worse.  If somebody let that one mend
 * the leak, the count is another from then on, and the pool is one without a
 * mark.  The flag alone would lock such a pool out, as its block 0 may have
 * become a volume's.
 *
 * Crashes
 * -------
 * The mark is durable before the label is written that speaks of it.  A pool
 * whose making was cut short has no label and is made again, with another uuid
 * and another mark.  Afterwards the block is never written, but by those who
 * put another device in the place of a lost one and say so (adopt_data).
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

/* Before it is in use nobody else can have it: the space is empty. */
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
 * Is small block 0 still the pool's?  If that cannot be told, because the count
 * cannot be read, it counts as that.
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

/* What stands there in place of this pool's mark; NULL: it is this pool's. */
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
	if (r) {	/* a bad sector must not take the whole pool away */
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
