/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sparse arrays.  md->lock held; all may sleep.
 */
#ifndef HPM_ARRAY_H
#define HPM_ARRAY_H

#include "node.h"

struct hpm_array {
	struct hpm_root root;
	u8 kind;		/* enum hpm_array_kind */
	u16 size;		/* of an element */
	u16 per_leaf;
	struct hpm_node *last;	/* the leaf used last, held; may be NULL */
	u64 first;		/* index of its first element */
	u64 nodes;		/* blocks of the array */
};

void hpm_array_init(struct hpm_array *a, enum hpm_array_kind kind);
/*
 * Drops the held leaf.  Must be called before the root is replaced or the node
 * cache is emptied.
 */
void hpm_array_release(struct hpm_array *a);
/*
 * Finds the element for reading; *leaf is held.  If the array has no such
 * element, it reads as zeroes, and *leaf and *elt are NULL.
 */
int hpm_array_read(struct hpm_md *md, struct hpm_array *a, u64 index,
		   struct hpm_node **leaf, const void **elt);
/* Finds or makes the element for writing; *leaf is held. */
int hpm_array_write(struct hpm_md *md, struct hpm_array *a, u64 index,
		    struct hpm_node **leaf, void **elt);
/* Calls @fn for each leaf that exists, in order, until it returns non-zero. */
int hpm_array_walk(struct hpm_md *md, struct hpm_array *a,
		   int (*fn)(void *ctx, u64 first, const void *elts,
			     unsigned int nr), void *ctx);
extern const struct hpm_node_kind hpm_array_kind;
/* Counts the blocks of the array that no other array shares. */
int hpm_array_unshared(struct hpm_md *md, struct hpm_array *a, u64 *nr);
/* Callbacks for elements that are given back, in order. */
struct hpm_cut_ops {
	/* a run of elements that no other array shares */
	int (*gone)(struct hpm_md *md, const void *elts, unsigned int nr);
	/* A leaf that another array shares.  @ctx is the md.  May be NULL. */
	int (*kept)(void *ctx, u64 first, const void *elts, unsigned int nr);
};

/*
 * Gives back all elements below @to; a shared node loses one reference.
 * U64_MAX: the whole array.
 */
int hpm_array_cut(struct hpm_md *md, struct hpm_array *a, u64 to,
		  const struct hpm_cut_ops *ops);
/*
 * Finds a @to for hpm_array_cut() such that about @looks nodes and elements are
 * looked at and @weigh returns true for @heavy elements at most.  If @all is
 * true, @weigh is called for all elements.  If not, it is called only for
 * elements that no other array shares, and @to never falls inside a shared
 * node.
 */
int hpm_array_cut_bound(struct hpm_md *md, struct hpm_array *a,
			bool (*weigh)(void *ctx, const void *elt), void *ctx,
			bool all, unsigned int looks, unsigned int heavy,
			u64 *to);
/*
 * A new epoch began: all blocks of the counts must be copied before they are
 * changed.
 */
void hpm_counts_epoch(struct hpm_md *md);
/*
 * For an array of @limit elements: the number of nodes that two neighbouring
 * leaves may have to create, and the number of nodes that @n elements may lie
 * in, both including the paths.
 */
u32 hpm_array_worst_new(const struct hpm_array *a, u64 limit);
u32 hpm_array_worst_touched(const struct hpm_array *a, u64 limit, u32 n);

#endif /* HPM_ARRAY_H */
