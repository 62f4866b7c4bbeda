// SPDX-License-Identifier: GPL-2.0-only
#include "engine.h"
#include "refs.h"
#include "space.h"

#include "pool_maker.h"

#define MAX_VOLS 32

struct maker {
	const struct make_params *p;
	struct hpm_md *md;
	u64 rng;
	struct hpm_vol *vol[MAX_VOLS];
	struct hpm_stock stock;
};

static u64 rnd(struct maker *m, u64 n)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng % n;
}

static void drained(void *ctx, struct list_head *batches)
{
	struct maker *m = ctx;
	struct hpm_free_batch *b, *n;

	list_for_each_entry_safe(b, n, batches, list) {
		list_del(&b->list);
		hpm_free_done(m->md, b);
	}
}

static const struct hpm_md_ops ops = { .drain = drained };

static int record(struct maker *m, struct hpm_vol *vol, u8 type, u64 vbn,
		  u32 nr, u64 pbn)
{
	struct hpm_change *c;
	LIST_HEAD(waiters);
	int r = hpm_credit_wait(m->md, 1, type == HPM_REC_UNMAP);

	if (r)
		return r;
	c = hpm_change_alloc(m->md, GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	c->vol = vol;
	c->type = type;
	c->vbn = vbn;
	c->nr = nr;
	c->pbn = pbn;
	r = hpm_change_lock(c, NULL);
	if (r)
		return r;
	hpm_change_publish(c, &waiters);
	return hpm_md_apply(m->md);
}

static int refill(struct maker *m)
{
	int r = hpm_space_refill(m->md, &m->stock);

	if (r != -ENOSPC)
		return r;
	r = hpm_md_commit(m->md);
	return r ? r : hpm_space_refill(m->md, &m->stock);
}

static int write_small(struct maker *m, struct hpm_vol *vol)
{
	u32 size = 1u << m->p->large_shift;
	u64 vbn = rnd(m, m->p->vol_blocks), pbn;
	u32 nr = min_t(u64, 1 + rnd(m, 16), size - (vbn & (size - 1)));
	u32 got = hpm_stock_take(&m->stock, nr, &pbn);
	int r;

	if (!got) {
		r = refill(m);
		if (r)
			return r;
		got = hpm_stock_take(&m->stock, nr, &pbn);
	}
	return got ? record(m, vol, HPM_REC_MAP, vbn, got, pbn) : 0;
}

static u64 some_large(struct maker *m)
{
	u64 size = 1u << m->p->large_shift;

	return rnd(m, m->p->vol_blocks / size) * size;
}

static int write_large(struct maker *m, struct hpm_vol *vol)
{
	u64 pbn;
	int r = hpm_space_take_large(m->md, &pbn);

	if (r)
		return r;
	return record(m, vol, HPM_REC_LARGE, some_large(m),
		      1u << m->p->large_shift, pbn);
}

static int discard(struct maker *m, struct hpm_vol *vol)
{
	u32 size = 1u << m->p->large_shift;
	u64 vbn = rnd(m, m->p->vol_blocks);
	u32 nr = min_t(u64, 1 + rnd(m, size), size - (vbn & (size - 1)));

	return record(m, vol, HPM_REC_UNMAP, vbn, nr, 0);
}

/* Punches what is hidden in a base, if there is one. */
static int punch(struct maker *m, struct hpm_vol *vol)
{
	u32 size = 1u << m->p->large_shift, at;
	u64 lvbn = some_large(m);
	struct hpm_run run;

	for (at = 0; at < size; at += run.nr) {
		run.nr = 0;
		while (hpm_map_lookup(vol, lvbn + at, size - at, &run) ==
		       -EAGAIN)
			if (hpm_map_load(vol, lvbn + at))
				return -EIO;
		if (!run.nr)
			return 0;
		if (run.base)
			return record(m, vol, HPM_REC_PUNCH, lvbn, size,
				      run.pbn - at);
	}
	return 0;
}

static int delete (struct maker *m, unsigned int i)
{
	const char *why;
	int r;

	if (!i)
		return 0;
	hpm_vol_put(m->vol[i]);
	m->vol[i] = NULL;
	r = hpm_vol_delete(m->md, i, &why);
	while (!r && !m->p->dying && hpm_md_reclaim_step(m->md) > 0)
		;
	return r;
}

static int snapshot(struct maker *m, unsigned int origin)
{
	unsigned int i = 1 + rnd(m, m->p->max_vols - 1);
	const char *why;
	char name[32];
	int r = m->vol[i] ? delete (m, i) : 0;

	if (r || i == origin || !m->vol[origin])
		return r;
	snprintf(name, sizeof(name), "snap-%u", i);
	r = hpm_vol_snapshot(m->md, i, origin, rnd(m, 2) ? name : "", &why);
	return r ? r : hpm_vol_open(m->md, i, &m->vol[i]);
}

static int step(struct maker *m)
{
	unsigned int i = rnd(m, m->p->max_vols);

	while (!m->vol[i])
		i = rnd(m, m->p->max_vols);
	switch (rnd(m, 64)) {
	case 0:
		return snapshot(m, i);
	case 1:
		return rnd(m, 4) ? 0 : delete (m, i);
	case 2 ... 6:
		return write_large(m, m->vol[i]);
	case 7 ... 10:
		return discard(m, m->vol[i]);
	case 11 ... 20:
		return punch(m, m->vol[i]);
	case 21:
		return hpm_md_commit(m->md);
	case 22:
		return rnd(m, 8) ? 0 : hpm_md_checkpoint(m->md);
	default:
		return write_small(m, m->vol[i]);
	}
}

static int history(struct maker *m, unsigned int steps)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < steps && !r; i++) {
		r = step(m);
		if (r == -ENOSPC)
			r = 0;
	}
	return r;
}

static int make(struct maker *m)
{
	const char *why;
	int r = hpm_vol_create(m->md, 0, m->p->vol_blocks, "first", &why);

	if (!r)
		r = hpm_vol_open(m->md, 0, &m->vol[0]);
	if (!r)
		r = hpm_md_set_transaction_id(m->md, 0, 7, &why);
	if (!r)
		r = history(m, m->p->steps / 2);
	if (!r && m->p->hold)
		r = hpm_md_hold(m->md, &why);
	if (!r)
		r = history(m, m->p->steps - m->p->steps / 2);
	if (!r)
		r = hpm_md_checkpoint(m->md);
	if (!r && m->p->journal)
		r = history(m, 64);
	if (!r)
		r = hpm_md_commit(m->md);
	if (!r && m->p->check)
		r = hpm_md_set_needs_check(m->md);
	return r;
}

static const char *mark_file;

static int write_mark(struct hpm_io *io, void *data)
{
	FILE *f = fopen(mark_file, "we");

	(void)io;
	if (!f)
		return -errno;
	fwrite(data, HPM_BLOCK_SIZE, 1, f);
	return fclose(f) ? -errno : 0;
}

static int read_mark(struct hpm_io *io, void *data)
{
	FILE *f = fopen(mark_file, "re");
	size_t n;

	(void)io;
	if (!f)
		return -errno;
	n = fread(data, HPM_BLOCK_SIZE, 1, f);
	fclose(f);
	return n == 1 ? 0 : -EIO;
}

/* The tools have no data device; here a file stands for its first block. */
static void with_mark(struct hpm_io *io, const char *file)
{
	static struct hpm_io_ops marked_ops;

	mark_file = file;
	marked_ops = *io->ops;
	marked_ops.read_mark = read_mark;
	marked_ops.write_mark = write_mark;
	io->ops = &marked_ops;
}

int make_pool(struct dev *dev, const struct make_params *p)
{
	const struct hpm_md_params params = {
		.large_shift = p->large_shift,
		.may_format = true,
	};
	struct maker m = { .p = p, .rng = p->seed * 0x9e3779b97f4a7c15ull | 1 };
	struct hpm_io *io = dev_io(dev, p->data_blocks, true);
	const char *why = "out of memory";
	unsigned int i;
	int r = -ENOMEM;

	hpm_stock_init(&m.stock);
	if (io && p->mark)
		with_mark(io, p->mark);
	if (io)
		r = hpm_md_open(io, &params, &ops, &m, &m.md, &why);
	if (r) {
		dev_io_free(io);
		return complain("the pool cannot be made: %s", why), r;
	}
	r = make(&m);
	hpm_space_return(m.md, &m.stock);
	for (i = 0; i < MAX_VOLS; i++)
		if (m.vol[i])
			hpm_vol_put(m.vol[i]);
	if (!r && !p->journal)
		r = hpm_md_shutdown(m.md);
	hpm_md_close(m.md);
	dev_io_free(io);
	return r;
}

static int go_on(struct maker *m)
{
	const char *why;
	unsigned int i;
	int r = hpm_vol_open(m->md, 0, &m->vol[0]);

	for (i = 0; i < 200 && !r; i++)
		r = write_small(m, m->vol[0]);
	if (r == -ENOSPC) /* a full pool can still be emptied */
		r = 0;
	if (!r)
		r = hpm_vol_snapshot(m->md, 999, 0, "later", &why);
	return r ? r : hpm_md_checkpoint(m->md);
}

int use_pool(struct dev *dev, u64 data_blocks, const char *mark)
{
	const struct hpm_md_params params = { 0 };
	struct make_params p = { .vol_blocks = 256 };
	struct maker m = { .p = &p, .rng = 1 };
	struct hpm_io *io = dev_io(dev, data_blocks, true);
	const char *why = "out of memory";
	int r = -ENOMEM;

	hpm_stock_init(&m.stock);
	if (io && mark)
		with_mark(io, mark);
	if (io)
		r = hpm_md_open(io, &params, &ops, &m, &m.md, &why);
	if (r) {
		dev_io_free(io);
		return complain("the pool cannot be opened: %s", why), r;
	}
	p.large_shift = m.md->large_shift;
	r = hpm_md_mode(m.md) == HPM_MODE_WRITE ? go_on(&m) : -EROFS;
	hpm_space_return(m.md, &m.stock);
	if (m.vol[0])
		hpm_vol_put(m.vol[0]);
	if (!r)
		r = hpm_md_shutdown(m.md);
	hpm_md_close(m.md);
	dev_io_free(io);
	return r;
}

/* Raises a count of each kind without a reference. */
static int leak(struct hpm_md *md)
{
	u64 pbn = md->space.nr_blocks - md->large_size, block;
	int r;

	mutex_lock(&md->lock);
	r = hpm_refs_alloc(md, &block);
	if (!r)
		r = hpm_space_count_small(md, 1, 2, 1);
	if (!r)
		r = hpm_space_count_large(md, pbn, 1);
	mutex_unlock(&md->lock);
	return r ? r : hpm_md_checkpoint(md);
}

int spoil_pool(struct dev *dev, u64 data_blocks, bool flag)
{
	const struct hpm_md_params params = { .ignore_needs_check = true };
	struct hpm_io *io = dev_io(dev, data_blocks, true);
	struct hpm_md *md;
	const char *why;
	int r = io ? hpm_md_open(io, &params, NULL, NULL, &md, &why) : -ENOMEM;

	if (!r) {
		r = flag ? hpm_md_set_needs_check(md) : leak(md);
		hpm_md_close(md);
	}
	dev_io_free(io);
	return r;
}
