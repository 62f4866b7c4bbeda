# SPDX-License-Identifier: GPL-2.0-only
#
# Integration tests: use the module in a guest as an administrator does.
#
#	make test-vm				SUITE on 6.1, a part of it on 6.12
#	make test-vm GUESTS='6.12:table,message'	these scripts on 6.12
#	make test-stress TIME=600 [SEED=7]	random operations
#
# The scripts are in suite/, and the programs that they run in the guest in progs/.

PKGS_suite := gcc libc6-dev dmsetup fio xfsprogs e2fsprogs util-linux psmisc

SUITE_DIR   := $(TOP)/tests/vm/suite
SUITE_PROGS := $(patsubst $(TOP)/tests/vm/progs/%.c,$(BUILD)/tests/%,$(wildcard $(TOP)/tests/vm/progs/*.c))

SUITE_PROGS += $(BUILD)/tools/hpm_check

$(BUILD)/tests/%: $(TOP)/tests/vm/progs/%.c $(TOP)/tests/vm/progs/dm.h | deps-suite
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@gcc -O2 -Wall -Wextra -pthread -o $@.$$$$ $< && mv $@.$$$$ $@

# The short scripts, and the long ones.  (stress is random and has a target of its own;
# test-one-worker runs waits with one worker, which is the harder case.)
SUITE      := credit message table partial foreign snapshot limits flush cost \
	space check module ring mixed quiet teardown tokens neighbour
SUITE_LONG_A := discard resize nowait metadata suspend force persist
SUITE_LONG_B := fs defrag live blk fsload rot ladder memory zeroes waits crypt gone many
SUITE_LONG   := $(SUITE_LONG_A) $(SUITE_LONG_B)
# The scripts whose results are likely to differ between kernels.
SUITE_FAST := limits message zeroes quiet teardown neighbour
comma      := ,
with_commas = $(subst $() ,$(comma),$(strip $1))
GUESTS     ?= 6.1:$(call with_commas,$(SUITE)) 6.12:$(call with_commas,$(SUITE_FAST))
# The guest of make test-quick (tests.mk).
QUICK_GUESTS ?= 6.1:table,message,snapshot,flush,space
TIME       ?= 60
SEED       ?= 1

SUITE_VMS   = $(foreach g,$(GUESTS),vm-$(firstword $(subst :, ,$(g))))

TEST_SUITES += test-vm

.PHONY: test-vm
test-vm: $(SUITE_PROGS) $(SUITE_VMS) | deps-suite ## run the integration tests in guests (GUESTS='6.12:table')
	@BUILD=$(BUILD) CACHE=$(CACHE) $(SUITE_DIR)/guests.sh $(GUESTS)

.PHONY: test-vm-all
test-vm-all: $(SUITE_PROGS) vm-6.1 vm-6.12 | deps-suite ## run all integration tests, on 6.1 and on 6.12 (half an hour)
	@BUILD=$(BUILD) CACHE=$(CACHE) $(SUITE_DIR)/guests.sh \
		$(foreach k,6.1 6.12,$k:$(call with_commas,$(SUITE) $(SUITE_LONG)))

# When memory is short, each queue of a pool is left with one worker, so a worker must
# not wait for work that is queued behind it.  Only a build of its own has the option
# for one worker.  ONE_WORKER='snapshot suspend' selects other scripts.
ONE_WORKER ?= waits
TEST_SUITES += test-one-worker

.PHONY: test-one-worker
test-one-worker: $(SUITE_PROGS) | deps-suite ## run integration tests with one worker for each queue of a pool (ONE_WORKER='snapshot suspend')
	@$(MAKE) --no-print-directory vm-$(KERNEL) VARIANT=faults
	@BUILD=$(BUILD) CACHE=$(CACHE) VARIANT=faults ARGS=dm_hpmapper.one_worker=1 \
		$(SUITE_DIR)/guests.sh $(KERNEL):$(call with_commas,$(ONE_WORKER))

.PHONY: test-stress
test-stress: $(SUITE_PROGS) vm-$$(KERNEL) | deps-suite ## run random operations for TIME=60 seconds, then verify (SEED=n, KERNEL=6.12)
	@BUILD=$(BUILD) CACHE=$(CACHE) STRESS_TIME=$(TIME) STRESS_SEED=$(SEED) \
		SCRIPT_TIMEOUT=$$(($(TIME) * 4 + 600)) TIMEOUT=$$(($(TIME) * 5 + 700)) $(SUITE_DIR)/guests.sh $(KERNEL):stress

# Planted faults in waiting for I/O: the test that looks for them must fail.
TOKEN_FAULTS ?= snap_reads drain_writes drain_reads

.PHONY: test-token-faults
test-token-faults: $(SUITE_PROGS) | deps-suite ## plant faults in waiting for I/O in flight: the tests must fail (TOKEN_FAULTS='snap_reads')
	@$(MAKE) --no-print-directory vm-$(KERNEL) VARIANT=faults
	@BUILD=$(BUILD) CACHE=$(CACHE) KERNEL=$(KERNEL) $(VM_DIR)/token-faults.sh $(TOKEN_FAULTS)

# The debug kernel checks with KASAN, lockdep and kmemleak, and for sleeping in atomic
# context.  Each report in the log fails the guest (boot.sh).  The scripts run in
# several guests, because a leak is easier to find among few scripts.
DEBUG_GUESTS ?= $(foreach s,$(call with_commas,$(SUITE)) \
	$(call with_commas,$(SUITE_LONG_A)) \
	$(call with_commas,$(SUITE_LONG_B) stress),debug:$s,leaks)

.PHONY: test-debug
test-debug: $(SUITE_PROGS) vm-debug | deps-suite ## run all integration tests and the stress test on the debug kernel (TIME=60, DEBUG_GUESTS=debug:table,leaks)
	@BUILD=$(BUILD) CACHE=$(CACHE) STRESS_TIME=$(TIME) STRESS_SEED=$(SEED) \
		SCRIPT_TIMEOUT=$$(($(TIME) * 4 + 2400)) TIMEOUT=10800 CPUS=2 \
		$(SUITE_DIR)/guests.sh $(DEBUG_GUESTS)

# These must not race: all scripts in which the module itself runs concurrently, or
# several processes use a volume, and the tests of the cache.  A data race in the module
# fails the guest (boot.sh).
KCSAN_GUESTS ?= kcsan:$(call with_commas,credit message partial snapshot limits \
	flush space check module ring mixed quiet teardown tokens neighbour waits) \
	kcsan:$(call with_commas,discard resize nowait suspend force defrag live blk fsload) \
	kcsan:stress

.PHONY: test-kcsan
test-kcsan: ## look for data races on the KCSAN kernel: integration, stress and cache tests (TIME=60, KCSAN_GUESTS=kcsan:live)
	@MAKE="$(MAKE)" BUILD=$(BUILD) KERNEL=kcsan GUESTS='$(KCSAN_GUESTS)' \
		TIME=$(TIME) STRESS_TIME=$(TIME) STRESS_SEED=$(SEED) CPUS=2 \
		SCRIPT_TIMEOUT=$$(($(TIME) * 4 + 2400)) LANES=1 \
		$(TOP)/tests/suites.sh test-vm test-share test-torture
