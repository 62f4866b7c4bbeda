# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the metadata tools, under ASan and UBSan, on pools that the engine
# makes.
#
#	make test-meta			all tests
#	make test-meta SEED=7		on other pools
#	make bench-meta			time hpm_check of 1 TiB in 4 KiB blocks

META_TESTS     := $(TOP)/tests/meta
META_TEST_OUT  := $(BUILD)/tests/meta
META_SAN       := -O1 -g -fsanitize=address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
META_TEST_SRC   = $(META_SRC) $(META_TESTS)/pool_maker.c
ENGINE_USERS   += tests/meta/pool_maker.c
META_TEST_OBJ   = $(patsubst $(TOP)/%.c,$(META_TEST_OUT)/%.o,$(LIBHPM_SRC) $(META_TEST_SRC))
META_TEST_PROG  = $(META_TOOLS:%=$(META_TEST_OUT)/%) $(META_TEST_OUT)/mkpool

PKGS_meta-test := gcc make libc6-dev jq

.SECONDEXPANSION:

$(META_TEST_OUT)/%.o: $(TOP)/%.c $$(LIBHPM_HDR) $$(META_HDR) $$(wildcard $(META_TESTS)/*.h) | $$(DEPS)/meta-test
	@mkdir -p $(@D)
	@echo "CC        $*.c (sanitized)"
	@gcc $(META_CFLAGS) -Wno-shadow $(META_SAN) -I$(META_TESTS) -c -o $@ $<

$(META_TOOLS:%=$(META_TEST_OUT)/%): $(META_TEST_OUT)/%: $(META_DIR)/main.c $$(META_TEST_OBJ)
	@echo "LD        $* (sanitized)"
	@gcc $(META_CFLAGS) $(META_SAN) -DTOOL_MAIN=$*_main -o $@ $^ -lm

$(META_TEST_OUT)/mkpool: $(META_TESTS)/mkpool.c $$(META_TEST_OBJ)
	@gcc $(META_CFLAGS) $(META_SAN) -I$(META_TESTS) -o $@ $^ -lm

.PHONY: test-meta
test-meta: $$(META_TEST_PROG) ## test the metadata tools (SEED=)
	@$(META_TESTS)/run.sh $(META_TEST_OUT)

$(META_TEST_OUT)/bench_pool: $(META_TESTS)/bench_pool.c $$(META_OBJ) $$(LIBHPM)
	@mkdir -p $(@D)
	@gcc $(META_CFLAGS) $(META_OPT) -o $@ $^ -lm

.PHONY: bench-meta
bench-meta: $(META_TEST_OUT)/bench_pool $(BUILD)/tools/hpm_check ## time hpm_check of 1 TiB mapped in 4 KiB blocks
	@$(META_TESTS)/bench.sh $(META_TEST_OUT)/bench_pool $(BUILD)/tools/hpm_check

TEST_SUITES += test-meta
