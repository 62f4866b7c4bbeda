# SPDX-License-Identifier: GPL-2.0-only
#
# The one entry to everything.  Each directory brings its own fragment
# (*.mk); a target that a person may call carries its help after "##".

SHELL := /bin/bash
TOP   := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
# Everything generated lives here; nothing generated lives elsewhere.
BUILD ?= $(TOP)/build
# Downloads and slow products that survive "make clean".
CACHE ?= $(TOP)/.cache
JOBS  ?= $(shell nproc)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

FRAGMENTS := $(wildcard $(TOP)/tools/*/*.mk $(TOP)/*/*.mk $(TOP)/tests/*/*.mk)
include $(FRAGMENTS)

.PHONY: help
help: ## this list
	@echo "dm-hpmapper: 4 KiB copy-on-write volumes for container hosts"
	@echo
	@grep -hE '^[a-zA-Z0-9_-]+:.*## ' Makefile $(FRAGMENTS) | sort | \
		sed -E 's/^([a-zA-Z0-9_-]+):.*## (.*)/\1|\2/' | \
		awk -F'|' '{ printf "  make %-16s %s\n", $$1, $$2 }'

.PHONY: clean
clean: ## remove what was built (not the downloads in .cache)
	rm -rf $(BUILD)
