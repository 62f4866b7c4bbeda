/* SPDX-License-Identifier: GPL-2.0-only */
/* Bit operations and bitmaps of unsigned longs. */
#ifndef HPM_BITS_H
#define HPM_BITS_H

#define BITS_PER_BYTE		8
#define BITS_PER_LONG		64
#define BITS_PER_LONG_LONG	64
#define BITS_TO_LONGS(n)	DIV_ROUND_UP(n, BITS_PER_LONG)
#define BIT(n)			(1ul << (n))
#define BIT_ULL(n)		(1ull << (n))
#define BIT_WORD(n)		((n) / BITS_PER_LONG)
#define BIT_MASK(n)		(1ul << ((n) % BITS_PER_LONG))
#define GENMASK(h, l)		((~0ul << (l)) & (~0ul >> (BITS_PER_LONG - 1 - (h))))
#define GENMASK_ULL(h, l)	((~0ull << (l)) & (~0ull >> (63 - (h))))
#define DECLARE_BITMAP(name, n)	unsigned long name[BITS_TO_LONGS(n)]

static inline unsigned int hweight8(u8 v)
{
	return __builtin_popcount(v);
}

static inline unsigned int hweight16(u16 v)
{
	return __builtin_popcount(v);
}

static inline unsigned int hweight32(u32 v)
{
	return __builtin_popcount(v);
}

static inline unsigned long hweight64(u64 v)
{
	return __builtin_popcountll(v);
}

#define hweight_long(v)		hweight64(v)

static inline int fls(unsigned int v)
{
	return v ? 32 - __builtin_clz(v) : 0;
}

static inline int fls64(u64 v)
{
	return v ? 64 - __builtin_clzll(v) : 0;
}

#define __ffs(v)		((unsigned long)__builtin_ctzl(v))
#define __ffs64(v)		((unsigned long)__builtin_ctzll(v))
#define __fls(v)		((unsigned long)(63 - __builtin_clzl(v)))
#define ffz(v)			__ffs(~(v))
#define ffs(v)			__builtin_ffs(v)
#define ilog2(v)		(fls64(v) - 1)
#define order_base_2(v)		((v) > 1 ? ilog2((v) - 1) + 1 : 0)

static inline bool is_power_of_2(unsigned long v)
{
	return v && !(v & (v - 1));
}

static inline unsigned long roundup_pow_of_two(unsigned long v)
{
	return v > 1 ? 1ul << fls64(v - 1) : 1;
}

static inline unsigned long rounddown_pow_of_two(unsigned long v)
{
	return 1ul << (fls64(v) - 1);
}

static inline bool test_bit(unsigned long n, const volatile unsigned long *map)
{
	return map[BIT_WORD(n)] >> (n % BITS_PER_LONG) & 1;
}

static inline void __set_bit(unsigned long n, volatile unsigned long *map)
{
	map[BIT_WORD(n)] |= BIT_MASK(n);
}

static inline void __clear_bit(unsigned long n, volatile unsigned long *map)
{
	map[BIT_WORD(n)] &= ~BIT_MASK(n);
}

static inline void __change_bit(unsigned long n, volatile unsigned long *map)
{
	map[BIT_WORD(n)] ^= BIT_MASK(n);
}

static inline bool __test_and_set_bit(unsigned long n,
				      volatile unsigned long *map)
{
	bool old = test_bit(n, map);

	__set_bit(n, map);
	return old;
}

static inline bool __test_and_clear_bit(unsigned long n,
					volatile unsigned long *map)
{
	bool old = test_bit(n, map);

	__clear_bit(n, map);
	return old;
}

static inline void set_bit(unsigned long n, volatile unsigned long *map)
{
	__atomic_or_fetch(map + BIT_WORD(n), BIT_MASK(n), __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned long n, volatile unsigned long *map)
{
	__atomic_and_fetch(map + BIT_WORD(n), ~BIT_MASK(n), __ATOMIC_RELAXED);
}

static inline void change_bit(unsigned long n, volatile unsigned long *map)
{
	__atomic_xor_fetch(map + BIT_WORD(n), BIT_MASK(n), __ATOMIC_RELAXED);
}

static inline void clear_bit_unlock(unsigned long n,
				    volatile unsigned long *map)
{
	__atomic_and_fetch(map + BIT_WORD(n), ~BIT_MASK(n), __ATOMIC_RELEASE);
}

static inline bool test_and_set_bit(unsigned long n,
				    volatile unsigned long *map)
{
	return __atomic_fetch_or(map + BIT_WORD(n), BIT_MASK(n),
				 __ATOMIC_SEQ_CST) & BIT_MASK(n);
}

static inline bool test_and_clear_bit(unsigned long n,
				      volatile unsigned long *map)
{
	return __atomic_fetch_and(map + BIT_WORD(n), ~BIT_MASK(n),
				  __ATOMIC_SEQ_CST) & BIT_MASK(n);
}

#define __assign_bit(n, map, v) \
	((v) ? __set_bit(n, map) : __clear_bit(n, map))

/*
 * Returns the first bit >= @from that has the value @want; @size if there is
 * none.
 */
static inline unsigned long hpm_find_bit(const unsigned long *map,
					 unsigned long size,
					 unsigned long from, bool want)
{
	unsigned long flip = want ? 0 : ~0ul;

	while (from < size) {
		unsigned long w = (map[BIT_WORD(from)] ^ flip) &
				  (~0ul << (from % BITS_PER_LONG));

		from = round_down(from, (unsigned long)BITS_PER_LONG);
		if (w)
			return min(from + __ffs(w), size);
		from += BITS_PER_LONG;
	}
	return size;
}

#define find_next_bit(map, size, from)	hpm_find_bit(map, size, from, true)
#define find_first_bit(map, size)	hpm_find_bit(map, size, 0, true)
#define find_next_zero_bit(map, size, from) \
	hpm_find_bit(map, size, from, false)
#define find_first_zero_bit(map, size)	hpm_find_bit(map, size, 0, false)

static inline unsigned long find_last_bit(const unsigned long *map,
					  unsigned long size)
{
	unsigned long i = size;

	while (i--)
		if (test_bit(i, map))
			return i;
	return size;
}

#define for_each_set_bit(bit, map, size)				\
	for ((bit) = find_first_bit(map, size); (bit) < (size);		\
	     (bit) = find_next_bit(map, size, (bit) + 1))
#define for_each_clear_bit(bit, map, size)				\
	for ((bit) = find_first_zero_bit(map, size); (bit) < (size);	\
	     (bit) = find_next_zero_bit(map, size, (bit) + 1))

static inline void bitmap_zero(unsigned long *map, unsigned int n)
{
	memset(map, 0, BITS_TO_LONGS(n) * sizeof(long));
}

static inline void bitmap_fill(unsigned long *map, unsigned int n)
{
	memset(map, 0xff, BITS_TO_LONGS(n) * sizeof(long));
}

static inline void bitmap_copy(unsigned long *dst, const unsigned long *src,
			       unsigned int n)
{
	memcpy(dst, src, BITS_TO_LONGS(n) * sizeof(long));
}

static inline void bitmap_set(unsigned long *map, unsigned int at,
			      unsigned int n)
{
	while (n--)
		__set_bit(at++, map);
}

static inline void bitmap_clear(unsigned long *map, unsigned int at,
				unsigned int n)
{
	while (n--)
		__clear_bit(at++, map);
}

static inline bool bitmap_empty(const unsigned long *map, unsigned int n)
{
	return find_first_bit(map, n) == n;
}

static inline bool bitmap_full(const unsigned long *map, unsigned int n)
{
	return find_first_zero_bit(map, n) == n;
}

static inline unsigned int bitmap_weight(const unsigned long *map,
					 unsigned int n)
{
	unsigned int i, sum = 0;

	for (i = 0; i < n / BITS_PER_LONG; i++)
		sum += hweight_long(map[i]);
	for (i *= BITS_PER_LONG; i < n; i++)
		sum += test_bit(i, map);
	return sum;
}

static inline unsigned long
bitmap_find_next_zero_area(unsigned long *map, unsigned long size,
			   unsigned long start, unsigned int nr,
			   unsigned long align_mask)
{
	unsigned long at = start, end;

	for (;;) {
		at = find_next_zero_bit(map, size, at);
		at = (at + align_mask) & ~align_mask;
		if (at + nr > size)
			return size + 1;
		end = find_next_bit(map, at + nr, at);
		if (end >= at + nr)
			return at;
		at = end + 1;
	}
}

#endif /* HPM_BITS_H */
