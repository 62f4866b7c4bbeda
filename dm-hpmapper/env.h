/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the metadata engine needs from its surroundings.
 *
 * The engine (the files in engine/) is the same code in the kernel and in user
 * space: the module, hpm_check and the other tools, the unit tests and the
 * fuzzers compile these files.  They may only use what this header provides,
 * and no bio.
 */
#ifndef HPM_ENV_H
#define HPM_ENV_H

#ifdef __KERNEL__
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/random.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include "compat.h"

/* While one thread waits, others run and can end the wait. */
#define HPM_OTHERS_RUN	true
/*
 * The prefix of the engine's messages, as DMERR() puts it before the targets'.
 */
#define HPM_SAYS	"device-mapper: hpmapper: "
#else
#include "hpm_env.h"
#endif

#endif /* HPM_ENV_H */
