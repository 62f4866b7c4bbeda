// SPDX-License-Identifier: GPL-2.0-only
/*
 * Defragmentation: a bounded background job of a pool.
 *
 * It walks the active volumes, large block by large block, and does at most one
 * thing with each of these, the first that applies:
 *
 *  - If the small blocks are in a row at a place where a large block can be,
 *    they become one (a COLLAPSE record, nothing is copied).
 *  - A large block that is mapped as a whole, by small blocks that all belong
 *    to the volume alone, is copied to a free large block (LARGE).
 *  - Scattered small blocks that belong to the volume alone and follow each
 *    other in the volume are copied to blocks in a row (MOVE).
 *  - Blocks of a base that are hidden by overrides and to which no other volume
 *    refers are given back (PUNCH).  Hidden blocks that cannot be given back,
 *    because other volumes see other parts of the base, are counted as "pinned"
 *    in the pool's status.
 *
 * Shared blocks are never moved or copied: a shared block that is moved in one
 * volume takes one block more.
 *
 * A move
 * ------
 *  1. The gate is shut for writes to the range, and the tokens of the volume's
 *     writes are waited for (gate.c).  From here on the range keeps its mapping
 *     and its content: no write in place, and no change of it, is in flight.
 *     Reads go on.  If the wait takes long, as the volume's writes are
 *     throttled, the move is given up, and the walk continues elsewhere.
 *  2. The range is looked up again: it must have the mapping that the walk has
 *     seen, and all of it must belong to the volume alone.
 *  3. The data is copied.
 *  4. The changes are published, unless a snapshot has begun since step 1 (or
 *     before it).  A snapshot makes the blocks shared, whether its writes are
 *     parked or not.  A move that is published after it would be refused when
 *     it is applied ("if still at ..., alone"), while writers believe in it and
 *     write in place to blocks that no mapping names.  So the order is decided
 *     under the lock that parking takes: either the move is published before
 *     the parking, and so recorded before the snapshot, or not at all.
 *  5. The gate is opened.  The old blocks come back like all freed blocks,
 *     after the reads in flight on them have ended (pool-drain.c).
 *
 * After a crash before the commit, the old mapping and the old blocks are in
 * place, and nothing has written to these.  After a crash behind it, the new
 * mapping is in place, and its data was flushed before the records were
 * written.
 */
#include <linux/dm-kcopyd.h>
#include <linux/sched/mm.h>

#include "volume.h"

#define DEFAULT_LIMIT	(16 * 1024)	/* KiB/s */

/* Large blocks that one turn looks at, if it finds nothing to copy. */
#define MAX_LOOKS	256

/* Runs that are shorter than this on average, in blocks, are worth a move. */
#define SCATTERED_BELOW	8

/* Runs, and so records, of one move at most. */
#define MOVE_RUNS	64

struct scan_run {
	u64 vbn;
	u64 pbn;
	u32 nr;
	bool own;		/* mapped by small blocks, not shared */
};

struct hpm_defrag {
	struct hpm_pool *pool;
	struct delayed_work work;
	struct dm_kcopyd_client *kc;
	unsigned int limit;	/* KiB/s */
	bool stop;
	struct hpm_stock stock;

	/* position of the walk; only the work uses it */
	u32 id;
	u64 vbn;
	u64 pinned;		/* so far */

	/* the current large block */
	unsigned int nr_runs;
	struct scan_run run[1 << HPM_MAX_LARGE_SHIFT];
	struct hpm_change *change[MOVE_RUNS];
};

/*
 *----------------------------------------------------------------
 * Looking
 *--------------------------------------------------------------
 */

/*
 * No token is held: the result is a hint, and each use of it looks again or has
 * a record that is checked when it is applied.
 */
static int scan_one(struct hpm_volume *v, u64 vbn, u32 max,
		    struct scan_run *s)
{
	struct hpm_run run;
	int r;

	while ((r = hpm_map_lookup(v->vol, vbn, max, &run)) == -EAGAIN) {
		r = hpm_map_load(v->vol, vbn);
		if (r)
			break;
	}
	if (r)
		return r;
	s->vbn = vbn;
	s->pbn = run.pbn;
	s->nr = run.nr;
	s->own = run.mapped && !run.shared && !run.base;
	return 0;
}

static bool goes_on(const struct scan_run *a, const struct scan_run *b)
{
	return a->own && b->own && a->vbn + a->nr == b->vbn &&
	       a->pbn + a->nr == b->pbn;
}

static int scan(struct hpm_defrag *d, struct hpm_volume *v, u64 vbn)
{
	u64 end = vbn + hpm_large_size(v);
	struct scan_run *last = NULL, *s;
	int r;

	d->nr_runs = 0;
	for (; vbn < end; vbn = s->vbn + s->nr) {
		s = &d->run[d->nr_runs];
		r = scan_one(v, vbn, end - vbn, s);
		if (r)
			return r;
		if (last && goes_on(last, s)) {
			last->nr += s->nr;
			s = last;
		} else {
			d->nr_runs++;
			last = s;
		}
	}
	return 0;
}

static bool all_own(const struct hpm_defrag *d)
{
	unsigned int i;

	for (i = 0; i < d->nr_runs; i++)
		if (!d->run[i].own)
			return false;
	return true;
}

/*
 * Finds the first group of own runs that is worth a move.  Returns their
 * number, or 0.
 */
static unsigned int find_scattered(const struct hpm_defrag *d,
				   unsigned int *first, u32 *blocks)
{
	unsigned int i, nr;

	for (i = 0; i < d->nr_runs; i += max(nr, 1u)) {
		*blocks = 0;
		for (nr = 0; i + nr < d->nr_runs && nr < MOVE_RUNS; nr++) {
			if (!d->run[i + nr].own)
				break;
			*blocks += d->run[i + nr].nr;
		}
		*first = i;
		if (nr > 1 && *blocks < nr * SCATTERED_BELOW)
			return nr;
	}
	return 0;
}

/*
 *----------------------------------------------------------------
 * Moving
 *--------------------------------------------------------------
 */

/* Does the volume still have these runs, and do they all belong to it alone? */
static bool still_stands(struct hpm_volume *v, const struct scan_run *s,
			 unsigned int nr)
{
	struct hpm_run run;
	u32 at;

	for (; nr; nr--, s++)
		for (at = 0; at < s->nr; at += run.nr)
			if (hpm_map_lookup(v->vol, s->vbn + at, s->nr - at,
					   &run) ||
			    !run.mapped || run.shared || run.base ||
			    run.pbn != s->pbn + at)
				return false;
	return true;
}

struct copying {
	struct completion done;
	int err;
};

static void copy_done(int read_err, unsigned long write_err, void *context)
{
	struct copying *c = context;

	c->err = read_err || write_err ? -EIO : 0;
	complete(&c->done);
}

static int copy_run(struct hpm_defrag *d, u64 from, u64 to, u32 nr)
{
	struct block_device *bdev = d->pool->data_bdev;
	struct dm_io_region src = {
		.bdev = bdev,
		.sector = from * HPM_BLOCK_SECTORS,
		.count = (sector_t)nr * HPM_BLOCK_SECTORS,
	};
	struct dm_io_region dst = src;
	struct copying c = { };

	dst.sector = to * HPM_BLOCK_SECTORS;
	init_completion(&c.done);
	dm_kcopyd_copy(d->kc, &src, 1, &dst, 0, copy_done, &c);
	wait_for_completion(&c.done);
	return c.err;
}

static int copy_runs(struct hpm_defrag *d, const struct scan_run *s,
		     unsigned int nr, u64 to)
{
	int r = 0;

	for (; nr && !r; nr--, s++) {
		r = READ_ONCE(d->stop) ? -EINTR :
		    copy_run(d, s->pbn, to, s->nr);
		to += s->nr;
	}
	return r;
}

static void free_changes(struct hpm_defrag *d, unsigned int nr)
{
	while (nr--)
		hpm_change_free(d->pool->md, d->change[nr]);
}

static int alloc_changes(struct hpm_defrag *d, struct hpm_volume *v,
			 unsigned int nr, u8 type)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		d->change[i] = hpm_change_alloc(d->pool->md, GFP_NOIO);
		if (!d->change[i]) {
			free_changes(d, i);
			return -ENOMEM;
		}
		d->change[i]->vol = v->vol;
		d->change[i]->type = type;
	}
	return 0;
}

/*
 * On failure no change is left: those that were locked are cancelled, the
 * others freed.
 */
static int lock_changes(struct hpm_defrag *d, unsigned int nr)
{
	LIST_HEAD(waiters);
	unsigned int i, k;
	int r = 0;

	for (i = 0; i < nr && !r; i++)
		r = hpm_change_lock(d->change[i], NULL);
	if (!r)
		return 0;
	for (k = 0; k + 1 < i; k++)
		hpm_change_cancel(d->change[k], &waiters);
	for (; k < nr; k++)
		hpm_change_free(d->pool->md, d->change[k]);
	hpm_bio_queue_all(&waiters);
	return r;
}

/* Step 4 above. */
static int publish(struct hpm_defrag *d, struct hpm_volume *v, unsigned int nr,
		   unsigned int parkings)
{
	LIST_HEAD(waiters);
	unsigned long flags;
	unsigned int i;
	bool snap;
	int r;

	r = lock_changes(d, nr);
	if (r)
		return r;
	spin_lock_irqsave(&v->lock, flags);
	snap = v->parkers || v->parkings != parkings;
	for (i = 0; i < nr; i++) {
		if (snap)
			hpm_change_cancel(d->change[i], &waiters);
		else
			hpm_change_publish(d->change[i], &waiters);
	}
	spin_unlock_irqrestore(&v->lock, flags);
	hpm_bio_queue_all(&waiters);
	return snap ? -EBUSY : 0;
}

static unsigned int parkings_so_far(struct hpm_volume *v)
{
	unsigned long flags;
	unsigned int n;

	spin_lock_irqsave(&v->lock, flags);
	n = v->parkings;
	spin_unlock_irqrestore(&v->lock, flags);
	return n;
}

static void describe_moves(struct hpm_defrag *d, const struct scan_run *s,
			   unsigned int nr, u64 to)
{
	unsigned int i;

	for (i = 0; i < nr; i++, s++) {
		d->change[i]->vbn = s->vbn;
		d->change[i]->nr = s->nr;
		d->change[i]->old = s->pbn;
		d->change[i]->pbn = to;
		to += s->nr;
	}
}

static void describe_large(struct hpm_defrag *d, u64 vbn, u32 nr, u64 to)
{
	d->change[0]->vbn = vbn;
	d->change[0]->nr = nr;
	d->change[0]->pbn = to;
}

/* Steps 2 to 4, with the gate shut for the range. */
static int move_shut(struct hpm_defrag *d, struct hpm_volume *v,
		     const struct scan_run *s, unsigned int nr, u32 blocks,
		     u64 to, u8 type)
{
	unsigned int nr_changes = type == HPM_REC_LARGE ? 1 : nr;
	unsigned int parkings = parkings_so_far(v);
	int r;

	if (!still_stands(v, s, nr))
		return -EBUSY;
	r = copy_runs(d, s, nr, to);
	if (!r)
		r = alloc_changes(d, v, nr_changes, type);
	if (r)
		return r;
	if (type == HPM_REC_LARGE)
		describe_large(d, s->vbn, blocks, to);
	else
		describe_moves(d, s, nr, to);
	return publish(d, v, nr_changes, parkings);
}

/* Takes over the @blocks reserved at @to. */
static int move(struct hpm_defrag *d, struct hpm_volume *v,
		const struct scan_run *s, unsigned int nr, u32 blocks, u64 to,
		u8 type)
{
	unsigned int credits = type == HPM_REC_LARGE ? 1 : nr;
	struct hpm_md *md = d->pool->md;
	int r;

	r = hpm_credit_wait(md, credits, HPM_FOR_DATA);
	if (r)
		goto out;
	if (hpm_gate_move_begin(v, s->vbn, blocks, &d->stop))
		r = move_shut(d, v, s, nr, blocks, to, type);
	else
		r = -EBUSY;
	hpm_gate_move_end(v);
	if (!r) {
		atomic64_add(blocks, &d->pool->defrag_moved);
		return 0;
	}
	hpm_credit_put(md, credits);
out:
	hpm_space_unreserve(md, to, blocks);
	return r;
}

/*
 *----------------------------------------------------------------
 * One large block.  Return how many small blocks were copied.
 *--------------------------------------------------------------
 */

static u32 make_large(struct hpm_defrag *d, struct hpm_volume *v)
{
	u32 blocks = hpm_large_size(v);
	u64 to;

	if (d->nr_runs == 1 && !(d->run[0].pbn & (blocks - 1))) {
		hpm_collapse(v, d->run[0].vbn, d->run[0].pbn);
		return 0;
	}
	if (hpm_space_take_large(d->pool->md, &to))
		return 0;
	return move(d, v, d->run, d->nr_runs, blocks, to, HPM_REC_LARGE) ?
	       0 : blocks;
}

/*
 * Returns how many of the @nr runs fit in @room blocks, and the number of their
 * blocks.
 */
static unsigned int fit_runs(const struct scan_run *s, unsigned int nr,
			     u32 room, u32 *blocks)
{
	unsigned int i;

	*blocks = 0;
	for (i = 0; i < nr && *blocks + s[i].nr <= room; i++)
		*blocks += s[i].nr;
	return i;
}

static u32 gather(struct hpm_defrag *d, struct hpm_volume *v)
{
	unsigned int first, nr;
	u32 blocks, got;
	u64 to;

	nr = find_scattered(d, &first, &blocks);
	if (!nr)
		return 0;
	if (READ_ONCE(d->stock.blocks) < blocks &&
	    hpm_space_refill(d->pool->md, &d->stock))
		return 0;
	got = hpm_stock_take(&d->stock, blocks, &to);
	nr = fit_runs(d->run + first, nr, got, &blocks);
	if (nr < 2)
		blocks = 0;
	hpm_stock_give(&d->stock, to + blocks, got - blocks);
	if (!blocks)
		return 0;
	return move(d, v, d->run + first, nr, blocks, to, HPM_REC_MOVE) ?
	       0 : blocks;
}

/* A PUNCH changes no block that can be read, so the gate stays open. */
static void punch(struct hpm_defrag *d, struct hpm_volume *v, u64 vbn,
		  const struct hpm_survey *survey)
{
	struct hpm_md *md = d->pool->md;
	struct hpm_change *c;
	LIST_HEAD(waiters);

	if (hpm_credit_wait(md, 1, HPM_FOR_DATA))
		return;
	c = hpm_change_alloc(md, GFP_NOIO);
	if (c) {
		c->vol = v->vol;
		c->type = HPM_REC_PUNCH;
		c->vbn = vbn;
		c->pbn = survey->base;
		c->nr = hpm_large_size(v);
		if (!hpm_change_lock(c, NULL)) {
			hpm_change_publish(c, &waiters);
			hpm_bio_queue_all(&waiters);
			return;
		}
		hpm_change_free(md, c);
	}
	hpm_credit_put(md, 1);
}

static u32 tidy_large(struct hpm_defrag *d, struct hpm_volume *v, u64 vbn)
{
	struct hpm_survey survey;
	u32 copied;

	if (scan(d, v, vbn))
		return 0;
	copied = all_own(d) ? make_large(d, v) : gather(d, v);
	if (copied || hpm_map_survey(v->vol, vbn, &survey) || !survey.hidden)
		return copied;
	if (survey.punchable)
		punch(d, v, vbn, &survey);
	else
		d->pinned += survey.hidden;
	return 0;
}

/*
 *----------------------------------------------------------------
 * The walk
 *--------------------------------------------------------------
 */

/*
 * Returns the active volume with the lowest id >= d->id, with a reference, or
 * NULL.
 */
static struct hpm_volume *find_volume(struct hpm_defrag *d)
{
	struct hpm_pool *pool = d->pool;
	struct hpm_volume *v;

	spin_lock_irq(&pool->lock);
	v = hpm_volume_from_id(pool, d->id);
	if (v)
		hpm_volume_get(v);
	spin_unlock_irq(&pool->lock);
	return v;
}

/* Moves d->vbn to the next large block that is no hole; false: none is left. */
static bool find_large(struct hpm_defrag *d, struct hpm_volume *v)
{
	u64 last, hole;

	if (hpm_vol_highest(v->vol, &last) || d->vbn > last ||
	    hpm_map_hole(v->vol, d->vbn, last + 1 - d->vbn, &hole))
		return false;
	d->vbn = hpm_large_start(v, d->vbn + hole);
	return d->vbn <= last;
}

/*
 * Walks until something was copied, MAX_LOOKS large blocks at most.  *more: the
 * walk is not at its end.  Returns how many small blocks were copied.
 */
static u32 walk(struct hpm_defrag *d, bool *more)
{
	struct hpm_volume *v;
	unsigned int looks;
	u32 copied = 0;

	for (looks = 0; looks < MAX_LOOKS && !copied; looks++) {
		if (READ_ONCE(d->stop))
			break;
		v = find_volume(d);
		*more = v;
		if (!v)
			break;
		if (v->id != d->id)
			d->vbn = 0;
		d->id = v->id;
		if (find_large(d, v)) {
			copied = tidy_large(d, v, d->vbn);
			/* If one group was gathered, there may be others. */
			if (!copied || copied == hpm_large_size(v))
				d->vbn += hpm_large_size(v);
		} else {
			d->id++;
			d->vbn = 0;
		}
		hpm_volume_put(v);
		cond_resched();
	}
	return copied;
}

static unsigned long rest_after(const struct hpm_defrag *d, u32 copied)
{
	unsigned int limit = READ_ONCE(d->limit);
	u64 kib = (u64)copied * (HPM_BLOCK_SIZE / 1024);

	return msecs_to_jiffies(div_u64(kib * MSEC_PER_SEC, limit));
}

static void do_defrag(struct work_struct *work)
{
	struct hpm_defrag *d = container_of(to_delayed_work(work),
					    struct hpm_defrag, work);
	struct hpm_pool *pool = d->pool;
	/* No I/O to get memory, as writers wait for a move. */
	unsigned int noio = memalloc_noio_save();
	bool more = true;
	u32 copied;

	copied = walk(d, &more);
	memalloc_noio_restore(noio);
	if (hpm_pool_refuses_writes(pool))
		more = false;
	if (!more) {
		atomic64_set(&pool->defrag_pinned, d->pinned);
		hpm_space_return(pool->md, &d->stock);
		WRITE_ONCE(pool->defrag_running, false);
	} else if (!READ_ONCE(d->stop)) {
		queue_delayed_work(pool->idle_wq, &d->work,
				   rest_after(d, copied));
	}
}

/*
 *----------------------------------------------------------------
 * Messages.  A stop waits until the copy in flight has ended, with defrag_lock
 * held.  Only functions that start or stop this work take that lock.
 *--------------------------------------------------------------
 */

static void __pause(struct hpm_pool *pool)
{
	struct hpm_defrag *d = pool->defrag;

	if (!d)
		return;
	WRITE_ONCE(d->stop, true);
	cancel_delayed_work_sync(&d->work);
	hpm_space_return(pool->md, &d->stock);
}

void hpm_defrag_pause(struct hpm_pool *pool)
{
	mutex_lock(&pool->defrag_lock);
	__pause(pool);
	mutex_unlock(&pool->defrag_lock);
}

static void __go_on(struct hpm_pool *pool)
{
	struct hpm_defrag *d = pool->defrag;

	if (!d || !READ_ONCE(pool->defrag_running))
		return;
	WRITE_ONCE(d->stop, false);
	queue_delayed_work(pool->idle_wq, &d->work, 0);
}

void hpm_defrag_go_on(struct hpm_pool *pool)
{
	mutex_lock(&pool->defrag_lock);
	__go_on(pool);
	mutex_unlock(&pool->defrag_lock);
}

static void __stop(struct hpm_pool *pool)
{
	struct hpm_defrag *d = pool->defrag;

	if (!d)
		return;
	__pause(pool);
	dm_kcopyd_client_destroy(d->kc);
	WRITE_ONCE(pool->defrag_running, false);
	pool->defrag = NULL;
	kvfree(d);
}

void hpm_defrag_stop(struct hpm_pool *pool)
{
	mutex_lock(&pool->defrag_lock);
	__stop(pool);
	mutex_unlock(&pool->defrag_lock);
}

/*
 * A suspension sets pool->suspended before it takes defrag_lock to pause the
 * work: so either this sees the flag, or the pause comes later and sees the
 * work.
 */
static int __start(struct hpm_pool *pool, unsigned int limit)
{
	struct hpm_defrag *d;

	if (READ_ONCE(pool->suspended)) {
		DMERR("%s: defrag: the pool is suspended", pool->name);
		return -EBUSY;
	}
	if (READ_ONCE(pool->defrag_running)) {
		WRITE_ONCE(pool->defrag->limit, limit);
		return 0;
	}
	__stop(pool);
	d = kvzalloc(sizeof(*d), GFP_KERNEL);
	if (!d)
		return -ENOMEM;
	d->kc = dm_kcopyd_client_create(NULL);
	if (IS_ERR(d->kc)) {
		int r = PTR_ERR(d->kc);

		kvfree(d);
		return r;
	}
	d->pool = pool;
	d->limit = limit;
	hpm_stock_init(&d->stock);
	INIT_DELAYED_WORK(&d->work, do_defrag);
	pool->defrag = d;
	WRITE_ONCE(pool->defrag_running, true);
	queue_delayed_work(pool->idle_wq, &d->work, 0);
	return 0;
}

static int start(struct hpm_pool *pool, unsigned int limit)
{
	int r;

	mutex_lock(&pool->defrag_lock);
	r = __start(pool, limit);
	mutex_unlock(&pool->defrag_lock);
	return r;
}

static int status(struct hpm_pool *pool, char *result, unsigned int maxlen)
{
	unsigned int sz = 0;

	DMEMIT("%s moved %lld pinned %lld",
	       READ_ONCE(pool->defrag_running) ? "running" : "idle",
	       atomic64_read(&pool->defrag_moved),
	       atomic64_read(&pool->defrag_pinned));
	return 1;
}

/* defrag start [<limit KiB/s>] | stop | status */
int hpm_defrag_message(struct hpm_pool *pool, const struct hpm_message *say,
		       char *result, unsigned int maxlen)
{
	switch (say->action) {
	case HPM_DEFRAG_START:
		return start(pool, say->number ?: DEFAULT_LIMIT);
	case HPM_DEFRAG_STOP:
		hpm_defrag_stop(pool);
		return 0;
	case HPM_DEFRAG_STATUS:
		break;
	}

	return status(pool, result, maxlen);
}
