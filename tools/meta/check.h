/* SPDX-License-Identifier: GPL-2.0-only */
/* The check of one state of a pool (check.c, check_data.c). */
#ifndef HPM_META_CHECK_H
#define HPM_META_CHECK_H

#include "tree.h"

enum leak_kind {
	LEAK_META,
	LEAK_SMALL,
	LEAK_LARGE
};

/* A count that is higher than the number of references to its block. */
struct leak {
	enum leak_kind kind;
	u64 index; /* metadata block, PBN, PBN of a large block */
	u32 by;
};

struct report {
	u64 faults; /* without leaks */
	u64 leaks;
	u64 stale_totals; /* sums in the superblock that are wrong */
	struct leak *leak;
	u64 nr_leak, max_leak;
	u64 said;
};

void fault(struct report *rep, const char *fmt, ...) __printf(2, 3);
void leak(struct report *rep, enum leak_kind kind, u64 index, u32 count,
	  u32 should);

/* What is known about a metadata block. */
struct meta_block {
	union {
		struct {
			u64 epoch, lower, upper; /* from its pointers */
		} __packed __aligned(4);
		/* The sum below a map node, after the node was read. */
		struct map_sum sum;
	};
	u32 counted;
	u32 cursor; /* index into check.cursor */
	u8 kind;    /* enum block_kind */
	u8 level;
	u8 state; /* enum block_state */
	u8 unused;
} __packed __aligned(4);

enum block_kind {
	BK_NONE,
	BK_FIXED,
	BK_MAP,
	BK_ARRAY, /* + enum hpm_array_kind */
	BK_HELD = BK_ARRAY + HPM_NR_ARRAYS,
};

enum block_state {
	BS_WANTED = 1,
	BS_GOOD,
	BS_BAD,
	BS_SUMMED
};

struct straddle {
	u64 lvbn, pbn;
};

struct check {
	struct pool *p;
	struct report *rep;
	struct reader reader;
	struct meta_block *mb;
	u64 *cursor;
	u32 nr_cursors, max_cursors;
	u64 *serial;
	u64 nr_serials, max_serials;
	u64 nr_large;
	bool marked;		/* small block HPM_MARK_BLOCK is the pool's */
	unsigned long *punched; /* large blocks with punched blocks */
	/* references to data, compared with the arrays (check_data.c) */
	u64 secret;
	u64 *acc;
	u64 nr_groups;
	unsigned int group_shift;
	struct detail *detail;
	struct straddle *straddle;
	unsigned int nr_straddles;
	u64 data_used, volumes, dying, nodes;
	u64 scanned, scan_total;
	/* of the present scan */
	bool arrays;
	u8 level, want_state;
};

/* Returns 0: all that can be reached was checked; -1: failed (reported). */
int check_state(struct pool *p, struct report *rep);
/* Checks only what the held table reaches, and no counts. */
int check_held(struct pool *p, struct report *rep);

/* check_data.c */
int data_begin(struct check *c);
void data_end(struct check *c);
void data_large(struct check *c, u64 block, u64 first, const void *elts);
void data_small(struct check *c, u64 block, u64 first, const void *elts);
void data_small_hi(struct check *c, u64 block, u64 first, const void *elts);
void data_leaf(struct check *c, u64 block, const struct hpm_map_leaf *leaf,
	       u64 upper);
int data_compare(struct check *c);

int check_scan(struct check *c, bool (*wanted)(void *ctx, u64 block),
	       void (*fn)(void *ctx, u64 block, const void *data, int err));

#endif /* HPM_META_CHECK_H */
