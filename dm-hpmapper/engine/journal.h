/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The journal: records, batches, the ring.
 */
#ifndef HPM_JOURNAL_H
#define HPM_JOURNAL_H

#include "metadata.h"

/* A record with its name slots, as it is appended and applied. */
#define HPM_MAX_RECORD_SLOTS	3
union hpm_record_buf {
	struct hpm_disk_record rec;
	u8 slots[HPM_MAX_RECORD_SLOTS][HPM_SLOT_SIZE];
};

/* Fills in a record that has no name. */
void hpm_record_init(union hpm_record_buf *buf, u8 type, u64 serial, u64 arg);

struct hpm_batch {
	void *block[HPM_MAX_BATCH_BLOCKS];
	unsigned int blocks;		/* in use */
	unsigned int records;
	u64 last;			/* record number; with records > 0 */
};

/*
 * A snapshot that has a record number, but whose record may not be applied yet:
 * it is pending while journal.applied is smaller than @record.  Everything but
 * @record is filled in before the snapshot gets its number, at a time when none
 * is pending.
 */
struct hpm_pending_snap {
	u64 record;
	u32 time;			/* the pool's time after it */
	u64 nr_volumes;			/* the number of volumes after it */
	struct hpm_vol *origin;
	union hpm_record_buf buf;
};

/*
 * Positions count ring blocks and never wrap; the block of a position is
 * start + pos % blocks.
 */
struct hpm_journal {
	spinlock_t lock;		/* the open batch and the fifo */
	u64 start, blocks;		/* the ring */
	unsigned int max_blocks;	/* in one batch */
	u64 nonce;
	/* under journal.lock */
	struct hpm_batch *open;
	struct list_head fifo;		/* published changes, not yet applied */
	struct hpm_pending_snap snap;
	u64 next_record;
	u64 durable;
	u64 applied;
	/* under checkpoint_lock to change, and journal.lock */
	u64 tail;			/* a replay's start: older superblock */
	u64 super_pos;			/* ... and newer superblock */
	u64 super_record;		/* the newer one's last record */
	/* changed under commit_lock; pos under journal.lock, too */
	struct hpm_batch *sealed;	/* being written, or empty */
	u64 pos, seq;			/* of the next batch */
	u32 prev;			/* checksum of the batch before it */
	bool dead;			/* a write failed: no more writes */
	u64 commits, writes;
	/* For joining: any commit that began after a call serves the call. */
	atomic64_t tickets;
	u64 served;			/* commit_lock */
	/* credits */
	atomic_t room;			/* records that the open batch takes */
	unsigned int kept;		/* credits that writes must leave */
	atomic_t in_flight;		/* credits out, and records not applied */
	bool credit_wanted;
	wait_queue_head_t credit_wq;	/* new records and returned credits */
};

static inline u64 hpm_ring_block(const struct hpm_journal *j, u64 pos)
{
	u64 index;

	div64_u64_rem(pos, j->blocks, &index);
	return j->start + index;
}

static inline struct hpm_journal_block *hpm_batch_block(struct hpm_batch *b,
							unsigned int i)
{
	return b->block[i];
}

int hpm_journal_init(struct hpm_md *md);
void hpm_journal_exit(struct hpm_md *md);
/* Takes a new nonce; the ring is empty from the present position on. */
void hpm_journal_restart(struct hpm_md *md);
/*
 * Appends a record, for which a credit holds room.  Returns the record's
 * number.  Any context, journal.lock held.
 */
u64 hpm_journal_add(struct hpm_md *md, const union hpm_record_buf *buf);
/* Seals the open batch; returns the last record so far.  commit_lock held. */
u64 hpm_journal_seal(struct hpm_md *md);
/*
 * Flushes the data device, then writes the sealed batch; if that succeeds, its
 * records are durable.  @cut says whether a checkpoint or a commit writes the
 * batch.  commit_lock held.
 */
int hpm_journal_write(struct hpm_md *md, bool cut);
/* Stores in @sb the position behind all written batches.  commit_lock held. */
void hpm_journal_describe(struct hpm_md *md, struct hpm_super *sb);
/* @sb is durable: advances the tail of the ring.  checkpoint_lock held. */
void hpm_journal_checkpointed(struct hpm_md *md, const struct hpm_super *sb);
/* True if the ring may not have room for one more batch and two checkpoints. */
bool hpm_journal_tight(struct hpm_md *md);

#endif /* HPM_JOURNAL_H */
