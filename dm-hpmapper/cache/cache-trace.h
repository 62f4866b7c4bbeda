/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of the cache: whether each shared block that was read was served,
 * and which copies are evicted.  They must not show fingerprints: see
 * fingerprint.h.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM hpmapper

#if !defined(HPM_CACHE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define HPM_CACHE_TRACE_H

#include <linux/tracepoint.h>

#include "cache-priv.h"

DECLARE_EVENT_CLASS(hpm_cached,
	TP_PROTO(struct hpm_pool *pool, u64 pbn, const struct hpm_place *place),
	TP_ARGS(pool, pbn, place),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, pbn)
		__field(unsigned long, pfn)
		__field(u32, index)
		__field(bool, meta)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(pool->mapped));
		__entry->pbn = pbn;
		__entry->pfn = place->pfn;
		__entry->index = place->index;
		__entry->meta = place->meta;
	),
	TP_printk("%d:%d block %llu %s page %u at frame %lu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->pbn,
		  __entry->meta ? "device" : "file", __entry->index,
		  __entry->pfn)
);

/* A block was served from this copy. */
DEFINE_EVENT(hpm_cached, hpm_hit,
	TP_PROTO(struct hpm_pool *pool, u64 pbn, const struct hpm_place *place),
	TP_ARGS(pool, pbn, place)
);

/* The cache manager is about to evict this copy. */
DEFINE_EVENT(hpm_cached, hpm_evict,
	TP_PROTO(struct hpm_pool *pool, u64 pbn, const struct hpm_place *place),
	TP_ARGS(pool, pbn, place)
);

/*
 * A sweep of the whole index begins.  It drops the copies of @extents freed
 * extents, or those in @frames page frames, or, if both are 0, all copies.
 */
TRACE_EVENT(hpm_sweep,
	TP_PROTO(struct hpm_pool *pool, unsigned int extents,
		 unsigned long frames),
	TP_ARGS(pool, extents, frames),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(unsigned int, extents)
		__field(unsigned long, frames)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(pool->mapped));
		__entry->extents = extents;
		__entry->frames = frames;
	),
	TP_printk("%d:%d extents %u frames %lu", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->extents, __entry->frames)
);

/* A block was not served; @cause is that of the copy that was tried last. */
TRACE_EVENT(hpm_miss,
	TP_PROTO(struct hpm_pool *pool, u64 pbn, enum hpm_miss cause),
	TP_ARGS(pool, pbn, cause),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, pbn)
		__field(int, cause)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(pool->mapped));
		__entry->pbn = pbn;
		__entry->cause = cause;
	),
	TP_printk("%d:%d block %llu: %s", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->pbn,
		  __print_symbolic(__entry->cause, { HPM_MISS_NEW, "new" },
				   { HPM_MISS_STALE, "stale" },
				   { HPM_MISS_BUSY, "busy" },
				   { HPM_MISS_CAUGHT, "caught" }))
);

#endif /* HPM_CACHE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH cache
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE cache-trace
#include <trace/define_trace.h>
