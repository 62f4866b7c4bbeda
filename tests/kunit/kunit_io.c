// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's devices in memory, for KUnit; io.c is for a real pool.
 */
#include <linux/delay.h>
#include <linux/vmalloc.h>

#include "kunit_io.h"

struct hpm_io *hpm_kunit_io_new(u64 meta_blocks, u64 data_blocks)
{
	struct hpm_io *io = kzalloc(sizeof(*io), GFP_KERNEL);

	if (!io)
		return NULL;
	io->meta_blocks = meta_blocks;
	io->data_blocks = data_blocks;
	io->meta = vzalloc(meta_blocks << HPM_BLOCK_SHIFT);
	if (!io->meta) {
		kfree(io);
		return NULL;
	}
	return io;
}

void hpm_kunit_io_free(struct hpm_io *io)
{
	vfree(io->meta);
	kfree(io);
}

static void *block_at(struct hpm_io *io, u64 block)
{
	return io->meta + (block << HPM_BLOCK_SHIFT);
}

/* Lets others run where a real device would wait. */
static void pretend_to_wait(void)
{
	might_sleep();
	schedule();
}

int hpm_io_read(struct hpm_io *io, u64 block, void *data)
{
	if (block >= io->meta_blocks)
		return -EIO;
	pretend_to_wait();
	memcpy(data, block_at(io, block), HPM_BLOCK_SIZE);
	io->reads++;
	return 0;
}

int hpm_io_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		 unsigned int nr)
{
	unsigned int i;

	pretend_to_wait();
	for (i = 0; i < nr; i++) {
		if (vec[i].block >= io->meta_blocks)
			return -EIO;
		memcpy(block_at(io, vec[i].block), vec[i].data,
		       HPM_BLOCK_SIZE);
	}
	return 0;
}

int hpm_io_write_run(struct hpm_io *io, u64 block, void **data,
		     unsigned int nr, unsigned int flags)
{
	unsigned int i;

	pretend_to_wait();
	if (block + nr > io->meta_blocks)
		return -EIO;
	for (i = 0; i < nr; i++)
		memcpy(block_at(io, block + i), data[i], HPM_BLOCK_SIZE);
	return 0;
}

int hpm_io_flush_meta(struct hpm_io *io)
{
	pretend_to_wait();
	return 0;
}

int hpm_io_flush_data(struct hpm_io *io)
{
	pretend_to_wait();
	io->data_flushes++;
	return 0;
}

/* There is no data device, so pools here have no mark. */
int hpm_io_read_mark(struct hpm_io *io, void *data)
{
	return -EOPNOTSUPP;
}

int hpm_io_write_mark(struct hpm_io *io, void *data)
{
	return -EOPNOTSUPP;
}

u64 hpm_io_meta_blocks(struct hpm_io *io)
{
	return io->meta_blocks;
}

u64 hpm_io_data_blocks(struct hpm_io *io)
{
	return io->data_blocks;
}
