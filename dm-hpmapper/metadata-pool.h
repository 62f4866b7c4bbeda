/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata engine: what only the pool and the tools call; metadata.h has
 * what all callers need.
 */
#ifndef HPM_METADATA_POOL_H
#define HPM_METADATA_POOL_H

#include "metadata.h"

/*----------------------------------------------------------------
 * Opening and closing
 *--------------------------------------------------------------*/

enum hpm_kick {
	HPM_KICK_APPLY,		/* hpm_md_apply() is due */
	HPM_KICK_APPLY_SOON,	/* ... after a moment */
	HPM_KICK_COMMIT,	/* hpm_md_commit() is due: batch nearly full */
	HPM_KICK_CHECKPOINT,	/* hpm_md_checkpoint() is due */
	HPM_KICK_RECLAIM,	/* hpm_md_reclaim_step() is due */
	HPM_KICK_CREDIT,	/* a credit came back: retry waiting bios */
};

/* Freed data extents that are not yet allocatable again. */
#define HPM_FREE_EXTENTS	168
struct hpm_free_batch {
	struct list_head list;		/* for the holder of the batch */
	u64 record;			/* the last one that freed blocks in it */
	unsigned int nr;
	struct hpm_extent ext[HPM_FREE_EXTENTS];
};

struct hpm_md_ops {
	/* Any context.  Must only schedule. */
	void (*kick)(void *ctx, enum hpm_kick what);
	/*
	 * Called at the end of a commit, or of applying, for batches whose
	 * records are durable.  Takes over the list.  Each batch must be passed
	 * to hpm_free_done() when no I/O on its blocks is in flight, the index
	 * has dropped them, and their discard has ended.  May sleep.
	 */
	void (*drain)(void *ctx, struct list_head *batches);
	/* Any context: an error demoted the engine to @mode; @why is static. */
	void (*failed)(void *ctx, enum hpm_mode mode, const char *why, int err);
};

struct hpm_md_params {
	const char *name;		/* of the pool's device, for messages; not copied */
	unsigned int large_shift;	/* 0: as in the label */
	bool may_format;		/* format a zeroed device */
	bool read_only;			/* nothing is ever written */
	bool ignore_needs_check;	/* for the tools */
	bool adopt_data;		/* accept a wrong mark on the data */
	unsigned long cache_nodes;	/* target size of the node cache, 0: default */
};

/*
 * Opens the pool on @io and recovers it; formats a zeroed device if may_format
 * is set.  A pool that needs a check is opened as with read_only, and
 * hpm_md_mode() returns that.  Unless read_only, the recovery ends with a
 * checkpoint.  On failure *why is a sentence.  Sleeps.
 *
 * -EINVAL not a pool or other geometry, -EUCLEAN corrupt, -EOPNOTSUPP unknown
 * features, -ENOSPC device too small, -EROFS read_only and a journal to replay.
 */
int hpm_md_open(struct hpm_io *io, const struct hpm_md_params *params,
		const struct hpm_md_ops *ops, void *ctx,
		struct hpm_md **mdp, const char **why);

/*
 * Applies what is published, commits and checkpoints (unless the mode forbids
 * it), so that the journal is empty.  The pool must be quiet.  Sleeps.
 */
int hpm_md_shutdown(struct hpm_md *md);
/* Frees all memory, writes nothing. */
void hpm_md_close(struct hpm_md *md);

/* Any context. */
enum hpm_mode hpm_md_mode(struct hpm_md *md);
/* Lowers the mode to @mode, if it is not that low already.  Any context. */
void hpm_md_fail(struct hpm_md *md, enum hpm_mode mode, const char *why,
		 int err);
/* The reason given with the last demotion, or NULL. */
const char *hpm_md_why(struct hpm_md *md);

struct hpm_md_stats {
	u64 transaction_id;
	u64 meta_used, meta_total;	/* metadata blocks */
	u64 meta_free_now;		/* usable at once, reserve excluded */
	/*
	 * Small blocks; data_used excludes the mark, and reserved and pending
	 * blocks.
	 */
	u64 data_used, data_total;
	u64 data_free_now;		/* allocatable at once */
	u64 data_freed;			/* freed, but not allocatable before ops->drain() */
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
 * Takes the space into use by which the devices have grown; -EINVAL if one has
 * shrunk.  Durable on return.  Sleeps.
 */
int hpm_md_grow(struct hpm_md *md, const char **why);

/* Durable by a superblock write of its own.  Sleeps. */
int hpm_md_set_needs_check(struct hpm_md *md);

/*----------------------------------------------------------------
 * Commit, apply, checkpoint: all sleep, and may be called concurrently
 *--------------------------------------------------------------*/

/*
 * On success every record published before the call is durable, and so is
 * every data write completed before it: each call either starts a commit or
 * joins one whose data flush had not been issued when the call was made.
 */
int hpm_md_commit(struct hpm_md *md);
int hpm_md_checkpoint(struct hpm_md *md);
/*
 * One bounded step.  Returns 1 if there is more, 0 if nothing is left, or an
 * error.  -ERESTART: there is more, but it must wait for others; the call has
 * waited a little for them.
 */
int hpm_md_reclaim_step(struct hpm_md *md);

/*----------------------------------------------------------------
 * Volumes.  All sleep, unless the comment says otherwise.  Those that change
 * something return when the change is durable; if they fail, *why says what was
 * wrong.  The caller must serialise these.
 *--------------------------------------------------------------*/

/*
 * A name must be one word in a line of "list", in a message and in a path.  So
 * only these characters are allowed, and "-" is no name, as it stands for none.
 */
static inline bool hpm_name_char_ok(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("._-+:@=,", c));
}

int hpm_vol_create(struct hpm_md *md, u32 id, u64 size, const char *name,
		   const char **why);
/*
 * Makes a snapshot of @origin as it is when the record gets its number.  If the
 * origin is active, the caller must have parked its writes and waited for those
 * in flight.
 */
int hpm_vol_snapshot(struct hpm_md *md, u32 id, u32 origin, const char *name,
		     const char **why);
/*
 * The same in three steps.  _begin() makes all checks.  If it succeeds, either
 * _publish() and _end() must follow, or _cancel(), which undoes it.  The
 * origin's writes must be stopped during _publish() only, which does not sleep.
 * When _end() returns, the snapshot is durable.
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

/* Makes the blocks of @b allocatable, and frees @b.  Any context. */
void hpm_free_done(struct hpm_md *md, struct hpm_free_batch *b);

/*----------------------------------------------------------------
 * Memory
 *--------------------------------------------------------------*/

/* For the shrinker: never sleep, never wait for a lock. */
unsigned long hpm_md_nodes_count(struct hpm_md *md);
unsigned long hpm_md_nodes_scan(struct hpm_md *md, unsigned long nr);
/* Target number of cached nodes (each about 4.2 KiB). */
void hpm_md_nodes_limit(struct hpm_md *md, unsigned long nodes);

#endif /* HPM_METADATA_POOL_H */
