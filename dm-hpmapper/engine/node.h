/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The node cache: metadata blocks in memory, and what points to them.
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
 * A metadata block in memory.  Found under RCU by readers, held by those who
 * hold md->lock.  A node whose epoch is older than md->epoch is never changed.
 */
struct hpm_node {
	struct hlist_node hash;		/* RCU; changed under nodes.lock */
	struct list_head list;		/* clean: nodes.clean; dirty: an epoch's */
	struct rcu_head rcu;
	struct hpm_nodes *nodes;
	u64 block;
	u64 epoch;
	atomic_t holds;			/* being hashed or dirty counts as one */
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

/* What the cache asks of those whose content a node has: map.c, array.c. */
struct hpm_node_kind {
	/* Is what was read in bounds?  0 or -EUCLEAN.  NULL: its users look. */
	int (*validate)(const struct hpm_block_head *h);
	/*
	 * A shared node is copied: raises the counts of all that it refers to,
	 * there being two of it now.
	 */
	int (*raise_children)(struct hpm_md *md, struct hpm_node *n);
};

#define HPM_NODES_HASH_BITS	14

struct hpm_nodes {
	spinlock_t lock;		/* who is in the hash and the lists */
	struct hlist_head *hash;
	struct list_head clean;		/* clock order */
	struct list_head dirty;		/* of the open epoch */
	struct list_head spare;		/* unused, kept for their pages */
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
 * The cached node for a pointer, or NULL if it is not in memory (or what is
 * there has another epoch).  Caller holds rcu_read_lock(); takes no lock.
 */
struct hpm_node *hpm_node_find(struct hpm_md *md, u64 block, u64 epoch);

/*
 * The same, held, read from the device if need be; checks checksum, magic,
 * number, epoch, @type and @level and that the content is in bounds.  Sleeps;
 * needs no lock, so that a miss is loaded beside everything else.
 */
int hpm_node_get(struct hpm_md *md, struct hpm_ptr ptr, u8 type, u8 level,
		 struct hpm_node **out);
/*
 * Without md->lock a pointer may be out of date, and what it names given back
 * and used again: the same, but errors are not worth a word in the log.
 */
int hpm_node_try_get(struct hpm_md *md, struct hpm_ptr ptr, u8 type, u8 level,
		     struct hpm_node **out);
void hpm_node_hold(struct hpm_node *n);
void hpm_node_put(struct hpm_node *n);

/* md->lock held from here. */

/* A fresh node of this epoch: zeroed payload, dirty, held, one reference. */
int hpm_node_new(struct hpm_md *md, u8 type, u8 level, struct hpm_node **out);
/*
 * Makes *np writable: itself if it is of this epoch and referred to once, else
 * a copy, to which the caller must make the parent point.  Takes over the hold.
 * Counts are moved: the old block loses the caller's reference; if others keep
 * it, what it refers to gains one each.
 */
int hpm_node_shadow(struct hpm_md *md, struct hpm_node **np);
/* hpm_refs_dec() of a held node's block has returned 0; also puts it. */
void hpm_node_drop(struct hpm_md *md, struct hpm_node *n);
/* Closes the epoch's dirty list: moves it to @sealed. */
void hpm_nodes_seal(struct hpm_md *md, struct list_head *sealed);
/* Writes what was sealed (no lock needed); can be done again. */
int hpm_nodes_write(struct hpm_md *md, struct list_head *sealed);
/* It is durable (no lock needed): clean from now on.  Empties the list. */
void hpm_nodes_written(struct hpm_md *md, struct list_head *sealed);
/* Puts a sealed list that could not be written back among the dirty. */
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
