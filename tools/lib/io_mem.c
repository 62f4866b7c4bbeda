// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices in memory with volatile caches and a power switch; hpm_mem_io.h
 * tells what they promise.
 *
 * Both devices have the same implementation, with different sector sizes: an
 * array of sectors that reads see, one that is on the medium, and the writes
 * between the two.  A sector of the metadata device has 512 bytes, one of the
 * data device the 8 bytes of a stamp.
 */
#include "hpm_mem_io.h"
#include "format.h"

struct mem_write {
	struct list_head list; /* the device's writes, in start order */
	u64 id;
	u64 first; /* sector */
	u64 nr;
	bool done; /* a flush from now on covers it */
	bool fua;
	bool fails; /* fails when it ends; only that remains */
	u8 data[];
};

struct mem_dev {
	size_t sector; /* bytes */
	u64 sectors;   /* size */
	u64 alloc;     /* sectors allocated in the arrays */
	u8 *seen;
	u8 *medium;
	struct list_head writes;
};

struct mem_io {
	struct hpm_io io;
	struct mem_dev meta, data;
	u64 rng;
	u64 next_id;
	u64 events, cut_at;
	bool cut;
	u64 ops[HPM_MEM_NR_OPS];
	u64 fail_at[HPM_MEM_NR_OPS];
	bool fail_ever[HPM_MEM_NR_OPS];
	u8 mark[HPM_BLOCK_SIZE]; /* durable as soon as it is written */
};

static struct mem_io *to_mem(struct hpm_io *io)
{
	return container_of(io, struct mem_io, io);
}

/*
 * A generator of its own, so that the engine's random numbers do not depend on
 * the device.
 */
static u64 rnd(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/*
 *----------------------------------------------------------------
 * Images.  A test makes and frees thousands of the same size, and mapping and
 * zeroing each again would take longer than the test.
 *--------------------------------------------------------------
 */

#define KEPT_IMAGES 8

static struct {
	u8 *data;
	size_t size;
} kept[KEPT_IMAGES];

/* The content of the image is undefined. */
static u8 *image_get(size_t size)
{
	unsigned int i;
	u8 *data;

	for (i = 0; i < KEPT_IMAGES; i++) {
		if (!kept[i].data || kept[i].size != size)
			continue;
		data = kept[i].data;
		kept[i].data = NULL;
		return data;
	}
	data = malloc(size);
	BUG_ON(!data);
	return data;
}

static void image_put(u8 *data, size_t size)
{
	static unsigned int victim;
	unsigned int i;

	for (i = 0; i < KEPT_IMAGES && kept[i].data; i++)
		;
	if (i == KEPT_IMAGES) {
		i = victim++ % KEPT_IMAGES;
		free(kept[i].data);
	}
	kept[i].data = data;
	kept[i].size = size;
}

/*
 *----------------------------------------------------------------
 * One device
 *--------------------------------------------------------------
 */

static u8 *sector(const struct mem_dev *d, u8 *image, u64 nr)
{
	return image + nr * d->sector;
}

/* Fills sectors that were never written with non-zero content. */
static void dev_fill(struct mem_dev *d, u64 from, u64 to, u64 *rng)
{
	u64 i;

	for (i = from * d->sector; i < to * d->sector; i += sizeof(u64)) {
		u64 v = rnd(rng) | 1ull << 63;

		memcpy(d->seen + i, &v, sizeof(v));
	}
	memcpy(sector(d, d->medium, from), sector(d, d->seen, from),
	       (to - from) * d->sector);
}

static u8 *image_grow(struct mem_dev *d, u8 *old, u64 sectors)
{
	u8 *image = image_get(sectors * d->sector);

	if (old)
		memcpy(image, old, d->alloc * d->sector);
	memset(image + d->alloc * d->sector, 0,
	       (sectors - d->alloc) * d->sector);
	if (old)
		image_put(old, d->alloc * d->sector);
	return image;
}

static void dev_resize(struct mem_dev *d, u64 sectors)
{
	if (sectors > d->alloc) {
		d->seen = image_grow(d, d->seen, sectors);
		d->medium = image_grow(d, d->medium, sectors);
		d->alloc = sectors;
	}
	d->sectors = sectors;
}

static void dev_init(struct mem_dev *d, size_t sector, u64 sectors)
{
	memset(d, 0, sizeof(*d));
	d->sector = sector;
	INIT_LIST_HEAD(&d->writes);
	dev_resize(d, sectors);
}

static void dev_exit(struct mem_dev *d)
{
	struct mem_write *w, *n;

	list_for_each_entry_safe(w, n, &d->writes, list)
		free(w);
	image_put(d->seen, d->alloc * d->sector);
	image_put(d->medium, d->alloc * d->sector);
}

static bool dev_inside(const struct mem_dev *d, u64 first, u64 nr)
{
	return first <= d->sectors && nr <= d->sectors - first;
}

static void put(struct mem_dev *d, u8 *image, const struct mem_write *w)
{
	memcpy(sector(d, image, w->first), w->data, w->nr * d->sector);
}

static void dev_retire(struct mem_dev *d, struct mem_write *w)
{
	put(d, d->medium, w);
	list_del(&w->list);
	free(w);
}

/*
 * Writes everything that is complete to the medium.  A write that is still in
 * flight stays in the list, so it can still overwrite a later one: this is what
 * happens when a block is reused too early.
 */
static void dev_flush(struct mem_dev *d)
{
	struct mem_write *w, *n;

	list_for_each_entry_safe(w, n, &d->writes, list)
		if (w->done)
			dev_retire(d, w);
}

/* A FUA write does not make earlier writes in the cache durable. */
static void dev_retire_fua(struct mem_dev *d, struct mem_write *fua)
{
	struct mem_write *w;

	/* It overwrites older writes of the same sectors for good. */
	list_for_each_entry(w, &d->writes, list) {
		u64 from = max(w->first, fua->first);
		u64 to = min(w->first + w->nr, fua->first + fua->nr);

		if (w == fua)
			break;
		if (w->done && from < to)
			memcpy(w->data + (from - w->first) * d->sector,
			       fua->data + (from - fua->first) * d->sector,
			       (to - from) * d->sector);
	}
	dev_retire(d, fua);
}

static struct mem_write *dev_start(struct mem_io *m, struct mem_dev *d,
				   u64 first, u64 nr)
{
	struct mem_write *w = malloc(sizeof(*w) + nr * d->sector);

	BUG_ON(!w);
	w->id = ++m->next_id;
	w->first = first;
	w->nr = nr;
	w->done = false;
	w->fua = false;
	w->fails = false;
	list_add_tail(&w->list, &d->writes);
	return w;
}

static void dev_end(struct mem_dev *d, struct mem_write *w)
{
	put(d, d->seen, w);
	w->done = true;
	if (w->fua)
		dev_retire_fua(d, w);
}

/*
 * A write that fails may have written a part: from now on, each sector has
 * either the new or the old content.
 */
static void dev_fail(struct mem_dev *d, struct mem_write *w, u64 *rng)
{
	u64 i;

	for (i = 0; i < w->nr; i++)
		if (rnd(rng) & 1)
			memcpy(w->data + i * d->sector,
			       sector(d, d->seen, w->first + i), d->sector);
	w->fua = false;
	dev_end(d, w);
}

/*
 *----------------------------------------------------------------
 * Events and failures
 *--------------------------------------------------------------
 */

enum verdict {
	GOES_ON,
	CUT_NOW,
	IS_DEAD,
	FAILS
};

static enum verdict event(struct mem_io *m, enum hpm_mem_op op)
{
	if (m->cut)
		return IS_DEAD;
	m->ops[op]++;
	if (op != HPM_MEM_READ && op != HPM_MEM_DATA_READ &&
	    ++m->events == m->cut_at) {
		m->cut = true;
		return CUT_NOW;
	}
	if (m->fail_at[op] && m->ops[op] >= m->fail_at[op]) {
		if (!m->fail_ever[op])
			m->fail_at[op] = 0;
		return FAILS;
	}
	return GOES_ON;
}

void hpm_mem_fail(struct hpm_io *io, enum hpm_mem_op op, u64 nth, bool ever)
{
	struct mem_io *m = to_mem(io);

	m->fail_at[op] = nth ? m->ops[op] + nth : 0;
	m->fail_ever[op] = ever;
}

u64 hpm_mem_ops(struct hpm_io *io, enum hpm_mem_op op)
{
	return to_mem(io)->ops[op];
}

u64 hpm_mem_events(struct hpm_io *io)
{
	return to_mem(io)->events;
}

void hpm_mem_cut_at(struct hpm_io *io, u64 event)
{
	to_mem(io)->cut_at = event;
}

bool hpm_mem_is_cut(struct hpm_io *io)
{
	return to_mem(io)->cut;
}

/*
 *----------------------------------------------------------------
 * The metadata device
 *--------------------------------------------------------------
 */

static int mem_read(struct hpm_io *io, u64 block, void *data)
{
	struct mem_io *m = to_mem(io);

	if (!dev_inside(&m->meta, block * HPM_SECTORS, HPM_SECTORS) ||
	    event(m, HPM_MEM_READ) != GOES_ON)
		return -EIO;
	memcpy(data, sector(&m->meta, m->meta.seen, block * HPM_SECTORS),
	       HPM_BLOCK_SIZE);
	return 0;
}

static int mem_put(struct mem_io *m, u64 block, void **data, unsigned int nr,
		   bool fua, enum hpm_mem_op op)
{
	struct mem_write *w;
	enum verdict v;
	unsigned int i;

	if (!dev_inside(&m->meta, block * HPM_SECTORS, (u64)nr * HPM_SECTORS))
		return -EIO;
	v = event(m, op);
	if (v == IS_DEAD)
		return -EIO;
	w = dev_start(m, &m->meta, block * HPM_SECTORS, (u64)nr * HPM_SECTORS);
	for (i = 0; i < nr; i++)
		memcpy(w->data + (size_t)i * HPM_BLOCK_SIZE, data[i],
		       HPM_BLOCK_SIZE);
	w->fua = fua;
	if (v == FAILS)
		dev_fail(&m->meta, w, &m->rng);
	else if (v == GOES_ON)
		dev_end(&m->meta, w);
	return v == GOES_ON ? 0 : -EIO;
}

/* The order is undefined, so it is shuffled. */
static int mem_write(struct hpm_io *io, const struct hpm_io_vec *vec,
		     unsigned int nr)
{
	struct mem_io *m = to_mem(io);
	unsigned int i, *order;
	int r, err = 0;

	order = calloc(nr + 1, sizeof(*order));
	BUG_ON(!order);
	for (i = 0; i < nr; i++) {
		unsigned int j = rnd(&m->rng) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < nr; i++) {
		void *data = vec[order[i]].data;

		r = mem_put(m, vec[order[i]].block, &data, 1, false,
			    HPM_MEM_WRITE);
		if (r)
			err = r;
	}
	free(order);
	return err;
}

static int mem_flush(struct mem_io *m, struct mem_dev *d, enum hpm_mem_op op)
{
	if (event(m, op) != GOES_ON)
		return -EIO;
	dev_flush(d);
	return 0;
}

static int mem_write_run(struct hpm_io *io, u64 block, void **data,
			 unsigned int nr, unsigned int flags)
{
	struct mem_io *m = to_mem(io);

	BUG_ON(!nr || nr > HPM_MAX_BATCH_BLOCKS);
	if (flags & HPM_IO_PREFLUSH &&
	    mem_flush(m, &m->meta, HPM_MEM_FLUSH_META))
		return -EIO;
	return mem_put(m, block, data, nr, flags & HPM_IO_FUA, HPM_MEM_RUN);
}

static int mem_flush_meta(struct hpm_io *io)
{
	return mem_flush(to_mem(io), &to_mem(io)->meta, HPM_MEM_FLUSH_META);
}

static int mem_flush_data(struct hpm_io *io)
{
	return mem_flush(to_mem(io), &to_mem(io)->data, HPM_MEM_FLUSH_DATA);
}

static u64 mem_meta_blocks(struct hpm_io *io)
{
	return to_mem(io)->meta.sectors / HPM_SECTORS;
}

static u64 mem_data_blocks(struct hpm_io *io)
{
	return to_mem(io)->data.sectors / HPM_SECTORS;
}

/*
 *----------------------------------------------------------------
 * The data device
 *--------------------------------------------------------------
 */

u64 hpm_mem_data_start(struct hpm_io *io, u64 sector, unsigned int nr,
		       const u64 *stamps, bool fua)
{
	struct mem_io *m = to_mem(io);
	struct mem_write *w;
	enum verdict v;

	BUG_ON(!dev_inside(&m->data, sector, nr));
	v = event(m, HPM_MEM_DATA_WRITE);
	if (v == IS_DEAD)
		return 0;
	w = dev_start(m, &m->data, sector, nr);
	memcpy(w->data, stamps, nr * sizeof(u64));
	w->fua = fua;
	w->fails = v == FAILS;
	if (!w->fails)
		put(&m->data, m->data.seen, w);
	return w->id;
}

int hpm_mem_data_end(struct hpm_io *io, u64 id)
{
	struct mem_io *m = to_mem(io);
	struct mem_write *w;

	list_for_each_entry_reverse(w, &m->data.writes, list)
	{
		if (w->id != id)
			continue;
		if (m->cut)
			return -EIO;
		if (w->fails) {
			dev_fail(&m->data, w, &m->rng);
			return -EIO;
		}
		dev_end(&m->data, w);
		return 0;
	}
	return -EIO;
}

int hpm_mem_data_discard(struct hpm_io *io, u64 pbn, u64 nr, u64 stamp)
{
	u64 i, *stamps = calloc(nr * HPM_SECTORS, sizeof(u64)), id;

	BUG_ON(!stamps);
	for (i = 0; i < nr * HPM_SECTORS; i++)
		stamps[i] = stamp;
	id = hpm_mem_data_start(io, pbn * HPM_SECTORS, nr * HPM_SECTORS, stamps,
				false);
	free(stamps);
	return hpm_mem_data_end(io, id);
}

int hpm_mem_data_read(struct hpm_io *io, u64 sector_nr, unsigned int nr,
		      u64 *stamps)
{
	struct mem_io *m = to_mem(io);

	BUG_ON(!dev_inside(&m->data, sector_nr, nr));
	if (event(m, HPM_MEM_DATA_READ) != GOES_ON)
		return -EIO;
	memcpy(stamps, sector(&m->data, m->data.seen, sector_nr),
	       nr * sizeof(u64));
	return 0;
}

/*
 *----------------------------------------------------------------
 * The mark, which has bytes where the rest of the data device has stamps
 *--------------------------------------------------------------
 */

static int mem_read_mark(struct hpm_io *io, void *data)
{
	struct mem_io *m = to_mem(io);

	if (event(m, HPM_MEM_DATA_READ) != GOES_ON)
		return -EIO;
	memcpy(data, m->mark, sizeof(m->mark));
	return 0;
}

/* A write that fails, or is interrupted, has written some of its sectors. */
static int mem_write_mark(struct hpm_io *io, void *data)
{
	struct mem_io *m = to_mem(io);
	enum verdict v = event(m, HPM_MEM_DATA_WRITE);
	unsigned int at;

	for (at = 0; v != IS_DEAD && at < HPM_BLOCK_SIZE; at += 512)
		if (v == GOES_ON || rnd(&m->rng) & 1)
			memcpy(m->mark + at, (u8 *)data + at, 512);
	return v == GOES_ON ? 0 : -EIO;
}

/*
 *----------------------------------------------------------------
 * Making, changing, crashing
 *--------------------------------------------------------------
 */

static void mem_close(struct hpm_io *io)
{
	struct mem_io *m = to_mem(io);

	dev_exit(&m->meta);
	dev_exit(&m->data);
	free(m);
}

static const struct hpm_io_ops mem_ops = {
	.read = mem_read,
	.write = mem_write,
	.write_run = mem_write_run,
	.flush_meta = mem_flush_meta,
	.flush_data = mem_flush_data,
	.meta_blocks = mem_meta_blocks,
	.data_blocks = mem_data_blocks,
	.close = mem_close,
};

static const struct hpm_io_ops mem_mark_ops = {
	.read = mem_read,
	.write = mem_write,
	.write_run = mem_write_run,
	.flush_meta = mem_flush_meta,
	.flush_data = mem_flush_data,
	.meta_blocks = mem_meta_blocks,
	.data_blocks = mem_data_blocks,
	.close = mem_close,
	.read_mark = mem_read_mark,
	.write_mark = mem_write_mark,
};

void hpm_mem_with_mark(struct hpm_io *io)
{
	io->ops = &mem_mark_ops;
}

void *hpm_mem_mark(struct hpm_io *io)
{
	return to_mem(io)->mark;
}

struct hpm_io *hpm_mem_create(u64 meta_blocks, u64 data_blocks, u64 seed)
{
	struct mem_io *m = calloc(1, sizeof(*m));

	BUG_ON(!m);
	m->io.ops = &mem_ops;
	m->rng = seed;
	dev_init(&m->meta, 512, meta_blocks * HPM_SECTORS);
	dev_init(&m->data, sizeof(u64), data_blocks * HPM_SECTORS);
	dev_fill(&m->data, 0, m->data.sectors, &m->rng);
	return &m->io;
}

void hpm_mem_resize(struct hpm_io *io, u64 meta_blocks, u64 data_blocks)
{
	struct mem_io *m = to_mem(io);
	u64 old = m->data.alloc;

	dev_resize(&m->meta, meta_blocks * HPM_SECTORS);
	dev_resize(&m->data, data_blocks * HPM_SECTORS);
	if (m->data.alloc > old)
		dev_fill(&m->data, old, m->data.alloc, &m->rng);
}

void *hpm_mem_peek(struct hpm_io *io, u64 block)
{
	struct mem_io *m = to_mem(io);

	BUG_ON(!dev_inside(&m->meta, block * HPM_SECTORS, HPM_SECTORS));
	return sector(&m->meta, m->meta.seen, block * HPM_SECTORS);
}

void hpm_mem_poke(struct hpm_io *io, u64 block, const void *data)
{
	struct mem_io *m = to_mem(io);

	dev_flush(&m->meta);
	if (data != hpm_mem_peek(io, block))
		memcpy(hpm_mem_peek(io, block), data, HPM_BLOCK_SIZE);
	memcpy(sector(&m->meta, m->meta.medium, block * HPM_SECTORS),
	       hpm_mem_peek(io, block), HPM_BLOCK_SIZE);
}

/*
 * Decides which sectors of the cache have reached the medium.  Sectors of one
 * write that share their fate are a unit: the whole write, a block, or a
 * sector.
 */
static void dev_crash(struct mem_dev *to, const struct mem_dev *from,
		      enum hpm_mem_loss loss, u64 *rng)
{
	u64 i, unit, nr_writes = 0, tail, n = 0;
	const struct mem_write *w;

	to->alloc = from->sectors;
	to->sectors = from->sectors;
	to->sector = from->sector;
	INIT_LIST_HEAD(&to->writes);
	to->medium = image_get(from->sectors * from->sector);
	to->seen = image_get(from->sectors * from->sector);
	memcpy(to->medium, from->medium, from->sectors * from->sector);
	list_for_each_entry(w, &from->writes, list)
		nr_writes++;
	tail = rnd(rng) % (nr_writes + 1);

	list_for_each_entry(w, &from->writes, list) {
		bool stays = loss == HPM_LOSE_NONE ||
			     (loss == HPM_LOSE_TAIL && n++ < tail);

		unit = loss == HPM_LOSE_SECTORS ? 1 :
		       loss == HPM_LOSE_BLOCKS	? HPM_SECTORS :
						  w->nr;
		for (i = 0; i < w->nr; i++) {
			if (loss >= HPM_LOSE_WRITES && i % unit == 0)
				stays = rnd(rng) & 1;
			if (stays)
				memcpy(sector(to, to->medium, w->first + i),
				       w->data + i * from->sector,
				       from->sector);
		}
	}
	memcpy(to->seen, to->medium, from->sectors * from->sector);
}

struct hpm_io *hpm_mem_crash(struct hpm_io *io, enum hpm_mem_loss loss,
			     u64 seed)
{
	struct mem_io *m = to_mem(io), *c = calloc(1, sizeof(*c));

	BUG_ON(!c);
	c->io.ops = io->ops;
	memcpy(c->mark, m->mark, sizeof(c->mark));
	c->rng = seed;
	dev_crash(&c->meta, &m->meta, loss, &seed);
	dev_crash(&c->data, &m->data, loss, &seed);
	return &c->io;
}
