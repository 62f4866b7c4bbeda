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
/* Forgets the held leaf (before the root is replaced, or the cache emptied). */
void hpm_array_release(struct hpm_array *a);
/*
 * The element for reading; *leaf is held (NULL and *elt NULL: not there, it
 * reads as zeroes).
 */
int hpm_array_read(struct hpm_md *md, struct hpm_array *a, u64 index,
		   struct hpm_node **leaf, const void **elt);
/* The element for writing, made if need be; *leaf is held. */
int hpm_array_write(struct hpm_md *md, struct hpm_array *a, u64 index,
		    struct hpm_node **leaf, void **elt);
/* Calls @fn for each leaf that exists, in order; stops on non-zero. */
int hpm_array_walk(struct hpm_md *md, struct hpm_array *a,
		   int (*fn)(void *ctx, u64 first, const void *elts,
			     unsigned int nr), void *ctx);
extern const struct hpm_node_kind hpm_array_kind;
/* Blocks of the array that a path from its root reaches unshared. */
int hpm_array_unshared(struct hpm_md *md, struct hpm_array *a, u64 *nr);
/* What is told, in order, of the elements that are given back. */
struct hpm_cut_ops {
	/* each run that no other array has */
	int (*gone)(struct hpm_md *md, const void *elts, unsigned int nr);
	/* each leaf that another has, too, @ctx being the md; NULL: nothing */
	int (*kept)(void *ctx, u64 first, const void *elts, unsigned int nr);
};

/*
 * Gives back all elements below @to; what is shared loses a reference.
 * U64_MAX: all of the array.
 */
int hpm_array_cut(struct hpm_md *md, struct hpm_array *a, u64 to,
		  const struct hpm_cut_ops *ops);
/*
 * A @to for it, such that about @looks nodes and elements are looked at and @weigh
 * has said true @heavy times at most.  It is called for all elements, or, if not
 * @all, for each that no other array has: then no shared node is cut in two.
 */
int hpm_array_cut_bound(struct hpm_md *md, struct hpm_array *a,
			bool (*weigh)(void *ctx, const void *elt), void *ctx,
			bool all, unsigned int looks, unsigned int heavy,
			u64 *to);
/* A new epoch: all blocks of the counts must be copied again. */
void hpm_counts_epoch(struct hpm_md *md);
/*
 * In an array of @limit elements: the nodes that two neighbouring leaves may be
 * in want of, and those that @n elements may stand in, paths included.
 */
u32 hpm_array_worst_new(const struct hpm_array *a, u64 limit);
u32 hpm_array_worst_touched(const struct hpm_array *a, u64 limit, u32 n);

#endif /* HPM_ARRAY_H */
