# SPDX-License-Identifier: GPL-2.0-only
#
# Integration tests: the module in a guest, as a person uses it.
#
#	make test-vm				SUITE on 6.1, a part of it on 6.12
#	make test-vm GUESTS='6.12:table,message'	these on that kernel
#	make test-stress TIME=600 [SEED=7]	random everything
#
# Scripts are in suite/, the programs they run in the guest in progs/.

PKGS_suite := gcc libc6-dev dmsetup fio xfsprogs e2fsprogs util-linux psmisc

SUITE_DIR   := $(TOP)/tests/vm/suite
SUITE_PROGS := $(patsubst $(TOP)/tests/vm/progs/%.c,$(BUILD)/tests/%,$(wildcard $(TOP)/tests/vm/progs/*.c))

SUITE_PROGS += $(BUILD)/tools/hpm_check

$(BUILD)/tests/%: $(TOP)/tests/vm/progs/%.c $(TOP)/tests/vm/progs/dm.h | deps-suite
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@gcc -O2 -Wall -Wextra -pthread -o $@.$$$$ $< && mv $@.$$$$ $@

# What is short, and what is not.  (stress tests at random; waits is run with one
# worker by test-one-worker, which is the harder case.)
SUITE      := credit message table partial foreign snapshot limits flush cost \
	space check module ring mixed quiet teardown tokens neighbour
SUITE_LONG := discard resize nowait metadata suspend force persist fs defrag live blk fsload rot ladder memory zeroes \
	waits crypt gone many
# What is likely to differ between kernels.
SUITE_FAST := limits message zeroes quiet teardown neighbour
comma      := ,
with_commas = $(subst $() ,$(comma),$(strip $1))
GUESTS     ?= 6.1:$(call with_commas,$(SUITE)) 6.12:$(call with_commas,$(SUITE_FAST))
# Of make test-quick (tests.mk).
QUICK_GUESTS ?= 6.1:table,message,snapshot,flush,space
TIME       ?= 60
SEED       ?= 1

SUITE_VMS   = $(foreach g,$(GUESTS),vm-$(firstword $(subst :, ,$(g))))

TEST_SUITES += test-vm

.PHONY: test-vm
test-vm: $(SUITE_PROGS) $(SUITE_VMS) | deps-suite ## integration tests in guests (GUESTS='6.12:table')
	@BUILD=$(BUILD) CACHE=$(CACHE) $(SUITE_DIR)/guests.sh $(GUESTS)

.PHONY: test-vm-all
test-vm-all: $(SUITE_PROGS) vm-6.1 vm-6.12 | deps-suite ## all integration tests, on 6.1 and on 6.12 (half an hour)
	@BUILD=$(BUILD) CACHE=$(CACHE) $(SUITE_DIR)/guests.sh \
		$(foreach k,6.1 6.12,$k:$(call with_commas,$(SUITE) $(SUITE_LONG)))

# Each queue of a pool has one worker, which is all that is left when there is no
# memory: what a worker waits for must not stand behind it.  The option is there in a
# build of its own.  ONE_WORKER='snapshot suspend' for other scripts.
ONE_WORKER ?= waits
TEST_SUITES += test-one-worker

.PHONY: test-one-worker
test-one-worker: $(SUITE_PROGS) | deps-suite ## integration tests, each queue of a pool with one worker (ONE_WORKER='snapshot suspend')
	@$(MAKE) --no-print-directory vm-$(KERNEL) VARIANT=faults
	@BUILD=$(BUILD) CACHE=$(CACHE) VARIANT=faults ARGS=dm_hpmapper.one_worker=1 \
		$(SUITE_DIR)/guests.sh $(KERNEL):$(call with_commas,$(ONE_WORKER))

.PHONY: test-stress
test-stress: $(SUITE_PROGS) vm-$$(KERNEL) | deps-suite ## random everything for TIME=60 seconds, then verify (SEED=n, KERNEL=6.12)
	@BUILD=$(BUILD) CACHE=$(CACHE) STRESS_TIME=$(TIME) STRESS_SEED=$(SEED) \
		SCRIPT_TIMEOUT=$$(($(TIME) * 2 + 240)) TIMEOUT=$$(($(TIME) * 3 + 300)) $(SUITE_DIR)/guests.sh $(KERNEL):stress

# Mistakes in waiting for I/O: the test that is there to find them must fail.
TOKEN_FAULTS ?= snap_reads drain_writes drain_reads

.PHONY: test-token-faults
test-token-faults: $(SUITE_PROGS) | deps-suite ## mistakes in waiting for I/O in flight: the tests must notice (TOKEN_FAULTS='snap_reads')
	@$(MAKE) --no-print-directory vm-$(KERNEL) VARIANT=faults
	@BUILD=$(BUILD) CACHE=$(CACHE) KERNEL=$(KERNEL) $(VM_DIR)/token-faults.sh $(TOKEN_FAULTS)

# What a kernel with all its checks has to say: KASAN, lockdep, sleeping where
# one must not, kmemleak.  Each report in the log fails the guest (boot.sh).
# Several guests, as a leak is easier to find among few scripts.
DEBUG_GUESTS ?= $(foreach s,$(call with_commas,$(SUITE)) \
	$(call with_commas,$(wordlist 1,7,$(SUITE_LONG))) \
	$(call with_commas,$(wordlist 8,99,$(SUITE_LONG)) stress),debug:$s,leaks)

.PHONY: test-debug
test-debug: $(SUITE_PROGS) vm-debug | deps-suite ## all integration tests, then random everything, on the debug kernel (TIME=60, DEBUG_GUESTS=debug:table,leaks)
	@BUILD=$(BUILD) CACHE=$(CACHE) STRESS_TIME=$(TIME) STRESS_SEED=$(SEED) \
		SCRIPT_TIMEOUT=$$(($(TIME) * 4 + 2400)) TIMEOUT=10800 CPUS=2 \
		$(SUITE_DIR)/guests.sh $(DEBUG_GUESTS)

# What must not race: everything that runs concurrently by itself, the scripts
# among them that have several processes at a volume, and the cache.  A data
# race in the module fails the guest (boot.sh).
KCSAN_GUESTS ?= kcsan:$(call with_commas,credit message partial snapshot limits \
	flush space check module ring mixed) \
	kcsan:$(call with_commas,discard resize nowait suspend force defrag live blk fsload) \
	kcsan:stress

.PHONY: test-kcsan
test-kcsan: ## data races: integration tests, random everything and the cache's on the KCSAN kernel (TIME=60, KCSAN_GUESTS=kcsan:live)
	@MAKE="$(MAKE)" BUILD=$(BUILD) KERNEL=kcsan GUESTS='$(KCSAN_GUESTS)' \
		TIME=$(TIME) STRESS_TIME=$(TIME) STRESS_SEED=$(SEED) CPUS=2 \
		SCRIPT_TIMEOUT=$$(($(TIME) * 4 + 2400)) LANES=1 \
		$(TOP)/tests/suites.sh test-vm test-share test-torture
