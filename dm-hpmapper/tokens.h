/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In-flight tokens: what a bio holds from before its look-up until its I/O is
 * over, and what others wait for.
 *
 * They are counted as SRCU counts its readers: two sets of counters on each CPU,
 * the index says which is in use, and a reader that ends adds one to where it
 * began, on whatever CPU it ends.  What SRCU does not have is a wait that is as
 * short as the longest reader: once a grace period has lasted longer than a tick,
 * an expedited one too, it sleeps for some ticks at a time.  With writes of 2 ms
 * in flight it took 13 ms, and all that time a volume's writes are parked.  Here
 * the one who waits looks again after a sixteenth of the time that he has waited
 * already.
 */
#ifndef HPM_TOKENS_H
#define HPM_TOKENS_H

#include <linux/mutex.h>
#include <linux/percpu.h>

struct hpm_token_counts {
	unsigned long taken[2];
	unsigned long given[2];
};

struct hpm_tokens {
	struct hpm_token_counts __percpu *counts;
	unsigned int index;		/* which set is in use; lock to change */

	struct mutex lock;		/* one wait at a time */
	unsigned long begun;		/* waits so far; lock to change */
	unsigned long ended;		/* the last one that is over; lock */
};

int hpm_tokens_init(struct hpm_tokens *t);
void hpm_tokens_exit(struct hpm_tokens *t);

/* Any context. */
static inline int hpm_token_get(struct hpm_tokens *t)
{
	int token = READ_ONCE(t->index) & 1;

	this_cpu_inc(t->counts->taken[token]);
	/* Counted before anything is looked at: pairs with tokens_out(). */
	smp_mb();
	return token;
}

/* Any context, any CPU. */
static inline void hpm_token_put(struct hpm_tokens *t, int token)
{
	/* All that was done, before it is counted: pairs with tokens_out(). */
	smp_mb();
	this_cpu_inc(t->counts->given[token]);
}

/*
 * Sleeps until every token that was out when it was called is back.  Who takes
 * one later sees all that was written before the call.
 */
void hpm_tokens_wait(struct hpm_tokens *t);

#endif /* HPM_TOKENS_H */
