/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults that are planted on purpose, to test that the tests catch them.
 *
 * Each is a mistake that a programmer could make, at the place where it would
 * be made.  Only builds with DM_HPMAPPER_FAULTS have them (module parameter
 * "fault"); in all others hpm_fault() is false at compile time, so the compiler
 * removes them.
 */
#ifndef HPM_FAULT_H
#define HPM_FAULT_H

#include "env.h"

/* Each name for the enumeration, and for the parameter. */
#define HPM_FAULTS(_)							\
	/* the data device is not flushed before a batch ... */		\
	_(FLUSH_BATCH, "flush_batch")					\
	/* ... or before the batch of a checkpoint */			\
	_(FLUSH_SUPER, "flush_super")					\
	/* a FLUSH joins a commit that has flushed the data already */	\
	_(LATE_JOIN, "late_join")					\
	/* a write's record is published before its data is written */	\
	_(RECORD_EARLY, "record_early")					\
	/* freed blocks are discarded before their record is durable */	\
	_(DISCARD_EARLY, "discard_early")				\
	/* freed blocks are allocated before their record is durable */	\
	_(REUSE_EARLY, "reuse_early")					\
	/* the superblock is written before what it refers to */	\
	_(SUPER_EARLY, "super_early")					\
	/* nodes are still changed after the cut has sealed them */	\
	_(EPOCH_OPEN, "epoch_open")					\
	/* recovery goes on in the journal chain from before the crash */ \
	_(STALE_BATCH, "stale_batch")					\
	/* a new pool has the uuid and the superblocks of the old one */ \
	_(OLD_SUPER, "old_super")					\
	/* bytes that were copied from a page are not proved ... */	\
	_(PROVE_NOTHING, "prove_nothing")				\
	/* ... or not before their reader can see them */		\
	_(SHOW_EARLY, "show_early")					\
	/* a snapshot waits for its origin's reads, not for its writes */ \
	_(SNAP_READS, "snap_reads")					\
	/* not our mistake: the drivers below have no memory at first */ \
	_(UNTRIED, "untried")						\
	/* blocks become free before reads of them have ended ... */	\
	_(DRAIN_WRITES, "drain_writes")					\
	/* ... or before writes to them have ended */			\
	_(DRAIN_READS, "drain_reads")					\
	/* blocks that direct I/O has read are entered */		\
	_(DIRECT_SOURCE, "direct_source")				\
	/* pages of a frozen file system are evicted */			\
	_(EVICT_FROZEN, "evict_frozen")

#define HPM_FAULT_NUMBER(id, name)	HPM_FAULT_##id,
enum hpm_fault {
	HPM_FAULT_NONE,
	HPM_FAULTS(HPM_FAULT_NUMBER)
	HPM_NR_FAULTS
};

#ifdef CONFIG_DM_HPMAPPER_FAULTS
extern enum hpm_fault hpm_fault_planted;

/* 0, or -EINVAL: there is no fault of that name. */
int hpm_fault_plant(const char *name);

static inline bool hpm_fault(enum hpm_fault fault)
{
	return READ_ONCE(hpm_fault_planted) == fault;
}
#else
static inline bool hpm_fault(enum hpm_fault fault)
{
	return false;
}
#endif

#endif /* HPM_FAULT_H */
