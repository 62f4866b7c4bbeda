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

/* What a splice took out. */
struct hpm_splice {
	u32 large;		/* bases */
	u32 small;		/* overrides that name a block */
	u32 holes;		/* overrides that say "nothing" */
	bool base_known;	/* the leaf told about what is under @from: */
	bool base;		/* a large block's entry that stays */
	bool gap;		/* overrides, or the block's end, on both sides */
};

/* No tree is higher. */
#define HPM_MAP_HEIGHT	8
/* Entries that one splice puts in: a large block's base and overrides. */
#define HPM_SPLICE_MAX	((1u << HPM_MAX_LARGE_SHIFT) + 1)

/*
 * Replaces all entries with keys in [from, to) by the @nr given ones (keys
 * ascending, inside the interval, with the same upper 32 bits; HPM_SPLICE_MAX
 * at most).  Counts of what comes are raised before those of what goes are
 * lowered.  Readers of @vol see each step whole.
 */
int hpm_map_splice(struct hpm_vol *vol, u64 from, u64 to,
		   const struct hpm_entry *e, unsigned int nr,
		   struct hpm_splice *out);
/*
 * The same with neighbouring small entries in place of what is there; but
 * returns 1, and changes nothing, if they may override the last part of a base
 * that shows.
 */
int hpm_map_override(struct hpm_vol *vol, const struct hpm_entry *e,
		     unsigned int nr, struct hpm_splice *out);
/*
 * Reads up to @max entries with keys in [from, to) into @e; *nr says how many.
 * If *nr == max there may be more.
 */
int hpm_map_collect(struct hpm_md *md, struct hpm_root root, u64 from, u64 to,
		    struct hpm_entry *e, unsigned int max, unsigned int *nr);
/* The value under @key, or -ENOENT. */
int hpm_map_value(struct hpm_md *md, struct hpm_root root, u64 key,
		  u64 *value);
/* Is every node on the way to @key referred to once? */
int hpm_map_exclusive(struct hpm_md *md, struct hpm_root root, u64 key,
		      bool *exclusive);
/* Highest key in the tree, -ENOENT if empty. */
int hpm_map_last(struct hpm_md *md, struct hpm_root root, u64 *key);
/* Leaves whose entries one step of a reclaim gives back at the most. */
#define HPM_RECLAIM_LEAVES	2
/*
 * Reclaim of a tree that a deleted volume left: gives back what lies in
 * [cursor, *to), where *to comes from hpm_map_reclaim_bound(), or less: *to says
 * how far it went.  The tree itself is never changed; what ends at or below the
 * cursor is not looked at again.
 */
int hpm_map_reclaim(struct hpm_md *md, struct hpm_root root, u64 cursor,
		    u64 *to);
/* A *to such that the step handles so many leaves; U64_MAX: the rest. */
int hpm_map_reclaim_bound(struct hpm_md *md, struct hpm_root root, u64 cursor,
			  u64 *to);
extern const struct hpm_node_kind hpm_map_kind;

#endif /* HPM_MAP_H */
