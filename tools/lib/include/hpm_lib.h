/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of the user-space library besides the engine: its controls,
 * mainly for tests, and constructors of a struct hpm_io.
 */
#ifndef HPM_LIB_H
#define HPM_LIB_H

#include "io.h"

/*
 *----------------------------------------------------------------
 * Controls of the environment (hpm_env.h)
 *--------------------------------------------------------------
 */

typedef void (*hpm_env_log_fn)(void *ctx, enum hpm_env_level level,
			       const char *line);
/* NULL: errors, warnings and information go to stderr. */
void hpm_env_set_log(hpm_env_log_fn fn, void *ctx);

/*
 * Lets the @nth allocation from now on fail, 0: none; @ever: all later ones,
 * too.
 */
void hpm_env_fail_alloc(u64 nth, bool ever);
/* The number of allocations since the program began; of those not yet freed. */
u64 hpm_env_allocs(void);
long hpm_env_live_allocs(void);

/*
 * WARNs end the program unless they are expected; the second returns their
 * number.
 */
void hpm_env_expect_warns(bool on);
unsigned int hpm_env_warns(void);

/* Callbacks of call_rcu() wait for rcu_barrier() while this is on. */
void hpm_env_hold_rcu(bool on);
/* The number of callbacks that wait. */
unsigned int hpm_env_rcu_pending(void);

/*
 * Runs @fn as if by another CPU, in the middle of the running code; as an
 * interrupt if @irq.
 */
void hpm_env_on_cpu(bool irq, void (*fn)(void *ctx), void *ctx);

/*
 * Functions that run in between: @reader at the steps of lock-free readers,
 * @sleeper wherever the running code may sleep.  Both run through
 * hpm_env_on_cpu(), so never inside each other.  Either may be NULL.  @held is
 * the number of locks that the interrupted CPU holds; a hook must not take any of
 * those.
 */
void hpm_env_set_hooks(void (*reader)(void *ctx, unsigned int held),
		       void (*sleeper)(void *ctx, unsigned int held),
		       void *ctx);

/*
 * Tasks: functions that run concurrently with the caller, each with a stack of
 * its own, one at a time.  Where the code may sleep, another task may run, by
 * chance; a task that takes a mutex of another task waits.  So a history of
 * several threads is the same for the same seed.
 */
void hpm_env_task_seed(u64 seed);
void hpm_env_task_start(void (*fn)(void *ctx), void *ctx);
/* The number of tasks that have not ended. */
unsigned int hpm_env_tasks(void);
/* Lets others run, if there are any. */
void hpm_env_yield(void);
/* Waits until all tasks have ended. */
void hpm_env_task_wait(void);

/*
 *----------------------------------------------------------------
 * Devices
 *--------------------------------------------------------------
 */

struct hpm_io_ops {
	int (*read)(struct hpm_io *io, u64 block, void *data);
	int (*write)(struct hpm_io *io, const struct hpm_io_vec *vec,
		     unsigned int nr);
	int (*write_run)(struct hpm_io *io, u64 block, void **data,
			 unsigned int nr, unsigned int flags);
	int (*flush_meta)(struct hpm_io *io);
	int (*flush_data)(struct hpm_io *io);
	u64 (*meta_blocks)(struct hpm_io *io);
	u64 (*data_blocks)(struct hpm_io *io);
	void (*close)(struct hpm_io *io);
	/* NULL: there is no data device that could have a mark. */
	int (*read_mark)(struct hpm_io *io, void *data);
	int (*write_mark)(struct hpm_io *io, void *data);
};

/* Every implementation begins with this. */
struct hpm_io {
	const struct hpm_io_ops *ops;
};

void hpm_io_close(struct hpm_io *io);

/*
 * Opens files or block devices.  A block device is opened O_DIRECT, as the page
 * cache may hold what it contained before the pool wrote to it, and for writing
 * also O_EXCL, so that a device in use is refused.  Without @data, the data
 * device has the size @data_blocks and cannot be flushed.  Returns 0 or a
 * negative errno; *@why then names the file.
 */
#define HPM_FILE_READ_ONLY	0x1u
int hpm_io_file_open(const char *meta, const char *data, u64 data_blocks,
		     unsigned int flags, struct hpm_io **iop,
		     const char **why);

/*
 * Makes an overlay that keeps writes in memory, in front of @lower, which it
 * only reads.
 */
struct hpm_io *hpm_io_overlay(struct hpm_io *lower);

#endif /* HPM_LIB_H */
