# SPDX-License-Identifier: GPL-2.0-only
#
# make test: all that a change must pass, in some 40 minutes on two cores.
# A directory adds its suite with TEST_SUITES += test-name.

.PHONY: test
test: ## run all test suites (unit, model, tools, guest)
	@MAKE="$(MAKE)" BUILD=$(BUILD) $(TOP)/tests/suites.sh $(sort $(TEST_SUITES))

# What is worth knowing after each change: the engine, the tools without the
# module, and one guest with the scripts that touch most of the targets.
.PHONY: test-quick
test-quick: ## unit tests, tools, and one short guest: under 5 minutes
	@MAKE="$(MAKE)" BUILD=$(BUILD) GUESTS='$(QUICK_GUESTS)' \
		$(TOP)/tests/suites.sh test-unit test-cache test-meta test-hpmctl test-vm
