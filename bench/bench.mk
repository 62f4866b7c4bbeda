# SPDX-License-Identifier: GPL-2.0-only
#
# Benchmarks in a guest under the virtual clock (except for bench-neighbour).  Their
# figures are counts of instructions, and repeat to a fraction of a per cent on any
# machine.
#
#	make bench-io [SIZE=1024] [IOS=20000]	MiB in a volume, I/Os for a figure
#	make bench-numbers [PARTS='space busy_snapshot reported']	a part of bench-io
#	make bench-many [VOLUMES=1000] [PEERS='linear thin']
#	make bench-share [COUNT=64] [PEERS='overlay2 thin'] [CASES='row once scarce']

BENCH_VM  = CLOCK=virtual TIMEOUT=5000 MEM=8G $(VM)
BENCH_OUT = $(BUILD)/bench

PKGS_bench := gcc libc6-dev libdevmapper-dev fio dmsetup

$(BENCH_OUT)/%: $(TOP)/bench/%.c | deps-bench
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o $@ $< -pthread -ldevmapper

.PHONY: bench-io
bench-io: bench-latency bench-numbers ## measure a bio's latency beside the peers, and snapshots and metadata (IOS=, PARTS=)

.PHONY: bench-latency
bench-latency: | vm-$(or $(KERNEL),6.1)
	@$(BENCH_VM) 'set -o pipefail; $(foreach v,SIZE IOS PEERS MODES,$(if $($v),$v="$($v)")) $(TOP)/bench/io.sh | tee $$VM_OUT/bench-latency.txt'

.PHONY: bench-numbers
bench-numbers: $(BENCH_OUT)/msgtime | vm-$(or $(KERNEL),6.1)
	@$(BENCH_VM) 'set -o pipefail; $(foreach v,PARTS SIZES NSECS,$(if $($v),$v="$($v)")) MSGTIME=$(BENCH_OUT)/msgtime $(TOP)/bench/numbers.sh | tee $$VM_OUT/bench-numbers.txt'

.PHONY: bench-neighbour
bench-neighbour: | deps-bench vm-$(or $(KERNEL),6.1) ## measure how long volumes wait for a neighbour whose I/O is throttled (io.max)
	@$(VM) '$(TOP)/bench/neighbour.sh | tee $$VM_OUT/bench-neighbour.txt'

.PHONY: bench-many
bench-many: $(BUILD)/tests/many $(BUILD)/tests/messages | vm-$(or $(KERNEL),6.1) ## measure a thousand active volumes, beside dm-linear and dm-thin (VOLUMES=)
	@$(BENCH_VM) 'set -o pipefail; $(foreach v,VOLUMES PEERS,$(if $($v),$v="$($v)")) MANY=$(BUILD)/tests/many $(TOP)/bench/many.sh | tee $$VM_OUT/bench-many.txt'

# All programs that are timed, this one included, are in memory: see share.sh.
PKGS_share := gcc libc6-dev dmsetup fio e2fsprogs xfsprogs btrfs-progs mount coreutils

$(BENCH_OUT)/startup: $(TOP)/bench/startup.c | deps-share
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -static -o $@ $<

.PHONY: bench-share bench-share-row bench-share-cost bench-share-figure
bench-share: bench-share-row bench-share-cost ## measure 64 containers of one image beside the peers, and hits and misses (COUNT=, PEERS=, CASES=)

bench-share-row: $(BENCH_OUT)/startup | vm-$(or $(KERNEL),6.1)
	@$(BENCH_VM) '$(foreach v,PEERS CASES COUNT FILES READ HPM_CACHE FS,$(if $($v),$v="$($v)")) $(TOP)/bench/share.sh | tee $$VM_OUT/bench-share.txt'

bench-share-cost: | deps-share vm-$(or $(KERNEL),6.1)
	@$(BENCH_VM) '$(TOP)/bench/hit.sh | tee $$VM_OUT/bench-share-cost.txt'

bench-share-figure: | deps-plot ## draw Documentation/share.svg from the last bench-share
	@$(TOP)/bench/share-plot.sh $(BUILD)/vm/out/bench-share.txt $(TOP)/Documentation/share.svg
