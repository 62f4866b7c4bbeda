// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks: several flows of control in one thread, by switching stacks.
 *
 * The address sanitizer must be told of each switch; if not, it takes the new
 * stack for an overflow of the old one.
 */
#include <ucontext.h>

#include "hpm_lib.h"
#include "task.h"

#define STACK_SIZE    (512u << 10)
#define SWITCH_ONE_IN 4 /* one chance in this many is taken */

struct task {
	struct list_head list; /* all tasks, including the running one */
	ucontext_t context;
	struct hpm_cpu cpu;
	struct hpm_cpu *running_on; /* while another task runs */
	void (*fn)(void *ctx);
	void *ctx;
	void *stack;
	void *fake_stack;   /* the sanitizer's */
	const void *bottom; /* of the stack, for the sanitizer */
	size_t size;
	bool ended;
};

static struct task main_task;
static struct task *current_task = &main_task;
static LIST_HEAD(tasks); /* all but the main one */
static unsigned int nr_tasks;
static u64 task_rng = 1;

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_start_switch_fiber(void **fake, const void *bottom,
				    size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom,
				     size_t *size);
#else
static void __sanitizer_start_switch_fiber(void **fake, const void *bottom,
					   size_t size)
{
	(void)fake;
	(void)bottom;
	(void)size;
}

static void __sanitizer_finish_switch_fiber(void *fake, const void **bottom,
					    size_t *size)
{
	(void)fake;
	(void)bottom;
	(void)size;
}
#endif

static u32 chance(u32 n)
{
	task_rng = task_rng * 6364136223846793005ull + 1442695040888963407ull;
	return (task_rng >> 33) % n;
}

void hpm_env_task_seed(u64 seed)
{
	task_rng = seed;
}

unsigned int hpm_env_tasks(void)
{
	return nr_tasks;
}

/* Frees tasks that have ended, except for the running one. */
static void bury(void)
{
	struct task *t, *n;

	list_for_each_entry_safe(t, n, &tasks, list) {
		if (!t->ended || t == current_task)
			continue;
		list_del(&t->list);
		free(t->stack);
		free(t);
	}
}

static void arrive(struct task *from)
{
	/* Only now is it known where the previous task's stack is. */
	__sanitizer_finish_switch_fiber(current_task->fake_stack, &from->bottom,
					&from->size);
	hpm_cpu = current_task->running_on;
}

static struct task *came_from;

static void switch_to(struct task *to)
{
	struct task *from = current_task;

	from->running_on = hpm_cpu;
	came_from = from;
	current_task = to;
	__sanitizer_start_switch_fiber(from->ended ? NULL : &from->fake_stack,
				       to->bottom, to->size);
	swapcontext(&from->context, &to->context);
	arrive(came_from);
	bury();
}

/*
 * Picks another task that has not ended, or the main program; NULL: there is
 * none.
 */
static struct task *pick(void)
{
	unsigned int others = 0, n;
	struct task *t;

	list_for_each_entry(t, &tasks, list)
		others += !t->ended && t != current_task;
	others += current_task != &main_task;
	if (!others)
		return NULL;
	n = chance(others);
	list_for_each_entry(t, &tasks, list)
		if (!t->ended && t != current_task && !n--)
			return t;
	return &main_task;
}

bool hpm_task_others(void)
{
	return nr_tasks > (current_task != &main_task) ||
	       current_task != &main_task;
}

void hpm_env_yield(void)
{
	struct task *t = nr_tasks ? pick() : NULL;

	if (t)
		switch_to(t);
}

void hpm_task_chance(void)
{
	if (nr_tasks && !chance(SWITCH_ONE_IN))
		hpm_env_yield();
}

static void task_main(void)
{
	struct task *t = current_task;

	arrive(came_from);
	t->fn(t->ctx);
	BUG_ON(t->cpu.depth || t->cpu.nr_held);
	t->ended = true;
	nr_tasks--;
	switch_to(pick());
}

void hpm_env_task_start(void (*fn)(void *ctx), void *ctx)
{
	struct task *t = calloc(1, sizeof(*t));

	BUG_ON(!t);
	t->stack = malloc(STACK_SIZE);
	BUG_ON(!t->stack);
	t->fn = fn;
	t->ctx = ctx;
	t->running_on = &t->cpu;
	t->bottom = t->stack;
	t->size = STACK_SIZE;
	getcontext(&t->context);
	t->context.uc_stack.ss_sp = t->stack;
	t->context.uc_stack.ss_size = STACK_SIZE;
	makecontext(&t->context, task_main, 0);
	list_add_tail(&t->list, &tasks);
	nr_tasks++;
}

void hpm_env_task_wait(void)
{
	BUG_ON(current_task != &main_task);
	while (nr_tasks)
		hpm_env_yield();
	bury();
}
