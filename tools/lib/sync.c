// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUs, locks and RCU; hpm_sync.h says what is checked.
 */
#include "hpm_lib.h"
#include "task.h"

static struct hpm_cpu main_cpu;
struct hpm_cpu *hpm_cpu = &main_cpu;

/* Sections of all CPUs that delay RCU callbacks. */
static unsigned int sections;

typedef void (*hook_fn)(void *ctx, unsigned int held);

static hook_fn reader_hook, sleeper_hook;
static void *hook_ctx;

/*
 *----------------------------------------------------------------
 * RCU callbacks
 *--------------------------------------------------------------
 */

static struct rcu_head *rcu_first, **rcu_last = &rcu_first;
static unsigned int rcu_nr;
static bool rcu_held, rcu_running;

static void rcu_run(void)
{
	if (sections || rcu_running)
		return;
	rcu_running = true;
	while (rcu_first) {
		struct rcu_head *h = rcu_first;

		rcu_first = h->next;
		if (!rcu_first)
			rcu_last = &rcu_first;
		rcu_nr--;
		if (h->func)
			h->func(h);
		else
			kfree(h->free);
	}
	rcu_running = false;
}

static void rcu_queue(struct rcu_head *h)
{
	h->next = NULL;
	*rcu_last = h;
	rcu_last = &h->next;
	rcu_nr++;
	if (!rcu_held)
		rcu_run();
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	rcu_queue(head);
}

void hpm_env_kfree_rcu(struct rcu_head *head, void *p)
{
	head->func = NULL;
	head->free = p;
	rcu_queue(head);
}

void rcu_barrier(void)
{
	might_sleep();
	rcu_run();
}

void hpm_env_hold_rcu(bool on)
{
	rcu_held = on;
	if (!on)
		rcu_run();
}

unsigned int hpm_env_rcu_pending(void)
{
	return rcu_nr;
}

/*
 *----------------------------------------------------------------
 * Sections that must not sleep
 *--------------------------------------------------------------
 */

void hpm_env_enter_atomic(void)
{
	hpm_cpu->depth++;
	sections++;
}

void hpm_env_exit_atomic(void)
{
	BUG_ON(!hpm_cpu->depth);
	hpm_cpu->depth--;
	if (!--sections && !rcu_held)
		rcu_run();
}

void hpm_env_read_lock(void)
{
	hpm_cpu->readers++;
	hpm_env_enter_atomic();
}

void hpm_env_read_unlock(void)
{
	BUG_ON(!hpm_cpu->readers);
	hpm_cpu->readers--;
	hpm_env_exit_atomic();
}

void hpm_env_irq_off(void)
{
	hpm_cpu->irqs_off++;
	hpm_env_enter_atomic();
}

void hpm_env_irq_on(void)
{
	BUG_ON(!hpm_cpu->irqs_off);
	hpm_cpu->irqs_off--;
	hpm_env_exit_atomic();
}

/*
 *----------------------------------------------------------------
 * Getting in between
 *--------------------------------------------------------------
 */

void hpm_env_set_hooks(hook_fn reader, hook_fn sleeper, void *ctx)
{
	reader_hook = reader;
	sleeper_hook = sleeper;
	hook_ctx = ctx;
}

void hpm_env_on_cpu(bool irq, void (*fn)(void *ctx), void *ctx)
{
	struct hpm_cpu *interrupted = hpm_cpu, cpu = { .in_irq = irq };

	hpm_cpu = &cpu;
	if (irq)
		hpm_env_irq_off();
	fn(ctx);
	if (irq)
		hpm_env_irq_on();
	BUG_ON(cpu.depth || cpu.irqs_off || cpu.nr_held);
	hpm_cpu = interrupted;
}

struct hook_call {
	hook_fn fn;
	unsigned int held;
};

static void call_hook(void *ctx)
{
	struct hook_call *call = ctx;

	call->fn(hook_ctx, call->held);
}

static void run_hook(hook_fn fn)
{
	struct hook_call call = { .fn = fn, .held = hpm_cpu->nr_held };
	static bool running;

	if (running)
		return;
	running = true;
	hpm_env_on_cpu(false, call_hook, &call);
	running = false;
}

void hpm_env_interleave(void)
{
	if (reader_hook && hpm_cpu->readers && !hpm_cpu->nr_held)
		run_hook(reader_hook);
}

void hpm_env_might_sleep(const char *file, int line)
{
	if (hpm_cpu->depth)
		hpm_env_bug(file, line, "sleeps where it must not");
	if (sleeper_hook)
		run_hook(sleeper_hook);
	hpm_task_chance();
}

/*
 *----------------------------------------------------------------
 * Locks
 *
 * A class is the set of all locks that one line initialises, times the
 * subclass.  before[a] has bit b if a lock of class a was held when one of
 * class b was taken.  This finds direct inversions; with so few locks, a longer
 * cycle also leads to one sooner or later.
 *--------------------------------------------------------------
 */

#define SUBCLASSES  4u
#define MAX_CLASSES 64u

static const char *class_name[MAX_CLASSES];
static u64 before[MAX_CLASSES];
static u64 used_in_irq, used_with_irqs_on;
static unsigned int nr_classes = SUBCLASSES; /* 0 is "not known" */

static void lock_bug(const struct hpm_lock *l, const char *what)
{
	unsigned int i;

	fprintf(stderr, "lock %s: %s\n", l->name, what);
	for (i = 0; i < hpm_cpu->nr_held; i++)
		fprintf(stderr, "  held: %s\n",
			class_name[(size_t)hpm_cpu->held[i].class / SUBCLASSES *
				   SUBCLASSES]);
	abort();
}

static unsigned int class_new(const char *name)
{
	unsigned int class = nr_classes;

	BUG_ON(class >= MAX_CLASSES);
	class_name[class] = name;
	nr_classes += SUBCLASSES;
	return class;
}

void hpm_env_lock_init(struct hpm_lock *l, const char *name,
		       struct lock_class_key *key)
{
	if (!key->class)
		key->class = class_new(name);
	l->name = name;
	l->class = key->class;
	l->owner = NULL;
}

static void check_order(const struct hpm_lock *l, unsigned int class)
{
	unsigned int i;

	for (i = 0; i < hpm_cpu->nr_held; i++) {
		unsigned int held = hpm_cpu->held[i].class;

		if (held == class)
			lock_bug(l, "two of one class without a subclass");
		if (before[class] & BIT_ULL(held))
			lock_bug(l, "taken in both orders");
		before[held] |= BIT_ULL(class);
	}
}

static void check_irq(const struct hpm_lock *l, unsigned int class)
{
	if (hpm_cpu->in_irq)
		used_in_irq |= BIT_ULL(class);
	else if (!hpm_cpu->irqs_off)
		used_with_irqs_on |= BIT_ULL(class);
	if (used_in_irq & used_with_irqs_on & BIT_ULL(class))
		lock_bug(l, "taken in interrupts, and with interrupts on");
}

static void lock_take(struct hpm_lock *l, unsigned int class)
{
	struct hpm_held *h;

	BUG_ON(hpm_cpu->nr_held == HPM_MAX_HELD);
	h = &hpm_cpu->held[hpm_cpu->nr_held++];
	h->lock = l;
	h->class = class;
	l->owner = hpm_cpu;
}

void hpm_env_lock(struct hpm_lock *l, unsigned int subclass)
{
	BUG_ON(subclass >= SUBCLASSES);
	if (!l->class)
		l->class = class_new(l->name);
	if (l->owner == hpm_cpu)
		lock_bug(l, "taken twice");
	if (l->owner)
		lock_bug(l, "waits for a CPU that waits for this one");
	check_order(l, l->class + subclass);
	check_irq(l, l->class + subclass);
	lock_take(l, l->class + subclass);
}

void hpm_env_mutex_lock(struct hpm_lock *l, unsigned int subclass)
{
	while (l->owner && l->owner != hpm_cpu) {
		if (!hpm_task_others())
			lock_bug(
				l,
				"waits, and no task is left that could release it");
		hpm_env_yield();
	}
	hpm_env_lock(l, subclass);
}

bool hpm_env_trylock(struct hpm_lock *l)
{
	if (!l->class)
		l->class = class_new(l->name);
	if (l->owner)
		return false;
	check_irq(l, l->class);
	lock_take(l, l->class);
	return true;
}

void hpm_env_unlock(struct hpm_lock *l)
{
	unsigned int i = hpm_cpu->nr_held;

	if (l->owner != hpm_cpu)
		lock_bug(l, "released by a task that does not hold it");
	while (i-- && hpm_cpu->held[i].lock != l)
		;
	memmove(&hpm_cpu->held[i], &hpm_cpu->held[i + 1],
		(hpm_cpu->nr_held - i - 1) * sizeof(hpm_cpu->held[0]));
	hpm_cpu->nr_held--;
	l->owner = NULL;
}
