/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small target on top of the engine, and arrays with the expected content.
 *
 * The simulator uses the engine as the volume target does: it looks up, writes
 * in place or to new blocks, publishes, discards, snapshots and frees.  Bios
 * are struct sim_op; they can be delayed at each step, and many are in flight
 * at a time.  Everything runs in one thread, in an order that depends only on
 * the seed.
 *
 * Each volume has two arrays with a stamp for each sector: what must be read
 * now, and what is durable.  Writes in between are in a log; after a power cut,
 * a sector must hold what was durable, or the data of any write since then.
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
	bool interleave;	/* other actions run inside engine calls */
	unsigned int max_tasks; /* concurrent flushes, loads and so on */
	bool mark;		/* the data device has a mark */
	unsigned int rare; /* one in this many commits and messages; 0: all */
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
	u64 stamp; /* stamp of the first sector; 0: a discard */
	bool done;
	u64 when;    /* when it was done, by sim.clock */
	bool failed; /* may be there or not */
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

	struct hpm_vol *vol; /* NULL if it is not open */
	struct hpm_stock stock;
	unsigned int writes; /* ops in flight that are not reads */
	unsigned int users;  /* tasks */
	bool parked;
	/* for a snapshot that was found after a crash: its origin, + 1 */
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
	SIM_IO,	     /* its data is in flight or was written */
	SIM_BLOCKED, /* waits for another change */
	SIM_NEED_LOAD,
	SIM_NEED_CREDIT,
	SIM_NEED_SPACE,
	SIM_NEED_COMMIT, /* FUA write with a mapping that is not durable */
	SIM_DONE,
};

struct sim_op {
	struct list_head list;
	struct list_head waiter; /* queued on the change that blocks it */
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
	u64 large; /* a large block that was taken for it */
	bool has_large;
	bool no_large; /* no large block was free */
	unsigned int tries;
	u64 data_id;
	u64 pbn; /* the block that it reads or writes */
	bool mapped;
	u64 since;   /* reads: when it began */
	u64 *before; /* reads: the stamps then */
};

struct sim_drain {
	struct list_head list;
	struct hpm_free_batch *batch;
	u64 barrier; /* tokens up to this one must be back */
};

struct sim_stats {
	u64 ops[SIM_KINDS];
	u64 in_place, cow, merged, whole, streams, moves, punches;
	u64 snapshots, creates, deletes, commits, checkpoints, drains;
	u64 crashes, no_space, hooks, tasks;
	u64 blocked;
	u64 punched, nodes; /* maxima that the checker saw */
};

/* The effect of a message that was in flight when the power failed. */
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
	enum hpm_mode mode; /* of the pool, at that time */
};

struct sim {
	struct sim_params p;
	struct hpm_io *io;
	struct hpm_md *md;
	u64 rng;
	u64 stamp; /* the next stamp */
	u64 clock; /* counts completions */
	u64 token_seq;
	struct sim_vol vols[SIM_MAX_VOLS];
	struct list_head log;  /* struct sim_write, in start order */
	struct list_head past; /* durable writes that a read may see */
	unsigned int nr_reads; /* under way */
	struct list_head ops;
	unsigned int nr_ops;
	struct list_head drains;
	u64 transaction_id;
	struct sim_message msg;	   /* under way */
	struct sim_message unsure; /* its commit failed, it may be durable */
	u64 *image;		   /* the last snapshot's content, by sector */
	unsigned long kicks;
	bool may_fail; /* faults are injected, or have happened */
	bool hooks_on;
	struct sim_vol *stream_vol; /* the volume that a stream writes to */
	u64 stream_at;		    /* sector */
	enum hpm_mode mode;
	struct sim_stats st;
	const struct sim *look; /* the simulator whose log is compared */
};

/* Formats and opens a pool on fresh devices. */
struct sim *sim_create(const struct sim_params *p);
/* Frees everything; the pool must be closed. */
void sim_destroy(struct sim *s);

int sim_open(struct sim *s);
/* Finishes and commits everything and empties the journal. */
void sim_shutdown(struct sim *s);
/* Drops the engine as in a crash, with all ops in flight. */
void sim_drop(struct sim *s);

/*
 * sim_step() does one random action; sim_finish() completes all ops in flight.
 */
void sim_step(struct sim *s);
void sim_finish(struct sim *s);

/*
 * Lets the power fail now, unless it has failed.  The machine comes back with
 * what @loss leaves.  Opens the pool, compares all of it with the arrays, which
 * take over what was found, and checks the metadata.
 */
void sim_crash(struct sim *s, enum hpm_mem_loss loss, u64 seed);
/*
 * The same on a copy, which leaves @s unchanged, so that one power cut can be
 * looked at in many ways.  @recovery_cut: the power fails again at that event
 * of the recovery.
 */
void sim_crash_look(struct sim *s, enum hpm_mem_loss loss, u64 seed,
		    u64 recovery_cut);
/* The same, but if both superblocks are valid, the newer one is damaged. */
void sim_crash_rot(struct sim *s, enum hpm_mem_loss loss, u64 seed);

/*
 * Compares every block of every volume with the arrays; no op may be in flight.
 */
void sim_compare(struct sim *s);
/* The same for the open volumes only, whatever the pool lists. */
void sim_compare_data(struct sim *s);
/* Makes a checkpoint and checks the metadata; no op may be in flight. */
void sim_check(struct sim *s);
/*
 * Checks that, after two checkpoints, there is room for a delete, whatever was
 * done or refused before.  No op may be in flight.
 */
void sim_may_delete(struct sim *s);
/* Drains all frees, returns the stocks, and checks that no block is missing. */
void sim_check_space(struct sim *s);

/*
 * Steps for small scripted histories.  Each returns the engine's result; @at
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
/* Drains what the engine has freed so far. */
void sim_drain_some(struct sim *s);
/* Applies records, and drains what the engine frees. */
int sim_drain_now(struct sim *s);
int sim_drain_all(struct sim *s);
struct sim_vol *sim_vol(struct sim *s, u32 id);

u64 sim_rnd(struct sim *s, u64 n);

/* oracle.c */
struct sim_write *sim_log_add(struct sim *s, struct sim_vol *v, u64 first,
			      u64 nr, u64 stamp);
/* The write is complete: reads must see it. */
void sim_log_done(struct sim *s, struct sim_write *w);
/* The write failed: it may be there or not. */
void sim_log_failed(struct sim_write *w);
/* Failed writes to the origin may be visible in the snapshot. */
void sim_log_inherit(struct sim *s, struct sim_vol *origin, struct sim_vol *v);
void sim_log_drop(struct sim_write *w);
/* Everything that was done before @since, by sim.clock, is durable. */
void sim_durable(struct sim *s, u64 since);
void sim_durable_write(struct sim *s, struct sim_write *w);
/*
 * May a read return @value that began at @since, when the sector had @before?
 */
bool sim_may_read(struct sim *s, struct sim_vol *v, u64 sector, u64 value,
		  u64 before, u64 since);
/* Forgets the past when the last read has ended. */
void sim_past_clear(struct sim *s);
struct sim_vol *sim_vol_new(struct sim *s, u32 id);
void sim_vol_forget(struct sim *s, struct sim_vol *v);

/* Fails the running test with a message; the seed was printed before. */
void sim_fail(struct sim *s, const char *fmt, ...) __printf(2, 3)
	__attribute__((noreturn));

#endif /* SIM_H */
