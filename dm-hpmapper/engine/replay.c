// SPDX-License-Identifier: GPL-2.0-only
/* Replay: applies the batches of the ring that follow the newest superblock. */
#include "engine.h"
#include "apply.h"
#include "audit.h"
#include "block.h"
#include "checkpoint.h"
#include "journal.h"
#include "replay.h"

/*
 * Reads one block of the ring; -ENODATA: it is not a valid journal block of
 * this pool and activation.
 */
static int read_ring(struct hpm_md *md, u64 pos, struct hpm_journal_block *jb)
{
	struct hpm_journal *j = &md->journal;
	u64 block = hpm_ring_block(j, pos);
	int r = hpm_io_read(md->io, block, jb);

	if (r)
		return r;
	if (hpm_block_check(md->seed, jb, HPM_BT_JOURNAL, block) ||
	    le64_to_cpu(jb->nonce) != j->nonce ||
	    le16_to_cpu(jb->head.nr) > HPM_SLOTS_PER_BLOCK ||
	    !le16_to_cpu(jb->blocks) ||
	    le16_to_cpu(jb->blocks) > j->max_blocks ||
	    le16_to_cpu(jb->index) >= le16_to_cpu(jb->blocks))
		return -ENODATA;
	return 0;
}

static bool continues(const struct hpm_journal *j,
		      const struct hpm_journal_block *jb, unsigned int index,
		      unsigned int blocks)
{
	return le64_to_cpu(jb->seq) == j->seq &&
	       le32_to_cpu(jb->prev) == j->prev &&
	       le64_to_cpu(jb->head.aux) == j->pos + index &&
	       le16_to_cpu(jb->index) == index &&
	       (!index || le16_to_cpu(jb->blocks) == blocks);
}

/*
 * Reads the batch at j->pos into j->sealed.  -ENODATA: there is none, or it is
 * incomplete; *stop says where.
 */
static int read_batch(struct hpm_md *md, u64 *stop)
{
	struct hpm_journal *j = &md->journal;
	struct hpm_batch *b = j->sealed;
	unsigned int i, blocks = 1;
	int r;

	b->blocks = 0;
	for (i = 0; i < blocks; i++) {
		*stop = j->pos + i;
		r = read_ring(md, j->pos + i, hpm_batch_block(b, i));
		if (r)
			return r;
		if (!continues(j, hpm_batch_block(b, i), i, blocks))
			return -ENODATA;
		blocks = le16_to_cpu(hpm_batch_block(b, 0)->blocks);
	}
	b->blocks = blocks;
	return 0;
}

static int replay_block(struct hpm_md *md, const struct hpm_journal_block *jb)
{
	struct hpm_journal *j = &md->journal;
	unsigned int i, nr = le16_to_cpu(jb->head.nr), slots;
	union hpm_record_buf buf;
	int r;

	if (le64_to_cpu(jb->first_record) != j->next_record)
		return -EUCLEAN;
	for (i = 0; i < nr; i += slots) {
		slots = jb->slot[i][1];
		if (!slots || slots > HPM_MAX_RECORD_SLOTS || i + slots > nr)
			return -EUCLEAN;
		memset(&buf, 0, sizeof(buf));
		memcpy(buf.slots, jb->slot[i], slots * HPM_SLOT_SIZE);
		md->space.record = j->next_record;
		hpm_audit_begin(md);
		r = hpm_apply_record(md, &buf.rec);
		hpm_audit_end(md, &buf.rec);
		if (r)
			return r;
		j->applied = j->next_record++;
	}
	return 0;
}

static int replay_batch(struct hpm_md *md)
{
	struct hpm_journal *j = &md->journal;
	struct hpm_batch *b = j->sealed;
	unsigned int i;
	int r;

	for (i = 0; i < b->blocks; i++) {
		r = replay_block(md, hpm_batch_block(b, i));
		if (r)
			return r;
	}
	j->prev = le32_to_cpu(hpm_batch_block(b, b->blocks - 1)->head.csum);
	j->pos += b->blocks;
	j->seq++;
	b->blocks = 0;
	return 0;
}

/* Checks that no valid block of this activation follows the end of the journal. */
static int check_end(struct hpm_md *md, u64 stop, const char **why)
{
	struct hpm_journal *j = &md->journal;
	struct hpm_journal_block *jb = j->sealed->block[0];
	u64 pos;
	int r;

	for (pos = j->pos; pos < j->pos + j->blocks; pos++) {
		r = read_ring(md, pos, jb);
		if (r == -ENODATA)
			continue;
		if (r) {
			*why = "a journal block cannot be read";
			return r;
		}
		if (le64_to_cpu(jb->seq) <= j->seq)
			continue;
		hpm_err(md, "journal block %llu is damaged: batch %llu is missing, batch %llu is there",
			(unsigned long long)hpm_ring_block(j, stop),
			(unsigned long long)j->seq,
			(unsigned long long)le64_to_cpu(jb->seq));
		*why = "the journal is damaged in the middle";
		return -EUCLEAN;
	}
	return 0;
}

int hpm_journal_replay(struct hpm_md *md, const struct hpm_super *sb,
		       const char **why)
{
	struct hpm_journal *j = &md->journal;
	u64 stop = 0;
	int r;

	j->nonce = le64_to_cpu(sb->nonce);
	j->pos = le64_to_cpu(sb->journal_pos);
	j->seq = le64_to_cpu(sb->journal_seq);
	j->prev = le32_to_cpu(sb->journal_prev);
	j->super_pos = j->pos;
	j->tail = j->pos;
	j->super_record = le64_to_cpu(sb->record);
	j->applied = j->super_record;
	j->next_record = j->super_record + 1;

	while (!(r = read_batch(md, &stop))) {
		mutex_lock(&md->lock);
		r = replay_batch(md);
		mutex_unlock(&md->lock);
		/* Between batches the state can be written as a checkpoint. */
		if (!r && md->room == HPM_ROOM_MORE)
			r = hpm_md_make_room(md);
		if (r) {
			*why = "a journal record cannot be applied";
			return r;
		}
	}
	if (r != -ENODATA) {
		*why = "a journal block cannot be read";
		return r;
	}
	j->durable = j->next_record - 1;
	return check_end(md, stop, why);
}
