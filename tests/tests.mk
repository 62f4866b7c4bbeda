# SPDX-License-Identifier: GPL-2.0-only
#
# make test: all tests that a change must pass; they take 30 to 40 minutes on two
# cores.  A directory adds its suite with TEST_SUITES += test-name.

# What the tests of several directories use.
TEST_LIB_DIR := $(TOP)/tests/lib
TEST_LIB_SRC := $(wildcard $(TEST_LIB_DIR)/*.c)
TEST_LIB_HDR := $(wildcard $(TEST_LIB_DIR)/*.h)

# The longest come first.
TEST_LONG  := test-vm test-hpmctl-vm test-unit test-cache-faults test-meta
TEST_ORDER  = $(TEST_LONG) $(filter-out $(TEST_LONG),$(sort $(TEST_SUITES)))

.PHONY: test
test: ## run all test suites (unit, model, tools, guest)
	@$(MAKE) --no-print-directory -j$(JOBS) test-build
	@$(MAKE) --no-print-directory vm-$(KERNEL) VARIANT=faults
	@MAKE="$(MAKE)" BUILD=$(BUILD) $(TOP)/tests/suites.sh $(TEST_ORDER)

# What more than one suite needs is made before two of them run at a time.
.PHONY: test-build test-build-quick
test-build: test-build-quick $$(CACHE_PROGS) vm-6.12 \
	| deps-cache deps-crash deps-fuzz
test-build-quick: tools $$(LIBHPM) $$(SUITE_PROGS) vm-6.1 \
	| deps-suite deps-unit deps-cache deps-meta-test deps-hpmctl-test

# The tests to run after each change: the engine, the tools without the module,
# and one guest with the scripts that exercise most of the targets.
.PHONY: test-quick
test-quick: ## run the unit tests, the tools' tests and one short guest, in under 5 minutes
	@$(MAKE) --no-print-directory -j$(JOBS) test-build-quick
	@MAKE="$(MAKE)" BUILD=$(BUILD) GUESTS='$(QUICK_GUESTS)' \
		$(TOP)/tests/suites.sh test-unit test-vm test-cache test-meta test-hpmctl
