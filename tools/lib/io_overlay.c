// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps writes in memory, in front of devices that are only read.  So a pool
 * can be recovered and looked at, and its devices do not change.
 */
#include "hpm_lib.h"
#include "format.h"

#define OVERLAY_BITS 12

struct overlay_block {
	struct hlist_node hash;
	u64 block;
	u8 data[HPM_BLOCK_SIZE];
};

struct overlay_io {
	struct hpm_io io;
	struct hpm_io *lower;
	struct hlist_head hash[1 << OVERLAY_BITS];
};

static struct overlay_io *to_overlay(struct hpm_io *io)
{
	return container_of(io, struct overlay_io, io);
}

static struct overlay_block *overlay_find(struct overlay_io *o, u64 block)
{
	struct overlay_block *b;

	hlist_for_each_entry(b, &o->hash[hash_64(block, OVERLAY_BITS)],
			     hash) if (b->block == block) return b;
	return NULL;
}

static int overlay_read(struct hpm_io *io, u64 block, void *data)
{
	struct overlay_io *o = to_overlay(io);
	struct overlay_block *b = overlay_find(o, block);

	if (!b)
		return o->lower->ops->read(o->lower, block, data);
	memcpy(data, b->data, HPM_BLOCK_SIZE);
	return 0;
}

static int overlay_put(struct overlay_io *o, u64 block, const void *data)
{
	struct overlay_block *b = overlay_find(o, block);

	if (block >= o->lower->ops->meta_blocks(o->lower))
		return -EIO;
	if (!b) {
		b = malloc(sizeof(*b));
		if (!b)
			return -ENOMEM;
		b->block = block;
		hlist_add_head(&b->hash,
			       &o->hash[hash_64(block, OVERLAY_BITS)]);
	}
	memcpy(b->data, data, HPM_BLOCK_SIZE);
	return 0;
}

static int overlay_write(struct hpm_io *io, const struct hpm_io_vec *vec,
			 unsigned int nr)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < nr && !r; i++)
		r = overlay_put(to_overlay(io), vec[i].block, vec[i].data);
	return r;
}

static int overlay_write_run(struct hpm_io *io, u64 block, void **data,
			     unsigned int nr, unsigned int flags)
{
	unsigned int i;
	int r = 0;

	(void)flags;
	for (i = 0; i < nr && !r; i++)
		r = overlay_put(to_overlay(io), block + i, data[i]);
	return r;
}

/* The overlay does not outlive the program, so there is nothing to flush. */
static int overlay_flush(struct hpm_io *io)
{
	(void)io;
	return 0;
}

static u64 overlay_meta_blocks(struct hpm_io *io)
{
	return hpm_io_meta_blocks(to_overlay(io)->lower);
}

static u64 overlay_data_blocks(struct hpm_io *io)
{
	return hpm_io_data_blocks(to_overlay(io)->lower);
}

static void overlay_close(struct hpm_io *io)
{
	struct overlay_io *o = to_overlay(io);
	struct overlay_block *b;
	struct hlist_node *n;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(o->hash); i++)
		hlist_for_each_entry_safe(b, n, &o->hash[i], hash) free(b);
	free(o);
}

static const struct hpm_io_ops overlay_ops = {
	.read = overlay_read,
	.write = overlay_write,
	.write_run = overlay_write_run,
	.flush_meta = overlay_flush,
	.flush_data = overlay_flush,
	.meta_blocks = overlay_meta_blocks,
	.data_blocks = overlay_data_blocks,
	.close = overlay_close,
};

struct hpm_io *hpm_io_overlay(struct hpm_io *lower)
{
	struct overlay_io *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->io.ops = &overlay_ops;
	o->lower = lower;
	return &o->io;
}
