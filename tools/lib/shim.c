// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of the environment that are not inline: messages, memory, random
 * numbers, checksums, sorting and strings.
 */
#include "hpm_lib.h"

/*
 *----------------------------------------------------------------
 * Messages
 *--------------------------------------------------------------
 */

static hpm_env_log_fn log_fn;
static void *log_ctx;
static bool warns_expected;
static unsigned int nr_warns;

void hpm_env_set_log(hpm_env_log_fn fn, void *ctx)
{
	log_fn = fn;
	log_ctx = ctx;
}

void hpm_env_log(enum hpm_env_level level, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	n = strlen(line);
	if (n && line[n - 1] == '\n')
		line[n - 1] = '\0';

	if (log_fn)
		log_fn(log_ctx, level, line);
	else if (level < HPM_ENV_DEBUG)
		fprintf(stderr, "%s\n", line);
}

void hpm_env_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, what);
	abort();
}

void hpm_env_warn(const char *file, int line, const char *what)
{
	nr_warns++;
	if (!warns_expected) {
		fprintf(stderr, "%s:%d: warning: %s\n", file, line, what);
		abort();
	}
}

void hpm_env_expect_warns(bool on)
{
	warns_expected = on;
	nr_warns = 0;
}

unsigned int hpm_env_warns(void)
{
	return nr_warns;
}

/*
 *----------------------------------------------------------------
 * Memory
 *--------------------------------------------------------------
 */

static u64 alloc_nr, alloc_fail_at;
static bool alloc_fail_ever;
static long alloc_live;

void hpm_env_fail_alloc(u64 nth, bool ever)
{
	alloc_fail_at = nth ? alloc_nr + nth : 0;
	alloc_fail_ever = ever;
}

u64 hpm_env_allocs(void)
{
	return alloc_nr;
}

long hpm_env_live_allocs(void)
{
	return alloc_live;
}

static bool alloc_fails(gfp_t gfp)
{
	if (gfp & __GFP_DIRECT_RECLAIM)
		might_sleep();
	alloc_nr++;
	if (!alloc_fail_at || gfp & __GFP_NOFAIL || alloc_nr < alloc_fail_at)
		return false;
	if (!alloc_fail_ever)
		alloc_fail_at = 0;
	return true;
}

/*
 * Memory without __GFP_ZERO is filled with non-zero bytes, so that code that
 * relies on zeroes fails.
 */
void *hpm_env_alloc(size_t size, size_t align, gfp_t gfp)
{
	void *p;

	if (alloc_fails(gfp))
		return NULL;
	if (align > 16)
		p = aligned_alloc(align, round_up(size, align));
	else
		p = malloc(size);
	if (!p)
		return NULL;
	memset(p, gfp & __GFP_ZERO ? 0 : 0x5a, size);
	alloc_live++;
	return p;
}

void *hpm_env_realloc(void *p, size_t size, gfp_t gfp)
{
	void *q;

	if (alloc_fails(gfp))
		return NULL;
	q = realloc(p, size);
	if (q && !p)
		alloc_live++;
	return q;
}

void hpm_env_free(const void *p)
{
	if (!p)
		return;
	alloc_live--;
	free((void *)p);
}

void *kmemdup(const void *src, size_t size, gfp_t gfp)
{
	void *p = kmalloc(size, gfp);

	return p ? memcpy(p, src, size) : NULL;
}

char *kstrdup(const char *s, gfp_t gfp)
{
	return s ? kmemdup(s, strlen(s) + 1, gfp) : NULL;
}

struct kmem_cache *kmem_cache_create(const char *name, size_t size,
				     size_t align, unsigned int flags,
				     void (*ctor)(void *p))
{
	struct kmem_cache *c = kzalloc(sizeof(*c), GFP_KERNEL);

	(void)flags;
	if (!c)
		return NULL;
	c->name = name;
	c->size = size;
	c->align = align;
	c->ctor = ctor;
	return c;
}

void kmem_cache_destroy(struct kmem_cache *c)
{
	if (!c)
		return;
	if (c->objects) {
		fprintf(stderr, "%ld objects are left in cache %s\n",
			c->objects, c->name);
		abort();
	}
	kfree(c);
}

void *kmem_cache_alloc(struct kmem_cache *c, gfp_t gfp)
{
	void *p = hpm_env_alloc(c->size, c->align, gfp);

	if (!p)
		return NULL;
	if (c->ctor)
		c->ctor(p);
	c->objects++;
	return p;
}

void kmem_cache_free(struct kmem_cache *c, void *p)
{
	BUG_ON(!p || c->objects <= 0);
	c->objects--;
	kfree(p);
}

/*
 *----------------------------------------------------------------
 * Random numbers: splitmix64
 *--------------------------------------------------------------
 */

static u64 random_state = 1;

void hpm_env_seed(u64 seed)
{
	random_state = seed;
}

u64 get_random_u64(void)
{
	u64 z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void get_random_bytes(void *buf, size_t n)
{
	u8 *p = buf;

	while (n) {
		u64 v = get_random_u64();
		size_t part = min(n, sizeof(v));

		memcpy(p, &v, part);
		p += part;
		n -= part;
	}
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

int kstrtou64(const char *s, unsigned int base, u64 *res)
{
	const char *first;
	u64 v = 0;
	int d;

	if (*s == '+')
		s++;
	for (first = s; (d = digit_of(*s)) < (int)base; s++) {
		if (v > (U64_MAX - d) / base)
			return -ERANGE;
		v = v * base + d;
	}
	if (s == first || (*s && strcmp(s, "\n")))
		return -EINVAL;
	*res = v;
	return 0;
}

int kstrtou32(const char *s, unsigned int base, u32 *res)
{
	u64 v;
	int r = kstrtou64(s, base, &v);

	if (r)
		return r;
	if (v > U32_MAX)
		return -ERANGE;
	*res = v;
	return 0;
}

/*
 *----------------------------------------------------------------
 * crc32c, without the inversions, as the kernel's
 *--------------------------------------------------------------
 */

static u32 crc_table[256];

static void crc_init(void)
{
	unsigned int i, bit;

	for (i = 0; i < 256; i++) {
		u32 v = i;

		for (bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? 0x82f63b78u : 0);
		crc_table[i] = v;
	}
}

static u32 crc32c_soft(u32 crc, const u8 *p, size_t n)
{
	if (!crc_table[1])
		crc_init();
	while (n--)
		crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 0xff];
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static u32 crc32c_sse(u32 crc, const u8 *p,
							size_t n)
{
	u64 wide = crc;

	for (; n >= 8; n -= 8, p += 8)
		wide = __builtin_ia32_crc32di(wide, get_unaligned_le64(p));
	crc = (u32)wide;
	while (n--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

u32 crc32c(u32 crc, const void *p, size_t n)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse(crc, p, n);
#endif
	return crc32c_soft(crc, p, n);
}

/*
 *----------------------------------------------------------------
 * Sorting and strings
 *--------------------------------------------------------------
 */

static void swap_bytes(char *a, char *b, size_t size)
{
	while (size--) {
		char c = *a;

		*a++ = *b;
		*b++ = c;
	}
}

static void sift(char *base, size_t i, size_t nr, size_t size, cmp_func_t cmp)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= nr)
			return;
		if (child + 1 < nr &&
		    cmp(base + child * size, base + (child + 1) * size) < 0)
			child++;
		if (cmp(base + i * size, base + child * size) >= 0)
			return;
		swap_bytes(base + i * size, base + child * size, size);
		i = child;
	}
}

void sort(void *base, size_t nr, size_t size, cmp_func_t cmp, swap_func_t swp)
{
	size_t i;

	BUG_ON(swp); /* the engine never passes a swap function */
	for (i = nr / 2; i-- > 0;)
		sift(base, i, nr, size, cmp);
	for (i = nr; i-- > 1;) {
		swap_bytes(base, (char *)base + i * size, size);
		sift(base, 0, i, size, cmp);
	}
}

ssize_t strscpy(char *dst, const char *src, size_t size)
{
	size_t n = strnlen(src, size);

	if (!size)
		return -E2BIG;
	if (n == size) {
		memcpy(dst, src, size - 1);
		dst[size - 1] = '\0';
		return -E2BIG;
	}
	memcpy(dst, src, n + 1);
	return n;
}

ssize_t strscpy_pad(char *dst, const char *src, size_t size)
{
	ssize_t n = strscpy(dst, src, size);

	if (n >= 0 && (size_t)n + 1 < size)
		memset(dst + n + 1, 0, size - n - 1);
	return n;
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	if (!size)
		return 0;
	return min_t(size_t, n, size - 1);
}

void *memchr_inv(const void *p, int c, size_t n)
{
	const u8 *s = p;

	for (; n; n--, s++)
		if (*s != (u8)c)
			return (void *)s;
	return NULL;
}
