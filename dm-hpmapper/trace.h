/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of the pool's slow paths: how often they are taken, how long they
 * take, and how many bios wait for a commit.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM hpmapper

#if !defined(HPM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define HPM_TRACE_H

#include <linux/ktime.h>
#include <linux/tracepoint.h>

#include "pool.h"

DECLARE_EVENT_CLASS(hpm_work,
	TP_PROTO(struct hpm_pool *pool, ktime_t start, int result),
	TP_ARGS(pool, start, result),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(s64, us)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(pool->mapped));
		__entry->us = ktime_us_delta(ktime_get(), start);
		__entry->result = result;
	),
	TP_printk("%d:%d took %lld us, result %d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->us, __entry->result)
);

DEFINE_EVENT(hpm_work, hpm_checkpoint,
	TP_PROTO(struct hpm_pool *pool, ktime_t start, int result),
	TP_ARGS(pool, start, result)
);

DEFINE_EVENT(hpm_work, hpm_apply,
	TP_PROTO(struct hpm_pool *pool, ktime_t start, int result),
	TP_ARGS(pool, start, result)
);

DEFINE_EVENT(hpm_work, hpm_reclaim,
	TP_PROTO(struct hpm_pool *pool, ktime_t start, int result),
	TP_ARGS(pool, start, result)
);

/* A search for space: 0 if it found some, -ENOSPC, or another error. */
DEFINE_EVENT(hpm_work, hpm_space,
	TP_PROTO(struct hpm_pool *pool, ktime_t start, int result),
	TP_ARGS(pool, start, result)
);

/* The grace period that freed blocks have waited for. */
DEFINE_EVENT(hpm_work, hpm_grace,
	TP_PROTO(struct hpm_pool *pool, ktime_t start, int result),
	TP_ARGS(pool, start, result)
);

TRACE_EVENT(hpm_commit,
	TP_PROTO(struct hpm_pool *pool, ktime_t start, unsigned int bios,
		 int result),
	TP_ARGS(pool, start, bios, result),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(s64, us)
		__field(unsigned int, bios)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(pool->mapped));
		__entry->us = ktime_us_delta(ktime_get(), start);
		__entry->bios = bios;
		__entry->result = result;
	),
	TP_printk("%d:%d for %u bios took %lld us, result %d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->bios,
		  __entry->us, __entry->result)
);

TRACE_EVENT(hpm_mode,
	TP_PROTO(struct hpm_pool *pool, enum hpm_mode from, enum hpm_mode to),
	TP_ARGS(pool, from, to),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(pool->mapped));
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("%d:%d from %d to %d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->from, __entry->to)
);

#endif /* HPM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
