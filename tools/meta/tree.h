/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads trees and arrays node by node, through a small cache: for tools that
 * follow a path or walk one tree.  Every node is checked before it is used.
 */
#ifndef HPM_TREE_H
#define HPM_TREE_H

#include "meta.h"

struct cache;

struct reader {
	const struct pool *p;
	struct cache *cache;
	char why[160]; /* the error, with the block's number */
	bool skip;     /* array_walk() leaves out what is damaged */
	u64 skipped;
};

int reader_begin(struct reader *r, const struct pool *p);
void reader_end(struct reader *r);

/* Copies the node into @buf (a block); -1 and r->why. */
int read_map(struct reader *r, const struct hpm_disk_ptr *ptr,
	     unsigned int level, void *buf);

struct entry {
	u64 key, value;
};

static inline u64 entry_pbn(const struct entry *e)
{
	return e->value & HPM_PBN_MASK;
}

static inline u32 entry_time(const struct entry *e)
{
	return e->value >> HPM_PBN_BITS;
}

/* Reads up to @max entries with keys in [from, to). */
int map_collect(struct reader *r, const struct hpm_disk_root *root, u64 from,
		u64 to, struct entry *e, unsigned int max, unsigned int *nr);

/*
 * The path from the root to the leaf that covers @key, as block numbers; the
 * leaf itself is not read.  [lower, upper) is the range of keys that each of
 * them covers.
 */
struct path {
	unsigned int height;
	u64 block[MAX_HEIGHT]; /* by level */
	u64 upper[MAX_HEIGHT];
};
int map_path(struct reader *r, const struct hpm_disk_root *root, u64 key,
	     struct path *path);

/*
 * The number of small blocks that a part of a tree maps.  A large block's
 * entries may lie in two parts, the base in the first; so small blocks at the
 * front without a base are counted separately until the part before is known.
 */
struct map_sum {
	u64 mapped;
	u32 first, last; /* large blocks */
	u16 front_small, front_holes;
	u8 last_has_base;
} __packed __aligned(4);

/* Appends @b to @a. */
void map_sum_join(struct map_sum *a, const struct map_sum *b);
static inline u64 map_sum_mapped(const struct map_sum *s)
{
	return s->mapped + s->front_small;
}

/* Calls @fn for each leaf of an array; stops when it returns non-zero. */
typedef int (*leaf_fn)(void *ctx, u64 first, const void *elts, unsigned int nr);
int array_walk(struct reader *r, const struct hpm_disk_root *root,
	       unsigned int kind, leaf_fn fn, void *ctx);
/*
 * Reads the leaf with @index; *there is false if it does not exist and reads as
 * zeroes.
 */
int array_leaf(struct reader *r, const struct hpm_disk_root *root,
	       unsigned int kind, u64 index, void *buf, bool *there);

/* A set of small blocks of the large block at @pbn. */
struct small_mask {
	u64 bits[(1 << HPM_MAX_LARGE_SHIFT) / 64];
};
int punched_mask(struct reader *r, u64 pbn, struct small_mask *mask);

/*
 * Does the pool's data device have a mark, i.e. does small block HPM_MARK_BLOCK
 * belong to the pool?  If its count cannot be read, the answer is what the
 * label says.
 */
bool pool_marked(const struct pool *p);

#endif /* HPM_TREE_H */
