/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Metadata as a sequence of events, in the order of a dump.  A sink receives
 * them: the writer of text, or the builder of a new device.  They come from the
 * walk over a device or from a text.
 *
 * A tree is a sequence of runs and of references to subtrees that were defined
 * before.  A definition is a node of the tree, of the given level, so that
 * shared nodes stay shared.
 */
#ifndef HPM_META_SINK_H
#define HPM_META_SINK_H

#include "tree.h"

struct sink_super {
	u8 uuid[HPM_UUID_SIZE];
	unsigned int large_shift;
	u64 data_blocks;
	u32 time;
	u64 transaction_id;
	u64 next_serial;
	u64 data_used; /* without the mark's block; U64_MAX: not known */
	bool marked;   /* the data device has the pool's mark */
};

struct sink_volume {
	u32 id;
	u32 flags; /* without HPM_VOL_LIVE */
	u32 snap_time;
	u64 serial, parent, size, created;
	u64 mapped; /* U64_MAX: not known */
	char name[HPM_NAME_SIZE];
};

enum run_kind {
	RUN_SMALL,
	RUN_LARGE,
	RUN_HOLE
};

/* In small blocks, also for large ones. */
struct run {
	enum run_kind kind;
	u64 vbn, pbn, nr;
	u32 time;
};

/* Each function returns 0, or -1 after it has reported the reason. */
struct sink {
	int (*super)(void *ctx, const struct sink_super *s);
	int (*def_begin)(void *ctx, u32 id, unsigned int level);
	int (*volume_begin)(void *ctx, const struct sink_volume *v);
	int (*dying_begin)(void *ctx, u64 serial);
	int (*tree_end)(void *ctx); /* of all three kinds of trees */
	int (*run)(void *ctx, const struct run *run);
	int (*ref)(void *ctx, u32 def);
	/* The volumes that follow are those of the held snapshot. */
	int (*held)(void *ctx, u32 time);
	int (*punched)(void *ctx, u64 pbn, u64 nr);
	int (*end)(void *ctx);
};

/* walk.c */
struct found_volume {
	u64 id;
	struct hpm_disk_volume d;
};

struct walk_params {
	/* Goes on after damage; if not set, damage ends the walk. */
	bool tolerant;
	/* Does not trust stored sums, but adds up again. */
	bool recount;
	/* The pool is in use: only the held volumes do not change. */
	bool live;
	/* The tables; dying and held may be NULL. */
	const struct hpm_disk_root *volumes, *dying, *held;
	/* The volumes that were found, in place of a table. */
	const struct found_volume *found;
	u64 nr_found;
};

struct walk_result {
	u64 volumes, defs, lost_nodes, lost_volumes;
};

/* Walks everything in the tables and calls @sink.  Each loss is reported. */
int walk_pool(const struct pool *p, const struct walk_params *params,
	      const struct sink *sink, void *ctx, struct walk_result *res);
/* The same without a sink: only finds how much is lost. */
int walk_losses(const struct pool *p, const struct walk_params *params,
		struct walk_result *res);

/* text.c */
struct text_out {
	FILE *f;
	const char *tree; /* the open tree's element */
};
extern const struct sink text_sink; /* ctx: a struct text_out */
int text_read(FILE *f, const char *name, const struct sink *sink, void *ctx);

/* build.c */
struct build;
extern const struct sink build_sink; /* ctx: a struct build */
/* @blocks: the size of the metadata; 0: the size in the events' superblock. */
struct build *build_new(struct dev *dev, u64 blocks);
void build_free(struct build *b);
/* For repair: the journal to be replayed, and whether a snapshot was held. */
void build_journal(struct build *b, const struct hpm_super *from, u64 start,
		   u64 blocks);
u64 build_blocks_used(const struct build *b);
u64 build_blocks(const struct build *b);

#endif /* HPM_META_SINK_H */
