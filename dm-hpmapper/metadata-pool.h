/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata engine as the pool and the tools see it; metadata.h has what is for
 * everybody.
 */
#ifndef HPM_METADATA_POOL_H
#define HPM_METADATA_POOL_H

#include "metadata.h"

/*----------------------------------------------------------------
 * Opening and closing
 *--------------------------------------------------------------*/

enum hpm_kick {
	HPM_KICK_APPLY,		/* hpm_md_apply() is due */
	HPM_KICK_APPLY_SOON,	/* ... when whoever writes pauses for a moment */
	HPM_KICK_COMMIT,	/* hpm_md_commit() is due: a batch is full */
	HPM_KICK_CHECKPOINT,	/* hpm_md_checkpoint() is due */
	HPM_KICK_RECLAIM,	/* hpm_md_reclaim_step() is due */
	HPM_KICK_CREDIT,	/* credit came back: retry who waits for it */
};

/* Freed data extents on their way to being allocatable again. */
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
	const char *name;		/* of the pool's device, for messages; not copied */
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
/* The reason given with the last demotion, or NULL. */
const char *hpm_md_why(struct hpm_md *md);

struct hpm_md_stats {
	u64 transaction_id;
	u64 meta_used, meta_total;	/* metadata blocks */
	u64 meta_free_now;		/* usable at once, reserve excluded */
	u64 data_used, data_total;	/* small blocks; reserved, pending, the mark not in */
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
int hpm_md_checkpoint(struct hpm_md *md);
/*
 * One bounded step; 1: there is more, 0: nothing left, < 0: error.  -ERESTART: there
 * is more, and others have to end something first; it has waited a little for that.
 */
int hpm_md_reclaim_step(struct hpm_md *md);

/*----------------------------------------------------------------
 * Volumes.  All sleep but where it is said; those that change something return
 * when the change is durable and have told in *why what was wrong when they
 * fail.  Of the latter there is one at a time: the caller sees to that.
 *--------------------------------------------------------------*/

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

#endif /* HPM_METADATA_POOL_H */
