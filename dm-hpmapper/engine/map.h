/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Map trees.  md->lock held unless said otherwise.
 */
#ifndef HPM_MAP_H
#define HPM_MAP_H

#include "node.h"

struct hpm_md;
struct hpm_vol;

static inline u64 hpm_key_small(u64 vbn)
{
	return vbn << 1 | 1;
}

static inline u64 hpm_key_base(u64 vbn)
{
	return vbn << 1;
}

struct hpm_entry {
	u64 key;
	u64 value;
};

static inline u64 hpm_value(u32 time, u64 pbn)
{
	return (u64)time << HPM_PBN_BITS | pbn;
}

static inline u64 hpm_value_pbn(u64 value)
{
	return value & HPM_PBN_MASK;
}

static inline u32 hpm_value_time(u64 value)
{
	return value >> HPM_PBN_BITS;
}

/* What a splice removed. */
struct hpm_splice {
	u32 large;		/* bases */
	u32 small;		/* overrides that map a block */
	u32 holes;		/* overrides that map none */
	bool base_known;	/* @base is valid */
	bool base;		/* @from lies in a large block with a base */
	bool gap;		/* overrides or block ends on both sides */
};

/* The height limit of a tree. */
#define HPM_MAP_HEIGHT	8
/* The most entries that a splice inserts: those of a large block. */
#define HPM_SPLICE_MAX	((1u << HPM_MAX_LARGE_SHIFT) + 1)

/*
 * Replaces all entries with keys in [from, to) by the @nr given ones (keys
 * ascending, inside the interval, with the same upper 32 bits; HPM_SPLICE_MAX
 * at most).  Raises the counts of the new entries before it lowers those of the
 * removed ones.  A reader of @vol sees each step completely or not at all.
 */
int hpm_map_splice(struct hpm_vol *vol, u64 from, u64 to,
		   const struct hpm_entry *e, unsigned int nr,
		   struct hpm_splice *out);
/*
 * Like hpm_map_splice(), for small entries of consecutive blocks that replace
 * what is there.  But if they may override the last visible part of a base, it
 * changes nothing and returns 1.
 */
int hpm_map_override(struct hpm_vol *vol, const struct hpm_entry *e,
		     unsigned int nr, struct hpm_splice *out);
/*
 * Reads up to @max entries with keys in [from, to) into @e; *nr says how many.
 * If *nr == max there may be more.
 */
int hpm_map_collect(struct hpm_md *md, struct hpm_root root, u64 from, u64 to,
		    struct hpm_entry *e, unsigned int max, unsigned int *nr);
/* Looks up @key; -ENOENT: the tree does not have it. */
int hpm_map_value(struct hpm_md *md, struct hpm_root root, u64 key,
		  u64 *value);
/* Is the reference count of every node on the way to @key 1? */
int hpm_map_exclusive(struct hpm_md *md, struct hpm_root root, u64 key,
		      bool *exclusive);
/* Finds the highest key in the tree; -ENOENT: the tree is empty. */
int hpm_map_last(struct hpm_md *md, struct hpm_root root, u64 *key);
/* The most leaves whose entries one step of a reclaim gives back. */
#define HPM_RECLAIM_LEAVES	2
/*
 * One step of a reclaim of a deleted volume's tree: gives back the entries in
 * [cursor, *to), and the nodes that end there.  The caller takes *to from
 * hpm_map_reclaim_bound(); if the step ends earlier, it reduces *to.  The tree
 * itself is never changed, so nodes that end at or below the cursor are
 * skipped.
 */
int hpm_map_reclaim(struct hpm_md *md, struct hpm_root root, u64 cursor,
		    u64 *to);
/*
 * Finds a *to such that the step handles HPM_RECLAIM_LEAVES leaves, or U64_MAX
 * if the rest has no more.
 */
int hpm_map_reclaim_bound(struct hpm_md *md, struct hpm_root root, u64 cursor,
			  u64 *to);
extern const struct hpm_node_kind hpm_map_kind;

#endif /* HPM_MAP_H */
