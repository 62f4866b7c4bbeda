// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for tokens.
 *
 * Why it is right: whoever waits writes something (shuts a gate, unhashes an
 * entry), passes a full barrier and adds up the counts; a reader counts itself,
 * passes a full barrier and reads.  So either the sum has the reader in it, and
 * he is waited for, or the reader sees what was written.
 *
 * Adding up is not done at one instant.  What was given back is added up first
 * and what was taken after it, with a barrier in between: a token that is seen
 * to be back is also seen to have been taken, so the sums are the same only if
 * nothing was out.
 *
 * While a set is in use the sums may never meet.  So the readers are sent to
 * the other set, and the old one is waited for.  A reader may have read the
 * index long ago and count itself in a set that went out of use meanwhile; that
 * is why the other set is waited for first, as it is to be used again.  That
 * makes a grace period of two halves.  If both sets are found empty, one after
 * the other, none is needed: whatever was out at the call is back.
 *
 * Nobody owns a grace period.  Whoever waits helps the one that is under way to
 * end, then begins another if that one had begun before the call, as it may have
 * passed a reader by who came before the call.  So several may wait for the
 * same readers, each for as long as it likes: the drain of freed blocks for half
 * an hour, a snapshot for some milliseconds at a time.  One that gives up leaves
 * the grace period to those who come later.
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
	/* See above; and pairs with both sides of hpm_token_get() and _put(). */
	smp_mb();
	for_each_possible_cpu(cpu)
		out += READ_ONCE(per_cpu_ptr(t->counts, cpu)->set[set].taken);
	return out;
}

static void __begin(struct hpm_token_grace *g)
{
	g->begun++;
	g->flipped = false;
	/* What those have written who see it begun, before any count is read. */
	smp_mb();
}

/* The grace period that is under way: is it over? */
static bool __advance(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	struct hpm_token_grace *g = &t->grace[kind];
	unsigned int used = t->index[kind] & 1;

	if (!g->flipped) {
		if (tokens_out(t, 2 * kind + !used))
			return false;
		/* What was found there comes before anybody is sent there. */
		smp_mb();
		WRITE_ONCE(t->index[kind], t->index[kind] + 1);
		g->flipped = true;
		used = !used;
		/* And they are sent before the old set is added up. */
		smp_mb();
	}
	if (tokens_out(t, 2 * kind + !used))
		return false;
	g->ended = g->begun;
	return true;
}

/* Is a grace period over that began as the @nr-th, or later? */
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

/* The first grace period that begins after this call. */
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
 * Looks often at what does not take long: a wait ends by a sixteenth, and by half
 * a millisecond, too late.  What has lasted for long is not looked at all the
 * time.
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

	/* What the caller has written, before any count is read. */
	smp_mb();
	if (!none_out(t, kind)) {
		nr = next_grace(t, kind);
		while (!is_over(t, kind, nr)) {
			if (over && over(ctx))
				return false;
			hpm_tokens_sleep(start);
		}
	}
	/* And before what the caller does with them back. */
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

	/* What the caller has written, before any count is read. */
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
	/* And before what the caller does with them back. */
	smp_mb();
	return over;
}
