# SPDX-License-Identifier: GPL-2.0-only
#
# The entry point of all targets.  Each directory has its own fragment (*.mk).
# A target that people call has its help text after "##".

SHELL := /bin/bash
TOP   := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
# All generated files are here, and nowhere else.
BUILD ?= $(TOP)/build
# Downloads and slow build products; "make clean" keeps them.
CACHE ?= $(TOP)/.cache
JOBS  ?= $(shell nproc)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

FRAGMENTS := $(wildcard $(TOP)/tools/*/*.mk $(TOP)/*/*.mk $(TOP)/tests/*/*.mk)
include $(FRAGMENTS)

.PHONY: help
help: ## print this list
	@echo "dm-hpmapper: 4 KiB copy-on-write volumes for container hosts"
	@echo
	@grep -hE '^[a-zA-Z0-9_-]+:.*## ' Makefile $(FRAGMENTS) | sort | \
		sed -E 's/^([a-zA-Z0-9_-]+):.*## (.*)/\1|\2/' | \
		awk -F'|' '{ printf "  make %-20s %s\n", $$1, $$2 }'

.PHONY: clean
clean: ## remove all build products (but not the downloads in .cache)
	rm -rf $(BUILD)
