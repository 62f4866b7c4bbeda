// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzes recovery: the input becomes batches behind a pool's last checkpoint.
 * Everything that the input does not choose is valid, so that records are
 * reached.  A batch is
 *
 *	u8 records, u8 lie
 *	{ u8 type, u8 nr, u8 serial, u16 vbn, u16 pbn, u16 arg }...
 *
 * where a lie is a wrong field in the batch's head.  The pool is opened
 * read-only, which replays in memory, and for writing.  It must be recovered,
 * or refused with a sentence.  After a recovery, its volumes are looked up from
 * end to end, the device's content is checked, and everything is deleted.  (A
 * forged record may describe what the engine would never have written, such as
 * a block with two owners or a cursor inside a leaf.  So faults may be found,
 * and a step may fail; but there must be no crash, no warning and no hang.)
 */
#include <unistd.h>

#include "fuzz.h"
#include "hpm_check.h"
#include "hpm_mem_io.h"
#include "metadata-pool.h"
#include "metadata-volume.h"
#include "pool_maker.h"

#define NR_POOLS    4
#define POOL_BLOCKS 1024u
#define DATA_BLOCKS (1 << 14)
#define RECORD_SIZE 10u

enum lie {
	TRUTH,
	LIE_SEQ,
	LIE_PREV,
	LIE_INDEX,
	LIE_BLOCKS,
	LIE_FIRST,
	LIE_NR,
	LIE_AUX,
	LIE_SUM,
	NR_LIES,
};

struct at {
	struct hpm_io *io;
	u32 seed, prev;
	u64 start, blocks; /* of the ring */
	u64 nonce, pos, seq, record;
};

static struct hpm_io *pool[NR_POOLS];
static u64 changed[64];
static u8 kept[64][HPM_BLOCK_SIZE];
static unsigned int nr_changed;

static void quiet(void *ctx, enum hpm_env_level level, const char *line)
{
}

/*
 *----------------------------------------------------------------
 * Pools
 *--------------------------------------------------------------
 */

static struct hpm_io *make_one(unsigned int i)
{
	const struct make_params p = {
		.data_blocks = DATA_BLOCKS,
		.large_shift = i % 2 ? 4 : 6,
		.steps = 500,
		.vol_blocks = 1 << 11,
		.max_vols = 5,
		.hold = i & 1,
		.dying = i & 2,
		.seed = i + 1,
	};
	struct hpm_io *io = hpm_mem_create(POOL_BLOCKS, DATA_BLOCKS, 1);
	char path[] = "/tmp/fuzz_journal.XXXXXX";
	u8 block[HPM_BLOCK_SIZE];
	struct dev dev;
	int fd = mkstemp(path);
	u64 b;

	must(io && fd >= 0);
	must(!ftruncate(fd, (off_t)POOL_BLOCKS * HPM_BLOCK_SIZE));
	must(!dev_open(&dev, path, DEV_WRITE) && !make_pool(&dev, &p));
	for (b = 0; b < POOL_BLOCKS; b++) {
		must(!dev_read(&dev, b, 1, block));
		hpm_mem_poke(io, b, block);
	}
	dev_close(&dev);
	close(fd);
	unlink(path);
	return io;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	unsigned int i;

	tool_begin("fuzz");
	hpm_env_seed(1);
	for (i = 0; i < NR_POOLS; i++)
		pool[i] = make_one(i);
	hpm_env_set_log(quiet, NULL);
	return 0;
}

static void poke(struct hpm_io *io, u64 block, const void *data)
{
	must(nr_changed < ARRAY_SIZE(changed));
	memcpy(kept[nr_changed], hpm_mem_peek(io, block), HPM_BLOCK_SIZE);
	changed[nr_changed++] = block;
	hpm_mem_poke(io, block, data);
}

static void unpoke(struct hpm_io *io)
{
	while (nr_changed--)
		hpm_mem_poke(io, changed[nr_changed], kept[nr_changed]);
	nr_changed = 0;
}

/*
 *----------------------------------------------------------------
 * Batches
 *--------------------------------------------------------------
 */

static void find_end(struct at *at, struct hpm_io *io)
{
	const struct hpm_label *l = hpm_mem_peek(io, HPM_LABEL_BLOCK);
	const struct hpm_super *a = hpm_mem_peek(io, HPM_SUPER_A);
	const struct hpm_super *b = hpm_mem_peek(io, HPM_SUPER_B);

	if (le64_to_cpu(b->generation) > le64_to_cpu(a->generation))
		a = b;
	*at = (struct at){
		.io = io,
		.seed = uuid_seed(l->uuid),
		.prev = le32_to_cpu(a->journal_prev),
		.start = le64_to_cpu(l->journal_start),
		.blocks = le64_to_cpu(l->journal_blocks),
		.nonce = le64_to_cpu(a->nonce),
		.pos = le64_to_cpu(a->journal_pos),
		.seq = le64_to_cpu(a->journal_seq),
		.record = le64_to_cpu(a->record) + 1,
	};
}

/* Uses the number as it is, or one at the limits. */
static u64 number(u16 v)
{
	static const u64 edge[] = {
		HPM_PBN_HOLE, HPM_PBN_HOLE - 1, U64_MAX,     1ull << 36,
		1ull << 47,   (1ull << 48) - 1, DATA_BLOCKS, DATA_BLOCKS - 1,
	};

	return v < 0xff00 ? v : edge[v % ARRAY_SIZE(edge)];
}

static unsigned int put_record(u8 *slot, unsigned int left, const u8 *in)
{
	struct hpm_disk_record *rec = (void *)slot;
	u64 arg = get_unaligned_le16(in + 8);
	unsigned int slots = in[0] & 0x80 && left >= 3 ? 3 : 1;

	rec->type = in[0] & 0x1f;
	rec->slots = in[0] & 0x40 ? in[0] & 3 : slots;
	rec->nr = cpu_to_le16(in[1] & 0x80 ? in[1] << 2 : in[1]);
	rec->serial = cpu_to_le64(in[2] == 255 ? U64_MAX : in[2]);
	rec->vbn = cpu_to_le64(number(get_unaligned_le16(in + 4)));
	rec->pbn = cpu_to_le64(number(get_unaligned_le16(in + 6)));
	rec->arg_lo = cpu_to_le32(arg);
	if (slots == 3)
		memcpy(slot + HPM_SLOT_SIZE, "name", 4);
	return slots;
}

static void tell_lie(struct hpm_journal_block *jb, enum lie lie, u8 how)
{
	if (lie == LIE_SEQ)
		le64_add_cpu(&jb->seq, how);
	else if (lie == LIE_PREV)
		le32_add_cpu(&jb->prev, how);
	else if (lie == LIE_INDEX)
		jb->index = cpu_to_le16(how);
	else if (lie == LIE_BLOCKS)
		jb->blocks = cpu_to_le16(how);
	else if (lie == LIE_FIRST)
		le64_add_cpu(&jb->first_record, how);
	else if (lie == LIE_NR)
		jb->head.nr = cpu_to_le16(how);
	else if (lie == LIE_AUX)
		le64_add_cpu(&jb->head.aux, how);
}

static void put_batch(struct at *at, struct hpm_journal_block *jb,
		      unsigned int slots, unsigned int records, u8 lie)
{
	u64 block = at->start + at->pos % at->blocks;

	jb->head.magic = cpu_to_le32(HPM_MAGIC);
	jb->head.type = HPM_BT_JOURNAL;
	jb->head.nr = cpu_to_le16(slots);
	jb->head.blocknr = cpu_to_le64(block);
	jb->head.aux = cpu_to_le64(at->pos);
	jb->nonce = cpu_to_le64(at->nonce);
	jb->seq = cpu_to_le64(at->seq);
	jb->first_record = cpu_to_le64(at->record);
	jb->prev = cpu_to_le32(at->prev);
	jb->blocks = cpu_to_le16(1);
	tell_lie(jb, lie % NR_LIES, lie / NR_LIES);
	block_seal(at->seed, jb);
	if (lie % NR_LIES == LIE_SUM)
		le32_add_cpu(&jb->head.csum, 1);
	poke(at->io, block, jb);
	at->prev = le32_to_cpu(jb->head.csum);
	at->pos++;
	at->seq++;
	at->record += records;
}

static void put_journal(struct at *at, const u8 *in, size_t size)
{
	struct hpm_journal_block jb;
	unsigned int nr, slots, i;
	u8 lie;

	while (size >= 2 && nr_changed < ARRAY_SIZE(changed)) {
		nr = in[0] % (HPM_SLOTS_PER_BLOCK / 3);
		lie = in[1];
		in += 2;
		size -= 2;
		memset(&jb, 0, sizeof(jb));
		for (i = 0, slots = 0; i < nr && size >= RECORD_SIZE; i++) {
			slots += put_record(jb.slot[slots],
					    HPM_SLOTS_PER_BLOCK - slots, in);
			in += RECORD_SIZE;
			size -= RECORD_SIZE;
		}
		put_batch(at, &jb, slots, i, lie);
	}
}

/*
 *----------------------------------------------------------------
 * Recovery
 *--------------------------------------------------------------
 */

static void look_up(struct hpm_md *md, u32 id)
{
	struct hpm_vol *vol;
	struct hpm_run run;
	u64 vbn;
	int r;

	if (hpm_vol_open(md, id, &vol))
		return;
	for (vbn = 0; vbn < 1 << 12; vbn += run.nr) {
		run.nr = 0;
		r = hpm_map_lookup(vol, vbn, 64, &run);
		if (r == -EAGAIN && !hpm_map_load(vol, vbn))
			r = hpm_map_lookup(vol, vbn, 64, &run);
		must(r || run.nr);
		if (r)
			run.nr = 1;
	}
	hpm_vol_put(vol);
}

static void look_up_all(struct hpm_md *md)
{
	struct hpm_vol_info info;
	u32 id = 0;

	while (!hpm_vol_next(md, id, &info)) {
		look_up(md, info.id);
		id = info.id + 1;
	}
}

static void delete_all(struct hpm_md *md)
{
	struct hpm_vol_info info;
	const char *why;
	u32 id = 0;

	while (!hpm_vol_next(md, id, &info)) {
		hpm_vol_delete(md, info.id, &why);
		id = info.id + 1;
	}
	while (hpm_md_reclaim_step(md) > 0)
		;
	hpm_md_checkpoint(md);
}

static bool recover(struct hpm_io *io, bool read_only)
{
	const struct hpm_md_params p = { .read_only = read_only };
	const char *why = NULL;
	struct hpm_md *md;

	if (hpm_md_open(io, &p, NULL, NULL, &md, &why)) {
		must(why && *why);
		return false;
	}
	look_up_all(md);
	hpm_md_close(md);
	return true;
}

/* Opens the pool once more, with an empty journal. */
static void empty(struct hpm_io *io)
{
	const struct hpm_md_params p = { 0 };
	const struct hpm_check_params cp = { 0 };
	struct hpm_check_result res;
	struct hpm_md *md;
	const char *why;

	must(!hpm_check(io, &cp, &res));
	if (hpm_md_open(io, &p, NULL, NULL, &md, &why))
		return;
	delete_all(md);
	hpm_md_close(md);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct hpm_io *over;
	struct at at;

	if (!size)
		return 0;
	find_end(&at, pool[data[0] % NR_POOLS]);
	put_journal(&at, data + 1, size - 1);
	over = hpm_io_overlay(at.io);
	must(over);
	recover(over, true);
	if (recover(over, false))
		empty(over);
	hpm_io_close(over);
	unpoke(at.io);
	return 0;
}
