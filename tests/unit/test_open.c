// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening, formatting, growing, closing; and for every message, what it must
 * refuse.
 */
#include "hpm_check.h"
#include "hpm_mem_io.h"
#include "rig.h"
#include "sim.h"

static const char *why;
static struct hpm_md *md;

static int open_as(struct hpm_io *io, unsigned int shift, bool format, bool ro)
{
	struct hpm_md_params p = {
		.large_shift = shift,
		.may_format = format,
		.read_only = ro,
	};

	why = NULL;
	md = NULL;
	return hpm_md_open(io, &p, NULL, NULL, &md, &why);
}

/* Checks that opening fails with a reason, and writes nothing. */
static void refused(struct hpm_io *io, unsigned int shift, bool format, int err,
		    const char *word)
{
	u64 events = hpm_mem_events(io);

	assert_int_equal(open_as(io, shift, format, false), err);
	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("\"%s\" does not say \"%s\"", why, word);
	assert_int_equal(hpm_mem_events(io), events);
}

static void test_sizes(void **state)
{
	struct hpm_io *io;

	(void)state;
	io = hpm_mem_create(1023, 1024, 1);
	refused(io, 4, true, -ENOSPC, "metadata device is too small");
	hpm_io_close(io);
	io = hpm_mem_create(1024, 15, 1);
	refused(io, 4, true, -ENOSPC, "data device is too small");
	hpm_io_close(io);
	io = hpm_mem_create(1024, 16, 1);
	refused(io, 4, false, -ENODATA, "no pool");
	assert_int_equal(open_as(io, 4, true, false), 0);
	hpm_md_close(md);
	refused(io, 5, true, -EINVAL, "large block");
	assert_int_equal(open_as(io, 0, false, false), 0);
	hpm_md_close(md);
	hpm_mem_resize(io, 1024, 8);
	refused(io, 4, true, -EINVAL, "data device is smaller");
	hpm_mem_resize(io, 1000, 16);
	refused(io, 4, true, -EINVAL, "metadata device is smaller");
	hpm_io_close(io);
}

static void test_foreign(void **state)
{
	u8 block[HPM_BLOCK_SIZE];
	struct hpm_io *io;
	u64 b;

	(void)state;
	/* Content in any block of the head, with the first block zero. */
	for (b = 0; b < HPM_RESERVED_BLOCKS; b++) {
		io = hpm_mem_create(1024, 1024, 1);
		memset(block, 0, sizeof(block));
		block[1080] = 0x53;
		block[1081] = 0xef;
		hpm_mem_poke(io, b, block);
		refused(io, 4, true, -EINVAL,
			b ? "something else" : "not a pool");
		hpm_io_close(io);
	}
	/* The content behind the head does not matter. */
	io = hpm_mem_create(1024, 1024, 1);
	for (b = HPM_RESERVED_BLOCKS; b < 1024; b++)
		hpm_mem_poke(io, b, block);
	assert_int_equal(open_as(io, 4, true, false), 0);
	hpm_md_close(md);
	hpm_io_close(io);
}

static void test_versions(void **state)
{
	struct hpm_io *io = hpm_mem_create(1024, 1024, 1);
	u8 block[HPM_BLOCK_SIZE];
	struct hpm_label *l = (void *)block;
	u8 kept[HPM_BLOCK_SIZE];
	u32 seed = crc32c(~0u, "hpmapper label", 14);
	unsigned int i;

	(void)state;
	assert_int_equal(open_as(io, 4, true, false), 0);
	hpm_md_close(md);
	memcpy(kept, hpm_mem_peek(io, 0), sizeof(kept));
	for (i = 0; i < 4; i++) {
		memcpy(block, kept, sizeof(kept));
		if (i == 0)
			l->version = cpu_to_le32(2);
		else if (i == 1)
			l->incompat = cpu_to_le64(HPM_INCOMPAT_DATA_CSUM);
		else if (i == 2)
			l->compat_ro = cpu_to_le64(1);
		else
			l->compat = cpu_to_le64(1);
		l->head.csum = cpu_to_le32(
			crc32c(seed, block + 4, HPM_BLOCK_SIZE - 4));
		hpm_mem_poke(io, 0, block);
		if (i == 3) {
			assert_int_equal(open_as(io, 4, true, false), 0);
			hpm_md_close(md);
		} else {
			refused(io, 4, true, i == 2 ? -EROFS : -EOPNOTSUPP,
				i == 0 ? "version" : "features");
		}
		if (i == 2) {
			assert_int_equal(open_as(io, 4, true, true), 0);
			hpm_md_close(md);
		}
	}
	/* A damaged label counts as damage, not as foreign content. */
	memcpy(block, kept, sizeof(kept));
	block[200] ^= 1;
	hpm_mem_poke(io, 0, block);
	refused(io, 4, true, -EUCLEAN, "label");
	hpm_io_close(io);
}

/*
 * A pool whose first block was wiped is formatted again: nothing of the old
 * pool comes back.
 */
static void test_format_over(void **state)
{
	static const u8 zero[HPM_BLOCK_SIZE];
	struct sim_params p = sim_small(rig_seed());
	struct sim *s = sim_create(&p);
	unsigned int i, k;

	(void)state;
	for (k = 0; k < 4; k++) {
		for (i = 0; i < 4; i++) {
			sim_msg_create(s, i);
			sim_write_blocks(s, i, 10 * i, 40);
			sim_checkpoint(s);
			sim_write_blocks(s, i, 100, 10);
			sim_commit(s);
		}
		sim_drop(s);
		hpm_mem_poke(s->io, 0, zero);
		for (i = 0; i < SIM_MAX_VOLS; i++)
			if (s->vols[i].exists)
				sim_vol_forget(s, &s->vols[i]);
		assert_int_equal(sim_open(s), 0);
		sim_compare(s);
		sim_msg_create(s, 2);
		sim_crash_look(s, HPM_LOSE_ALL, k, 0);
		sim_crash_look(s, HPM_LOSE_NONE, k, 9);
		sim_write_blocks(s, 2, 7, 3);
		sim_commit(s);
		/* Not even with a damaged superblock: the old ones are gone. */
		memset(hpm_mem_peek(s->io, HPM_SUPER_A), 0x11, 64);
		hpm_mem_poke(s->io, HPM_SUPER_A,
			     hpm_mem_peek(s->io, HPM_SUPER_A));
		sim_crash_look(s, HPM_LOSE_ALL, k, 0);
		sim_checkpoint(s);
		sim_checkpoint(s);
		sim_msg_delete(s, 2);
	}
	sim_destroy(s);
}

static void test_read_only(void **state)
{
	struct sim_params p = sim_small(rig_seed());
	struct sim *s = sim_create(&p);
	struct hpm_vol_info info;
	struct hpm_io *io;
	u64 events;

	(void)state;
	sim_msg_create(s, 1);
	sim_write_blocks(s, 1, 0, 30);
	sim_msg_snap(s, 2, 1);
	io = hpm_mem_crash(s->io, HPM_LOSE_ALL, 1);
	events = hpm_mem_events(io);
	/* The records of the journal are visible; nothing is written. */
	assert_int_equal(open_as(io, 4, true, true), 0);
	assert_int_equal(hpm_md_mode(md), HPM_MODE_READ_ONLY);
	assert_int_equal(hpm_vol_next(md, 2, &info), 0);
	assert_int_equal(info.mapped, 30);
	assert_int_equal(hpm_vol_create(md, 9, 0, NULL, &why), -EROFS);
	assert_int_equal(hpm_credit_get(md, 1, HPM_FOR_DATA), -EROFS);
	assert_int_equal(hpm_md_commit(md), -EROFS);
	assert_int_equal(hpm_md_checkpoint(md), -EROFS);
	assert_int_equal(hpm_md_shutdown(md), 0);
	hpm_md_close(md);
	assert_int_equal(hpm_mem_events(io), events);
	hpm_io_close(io);
	sim_destroy(s);
}

/*
 *----------------------------------------------------------------
 * Growing
 *--------------------------------------------------------------
 */

static struct sim *grow_begin(u64 seed)
{
	struct sim_params p = sim_small(seed);

	p.data_blocks = 512;
	p.vol_blocks = 512;
	return sim_create(&p);
}

static void grow(struct sim *s, u64 meta, u64 data)
{
	int r;

	hpm_mem_resize(s->io, meta, data);
	r = hpm_md_grow(s->md, &why);
	if (r && !hpm_mem_is_cut(s->io))
		fail_msg("grow: %d %s", r, why);
	if (!r)
		s->p.data_blocks = data;
}

static void grow_history(struct sim *s)
{
	if (sim_msg_create(s, 1) || sim_write_blocks(s, 1, 0, 300))
		return;
	grow(s, 3000, 512);
	if (sim_write_blocks(s, 1, 100, 300))
		return;
	grow(s, 3100, 1024);
	if (sim_msg_snap(s, 2, 1) || sim_write_blocks(s, 1, 0, 500))
		return;
	grow(s, 8000, 2048 + 7);
	s->p.data_blocks = 2048;
	if (sim_msg_snap(s, 3, 1) || sim_write_blocks(s, 1, 0, 512))
		return;
	sim_commit(s);
}

static void test_grow(void **state)
{
	struct sim *s = grow_begin(rig_seed());
	u64 event, last;
	struct hpm_md_stats st;

	(void)state;
	grow_history(s);
	sim_compare(s);
	sim_check(s);
	sim_check_space(s);
	hpm_md_get_stats(s->md, &st);
	assert_int_equal(st.meta_total, 8000);
	assert_int_equal(st.data_total, 2048);
	hpm_mem_resize(s->io, 7999, 2048);
	assert_int_equal(hpm_md_grow(s->md, &why), -EINVAL);
	hpm_mem_resize(s->io, 8000, 2047);
	assert_int_equal(hpm_md_grow(s->md, &why), -EINVAL);
	hpm_mem_resize(s->io, 8000, 2048);
	assert_int_equal(hpm_md_grow(s->md, &why), 0);
	assert_int_equal(hpm_md_set_needs_check(s->md), 0);
	hpm_mem_resize(s->io, 9000, 2048);
	assert_int_equal(hpm_md_grow(s->md, &why), -EUCLEAN);
	last = hpm_mem_events(s->io);
	sim_destroy(s);

	for (event = 60; event < last; event += 1 + 4 / rig_scale()) {
		s = grow_begin(rig_seed());
		hpm_mem_cut_at(s->io, event);
		grow_history(s);
		if (hpm_mem_is_cut(s->io)) {
			s->p.data_blocks = 2048;
			sim_crash_look(s, HPM_LOSE_ALL, event, 0);
			sim_crash_look(s, HPM_LOSE_SECTORS, event, 3);
			sim_crash_look(s, HPM_LOSE_NONE, event, 0);
		}
		sim_destroy(s);
	}
}

/*
 *----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------
 */

#define REFUSED(err, call)                           \
	do {                                         \
		u64 __record, __after;               \
		struct hpm_md_stats __st;            \
                                                     \
		hpm_md_get_stats(m, &__st);          \
		__record = __st.record;              \
		why = NULL;                          \
		assert_int_equal(call, err);         \
		assert_non_null(why);                \
		hpm_md_get_stats(m, &__st);          \
		__after = __st.record;               \
		assert_int_equal(__record, __after); \
	} while (0)

static void test_messages(void **state)
{
	struct hpm_io *io = hpm_mem_create(1024, 1024, 1);
	char name[HPM_NAME_SIZE + 1];
	struct hpm_vol_info info;
	struct hpm_vol *vol;
	struct hpm_md *m;
	const char *c;

	(void)state;
	assert_int_equal(open_as(io, 4, true, false), 0);
	m = md;
	assert_int_equal(hpm_vol_create(m, 0, 0, NULL, &why), 0);
	assert_int_equal(
		hpm_vol_create(m, HPM_MAX_VOLUME_ID, 1000, "last", &why), 0);
	REFUSED(-EINVAL,
		hpm_vol_create(m, HPM_MAX_VOLUME_ID + 1, 0, NULL, &why));
	REFUSED(-EEXIST, hpm_vol_create(m, 0, 0, NULL, &why));
	REFUSED(-EEXIST, hpm_vol_create(m, 1, 0, "last", &why));
	REFUSED(-EFBIG, hpm_vol_create(m, 1, (1ull << 36) + 1, NULL, &why));
	REFUSED(-ENOENT, hpm_vol_snapshot(m, 1, 5, NULL, &why));
	REFUSED(-EEXIST, hpm_vol_snapshot(m, 0, HPM_MAX_VOLUME_ID, NULL, &why));
	REFUSED(-EINVAL, hpm_vol_snapshot(m, 1 << 24, 0, NULL, &why));
	REFUSED(-EEXIST, hpm_vol_snapshot(m, 1, 0, "last", &why));
	REFUSED(-ENOENT, hpm_vol_delete(m, 7, &why));
	REFUSED(-ENOENT, hpm_vol_set_size(m, 7, 1, &why));
	REFUSED(-EFBIG, hpm_vol_set_size(m, 0, 1ull << 60, &why));
	REFUSED(-ENOENT, hpm_vol_set_name(m, 7, "x", &why));
	REFUSED(-EEXIST, hpm_vol_set_name(m, 0, "last", &why));
	REFUSED(-EINVAL, hpm_vol_set_name(m, 0, "-", &why));
	for (c = " /\\\n\t'\"\x7f\xc3*"; *c; c++) {
		snprintf(name, sizeof(name), "a%cb", *c);
		REFUSED(-EINVAL, hpm_vol_set_name(m, 0, name, &why));
	}
	memset(name, 'n', sizeof(name));
	name[HPM_NAME_SIZE] = '\0';
	REFUSED(-ENAMETOOLONG, hpm_vol_set_name(m, 0, name, &why));
	name[HPM_NAME_SIZE - 1] = '\0';
	assert_int_equal(hpm_vol_set_name(m, 0, name, &why), 0);
	assert_int_equal(hpm_vol_by_name(m, name, &info), 0);
	assert_int_equal(info.id, 0);
	assert_int_equal(hpm_vol_by_name(m, "other", &info), -ENOENT);
	REFUSED(-ENOENT, hpm_vol_set_flags(m, 7, 0, &why));
	REFUSED(-EINVAL, hpm_md_set_transaction_id(m, 1, 2, &why));
	assert_int_equal(hpm_md_set_transaction_id(m, 0, 2, &why), 0);
	REFUSED(-EINVAL, hpm_md_release(m, &why));
	assert_int_equal(hpm_vol_open(m, 7, &vol), -ENOENT);
	assert_int_equal(hpm_vol_open(m, 0, &vol), 0);
	REFUSED(-EBUSY, hpm_vol_delete(m, 0, &why));
	hpm_vol_put(vol);
	assert_int_equal(hpm_vol_next(m, 1, &info), 0);
	assert_int_equal(info.id, HPM_MAX_VOLUME_ID);
	assert_string_equal(info.name, "last");
	assert_int_equal(hpm_vol_next(m, HPM_MAX_VOLUME_ID, &info), 0);
	assert_int_equal(hpm_vol_delete(m, HPM_MAX_VOLUME_ID, &why), 0);
	assert_int_equal(hpm_vol_next(m, 1, &info), -ENOENT);
	hpm_md_close(m);
	hpm_io_close(io);
}

/* A held table keeps its trees while volumes change and are deleted. */
static void test_hold(void **state)
{
	struct sim_params p = sim_small(rig_seed());
	struct sim *s = sim_create(&p);
	struct hpm_md_stats st;
	struct hpm_md *m = s->md;
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		sim_msg_create(s, i);
		sim_write_blocks(s, i, 3 * i, 50);
	}
	assert_int_equal(hpm_md_hold(m, &why), 0);
	hpm_md_get_stats(m, &st);
	assert_true(st.held_root != 0);
	REFUSED(-EBUSY, hpm_md_hold(m, &why));
	sim_check(s);
	for (i = 0; i < 5; i++)
		sim_write_blocks(s, i, 0, 40);
	sim_msg_snap(s, 10, 3);
	sim_msg_delete(s, 1);
	sim_msg_delete(s, 2);
	while (sim_reclaim(s) > 0)
		;
	sim_check(s);
	sim_compare(s);
	sim_crash(s, HPM_LOSE_SECTORS, 3);
	m = s->md;
	hpm_md_get_stats(m, &st);
	assert_true(st.held_root != 0);
	sim_check(s);
	assert_int_equal(hpm_md_release(m, &why), 0);
	hpm_md_get_stats(m, &st);
	assert_int_equal(st.held_root, 0);
	sim_check_space(s);
	sim_check(s);
	sim_compare(s);
	/* Without any volume, and again. */
	for (i = 0; i < 11; i++)
		if (sim_vol(s, i))
			sim_msg_delete(s, i);
	assert_int_equal(hpm_md_hold(m, &why), 0);
	sim_check(s);
	assert_int_equal(hpm_md_release(m, &why), 0);
	sim_check_space(s);
	sim_check(s);
	hpm_md_get_stats(m, &st);
	assert_int_equal(st.data_used, 0);
	sim_destroy(s);
}

/* Two pools of which each has lost a superblock: the log tells them apart. */
static void test_name(void **state)
{
	static const char *const name[] = { "253:7", "253:12" };
	char begin[16];
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct hpm_md_params p = { .name = name[i], .large_shift = 4 };
		struct hpm_io *io = hpm_mem_create(1024, 16, 1);
		u8 zeroes[HPM_BLOCK_SIZE] = {};

		assert_int_equal(open_as(io, 4, true, false), 0);
		hpm_md_close(md);
		hpm_mem_poke(io, HPM_SUPER_A, zeroes);
		rig_logged();
		assert_int_equal(hpm_md_open(io, &p, NULL, NULL, &md, &why), 0);
		assert_int_equal(rig_logged(), 1);
		snprintf(begin, sizeof(begin), "%s: ", name[i]);
		if (strncmp(rig_last_line(), begin, strlen(begin)))
			fail_msg("\"%s\" does not begin with \"%s\"",
				 rig_last_line(), begin);
		assert_non_null(strstr(rig_last_line(), "superblock"));
		hpm_md_close(md);
		hpm_io_close(io);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_sizes),	  rig_test(test_foreign),
		rig_test(test_versions),  rig_test(test_format_over),
		rig_test(test_read_only), rig_test(test_grow),
		rig_test(test_messages),  rig_test(test_hold),
		rig_test(test_name),
	};

	return rig_run(tests);
}
