/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Vector registers: which of fingerprint.c's functions the processor has the
 * instructions for, and when they may be called.  The caller must not sleep
 * between hpm_simd_begin() and hpm_simd_end().
 */
#ifndef HPM_SIMD_H
#define HPM_SIMD_H

/* Each includes those before it. */
enum hpm_simd {
	HPM_SIMD_NONE,
	HPM_SIMD_CLMUL,		/* PCLMULQDQ */
	HPM_SIMD_AVX2,
	HPM_SIMD_VPCLMUL,	/* VPCLMULQDQ */
};

#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

static inline enum hpm_simd hpm_simd_best(void)
{
	if (!boot_cpu_has(X86_FEATURE_PCLMULQDQ))
		return HPM_SIMD_NONE;
	if (!boot_cpu_has(X86_FEATURE_AVX2) ||
	    !cpu_has_xfeatures(XFEATURE_MASK_SSE | XFEATURE_MASK_YMM, NULL))
		return HPM_SIMD_CLMUL;
	return boot_cpu_has(X86_FEATURE_VPCLMULQDQ) ? HPM_SIMD_VPCLMUL :
						      HPM_SIMD_AVX2;
}

/* False in an interrupt that came while the kernel was using the registers. */
static inline bool hpm_simd_usable(void)
{
	return irq_fpu_usable();
}

static inline bool hpm_simd_begin(void)
{
	if (!hpm_simd_usable())
		return false;
	kernel_fpu_begin();
	return true;
}

static inline void hpm_simd_end(void)
{
	kernel_fpu_end();
}
#else
static inline enum hpm_simd hpm_simd_best(void)
{
	return HPM_SIMD_NONE;
}

static inline bool hpm_simd_usable(void)
{
	return false;
}

static inline bool hpm_simd_begin(void)
{
	return false;
}

static inline void hpm_simd_end(void)
{
}
#endif

#endif /* HPM_SIMD_H */
