// SPDX-License-Identifier: GPL-2.0-only
/*
 * Properties of the format: lost writes, growth at every step, and fields that
 * only newer versions know.
 */
#include "hpm_check.h"
#include "engine.h"
#include "space.h"
#include "rig.h"
#include "sim.h"

static const char *why;

static struct sim *begin(u64 meta, u64 data)
{
	struct sim_params p = {
		.meta_blocks = meta,
		.data_blocks = data,
		.large_shift = 4,
		.vol_blocks = 512,
		.max_vols = 8,
		.max_ops = 8,
		.seed = rig_seed(),
	};

	return sim_create(&p);
}

static int open_io(struct hpm_io *io, struct hpm_md **md)
{
	struct hpm_md_params p = { .large_shift = 4 };

	why = NULL;
	return hpm_md_open(io, &p, NULL, NULL, md, &why);
}

/* Opens the pool for writing, and closes it again. */
static void opens(struct hpm_io *io)
{
	struct hpm_md *md;
	int r = open_io(io, &md);

	if (r)
		fail_msg("not opened: %d, %s", r, why);
	assert_int_equal(hpm_md_mode(md), HPM_MODE_WRITE);
	hpm_md_close(md);
}

static void refused(struct hpm_io *io, const char *word)
{
	u64 events = hpm_mem_events(io);
	struct hpm_md *md;

	assert_int_equal(open_io(io, &md), -EUCLEAN);
	if (!strstr(why, word))
		fail_msg("\"%s\" does not say \"%s\"", why, word);
	assert_int_equal(hpm_mem_events(io), events);
}

static struct hpm_io *copy(struct sim *s)
{
	return hpm_mem_crash(s->io, HPM_LOSE_NONE, 1);
}

static u64 newest(struct hpm_io *io)
{
	const struct hpm_super *a = hpm_mem_peek(io, HPM_SUPER_A);
	const struct hpm_super *b = hpm_mem_peek(io, HPM_SUPER_B);

	return le64_to_cpu(a->generation) > le64_to_cpu(b->generation) ?
		       HPM_SUPER_A :
		       HPM_SUPER_B;
}

static u64 other(u64 super)
{
	return super == HPM_SUPER_A ? HPM_SUPER_B : HPM_SUPER_A;
}

static bool is_refs(const void *block)
{
	const struct hpm_block_head *h = block;

	return le32_to_cpu(h->magic) == HPM_MAGIC && h->type == HPM_BT_REFS;
}

/* Does the superblock at @super name this home of a page? */
static bool is_home(struct hpm_io *io, u64 super, u64 block)
{
	const struct hpm_super *sb = hpm_mem_peek(io, super);
	u64 first, start, page;
	u32 i;

	for (i = 0; i < le32_to_cpu(sb->nr_segments); i++) {
		start = le64_to_cpu(sb->segment[i].start);
		first = le32_to_cpu(sb->segment[i].first);
		if (block < start ||
		    block >= start + 3ull * le32_to_cpu(sb->segment[i].nr))
			continue;
		page = first + (block - start) / 3;
		return (sb->home[page / 4] >> page % 4 * 2 & 3) ==
		       (block - start) % 3;
	}
	return false;
}

static void reseal(struct hpm_io *io, u64 block, void *data)
{
	struct hpm_super *sb = data;
	u32 seed = crc32c(~0u, sb->uuid, HPM_UUID_SIZE);

	sb->head.csum =
		cpu_to_le32(crc32c(seed, (u8 *)data + 4, HPM_BLOCK_SIZE - 4));
	hpm_mem_poke(io, block, data);
}

/*
 *----------------------------------------------------------------
 * Pages of reference counts
 *--------------------------------------------------------------
 */

/* Makes a pool with some history; *before is an earlier state of it. */
static struct sim *pool_with_past(struct hpm_io **before)
{
	struct sim *s = begin(4096, 4096);
	unsigned int i;

	*before = NULL;
	sim_msg_create(s, 1);
	for (i = 0; i < 40; i++) {
		sim_write_blocks(s, 1, 12 * i, 10);
		if (sim_vol(s, 2))
			sim_msg_delete(s, 2);
		while (sim_reclaim(s) > 0)
			;
		sim_msg_snap(s, 2, 1);
		sim_checkpoint(s);
		if (i == 36)
			*before = copy(s);
	}
	return s;
}

static void test_lost_page(void **state)
{
	unsigned int newest_lost = 0, older_lost = 0;
	struct hpm_io *before, *io;
	struct sim *s = pool_with_past(&before);
	u64 b;

	(void)state;
	for (b = HPM_RESERVED_BLOCKS; b < s->p.meta_blocks; b++) {
		const void *was = hpm_mem_peek(before, b);

		if (!is_refs(was) ||
		    !memcmp(was, hpm_mem_peek(s->io, b), HPM_BLOCK_SIZE))
			continue;
		io = copy(s);
		hpm_mem_poke(io, b, was);
		rig_logged();
		if (is_home(io, newest(io), b)) {
			refused(io, "reference counts");
			assert_non_null(strstr(rig_last_line(), "was lost"));
			newest_lost++;
		} else {
			opens(io);
			older_lost += rig_logged() != 0;
		}
		hpm_io_close(io);
	}
	fprintf(stderr,
		"    lost: %u pages of the newest state, %u of the older one\n",
		newest_lost, older_lost);
	assert_true(newest_lost > 0);
	assert_true(older_lost > 0);
	hpm_io_close(before);
	sim_destroy(s);
}

/*
 * The fields that an older version leaves in the superblock, and values that no
 * version leaves.
 */
static void test_page_csum_words(void **state)
{
	struct hpm_io *before, *io;
	struct sim *s = pool_with_past(&before);
	u8 data[HPM_BLOCK_SIZE];
	struct hpm_super *sb = (void *)data;
	unsigned int i;
	u64 at;

	(void)state;
	for (i = 0; i < 5; i++) {
		io = copy(s);
		at = newest(io);
		memcpy(data, hpm_mem_peek(io, at), sizeof(data));
		assert_true(sb->refs_epoch == sb->head.epoch);
		if (i == 0) { /* a checkpoint of an older version */
			sb->refs_epoch = 0;
			sb->refs_csum = 0;
		} else if (i == 1) { /* one that kept the fields */
			sb->refs_epoch =
				cpu_to_le64(le64_to_cpu(sb->refs_epoch) - 1);
			sb->refs_csum ^= cpu_to_le32(1);
		} else if (i == 2) { /* sets a flag; keeps the rest */
			sb->generation =
				cpu_to_le64(le64_to_cpu(sb->generation) + 1);
			sb->head.blocknr = cpu_to_le64(other(at));
			at = other(at);
		} else { /* no version writes this */
			sb->refs_csum ^= cpu_to_le32(1u << i);
		}
		reseal(io, at, data);
		if (i < 3)
			opens(io);
		else
			refused(io, "reference counts");
		hpm_io_close(io);
	}
	hpm_io_close(before);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * Nodes
 *--------------------------------------------------------------
 */

static u64 highest_epoch(struct hpm_io *io, u64 blocks)
{
	const struct hpm_block_head *h;
	u64 b, epoch = 0;

	for (b = HPM_RESERVED_BLOCKS; b < blocks; b++) {
		h = hpm_mem_peek(io, b);
		if (le32_to_cpu(h->magic) == HPM_MAGIC &&
		    h->type >= HPM_BT_REFS)
			epoch = max(epoch, le64_to_cpu(h->epoch));
	}
	return epoch;
}

/*
 * Nodes that an interrupted checkpoint has written do not have the epoch of the
 * recovery, which writes other nodes to the same places.  If the write of one
 * of these is lost, a pointer to it must not accept the old node.
 */
static void test_epoch_after_crash(void **state)
{
	const struct hpm_super *sb;
	unsigned int cut_short = 0;
	struct hpm_io *io;
	struct hpm_md *md;
	struct sim *s;
	u64 event, first, last, epoch;

	(void)state;
	s = begin(1024, 1024);
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 300);
	sim_commit(s);
	first = hpm_mem_events(s->io);
	sim_checkpoint(s);
	last = hpm_mem_events(s->io);
	sim_destroy(s);
	for (event = first + 1; event <= last; event += 2) {
		s = begin(1024, 1024);
		sim_msg_create(s, 1);
		sim_write_blocks(s, 1, 0, 300);
		sim_commit(s);
		hpm_mem_cut_at(s->io, event);
		hpm_md_checkpoint(s->md);
		io = copy(s);
		sb = hpm_mem_peek(io, newest(io));
		epoch = highest_epoch(io, 1024);
		cut_short += epoch > le64_to_cpu(sb->head.epoch);
		assert_int_equal(open_io(io, &md), 0);
		hpm_md_close(md);
		sb = hpm_mem_peek(io, newest(io));
		assert_true(le64_to_cpu(sb->head.epoch) > epoch);
		hpm_io_close(io);
		sim_destroy(s);
	}
	assert_true(cut_short > 1);
}

/*
 *----------------------------------------------------------------
 * Growth
 *--------------------------------------------------------------
 */

static int grow(struct sim *s, u64 meta, u64 data)
{
	int r;

	hpm_mem_resize(s->io, meta, data);
	why = NULL;
	r = hpm_md_grow(s->md, &why);
	if (r && !hpm_mem_is_cut(s->io))
		fail_msg("grown to %llu and %llu: %d, %s", meta, data, r, why);
	if (!r)
		s->p.data_blocks = data;
	return r;
}

static u64 meta_total(struct sim *s)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(s->md, &st);
	return st.meta_total;
}

static u64 data_total(struct sim *s)
{
	struct hpm_md_stats st;

	hpm_md_get_stats(s->md, &st);
	return st.data_total;
}

/*
 * Grows as often as there are places for segments, and more, by a page at a
 * time.
 */
static struct sim *grow_often(unsigned int times)
{
	struct sim *s = begin(1024, 512);
	u64 meta = 1024, data = 512;

	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 100);
	for (; times; times--) {
		meta += HPM_REFS_PER_PAGE;
		data += 16;
		grow(s, meta, data);
		assert_int_equal(meta_total(s), meta);
		assert_int_equal(data_total(s), data);
	}
	return s;
}

static void test_grow_often(void **state)
{
	struct sim *s = grow_often(HPM_MAX_SEGMENTS + 2);

	(void)state;
	sim_write_blocks(s, 1, 50, 300);
	sim_check(s);
	sim_check_space(s);
	sim_crash(s, HPM_LOSE_ALL, 1);
	sim_destroy(s);
}

/*
 * Space that is too small for its own counts stays unused until there is more.
 */
static void test_grow_little(void **state)
{
	struct sim *s = begin(2 * HPM_REFS_PER_PAGE, 512);
	u64 full = 2 * HPM_REFS_PER_PAGE;

	(void)state;
	sim_msg_create(s, 1);
	rig_logged();
	grow(s, full + 1, 1024);
	assert_int_equal(meta_total(s), full);
	assert_int_equal(data_total(s), 1024);
	assert_non_null(strstr(rig_last_line(), "stay unused"));
	grow(s, full + 3, 1024);
	assert_int_equal(meta_total(s), full);
	/* The device may lose it again. */
	grow(s, full, 1040);
	assert_int_equal(data_total(s), 1040);
	grow(s, full + 4, 1040);
	assert_int_equal(meta_total(s), full + 4);
	sim_check(s);
	/* The rest of the last page needs no homes, and is used at once. */
	grow(s, full + 5, 1040);
	assert_int_equal(meta_total(s), full + 5);
	grow(s, full + HPM_REFS_PER_PAGE, 1040);
	grow(s, full + HPM_REFS_PER_PAGE + 2, 1040);
	assert_int_equal(meta_total(s), full + HPM_REFS_PER_PAGE);
	sim_write_blocks(s, 1, 0, 100);
	sim_check(s);
	sim_check_space(s);
	sim_crash(s, HPM_LOSE_ALL, 1);
	assert_int_equal(meta_total(s), full + HPM_REFS_PER_PAGE);
	/* But it must not be smaller than what is in use. */
	hpm_mem_resize(s->io, full + HPM_REFS_PER_PAGE - 1, 1040);
	assert_int_equal(hpm_md_grow(s->md, &why), -EINVAL);
	sim_destroy(s);
}

/* Checks that neither state has errors. */
static void is_whole(struct hpm_io *io)
{
	struct hpm_check_params p = { .super = HPM_CHECK_NEWEST };
	struct hpm_check_result res;

	assert_int_equal(hpm_check(io, &p, &res), 0);
	assert_int_equal(res.errors, 0);
}

static void whole_after_crash(struct hpm_io *cut, enum hpm_mem_loss loss,
			      bool rot, u64 seed)
{
	struct hpm_io *io = hpm_mem_crash(cut, loss, seed);
	u64 super = newest(io);
	u8 data[HPM_BLOCK_SIZE];
	struct hpm_md *md;

	if (rot) {
		memcpy(data, hpm_mem_peek(io, super), sizeof(data));
		data[100] ^= 1;
		hpm_mem_poke(io, super, data);
	}
	if (open_io(io, &md))
		fail_msg("after a crash: %s", why);
	assert_int_equal(hpm_md_checkpoint(md), 0);
	hpm_md_close(md);
	is_whole(io);
	hpm_io_close(io);
}

/*
 * The growth that moves the homes of all pages is interrupted at some events.
 * Nothing may be lost, from either superblock.
 */
static void test_grow_merge_crash(void **state)
{
	struct sim *s = grow_often(HPM_MAX_SEGMENTS - 1);
	u64 meta = meta_total(s) + HPM_REFS_PER_PAGE, event, step;
	const struct hpm_super *sb;
	struct hpm_io *io;
	struct hpm_md *md;
	bool cut;

	(void)state;
	/* Space that would not even hold the homes of all pages. */
	grow(s, meta_total(s) + 3ull * (HPM_MAX_SEGMENTS + 1), 4096);
	assert_int_equal(data_total(s), 4096);
	assert_true(meta_total(s) < meta);
	sim_shutdown(s);
	step = rig_scale() > 1 ? 1 : 17;
	for (event = 1, cut = true; cut; event += step) {
		io = copy(s);
		assert_int_equal(open_io(io, &md), 0);
		hpm_mem_resize(io, meta, 4096);
		hpm_mem_cut_at(io, hpm_mem_events(io) + event);
		hpm_md_grow(md, &why);
		cut = hpm_mem_is_cut(io);
		hpm_md_close(md);
		if (!cut) {
			sb = hpm_mem_peek(io, newest(io));
			assert_int_equal(le32_to_cpu(sb->nr_segments), 1);
			assert_int_equal(le64_to_cpu(sb->meta_blocks), meta);
		}
		whole_after_crash(io, HPM_LOSE_ALL, false, event);
		whole_after_crash(io, HPM_LOSE_SECTORS, true, event);
		hpm_io_close(io);
	}
	assert_true(event > 40);
	sim_destroy(s);
}

/* Never uses more than the format's maximum, nor too many segments. */
static void test_grow_limits(void **state)
{
	(void)state;
	assert_true(DIV_ROUND_UP(HPM_MAX_META_BLOCKS, HPM_REFS_PER_PAGE) <=
		    HPM_MAX_REFS_PAGES);
	assert_int_equal(sizeof(struct hpm_super), HPM_BLOCK_SIZE);
	assert_int_equal(sizeof(struct hpm_label), HPM_BLOCK_SIZE);
}

/* Growth with a held metadata snapshot, and with hardly a free block. */
static void test_grow_full(void **state)
{
	struct sim *s = begin(1024, 8192);
	unsigned int i, id = 10;
	u64 meta = 1024;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 512);
	assert_int_equal(hpm_md_hold(s->md, &why), 0);
	for (i = 0; i < 60 && id < SIM_MAX_VOLS; i++) {
		if (sim_msg_snap(s, id, 1))
			break;
		id++;
		sim_write_blocks(s, 1, i * 7 % 512, 1);
	}
	for (i = 0; i < 40; i++) {
		meta += i % 8 ? 1 : 1024;
		grow(s, meta, 8192 + 16 * i);
		sim_write_blocks(s, 1, i * 5 % 512, 2);
	}
	assert_int_equal(hpm_md_release(s->md, &why), 0);
	sim_check(s);
	sim_compare(s);
	sim_crash(s, HPM_LOSE_ALL, 1);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * The mark on the data device
 *--------------------------------------------------------------
 */

static struct hpm_md *open_or_format(struct hpm_io *io, bool read_only)
{
	const struct hpm_md_params p = {
		.large_shift = 4,
		.may_format = !read_only,
		.read_only = read_only,
	};
	struct hpm_md *md = NULL;

	why = NULL;
	if (hpm_md_open(io, &p, NULL, NULL, &md, &why))
		return NULL;
	return md;
}

static struct hpm_io *marked_pool(u64 data_blocks)
{
	struct hpm_io *io = hpm_mem_create(1024, data_blocks, 1);
	struct hpm_md *md;

	hpm_mem_with_mark(io);
	md = open_or_format(io, false);
	assert_non_null(md);
	hpm_md_close(md);
	return io;
}

static void mark_refused(struct hpm_io *io, const char *word)
{
	u64 events = hpm_mem_events(io);

	assert_null(open_or_format(io, false));
	if (!strstr(why, word))
		fail_msg("\"%s\" does not say \"%s\"", why, word);
	assert_null(open_or_format(io, true));
	assert_non_null(strstr(why, word));
	assert_int_equal(hpm_mem_events(io), events);
}

static const struct hpm_label *label_of(struct hpm_io *io)
{
	return hpm_mem_peek(io, HPM_LABEL_BLOCK);
}

/* The pool's own mark, that of another pool, none, and other content. */
static void test_mark(void **state)
{
	struct hpm_io *io = marked_pool(1024), *b = marked_pool(1024);
	const struct hpm_md_params adopt = { .adopt_data = true };
	const struct hpm_md_params adopt_ro = {
		.adopt_data = true,
		.read_only = true,
	};
	u8 own[HPM_BLOCK_SIZE], *mark = hpm_mem_mark(io);
	struct hpm_md_stats st;
	struct hpm_md *md;

	(void)state;
	memcpy(own, mark, sizeof(own));
	assert_int_equal(le64_to_cpu(label_of(io)->compat), HPM_COMPAT_MARK);
	assert_memory_equal(((struct hpm_mark *)mark)->uuid, label_of(io)->uuid,
			    HPM_UUID_SIZE);
	md = open_or_format(io, false);
	assert_non_null(md);
	hpm_md_get_stats(md, &st);
	assert_int_equal(st.data_used, 0);
	assert_int_equal(st.data_total, 1024);
	assert_int_equal(st.data_free_now, 1023);
	hpm_md_close(md);
	is_whole(io);

	memcpy(mark, hpm_mem_mark(b), HPM_BLOCK_SIZE);
	mark_refused(io, "belongs to another pool");
	memset(mark, 0, HPM_BLOCK_SIZE);
	mark_refused(io, "pool's mark");
	memset(mark, 0x5a, HPM_BLOCK_SIZE);
	mark_refused(io, "pool's mark");
	memcpy(mark, own, sizeof(own));
	mark[100] ^= 1;
	mark_refused(io, "pool's mark");
	memcpy(mark, label_of(b), HPM_BLOCK_SIZE);
	mark_refused(io, "holds the metadata");
	/* A mark that cannot be read may be right. */
	hpm_mem_fail(io, HPM_MEM_DATA_READ, 1, true);
	rig_logged();
	md = open_or_format(io, false);
	assert_non_null(md);
	assert_int_equal(rig_logged(), 1);
	hpm_md_close(md);
	hpm_mem_fail(io, HPM_MEM_DATA_READ, 0, false);
	memcpy(mark, own, sizeof(own));
	md = open_or_format(io, false);
	assert_non_null(md);
	hpm_md_close(md);
	/* A new device replaces a lost one. */
	memcpy(mark, hpm_mem_mark(b), HPM_BLOCK_SIZE);
	assert_int_equal(hpm_md_open(io, &adopt_ro, NULL, NULL, &md, &why), 0);
	hpm_md_close(md);
	mark_refused(io, "belongs to another pool");
	assert_int_equal(hpm_md_open(io, &adopt, NULL, NULL, &md, &why), 0);
	hpm_md_close(md);
	assert_memory_equal(mark, own, sizeof(own));
	/* The two devices swapped. */
	hpm_mem_poke(io, HPM_LABEL_BLOCK, own);
	mark_refused(io, "is a pool's data device");
	hpm_io_close(io);
	hpm_io_close(b);
}

/* What the users of a pool without a mark have written there means nothing. */
static void test_mark_none(void **state)
{
	struct hpm_io *b = marked_pool(1024), *io;
	struct hpm_md *md;

	(void)state;
	io = hpm_mem_create(1024, 1024, 1);
	md = open_or_format(io, false);
	assert_non_null(md);
	hpm_md_close(md);
	assert_int_equal(le64_to_cpu(label_of(io)->compat), 0);
	hpm_mem_with_mark(io);
	memcpy(hpm_mem_mark(io), hpm_mem_mark(b), HPM_BLOCK_SIZE);
	md = open_or_format(io, false);
	assert_non_null(md);
	hpm_md_close(md);
	hpm_io_close(io);
	hpm_io_close(b);
}

/* The hpm_check of an older version has freed the block as a leak. */
static void test_mark_mended_away(void **state)
{
	struct hpm_io *io = marked_pool(1024);
	struct hpm_md *md = open_or_format(io, false);
	struct hpm_md_stats st;
	unsigned int i;

	(void)state;
	assert_non_null(md);
	mutex_lock(&md->lock);
	for (i = 0; i < HPM_MARK_COUNT; i++)
		assert_int_equal(hpm_space_count_small(md, 0, 1, -1), 0);
	mutex_unlock(&md->lock);
	assert_int_equal(hpm_md_shutdown(md), 0);
	hpm_md_close(md);
	memset(hpm_mem_mark(io), 0x77, HPM_BLOCK_SIZE);
	md = open_or_format(io, false);
	assert_non_null(md);
	hpm_md_get_stats(md, &st);
	assert_int_equal(st.data_used, 0);
	assert_int_equal(st.data_free_now, 1024);
	hpm_md_close(md);
	is_whole(io);
	hpm_io_close(io);
}

/* A crash at any point while a pool is made: it can be made again. */
static void test_mark_crash(void **state)
{
	struct hpm_io *io, *after;
	struct hpm_md *md;
	u64 event, last;
	unsigned int i;

	(void)state;
	io = marked_pool(1024);
	last = hpm_mem_events(io);
	hpm_io_close(io);
	for (event = 1; event <= last; event++) {
		io = hpm_mem_create(1024, 1024, event);
		hpm_mem_with_mark(io);
		hpm_mem_cut_at(io, event);
		md = open_or_format(io, false);
		if (md)
			hpm_md_close(md);
		for (i = 0; i < 3; i++) {
			after = hpm_mem_crash(io,
					      i == 0 ? HPM_LOSE_ALL :
					      i == 1 ? HPM_LOSE_NONE :
						       HPM_LOSE_SECTORS,
					      event);
			md = open_or_format(after, false);
			if (!md)
				fail_msg("event %llu: %s", event, why);
			hpm_md_close(md);
			assert_memory_equal(
				((struct hpm_mark *)hpm_mem_mark(after))->uuid,
				label_of(after)->uuid, HPM_UUID_SIZE);
			is_whole(after);
			hpm_io_close(after);
		}
		hpm_io_close(io);
	}
}

/* The mark's block is never allocated and never discarded. */
static void test_mark_block(void **state)
{
	struct sim_params p = {
		.meta_blocks = 2048,
		.data_blocks = 1024,
		.large_shift = 4,
		.vol_blocks = 512,
		.max_vols = 8,
		.max_ops = 8,
		.mark = true,
		.seed = rig_seed(),
	};
	u64 was[HPM_SECTORS], is[HPM_SECTORS];
	struct sim *s = sim_create(&p);
	unsigned int i, n;

	(void)state;
	assert_int_equal(hpm_mem_data_read(s->io, 0, HPM_SECTORS, was), 0);
	for (n = 0; n < 3; n++) {
		for (i = 1; i < 4; i++) {
			sim_msg_create(s, i);
			sim_write_blocks(s, i, 0, 512);
			sim_stream(s, i, 0);
		}
		sim_check(s);
		for (i = 0; i < 400; i++)
			sim_step(s);
		sim_finish(s);
		sim_compare(s);
		sim_check(s);
		sim_crash(s, HPM_LOSE_SECTORS, n);
		for (i = 0; i < SIM_MAX_VOLS; i++)
			if (s->vols[i].exists)
				sim_msg_delete(s, s->vols[i].id);
		while (sim_reclaim(s) > 0)
			;
		sim_drain_all(s);
		sim_check_space(s);
	}
	assert_int_equal(hpm_mem_data_read(s->io, 0, HPM_SECTORS, is), 0);
	assert_memory_equal(was, is, sizeof(was));
	sim_shutdown(s);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * Names
 *--------------------------------------------------------------
 */

static void test_names(void **state)
{
	struct sim *s = begin(1024, 512);
	struct hpm_vol_info info;

	(void)state;
	assert_int_equal(hpm_vol_create(s->md, 1, 0, "one", &why), 0);
	assert_int_equal(hpm_vol_create(s->md, 2, 0, "two", &why), 0);
	assert_int_equal(hpm_vol_set_name(s->md, 1, "one", &why), 0);
	assert_int_equal(hpm_vol_by_name(s->md, "one", &info), 0);
	assert_int_equal(info.id, 1);
	assert_int_equal(hpm_vol_set_name(s->md, 1, "two", &why), -EEXIST);
	assert_int_equal(hpm_vol_set_name(s->md, 1, ".", &why), -EINVAL);
	assert_int_equal(hpm_vol_set_name(s->md, 1, "..", &why), -EINVAL);
	assert_int_equal(hpm_vol_create(s->md, 3, 0, ".", &why), -EINVAL);
	assert_int_equal(hpm_vol_snapshot(s->md, 3, 1, "..", &why), -EINVAL);
	assert_int_equal(hpm_vol_set_name(s->md, 1, "...", &why), 0);
	assert_int_equal(hpm_vol_set_name(s->md, 1, NULL, &why), 0);
	assert_int_equal(hpm_vol_set_name(s->md, 1, NULL, &why), 0);
	assert_int_equal(hpm_vol_set_name(s->md, 2, "", &why), 0);
	sim_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_lost_page),
		rig_test(test_page_csum_words),
		rig_test(test_epoch_after_crash),
		rig_test(test_grow_often),
		rig_test(test_grow_little),
		rig_test(test_grow_merge_crash),
		rig_test(test_grow_limits),
		rig_test(test_grow_full),
		rig_test(test_mark),
		rig_test(test_mark_none),
		rig_test(test_mark_mended_away),
		rig_test(test_mark_crash),
		rig_test(test_mark_block),
		rig_test(test_names),
	};

	return rig_run(tests);
}
