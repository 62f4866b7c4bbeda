# SPDX-License-Identifier: GPL-2.0-only
#
# Benchmarks, in the guest, under the virtual clock: their figures are counts
# of instructions and repeat to a fraction of a per cent on any machine.

BENCH_VM = CLOCK=virtual TIMEOUT=3000 $(VM)

.PHONY: bench-io
bench-io: | vm-$(or $(KERNEL),6.1) ## what a bio costs, beside dm-linear and dm-thin
	@MEM=8G $(BENCH_VM) $(TOP)/bench/io.sh
