// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the parts of the metadata engine that need a real kernel: real
 * RCU, real sequence counts, slab caches, threads and interrupts.  Everything
 * else is tested in user space (tests/unit).
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>

#include "kunit_io.h"
#include "tokens.h"

#define META_BLOCKS	2048
#define LARGE_SHIFT	4
#define DATA_BLOCKS	(4096u << LARGE_SHIFT)

struct pool {
	struct hpm_io *io;
	struct hpm_md *md;
	struct hpm_stock stock;
	atomic_t kicks;
};

/* No I/O is in flight here, so freed blocks are usable at once. */
static void drain(void *ctx, struct list_head *batches)
{
	struct hpm_free_batch *b, *next;
	struct pool *p = ctx;

	list_for_each_entry_safe(b, next, batches, list) {
		list_del(&b->list);
		hpm_free_done(p->md, b);
	}
}

static void kick(void *ctx, enum hpm_kick what)
{
	struct pool *p = ctx;

	atomic_inc(&p->kicks);
}

static void failed(void *ctx, enum hpm_mode mode, const char *why, int err)
{
	pr_err("engine demoted to %d: %s (%d)\n", mode, why, err);
}

static const struct hpm_md_ops ops = {
	.kick = kick,
	.drain = drain,
	.failed = failed,
};

static int pool_open(struct pool *p)
{
	struct hpm_md_params params = {
		.large_shift = LARGE_SHIFT,
		.may_format = true,
		.cache_nodes = 64,
	};
	const char *why;
	int r = hpm_md_open(p->io, &params, &ops, p, &p->md, &why);

	if (r)
		pr_err("open: %s (%d)\n", why, r);
	return r;
}

static int pool_init(struct kunit *test)
{
	struct pool *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	p->io = hpm_kunit_io_new(META_BLOCKS, DATA_BLOCKS);
	KUNIT_ASSERT_NOT_NULL(test, p->io);
	hpm_stock_init(&p->stock);
	test->priv = p;
	return pool_open(p);
}

static void pool_exit(struct kunit *test)
{
	struct pool *p = test->priv;

	if (p && p->md)
		hpm_md_close(p->md);
	if (p && p->io)
		hpm_kunit_io_free(p->io);
}

static void reopen(struct kunit *test, bool cleanly)
{
	struct pool *p = test->priv;

	hpm_space_return(p->md, &p->stock);
	if (cleanly)
		KUNIT_ASSERT_EQ(test, hpm_md_shutdown(p->md), 0);
	hpm_md_close(p->md);
	p->md = NULL;
	KUNIT_ASSERT_EQ(test, pool_open(p), 0);
}

/* Maps one small block to a new place; returns its PBN. */
static u64 map_one(struct kunit *test, struct hpm_vol *vol, u64 vbn)
{
	struct pool *p = test->priv;
	struct hpm_change *c;
	LIST_HEAD(waiters);
	u64 pbn;

	KUNIT_ASSERT_EQ(test, hpm_credit_wait(p->md, 1, HPM_FOR_WRITE), 0);
	while (!hpm_stock_take(&p->stock, 1, &pbn))
		KUNIT_ASSERT_EQ(test, hpm_space_refill(p->md, &p->stock), 0);
	c = hpm_change_alloc(p->md, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, c);
	c->vol = vol;
	c->type = HPM_REC_MAP;
	c->vbn = vbn;
	c->pbn = pbn;
	c->nr = 1;
	KUNIT_ASSERT_EQ(test, hpm_change_lock(c, NULL), 0);
	hpm_change_publish(c, &waiters);
	KUNIT_EXPECT_TRUE(test, list_empty(&waiters));
	return pbn;
}

static int look_up(struct hpm_vol *vol, u64 vbn, struct hpm_run *run)
{
	int r;

	while ((r = hpm_map_lookup(vol, vbn, 1, run)) == -EAGAIN) {
		r = hpm_map_load(vol, vbn);
		if (r)
			break;
	}
	return r;
}

static struct hpm_vol *new_volume(struct kunit *test, u32 id)
{
	struct pool *p = test->priv;
	struct hpm_vol *vol;
	const char *why;

	KUNIT_ASSERT_EQ(test, hpm_vol_create(p->md, id, 0, NULL, &why), 0);
	KUNIT_ASSERT_EQ(test, hpm_vol_open(p->md, id, &vol), 0);
	return vol;
}

/*
 * A pool that is opened again has what was committed, whether it was closed
 * cleanly or not.
 */
static void test_persists(struct kunit *test)
{
	struct pool *p = test->priv;
	struct hpm_vol *vol = new_volume(test, 7);
	struct hpm_run run;
	u64 pbn[64];
	int i, clean;

	for (clean = 0; clean < 2; clean++) {
		for (i = 0; i < 64; i++)
			pbn[i] = map_one(test, vol, i * 37);
		KUNIT_ASSERT_EQ(test, hpm_md_commit(p->md), 0);
		KUNIT_EXPECT_TRUE(test, hpm_vol_durable(vol));
		hpm_vol_put(vol);
		reopen(test, clean);
		KUNIT_ASSERT_EQ(test, hpm_vol_open(p->md, 7, &vol), 0);
		for (i = 0; i < 64; i++) {
			KUNIT_ASSERT_EQ(test, look_up(vol, i * 37, &run), 0);
			KUNIT_EXPECT_TRUE(test, run.mapped);
			KUNIT_EXPECT_EQ(test, run.pbn, pbn[i]);
		}
	}
	hpm_vol_put(vol);
}

/* A snapshot makes the common mappings shared, and nothing else. */
static void test_snapshot_shares(struct kunit *test)
{
	struct pool *p = test->priv;
	struct hpm_vol *vol = new_volume(test, 0), *snap;
	struct hpm_run run;
	const char *why;
	u64 old, new;

	old = map_one(test, vol, 5);
	KUNIT_ASSERT_EQ(test, hpm_vol_snapshot(p->md, 1, 0, NULL, &why), 0);
	KUNIT_ASSERT_EQ(test, hpm_vol_open(p->md, 1, &snap), 0);
	KUNIT_ASSERT_EQ(test, look_up(vol, 5, &run), 0);
	KUNIT_EXPECT_TRUE(test, run.shared);
	new = map_one(test, vol, 5);
	KUNIT_EXPECT_NE(test, old, new);
	KUNIT_ASSERT_EQ(test, look_up(vol, 5, &run), 0);
	KUNIT_EXPECT_FALSE(test, run.shared);
	KUNIT_EXPECT_EQ(test, run.pbn, new);
	KUNIT_ASSERT_EQ(test, look_up(snap, 5, &run), 0);
	KUNIT_EXPECT_TRUE(test, run.shared);
	KUNIT_EXPECT_EQ(test, run.pbn, old);
	KUNIT_EXPECT_EQ(test, hpm_vol_delete(p->md, 1, &why), -EBUSY);
	hpm_vol_put(snap);
	KUNIT_EXPECT_EQ(test, hpm_vol_delete(p->md, 1, &why), 0);
	hpm_vol_put(vol);
}

/*
 * Readers without a lock run against the applier: at each block they must see a
 * place that it was mapped to at some moment, never a hole and never another
 * block's place.  A user-mode kernel has one CPU and is not preempted, so the
 * writer yields now and then, with changes that are applied and with some that
 * are not.
 */
#define RACE_BLOCKS	700		/* more than two leaves */

struct race {
	struct hpm_vol *vol;
	struct completion done;
	bool stop;
	unsigned long looks, wrong, missed;
	u64 first, last;	/* PBNs that exist */
};

static int race_reader(void *data)
{
	struct race *r = data;
	struct hpm_run run;
	u64 vbn = 0;

	while (!READ_ONCE(r->stop)) {
		vbn = (vbn + 101) % RACE_BLOCKS;
		if (look_up(r->vol, vbn * 3, &run) || !run.mapped)
			r->missed++;
		else if (run.pbn >= DATA_BLOCKS)
			r->wrong++;
		if (!(++r->looks % 16))
			cond_resched();
	}
	complete(&r->done);
	return 0;
}

static void test_readers_race_applier(struct kunit *test)
{
	struct pool *p = test->priv;
	struct race race = { .vol = new_volume(test, 0) };
	struct task_struct *task;
	const char *why;
	u32 snap;
	int i;

	for (i = 0; i < RACE_BLOCKS; i++)
		map_one(test, race.vol, i * 3);
	init_completion(&race.done);
	task = kthread_run(race_reader, &race, "hpm-race");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	for (snap = 1; snap < 12; snap++) {
		KUNIT_EXPECT_EQ(test, hpm_vol_snapshot(p->md, snap, 0, NULL,
						       &why), 0);
		for (i = 0; i < RACE_BLOCKS; i += 2) {
			map_one(test, race.vol, i * 3);
			if (!(i % 64))
				schedule_timeout_uninterruptible(1);
			if (!(i % 128)) {
				KUNIT_EXPECT_EQ(test, hpm_md_apply(p->md), 0);
				hpm_md_nodes_scan(p->md, 32);
			}
		}
		KUNIT_EXPECT_EQ(test, hpm_md_checkpoint(p->md), 0);
		KUNIT_EXPECT_EQ(test, hpm_vol_delete(p->md, snap, &why), 0);
		while (hpm_md_reclaim_step(p->md) > 0)
			cond_resched();
	}
	WRITE_ONCE(race.stop, true);
	wait_for_completion(&race.done);
	KUNIT_EXPECT_GT(test, race.looks, 1000ul);
	KUNIT_EXPECT_EQ(test, race.missed, 0ul);
	KUNIT_EXPECT_EQ(test, race.wrong, 0ul);
	hpm_vol_put(race.vol);
}

/*
 * A task that waits for tokens waits for those that were out, and for no later
 * one; the wait of a second task does not end with the first one's.
 */
struct token_wait {
	struct hpm_tokens *tokens;
	struct completion done;
};

static int token_waiter(void *data)
{
	struct token_wait *w = data;

	hpm_tokens_wait(w->tokens, HPM_TOKEN_WRITE);
	complete(&w->done);
	return 0;
}

static void test_tokens(struct kunit *test)
{
	struct hpm_tokens tokens = { };
	struct token_wait w[2];
	int token, late, i;

	KUNIT_ASSERT_EQ(test, hpm_tokens_init(&tokens), 0);
	hpm_tokens_wait(&tokens, HPM_TOKEN_WRITE);
	token = hpm_token_get(&tokens, HPM_TOKEN_WRITE);
	for (i = 0; i < 2; i++) {
		w[i].tokens = &tokens;
		init_completion(&w[i].done);
		kthread_run(token_waiter, &w[i], "hpm-wait");
		/* Makes sure that the first one is the first. */
		schedule_timeout_uninterruptible(1);
	}
	for (i = 0; i < 100; i++)
		hpm_token_put(&tokens,
			      hpm_token_get(&tokens, HPM_TOKEN_WRITE));
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&w[0].done, HZ / 10),
			0ul);
	KUNIT_EXPECT_FALSE(test, completion_done(&w[1].done));

	late = hpm_token_get(&tokens, HPM_TOKEN_WRITE);
	hpm_token_put(&tokens, token);
	wait_for_completion(&w[0].done);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&w[1].done, HZ / 10),
			0ul);
	hpm_token_put(&tokens, late);
	wait_for_completion(&w[1].done);
	hpm_tokens_exit(&tokens);
}

/* Changes are published by bio completion: in an interrupt, with locks. */
struct irq_publish {
	struct hrtimer timer;
	struct hpm_change *change;
	struct list_head waiters;
	struct completion done;
	bool in_irq;
};

static enum hrtimer_restart publish_in_irq(struct hrtimer *timer)
{
	struct irq_publish *ip = container_of(timer, struct irq_publish, timer);

	ip->in_irq = in_hardirq() || in_softirq();
	hpm_change_publish(ip->change, &ip->waiters);
	complete(&ip->done);
	return HRTIMER_NORESTART;
}

static void test_publish_from_interrupt(struct kunit *test)
{
	struct pool *p = test->priv;
	struct hpm_vol *vol = new_volume(test, 0);
	struct hpm_change *c, *second;
	struct list_head waiter;
	struct irq_publish ip;
	struct hpm_run run;
	u64 pbn;

	KUNIT_ASSERT_EQ(test, hpm_space_refill(p->md, &p->stock), 0);
	KUNIT_ASSERT_EQ(test, hpm_credit_get(p->md, 2, HPM_FOR_DATA), 0);
	KUNIT_ASSERT_EQ(test, hpm_stock_take(&p->stock, 1, &pbn), 1u);
	c = hpm_change_alloc(p->md, GFP_ATOMIC);
	second = hpm_change_alloc(p->md, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_NULL(test, c);
	KUNIT_ASSERT_NOT_NULL(test, second);
	c->vol = vol;
	c->type = HPM_REC_MAP;
	c->vbn = 40;
	c->nr = 1;
	c->pbn = pbn;
	second->vol = vol;
	second->type = HPM_REC_UNMAP;
	second->vbn = 32;
	second->nr = 16;
	KUNIT_ASSERT_EQ(test, hpm_change_lock(c, NULL), 0);
	KUNIT_EXPECT_EQ(test, hpm_change_lock(second, &waiter), -EBUSY);

	/* Only locked: readers see the old state. */
	KUNIT_ASSERT_EQ(test, look_up(vol, 40, &run), 0);
	KUNIT_EXPECT_FALSE(test, run.mapped);

	INIT_LIST_HEAD(&ip.waiters);
	init_completion(&ip.done);
	ip.change = c;
	hrtimer_init_on_stack(&ip.timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	ip.timer.function = publish_in_irq;
	hrtimer_start(&ip.timer, ms_to_ktime(1), HRTIMER_MODE_REL);
	wait_for_completion(&ip.done);
	hrtimer_cancel(&ip.timer);
	destroy_hrtimer_on_stack(&ip.timer);

	KUNIT_EXPECT_TRUE(test, ip.in_irq);
	KUNIT_EXPECT_PTR_EQ(test, ip.waiters.next, &waiter);
	KUNIT_ASSERT_EQ(test, look_up(vol, 40, &run), 0);
	KUNIT_EXPECT_TRUE(test, run.mapped);
	KUNIT_EXPECT_EQ(test, run.pbn, pbn);
	hpm_change_free(p->md, second);
	hpm_credit_put(p->md, 1);
	hpm_vol_put(vol);
}

/* The shrinker's calls free nodes, and readers load them again. */
static void test_shrink(struct kunit *test)
{
	struct pool *p = test->priv;
	struct hpm_vol *vol = new_volume(test, 0);
	struct hpm_md_stats st;
	struct hpm_run run;
	int i;

	for (i = 0; i < 2000; i++)
		map_one(test, vol, i * 2);
	KUNIT_ASSERT_EQ(test, hpm_md_checkpoint(p->md), 0);
	KUNIT_EXPECT_GT(test, hpm_md_nodes_count(p->md), 0ul);
	for (i = 0; i < 16 && hpm_md_nodes_count(p->md); i++)
		hpm_md_nodes_scan(p->md, 1000);
	rcu_barrier();
	hpm_md_get_stats(p->md, &st);
	KUNIT_EXPECT_LT(test, st.nodes_cached, 16ull);
	for (i = 0; i < 2000; i++) {
		KUNIT_ASSERT_EQ(test, look_up(vol, i * 2, &run), 0);
		KUNIT_EXPECT_TRUE(test, run.mapped);
	}
	hpm_vol_put(vol);
}

static struct kunit_case hpm_cases[] = {
	KUNIT_CASE(test_persists),
	KUNIT_CASE(test_snapshot_shares),
	KUNIT_CASE(test_readers_race_applier),
	KUNIT_CASE(test_tokens),
	KUNIT_CASE(test_publish_from_interrupt),
	KUNIT_CASE(test_shrink),
	{}
};

static struct kunit_suite hpm_suite = {
	.name = "dm-hpmapper",
	.init = pool_init,
	.exit = pool_exit,
	.test_cases = hpm_cases,
};

kunit_test_suite(hpm_suite);
MODULE_LICENSE("GPL");
