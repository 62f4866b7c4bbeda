// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the test environment: does it detect what it must detect, and does
 * the device in memory lose what it must lose?
 */
#include <sys/wait.h>
#include <unistd.h>

#include "hpm_mem_io.h"
#include "format.h"
#include "rig.h"

/*
 *----------------------------------------------------------------
 * The environment
 *--------------------------------------------------------------
 */

/* Runs @fn in a child; does it end by abort()? */
static bool aborts(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		fn();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static DEFINE_SPINLOCK(lock_a);
static DEFINE_SPINLOCK(lock_b);
static DEFINE_MUTEX(mutex_a);

static void twice(void)
{
	spin_lock(&lock_a);
	spin_lock(&lock_a);
}

static void both_orders(void)
{
	spin_lock(&lock_a);
	spin_lock(&lock_b);
	spin_unlock(&lock_b);
	spin_unlock(&lock_a);
	spin_lock(&lock_b);
	spin_lock(&lock_a);
}

static void sleeps_locked(void)
{
	spin_lock(&lock_a);
	mutex_lock(&mutex_a);
}

static void allocates_in_rcu(void)
{
	rcu_read_lock();
	kfree(kmalloc(8, GFP_KERNEL));
}

static void take_a(void *ctx)
{
	(void)ctx;
	spin_lock(&lock_a);
	spin_unlock(&lock_a);
}

static void irq_unsafe(void)
{
	take_a(NULL);
	hpm_env_on_cpu(true, take_a, NULL);
}

static void waits_for_itself(void)
{
	spin_lock(&lock_a);
	hpm_env_on_cpu(false, take_a, NULL);
}

static void unlocks_foreign(void)
{
	spin_unlock(&lock_a);
}

static void not_held(void)
{
	lockdep_assert_held(&mutex_a);
}

static void dereferences_outside(void)
{
	void *p = NULL;

	(void)rcu_dereference(p);
}

static void deletes_twice(void)
{
	struct list_head head, e;

	INIT_LIST_HEAD(&head);
	list_add(&e, &head);
	list_del(&e);
	list_del(&e);
}

static void test_finds(void **state)
{
	(void)state;
	assert_true(aborts(twice));
	assert_true(aborts(both_orders));
	assert_true(aborts(sleeps_locked));
	assert_true(aborts(allocates_in_rcu));
	assert_true(aborts(irq_unsafe));
	assert_true(aborts(waits_for_itself));
	assert_true(aborts(unlocks_foreign));
	assert_true(aborts(not_held));
	assert_true(aborts(dereferences_outside));
	assert_true(aborts(deletes_twice));
}

static char turns[512];
static unsigned int nr_turns;

static void take_turns(void *ctx)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		mutex_lock(&mutex_a);
		turns[nr_turns++] = *(char *)ctx;
		might_sleep();
		turns[nr_turns++] = *(char *)ctx;
		mutex_unlock(&mutex_a);
	}
}

/* Tasks interleave, but not where a mutex prevents it. */
static void test_tasks(void **state)
{
	char first[512], a = 'a', b = 'b', c = 'c';
	unsigned int round, i, changes = 0;

	(void)state;
	for (round = 0; round < 2; round++) {
		nr_turns = 0;
		memset(turns, 0, sizeof(turns));
		hpm_env_task_seed(7);
		hpm_env_task_start(take_turns, &a);
		hpm_env_task_start(take_turns, &b);
		take_turns(&c);
		hpm_env_task_wait();
		assert_int_equal(hpm_env_tasks(), 0);
		assert_int_equal(nr_turns, 120);
		for (i = 0; i < 120; i += 2)
			assert_int_equal(turns[i], turns[i + 1]);
		if (!round)
			memcpy(first, turns, sizeof(turns));
	}
	assert_memory_equal(first, turns, sizeof(turns));
	for (i = 2; i < 120; i += 2)
		changes += turns[i] != turns[i - 1];
	assert_true(changes > 10);
}

static unsigned int called;

static void rcu_cb(struct rcu_head *h)
{
	(void)h;
	called++;
}

static void test_rcu(void **state)
{
	struct rcu_head a, b;

	(void)state;
	called = 0;
	rcu_read_lock();
	call_rcu(&a, rcu_cb);
	spin_lock(&lock_a);
	rcu_read_unlock();
	assert_int_equal(called, 0);
	spin_unlock(&lock_a);
	assert_int_equal(called, 1);
	hpm_env_hold_rcu(true);
	call_rcu(&b, rcu_cb);
	assert_int_equal(called, 1);
	assert_int_equal(hpm_env_rcu_pending(), 1);
	rcu_barrier();
	assert_int_equal(called, 2);
}

static void test_alloc(void **state)
{
	long live = hpm_env_live_allocs();
	void *p, *q;

	(void)state;
	hpm_env_fail_alloc(2, false);
	p = kmalloc(10, GFP_KERNEL);
	assert_non_null(p);
	assert_null(kzalloc(10, GFP_ATOMIC));
	q = (void *)get_zeroed_page(GFP_NOIO);
	assert_non_null(q);
	assert_int_equal((uintptr_t)q % PAGE_SIZE, 0);
	assert_null(memchr_inv(q, 0, PAGE_SIZE));
	assert_int_equal(hpm_env_live_allocs(), live + 2);
	kfree(p);
	free_page((unsigned long)q);
	assert_int_equal(hpm_env_live_allocs(), live);
}

static int compare_u32(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static void test_helpers(void **state)
{
	DECLARE_BITMAP(map, 200);
	unsigned long bit;
	u32 v[100], i;
	char buf[8];

	(void)state;
	/* The vector of RFC 3720, without its inversions. */
	assert_int_equal(~crc32c(~0u, "123456789", 9), 0xe3069283);
	for (i = 0; i < 100; i++)
		v[i] = get_random_u32();
	sort(v, 100, sizeof(u32), compare_u32, NULL);
	for (i = 1; i < 100; i++)
		assert_true(v[i - 1] <= v[i]);
	bitmap_zero(map, 200);
	__set_bit(3, map);
	__set_bit(64, map);
	__set_bit(199, map);
	i = 0;
	for_each_set_bit(bit, map, 200) i += bit;
	assert_int_equal(i, 3 + 64 + 199);
	assert_int_equal(find_next_zero_bit(map, 200, 199), 200);
	assert_int_equal(find_next_zero_bit(map, 200, 64), 65);
	assert_int_equal(bitmap_weight(map, 200), 3);
	assert_int_equal(strscpy(buf, "12345678", 8), -E2BIG);
	assert_string_equal(buf, "1234567");
	assert_int_equal(round_up(17ull, 16), 32);
	assert_int_equal(ilog2(4096), 12);
	assert_int_equal(hash_64(1, 10), 0x61c8864680b583ebull >> 54);
}

/*
 *----------------------------------------------------------------
 * The device in memory
 *--------------------------------------------------------------
 */

static u64 data_at(struct hpm_io *io, u64 sector)
{
	u64 stamp;

	assert_int_equal(hpm_mem_data_read(io, sector, 1, &stamp), 0);
	return stamp;
}

static void data_write(struct hpm_io *io, u64 sector, u64 stamp, bool fua)
{
	u64 id = hpm_mem_data_start(io, sector, 1, &stamp, fua);

	assert_int_equal(hpm_mem_data_end(io, id), 0);
}

/* Returns the content if everything is lost that may be. */
static u64 data_after(struct hpm_io *io, u64 sector)
{
	struct hpm_io *crashed = hpm_mem_crash(io, HPM_LOSE_ALL, 1);
	u64 stamp = data_at(crashed, sector);

	hpm_io_close(crashed);
	return stamp;
}

static void test_data_cache(void **state)
{
	struct hpm_io *io = hpm_mem_create(1024, 64, 1);
	u64 a = 11, b = 22, id;

	(void)state;
	assert_true(data_at(io, 5) >> 63);
	data_write(io, 5, 1, false);
	assert_int_equal(data_at(io, 5), 1);
	assert_true(data_after(io, 5) >> 63);
	assert_int_equal(hpm_io_flush_data(io), 0);
	assert_int_equal(data_after(io, 5), 1);
	/* FUA makes its own write durable, and no other. */
	data_write(io, 6, 2, false);
	data_write(io, 5, 3, true);
	assert_int_equal(data_after(io, 5), 3);
	assert_true(data_after(io, 6) >> 63);
	/* An older write of the same sector does not come back over FUA. */
	data_write(io, 7, 4, false);
	data_write(io, 7, 5, true);
	assert_int_equal(hpm_io_flush_data(io), 0);
	assert_int_equal(data_after(io, 7), 5);
	/* A flush does not cover a write in flight. */
	id = hpm_mem_data_start(io, 8, 1, &a, false);
	assert_int_equal(hpm_io_flush_data(io), 0);
	assert_true(data_after(io, 8) >> 63);
	assert_int_equal(hpm_mem_data_end(io, id), 0);
	assert_true(data_after(io, 8) >> 63);
	assert_int_equal(hpm_io_flush_data(io), 0);
	assert_int_equal(data_after(io, 8), 11);
	/* A write that completes late overwrites later ones. */
	id = hpm_mem_data_start(io, 9, 1, &a, false);
	data_write(io, 9, b, false);
	assert_int_equal(hpm_mem_data_end(io, id), 0);
	assert_int_equal(data_at(io, 9), 11);
	hpm_io_close(io);
}

/* Returns the first byte of a block, if everything is lost that may be. */
static u8 meta_after(struct hpm_io *io, u64 block)
{
	struct hpm_io *crashed = hpm_mem_crash(io, HPM_LOSE_ALL, 1);
	u8 byte = *(u8 *)hpm_mem_peek(crashed, block);

	hpm_io_close(crashed);
	return byte;
}

static void meta_run(struct hpm_io *io, u64 block, u8 byte, unsigned int flags)
{
	static u8 data[HPM_BLOCK_SIZE];
	void *p = data;

	memset(data, byte, sizeof(data));
	assert_int_equal(hpm_io_write_run(io, block, &p, 1, flags), 0);
}

static void test_meta_cache(void **state)
{
	struct hpm_io *io = hpm_mem_create(1024, 64, 1);

	(void)state;
	meta_run(io, 10, 1, 0);
	assert_int_equal(meta_after(io, 10), 0);
	meta_run(io, 11, 2, HPM_IO_FUA);
	assert_int_equal(meta_after(io, 10), 0);
	assert_int_equal(meta_after(io, 11), 2);
	meta_run(io, 12, 3, HPM_IO_PREFLUSH);
	assert_int_equal(meta_after(io, 10), 1);
	assert_int_equal(meta_after(io, 12), 0);
	meta_run(io, 13, 4, HPM_IO_PREFLUSH | HPM_IO_FUA);
	assert_int_equal(meta_after(io, 12), 3);
	assert_int_equal(meta_after(io, 13), 4);
	/* The caches of the two devices are independent. */
	meta_run(io, 14, 5, 0);
	assert_int_equal(hpm_io_flush_data(io), 0);
	assert_int_equal(meta_after(io, 14), 0);
	assert_int_equal(hpm_io_flush_meta(io), 0);
	assert_int_equal(meta_after(io, 14), 5);
	hpm_io_close(io);
}

static void test_cut(void **state)
{
	struct hpm_io *io = hpm_mem_create(1024, 64, 1), *crashed;
	static u8 data[HPM_BLOCK_SIZE];
	unsigned int i, torn = 0;
	void *p = data;

	(void)state;
	memset(data, 0xaa, sizeof(data));
	hpm_mem_cut_at(io, hpm_mem_events(io) + 2);
	meta_run(io, 20, 1, 0);
	assert_int_equal(hpm_io_write_run(io, 21, &p, 1, HPM_IO_FUA), -EIO);
	assert_true(hpm_mem_is_cut(io));
	assert_int_equal(hpm_io_write_run(io, 22, &p, 1, HPM_IO_FUA), -EIO);
	assert_int_equal(hpm_io_flush_meta(io), -EIO);
	for (i = 0; i < 64; i++) {
		const u8 *b;

		crashed = hpm_mem_crash(io, HPM_LOSE_SECTORS, i);
		b = hpm_mem_peek(crashed, 21);
		torn += b[0] != b[512];
		assert_int_equal(*(u8 *)hpm_mem_peek(crashed, 22), 0);
		hpm_io_close(crashed);
	}
	assert_true(torn > 10 && torn < 60);
	hpm_io_close(io);
}

static void test_failures(void **state)
{
	struct hpm_io *io = hpm_mem_create(1024, 64, 1);
	u8 data[HPM_BLOCK_SIZE];

	(void)state;
	hpm_mem_fail(io, HPM_MEM_READ, 2, false);
	assert_int_equal(hpm_io_read(io, 1, data), 0);
	assert_int_equal(hpm_io_read(io, 1, data), -EIO);
	assert_int_equal(hpm_io_read(io, 1, data), 0);
	hpm_mem_fail(io, HPM_MEM_FLUSH_META, 1, true);
	assert_int_equal(hpm_io_flush_meta(io), -EIO);
	assert_int_equal(hpm_io_flush_meta(io), -EIO);
	assert_int_equal(hpm_io_flush_data(io), 0);
	assert_int_equal(hpm_io_read(io, 1024, data), -EIO);
	hpm_io_close(io);
}

/*
 *----------------------------------------------------------------
 * Files and overlays
 *--------------------------------------------------------------
 */

static void test_file(void **state)
{
	char path[] = "/tmp/hpm-unit-XXXXXX", other[] = "/tmp/hpm-unit-XXXXXX";
	u8 block[4][HPM_BLOCK_SIZE] = { { 0 } }, got[HPM_BLOCK_SIZE];
	void *run[4] = { block[0], block[1], block[2], block[3] };
	struct hpm_io_vec vec = { .block = 7, .data = block[1] };
	int fd = mkstemp(path), fd2 = mkstemp(other);
	struct hpm_io *io, *over;
	const char *why;
	unsigned int i;

	(void)state;
	assert_int_equal(ftruncate(fd, 64 * 4096 + 100), 0);
	assert_int_equal(ftruncate(fd2, 10 * 4096), 0);
	for (i = 0; i < 4; i++)
		memset(block[i], 'a' + i, HPM_BLOCK_SIZE);

	assert_int_equal(hpm_io_file_open(path, other, 0, 0, &io, &why), 0);
	assert_int_equal(hpm_io_meta_blocks(io), 64);
	assert_int_equal(hpm_io_data_blocks(io), 10);
	assert_int_equal(hpm_io_write_run(io, 3, run, 4,
					  HPM_IO_PREFLUSH | HPM_IO_FUA),
			 0);
	assert_int_equal(hpm_io_write(io, &vec, 1), 0);
	assert_int_equal(hpm_io_flush_meta(io), 0);
	assert_int_equal(hpm_io_flush_data(io), 0);
	assert_int_equal(hpm_io_write_run(io, 61, run, 4, 0), -EIO);
	hpm_io_close(io);

	assert_int_equal(hpm_io_file_open(path, NULL, 99, HPM_FILE_READ_ONLY,
					  &io, &why),
			 0);
	assert_int_equal(hpm_io_data_blocks(io), 99);
	for (i = 0; i < 4; i++) {
		assert_int_equal(hpm_io_read(io, 3 + i, got), 0);
		assert_memory_equal(got, block[i], HPM_BLOCK_SIZE);
	}
	assert_int_equal(hpm_io_read(io, 64, got), -EIO);
	assert_int_equal(hpm_io_write(io, &vec, 1), -EROFS);
	assert_int_equal(hpm_io_flush_data(io), -ENODEV);

	over = hpm_io_overlay(io);
	vec.block = 5;
	assert_int_equal(hpm_io_write(over, &vec, 1), 0);
	assert_int_equal(hpm_io_read(over, 5, got), 0);
	assert_memory_equal(got, block[1], HPM_BLOCK_SIZE);
	assert_int_equal(hpm_io_read(io, 5, got), 0);
	assert_memory_equal(got, block[2], HPM_BLOCK_SIZE);
	assert_int_equal(hpm_io_read(over, 4, got), 0);
	assert_memory_equal(got, block[1], HPM_BLOCK_SIZE);
	hpm_io_close(over);
	hpm_io_close(io);

	assert_int_equal(hpm_io_file_open("/nonexistent", NULL, 0, 0, &io,
					  &why),
			 -ENOENT);
	assert_non_null(strstr(why, "/nonexistent"));
	assert_int_equal(hpm_io_file_open("/dev/null", NULL, 0, 0, &io, &why),
			 -ENOTBLK);
	close(fd);
	close(fd2);
	unlink(path);
	unlink(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_finds),	   rig_test(test_tasks),
		rig_test(test_rcu),	   rig_test(test_alloc),
		rig_test(test_helpers),	   rig_test(test_data_cache),
		rig_test(test_meta_cache), rig_test(test_cut),
		rig_test(test_failures),   rig_test(test_file),
	};

	return rig_run(tests);
}
