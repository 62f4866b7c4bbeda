// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine on a tool's device.  When a pool is only looked at, writes stay in
 * memory in front of the device.  So the journal of a pool that was not shut
 * down is replayed by the same code as in the kernel, and the device does not
 * change.
 */
#include "meta.h"
#include "metadata-pool.h"
#include "mend.h"

/*----------------------------------------------------------------
 * Written blocks, by number
 *--------------------------------------------------------------*/

#define OVERLAY_BITS 12

struct over_block {
	struct over_block *next;
	u64 block;
	u8 data[HPM_BLOCK_SIZE];
};

struct overlay {
	struct over_block *hash[1 << OVERLAY_BITS];
};

static struct over_block *over_find(const struct overlay *o, u64 block)
{
	struct over_block *b = o->hash[block & ((1 << OVERLAY_BITS) - 1)];

	while (b && b->block != block)
		b = b->next;
	return b;
}

const void *overlay_peek(const struct overlay *o, u64 block)
{
	struct over_block *b = over_find(o, block);

	return b ? b->data : NULL;
}

static int over_put(struct overlay *o, u64 block, const void *data)
{
	struct over_block *b = over_find(o, block), **head;

	if (!b) {
		b = malloc(sizeof(*b));
		if (!b)
			return -ENOMEM;
		head = &o->hash[block & ((1 << OVERLAY_BITS) - 1)];
		b->block = block;
		b->next = *head;
		*head = b;
	}
	memcpy(b->data, data, HPM_BLOCK_SIZE);
	return 0;
}

void overlay_free(struct overlay *o)
{
	struct over_block *b, *next;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(o->hash); i++) {
		for (b = o->hash[i]; b; b = next) {
			next = b->next;
			free(b);
		}
	}
	free(o);
}

/*----------------------------------------------------------------
 * The engine's I/O layer
 *--------------------------------------------------------------*/

struct tool_io {
	struct hpm_io io;
	struct dev *dev;
	u64 data_blocks;
	bool keep; /* writes go to the device */
};

static struct tool_io *to_tool(struct hpm_io *io)
{
	return container_of(io, struct tool_io, io);
}

static int io_read(struct hpm_io *io, u64 block, void *data)
{
	return dev_read(to_tool(io)->dev, block, 1, data);
}

static int io_put(struct tool_io *t, u64 block, const void *data)
{
	if (block >= t->dev->blocks)
		return -EIO;
	return t->keep ? dev_write(t->dev, block, 1, data) :
			 over_put(t->dev->over, block, data);
}

static int io_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		    unsigned int nr)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < nr && !r; i++)
		r = io_put(to_tool(io), vec[i].block, vec[i].data);
	return r;
}

static int io_flush(struct hpm_io *io)
{
	struct tool_io *t = to_tool(io);

	return t->keep ? dev_flush(t->dev) : 0;
}

static int io_write_run(struct hpm_io *io, u64 block, void **data,
			unsigned int nr, unsigned int flags)
{
	unsigned int i;
	int r = flags & HPM_IO_PREFLUSH ? io_flush(io) : 0;

	for (i = 0; i < nr && !r; i++)
		r = io_put(to_tool(io), block + i, data[i]);
	return !r && flags & HPM_IO_FUA ? io_flush(io) : r;
}

/* No tool writes data, so there is nothing to flush. */
static int io_flush_data(struct hpm_io *io)
{
	(void)io;
	return 0;
}

static u64 io_meta_blocks(struct hpm_io *io)
{
	return to_tool(io)->dev->blocks;
}

static u64 io_data_blocks(struct hpm_io *io)
{
	return to_tool(io)->data_blocks;
}

static const struct hpm_io_ops tool_io_ops = {
	.read = io_read,
	.write = io_write,
	.write_run = io_write_run,
	.flush_meta = io_flush,
	.flush_data = io_flush_data,
	.meta_blocks = io_meta_blocks,
	.data_blocks = io_data_blocks,
};

struct hpm_io *dev_io(struct dev *d, u64 data_blocks, bool keep)
{
	struct tool_io *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct tool_io){ { &tool_io_ops }, d, data_blocks, keep };
	if (!keep && !d->over)
		d->over = calloc(1, sizeof(*d->over));
	if (!keep && !d->over) {
		free(t);
		return NULL;
	}
	return &t->io;
}

void dev_io_free(struct hpm_io *io)
{
	if (io)
		free(to_tool(io));
}

/* No tool allocates data blocks, so freed ones need not be given back. */
static void drained(void *ctx, struct list_head *batches)
{
	struct hpm_free_batch *b, *next;

	(void)ctx;
	list_for_each_entry_safe(b, next, batches, list) {
		list_del(&b->list);
		kfree(b);
	}
}

const struct hpm_md_ops tool_md_ops = { .drain = drained };

/*
 * Keeps only as many nodes as a replay uses repeatedly, so that the memory of
 * the engine and that of the check together stay within the limit of a check.
 */
#define REPLAY_NODES 4096

int pool_replay(struct pool *p, const char **why)
{
	const struct hpm_md_params params = {
		.name = p->dev.path,
		.ignore_needs_check = true,
		.cache_nodes = REPLAY_NODES,
	};
	struct hpm_io *io = dev_io(&p->dev, p->data_blocks, false);
	struct hpm_md *md;
	int r;

	*why = "out of memory";
	if (!io)
		return -ENOMEM;
	r = hpm_md_open(io, &params, &tool_md_ops, NULL, &md, why);
	if (!r)
		hpm_md_close(md);
	dev_io_free(io);
	if (!r && pool_load(p, NULL, NULL)) {
		*why = "it left no usable superblock";
		r = -EUCLEAN;
	}
	return r;
}
