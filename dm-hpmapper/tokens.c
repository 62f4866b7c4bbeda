// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for tokens.
 *
 * Why this is correct: a waiter writes something (it shuts a gate, unhashes an
 * entry), passes a full barrier and adds up the counts.  A reader counts
 * itself, passes a full barrier and reads.  So either the sum includes the
 * reader, and the waiter waits for it, or the reader sees what was written.
 *
 * The counts are not added up at one instant.  First the tokens that were given
 * back are added up, then those that were taken, with a barrier in between: if
 * a token is seen to be back, it is also seen to have been taken.  So the sums
 * are equal only if no token was out.
 *
 * While a set is in use its sums may never be equal.  So new readers are
 * directed to the other set, and the old one is waited for.  A reader may have
 * read the index long ago and count itself in a set that went out of use
 * meanwhile.  Therefore the other set is waited for first, before it is used
 * again.  So a grace period has two halves.  If both sets are found empty, one
 * after the other, no grace period is needed: all tokens that were out at the
 * call are back.
 *
 * A grace period has no owner.  A waiter helps the current one to end.  If that
 * had begun before the call, it may have passed by a reader that came before
 * the call, so the waiter begins another one.  Several callers may wait for the
 * same readers, each as long as it likes: the drain of freed blocks for half an
 * hour, a snapshot for some milliseconds at a time.  A waiter that gives up
 * leaves the grace period to those that come later.
 */
#include <linux/delay.h>
#include <linux/ktime.h>

#include "tokens.h"

int hpm_tokens_init(struct hpm_tokens *t)
{
	t->counts = alloc_percpu(struct hpm_token_counts);
	if (!t->counts)
		return -ENOMEM;
	spin_lock_init(&t->lock);
	return 0;
}

void hpm_tokens_exit(struct hpm_tokens *t)
{
	free_percpu(t->counts);
}

static bool tokens_out(struct hpm_tokens *t, unsigned int set)
{
	unsigned long out = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		out -= READ_ONCE(per_cpu_ptr(t->counts, cpu)->set[set].given);
	/* See above.  Also pairs with hpm_token_get() and hpm_token_put(). */
	smp_mb();
	for_each_possible_cpu(cpu)
		out += READ_ONCE(per_cpu_ptr(t->counts, cpu)->set[set].taken);
	return out;
}

static void __begin(struct hpm_token_grace *g)
{
	g->begun++;
	g->flipped = false;
	/* What its waiters have written is visible before any count is read. */
	smp_mb();
}

/* Continues the grace period that is under way.  Is it over?  t->lock held. */
static bool __advance(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	struct hpm_token_grace *g = &t->grace[kind];
	unsigned int used = t->index[kind] & 1;

	if (!g->flipped) {
		if (tokens_out(t, 2 * kind + !used))
			return false;
		/* It was found empty before new readers are sent to it. */
		smp_mb();
		WRITE_ONCE(t->index[kind], t->index[kind] + 1);
		g->flipped = true;
		used = !used;
		/* They are sent to it before the old set is added up. */
		smp_mb();
	}
	if (tokens_out(t, 2 * kind + !used))
		return false;
	g->ended = g->begun;
	return true;
}

/*
 * Is the @nr-th grace period, or a later one, over?  Begins one if none is
 * under way.
 */
static bool is_over(struct hpm_tokens *t, enum hpm_token_kind kind,
		    unsigned long nr)
{
	struct hpm_token_grace *g = &t->grace[kind];
	bool over = false;

	spin_lock(&t->lock);
	do {
		over = (long)(g->ended - nr) >= 0;
		if (!over && g->begun == g->ended)
			__begin(g);
	} while (!over && __advance(t, kind));
	spin_unlock(&t->lock);
	return over;
}

/* The number of the first grace period that begins after this call. */
static unsigned long next_grace(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	unsigned long nr;

	spin_lock(&t->lock);
	nr = t->grace[kind].begun + 1;
	spin_unlock(&t->lock);
	return nr;
}

static bool none_out(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	return !tokens_out(t, 2 * kind) && !tokens_out(t, 2 * kind + 1);
}

/*
 * A waiter sleeps for a sixteenth of the time that it has waited, 500 us at
 * most, so a short wait ends soon after its tokens are back.  From 64 ms on it
 * sleeps for a 128th of the time, 20 ms at most, so that a long wait takes
 * little CPU time.
 */
#define LOOK_LEAST	10L	/* microseconds between two looks */
#define LOOK_OFTEN	500L
#define LOOK_MOST	20000L

void hpm_tokens_sleep(ktime_t since)
{
	s64 waited = ktime_us_delta(ktime_get(), since);
	unsigned long us;

	us = max(clamp_t(s64, waited / 16, LOOK_LEAST, LOOK_OFTEN),
		 min_t(s64, waited / 128, LOOK_MOST));
	usleep_range(us, us + us / 4);
}

bool hpm_tokens_wait_unless(struct hpm_tokens *t, enum hpm_token_kind kind,
			    bool (*over)(const void *ctx), const void *ctx)
{
	ktime_t start = ktime_get();
	unsigned long nr;

	/* What the caller has written is visible before any count is read. */
	smp_mb();
	if (!none_out(t, kind)) {
		nr = next_grace(t, kind);
		while (!is_over(t, kind, nr)) {
			if (over && over(ctx))
				return false;
			hpm_tokens_sleep(start);
		}
	}
	/* The counts are read before the caller acts on the result. */
	smp_mb();
	return true;
}

void hpm_tokens_wait(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	hpm_tokens_wait_unless(t, kind, NULL, NULL);
}

void hpm_tokens_want(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	unsigned long nr;

	/* What the caller has written is visible before any count is read. */
	smp_mb();
	if (none_out(t, kind))
		return;
	spin_lock(&t->lock);
	nr = t->grace[kind].begun + 1;
	t->grace[kind].wanted = nr;
	spin_unlock(&t->lock);
	/* Begins it, unless one is under way. */
	is_over(t, kind, nr);
}

bool hpm_tokens_came(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	unsigned long nr;
	bool over;

	spin_lock(&t->lock);
	nr = t->grace[kind].wanted;
	spin_unlock(&t->lock);
	over = is_over(t, kind, nr);
	/* The counts are read before the caller acts on the result. */
	smp_mb();
	return over;
}
