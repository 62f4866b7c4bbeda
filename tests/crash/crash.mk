# SPDX-License-Identifier: GPL-2.0-only
#
# Crash replay: records every write of a load in a guest, and opens the pool as it
# would be found if the power had failed, at each point of the record.

.SECONDEXPANSION:

CRASH_DIR   := $(TOP)/tests/crash
CRASH_OUT   := $(BUILD)/crash

PKGS_crash := gcc libc6-dev e2fsprogs xfsprogs dmsetup

$(BUILD)/tests/load: $(CRASH_DIR)/load.c $(CRASH_DIR)/load.h | $$(DEPS)/crash
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@gcc -O2 -Wall -Wextra -pthread -o $@ $<

REPLAY_SRC    = $(LIBHPM_SRC) $(TEST_LIB_SRC) $(filter-out $(CRASH_DIR)/load.c $(CRASH_DIR)/tail.c,$(wildcard $(CRASH_DIR)/*.c))
REPLAY_HDR    = $(LIBHPM_HDR) $(TEST_LIB_HDR) $(wildcard $(CRASH_DIR)/*.h)
REPLAY_OBJ    = $(patsubst $(TOP)/%.c,$(BUILD)/crash/obj/%.o,$(REPLAY_SRC))
REPLAY_FAULTS = $(patsubst $(TOP)/%.c,$(BUILD)/crash/obj-faults/%.o,$(REPLAY_SRC))

$(BUILD)/crash/obj/%.o: $(TOP)/%.c $$(REPLAY_HDR) | $$(DEPS)/crash
	@mkdir -p $(@D)
	@echo "CC        $*.o"
	@$(CC) $(LIBHPM_CFLAGS) -I$(TEST_LIB_DIR) -O2 -g -c -o $@ $<

$(BUILD)/crash/obj-faults/%.o: $(TOP)/%.c $$(REPLAY_HDR) | $$(DEPS)/crash
	@mkdir -p $(@D)
	@echo "CC        $*.o (faults)"
	@$(CC) $(LIBHPM_CFLAGS) -I$(TEST_LIB_DIR) -O2 -g -DCONFIG_DM_HPMAPPER_FAULTS -c -o $@ $<

$(CRASH_OUT)/replay: $$(REPLAY_OBJ)
	@echo "LINK      $(@F)"
	@$(CC) -o $@ $^

$(CRASH_OUT)/replay-faults: $$(REPLAY_FAULTS)
	@echo "LINK      $(@F)"
	@$(CC) -o $@ $^

# Every fault that can be planted in the engine or in the pool (dm-hpmapper/fault.h).
CRASH_FAULTS ?= flush_batch flush_super late_join record_early discard_early \
	reuse_early super_early epoch_open stale_batch old_super
CRASH_RUN     = BUILD=$(BUILD) CACHE=$(CACHE) KERNEL=$(KERNEL) SEED=$(SEED) $(CRASH_DIR)/run.sh

TEST_SUITES += test-crash-short

.PHONY: test-crash-short
test-crash-short: $(CRASH_OUT)/replay $(BUILD)/tests/load vm-$$(KERNEL) ## replay 2,500 crash points of a short load (SEED=n)
	@$(CRASH_RUN) crash 6 2500 1

.PHONY: test-crash
test-crash: $(CRASH_OUT)/replay $(BUILD)/tests/load vm-$$(KERNEL) ## replay 50,000 crash points of a longer load, and mount 6 of them
	@$(CRASH_RUN) crash 40 50000 6

.PHONY: test-crash-faults
test-crash-faults: $(CRASH_OUT)/replay-faults $(BUILD)/tests/load ## plant faults: crash replay must catch them (CRASH_FAULTS='late_join ...')
	@+$(MAKE) --no-print-directory VARIANT=faults vm-$(KERNEL)
	@$(CRASH_RUN) faults 3 $(CRASH_FAULTS)

.PHONY: test-crash-order
test-crash-order: $(CRASH_OUT)/replay $(BUILD)/tests/load vm-$$(KERNEL) ## test that the recorder keeps the order of flushes
	@$(CRASH_RUN) order

# Figures.

$(CRASH_OUT)/tail: $(CRASH_DIR)/tail.c $(LIBHPM) | $$(DEPS)/crash
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@$(CC) $(LIBHPM_CFLAGS) -O2 -g -o $@ $< $(LIBHPM)

.PHONY: bench-recovery
bench-recovery: $(CRASH_OUT)/tail $(BUILD)/bench/startup vm-$$(KERNEL) ## measure the recovery of as many records as there can be (virtual clock)
	@rm -f $(CRASH_OUT)/tail.img && truncate -s 1G $(CRASH_OUT)/tail.img
	@$(CRASH_OUT)/tail $(CRASH_OUT)/tail.img | tee $(CRASH_OUT)/tail.txt
	@CLOCK=virtual MEM=3G TIMEOUT=1200 $(VM) "$(CRASH_DIR)/recovery.sh $(CRASH_OUT)/tail.img \
		$$(sed -n 's/.*, \([0-9]*\) data sectors/\1/p' $(CRASH_OUT)/tail.txt)"
	@rm -f $(CRASH_OUT)/tail.img
