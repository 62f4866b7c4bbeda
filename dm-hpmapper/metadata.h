/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata engine as the targets and the tools see it.
 *
 * Units: VBNs, PBNs, sizes and lengths are in small blocks (4 KiB).  Functions
 * return 0 or a negative errno.  "Any context" means callable from map() and
 * from bio completion, with interrupts off; "sleeps" means a worker or a
 * message.  The engine calls back through struct hpm_md_ops.
 *
 * How a mapping changes, seen from outside:
 *
 *	hpm_credit_get()	room in the journal and for metadata, or -EAGAIN
 *	hpm_change_lock()	the VBN range is ours: no other writer gets it
 *	 (data is written)
 *	hpm_change_publish()	the record is in the batch and readers see the
 *				new mapping; then the bio may be ended
 *	hpm_md_commit()		data flushed, batch durable
 *	hpm_md_apply()		the trees catch up (a worker's job)
 *
 * What a reader must do: take its volume's in-flight token before
 * hpm_map_lookup() and hold it until its I/O is done.  Blocks that a change
 * frees come back through ops->drain(), whose owner waits for all volumes' tokens
 * before it calls hpm_free_done().
 */
#ifndef HPM_METADATA_H
#define HPM_METADATA_H

#include "env.h"
#include "fault.h"
#include "format.h"
#include "io.h"

struct hpm_md;
struct hpm_vol;

/*----------------------------------------------------------------
 * Opening and closing
 *--------------------------------------------------------------*/

enum hpm_mode {
	HPM_MODE_WRITE,
	HPM_MODE_OUT_OF_DATA,	/* set and cleared by the pool, not by errors */
	HPM_MODE_READ_ONLY,
	HPM_MODE_FAIL,
};

enum hpm_kick {
	HPM_KICK_APPLY,		/* hpm_md_apply() is due */
	HPM_KICK_APPLY_SOON,	/* ... when whoever writes pauses for a moment */
	HPM_KICK_COMMIT,	/* hpm_md_commit() is due: a batch is full */
	HPM_KICK_CHECKPOINT,	/* hpm_md_checkpoint() is due */
	HPM_KICK_RECLAIM,	/* hpm_md_reclaim_step() is due */
	HPM_KICK_CREDIT,	/* credit came back: retry who waits for it */
};

/* Freed data extents on their way to being allocatable again. */
struct hpm_extent {
	u64 pbn;
	u32 nr;
};

#define HPM_FREE_EXTENTS	168
struct hpm_free_batch {
	struct list_head list;		/* for whoever holds the batch */
	u64 record;			/* the last record that freed into it */
	unsigned int nr;
	struct hpm_extent ext[HPM_FREE_EXTENTS];
};

struct hpm_md_ops {
	/* Any context.  Must only schedule. */
	void (*kick)(void *ctx, enum hpm_kick what);
	/*
	 * Sleeps; called at the end of a commit, or of applying.  The records are
	 * durable.  Takes over the list; each batch goes back through
	 * hpm_free_done() once no I/O on its blocks is in flight, the index
	 * has forgotten them and the pass-down is done.
	 */
	void (*drain)(void *ctx, struct list_head *batches);
	/* Any context: an error demoted the engine to @mode; @why is static. */
	void (*failed)(void *ctx, enum hpm_mode mode, const char *why, int err);
};

struct hpm_md_params {
	unsigned int large_shift;	/* 0: take the label's */
	bool may_format;		/* format a zeroed device */
	bool read_only;			/* nothing is ever written */
	bool ignore_needs_check;	/* for the tools */
	bool adopt_data;		/* whatever its mark says */
	unsigned long cache_nodes;	/* target size of the node cache, 0: default */
};

/*
 * Opens the pool on @io, formatting it if it may and must, and recovers it.
 * One that needs a check is opened as with read_only: hpm_md_mode() says so.
 * Unless read_only, one checkpoint ends the recovery.  On failure *why is a
 * sentence that says what was wrong.  Sleeps.
 *
 * -EINVAL not ours or other geometry, -EUCLEAN corrupt, -EOPNOTSUPP unknown
 * features, -ENOSPC device too small, -EROFS read_only and a journal to replay.
 */
int hpm_md_open(struct hpm_io *io, const struct hpm_md_params *params,
		const struct hpm_md_ops *ops, void *ctx,
		struct hpm_md **mdp, const char **why);

/*
 * Applies what is published, commits and checkpoints (unless the mode forbids
 * it), leaving an empty journal.  Everything must be quiet.  Sleeps.
 */
int hpm_md_shutdown(struct hpm_md *md);
/* Frees all memory, writes nothing. */
void hpm_md_close(struct hpm_md *md);

/* Any context. */
enum hpm_mode hpm_md_mode(struct hpm_md *md);
/* Only ever goes down the ladder. */
void hpm_md_fail(struct hpm_md *md, enum hpm_mode mode, const char *why,
		 int err);
/*
 * Any context.  A flush of the data device that the engine did not issue has
 * failed; to be told before what was flushed is heard of it.
 */
void hpm_md_data_flush_failed(struct hpm_md *md, int err);
/* The reason given with the last demotion, or NULL. */
const char *hpm_md_why(struct hpm_md *md);

struct hpm_md_stats {
	u64 transaction_id;
	u64 meta_used, meta_total;	/* metadata blocks */
	u64 meta_free_now;		/* usable at once, reserve excluded */
	u64 data_used, data_total;	/* small blocks; reserved, pending, the mark not in */
	u64 data_free_now;		/* allocatable at once */
	u64 held_root;			/* metadata block, 0: none */
	u32 time;
	bool needs_check;
	u64 nr_volumes;
	u64 nr_dying;
	u64 record, record_applied, record_durable;
	u64 journal_blocks_used, journal_blocks;
	u64 checkpoints, commits, journal_writes;
	u64 nodes_cached, nodes_dirty, node_reads, node_writes;
	unsigned int large_shift;
	u8 uuid[HPM_UUID_SIZE];
};

void hpm_md_get_stats(struct hpm_md *md, struct hpm_md_stats *st);

/*
 * Takes into use what the devices have gained; shrinking is -EINVAL.  Durable
 * on return.  Sleeps.
 */
int hpm_md_grow(struct hpm_md *md, const char **why);

/* Durable by a superblock write of its own.  Sleeps. */
int hpm_md_set_needs_check(struct hpm_md *md);

/*----------------------------------------------------------------
 * Commit, apply, checkpoint: all sleep, all may be called at once
 *--------------------------------------------------------------*/

/*
 * On success every record published before the call is durable, and so is
 * every data write completed before it: each call either starts a commit or
 * joins one whose data flush had not been issued when the call was made.
 */
int hpm_md_commit(struct hpm_md *md);
/* Applies what has been published; bounded work per lock hold. */
int hpm_md_apply(struct hpm_md *md);
int hpm_md_checkpoint(struct hpm_md *md);
/* One bounded step; 1: there is more, 0: nothing left, < 0: error. */
int hpm_md_reclaim_step(struct hpm_md *md);

/* Any context: nothing published waits for a commit. */
bool hpm_md_all_durable(struct hpm_md *md);
/* Any context: the last record that changed @vol is durable. */
bool hpm_vol_durable(struct hpm_vol *vol);

/*----------------------------------------------------------------
 * Volumes.  All sleep but where it is said; those that change something return
 * when the change is durable and have told in *why what was wrong when they
 * fail.  Of the latter there is one at a time: the caller sees to that.
 *--------------------------------------------------------------*/

struct hpm_vol_info {
	u32 id;
	u64 serial;
	u64 parent;		/* serial of the origin, 0: none */
	u64 size;		/* 0: not set */
	u64 mapped;
	u32 flags;		/* HPM_VOL_* */
	u32 snap_time;
	u32 created;
	char name[HPM_NAME_SIZE];
};

/*
 * A name is one word of a list's line, of a message and of a path: so it has
 * letters, digits and these; and it is not "-", which stands for none.
 */
static inline bool hpm_name_char_ok(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("._-+:@=,", c));
}

int hpm_vol_create(struct hpm_md *md, u32 id, u64 size, const char *name,
		   const char **why);
/*
 * The snapshot of @origin as it is when the record gets its number.  If the
 * origin is active, the caller has parked its writes and waited for those in
 * flight.
 */
int hpm_vol_snapshot(struct hpm_md *md, u32 id, u32 origin, const char *name,
		     const char **why);
/*
 * The same in three steps.  The first fails if anything is wrong; after its
 * success the others must follow, or _cancel(), and then nothing has happened.
 * The origin need only be quiet during the second, which does not sleep.  After
 * the third the snapshot is durable.
 */
int hpm_vol_snapshot_begin(struct hpm_md *md, u32 id, u32 origin,
			   const char *name, const char **why);
void hpm_vol_snapshot_cancel(struct hpm_md *md);
void hpm_vol_snapshot_publish(struct hpm_md *md);
int hpm_vol_snapshot_end(struct hpm_md *md, const char **why);
int hpm_vol_delete(struct hpm_md *md, u32 id, const char **why);
int hpm_vol_set_size(struct hpm_md *md, u32 id, u64 size, const char **why);
int hpm_vol_set_name(struct hpm_md *md, u32 id, const char *name,
		     const char **why);
int hpm_vol_set_flags(struct hpm_md *md, u32 id, u32 flags, const char **why);
int hpm_md_set_transaction_id(struct hpm_md *md, u64 old, u64 new,
			      const char **why);
int hpm_md_hold(struct hpm_md *md, const char **why);
int hpm_md_release(struct hpm_md *md, const char **why);

/* The volume with the lowest id >= @id; -ENOENT: none. */
int hpm_vol_next(struct hpm_md *md, u32 id, struct hpm_vol_info *info);
int hpm_vol_by_name(struct hpm_md *md, const char *name,
		    struct hpm_vol_info *info);

/* Opening loads the root; at most one struct hpm_vol exists for a volume. */
int hpm_vol_open(struct hpm_md *md, u32 id, struct hpm_vol **volp);
void hpm_vol_put(struct hpm_vol *vol);
void hpm_vol_get_info(struct hpm_vol *vol, struct hpm_vol_info *info);
/* Highest mapped VBN, or -ENOENT; sleeps. */
int hpm_vol_highest(struct hpm_vol *vol, u64 *vbn);

/*----------------------------------------------------------------
 * Looking up
 *--------------------------------------------------------------*/

struct hpm_run {
	u64 pbn;
	u32 nr;			/* >= 1, all of it alike and contiguous */
	bool mapped;
	bool shared;		/* must not be written in place */
	bool base;		/* reached through a large block's entry */
};

/*
 * What @vbn and up to @max - 1 blocks behind it map to.  Any context, takes no
 * lock.  -EAGAIN: a node is not in memory; hpm_map_load() from a worker, then
 * again.
 */
int hpm_map_lookup(struct hpm_vol *vol, u64 vbn, u32 max, struct hpm_run *run);
/* Brings what a look-up of @vbn needs into memory.  Sleeps. */
int hpm_map_load(struct hpm_vol *vol, u64 vbn);
/*
 * Length in blocks of the unmapped stretch at @vbn, up to @max; for a worker
 * that skips holes.  Sleeps.
 */
int hpm_map_hole(struct hpm_vol *vol, u64 vbn, u64 max, u64 *nr);

/*
 * What the large block that starts at @vbn stands on, for the background job.
 * Sleeps.
 */
struct hpm_survey {
	u64 base;		/* its base's PBN, HPM_PBN_HOLE: it has none */
	u32 hidden;		/* blocks of it hidden, and not given back */
	bool punchable;		/* HPM_REC_PUNCH would give them back */
};

int hpm_map_survey(struct hpm_vol *vol, u64 vbn, struct hpm_survey *s);

/*----------------------------------------------------------------
 * Changing a mapping
 *--------------------------------------------------------------*/

enum hpm_change_state {
	HPM_CHANGE_IDLE,
	HPM_CHANGE_LOCKED,	/* the range is ours, readers see the old */
	HPM_CHANGE_PUBLISHED,	/* recorded; readers see the new */
};

/*
 * One change of one volume's map, inside one large block.  It is at once the
 * lock on its VBN range, the record, and, until the trees have caught up, what
 * readers look up.  The engine owns and frees it once it is published.
 */
struct hpm_change {
	struct hlist_node hash;		/* RCU; changed under the volume's lock */
	struct list_head fifo;		/* journal order; under the journal lock */
	struct list_head waiters;	/* under the volume's lock */
	struct hpm_md *md;
	struct hpm_vol *vol;
	u64 vbn;
	u64 pbn;
	u64 old;			/* MOVE: the PBN it must still be at */
	u64 record;			/* its number, once published */
	u32 nr;
	u8 type;			/* enum hpm_record_type */
	u8 state;			/* enum hpm_change_state */
	struct rcu_head rcu;
};

/*
 * What a credit is for.  A part of the metadata is kept for what gives space
 * back.  Discards may use half of it: in a tree that snapshots share they take
 * metadata, and need not give any back.  Deletes may use more, and all of it is
 * for what gives back for certain, as the reclaim after a delete; so a full pool
 * can be emptied.  What holds a credit until its I/O ends, a volume's write, leaves
 * some credits of each kind to what does not, such as messages.
 */
enum hpm_credit_use {
	HPM_FOR_DATA,
	HPM_FOR_WRITE,
	HPM_FOR_DISCARD,
	HPM_FOR_DELETE,
	HPM_FOR_RECLAIM,
};

/* Room for @n changes.  Any context; -EAGAIN: wait for HPM_KICK_CREDIT. */
int hpm_credit_get(struct hpm_md *md, unsigned int n, enum hpm_credit_use use);
/*
 * One for a write, of one who has @held of them out already: -EBUSY if not as many
 * would stay free behind it.
 */
int hpm_credit_get_fair(struct hpm_md *md, unsigned int held);
void hpm_credit_put(struct hpm_md *md, unsigned int n);
/*
 * As hpm_credit_get(), applying and checkpointing until there is room.
 * -ENOSPC: the metadata device is full.  -ERESTART, in the kernel only: others have
 * what there is, and it takes some time; try again, with nothing in hand that
 * somebody may need meanwhile.  Sleeps.
 */
int hpm_credit_wait(struct hpm_md *md, unsigned int n, enum hpm_credit_use use);

struct hpm_change *hpm_change_alloc(struct hpm_md *md, gfp_t gfp);
/* Only for one that was never locked. */
void hpm_change_free(struct hpm_md *md, struct hpm_change *c);

/*
 * Takes the range c->vbn..+c->nr of c->vol; c->type is set, c->pbn may be set
 * later.  Any context.  If a locked change overlaps: @waiter is queued on it
 * (unless NULL) and -EBUSY is returned; publish or cancel hands it back.
 */
int hpm_change_lock(struct hpm_change *c, struct list_head *waiter);
/*
 * Records the change and makes it visible; uses one credit.  Any context.
 * What waited for the range is moved to @waiters.
 */
void hpm_change_publish(struct hpm_change *c, struct list_head *waiters);
/*
 * Gives the range up and frees the change (after RCU readers); its credit and
 * its PBNs are the caller's to return.
 */
void hpm_change_cancel(struct hpm_change *c, struct list_head *waiters);

/*----------------------------------------------------------------
 * Data space
 *--------------------------------------------------------------*/

/*
 * A stock of small blocks that an owner (a volume) can take from in any
 * context.  What it holds is reserved in memory only.
 */
#define HPM_STOCK_EXTENTS	8
struct hpm_stock {
	spinlock_t lock;		/* all but md */
	struct hpm_md *md;		/* set by the first refill */
	unsigned int nr;
	u32 blocks;
	struct hpm_extent ext[HPM_STOCK_EXTENTS];
};

void hpm_stock_init(struct hpm_stock *st);

/*
 * Takes up to @want contiguous blocks of one large block; returns how many, 0:
 * refill first.  A run shorter than @want is given only if no extent is longer.
 */
u32 hpm_stock_take(struct hpm_stock *st, u32 want, u64 *pbn);
/*
 * Any context: what was taken and not used goes back (reserved still, unless
 * the stock is full: then its smallest extent is no longer).
 */
void hpm_stock_give(struct hpm_stock *st, u64 pbn, u32 nr);

/* Sleeps.  -ENOSPC: nothing is allocatable now. */
int hpm_space_refill(struct hpm_md *md, struct hpm_stock *st);
void hpm_space_return(struct hpm_md *md, struct hpm_stock *st);
/* A whole large block, reserved.  Sleeps.  -ENOSPC. */
int hpm_space_take_large(struct hpm_md *md, u64 *pbn);
/* Any context: reserved blocks that no record will name. */
void hpm_space_unreserve(struct hpm_md *md, u64 pbn, u32 nr);
/* Any context: @b's blocks may be allocated again; frees @b. */
void hpm_free_done(struct hpm_md *md, struct hpm_free_batch *b);

/*----------------------------------------------------------------
 * Memory
 *--------------------------------------------------------------*/

/* For the shrinker: never sleep, never wait for a lock. */
unsigned long hpm_md_cache_count(struct hpm_md *md);
unsigned long hpm_md_cache_scan(struct hpm_md *md, unsigned long nr);
/* Target number of cached nodes (each about 4.2 KiB). */
void hpm_md_cache_limit(struct hpm_md *md, unsigned long nodes);

#endif /* HPM_METADATA_H */
