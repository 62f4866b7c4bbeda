/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small target over the engine, and arrays that know better.
 *
 * The simulator does with the engine what the volume target does: it looks up,
 * writes in place or to new blocks, publishes, discards, snapshots, frees.
 * Bios are struct sim_op; they can be held back at each step, and many are
 * under way at a time.  Everything runs in one thread, in an order that comes
 * from one seed.
 *
 * Beside each volume stand two arrays with a stamp for each sector: what must
 * be read now, and what is there whatever happens.  What was written in between
 * is in a log; after a power cut, a sector may hold what was durable or what
 * any write since then put there, and nothing else ever.
 */
#ifndef SIM_H
#define SIM_H

#include "hpm_mem_io.h"
#include "metadata-pool.h"
#include "metadata-volume.h"

#define SIM_MAX_VOLS	 24
#define SIM_STAMP_POISON (1ull << 62) /* what a pass-down leaves behind */

struct sim_params {
	u64 meta_blocks;
	u64 data_blocks;
	unsigned int large_shift;
	u64 vol_blocks; /* of each volume */
	unsigned int max_vols;
	unsigned int max_ops;
	unsigned long cache_nodes;
	bool interleave;	/* let things happen inside engine calls */
	unsigned int max_tasks; /* flushes, loads and the like at a time */
	bool mark;		/* the data device has a mark */
	unsigned int rare; /* commits and messages: one of so many; 0: all */
	u64 seed;
};

/* What most tests start from: pools that are small enough to fill, or to crash often. */
static inline struct sim_params sim_small(u64 seed)
{
	return (struct sim_params){
		.meta_blocks = 1024,
		.data_blocks = 1024,
		.large_shift = 4,
		.vol_blocks = 256,
		.max_vols = 8,
		.max_ops = 8,
		.seed = seed,
	};
}

/* And a pool whose metadata are full long before its data. */
static inline struct sim_params sim_wide(u64 seed)
{
	struct sim_params p = sim_small(seed);

	p.data_blocks = 65536;
	p.vol_blocks = 16384;
	p.max_vols = 23;
	p.max_ops = 16;
	return p;
}

/* One write or discard that a crash may undo, by sectors. */
struct sim_write {
	struct list_head list;
	unsigned int vi; /* in sim.vols */
	u64 first, nr;
	u64 stamp; /* of the first sector; 0: a discard */
	bool done;
	u64 when;    /* it was done, by sim.clock */
	bool failed; /* may be there, may be not */
};

struct sim_vol {
	bool exists;
	u32 id;
	u64 serial, parent;
	u64 size;
	u32 flags;
	char name[HPM_NAME_SIZE];
	u64 *now, *durable; /* stamps by sector */
	u64 *durable_at;    /* when, by sim.clock, the write was done */

	struct hpm_vol *vol; /* while it is open */
	struct hpm_stock stock;
	unsigned int writes; /* ops that are not reads and are under way */
	unsigned int users;  /* tasks */
	bool parked;
	/* of a snapshot that came to light after a crash: the origin, + 1 */
	unsigned int twin;
};

enum sim_kind {
	SIM_WRITE,
	SIM_READ,
	SIM_DISCARD,
	SIM_KINDS
};

enum sim_state {
	SIM_NEW,     /* to be mapped */
	SIM_IO,	     /* its data is in flight, or it is to publish */
	SIM_BLOCKED, /* behind another change */
	SIM_NEED_LOAD,
	SIM_NEED_CREDIT,
	SIM_NEED_SPACE,
	SIM_NEED_COMMIT, /* FUA on a mapping that is not durable yet */
	SIM_DONE,
};

struct sim_op {
	struct list_head list;
	struct list_head waiter; /* in the change it is blocked by */
	struct sim *s;
	struct sim_vol *v;
	enum sim_kind kind;
	enum sim_state state;
	u64 first, nr; /* sectors */
	u64 stamp;
	struct sim_write *log;
	u64 token; /* 0: none */
	bool credit;
	bool fua;
	bool fua_passed; /* ... down to the device */
	struct hpm_change *change;
	u64 large; /* a whole large block taken for it */
	bool has_large;
	bool no_large; /* there was none */
	unsigned int tries;
	u64 data_id;
	u64 pbn; /* what it reads, or writes to */
	bool mapped;
	u64 since;   /* reads: when it began, by sim.clock */
	u64 *before; /* reads: what was there then */
};

struct sim_drain {
	struct list_head list;
	struct hpm_free_batch *batch;
	u64 barrier; /* tokens up to here must be back */
};

struct sim_stats {
	u64 ops[SIM_KINDS];
	u64 in_place, cow, merged, whole, streams, moves, punches;
	u64 snapshots, creates, deletes, commits, checkpoints, drains;
	u64 crashes, no_space, hooks, tasks;
	u64 blocked;
	u64 punched, nodes; /* the most that the walker saw */
};

/* What a message that was under way when the power failed wanted. */
struct sim_message {
	enum {
		SIM_MSG_NONE,
		SIM_MSG_CREATE,
		SIM_MSG_SNAP,
		SIM_MSG_DELETE,
		SIM_MSG_SIZE,
		SIM_MSG_NAME,
		SIM_MSG_FLAGS,
		SIM_MSG_TID
	} what;
	u32 id, origin;
	u64 value;
	char name[HPM_NAME_SIZE];
	u64 since;	    /* when it began, by sim.clock */
	enum hpm_mode mode; /* of the pool, then */
};

struct sim {
	struct sim_params p;
	struct hpm_io *io;
	struct hpm_md *md;
	u64 rng;
	u64 stamp; /* the next */
	u64 clock; /* counts completions */
	u64 token_seq;
	struct sim_vol vols[SIM_MAX_VOLS];
	struct list_head log;  /* struct sim_write, as they began */
	struct list_head past; /* durable ones that a read may have seen */
	unsigned int nr_reads; /* under way */
	struct list_head ops;
	unsigned int nr_ops;
	struct list_head drains;
	u64 transaction_id;
	struct sim_message msg;	   /* under way */
	struct sim_message unsure; /* its commit failed: durable or not */
	u64 *image;		   /* what the last snapshot has, by sectors */
	unsigned long kicks;
	bool may_fail; /* faults are injected, or it has failed */
	bool hooks_on;
	struct sim_vol *stream_vol; /* where a stream writes, alone */
	u64 stream_at;		    /* sector */
	enum hpm_mode mode;
	struct sim_stats st;
	const struct sim *look; /* whose log this one looks at */
};

/* Formats and opens a pool on fresh devices. */
struct sim *sim_create(const struct sim_params *p);
/* Frees everything; the pool must be closed. */
void sim_destroy(struct sim *s);

int sim_open(struct sim *s);
/* Everything under way is finished, everything durable, the journal empty. */
void sim_shutdown(struct sim *s);
/* Drops the engine as a crash does; ops under way are forgotten. */
void sim_drop(struct sim *s);

/* One random thing; sim_finish() completes all ops that are under way. */
void sim_step(struct sim *s);
void sim_finish(struct sim *s);

/*
 * The power fails now, or has failed; the machine comes back with what
 * @loss leaves.  Opens the pool, compares all of it with the arrays, which
 * take on what was found, and walks the metadata.
 */
void sim_crash(struct sim *s, enum hpm_mem_loss loss, u64 seed);
/*
 * The same on a copy, leaving @s as it is, for looking at one cut in many
 * ways.  @recovery_cut: the power fails again at that event of the recovery.
 */
void sim_crash_look(struct sim *s, enum hpm_mem_loss loss, u64 seed,
		    u64 recovery_cut);
/* The same, and if both superblocks are whole, the newer one rots. */
void sim_crash_rot(struct sim *s, enum hpm_mem_loss loss, u64 seed);

/* Every block of every volume against the arrays; nothing may be under way. */
void sim_compare(struct sim *s);
/* The same of those that are open, whatever the pool lists. */
void sim_compare_data(struct sim *s);
/* Checkpoints and walks the metadata; nothing may be under way. */
void sim_check(struct sim *s);
/*
 * Nothing is under way: with checkpoints settled, there is room for a delete,
 * whatever was done or refused before.
 */
void sim_may_delete(struct sim *s);
/* All frees drained and stocks returned: nothing may be missing. */
void sim_check_space(struct sim *s);

/*
 * Scripted steps for small histories.  Each returns the engine's result; @at
 * and @nr are in small blocks.
 */
int sim_msg_create(struct sim *s, u32 id);
int sim_msg_snap(struct sim *s, u32 id, u32 origin);
int sim_msg_delete(struct sim *s, u32 id);
int sim_msg_tid(struct sim *s, u64 value);
int sim_msg_name(struct sim *s, u32 id, const char *name);
int sim_write_blocks(struct sim *s, u32 id, u64 at, u64 nr);
int sim_write_sectors(struct sim *s, u32 id, u64 first, u64 nr);
int sim_discard_blocks(struct sim *s, u32 id, u64 at, u64 nr);
int sim_stream(struct sim *s, u32 id, u64 lvbn);
int sim_punch(struct sim *s, u32 id, u64 lvbn);
int sim_move(struct sim *s, u32 id, u64 at);
int sim_commit(struct sim *s);
int sim_checkpoint(struct sim *s);
int sim_reclaim(struct sim *s);
/* Applies, and drains what the engine has handed out by itself. */
int sim_drain_now(struct sim *s);
int sim_drain_all(struct sim *s);
struct sim_vol *sim_vol(struct sim *s, u32 id);

u64 sim_rnd(struct sim *s, u64 n);

/* oracle.c */
struct sim_write *sim_log_add(struct sim *s, struct sim_vol *v, u64 first,
			      u64 nr, u64 stamp);
/* It is in front of everybody's eyes now. */
void sim_log_done(struct sim *s, struct sim_write *w);
/* It may be there or not, from now on. */
void sim_log_failed(struct sim_write *w);
/* What may or may not have been written of the origin may show in a snapshot. */
void sim_log_inherit(struct sim *s, struct sim_vol *origin, struct sim_vol *v);
void sim_log_drop(struct sim_write *w);
/* What was done until @since, by sim.clock, is durable. */
void sim_durable(struct sim *s, u64 since);
void sim_durable_write(struct sim *s, struct sim_write *w);
/* Does a read that began with @before, @since then, rightly see @value? */
bool sim_may_read(struct sim *s, struct sim_vol *v, u64 sector, u64 value,
		  u64 before, u64 since);
/* The last read has ended. */
void sim_past_clear(struct sim *s);
struct sim_vol *sim_vol_new(struct sim *s, u32 id);
void sim_vol_forget(struct sim *s, struct sim_vol *v);

/* Fails the running test with a message; the seed was printed before. */
void sim_fail(struct sim *s, const char *fmt, ...) __printf(2, 3)
	__attribute__((noreturn));

#endif /* SIM_H */
