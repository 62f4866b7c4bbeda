/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's interface to the metadata engine, in user space.
 *
 * dm-hpmapper/env.h lists what the engine may use; this header and those it
 * includes implement exactly that with libc, so that the tools, the unit tests
 * and the fuzzers compile the same files as the module.
 *
 * It is also stricter than the kernel.  The engine runs in one thread here, so
 * taking a lock twice is detected as a deadlock; sleeping with a lock held is
 * detected each time, not only when it does harm; and memory that is passed to
 * call_rcu() is freed as soon as the last reader is gone, so that the address
 * sanitizer detects later accesses.  See hpm_sync.h and hpm_mem.h.
 */
#ifndef HPM_USER_ENV_H
#define HPM_USER_ENV_H

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <linux/types.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

/*
 *----------------------------------------------------------------
 * Types and limits
 *--------------------------------------------------------------
 */

/*
 * 64-bit types are "long long" as in the kernel; if not, every %llu would cause
 * a warning.
 */
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;
typedef unsigned int gfp_t;

#define U8_MAX		((u8)~0)
#define U16_MAX		((u16)~0)
#define U32_MAX		((u32)~0)
#define U64_MAX		((u64)~0)
#define S32_MAX		((s32)(U32_MAX >> 1))
#define S64_MAX		((s64)(U64_MAX >> 1))

#ifndef EUCLEAN
#define EUCLEAN		117
#endif
#define ENOTSUPP	524

/*
 *----------------------------------------------------------------
 * What the kernel adds to C
 *--------------------------------------------------------------
 */

#define __packed		__attribute__((packed))
#define __must_check		__attribute__((warn_unused_result))
#define __maybe_unused		__attribute__((unused))
#define __always_unused		__attribute__((unused))
#undef __always_inline
#define __always_inline		inline __attribute__((always_inline))
#define noinline		__attribute__((noinline))
#define __aligned(x)		__attribute__((aligned(x)))
#define ____cacheline_aligned	__attribute__((aligned(64)))
#define ____cacheline_aligned_in_smp ____cacheline_aligned
#define __cold			__attribute__((cold))
#define __printf(a, b)		__attribute__((format(printf, a, b)))
#define __read_mostly
#define __init
#define __exit
#define __rcu
#define __force
#define __user
#define __bitwise
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define EXPORT_SYMBOL_GPL(x)	struct hpm_export_##x
#define fallthrough		__attribute__((fallthrough))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define barrier()		__asm__ __volatile__("" : : : "memory")
#define unreachable()		__builtin_unreachable()

#undef offsetof
#define offsetof(type, member)	__builtin_offsetof(type, member)
#define offsetofend(type, member) \
	(offsetof(type, member) + sizeof(((type *)0)->member))
#define sizeof_field(type, member) sizeof(((type *)0)->member)

#define container_of(ptr, type, member) ({				\
	const __typeof__(((type *)0)->member) *__mptr = (ptr);		\
	(type *)((char *)__mptr - offsetof(type, member)); })

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define struct_size(p, member, n) \
	(sizeof(*(p)) + sizeof((p)->member[0]) * (size_t)(n))
#define array_size(a, b)	((size_t)(a) * (size_t)(b))
#define BUILD_BUG_ON(cond)	_Static_assert(!(cond), #cond)
#define BUILD_BUG_ON_NOT_POWER_OF_2(n) \
	BUILD_BUG_ON((n) == 0 || ((n) & ((n) - 1)) != 0)

#define min(a, b) ({							\
	__typeof__(a) __a = (a); __typeof__(b) __b = (b);		\
	(void)(&__a == &__b);						\
	__a < __b ? __a : __b; })
#define max(a, b) ({							\
	__typeof__(a) __a = (a); __typeof__(b) __b = (b);		\
	(void)(&__a == &__b);						\
	__a > __b ? __a : __b; })
#define min_t(t, a, b) ({ t __a = (a); t __b = (b); __a < __b ? __a : __b; })
#define max_t(t, a, b) ({ t __a = (a); t __b = (b); __a > __b ? __a : __b; })
#define min3(a, b, c)		min(min(a, b), c)
#define max3(a, b, c)		max(max(a, b), c)
#define min_not_zero(a, b) ({						\
	__typeof__(a) __x = (a); __typeof__(b) __y = (b);		\
	__x == 0 ? __y : __y == 0 ? __x : min(__x, __y); })
#define clamp(v, lo, hi)	min((__typeof__(v))max(v, lo), hi)
#define clamp_t(t, v, lo, hi)	min_t(t, max_t(t, v, lo), hi)
#define swap(a, b) \
	do { __typeof__(a) __t = (a); (a) = (b); (b) = __t; } while (0)

#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define DIV_ROUND_UP_ULL(n, d)	DIV_ROUND_UP((u64)(n), d)
#define roundup(x, y)		((((x) + ((y) - 1)) / (y)) * (y))
#define rounddown(x, y)		((x) - (x) % (y))
#define round_mask(x, y)	((__typeof__(x))((y) - 1))
#define round_up(x, y)		((((x) - 1) | round_mask(x, y)) + 1)
#define round_down(x, y)	((x) & ~round_mask(x, y))
#define ALIGN(x, a)		round_up(x, (__typeof__(x))(a))
#define ALIGN_DOWN(x, a)	round_down(x, (__typeof__(x))(a))
#define IS_ALIGNED(x, a)	(((x) & ((__typeof__(x))(a) - 1)) == 0)
#define PTR_ALIGNED(p, a)	IS_ALIGNED((uintptr_t)(p), a)
#define lower_32_bits(n)	((u32)((n) & 0xffffffff))
#define upper_32_bits(n)	((u32)((u64)(n) >> 32))

static inline u64 div_u64(u64 a, u32 b)
{
	return a / b;
}

static inline u64 div64_u64(u64 a, u64 b)
{
	return a / b;
}

static inline u64 div64_u64_rem(u64 a, u64 b, u64 *rem)
{
	*rem = a % b;
	return a / b;
}

static inline u64 div_u64_rem(u64 a, u32 b, u32 *rem)
{
	*rem = a % b;
	return a / b;
}

static inline u64 mul_u64_u32_div(u64 a, u32 mul, u32 b)
{
	return (u64)((unsigned __int128)a * mul / b);
}

#define do_div(n, base) ({						\
	u32 __rem = (n) % (u32)(base);					\
	(n) /= (u32)(base);						\
	__rem; })

/*
 *----------------------------------------------------------------
 * Byte order; format.h's __leXX come from <linux/types.h>
 *--------------------------------------------------------------
 */

#define cpu_to_le16(x)		((__le16)htole16(x))
#define cpu_to_le32(x)		((__le32)htole32(x))
#define cpu_to_le64(x)		((__le64)htole64(x))
#define le16_to_cpu(x)		((u16)le16toh(x))
#define le32_to_cpu(x)		((u32)le32toh(x))
#define le64_to_cpu(x)		((u64)le64toh(x))

/*
 * Fields of the format are naturally aligned in aligned blocks, but they are
 * __packed, so types of pointers to them must allow any alignment.
 */
typedef __le16 __attribute__((aligned(1))) hpm_unaligned_le16;
typedef __le32 __attribute__((aligned(1))) hpm_unaligned_le32;
typedef __le64 __attribute__((aligned(1))) hpm_unaligned_le64;

#define HPM_LE_HELPERS(b)						\
static inline u##b le##b##_to_cpup(const void *p)			\
{									\
	return le##b##_to_cpu(*(const hpm_unaligned_le##b *)p);		\
}									\
static inline u##b get_unaligned_le##b(const void *p)			\
{									\
	return le##b##_to_cpup(p);					\
}									\
static inline void put_unaligned_le##b(u##b v, void *p)			\
{									\
	*(hpm_unaligned_le##b *)p = cpu_to_le##b(v);			\
}									\
static inline void le##b##_add_cpu(void *p, u##b v)			\
{									\
	put_unaligned_le##b(le##b##_to_cpup(p) + v, p);			\
}

HPM_LE_HELPERS(16)
HPM_LE_HELPERS(32)
HPM_LE_HELPERS(64)

/*
 *----------------------------------------------------------------
 * Errors in pointers
 *--------------------------------------------------------------
 */

#define MAX_ERRNO		4095
#define IS_ERR_VALUE(x)		((uintptr_t)(x) >= (uintptr_t)-MAX_ERRNO)

static inline void *ERR_PTR(long err)
{
	return (void *)err;
}

static inline long PTR_ERR(const void *p)
{
	return (long)p;
}

static inline bool IS_ERR(const void *p)
{
	return IS_ERR_VALUE(p);
}

static inline bool IS_ERR_OR_NULL(const void *p)
{
	return !p || IS_ERR(p);
}

static inline int PTR_ERR_OR_ZERO(const void *p)
{
	return IS_ERR(p) ? PTR_ERR(p) : 0;
}

#define ERR_CAST(p)		((void *)(uintptr_t)(p))

/*
 *----------------------------------------------------------------
 * Messages and bugs
 *--------------------------------------------------------------
 */

enum hpm_env_level { HPM_ENV_ERR, HPM_ENV_WARN, HPM_ENV_INFO, HPM_ENV_DEBUG };

/*
 * Passes a message to the function set with hpm_env_set_log(); the default is
 * stderr.
 */
void hpm_env_log(enum hpm_env_level level, const char *fmt, ...) __printf(2, 3);
/* A violated rule: prints the place and aborts. */
void hpm_env_bug(const char *file, int line, const char *what)
	__attribute__((noreturn, cold));
/* A WARN: counted, printed, and fatal unless the test expects it. */
void hpm_env_warn(const char *file, int line, const char *what) __cold;

#ifndef pr_fmt
#define pr_fmt(fmt)		fmt
#endif
#define pr_err(fmt, ...)	hpm_env_log(HPM_ENV_ERR, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn(fmt, ...)	hpm_env_log(HPM_ENV_WARN, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info(fmt, ...)	hpm_env_log(HPM_ENV_INFO, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_debug(fmt, ...)	hpm_env_log(HPM_ENV_DEBUG, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_err_ratelimited	pr_err
#define pr_warn_ratelimited	pr_warn
/* In front of the engine's messages: a program says itself who speaks. */
#define HPM_SAYS		""
#define KERN_ERR		""
#define KERN_WARNING		""
#define KERN_INFO		""

#define BUG()			hpm_env_bug(__FILE__, __LINE__, "BUG")
#define BUG_ON(c) \
	do { if (c) hpm_env_bug(__FILE__, __LINE__, #c); } while (0)
#define WARN_ON(c) ({							\
	bool __c = !!(c);						\
	if (unlikely(__c))						\
		hpm_env_warn(__FILE__, __LINE__, #c);			\
	unlikely(__c); })
#define WARN_ON_ONCE(c)		WARN_ON(c)
#define WARN(c, fmt, ...) ({						\
	bool __c = !!(c);						\
	if (unlikely(__c)) {						\
		hpm_env_log(HPM_ENV_ERR, fmt, ##__VA_ARGS__);		\
		hpm_env_warn(__FILE__, __LINE__, #c);			\
	}								\
	unlikely(__c); })
#define WARN_ONCE(c, fmt, ...)	WARN(c, fmt, ##__VA_ARGS__)

/*
 *----------------------------------------------------------------
 * Strings, sorting, random numbers, checksums, hashes
 *--------------------------------------------------------------
 */

ssize_t strscpy(char *dst, const char *src, size_t size);
ssize_t strscpy_pad(char *dst, const char *src, size_t size);
int scnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
void *memchr_inv(const void *p, int c, size_t n);
/*
 * Parses a number, with nothing else but an optional newline after it; 0 or an
 * error.
 */
int kstrtou64(const char *s, unsigned int base, u64 *res);
int kstrtou32(const char *s, unsigned int base, u32 *res);
#define kstrtouint		kstrtou32

typedef int (*cmp_func_t)(const void *a, const void *b);
typedef void (*swap_func_t)(void *a, void *b, int size);
/* A heap sort like the kernel's: not stable, uses no memory. */
void sort(void *base, size_t nr, size_t size, cmp_func_t cmp, swap_func_t swp);

/* Repeatable: the same seed gives the same numbers. */
void hpm_env_seed(u64 seed);
u64 get_random_u64(void);
void get_random_bytes(void *buf, size_t n);

static inline u32 get_random_u32(void)
{
	return (u32)get_random_u64();
}

static inline u32 get_random_u32_below(u32 n)
{
	return n ? (u32)(get_random_u64() % n) : 0;
}

u32 crc32c(u32 crc, const void *p, size_t n);

static inline u32 hash_32(u32 v, unsigned int bits)
{
	return (v * 0x61c88647u) >> (32 - bits);
}

static inline u32 hash_64(u64 v, unsigned int bits)
{
	return (u32)((v * 0x61c8864680b583ebull) >> (64 - bits));
}

static inline u32 hash_long(unsigned long v, unsigned int bits)
{
	return hash_64(v, bits);
}

static inline u32 hash_ptr(const void *p, unsigned int bits)
{
	return hash_64((uintptr_t)p, bits);
}

#include "hpm_bits.h"
#include "hpm_sync.h"
#include "hpm_list.h"
#include "hpm_mem.h"

#endif /* HPM_USER_ENV_H */
