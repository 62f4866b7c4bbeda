/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Vector registers: whether there are those that fingerprint.c wants, and when
 * they may be used.  Between hpm_simd_begin() and hpm_simd_end() nobody sleeps.
 */
#ifndef HPM_SIMD_H
#define HPM_SIMD_H

#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>

static inline bool hpm_simd_have(void)
{
	return boot_cpu_has(X86_FEATURE_PCLMULQDQ);
}

/* Not in an interrupt that came while the kernel was using them. */
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
static inline bool hpm_simd_have(void)
{
	return false;
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
