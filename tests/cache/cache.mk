# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the interceptor and the cache manager.
#
#	make test-cache		what needs no kernel, in user space, with the
#				address and undefined-behaviour sanitizers

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
