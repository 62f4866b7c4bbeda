/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the user-space library offers beside the engine: its own controls, for
 * tests above all, and ways to make a struct hpm_io.
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
/* NULL: errors, warnings and information to stderr. */
void hpm_env_set_log(hpm_env_log_fn fn, void *ctx);

/* The @nth allocation from now on fails, 0: none does; @ever: all behind too. */
void hpm_env_fail_alloc(u64 nth, bool ever);
/* Allocations made since the program began; those not yet freed. */
u64 hpm_env_allocs(void);
long hpm_env_live_allocs(void);

/* WARNs end the program unless they are awaited; returns how many came. */
void hpm_env_expect_warns(bool on);
unsigned int hpm_env_warns(void);

/* Callbacks of call_rcu() wait for rcu_barrier() while this is on. */
void hpm_env_hold_rcu(bool on);
/* Callbacks that wait. */
unsigned int hpm_env_rcu_pending(void);

/*
 * Runs @fn as another CPU would, in the middle of what runs now; as an
 * interrupt if @irq.
 */
void hpm_env_on_cpu(bool irq, void (*fn)(void *ctx), void *ctx);

/*
 * What gets in between: @reader at the steps of lock-free readers, @sleeper
 * wherever the running code may sleep.  Both run through hpm_env_on_cpu(), so
 * not inside each other.  Either may be NULL.  @held says how many locks the
 * CPU holds that they interrupt: a hook that takes locks does so only if none.
 */
void hpm_env_set_hooks(void (*reader)(void *ctx, unsigned int held),
		       void (*sleeper)(void *ctx, unsigned int held),
		       void *ctx);

/*
 * Tasks: functions that run beside the caller, each with a stack of its own,
 * one at a time.  Who might sleep may find that another one has run meanwhile,
 * as chance wants it; who wants a mutex that another task holds, waits.  So a
 * history of several threads is still the same for the same seed.
 */
void hpm_env_task_seed(u64 seed);
void hpm_env_task_start(void (*fn)(void *ctx), void *ctx);
/* Tasks that have not ended. */
unsigned int hpm_env_tasks(void);
/* Lets others run, if there are any. */
void hpm_env_yield(void);
/* Until all have ended. */
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
	/* NULL: there is no data device to be marked. */
	int (*read_mark)(struct hpm_io *io, void *data);
	int (*write_mark)(struct hpm_io *io, void *data);
};

/* Every implementation begins with this. */
struct hpm_io {
	const struct hpm_io_ops *ops;
};

void hpm_io_close(struct hpm_io *io);

/*
 * Files or block devices.  A block device is opened O_DIRECT, as the page
 * cache may hold what it contained before the pool wrote to it, and for
 * writing also O_EXCL, so one that is in use is refused.  Without @data the
 * data device counts as @data_blocks long and cannot be flushed.  Returns 0
 * or a negative errno; *@why then names the file.
 */
#define HPM_FILE_READ_ONLY	0x1u
int hpm_io_file_open(const char *meta, const char *data, u64 data_blocks,
		     unsigned int flags, struct hpm_io **iop,
		     const char **why);

/* Keeps what is written in memory, in front of @lower, which it only reads. */
struct hpm_io *hpm_io_overlay(struct hpm_io *lower);

#endif /* HPM_LIB_H */
