/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In-flight tokens: a bio holds one from before its look-up until its I/O has
 * ended, and others wait until the tokens are back.
 *
 * Whose they are
 * --------------
 * A tenant's I/O may take any time, as io.max can delay it at will, so nothing
 * that concerns another tenant may wait for it.  Therefore each volume has its
 * own tokens, of three kinds, and a caller that waits names the volume and the
 * kind:
 *
 *	READ	a read, or a flush
 *	WRITE	a bio that may write in place or publish a change
 *	HOP	a bio that is queued for a worker or that a worker has; not one
 *		that waits in a list
 *
 * A bio in flight holds one READ or one WRITE token, never both, so taking a
 * token costs no more than with a single kind.  These wait for tokens:
 *
 *	a snapshot, a move	WRITE of the origin, or of the volume that the
 *				move is in
 *	noflush suspension	all three, of the volume that is suspended
 *	removal			all three, of the volume that is removed
 *	the pool's suspension	READ and WRITE of all volumes
 *	the drain of freed blocks, memory that goes offline
 *				READ and WRITE of all volumes, READ of the pool
 *
 * The suspension, the drain and memory that goes offline wait for the I/O of
 * all tenants, as long as the slowest takes.  They must, since what they do
 * concerns all volumes.  The suspension first stops the volumes whose I/O is
 * slow, and the others only after that I/O has ended (stop.c).  The drain holds
 * nothing that others need (pool-drain.c).  Memory that goes offline waits for
 * a second, then the attempt fails and the memory stays (cache/cache.c).  The
 * pool's own tokens are for the cache manager, which looks at what volumes have
 * cached and belongs to none of them.
 *
 * How they are counted
 * --------------------
 * Tokens are counted as SRCU counts its readers.  Each CPU has two sets of
 * counters, and an index tells which set is in use.  When a reader ends, it is
 * counted in the set in which it began, on the CPU where it ends.  SRCU itself
 * is not used for two reasons.  First, its wait is longer than the longest
 * reader: once a grace period, expedited or not, has lasted longer than a tick,
 * SRCU sleeps for some ticks at a time.  With writes of 2 ms in flight it took
 * 13 ms, and a volume's writes are parked for that time.  Here a waiter looks
 * again after a sixteenth of the time that has passed.  Second, a wait for SRCU
 * cannot be given up, as a wait for a throttled writer must be.
 */
#ifndef HPM_TOKENS_H
#define HPM_TOKENS_H

#include <linux/ktime.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

enum hpm_token_kind {
	HPM_TOKEN_READ,
	HPM_TOKEN_WRITE,
	HPM_TOKEN_HOP,
	HPM_NR_TOKEN_KINDS
};

/* Both sets of a kind share a cache line. */
struct hpm_token_counts {
	struct {
		unsigned long taken;
		unsigned long given;
	} set[2 * HPM_NR_TOKEN_KINDS];
} __aligned(4 * sizeof(unsigned long));

/* The grace periods of one kind.  One is under way if begun != ended. */
struct hpm_token_grace {
	unsigned long begun;		/* how many have begun; lock */
	unsigned long ended;		/* the last that has ended; lock */
	unsigned long wanted;		/* set by hpm_tokens_want(); lock */
	bool flipped;			/* it is in its second half; lock */
};

struct hpm_tokens {
	struct hpm_token_counts __percpu *counts;
	unsigned int index[HPM_NR_TOKEN_KINDS];	/* set in use; lock to change */
	spinlock_t lock;
	struct hpm_token_grace grace[HPM_NR_TOKEN_KINDS];
};

int hpm_tokens_init(struct hpm_tokens *t);
void hpm_tokens_exit(struct hpm_tokens *t);

/* Any context.  Returns the token, which includes its kind. */
static inline int hpm_token_get(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	int token = 2 * kind + (READ_ONCE(t->index[kind]) & 1);

	this_cpu_inc(t->counts->set[token].taken);
	/*
	 * The token is counted before anything is looked up: pairs with
	 * tokens_out().
	 */
	smp_mb();
	return token;
}

/*
 * Any context, any CPU.  The caller must not touch @t afterwards: a waiter for
 * this token may free it.
 */
static inline void hpm_token_put(struct hpm_tokens *t, int token)
{
	/*
	 * The token is counted after everything that it covers: pairs with
	 * tokens_out().
	 */
	smp_mb();
	this_cpu_inc(t->counts->set[token].given);
}

/*
 * Waits until every token of the kind that was out at the call is back.  A bio
 * that takes one later sees everything that was written before the call.
 * Sleeps.
 */
void hpm_tokens_wait(struct hpm_tokens *t, enum hpm_token_kind kind);
/*
 * The same, but returns false as soon as @over() returns true.  Any number of
 * callers may wait at once, and none waits longer because of another.
 */
bool hpm_tokens_wait_unless(struct hpm_tokens *t, enum hpm_token_kind kind,
			    bool (*over)(const void *ctx), const void *ctx);
/*
 * The same in two steps, for a caller that waits for many sets at once: it
 * calls hpm_tokens_want() for each set, then hpm_tokens_came() for all of them
 * until it returns true for each.  If another caller wants the same set
 * meanwhile, both wait for the later grace period.  hpm_tokens_came() does not
 * sleep.
 */
void hpm_tokens_want(struct hpm_tokens *t, enum hpm_token_kind kind);
bool hpm_tokens_came(struct hpm_tokens *t, enum hpm_token_kind kind);
/* Sleeps between two looks of a wait that began at @since. */
void hpm_tokens_sleep(ktime_t since);

#endif /* HPM_TOKENS_H */
