// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests the fingerprint: it is computed correctly, and detects changes that
 * simpler functions miss.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "fingerprint.h"

#define WORDS HPM_FP_WORDS

static u64 rng_state = 0x9e3779b97f4a7c15ULL;

static u64 rng(void)
{
	u64 z = rng_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

typedef u64 fingerprint_fn(const struct hpm_fp_key *key, const void *block);

/* The function under test. */
static fingerprint_fn *fingerprint = hpm_fingerprint;

static void fill(void *p, size_t size)
{
	u64 *w = p;
	size_t i;

	for (i = 0; i < size / sizeof(u64); i++)
		w[i] = rng();
}

/*
 * The definition again, in digits of 32 bits and without a 128-bit type.
 */
struct wide {
	u32 digit[4];
};

static void add_at(struct wide *w, int at, u64 v)
{
	u64 sum;
	int i;

	for (i = at; i < 4 && v; i++) {
		sum = (u64)w->digit[i] + (u32)v;
		w->digit[i] = sum;
		v = (v >> 32) + (sum >> 32);
	}
}

static void add_product(struct wide *w, int at, u64 a, u64 b)
{
	u32 x[2] = { a, a >> 32 }, y[2] = { b, b >> 32 };
	int i, j;

	for (i = 0; i < 2; i++)
		for (j = 0; j < 2; j++)
			add_at(w, at + i + j, (u64)x[i] * y[j]);
}

static u64 by_hand(const struct hpm_fp_key *key, const u64 *m)
{
	struct wide nh = { { 0 } }, sum = { { 0 } };
	const u64 *f = key->finish;
	unsigned int i;
	u64 half[2];

	for (i = 0; i < WORDS; i += 2)
		add_product(&nh, 0, m[i] + key->nh[i],
			    m[i + 1] + key->nh[i + 1]);
	half[0] = (u64)nh.digit[1] << 32 | nh.digit[0];
	half[1] = (u64)nh.digit[3] << 32 | nh.digit[2];

	add_product(&sum, 0, f[0], 1);
	add_product(&sum, 2, f[1], 1);
	for (i = 0; i < 2; i++) {
		add_product(&sum, 0, f[2 + 2 * i], half[i]);
		add_product(&sum, 2, f[3 + 2 * i], half[i]);
	}
	return (u64)sum.digit[3] << 32 | sum.digit[2];
}

static void test_definition(void **state)
{
	struct hpm_fp_key key;
	u64 m[WORDS] __aligned(16);
	int i;

	(void)state;
	for (i = 0; i < 500; i++) {
		fill(&key, sizeof(key));
		fill(m, sizeof(m));
		assert_true(hpm_fingerprint(&key, m) == by_hand(&key, m));
	}
	memset(&key, 0xff, sizeof(key));
	memset(m, 0, sizeof(m));
	assert_true(hpm_fingerprint(&key, m) == by_hand(&key, m));
}

#ifdef __x86_64__
static unsigned __int128 wide(const u64 *half)
{
	return (unsigned __int128)half[1] << 64 | half[0];
}

/* Likewise, bit by bit. */
static void add_polynomial_product(u64 *half, u64 a, u64 b)
{
	int i;

	for (i = 0; i < 64; i++) {
		if (!(b >> i & 1))
			continue;
		half[0] ^= a << i;
		half[1] ^= i ? a >> (64 - i) : 0;
	}
}

static u64 clnh_by_hand(const struct hpm_fp_key *key, const u64 *m)
{
	unsigned __int128 sum = wide(key->finish);
	u64 half[2] = { 0, 0 };
	unsigned int i;

	for (i = 0; i < WORDS; i += 2)
		add_polynomial_product(half, m[i] ^ key->nh[i],
				       m[i + 1] ^ key->nh[i + 1]);
	sum += wide(key->finish + 2) * half[0];
	sum += wide(key->finish + 4) * half[1];
	return sum >> 64;
}

typedef u64 copy_fn(const struct hpm_fp_key *key, void *to, const void *from);

/* Checks that @fn copies @m and nothing else, and computes @fp. */
static void check_copy(copy_fn *fn, const struct hpm_fp_key *key, const u64 *m,
		       u64 fp)
{
	u64 copy[WORDS + 4] __aligned(16), around[4];

	fill(copy, sizeof(copy));
	memcpy(around, copy, 16);
	memcpy(around + 2, copy + WORDS + 2, 16);
	assert_true(fn(key, copy + 2, m) == fp);
	assert_memory_equal(copy + 2, m, HPM_BLOCK_SIZE);
	assert_memory_equal(copy, around, 16);
	assert_memory_equal(copy + WORDS + 2, around + 2, 16);
}

static void test_clmul_definition(void **state)
{
	bool avx2 = __builtin_cpu_supports("avx2");
	bool wide = avx2 && __builtin_cpu_supports("vpclmulqdq");
	u64 m[WORDS] __aligned(16);
	struct hpm_fp_key key;
	u64 fp;
	int i;

	(void)state;
	printf("AVX2: %s, VPCLMULQDQ: %s\n", avx2 ? "yes" : "no",
	       wide ? "yes" : "no");
	for (i = 0; i < 200; i++) {
		fill(&key, sizeof(key));
		fill(m, sizeof(m));
		fp = clnh_by_hand(&key, m);
		assert_true(hpm_fingerprint_clmul(&key, m) == fp);
		check_copy(hpm_fingerprint_clmul_copy, &key, m, fp);
		if (avx2)
			check_copy(hpm_fingerprint_avx2_copy, &key, m, fp);
		if (wide)
			check_copy(hpm_fingerprint_vpclmul_copy, &key, m, fp);
	}
}

/* The functions as fingerprints without a copy. */
static u64 by_avx2(const struct hpm_fp_key *key, const void *block)
{
	u64 copy[WORDS] __aligned(16);

	return hpm_fingerprint_avx2_copy(key, copy, block);
}

static u64 by_vpclmul(const struct hpm_fp_key *key, const void *block)
{
	u64 copy[WORDS] __aligned(16);

	return hpm_fingerprint_vpclmul_copy(key, copy, block);
}
#endif

/* A flipped bit, swapped words and moved words all change the fingerprint. */
static void test_sees_changes(void **state)
{
	struct hpm_fp_key key;
	u64 m[WORDS] __aligned(16), fp, tmp;
	unsigned int bit, i;

	(void)state;
	fill(&key, sizeof(key));
	fill(m, sizeof(m));
	fp = fingerprint(&key, m);
	for (bit = 0; bit < HPM_BLOCK_SIZE * 8; bit++) {
		m[bit / 64] ^= 1ULL << bit % 64;
		assert_true(fingerprint(&key, m) != fp);
		m[bit / 64] ^= 1ULL << bit % 64;
	}
	for (i = 0; i + 1 < WORDS; i++) {
		tmp = m[i];
		m[i] = m[i + 1];
		m[i + 1] = tmp;
		assert_true(fingerprint(&key, m) != fp);
		m[i + 1] = m[i];
		m[i] = tmp;
	}
	assert_true(fingerprint(&key, m) == fp);
}

/*----------------------------------------------------------------
 * Why not something simpler: pairs of blocks that fool other functions
 *--------------------------------------------------------------*/

#define P1 0x9e3779b185ebca87ULL
#define P2 0xc2b2ae3d27d4eb4fULL
#define P3 0x165667b19e3779f9ULL
#define P4 0x85ebca77c2b2ae63ULL

static u64 rotl(u64 x, int n)
{
	return x << n | x >> (64 - n);
}

static u64 xx_round(u64 acc, u64 w)
{
	return rotl(acc + w * P2, 31) * P1;
}

/* xxh64 of a whole block. */
static u64 xxh64_block(const u64 *m, u64 seed)
{
	u64 v[4] = { seed + P1 + P2, seed + P2, seed, seed - P1 };
	unsigned int i;
	u64 h;

	for (i = 0; i < WORDS; i++)
		v[i % 4] = xx_round(v[i % 4], m[i]);
	h = rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18);
	for (i = 0; i < 4; i++)
		h = (h ^ xx_round(0, v[i])) * P1 + P4;
	h += HPM_BLOCK_SIZE;
	h = (h ^ h >> 33) * P2;
	h = (h ^ h >> 29) * P3;
	return h ^ h >> 32;
}

/* The inverse of an odd number, mod 2^64. */
static u64 inverse(u64 a)
{
	u64 x = a;
	int i;

	for (i = 0; i < 6; i++)
		x *= 2 - a * x;
	return x;
}

/*
 * Word 0 changes the top bit of its lane, for any state of the lane.  The
 * rotation turns this into +2^30 or -2^30, depending only on the state; word 4,
 * of the same lane, cancels one of the two.
 */
static void make_xxh64_pair(u64 *a, u64 *b)
{
	fill(a, HPM_BLOCK_SIZE);
	memcpy(b, a, HPM_BLOCK_SIZE);
	b[0] += 1ULL << 63;
	b[4] -= (1ULL << 30) * P1 * inverse(P2);
}

#define SEEDS 20000

static void test_xxh64_pair(void **state)
{
	unsigned int i, fooled = 0, ours = 0;
	u64 a[WORDS] __aligned(16), b[WORDS] __aligned(16);
	struct hpm_fp_key key;
	u64 seed;

	(void)state;
	make_xxh64_pair(a, b);
	for (i = 0; i < SEEDS; i++) {
		seed = rng();
		fooled += xxh64_block(a, seed) == xxh64_block(b, seed);
	}
	printf("xxh64 collides under %u of %u seeds\n", fooled, SEEDS);
	assert_in_range(fooled, SEEDS * 45 / 100, SEEDS * 55 / 100);

	for (i = 0; i < SEEDS; i++) {
		fill(&key, sizeof(key));
		ours += fingerprint(&key, a) == fingerprint(&key, b);
	}
	assert_int_equal(ours, 0);
}

/*
 * NH without its upper half: an even factor cancels a difference in a top bit.
 */
static u64 short_nh(const struct hpm_fp_key *key, const u64 *m)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < WORDS; i += 2)
		sum += (m[i] + key->nh[i]) * (m[i + 1] + key->nh[i + 1]);
	return sum;
}

static void test_short_nh_pair(void **state)
{
	unsigned int i, fooled = 0, ours = 0;
	u64 a[WORDS] __aligned(16), b[WORDS] __aligned(16);
	struct hpm_fp_key key;

	(void)state;
	fill(a, sizeof(a));
	memcpy(b, a, sizeof(a));
	b[0] ^= 1ULL << 63;
	for (i = 0; i < SEEDS; i++) {
		fill(&key, sizeof(key));
		fooled += short_nh(&key, a) == short_nh(&key, b);
		ours += fingerprint(&key, a) == fingerprint(&key, b);
	}
	printf("NH cut to 64 bits collides under %u of %u keys\n", fooled,
	       SEEDS);
	assert_in_range(fooled, SEEDS * 45 / 100, SEEDS * 55 / 100);
	assert_int_equal(ours, 0);
}

/* Blocks like those on disks: few bits, small numbers, repeats. */
static void make_plain(u64 *m, unsigned int n)
{
	memset(m, 0, HPM_BLOCK_SIZE);
	switch (n % 4) {
	case 0:
		m[n / 4 % WORDS] = 1ULL << n % 61;
		break;
	case 1:
		m[n / 4 % WORDS] = n;
		m[(n / 4 + 1) % WORDS] = -(u64)n;
		break;
	case 2:
		memset(m, n, HPM_BLOCK_SIZE);
		m[0] += n;
		break;
	case 3:
		memset(m, 0xff, n / 4 % HPM_BLOCK_SIZE);
		m[WORDS - 1] ^= n;
		break;
	}
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

#define PLAIN 8000

static void test_plain_blocks(void **state)
{
	static u64 fps[PLAIN];
	struct hpm_fp_key key;
	u64 m[WORDS] __aligned(16);
	unsigned int i;

	(void)state;
	fill(&key, sizeof(key));
	for (i = 0; i < PLAIN; i++) {
		make_plain(m, i + 4);
		fps[i] = fingerprint(&key, m);
	}
	qsort(fps, PLAIN, sizeof(fps[0]), compare);
	for (i = 1; i < PLAIN; i++)
		assert_true(fps[i] != fps[i - 1]);
}

/*
 * Another key gives other results, so none can be kept from one activation to
 * the next.
 */
static void test_key_matters(void **state)
{
	struct hpm_fp_key a, b;
	u64 m[WORDS] __aligned(16);
	unsigned int i;

	(void)state;
	fill(m, sizeof(m));
	fill(&a, sizeof(a));
	for (i = 0; i < WORDS; i++) {
		b = a;
		b.nh[i] ^= 1ULL << 63;
		assert_true(fingerprint(&a, m) != fingerprint(&b, m));
	}
}

static int run(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sees_changes),
		cmocka_unit_test(test_xxh64_pair),
		cmocka_unit_test(test_short_nh_pair),
		cmocka_unit_test(test_plain_blocks),
		cmocka_unit_test(test_key_matters),
	};

	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest nh[] = { cmocka_unit_test(test_definition) };
	int failed = cmocka_run_group_tests(nh, NULL, NULL) + run("NH");

#ifdef __x86_64__
	const struct CMUnitTest clnh[] = {
		cmocka_unit_test(test_clmul_definition),
	};

	if (!__builtin_cpu_supports("pclmul")) {
		printf("CLNH: this processor has no PCLMULQDQ\n");
		return failed;
	}
	failed += cmocka_run_group_tests(clnh, NULL, NULL);
	fingerprint = hpm_fingerprint_clmul;
	failed += run("CLNH");
	if (__builtin_cpu_supports("avx2")) {
		fingerprint = by_avx2;
		failed += run("CLNH, AVX2");
	}
	if (__builtin_cpu_supports("vpclmulqdq")) {
		fingerprint = by_vpclmul;
		failed += run("CLNH, VPCLMULQDQ");
	}
#endif
	return failed;
}
