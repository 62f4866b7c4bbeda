# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the interceptor and the cache manager.
#
#	make test-cache		what needs no kernel, in user space, with the
#				address and undefined-behaviour sanitizers
#	make test-share		clones of an image, in a guest (CHURN=seconds)
#	make test-torture	the same with 20 minutes of CHURN

CACHE_DIR    := $(TOP)/tests/cache
CACHE_OUT     = $(BUILD)/tests/cache
CACHE_CFLAGS  = $(LIBHPM_CFLAGS) -O1 -g -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all
CACHE_PURE   := $(TOP)/dm-hpmapper/fingerprint.c $(TOP)/dm-hpmapper/evict-policy.c
CACHE_TESTS  := $(patsubst $(CACHE_DIR)/%.c,$(CACHE_OUT)/%,$(wildcard $(CACHE_DIR)/test_*.c))

PKGS_cache := gcc libc6-dev libcmocka-dev

.SECONDEXPANSION:

$(CACHE_OUT)/test_%: $(CACHE_DIR)/test_%.c $(CACHE_PURE) $(CACHE_PURE:.c=.h) | $$(DEPS)/cache
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@$(CC) $(CACHE_CFLAGS) -o $@ $< $(CACHE_PURE) -lcmocka

TEST_SUITES += test-cache

.PHONY: test-cache
test-cache: $(CACHE_TESTS) ## fingerprint and eviction policy, in user space
	@$(TOP)/tests/unit/run.sh $^

# In a guest.

$(BUILD)/tests/sharefiles: $(CACHE_DIR)/sharefiles.c | $$(DEPS)/cache
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@$(CC) -O2 -Wall -Wextra -static -o $@ $<

.PHONY: test-share test-torture
test-share: $(BUILD)/tests/sharefiles | vm-$$(KERNEL) ## clones read each other's cached copies, in a guest
	@CPUS=2 TIMEOUT=1200 $(VM) "CHURN=$(or $(CHURN),20) $(CACHE_DIR)/share.sh"

test-torture: $(BUILD)/tests/sharefiles | vm-$$(KERNEL) ## the same for long
	@CPUS=2 TIMEOUT=7200 $(VM) "CHURN=1200 $(CACHE_DIR)/share.sh"

TEST_SUITES += test-share
