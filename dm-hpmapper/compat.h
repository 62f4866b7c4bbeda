/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the kernels that this module builds for, 6.1 to
 * 7.x.  No other file asks for the kernel's version.
 */
#ifndef HPM_COMPAT_H
#define HPM_COMPAT_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/mm_inline.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/workqueue.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#include <linux/bio-integrity.h>
#endif

/* The mode in which dm_get_device() opens a device. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define hpm_open_mode_t	blk_mode_t
#define HPM_OPEN_READ	BLK_OPEN_READ
#define HPM_OPEN_WRITE	BLK_OPEN_WRITE
#else
#define hpm_open_mode_t	fmode_t
#define HPM_OPEN_READ	FMODE_READ
#define HPM_OPEN_WRITE	FMODE_WRITE
#endif

/*
 * The flag that ->status() gets with "dmsetup status --noflush".  dm's name for
 * it, DM_STATUS_NOFLUSH_FLAG, is in a private header of dm.
 */
#define HPM_STATUS_NOFLUSH	BIT(0)

/* From 6.17 on, a per-CPU workqueue needs a flag. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define HPM_WQ_PERCPU	WQ_PERCPU
#else
#define HPM_WQ_PERCPU	0
#endif

/*
 * A shrinker was embedded in its owner's structure until 6.7 and is allocated
 * since; its callbacks find the owner through hpm_shrinker_ctx() either way.
 */
struct hpm_shrinker {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	struct shrinker *shrinker;
#else
	struct shrinker shrinker;
	bool registered;
#endif
	void *ctx;
};

#define HPM_SHRINK_FN(fn) \
	unsigned long (*(fn))(struct shrinker *, struct shrink_control *)

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
static inline void *hpm_shrinker_ctx(struct shrinker *shrinker)
{
	return shrinker->private_data;
}

static inline int hpm_shrinker_register(struct hpm_shrinker *s, void *ctx,
					HPM_SHRINK_FN(count),
					HPM_SHRINK_FN(scan),
					const char *name)
{
	s->shrinker = shrinker_alloc(0, "dm-hpmapper:%s", name);
	if (!s->shrinker)
		return -ENOMEM;
	s->ctx = ctx;
	s->shrinker->private_data = ctx;
	s->shrinker->count_objects = count;
	s->shrinker->scan_objects = scan;
	shrinker_register(s->shrinker);
	return 0;
}

static inline void hpm_shrinker_unregister(struct hpm_shrinker *s)
{
	shrinker_free(s->shrinker);	/* takes NULL */
	s->shrinker = NULL;
}
#else
static inline void *hpm_shrinker_ctx(struct shrinker *shrinker)
{
	return container_of(shrinker, struct hpm_shrinker, shrinker)->ctx;
}

static inline int hpm_shrinker_register(struct hpm_shrinker *s, void *ctx,
					HPM_SHRINK_FN(count),
					HPM_SHRINK_FN(scan),
					const char *name)
{
	int r;

	s->ctx = ctx;
	s->shrinker.count_objects = count;
	s->shrinker.scan_objects = scan;
	s->shrinker.seeks = DEFAULT_SEEKS;
	r = register_shrinker(&s->shrinker, "dm-hpmapper:%s", name);
	s->registered = !r;
	return r;
}

static inline void hpm_shrinker_unregister(struct hpm_shrinker *s)
{
	if (s->registered)
		unregister_shrinker(&s->shrinker);
	s->registered = false;
}
#endif

/* The page cache of a block device. */
static inline struct address_space *hpm_bdev_mapping(struct block_device *bdev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	return bdev->bd_mapping;
#else
	return bdev->bd_inode->i_mapping;
#endif
}

/*
 * The low bits of folio->mapping: if one is set, it is no address space.  (7.x
 * has another name for them.)
 */
#define HPM_MAPPING_FLAGS	3ul

/* The flags of a folio, in one word; the caller needs no reference to it. */
static inline unsigned long hpm_folio_flags(struct folio *folio)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
	return READ_ONCE(folio->flags.f);
#else
	return READ_ONCE(folio->flags);
#endif
}

/*
 * How often a folio was used, as the multi-generational LRU counts it, without
 * the first time, for which it sets the flag "referenced".
 */
static inline unsigned int hpm_folio_lru_refs(struct folio *folio)
{
#ifdef CONFIG_LRU_GEN
	return folio_lru_refs(folio);
#else
	return 0;
#endif
}

/*
 * Queue limits in ->io_hints().  From 6.11 on, there are no setters, and the
 * limit of the device is separate from the one that a user may lower.
 */
static inline void hpm_limits_set_discard(struct queue_limits *limits,
					  unsigned int granularity,
					  unsigned int max_sectors)
{
	limits->discard_granularity = granularity;
	limits->max_hw_discard_sectors = max_sectors;
	limits->max_discard_sectors = max_sectors;
}

static inline void hpm_limits_set_io(struct queue_limits *limits,
				     unsigned int min, unsigned int opt)
{
	limits->io_min = min;
	limits->io_opt = opt;
}

#endif /* HPM_COMPAT_H */
