/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In-flight tokens: what a bio holds from before its look-up until its I/O is
 * over, and what others wait for.
 *
 * Whose they are
 * --------------
 * A tenant's I/O may be slow for as long as he, or his io.max, likes, so nobody
 * else's life may depend on its end.  Therefore each volume has tokens of its own,
 * of three kinds, and whoever waits names the volume and the kind:
 *
 *	READ	a read, or a flush
 *	WRITE	whatever may write in place, or publish a change
 *	HOP	a bio that a worker has, or is about to get: it is on the queue
 *		or in the worker's hand, but not in a list where it waits
 *
 * A bio under way holds one READ or one WRITE token, never both, so taking one
 * costs what it would cost if there was only one kind.  Who waits for what:
 *
 *	a snapshot, a move	WRITE of the origin, or of the volume moved in
 *	noflush suspension	all three, of the volume that is suspended
 *	removal			all three, of the volume that is removed
 *	the pool's suspension	READ and WRITE of all volumes
 *	the drain of freed blocks, memory that goes offline
 *				READ and WRITE of all volumes, and the pool's own
 *
 * The last two lines wait for strangers, for as long as the slowest of them takes.
 * They must, as what they are about is everybody's.  The suspension stops those first
 * that are slow, and all others when these are done (gate.c); the drain has nothing
 * in hand that others need (pool-drain.c); memory gives up after a second, and stays
 * (cache.c).  The pool's own set is for the cache manager, which looks at what
 * volumes have cached and belongs to none.
 *
 * How they are counted
 * --------------------
 * As SRCU counts its readers: two sets of counters on each CPU, the index says
 * which is in use, and a reader that ends adds one to where it began, on
 * whatever CPU it ends.  What SRCU does not have is a wait that is as short as
 * the longest reader: once a grace period has lasted longer than a tick, an
 * expedited one too, it sleeps for some ticks at a time.  With writes of 2 ms in
 * flight it took 13 ms, and all that time a volume's writes are parked.  Here
 * whoever waits looks again after a sixteenth of the time that has passed.  Nor
 * can a wait for SRCU be given up, as one for a throttled writer must.
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

/* A grace period of one kind is under way if not all that begun have ended. */
struct hpm_token_grace {
	unsigned long begun;		/* so many so far; lock */
	unsigned long ended;		/* lock */
	unsigned long wanted;		/* by hpm_tokens_want(); lock */
	bool flipped;			/* the second half of one; lock */
};

struct hpm_tokens {
	struct hpm_token_counts __percpu *counts;
	unsigned int index[HPM_NR_TOKEN_KINDS];	/* set in use; lock to change */
	spinlock_t lock;
	struct hpm_token_grace grace[HPM_NR_TOKEN_KINDS];
};

int hpm_tokens_init(struct hpm_tokens *t);
void hpm_tokens_exit(struct hpm_tokens *t);

/* Any context.  The token knows its kind. */
static inline int hpm_token_get(struct hpm_tokens *t, enum hpm_token_kind kind)
{
	int token = 2 * kind + (READ_ONCE(t->index[kind]) & 1);

	this_cpu_inc(t->counts->set[token].taken);
	/* Counted before anything is looked at: pairs with tokens_out(). */
	smp_mb();
	return token;
}

/*
 * Any context, any CPU.  The last that is done with @t: whoever waits for this
 * token may free it then.
 */
static inline void hpm_token_put(struct hpm_tokens *t, int token)
{
	/* All that was done, before it is counted: pairs with tokens_out(). */
	smp_mb();
	this_cpu_inc(t->counts->set[token].given);
}

/*
 * Sleeps until every token of the kind that was out when it was called is back.
 * Who takes one later sees all that was written before the call.
 */
void hpm_tokens_wait(struct hpm_tokens *t, enum hpm_token_kind kind);
/*
 * The same, but it is given up, and false returned, when @over() says so.  Any
 * number may wait at once, and none waits for another one's patience.
 */
bool hpm_tokens_wait_unless(struct hpm_tokens *t, enum hpm_token_kind kind,
			    bool (*over)(const void *ctx), const void *ctx);
/*
 * In two steps, for those who wait for many sets at once: each is told first what
 * to wait for, then all are asked until each says that it came.  What another one
 * wants of the same set meanwhile is waited for, too.
 */
void hpm_tokens_want(struct hpm_tokens *t, enum hpm_token_kind kind);
bool hpm_tokens_came(struct hpm_tokens *t, enum hpm_token_kind kind);
/* Between two looks of a wait that began at @since. */
void hpm_tokens_sleep(ktime_t since);

#endif /* HPM_TOKENS_H */
