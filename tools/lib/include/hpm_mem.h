/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory.  Every allocation can be made to fail (hpm_env_fail_alloc() in
 * hpm_lib.h), and an allocation that may sleep is detected where sleeping is
 * forbidden.
 */
#ifndef HPM_MEM_H
#define HPM_MEM_H

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1ul << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))

#define __GFP_ZERO		0x0001u
#define __GFP_NOWARN		0x0002u
#define __GFP_NORETRY		0x0004u
#define __GFP_NOFAIL		0x0008u
#define __GFP_NOMEMALLOC	0x0010u
#define __GFP_RETRY_MAYFAIL	0x0020u
#define __GFP_HIGH		0x0040u
#define __GFP_ACCOUNT		0x0080u
#define __GFP_DIRECT_RECLAIM	0x0100u
#define __GFP_KSWAPD_RECLAIM	0x0200u
#define __GFP_RECLAIM		(__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define __GFP_IO		0x0400u
#define __GFP_FS		0x0800u
#define GFP_ATOMIC		(__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_NOWAIT		__GFP_KSWAPD_RECLAIM
#define GFP_NOIO		__GFP_RECLAIM
#define GFP_NOFS		(__GFP_RECLAIM | __GFP_IO)
#define GFP_KERNEL		(__GFP_RECLAIM | __GFP_IO | __GFP_FS)

static inline bool gfpflags_allow_blocking(gfp_t gfp)
{
	return gfp & __GFP_DIRECT_RECLAIM;
}

/* @align 0: malloc()'s alignment. */
void *hpm_env_alloc(size_t size, size_t align, gfp_t gfp);
void *hpm_env_realloc(void *p, size_t size, gfp_t gfp);
void hpm_env_free(const void *p);

#define kmalloc(size, gfp)		hpm_env_alloc(size, 0, gfp)
#define kzalloc(size, gfp)		hpm_env_alloc(size, 0, (gfp) | __GFP_ZERO)
#define krealloc(p, size, gfp)		hpm_env_realloc(p, size, gfp)
#define kfree(p)			hpm_env_free(p)
#define kfree_sensitive(p)		hpm_env_free(p)
#define kvmalloc(size, gfp)		kmalloc(size, gfp)
#define kvzalloc(size, gfp)		kzalloc(size, gfp)
#define kvfree(p)			kfree(p)
#define vmalloc(size)			kmalloc(size, GFP_KERNEL)
#define vzalloc(size)			kzalloc(size, GFP_KERNEL)
#define vfree(p)			kfree(p)

static inline void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kmalloc(bytes, gfp);
}

#define kcalloc(n, size, gfp)		kmalloc_array(n, size, (gfp) | __GFP_ZERO)
#define kvmalloc_array(n, size, gfp)	kmalloc_array(n, size, gfp)
#define kvcalloc(n, size, gfp)		kcalloc(n, size, gfp)
#define krealloc_array(p, n, size, gfp)	krealloc(p, array_size(n, size), gfp)

void *kmemdup(const void *src, size_t size, gfp_t gfp);
char *kstrdup(const char *s, gfp_t gfp);

/* Whole pages; order 0 is all that the engine needs. */
#define __get_free_page(gfp) \
	((unsigned long)hpm_env_alloc(PAGE_SIZE, PAGE_SIZE, gfp))
#define get_zeroed_page(gfp)	__get_free_page((gfp) | __GFP_ZERO)
#define __get_free_pages(gfp, order) \
	((unsigned long)hpm_env_alloc(PAGE_SIZE << (order), PAGE_SIZE, gfp))
#define free_page(addr)		hpm_env_free((void *)(addr))
#define free_pages(addr, order)	hpm_env_free((void *)(addr))

#define clear_page(p)		memset(p, 0, PAGE_SIZE)
#define copy_page(dst, src)	memcpy(dst, src, PAGE_SIZE)

/* Slab caches: only the size, the alignment and the constructor are kept. */
struct kmem_cache {
	const char *name;
	size_t size, align;
	void (*ctor)(void *p);
	long objects;
};

#define SLAB_HWCACHE_ALIGN	0u
#define SLAB_RECLAIM_ACCOUNT	0u
#define SLAB_MEM_SPREAD		0u

struct kmem_cache *kmem_cache_create(const char *name, size_t size,
				     size_t align, unsigned int flags,
				     void (*ctor)(void *p));
/* Ends the program if objects are left in the cache. */
void kmem_cache_destroy(struct kmem_cache *c);
void *kmem_cache_alloc(struct kmem_cache *c, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *c, void *p);

#define kmem_cache_zalloc(c, gfp)	kmem_cache_alloc(c, (gfp) | __GFP_ZERO)
#define KMEM_CACHE(s, flags) \
	kmem_cache_create(#s, sizeof(struct s), __alignof__(struct s), flags, \
			  NULL)

/* The kernel's scopes for allocations during writeback. */
static inline unsigned int memalloc_noio_save(void)
{
	return 0;
}

static inline void memalloc_noio_restore(unsigned int flags)
{
	(void)flags;
}

#endif /* HPM_MEM_H */
