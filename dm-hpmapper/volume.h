/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A volume, and the way of a bio through it: the declarations that volume.c and
 * the files around it share.  pool.h has those of the pool.
 *
 * The way of a bio
 * ----------------
 * map() does everything that needs no sleep.  It takes an in-flight token,
 * checks the gate, looks the first block up and cuts the bio to the run that
 * begins with it (dm_accept_partial_bio(); device-mapper core sends the rest
 * again).  A read of a hole gets zeroes.  A read of mapped blocks, and a write
 * to blocks that may be written in place, is remapped.  A write that must
 * change the map gets new blocks and a change (metadata.h), and its end_io
 * publishes the change.  None of this involves a worker, or a lock that two
 * reads would share.
 *
 * A worker (deferred.c) does what map() cannot: load a part of the map that is
 * not in memory, refill a stock that has run out, merge a write that is smaller
 * than a block, carry out a discard.  A worker cannot hand the rest of a bio
 * back to the core, so it carries the bio out in parts, from front to back, and
 * the bio ends when all of its parts have ended.  A part is begun only when
 * everything that it needs is in hand, so a part is always an I/O in flight.
 * Only the bio itself waits: for a range that another write has locked, for the
 * gate, for a credit or for space; then it continues where it was.  While it
 * waits it holds no token, no lock and no reservation.  So a wait for tokens,
 * changes or space is a wait for I/O alone.
 */
#ifndef HPM_VOLUME_H
#define HPM_VOLUME_H

#include <linux/completion.h>
#include <linux/mempool.h>
#include <linux/mutex.h>

#include "metadata-volume.h"
#include "pool.h"

#define HPM_NO_TOKEN	(-1)

/*
 * A step returns this if its bio waits in a list and is not the worker's any
 * more.
 */
#define HPM_WAITS	1
/* errno_to_blk_status() turns this into BLK_STS_DM_REQUEUE. */
#define HPM_REQUEUE	(-EREMCHG)

/*
 *----------------------------------------------------------------
 * Bios
 *--------------------------------------------------------------
 */

/* One I/O on the data device that is in flight. */
struct hpm_op {
	struct hpm_change *change;	/* to be published, or NULL */
	int token;			/* of the volume, or HPM_NO_TOKEN */
	bool stream;			/* its blocks are from a reservation */
};

/*
 * Device-mapper's per-bio data.  The fields behind @lead are set only if the
 * bio is deferred.
 */
struct hpm_bio {
	struct hpm_volume *v;
	struct hpm_op op;	/* of the bio itself, if map() sent it */
	bool fua;		/* the bio ends only after a commit */
	bool passed;		/* a flush that was sent to the data device */
	int hop;		/* HOP token, until the worker returns */
	struct hpm_lead *lead;	/* the read will be entered; or NULL */

	struct bio *bio;
	unsigned int sectors;	/* length of the whole bio */
	unsigned int done;	/* sectors whose parts have begun */
	atomic_t parts;		/* in flight, plus one for the dealer (bio.c) */
	struct list_head wait;	/* in a list: of a change, gate or leader */
	struct work_struct work;
};

/* A part of a deferred bio. */
struct hpm_part {
	struct hpm_op op;
	struct hpm_bio *hb;
	struct bio bio;
};

/*
 *----------------------------------------------------------------
 * The volume
 *--------------------------------------------------------------
 */

#define HPM_NO_VBN	U64_MAX

/* With fewer blocks in stock, a refill is begun before it is needed. */
#define HPM_STOCK_LOW	64

/* stream.c */
#define HPM_STREAMS	8
#define HPM_STREAM_ENDS	8

struct hpm_stream {
	u64 vbn;		/* large block; HPM_NO_VBN: slot unused */
	u64 pbn;
	u32 written;		/* small blocks that are published */
	unsigned long used;	/* jiffies when blocks were last taken */
	DECLARE_BITMAP(taken, 1 << HPM_MAX_LARGE_SHIFT);
};

struct hpm_streams {
	spinlock_t lock;	/* only the engine's space.lock is inside */
	unsigned int nr;	/* slots in use; written under lock */
	struct hpm_stream slot[HPM_STREAMS];	/* lock */
	u64 end[HPM_STREAM_ENDS];	/* behind recent new writes; lock */
	unsigned int next_end;		/* lock */
	struct work_struct complete;
	struct delayed_work idle;
};

/* gate.c: bits in hpm_volume.gate */
#define HPM_GATE_STOP	0x1u	/* the pool is being suspended */
#define HPM_GATE_PARK	0x2u	/* a snapshot is being made */
#define HPM_GATE_MOVE	0x4u	/* a range is being moved */
#define HPM_GATE_RETURN	0x8u	/* noflush suspend: requeue, do not wait */

#define HPM_GATE_READS	HPM_GATE_STOP
#define HPM_GATE_WRITES	(HPM_GATE_STOP | HPM_GATE_PARK | HPM_GATE_MOVE)

struct hpm_volume {
	struct list_head list;		/* pool->volumes; pool->lock */
	struct rb_node by_id;		/* pool->by_id; pool->lock */
	struct hlist_node by_disk;	/* pool->by_disk; pool->lock */
	struct kref ref;
	struct completion released;
	bool leaving;			/* takes no new reference; pool->lock */

	struct hpm_pool *pool;
	struct hpm_vol *vol;
	u32 id;

	/* During a reload there are two tables; pool->message_lock. */
	unsigned int nr_tables;
	struct dm_table *table;		/* the newest */
	struct mapped_device *mapped;	/* of all its tables */
	struct gendisk *disk;		/* its disk, and the page cache */
	struct address_space *mapping;

	/* Written under lock.  Bios read it without, holding a token. */
	unsigned int gate;
	struct hpm_tokens tokens;

	spinlock_t lock;		/* gate; outside the engine's locks */
	unsigned int parkers;		/* lock */
	unsigned int parkings;		/* counts hpm_volume_park(); lock */
	u64 move_vbn;			/* lock */
	u32 move_nr;			/* lock */
	struct list_head held;		/* struct hpm_bio by ->wait; lock */
	struct list_head starved;	/* likewise; for a fair credit; lock */

	u64 highest;			/* valid while pool->remembers */
	int highest_err;		/* likewise; -ENOENT: none is mapped */

	atomic_t credits;		/* held by the volume's writes */
	struct hpm_stock stock;
	struct mutex refill_lock;	/* serialises refills */
	struct work_struct refill_work;
	struct hpm_streams streams;

	/* for the cache */
	bool share;		/* reads may be served and entered */
	bool barred;		/* no read is entered; pool->lock to set */
	unsigned int mismatches;	/* pool->lock */
	unsigned long mismatch_since;	/* jiffies; pool->lock */

	work_func_t bio_work;	/* hpm_bio_work(), which lower floors call */
	struct bio_set parts;
	mempool_t merges;		/* of struct hpm_merge */
};

static inline u32 hpm_large_size(const struct hpm_volume *v)
{
	return 1u << v->pool->large_shift;
}

static inline u64 hpm_large_start(const struct hpm_volume *v, u64 vbn)
{
	return round_down(vbn, (u64)hpm_large_size(v));
}

/* See tokens.h. */
static inline int hpm_volume_token_get(struct hpm_volume *v,
				       enum hpm_token_kind kind)
{
	return hpm_token_get(&v->tokens, kind);
}

static inline void hpm_volume_token_put(struct hpm_volume *v, int token)
{
	hpm_token_put(&v->tokens, token);
}

/* The number of small blocks from @vbn to the end of its large block. */
static inline u32 hpm_large_left(const struct hpm_volume *v, u64 vbn)
{
	return hpm_large_size(v) - (u32)(vbn & (hpm_large_size(v) - 1));
}

/*
 *----------------------------------------------------------------
 * active.c
 *--------------------------------------------------------------
 */

/*
 * Returns the active volume behind @prev in the pool's list (NULL: the first
 * one) with a reference, or NULL at the end, and drops the reference on @prev.
 * Any context.
 */
struct hpm_volume *hpm_volume_next(struct hpm_pool *pool,
				   struct hpm_volume *prev);
/*
 * hpm_volume_list() adds the volume to the list; -EINVAL: the pool is suspended
 * and takes no volumes.  __hpm_volume_unlist() removes it; pool->lock held.
 */
int hpm_volume_list(struct hpm_volume *v);
void __hpm_volume_unlist(struct hpm_pool *pool, struct hpm_volume *v);
/* Like hpm_volume_by_id(), but also finds a volume that is leaving. */
struct hpm_volume *__hpm_volume_find(struct hpm_pool *pool, u32 id);

/*
 *----------------------------------------------------------------
 * volume-stock.c
 *--------------------------------------------------------------
 */

void hpm_volume_stock_init(struct hpm_volume *v);
/* Refills the stock.  -ENOSPC: no block is allocatable now.  Sleeps. */
int hpm_volume_refill(struct hpm_volume *v);
/* Gives the stock and the reservations of streams back.  Does not sleep. */
void hpm_volume_return_stock(struct hpm_volume *v);

/*
 *----------------------------------------------------------------
 * Pieces: a piece is what one step does, the front of the rest of a bio
 *--------------------------------------------------------------
 */

struct hpm_piece {
	u64 vbn;
	unsigned int offset;	/* of its first sector, in the first block */
	unsigned int sectors;	/* of the rest of the bio; then its own */
	u64 pbn;
	u32 nr;			/* blocks in hand that are not published */
	u8 type;		/* enum hpm_record_type of their record */
	bool stream;		/* its blocks are from a reservation */
	bool small;		/* do not ask for a large block (again) */
	bool merge;		/* part of a block not to be overwritten */
	bool credit;		/* in hand */
	struct hpm_change *change;	/* in hand, not locked */
	struct hpm_merge *merger;	/* in hand */
};

static inline void hpm_piece_init(struct hpm_piece *p, sector_t sector,
				  unsigned int sectors)
{
	p->vbn = sector / HPM_BLOCK_SECTORS;
	p->offset = sector % HPM_BLOCK_SECTORS;
	p->sectors = sectors;
}

/* The number of blocks that @sectors touch, from @offset in the first one. */
static inline u32 hpm_span(unsigned int offset, unsigned int sectors)
{
	return DIV_ROUND_UP(offset + sectors, HPM_BLOCK_SECTORS);
}

static inline u32 hpm_piece_span(const struct hpm_piece *p)
{
	return hpm_span(p->offset, p->sectors);
}

/* Cuts the piece to the first @nr blocks that it touches. */
static inline void hpm_piece_cut(struct hpm_piece *p, u32 nr)
{
	p->sectors = min_t(u64, p->sectors,
			   (u64)nr * HPM_BLOCK_SECTORS - p->offset);
}

/* Does the piece begin with less than a whole block? */
static inline bool hpm_piece_partial(const struct hpm_piece *p)
{
	return p->offset || p->sectors < HPM_BLOCK_SECTORS;
}

static inline sector_t hpm_piece_target(const struct hpm_piece *p)
{
	return p->pbn * HPM_BLOCK_SECTORS + p->offset;
}

/*
 *----------------------------------------------------------------
 * run.c
 *--------------------------------------------------------------
 */

/*
 * Any context: extends @run beyond the place where the map was cut, if it
 * continues there.
 */
void hpm_extend_run(struct hpm_volume *v, u64 vbn, u32 max,
		    struct hpm_run *run);

/*
 * Any context: finds what @vbn and up to @max - 1 blocks behind it map to.  The
 * caller holds a token, unless the result is only a hint.  -EAGAIN: a node is
 * not in memory, see hpm_map_load().
 */
static inline int hpm_find_run(struct hpm_volume *v, u64 vbn, u32 max,
			       struct hpm_run *run)
{
	int r = hpm_map_lookup(v->vol, vbn, max, run);

	if (unlikely(!r && run->nr < max))
		hpm_extend_run(v, vbn, max, run);
	return r;
}

/*
 *----------------------------------------------------------------
 * bio.c
 *--------------------------------------------------------------
 */

/*
 * From map(): prepares @hb to wait or to be queued.  It has no token then; the
 * caller keeps the number of the token and puts it.
 */
void hpm_bio_defer(struct hpm_bio *hb, struct bio *bio);
/* Any context: lets a worker carry out the rest of the bio. */
void hpm_bio_queue(struct hpm_bio *hb);
/* Any context: the same for all bios on @list (struct hpm_bio by ->wait). */
void hpm_bio_queue_all(struct list_head *list);
/* Any context: a part, or the dealer, is done; the last one ends the bio. */
void hpm_bio_put(struct hpm_bio *hb, blk_status_t status);
/* The sector of the volume where the deferred bio continues. */
static inline sector_t hpm_bio_sector(const struct hpm_bio *hb)
{
	return hb->bio->bi_iter.bi_sector + hb->done;
}

/*
 * From map(), token held.  These three return DM_MAPIO_SUBMITTED.  The first
 * two end the bio, whose end_io puts the token.
 */
int hpm_map_end(struct bio *bio, int err);
int hpm_map_wouldblock(struct bio *bio);
/*
 * Gives the bio to a worker and puts the token.  A bio that must not wait ends,
 * as with hpm_map_wouldblock().
 */
int hpm_map_defer(struct hpm_bio *hb, struct bio *bio);

/* From map(): remaps the bio to this sector of the data device. */
static inline int hpm_map_to(const struct hpm_volume *v, struct bio *bio,
			     sector_t sector)
{
	bio_set_dev(bio, v->pool->data_bdev);
	bio->bi_iter.bi_sector = sector;
	return DM_MAPIO_REMAPPED;
}

/*
 *----------------------------------------------------------------
 * gate.c
 *--------------------------------------------------------------
 */

void hpm_gate_init(struct hpm_volume *v);
/* Waits until all tokens of the volume are back.  Sleeps. */
void hpm_gate_wait_last(struct hpm_volume *v);

/*
 * Any context, token held, @hb deferred: called if hpm_gate_shut() was true.
 * 0: the gate is open for the bio, and the token stays valid.  HPM_WAITS (the
 * bio is in the gate's list) or HPM_REQUEUE: the caller puts the token.
 */
int hpm_gate_wait(struct hpm_volume *v, struct hpm_bio *hb, unsigned int mask);

/*
 * For a worker: takes a token of the kind that belongs to @mask.  0: the bio
 * may pass, with the token held.  HPM_WAITS or HPM_REQUEUE: as above, and no
 * token is held.
 */
int hpm_gate_enter(struct hpm_volume *v, struct hpm_bio *hb, unsigned int mask,
		   int *token);

/*
 * Must the bio end with BLK_STS_AGAIN where it would have to wait?  A polled
 * bio has REQ_NOWAIT, too, but device-mapper core handles its BLK_STS_AGAIN
 * itself: a worker submits the bio again, not polled any more, and if it would
 * have to wait once more, that becomes an I/O error.  So polled bios wait like
 * others.  A deferred bio is not polled any more: its end comes by an
 * interrupt.
 */
static inline bool hpm_bio_nowait(const struct bio *bio)
{
	return (bio->bi_opf & (REQ_NOWAIT | REQ_POLLED)) == REQ_NOWAIT;
}

/* The token of a bio must be held before its gate is read. */
static inline bool hpm_gate_shut(const struct hpm_volume *v, unsigned int mask)
{
	return unlikely(READ_ONCE(v->gate) & mask);
}

/* Any context. */
static inline bool hpm_gate_returns(const struct hpm_volume *v)
{
	return READ_ONCE(v->gate) & HPM_GATE_RETURN;
}

/* Any context. */
void hpm_gate_open(struct hpm_volume *v, unsigned int bits);

/* Any context: shuts the gate for bios that come from now on. */
void hpm_gate_close(struct hpm_volume *v, unsigned int bits);

/*
 * A wait is given up at the time @end, or if *stop is set (stop may be NULL).
 */
struct hpm_patience {
	unsigned long end;		/* jiffies */
	const bool *stop;
};

/*
 * Waits for all of the volume's reads and writes in flight.  NULL: without a
 * limit.  Returns false if it was given up.  Sleeps.
 */
bool hpm_volume_wait(struct hpm_volume *v, const struct hpm_patience *p);

/*
 * Any context, no token held, @hb deferred: makes the bio wait until a credit
 * of the volume's own writes comes back.  0: none of them is out, so try again;
 * HPM_WAITS or HPM_REQUEUE.
 */
int hpm_gate_starve(struct hpm_volume *v, struct hpm_bio *hb);
/* Any context: a credit of the volume's writes became a record, or is back. */
void hpm_gate_feed(struct hpm_volume *v);

/*
 * Makes writes to the range wait from now on, until hpm_gate_move_end().  True:
 * the volume's writes in flight are done.  False: they took too long, or *stop
 * was set.  hpm_gate_move_end() must follow in both cases.  One range of a
 * volume at a time.  Sleeps.
 */
bool hpm_gate_move_begin(struct hpm_volume *v, u64 vbn, u32 nr,
			 const bool *stop);
void hpm_gate_move_end(struct hpm_volume *v);

/*
 *----------------------------------------------------------------
 * op.c
 *--------------------------------------------------------------
 */

/*
 * Any context: locks the piece's range.  0: the piece's change, credit and
 * blocks now belong to @op.  -EBUSY: the piece keeps them, and @waiter, unless
 * NULL, is in the list of the change that has the range.
 */
int hpm_piece_lock(struct hpm_volume *v, struct hpm_piece *p,
		   struct hpm_op *op, struct list_head *waiter);
/*
 * Any context: the I/O has ended.  Publishes the change or cancels it, and puts
 * the token.  The volume may be freed then, unless the caller has another hold
 * on it.
 */
void hpm_op_end(struct hpm_volume *v, struct hpm_op *op, blk_status_t status);
/*
 * Any context, token held: the write has ended.  Publishes its change, or, if
 * @status is an error, cancels it and gives blocks and credit back.
 */
void hpm_write_end(struct hpm_volume *v, struct hpm_op *op,
		   blk_status_t status);
/*
 * Any context: give back blocks that were taken for @vbn and will not be
 * published, and a credit.
 */
void hpm_blocks_back(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr,
		     bool stream);
void hpm_credit_back(struct hpm_volume *v);

/*
 *----------------------------------------------------------------
 * part.c
 *--------------------------------------------------------------
 */

/*
 * Makes a clone of the bio, for hpm_part_submit() to trim.  Sleeps, never
 * fails.
 */
struct hpm_part *hpm_part_alloc(struct hpm_bio *hb);
void hpm_part_free(struct hpm_part *part);
/* Sends the part to the piece's place on the data device; advances hb->done. */
void hpm_part_submit(struct hpm_part *part, const struct hpm_piece *p);

/*
 *----------------------------------------------------------------
 * deferred.c
 *--------------------------------------------------------------
 */

/* The function of struct hpm_bio.work: carries out the rest of the bio. */
void hpm_bio_work(struct work_struct *work);

/*
 * Steps of a worker.  Each carries out the next part of the bio.  0: call it
 * again if something is left; HPM_WAITS; < 0: an error.  hpm_write_step() deals
 * with @sectors at most.
 */
int hpm_read_step(struct hpm_volume *v, struct hpm_bio *hb);
int hpm_write_step(struct hpm_volume *v, struct hpm_bio *hb,
		   unsigned int sectors);
int hpm_discard_step(struct hpm_volume *v, struct hpm_bio *hb);
int hpm_zero_step(struct hpm_volume *v, struct hpm_bio *hb);

/*
 *----------------------------------------------------------------
 * read.c, write.c, partial.c
 *--------------------------------------------------------------
 */

/* From map(), token held.  Return DM_MAPIO_*. */
int hpm_read_map(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio);
int hpm_write_map(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio);

struct hpm_merge *hpm_merge_get(struct hpm_volume *v);
void hpm_merge_put(struct hpm_volume *v, struct hpm_merge *m);
int hpm_merge_init(struct hpm_volume *v);
void hpm_merge_exit(struct hpm_volume *v);
/*
 * Begins to read, merge and write the piece, which is planned; takes @token
 * over.  Returns what a step returns, or -EAGAIN: the map has changed, or a
 * node of it is not in memory, so plan again.  Sleeps.
 */
int hpm_merge_step(struct hpm_volume *v, struct hpm_bio *hb,
		   struct hpm_piece *p, int token);

/*
 *----------------------------------------------------------------
 * stream.c
 *--------------------------------------------------------------
 */

void hpm_streams_init(struct hpm_volume *v);
/*
 * Any context: takes up to @want blocks for @vbn from a reservation that covers
 * it, each at its own place.  Returns how many; 0: no such block is reserved.
 */
u32 hpm_stream_take(struct hpm_volume *v, u64 vbn, u32 want, u64 *pbn);
/* Any context: should its large block be reserved for this new write? */
bool hpm_stream_wants(struct hpm_volume *v, u64 vbn, u32 nr);
/* Any context: remembers where this new write ends. */
void hpm_stream_note(struct hpm_volume *v, u64 vbn, u32 nr);
/* Any context: taken blocks have been published / come back unused. */
void hpm_stream_written(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr);
void hpm_stream_untake(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr);
/* Reserves a large block as the place of @vbn's large block.  Sleeps. */
int hpm_stream_reserve(struct hpm_volume *v, u64 vbn);
/* Any context: gives all reservations back. */
void hpm_streams_drop(struct hpm_volume *v);
/* Stops the works of the streams and gives all reservations back.  Sleeps. */
void hpm_streams_exit(struct hpm_volume *v);
/*
 * Makes one entry of the large block at @vbn if its small blocks are at @pbn in
 * a row, are not shared, and no change of them is under way.  Sleeps.
 */
void hpm_collapse(struct hpm_volume *v, u64 vbn, u64 pbn);

/*
 *----------------------------------------------------------------
 * volume-status.c
 *--------------------------------------------------------------
 */

/*
 * Writes the volume's status to @result; @apply: published records are applied
 * first.  Sleeps.
 */
void hpm_volume_status(struct hpm_volume *v, bool apply, char *result,
		       unsigned int maxlen);

/*
 *----------------------------------------------------------------
 * stop.c
 *--------------------------------------------------------------
 */

/*
 * Requeues all bios of the volume that wait.  After the return none waits, and
 * none will until HPM_GATE_RETURN is cleared.  Sleeps.
 */
void hpm_gate_return(struct hpm_volume *v);

#endif /* HPM_VOLUME_H */
