# SPDX-License-Identifier: GPL-2.0-only
#
# make test: all that a change must pass, in under half an hour on two cores.
# A directory adds its suite with TEST_SUITES += test-name.

.PHONY: test
test: ## run all test suites (unit, model, tools, guest)
	@MAKE="$(MAKE)" BUILD=$(BUILD) $(TOP)/tests/suites.sh $(sort $(TEST_SUITES))
