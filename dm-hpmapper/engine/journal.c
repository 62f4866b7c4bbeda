// SPDX-License-Identifier: GPL-2.0-only
/*
 * The journal: records gathered into batches, batches written into a ring.
 *
 * What a durable batch promises
 * -----------------------------
 * A record enters the open batch only after the data that it maps has been
 * written (the bio has completed).  A commit first seals the batch, then
 * flushes the data device, then writes the batch.  So the data of all records
 * of a batch is durable before the batch can be read back, and no batch on disk
 * has a record whose data could still be lost with the device's write cache.
 *
 * If the data flush fails, the batch is never written, not even later: the
 * device may have dropped the data, and a later flush that succeeds would not
 * bring it back.  The journal is dead then, and the pool is read-only.
 *
 * Where the journal ends
 * ----------------------
 * Each block names the pool (by the checksum's seed), the activation (nonce),
 * its batch (sequence number, place in it, size) and the checksum of the batch
 * before.  Only one batch is in flight at a time, each batch starts in a new
 * block, and no block is rewritten within a lap of the ring.  Hence at most one
 * batch, the last, can be torn, and nothing valid can follow it.  Recovery
 * reads batches until one does not continue the chain, and then reads the rest
 * of the ring.  A valid block of this activation with a higher sequence number
 * there means that the supposed end is damage in the middle; recovery then
 * refuses to open the pool, so that nothing is written over it.  Only damage to
 * the very last batch cannot be recognized: if that batch is damaged after it
 * was acknowledged, it looks torn.
 *
 * If a batch needs more than one request, because it wraps or is long, FUA does
 * not cover the earlier requests; so the last one has PREFLUSH.
 */
#include "engine.h"
#include "block.h"
#include "credit.h"
#include "journal.h"

/*----------------------------------------------------------------
 * Memory
 *--------------------------------------------------------------*/

static void batch_free(struct hpm_batch *b)
{
	unsigned int i;

	if (!b)
		return;
	for (i = 0; i < HPM_MAX_BATCH_BLOCKS; i++)
		if (b->block[i])
			hpm_block_free(b->block[i]);
	kfree(b);
}

static struct hpm_batch *batch_alloc(unsigned int blocks)
{
	struct hpm_batch *b = kzalloc(sizeof(*b), GFP_KERNEL);
	unsigned int i;

	if (!b)
		return NULL;
	for (i = 0; i < blocks; i++) {
		b->block[i] = hpm_block_alloc(GFP_KERNEL);
		if (!b->block[i]) {
			batch_free(b);
			return NULL;
		}
	}
	return b;
}

static int batch_room(const struct hpm_journal *j)
{
	/* A record with a name may leave two slots at the end of a block unused. */
	return j->max_blocks * (HPM_SLOTS_PER_BLOCK - 2) / HPM_MAX_RECORD_SLOTS;
}

int hpm_journal_init(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;

	spin_lock_init(&j->lock);
	INIT_LIST_HEAD(&j->fifo);
	j->start = md->journal_start;
	j->blocks = md->journal_blocks;
	j->max_blocks = clamp_t(u64, j->blocks / 8, 4, HPM_MAX_BATCH_BLOCKS);
	j->open = batch_alloc(j->max_blocks);
	j->sealed = batch_alloc(j->max_blocks);
	if (!j->open || !j->sealed)
		return -ENOMEM;
	atomic64_set(&j->tickets, 0);
	atomic_set(&j->room, batch_room(j));
	j->kept = min(batch_room(j) / 8, HPM_CREDITS_KEPT);
	atomic_set(&j->in_flight, 0);
	init_waitqueue_head(&j->credit_wq);
	return 0;
}

void hpm_journal_exit(struct hpm_md *md)
{
	batch_free(md->journal.open);
	batch_free(md->journal.sealed);
	md->journal.open = NULL;
	md->journal.sealed = NULL;
}

/*----------------------------------------------------------------
 * Adding
 *--------------------------------------------------------------*/

void hpm_record_init(union hpm_record_buf *buf, u8 type, u64 serial, u64 arg)
{
	memset(buf, 0, sizeof(*buf));
	buf->rec.type = type;
	buf->rec.slots = 1;
	buf->rec.serial = cpu_to_le64(serial);
	buf->rec.pbn = cpu_to_le64(arg);
}

/* Returns the block of the open batch that has room for @slots more slots. */
static struct hpm_journal_block *open_block(struct hpm_journal *j,
					    unsigned int slots)
{
	struct hpm_batch *b = j->open;
	struct hpm_journal_block *jb;

	if (b->blocks) {
		jb = hpm_batch_block(b, b->blocks - 1);
		if (le16_to_cpu(jb->head.nr) + slots <= HPM_SLOTS_PER_BLOCK)
			return jb;
	}
	jb = hpm_batch_block(b, b->blocks++);
	jb->head.nr = 0;
	jb->first_record = cpu_to_le64(j->next_record);
	return jb;
}

u64 hpm_journal_add(struct hpm_md *md, const union hpm_record_buf *buf)
{
	struct hpm_journal *j = &md->journal;
	unsigned int slots = buf->rec.slots, nr;
	struct hpm_journal_block *jb = open_block(j, slots);

	lockdep_assert_held(&j->lock);
	nr = le16_to_cpu(jb->head.nr);
	memcpy(jb->slot[nr], buf->slots, slots * HPM_SLOT_SIZE);
	jb->head.nr = cpu_to_le16(nr + slots);
	j->open->records++;
	j->open->last = j->next_record;
	/* Readers of next_record do not all hold journal.lock. */
	WRITE_ONCE(j->next_record, j->next_record + 1);
	return j->open->last;
}

/*----------------------------------------------------------------
 * Sealing and writing; commit_lock held
 *--------------------------------------------------------------*/

u64 hpm_journal_seal(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	unsigned long flags;
	unsigned int records;
	u64 last;

	lockdep_assert_held(&md->commit_lock);
	spin_lock_irqsave(&j->lock, flags);
	swap(j->open, j->sealed);
	j->open->blocks = 0;
	j->open->records = 0;
	records = j->sealed->records;
	last = j->next_record - 1;
	spin_unlock_irqrestore(&j->lock, flags);
	atomic_add(records, &j->room);
	if (records)
		hpm_credit_progress(md);
	return last;
}

static void batch_finish(struct hpm_md *md, struct hpm_batch *b)
{
	struct hpm_journal *j = &md->journal;
	struct hpm_journal_block *jb;
	unsigned int i, nr;
	u64 first;

	for (i = 0; i < b->blocks; i++) {
		jb = hpm_batch_block(b, i);
		nr = le16_to_cpu(jb->head.nr);
		first = le64_to_cpu(jb->first_record);
		memset(jb, 0, offsetof(struct hpm_journal_block, slot));
		memset(jb->slot[nr], 0,
		       (HPM_SLOTS_PER_BLOCK - nr) * HPM_SLOT_SIZE);
		hpm_block_init(md, jb, HPM_BT_JOURNAL,
			       hpm_ring_block(j, j->pos + i), md->epoch);
		jb->head.nr = cpu_to_le16(nr);
		jb->head.aux = cpu_to_le64(j->pos + i);
		jb->nonce = cpu_to_le64(j->nonce);
		jb->seq = cpu_to_le64(j->seq);
		jb->first_record = cpu_to_le64(first);
		jb->prev = cpu_to_le32(j->prev);
		jb->index = cpu_to_le16(i);
		jb->blocks = cpu_to_le16(b->blocks);
		hpm_block_seal(md->seed, jb);
	}
}

static int batch_write(struct hpm_md *md, struct hpm_batch *b)
{
	struct hpm_journal *j = &md->journal;
	u64 block = hpm_ring_block(j, j->pos);
	unsigned int first, flags = HPM_IO_FUA;
	int r;

	first = min_t(u64, b->blocks, j->start + j->blocks - block);
	if (first < b->blocks) {
		r = hpm_io_write_run(md->io, block, b->block, first, 0);
		if (r)
			return r;
		block = j->start;
		flags |= HPM_IO_PREFLUSH;
	} else {
		first = 0;
	}
	return hpm_io_write_run(md->io, block, b->block + first,
				b->blocks - first, flags);
}

int hpm_journal_write(struct hpm_md *md, bool cut)
{
	struct hpm_journal *j = &md->journal;
	struct hpm_batch *b = j->sealed;
	unsigned long flags;
	int r = 0;

	lockdep_assert_held(&md->commit_lock);
	if (READ_ONCE(j->dead))
		return -EIO;
	if (!hpm_fault(cut ? HPM_FAULT_FLUSH_SUPER : HPM_FAULT_FLUSH_BATCH))
		r = hpm_io_flush_data(md->io);
	if (r) {
		hpm_md_data_flush_failed(md, r);
		return r;
	}
	/* Another flush may have failed meanwhile and lost data of this batch. */
	if (READ_ONCE(j->dead))
		return -EIO;
	if (!b->records)
		return 0;

	batch_finish(md, b);
	r = batch_write(md, b);
	if (r)		/* it may be there or not: write it once more */
		r = batch_write(md, b);
	if (r) {
		WRITE_ONCE(j->dead, true);
		hpm_md_fail(md, HPM_MODE_READ_ONLY, "journal write failed", r);
		return r;
	}
	j->seq++;
	j->prev = le32_to_cpu(hpm_batch_block(b, b->blocks - 1)->head.csum);
	j->writes++;
	spin_lock_irqsave(&j->lock, flags);
	j->pos += b->blocks;
	WRITE_ONCE(j->durable, b->last);
	spin_unlock_irqrestore(&j->lock, flags);
	b->records = 0;
	b->blocks = 0;
	return 0;
}

bool hpm_journal_tight(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	unsigned long flags;
	u64 used;

	spin_lock_irqsave(&j->lock, flags);
	used = j->pos - j->tail;
	spin_unlock_irqrestore(&j->lock, flags);
	return j->blocks - used < 3 * j->max_blocks;
}

void hpm_journal_describe(struct hpm_md *md, struct hpm_super *sb)
{
	struct hpm_journal *j = &md->journal;

	sb->nonce = cpu_to_le64(j->nonce);
	sb->journal_pos = cpu_to_le64(j->pos);
	sb->journal_seq = cpu_to_le64(j->seq);
	sb->journal_prev = cpu_to_le32(j->prev);
}

void hpm_journal_checkpointed(struct hpm_md *md, const struct hpm_super *sb)
{
	struct hpm_journal *j = &md->journal;
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	j->tail = j->super_pos;
	j->super_pos = le64_to_cpu(sb->journal_pos);
	WRITE_ONCE(j->super_record, le64_to_cpu(sb->record));
	spin_unlock_irqrestore(&j->lock, flags);
}

void hpm_journal_restart(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;

	if (hpm_fault(HPM_FAULT_STALE_BATCH) && j->nonce)
		return;
	do {
		get_random_bytes(&j->nonce, sizeof(j->nonce));
	} while (!j->nonce);
	j->seq = 1;
	j->prev = 0;
}
