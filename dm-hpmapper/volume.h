/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A volume, and the way of a bio through it: what volume.c and its sisters
 * share.  The pool's side is in pool.h.
 *
 * The way of a bio
 * ----------------
 * map() does everything that needs no sleep.  It takes an in-flight token,
 * asks the gate, looks the first block up and cuts the bio to the run that is
 * found there (dm_accept_partial_bio(); device-mapper core sends the rest
 * again).  A hole is read as zeroes; a run that may be written in place, or is
 * read, is remapped; a write that must change the map gets new blocks and a
 * change (metadata.h), and its end_io publishes the change.  No worker is
 * involved, no lock is taken that two reads would share.
 *
 * What cannot be done there goes to a worker (deferred.c): a part of the map
 * that is not in memory, a stock that has run out, a write that is smaller
 * than a block and has to be merged, a discard.  There a bio can no longer be
 * handed back to the core in part, so it is carried out in parts of our own,
 * from front to back, and ends when all of them have.  A part exists only when
 * everything it needs has been got, so a part is always an I/O in flight.  It
 * is the bio that waits, for a range that another write has locked, for the
 * gate, for space; then it goes on where it was.  While it waits it holds no
 * token, no lock and no reservation: whoever waits for tokens, changes or
 * space waits for I/O alone.
 */
#ifndef HPM_VOLUME_H
#define HPM_VOLUME_H

#include <linux/completion.h>
#include <linux/mempool.h>
#include <linux/mutex.h>

#include "metadata-volume.h"
#include "pool.h"

#define HPM_NO_TOKEN	(-1)

/* What a step returns when its bio waits, and is not the worker's any more. */
#define HPM_WAITS	1
/* errno_to_blk_status() makes BLK_STS_DM_REQUEUE of it. */
#define HPM_REQUEUE	(-EREMCHG)

/*
 *----------------------------------------------------------------
 * Bios
 *--------------------------------------------------------------
 */

/* One I/O on the data device that is under way. */
struct hpm_op {
	struct hpm_change *change;	/* to be published, or NULL */
	int token;			/* the volume's, or HPM_NO_TOKEN */
	bool stream;			/* its blocks are from a reservation */
};

/* Device-mapper's per-bio data.  What follows @lead is set on deferral only. */
struct hpm_bio {
	struct hpm_volume *v;
	struct hpm_op op;	/* the bio itself is under way */
	bool fua;		/* a commit stands between the I/O and its end */
	bool passed;		/* a flush, and the data device has it now */
	int hop;		/* token of the worker that has it, or will */
	struct hpm_lead *lead;	/* what was read is to be entered; or NULL */

	struct bio *bio;
	unsigned int sectors;	/* of the whole bio */
	unsigned int done;	/* its parts are under way up to here */
	atomic_t parts;		/* under way, and one for who deals them out */
	struct list_head wait;	/* for a locked range or at the gate */
	struct work_struct work;
};

/* A part of a deferred bio, under way. */
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

/* With less in stock a refill is begun before it is needed. */
#define HPM_STOCK_LOW	64

/* stream.c */
#define HPM_STREAMS	8
#define HPM_STREAM_ENDS	8

struct hpm_stream {
	u64 vbn;		/* of the large block, HPM_NO_VBN: slot unused */
	u64 pbn;
	u32 written;		/* small blocks: published */
	unsigned long used;	/* jiffies when blocks were last taken */
	DECLARE_BITMAP(taken, 1 << HPM_MAX_LARGE_SHIFT);
};

struct hpm_streams {
	spinlock_t lock;	/* innermost but for the engine's space.lock */
	unsigned int nr;	/* slots in use; written under lock */
	struct hpm_stream slot[HPM_STREAMS];	/* lock */
	u64 end[HPM_STREAM_ENDS];	/* of recent new writes; lock */
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

	/* A reload has two tables for a while; pool->message_lock */
	unsigned int nr_tables;
	struct dm_table *table;		/* the newest */
	struct mapped_device *md;	/* theirs */
	struct gendisk *disk;		/* its disk, and that one's page cache */
	struct address_space *mapping;

	/* Read without a lock, with a token held; written under lock. */
	unsigned int gate;
	struct hpm_tokens tokens;

	spinlock_t lock;		/* the gate; outside all the engine's */
	unsigned int parkers;		/* lock */
	unsigned int parkings;		/* how many there have been; lock */
	u64 move_vbn;			/* lock */
	u32 move_nr;			/* lock */
	struct list_head held;		/* struct hpm_bio by ->wait; lock */
	struct list_head starved;	/* likewise, for want of a fair credit */

	u64 highest;			/* block, while pool->remembers */
	int highest_err;		/* likewise: -ENOENT, there is none */

	atomic_t credits;		/* that its writes have out */
	struct hpm_stock stock;
	struct mutex refill_lock;	/* one refill at a time */
	struct work_struct refill_work;
	struct hpm_streams streams;

	/* the cache's */
	bool share;		/* serves, and feeds, the pool's cache */
	bool barred;		/* feeds it no more; pool->lock to set */
	unsigned int mismatches;	/* pool->lock */
	unsigned long mismatch_since;	/* jiffies; pool->lock */

	work_func_t bio_work;	/* hpm_bio_work(), for those below it */
	struct bio_set parts;
	mempool_t merges;		/* partial.c */
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

/* Small blocks from @vbn to the end of its large block. */
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
 * The active volume behind @prev (NULL: the first) in the pool's list, with a
 * reference; drops the one on @prev.
 */
struct hpm_volume *hpm_volume_next(struct hpm_pool *pool,
				   struct hpm_volume *prev);
/*
 * The volume is on the list from now on; -EINVAL: the pool is suspended, and takes
 * none.  And off it again; pool->lock held.
 */
int hpm_volume_list(struct hpm_volume *v);
void __hpm_volume_unlist(struct hpm_pool *pool, struct hpm_volume *v);
/* As hpm_volume_by_id(), but one that is leaving is found, too. */
struct hpm_volume *__hpm_volume_find(struct hpm_pool *pool, u32 id);

/*
 *----------------------------------------------------------------
 * volume-stock.c
 *--------------------------------------------------------------
 */

void hpm_volume_stock_init(struct hpm_volume *v);
/* Sleeps. */
int hpm_volume_refill(struct hpm_volume *v);
/* Gives stock and reservations back.  Sleeps. */
void hpm_volume_return_stock(struct hpm_volume *v);

/*
 *----------------------------------------------------------------
 * Pieces: the front of what is left of a bio
 *--------------------------------------------------------------
 */

struct hpm_piece {
	u64 vbn;
	unsigned int offset;	/* of the first sector in its block */
	unsigned int sectors;	/* what is left; then, what the piece takes */
	u64 pbn;
	u32 nr;			/* blocks in hand that nobody has published */
	u8 type;		/* enum hpm_record_type for them */
	bool stream;		/* they are from a reservation */
	bool small;		/* asks for no large block (any more) */
	bool merge;		/* less than a block, and not to be overwritten */
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

/* Blocks that @sectors from @offset in the first one on touch. */
static inline u32 hpm_span(unsigned int offset, unsigned int sectors)
{
	return DIV_ROUND_UP(offset + sectors, HPM_BLOCK_SECTORS);
}

static inline u32 hpm_piece_span(const struct hpm_piece *p)
{
	return hpm_span(p->offset, p->sectors);
}

/* Cuts the piece to the first @nr of the blocks that it touches. */
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

/* Any context: goes on where the run goes on although the map was cut there. */
void hpm_extend_run(struct hpm_volume *v, u64 vbn, u32 max,
		    struct hpm_run *run);

/* Any context, token held: what @vbn and the blocks behind it map to. */
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

/* From map(): makes @hb, which then has no token, ready to wait or be queued. */
void hpm_bio_defer(struct hpm_bio *hb, struct bio *bio);
/* Any context: a worker carries out what is left of it. */
void hpm_bio_queue(struct hpm_bio *hb);
/* Any context: the same for all on @list (struct hpm_bio by ->wait). */
void hpm_bio_queue_all(struct list_head *list);
/* One of its parts, or its dealer, is done. */
void hpm_bio_put(struct hpm_bio *hb, blk_status_t status);
/* Where the deferred bio goes on. */
static inline sector_t hpm_bio_sector(const struct hpm_bio *hb)
{
	return hb->bio->bi_iter.bi_sector + hb->done;
}

/* From map(), token held; these three return DM_MAPIO_SUBMITTED. */
int hpm_map_end(struct bio *bio, int err);
int hpm_map_wouldblock(struct bio *bio);
/* A worker goes on with it (or it would block). */
int hpm_map_defer(struct hpm_bio *hb, struct bio *bio);

/* From map(): goes on at this sector of the data device. */
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
/* Sleeps: nobody is about to give a token of the volume's back. */
void hpm_gate_wait_last(struct hpm_volume *v);

/*
 * Any context, token held, @hb deferred: what to do when the gate looks shut.
 * 0: pass, the token stays; HPM_WAITS or HPM_REQUEUE: the caller drops it.
 */
int hpm_gate_wait(struct hpm_volume *v, struct hpm_bio *hb, unsigned int mask);

/*
 * For a worker: takes a token, of the kind that @mask says, and passes; or as
 * above without one.
 */
int hpm_gate_enter(struct hpm_volume *v, struct hpm_bio *hb, unsigned int mask,
		   int *token);

/*
 * Must this bio be sent back rather than wait?  A polled one has REQ_NOWAIT, too,
 * but device-mapper does not send it back: it submits it again from a worker, no
 * longer polled, and when it is then told once more that it would have to wait,
 * that becomes an error of the I/O.  So a polled bio waits as others do; what is
 * deferred is not polled any more, its end comes by an interrupt.
 */
static inline bool hpm_bio_nowait(const struct bio *bio)
{
	return (bio->bi_opf & (REQ_NOWAIT | REQ_POLLED)) == REQ_NOWAIT;
}

/* To be asked with the token held. */
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

/* Any context: shuts the gate for what comes from now on. */
void hpm_gate_close(struct hpm_volume *v, unsigned int bits);

/* Whoever waits has given up when this much time is over, or if *stop is set. */
struct hpm_patience {
	unsigned long end;		/* jiffies */
	const bool *stop;
};

/*
 * Sleeps, for the volume's I/O in flight, whatever it is; NULL: however long it
 * takes.  False: it took too long.
 */
bool hpm_volume_wait(struct hpm_volume *v, const struct hpm_patience *p);

/*
 * Any context, no token held, @hb deferred: it waits until one of the credits comes
 * back that the volume's own writes have.  0: they all have, try again; HPM_WAITS or
 * HPM_REQUEUE.
 */
int hpm_gate_starve(struct hpm_volume *v, struct hpm_bio *hb);
/* Any context: a credit of the volume's writes is used, or back. */
void hpm_gate_feed(struct hpm_volume *v);

/*
 * Writes to the range wait from now on, until the move ends; true: those in flight
 * are done.  False: they took too long, or *stop was set meanwhile.  One range
 * of a volume at a time.  Sleeps.
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
 * Any context: locks the piece's blocks, taking its change, its credit and its
 * blocks over into @op.  -EBUSY: @waiter, unless NULL, is queued.
 */
int hpm_piece_lock(struct hpm_volume *v, struct hpm_piece *p,
		   struct hpm_op *op, struct list_head *waiter);
/*
 * Any context: the I/O is over; publishes or gives back, drops the token.  The
 * volume may be gone then, unless something else keeps it.
 */
void hpm_op_end(struct hpm_volume *v, struct hpm_op *op, blk_status_t status);
/* Any context: the change of a write that is over. */
void hpm_write_end(struct hpm_volume *v, struct hpm_op *op,
		   blk_status_t status);
/* Any context: blocks that were got for @vbn, or a credit, and nothing came of it. */
void hpm_blocks_back(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr,
		     bool stream);
void hpm_credit_back(struct hpm_volume *v);

/*
 *----------------------------------------------------------------
 * part.c
 *--------------------------------------------------------------
 */

/* A clone of what is left of the bio.  Sleeps; never fails. */
struct hpm_part *hpm_part_alloc(struct hpm_bio *hb);
void hpm_part_free(struct hpm_part *part);
/* The part goes to where the piece says; the bio moves on. */
void hpm_part_submit(struct hpm_part *part, const struct hpm_piece *p);

/*
 *----------------------------------------------------------------
 * deferred.c
 *--------------------------------------------------------------
 */

/* struct hpm_bio.work: a worker carries out what is left of a bio. */
void hpm_bio_work(struct work_struct *work);

/*
 * Steps of a worker: carries out the next part of the bio.  0: go on if
 * something is left; HPM_WAITS; < 0: error.  hpm_write_step() takes no more
 * than @sectors.
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

/* From map(), token held; DM_MAPIO_*. */
int hpm_read_map(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio);
int hpm_write_map(struct hpm_volume *v, struct hpm_bio *hb, struct bio *bio);

struct hpm_merge *hpm_merge_get(struct hpm_volume *v);
void hpm_merge_put(struct hpm_volume *v, struct hpm_merge *m);
int hpm_merge_init(struct hpm_volume *v);
void hpm_merge_exit(struct hpm_volume *v);
/*
 * Begins to read, merge and write the piece, whose blocks are planned and whose
 * @token is held.  As a step, or -EAGAIN: the map has changed, plan again.
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
 * Any context: takes up to @want blocks for @vbn from a reservation that
 * covers it, each for its own place; returns how many.
 */
u32 hpm_stream_take(struct hpm_volume *v, u64 vbn, u32 want, u64 *pbn);
/* Any context: is this new write worth a reservation of its large block? */
bool hpm_stream_wants(struct hpm_volume *v, u64 vbn, u32 nr);
/* Any context: a new write goes there. */
void hpm_stream_note(struct hpm_volume *v, u64 vbn, u32 nr);
/* Any context: blocks that were taken are published / come back unused. */
void hpm_stream_written(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr);
void hpm_stream_untake(struct hpm_volume *v, u64 vbn, u64 pbn, u32 nr);
/* Sleeps. */
int hpm_stream_reserve(struct hpm_volume *v, u64 vbn);
/* Any context: gives all reservations back. */
void hpm_streams_drop(struct hpm_volume *v);
/* Sleeps: nothing of the streams runs any more. */
void hpm_streams_exit(struct hpm_volume *v);
/*
 * Sleeps: makes one entry of a large block whose small ones stand at @pbn in a
 * row, if they still do and nobody is at work on them.
 */
void hpm_collapse(struct hpm_volume *v, u64 vbn, u64 pbn);

/*
 *----------------------------------------------------------------
 * volume-status.c
 *--------------------------------------------------------------
 */

/* What the status says of a volume; with @apply, what is published is in it.  Sleeps. */
void hpm_volume_status(struct hpm_volume *v, bool apply, char *result,
		       unsigned int maxlen);

/*
 *----------------------------------------------------------------
 * stop.c
 *--------------------------------------------------------------
 */

/*
 * Sleeps: nothing of the volume's waits on return, and nothing will; until it is
 * opened.
 */
void hpm_gate_return(struct hpm_volume *v);

#endif /* HPM_VOLUME_H */
