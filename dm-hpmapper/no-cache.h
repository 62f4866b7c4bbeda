/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of cache.h in a build without the interceptor and its cache.
 * No pool has a cache, so each read goes to the device.
 */
#ifndef HPM_NO_CACHE_H
#define HPM_NO_CACHE_H

#include <linux/device-mapper.h>

static inline int hpm_cache_init(void)
{
	return 0;
}

static inline void hpm_cache_exit(void)
{
}

static inline int hpm_cache_create(struct hpm_pool *pool)
{
	DMINFO("%s: the module was built without the interceptor: all reads go to the data device",
	       pool->name);
	return 0;
}

static inline void hpm_cache_stop(struct hpm_pool *pool)
{
}

static inline void hpm_cache_destroy(struct hpm_pool *pool)
{
}

static inline void hpm_index_drop(struct hpm_pool *pool,
				  const struct list_head *batches)
{
}

static inline void hpm_index_forget(struct hpm_pool *pool)
{
}

static inline int hpm_cache_message(struct hpm_pool *pool,
				    const struct hpm_message *say,
				    const char **why)
{
	*why = "the module was built without the interceptor";
	return -EOPNOTSUPP;
}

static inline unsigned int hpm_cache_status(struct hpm_pool *pool, char *result,
					    unsigned int sz,
					    unsigned int maxlen)
{
	DMEMIT(" share absent");
	return sz;
}

static inline int hpm_intercept_map(struct hpm_volume *v, struct hpm_bio *hb,
				    struct bio *bio, struct hpm_piece *p)
{
	return DM_MAPIO_REMAPPED;
}

static inline unsigned int hpm_intercept_step(struct hpm_volume *v,
					      struct hpm_bio *hb,
					      const struct hpm_piece *p)
{
	return 0;
}

static inline bool hpm_intercept_end(struct hpm_bio *hb, struct bio *bio,
				     blk_status_t status)
{
	return false;
}

static inline void hpm_intercept_kick(struct hpm_pool *pool)
{
}

#endif /* HPM_NO_CACHE_H */
