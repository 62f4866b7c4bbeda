# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the interceptor and the cache manager.
#
#	make test-cache		the parts that need no kernel, in user space, with
#				the address and undefined-behaviour sanitizers
#	make test-share		clones of an image, in a guest (CHURN=seconds)
#	make test-torture	clones change their files while others read theirs
#				(TIME=1200)
#	make test-races		provoke each race of a served read
#	make test-cache-faults	plant faults; the tests above must fail
#	make test-offline	memory goes offline while reads are served from it
#	make test-filesystems	file systems other than ext4 and xfs, and their use
#				of pages (TESTS=all)
#	make test-stacks	unusual devices below a pool and above its volumes
#	make test-frames	copies of freed blocks and of damaged memory are dropped
#	make test-unplug	memory is ejected while reads are served from it

CACHE_DIR    := $(TOP)/tests/cache
CACHE_OUT     = $(BUILD)/tests/cache
CACHE_CFLAGS  = $(LIBHPM_CFLAGS) -I$(CACHE_SRC_DIR) -O1 -g -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all
CACHE_SRC_DIR := $(TOP)/dm-hpmapper/cache
CACHE_PURE   := $(CACHE_SRC_DIR)/fingerprint.c $(CACHE_SRC_DIR)/evict-policy.c
CACHE_TESTS  := $(patsubst $(CACHE_DIR)/%.c,$(CACHE_OUT)/%,$(wildcard $(CACHE_DIR)/test_*.c))

PKGS_cache := gcc libc6-dev libcmocka-dev xfsprogs e2fsprogs erofs-utils \
	squashfs-tools f2fs-tools btrfs-progs

.SECONDEXPANSION:

$(CACHE_OUT)/test_%: $(CACHE_DIR)/test_%.c $(CACHE_PURE) $(CACHE_PURE:.c=.h) | $$(DEPS)/cache
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@$(CC) $(CACHE_CFLAGS) -o $@ $< $(CACHE_PURE) -lcmocka

TEST_SUITES += test-cache

.PHONY: test-cache
test-cache: $(CACHE_TESTS) ## test the fingerprint and the eviction policy, in user space
	@$(TOP)/tests/unit/run.sh $^

# In a guest.

CACHE_PROGS := $(addprefix $(BUILD)/tests/,sharefiles torture racer)

$(CACHE_PROGS): $(BUILD)/tests/%: $(CACHE_DIR)/%.c $(CACHE_DIR)/content.h $(CACHE_DIR)/move-extent.h | $$(DEPS)/cache
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@$(CC) -O2 -Wall -Wextra -static -pthread -o $@ $<

.PHONY: test-share
test-share: $(CACHE_PROGS) | vm-$$(KERNEL) ## test that clones read each other's cached copies, in a guest
	@CPUS=2 TIMEOUT=1200 $(VM) "CHURN=$(or $(CHURN),20) $(CACHE_DIR)/share.sh"

# The other tests take these variables as well: KERNEL=6.12|debug, FS=xfs,
# LRU=classic|mglru, and DISK=inline|softirq|timer|slow for how the disk completes.
CACHE_WITH = $(foreach v,FS LRU DISK,$(if $($v),$v=$($v)))

# SEED=n
test-torture: $(CACHE_PROGS) | vm-$$(KERNEL) ## change and read files in clones for TIME=1200 seconds, comparing every byte
	@CPUS=2 TIMEOUT=$$(($(TORTURE_TIME) * 2 + 600)) NAME=torture-$(KERNEL) $(VM) \
		"$(CACHE_WITH) TIME=$(TORTURE_TIME) SEED=$(SEED) $(CACHE_DIR)/torture.sh"

# A short run of the same, as part of make test.
.PHONY: test-torture-short
test-torture-short: TORTURE_TIME := 15
test-torture-short: test-torture

TORTURE_TIME = $(if $(filter command% environment%,$(origin TIME)),$(TIME),1200)

# Pause points and planted faults need a build of their own.
.PHONY: test-races test-cache-faults test-offline
test-races: $(CACHE_PROGS) ## provoke each race of a served read (TESTS='freeze dma', KERNEL=)
	@$(MAKE) --no-print-directory vm-$(KERNEL) VARIANT=faults
	@CPUS=2 VARIANT=faults NAME=races-$(KERNEL) TIMEOUT=3600 $(VM) "$(CACHE_WITH) $(CACHE_DIR)/races.sh $(TESTS)"

test-cache-faults: $(CACHE_PROGS) ## plant faults in serving reads: the tests must fail (CACHE_FAULTS='show_early evict_frozen')
	@$(MAKE) --no-print-directory vm-$(KERNEL) VARIANT=faults
	@BUILD=$(BUILD) CACHE=$(CACHE) KERNEL=$(KERNEL) $(CACHE_DIR)/faults.sh $(or $(CACHE_FAULTS),prove_nothing)

test-offline: $(CACHE_PROGS) | vm-$$(KERNEL) ## take memory offline while reads are served from it
	@CPUS=2 NAME=offline-$(KERNEL) TIMEOUT=900 ARGS="movablecore=1G $(ARGS)" $(VM) "$(CACHE_WITH) $(CACHE_DIR)/offline.sh"

.PHONY: test-filesystems test-stacks
test-filesystems: $(CACHE_PROGS) | vm-$$(KERNEL) ## test how file systems use the pages that they read into, in a guest (TESTS=all, KERNEL=)
	@CPUS=2 NAME=filesystems-$(KERNEL) TIMEOUT=1800 $(VM) "$(CACHE_DIR)/filesystems.sh $(TESTS)"

test-stacks: $(CACHE_PROGS) | vm-$$(KERNEL) ## test sharing above unusual devices, and below loop and dm-crypt (TESTS=loop, KERNEL=)
	@CPUS=2 NAME=stacks-$(KERNEL) TIMEOUT=1800 $(VM) "$(CACHE_DIR)/stacks.sh $(TESTS)"

.PHONY: test-frames test-unplug
test-frames: $(CACHE_PROGS) | vm-$$(KERNEL) ## test that copies are dropped when blocks are freed or memory is damaged, in a guest
	@CPUS=2 NAME=frames-$(KERNEL) TIMEOUT=900 $(VM) "$(CACHE_DIR)/frames.sh"

test-unplug: $(CACHE_PROGS) | vm-$$(KERNEL) ## eject memory while reads are served from it
	@CPUS=2 NAME=unplug-$(KERNEL) TIMEOUT=900 MEM=1500M UNPLUG=512M $(VM) "$(CACHE_DIR)/frames.sh unplug"

TEST_SUITES += test-share test-torture-short test-cache-faults test-filesystems \
	test-frames
