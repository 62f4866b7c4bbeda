// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for tokens.
 *
 * Why it is right: the one who waits writes (shuts a gate, unhashes an entry),
 * passes a full barrier and adds up the counts; a reader counts itself, passes
 * a full barrier and reads.  So either he sees the reader, and waits for it, or
 * the reader sees what he has written.
 *
 * Adding up is not done at one instant.  What was given back is added up first
 * and what was taken after it, with a barrier in between: a token that is seen
 * to be back is also seen to have been taken, so the sums are the same only if
 * nothing was out.
 *
 * While a set is in use the sums may never meet.  So the readers are sent to
 * the other set, and the old one is waited for.  A reader may have read the
 * index long ago and count itself in a set that went out of use meanwhile; that
 * is why the other set is waited for first, as it is to be used again.
 */
#include <linux/delay.h>
#include <linux/ktime.h>

#include "tokens.h"

/* Microseconds between two looks: a wait ends at most so much too late. */
#define LOOK_LEAST	10
#define LOOK_MOST	500

int hpm_tokens_init(struct hpm_tokens *t)
{
	t->counts = alloc_percpu(struct hpm_token_counts);
	if (!t->counts)
		return -ENOMEM;
	mutex_init(&t->lock);
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
		out -= READ_ONCE(per_cpu_ptr(t->counts, cpu)->given[set]);
	/* See above; and pairs with both sides of hpm_token_get() and _put(). */
	smp_mb();
	for_each_possible_cpu(cpu)
		out += READ_ONCE(per_cpu_ptr(t->counts, cpu)->taken[set]);
	return out;
}

static void wait_for_set(struct hpm_tokens *t, unsigned int set)
{
	ktime_t start = ktime_get();
	unsigned long us;

	while (tokens_out(t, set)) {
		us = clamp_t(s64, ktime_us_delta(ktime_get(), start) / 16,
			     LOOK_LEAST, LOOK_MOST);
		usleep_range(us, us + us / 4);
	}
}

static void wait_for_both(struct hpm_tokens *t)
{
	unsigned int set = t->index & 1;

	wait_for_set(t, !set);
	/* What was found there comes before anybody is sent there. */
	smp_mb();
	WRITE_ONCE(t->index, t->index + 1);
	/* And they are sent before the old set is added up. */
	smp_mb();
	wait_for_set(t, set);
}

void hpm_tokens_wait(struct hpm_tokens *t)
{
	unsigned long seen;

	/* What the caller has written, before any count is read. */
	smp_mb();
	seen = READ_ONCE(t->begun);

	mutex_lock(&t->lock);
	/* A wait that began after this call will do as well. */
	if ((long)(t->ended - seen) <= 0) {
		WRITE_ONCE(t->begun, t->begun + 1);
		/* Who sees it begun has his wait before it: as above. */
		smp_mb();
		wait_for_both(t);
		t->ended = t->begun;
	}
	mutex_unlock(&t->lock);
	/* And before what the caller does with them back. */
	smp_mb();
}
