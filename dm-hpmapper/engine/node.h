/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The node cache: metadata blocks in memory, and pointers to them.
 */
#ifndef HPM_NODE_H
#define HPM_NODE_H

#include "env.h"
#include "format.h"

struct hpm_md;

struct hpm_ptr {
	u64 block;		/* 0: none */
	u64 epoch;
};

struct hpm_root {
	struct hpm_ptr ptr;
	u8 height;		/* 0: empty; 1: the root is a leaf */
};

/*
 * A metadata block in memory.  Readers find it under RCU; the holder of
 * md->lock takes a hold on it.  A node whose epoch is older than md->epoch is
 * never changed.
 */
struct hpm_node {
	struct hlist_node hash;		/* RCU; changed under nodes.lock */
	struct list_head list;		/* nodes.clean, or a dirty list */
	struct rcu_head rcu;
	struct hpm_nodes *nodes;
	u64 block;
	u64 epoch;
	atomic_t holds;			/* the hash and a dirty list have one */
	u8 dirty;			/* under nodes.lock */
	u8 cached;			/* in the hash; under nodes.lock */
	u8 referenced;			/* set by readers without a lock */
	union {
		void *data;
		struct hpm_block_head *head;
		struct hpm_map_leaf *leaf;
		struct hpm_map_node *node;
		struct hpm_arr_node *arr;
		struct hpm_refs_page *refs;
	};
};

/* The functions of map.c and array.c, which know the content of nodes. */
struct hpm_node_kind {
	/*
	 * Returns -EUCLEAN if the content of a node that was read is out of
	 * bounds, or 0.  NULL: the users of the node check it.
	 */
	int (*validate)(const struct hpm_block_head *h);
	/*
	 * A shared node is being copied: raises the counts of all that it
	 * refers to, as two nodes refer to it from now on.
	 */
	int (*raise_children)(struct hpm_md *md, struct hpm_node *n);
};

#define HPM_NODES_HASH_BITS	14

struct hpm_nodes {
	spinlock_t lock;		/* the hash and the lists */
	struct hlist_head *hash;
	struct list_head clean;		/* clock order */
	struct list_head dirty;		/* of the open epoch */
	struct list_head spare;		/* unused nodes with their pages */
	unsigned long nr_clean, nr_spare;
	unsigned long nr_dirty;		/* sealed ones included */
	unsigned long limit;
	u64 reads, writes;
	const struct hpm_node_kind *map, *array;
};

int hpm_nodes_init(struct hpm_md *md, const struct hpm_node_kind *map,
		   const struct hpm_node_kind *array);
void hpm_nodes_exit(struct hpm_md *md);

/*
 * Returns the cached node for a pointer, or NULL if it is not in memory or has
 * another epoch.  The caller holds rcu_read_lock().
 */
struct hpm_node *hpm_node_find(struct hpm_md *md, u64 block, u64 epoch);

/*
 * Returns the node with a hold, read from the device if it is not in memory.
 * Checks checksum, magic, number, epoch, @type, @level and the bounds of the
 * content.  Sleeps.  Needs no lock, so a miss does not block other users of the
 * engine.
 */
int hpm_node_get(struct hpm_md *md, struct hpm_ptr ptr, u8 type, u8 level,
		 struct hpm_node **out);
/*
 * The same for callers without md->lock, whose pointer may be out of date and
 * lead to a block that was given back and reused: errors are not logged.
 */
int hpm_node_try_get(struct hpm_md *md, struct hpm_ptr ptr, u8 type, u8 level,
		     struct hpm_node **out);
void hpm_node_hold(struct hpm_node *n);
void hpm_node_put(struct hpm_node *n);

/* md->lock held for all functions below. */

/*
 * Makes a node of this epoch: payload zeroed unless it is a map node, dirty,
 * held, with a reference count of 1.
 */
int hpm_node_new(struct hpm_md *md, u8 type, u8 level, struct hpm_node **out);
/*
 * Makes *np writable: keeps it if it is of this epoch and referred to once.  If
 * not, replaces it by a copy, to which the caller must make the parent point.
 * The hold on the old node is moved to the copy.  Counts are moved, too: the
 * old block loses the caller's reference, and if others still refer to it,
 * everything that it refers to gains one.
 */
int hpm_node_shadow(struct hpm_md *md, struct hpm_node **np);
/* Drops a held node whose block's hpm_refs_dec() returned 0; puts the hold. */
void hpm_node_drop(struct hpm_md *md, struct hpm_node *n);
/* Moves the epoch's dirty list to @sealed. */
void hpm_nodes_seal(struct hpm_md *md, struct list_head *sealed);
/* Writes the sealed nodes (no lock needed); can be repeated. */
int hpm_nodes_write(struct hpm_md *md, struct list_head *sealed);
/*
 * The sealed nodes are durable and become clean (no lock needed).  Empties the
 * list.
 */
void hpm_nodes_written(struct hpm_md *md, struct list_head *sealed);
/* Moves a sealed list that could not be written back to the dirty nodes. */
void hpm_nodes_unseal(struct hpm_md *md, struct list_head *sealed);

static inline struct hpm_ptr hpm_node_ptr(const struct hpm_node *n)
{
	return (struct hpm_ptr){ .block = n->block, .epoch = n->epoch };
}

static inline struct hpm_ptr hpm_ptr_from_disk(const struct hpm_disk_ptr *d)
{
	return (struct hpm_ptr){ .block = le64_to_cpu(d->block),
				 .epoch = le64_to_cpu(d->epoch) };
}

static inline void hpm_ptr_to_disk(struct hpm_disk_ptr *d, struct hpm_ptr p)
{
	d->block = cpu_to_le64(p.block);
	d->epoch = cpu_to_le64(p.epoch);
}

static inline struct hpm_root hpm_root_from_disk(const struct hpm_disk_root *d)
{
	return (struct hpm_root){ .ptr = hpm_ptr_from_disk(&d->ptr),
				  .height = d->height };
}

static inline void hpm_root_to_disk(struct hpm_disk_root *d, struct hpm_root r)
{
	hpm_ptr_to_disk(&d->ptr, r.ptr);
	d->height = r.height;
}

#endif /* HPM_NODE_H */
