// SPDX-License-Identifier: GPL-2.0-only
/*
 * The recorded device in memory, and the pool's devices on it.
 */
#include "replay.h"

#define IMAGE_SIZE ((u64)(META_ROOM + DATA_ROOM) * SECTOR)

/* The old content of a place that was written to in a view. */
struct undo {
	u64 offset, len;
	u64 old;      /* in the arena */
	bool durable; /* by FUA */
};

static struct {
	u8 *data;
	bool view;
	struct undo *undo;
	u64 nr_undo, max_undo;
	u8 *arena;
	u64 used, size;
	u64 flushed; /* undo entries that a flush covered */
	u64 events, cut_at;
	bool cut;
} im;

static void *grow(void *p, u64 size)
{
	p = realloc(p, size);
	if (!p)
		die("no memory");
	return p;
}

void image_init(u8 data)
{
	im.data = grow(NULL, IMAGE_SIZE);
	memset(im.data, 0, (u64)META_ROOM * SECTOR);
	memset(im.data + (u64)META_ROOM * SECTOR, data,
	       (u64)DATA_ROOM * SECTOR);
}

static struct undo *remember(u64 offset, u64 len)
{
	struct undo *u;

	if (im.nr_undo == im.max_undo) {
		im.max_undo = im.max_undo * 2 + 1024;
		im.undo = grow(im.undo, im.max_undo * sizeof(*u));
	}
	while (im.used + len > im.size) {
		im.size = im.size * 2 + (1 << 20);
		im.arena = grow(im.arena, im.size);
	}
	u = &im.undo[im.nr_undo++];
	*u = (struct undo){ offset, len, im.used, false };
	memcpy(im.arena + im.used, im.data + offset, len);
	im.used += len;
	return u;
}

static bool inside(u64 offset, u64 len)
{
	return offset <= IMAGE_SIZE && len <= IMAGE_SIZE - offset;
}

void image_put(u64 offset, const void *data, u64 len)
{
	if (!inside(offset, len))
		die("a write behind the end of the device");
	if (im.view)
		remember(offset, len);
	memcpy(im.data + offset, data, len);
}

void image_fill(u64 offset, u64 len)
{
	if (!inside(offset, len))
		die("a discard behind the end of the device");
	if (im.view)
		remember(offset, len);
	memset(im.data + offset, DISCARDED, len);
}

const u8 *image_at(u64 offset)
{
	static const u8 nothing[HPM_BLOCK_SIZE];

	return inside(offset, HPM_BLOCK_SIZE) ? im.data + offset : nothing;
}

void image_view_open(void)
{
	im.view = true;
}

void image_view_settle(void)
{
	im.flushed = im.nr_undo;
}

void image_view_close(void)
{
	struct undo *u;

	while (im.nr_undo) {
		u = &im.undo[--im.nr_undo];
		memcpy(im.data + u->offset, im.arena + u->old, u->len);
	}
	im.used = 0;
	im.flushed = 0;
	im.cut = false;
	im.cut_at = 0;
	im.view = false;
}

/*----------------------------------------------------------------
 * The pool's devices
 *--------------------------------------------------------------*/

/*
 * Counts an event.  0: go on; 1: the power fails at this one; < 0: it is off.
 */
static int event(void)
{
	if (im.cut)
		return -EIO;
	if (++im.events != im.cut_at)
		return 0;
	im.cut = true;
	return 1;
}

void image_cut_at(u64 nth)
{
	im.cut_at = nth ? im.events + nth : 0;
}

bool image_is_cut(void)
{
	return im.cut;
}

u64 image_events(void)
{
	return im.events;
}

void image_tear(u64 *rnd, bool by_block)
{
	u64 unit = by_block ? HPM_BLOCK_SIZE : SECTOR, i, at;

	for (i = im.nr_undo; i-- > im.flushed;) {
		const struct undo u = im.undo[i];

		if (u.durable)
			continue;
		for (at = 0; at < u.len; at += unit)
			if (crash_rnd((uint64_t *)rnd, 2))
				memcpy(im.data + u.offset + at,
				       im.arena + u.old + at, unit);
	}
	im.flushed = im.nr_undo;
	im.cut = false;
	im.cut_at = 0;
}

static int io_read(struct hpm_io *io, u64 block, void *data)
{
	(void)io;
	if (block >= META_ROOM / BLOCK)
		return -EIO;
	memcpy(data, im.data + block * HPM_BLOCK_SIZE, HPM_BLOCK_SIZE);
	return 0;
}

static int put_block(u64 block, const void *data, bool durable)
{
	if (block >= META_ROOM / BLOCK)
		return -EIO;
	image_put(block * HPM_BLOCK_SIZE, data, HPM_BLOCK_SIZE);
	im.undo[im.nr_undo - 1].durable = durable;
	return 0;
}

static int io_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		    unsigned int nr)
{
	unsigned int i;
	int r = 0;

	(void)io;
	for (i = 0; i < nr && !r; i++) {
		r = event();
		if (r >= 0 && put_block(vec[i].block, vec[i].data, false))
			r = -EIO;
	}
	return r ? -EIO : 0;
}

static int io_flush_meta(struct hpm_io *io)
{
	(void)io;
	if (event())
		return -EIO;
	im.flushed = im.nr_undo;
	return 0;
}

static int io_write_run(struct hpm_io *io, u64 block, void **data,
			unsigned int nr, unsigned int flags)
{
	unsigned int i;
	int r;

	if (flags & HPM_IO_PREFLUSH && io_flush_meta(io))
		return -EIO;
	r = event();
	for (i = 0; i < nr && r >= 0; i++)
		if (put_block(block + i, data[i], flags & HPM_IO_FUA && !r))
			r = -EIO;
	return r ? -EIO : 0;
}

static int io_flush_data(struct hpm_io *io)
{
	(void)io;
	return event() ? -EIO : 0;
}

static u64 io_meta_blocks(struct hpm_io *io)
{
	(void)io;
	return META_ROOM / BLOCK;
}

static u64 io_data_blocks(struct hpm_io *io)
{
	(void)io;
	return DATA_ROOM / BLOCK;
}

static void io_close(struct hpm_io *io)
{
}

struct hpm_io *image_io(void)
{
	static const struct hpm_io_ops ops = {
		.read = io_read,
		.write = io_write,
		.write_run = io_write_run,
		.flush_meta = io_flush_meta,
		.flush_data = io_flush_data,
		.meta_blocks = io_meta_blocks,
		.data_blocks = io_data_blocks,
		.close = io_close,
	};
	static struct hpm_io io = { .ops = &ops };

	return &io;
}
