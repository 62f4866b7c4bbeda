/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locks, RCU and memory order, for a program with one thread that checks their
 * use.
 *
 * Each flow of control is a "CPU" (struct hpm_cpu): the main program, and
 * functions that a test runs in the middle of it with hpm_env_on_cpu(), like
 * another CPU or an interrupt.  Each has its own depth of sections that must
 * not sleep and its own stack of held locks, so that:
 *
 *  - a lock taken while it is held, by any CPU, is a deadlock: abort;
 *  - two locks taken in both orders are a possible deadlock: abort (locks are
 *    identified by the place where they were initialised, as lockdep does it);
 *  - a lock that is taken in interrupts must never be taken with interrupts
 *    on: abort;
 *  - sleeping where the depth is not 0: abort.
 *
 * Several tasks (hpm_env_task_start()) share the thread by turns; each is a
 * CPU, and a task waits for a mutex that another task holds.
 *
 * A test interrupts a reader by setting a hook, which rcu_dereference() and the
 * read side of a seqcount call when the CPU holds no lock: so everything that
 * can happen between two steps of a reader on a real machine can happen there.
 *
 * RCU callbacks run as soon as no CPU is in a section that delays them.
 */
#ifndef HPM_SYNC_H
#define HPM_SYNC_H

/*
 *----------------------------------------------------------------
 * Memory order
 *--------------------------------------------------------------
 */

#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define data_race(expr)		(expr)
#define __no_kcsan
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_mb__before_atomic()	smp_mb()
#define smp_mb__after_atomic()	smp_mb()
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_store_mb(x, v)	__atomic_store_n(&(x), v, __ATOMIC_SEQ_CST)
#define xchg(p, v)		__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define cmpxchg(p, old, new) ({						\
	__typeof__(*(p)) __old = (old);					\
	__atomic_compare_exchange_n(p, &__old, new, false,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	__old; })
#define try_cmpxchg(p, oldp, new)					\
	__atomic_compare_exchange_n(p, oldp, new, false,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define cpu_relax()		barrier()

/*
 *----------------------------------------------------------------
 * Atomics
 *--------------------------------------------------------------
 */

typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;
typedef struct { long counter; } atomic_long_t;

#define ATOMIC_INIT(v)		{ (v) }
#define ATOMIC64_INIT(v)	{ (v) }
#define ATOMIC_LONG_INIT(v)	{ (v) }

#define HPM_ATOMIC(p, t)						\
static inline t p##_read(const p##_t *v)				\
{									\
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);		\
}									\
static inline t p##_read_acquire(const p##_t *v)			\
{									\
	return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE);		\
}									\
static inline void p##_set(p##_t *v, t i)				\
{									\
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);		\
}									\
static inline void p##_set_release(p##_t *v, t i)			\
{									\
	__atomic_store_n(&v->counter, i, __ATOMIC_RELEASE);		\
}									\
static inline t p##_add_return(t i, p##_t *v)				\
{									\
	return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);	\
}									\
static inline t p##_fetch_add(t i, p##_t *v)				\
{									\
	return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST);	\
}									\
static inline t p##_xchg(p##_t *v, t i)					\
{									\
	return __atomic_exchange_n(&v->counter, i, __ATOMIC_SEQ_CST);	\
}									\
static inline t p##_cmpxchg(p##_t *v, t old, t i)			\
{									\
	__atomic_compare_exchange_n(&v->counter, &old, i, false,	\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	return old;							\
}									\
static inline bool p##_try_cmpxchg(p##_t *v, t *old, t i)		\
{									\
	return __atomic_compare_exchange_n(&v->counter, old, i, false,	\
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);		\
}									\
static inline void p##_add(t i, p##_t *v)				\
{									\
	p##_add_return(i, v);						\
}									\
static inline void p##_sub(t i, p##_t *v)				\
{									\
	p##_add_return(-i, v);						\
}									\
static inline void p##_inc(p##_t *v)					\
{									\
	p##_add_return(1, v);						\
}									\
static inline void p##_dec(p##_t *v)					\
{									\
	p##_add_return(-1, v);						\
}									\
static inline t p##_sub_return(t i, p##_t *v)				\
{									\
	return p##_add_return(-i, v);					\
}									\
static inline t p##_fetch_sub(t i, p##_t *v)				\
{									\
	return p##_fetch_add(-i, v);					\
}									\
static inline t p##_inc_return(p##_t *v)				\
{									\
	return p##_add_return(1, v);					\
}									\
static inline t p##_dec_return(p##_t *v)				\
{									\
	return p##_add_return(-1, v);					\
}									\
static inline t p##_fetch_inc(p##_t *v)					\
{									\
	return p##_fetch_add(1, v);					\
}									\
static inline t p##_fetch_dec(p##_t *v)					\
{									\
	return p##_fetch_add(-1, v);					\
}									\
static inline bool p##_dec_and_test(p##_t *v)				\
{									\
	return !p##_add_return(-1, v);					\
}									\
static inline bool p##_inc_and_test(p##_t *v)				\
{									\
	return !p##_add_return(1, v);					\
}									\
static inline bool p##_sub_and_test(t i, p##_t *v)			\
{									\
	return !p##_add_return(-i, v);					\
}									\
static inline bool p##_add_negative(t i, p##_t *v)			\
{									\
	return p##_add_return(i, v) < 0;				\
}									\
static inline bool p##_add_unless(p##_t *v, t i, t u)			\
{									\
	if (p##_read(v) == u)						\
		return false;						\
	p##_add(i, v);							\
	return true;							\
}									\
static inline bool p##_inc_not_zero(p##_t *v)				\
{									\
	return p##_add_unless(v, 1, 0);					\
}									\
static inline t p##_dec_if_positive(p##_t *v)				\
{									\
	t i = p##_read(v) - 1;						\
									\
	if (i >= 0)							\
		p##_set(v, i);						\
	return i;							\
}

HPM_ATOMIC(atomic, int)
HPM_ATOMIC(atomic64, s64)
HPM_ATOMIC(atomic_long, long)

/*
 *----------------------------------------------------------------
 * CPUs
 *--------------------------------------------------------------
 */

#define HPM_MAX_HELD	16

struct hpm_held {
	const void *lock;
	unsigned int class;
};

struct hpm_cpu {
	unsigned int depth;	/* of sections that must not sleep */
	unsigned int readers;	/* of these: read sections without a lock */
	unsigned int irqs_off;	/* depth */
	bool in_irq;		/* this is an interrupt */
	unsigned int nr_held;
	struct hpm_held held[HPM_MAX_HELD];
};

extern struct hpm_cpu *hpm_cpu;		/* the one that runs */

void hpm_env_might_sleep(const char *file, int line);
void hpm_env_enter_atomic(void);
void hpm_env_exit_atomic(void);
/* A point at which another CPU may run. */
void hpm_env_interleave(void);

#define might_sleep()		hpm_env_might_sleep(__FILE__, __LINE__)
#define cond_resched()		might_sleep()
#define preempt_disable()	hpm_env_enter_atomic()
#define preempt_enable()	hpm_env_exit_atomic()
#define in_task()		(!hpm_cpu->in_irq)
#define irqs_disabled()		(hpm_cpu->irqs_off != 0)
#define smp_processor_id()	0
#define num_online_cpus()	1u
#define nr_cpu_ids		1u

/*
 *----------------------------------------------------------------
 * Locks
 *--------------------------------------------------------------
 */

struct hpm_lock {
	const char *name;
	unsigned int class;	/* 0: not yet known */
	const struct hpm_cpu *owner;
};

typedef struct hpm_lock spinlock_t;
struct mutex {
	struct hpm_lock l;
};

struct lock_class_key {
	unsigned int class;
};

#define HPM_LOCK_INIT(n)	{ .name = #n }
#define __SPIN_LOCK_UNLOCKED(n)	HPM_LOCK_INIT(n)
#define DEFINE_SPINLOCK(n)	spinlock_t n = HPM_LOCK_INIT(n)
#define DEFINE_MUTEX(n)		struct mutex n = { .l = HPM_LOCK_INIT(n) }

void hpm_env_lock_init(struct hpm_lock *l, const char *name,
		       struct lock_class_key *key);
void hpm_env_lock(struct hpm_lock *l, unsigned int subclass);
void hpm_env_mutex_lock(struct hpm_lock *l, unsigned int subclass);
bool hpm_env_trylock(struct hpm_lock *l);
void hpm_env_unlock(struct hpm_lock *l);
void hpm_env_irq_off(void);
void hpm_env_irq_on(void);

#define spin_lock_init(l) do {						\
	static struct lock_class_key __key;				\
	hpm_env_lock_init(l, #l, &__key);				\
} while (0)
#define mutex_init(m)		spin_lock_init(&(m)->l)
#define mutex_destroy(m)	BUG_ON((m)->l.owner)
#define lockdep_set_class(m, k)	do { } while (0)

#define mutex_lock_nested(m, s) \
	do { might_sleep(); hpm_env_mutex_lock(&(m)->l, s); } while (0)
#define mutex_lock(m)		mutex_lock_nested(m, 0)
#define mutex_unlock(m)		hpm_env_unlock(&(m)->l)
#define mutex_is_locked(m)	((m)->l.owner != NULL)

static inline int mutex_trylock(struct mutex *m)
{
	return hpm_env_trylock(&m->l);
}

static inline void spin_lock_nested(spinlock_t *l, unsigned int subclass)
{
	hpm_env_enter_atomic();
	hpm_env_lock(l, subclass);
}

static inline void spin_lock(spinlock_t *l)
{
	spin_lock_nested(l, 0);
}

static inline void spin_unlock(spinlock_t *l)
{
	hpm_env_unlock(l);
	hpm_env_exit_atomic();
}

static inline void spin_lock_irq(spinlock_t *l)
{
	BUG_ON(hpm_cpu->irqs_off);
	hpm_env_irq_off();
	spin_lock(l);
}

static inline void spin_unlock_irq(spinlock_t *l)
{
	spin_unlock(l);
	hpm_env_irq_on();
}

static inline int spin_trylock(spinlock_t *l)
{
	if (!hpm_env_trylock(l))
		return 0;
	hpm_env_enter_atomic();
	return 1;
}

#define spin_is_locked(l)	((l)->owner != NULL)
#define spin_lock_bh(l)		spin_lock(l)
#define spin_unlock_bh(l)	spin_unlock(l)

#define local_irq_save(f) \
	do { (f) = hpm_cpu->irqs_off; hpm_env_irq_off(); } while (0)
#define local_irq_restore(f) do {					\
	hpm_env_irq_on();						\
	BUG_ON(hpm_cpu->irqs_off != (f));				\
} while (0)
#define spin_lock_irqsave(l, f) \
	do { local_irq_save(f); spin_lock(l); } while (0)
#define spin_lock_irqsave_nested(l, f, s) \
	do { local_irq_save(f); spin_lock_nested(l, s); } while (0)
#define spin_unlock_irqrestore(l, f) \
	do { spin_unlock(l); local_irq_restore(f); } while (0)
#define spin_trylock_irqsave(l, f) ({					\
	local_irq_save(f);						\
	spin_trylock(l) ? 1 : ({ local_irq_restore(f); 0; }); })

#define HPM_LOCK_OF(p) _Generic((p),					\
	struct mutex *: &((struct mutex *)(p))->l,			\
	const struct mutex *: &((struct mutex *)(p))->l,		\
	default: (struct hpm_lock *)(p))
#define lockdep_assert_held(l)		BUG_ON(HPM_LOCK_OF(l)->owner != hpm_cpu)
#define lockdep_assert_not_held(l)	BUG_ON(HPM_LOCK_OF(l)->owner == hpm_cpu)
#define lockdep_is_held(l)		(HPM_LOCK_OF(l)->owner == hpm_cpu)
#define lockdep_assert_irqs_disabled()	BUG_ON(!irqs_disabled())
#define lockdep_assert_once(c)		WARN_ON_ONCE(!(c))
#define lockdep_assert(c)		WARN_ON(!(c))

/*
 *----------------------------------------------------------------
 * RCU
 *--------------------------------------------------------------
 */

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
	void *free;		/* kfree_rcu(): what to free */
};

#define callback_head rcu_head

void hpm_env_read_lock(void);
void hpm_env_read_unlock(void);
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void hpm_env_kfree_rcu(struct rcu_head *head, void *p);
/* Runs every callback; aborts if called inside a read section. */
void rcu_barrier(void);

#define rcu_read_lock()		hpm_env_read_lock()
#define rcu_read_unlock()	hpm_env_read_unlock()
#define rcu_read_lock_held()	(hpm_cpu->depth != 0)
#define synchronize_rcu()	rcu_barrier()
#define synchronize_rcu_expedited() rcu_barrier()
#define kfree_rcu(p, member)	hpm_env_kfree_rcu(&(p)->member, p)
#define kvfree_rcu(p, member)	kfree_rcu(p, member)

#define rcu_dereference(p) ({						\
	BUG_ON(!rcu_read_lock_held());					\
	hpm_env_interleave();						\
	READ_ONCE(p); })
#define rcu_dereference_raw(p)		READ_ONCE(p)
#define rcu_dereference_check(p, c) ({					\
	BUG_ON(!rcu_read_lock_held() && !(c));				\
	READ_ONCE(p); })
#define rcu_dereference_protected(p, c) ({ BUG_ON(!(c)); (p); })
#define rcu_access_pointer(p)		READ_ONCE(p)
#define rcu_assign_pointer(p, v)	smp_store_release(&(p), v)
#define RCU_INIT_POINTER(p, v)		WRITE_ONCE(p, v)

/*
 *----------------------------------------------------------------
 * Sequence counters
 *--------------------------------------------------------------
 */

typedef struct seqcount {
	unsigned int sequence;
} seqcount_t;

typedef struct {
	seqcount_t seqcount;
	spinlock_t *lock;
} seqcount_spinlock_t;

#define seqcount_init(s)	((s)->sequence = 0)
#define SEQCNT_ZERO(n)		{ 0 }

static inline void raw_write_seqcount_begin(seqcount_t *s)
{
	BUG_ON(s->sequence & 1);	/* a second writer */
	WRITE_ONCE(s->sequence, s->sequence + 1);
	smp_wmb();
}

static inline void raw_write_seqcount_end(seqcount_t *s)
{
	BUG_ON(!(s->sequence & 1));
	smp_wmb();
	WRITE_ONCE(s->sequence, s->sequence + 1);
}

/* Readers may spin on an odd count, so the writer must not be preempted. */
static inline void write_seqcount_begin(seqcount_t *s)
{
	BUG_ON(!hpm_cpu->depth);
	raw_write_seqcount_begin(s);
}

#define write_seqcount_end(s)	raw_write_seqcount_end(s)

static inline unsigned int raw_read_seqcount(const seqcount_t *s)
{
	hpm_env_interleave();
	return __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE);
}

static inline unsigned int read_seqcount_begin(const seqcount_t *s)
{
	unsigned int seq = raw_read_seqcount(s);

	BUG_ON(seq & 1);	/* no other thread will ever end it */
	return seq;
}

static inline bool read_seqcount_retry(const seqcount_t *s, unsigned int seq)
{
	hpm_env_interleave();
	smp_rmb();
	return READ_ONCE(s->sequence) != seq;
}

#define raw_read_seqcount_begin(s)	read_seqcount_begin(s)
#define raw_seqcount_begin(s)		(raw_read_seqcount(s) & ~1u)
#define __read_seqcount_begin(s)	read_seqcount_begin(s)
#define __read_seqcount_retry(s, q)	read_seqcount_retry(s, q)
#define raw_seqcount_try_begin(s, q)	(!(((q) = raw_read_seqcount(s)) & 1))

/*
 *----------------------------------------------------------------
 * Waiting
 *--------------------------------------------------------------
 */

/*
 * There is nobody that could wake this one: it lets the others run and tests
 * the condition, a number of times.
 */
typedef struct { int unused; } wait_queue_head_t;

#define HPM_OTHERS_RUN		false
#define HZ			100
#define HPM_WAIT_TURNS		64

#define init_waitqueue_head(wq)	((void)(wq))
#define waitqueue_active(wq)	((void)(wq), false)
#define wake_up_all(wq)		((void)(wq))
#define wait_event_timeout(wq, cond, timeout) ({			\
	int __turns = HPM_WAIT_TURNS;					\
									\
	(void)(wq);							\
	(void)(timeout);						\
	while (!(cond) && __turns--)					\
		might_sleep();						\
	(long)(cond); })

#endif /* HPM_SYNC_H */
