# SPDX-License-Identifier: GPL-2.0-only
#
# Builds the module out of tree, for each kernel in a directory of its own:
#
#	$(BUILD)/module-<kernel>[-<variant>]/dm-hpmapper.ko
#
# A variant is a build with other answers to the questions of Kconfig, or with extra
# definitions (EXTRA=).  It has a name so that it is never mistaken for the real module:
#
#	make modules INTERCEPT=n	without DM_HPMAPPER_INTERCEPT
#	make modules FAULTS=y PAUSES=y	with DM_HPMAPPER_FAULTS and DM_HPMAPPER_PAUSES
#	make modules VARIANT=faults	the same
#	make vm VARIANT=faults CMD=...
#
# The build links the sources into that directory, because kbuild puts objects
# beside the sources.  Warnings are errors unless WERROR=0 is given.
#
# KERNEL=host is the running kernel, KERNEL=debug the kernel of debug-kernel, and
# KERNEL=kcsan the kernel of kcsan-kernel, for which the module is instrumented.

.SECONDEXPANSION:

MODULE_DIR := $(TOP)/dm-hpmapper
# The directories of sources, relative to MODULE_DIR.
MODULE_DIRS = . $(patsubst $(MODULE_DIR)/%/,%,$(sort $(dir $(wildcard $(MODULE_DIR)/*/*.c))))
MODULE_SRC  = $(wildcard $(MODULE_DIR)/*.[ch] $(MODULE_DIR)/*/*.[ch] $(MODULE_DIR)/Kbuild)
EXTRA      ?=
INTERCEPT  ?= y
FAULTS     ?= $(if $(filter faults,$(VARIANT)),y,n)
PAUSES     ?= $(if $(filter faults,$(VARIANT)),y,n)
OPTIONS     = $(INTERCEPT)$(FAULTS)$(PAUSES)
ifneq ($(filter-out y n,$(INTERCEPT) $(FAULTS) $(PAUSES)),)
$(error INTERCEPT, FAULTS and PAUSES are y or n)
endif
# A variant without a name gets the name that belongs to its options.
VARIANT_nnn := bare
VARIANT_nny := bare-pauses
VARIANT_nyn := bare-planted
VARIANT_nyy := bare-faults
VARIANT_yny := pauses
VARIANT_yyn := planted
VARIANT_yyy := faults
ifeq ($(strip $(VARIANT)),)
export VARIANT := $(VARIANT_$(OPTIONS))
endif
MODULE_CONFIG = CONFIG_DM_HPMAPPER=m CONFIG_DM_HPMAPPER_INTERCEPT=$(INTERCEPT) \
	CONFIG_DM_HPMAPPER_FAULTS=$(FAULTS) CONFIG_DM_HPMAPPER_PAUSES=$(PAUSES)
WERROR     ?= 1

SUFFIX     := $(VARIANT:%=-%)
# The kernels that were asked for, or else those that are always built.
MODULE_KERNELS = $(if $(filter file,$(origin KERNEL)),$(KERNELS_ALWAYS),$(KERNEL))
KERNELS_ALWAYS := 6.1 6.12

ifneq ($(strip $(EXTRA)),)
ifeq ($(strip $(VARIANT)),)
$(error EXTRA needs a VARIANT=name, so that the real module stays what it is)
endif
endif

PKGS_build := gcc make libc6-dev kmod libelf1 libssl3

.PHONY: deps-build
deps-build: $$(DEPS)/build ## install the packages that the build needs

# The directory in which kbuild finds the kernel $1.
KBUILD_OF = $(if $(filter host,$1),/lib/modules/$(shell uname -r)/build,$(CACHE)/kernels/$1/build)
# (BTF would need pahole and the kernel's vmlinux, which the packages of 6.1 do not have.)
KBUILD    = $(MAKE) --no-print-directory -C $(call KBUILD_OF,$1) \
	M=$(BUILD)/module-$1$(SUFFIX) $(MODULE_CONFIG) W=1 \
	CONFIG_DEBUG_INFO_BTF_MODULES= KCFLAGS="$(strip $$(cat $(BUILD)/module-$1$(SUFFIX)/flags) $(if $(filter 1,$(WERROR)),-Werror))"

LINK_SOURCES = cd $1 && find . -type l -delete && ln -s $(MODULE_DIR)/Kbuild . && \
	for d in $(MODULE_DIRS); do mkdir -p $$d; ln -s $(MODULE_DIR)/$$d/*.[ch] $$d; done

# The flags are a prerequisite; a variant keeps the flags that it was built with.
$(BUILD)/module-%/flags: FORCE
	@mkdir -p $(@D)
	@if [ ! -e $@ ] || [ "$(strip $(EXTRA))" -a "$$(cat $@)" != "$(EXTRA)" ]; then \
		echo "$(EXTRA)" >$@; fi

$(BUILD)/module-%/config: FORCE
	@mkdir -p $(@D)
	@echo "$(MODULE_CONFIG)" | cmp -s - $@ || echo "$(MODULE_CONFIG)" >$@

$(BUILD)/module-%$(SUFFIX)/dm-hpmapper.ko: $(BUILD)/module-%$(SUFFIX)/flags $(BUILD)/module-%$(SUFFIX)/config $$(MODULE_SRC) \
		$$(if $$(filter host,$$*),,$(CACHE)/kernels/%/release) | deps-build
	@[ -d $(call KBUILD_OF,$*) ] || { echo "$(call KBUILD_OF,$*) is not there: install linux-headers-$$(uname -r)" >&2; exit 1; }
	@echo "MODULE    $*$(SUFFIX)"
	@+flock $(@D).lock sh -ec '$(call LINK_SOURCES,$(@D)); $(call KBUILD,$*) modules; touch $@'

.PRECIOUS: $(BUILD)/module-%/flags $(BUILD)/module-%/config $(BUILD)/module-%/dm-hpmapper.ko

.PHONY: modules
modules: $$(foreach k,$$(MODULE_KERNELS),$(BUILD)/module-$$k$(SUFFIX)/dm-hpmapper.ko) ## build the module for 6.1 and 6.12 (or KERNEL=)

# Every combination of the options must compile for both kernels without a warning.

.PHONY: test-config
test-config: | deps-build ## build the module with each combination of INTERCEPT, FAULTS and PAUSES, for 6.1 and 6.12
	@for i in n y; do for f in n y; do for p in n y; do \
		echo "CONFIG    INTERCEPT=$$i FAULTS=$$f PAUSES=$$p"; \
		$(MAKE) --no-print-directory modules VARIANT=config INTERCEPT=$$i FAULTS=$$f PAUSES=$$p \
			>$(BUILD)/config.log 2>&1 && ! grep -i warning $(BUILD)/config.log || \
			{ cat $(BUILD)/config.log; exit 1; }; \
	done; done; done; echo "8 passed, 0 failed"

# The newest kernel: objects only, because objtool and modpost of a newer Debian do
# not run on an older one (see newest-check.sh).

$(CACHE)/kernels/newest/release: $$(VM_DIR)/newest.sh
	@mkdir -p $(CACHE)/kernels
	@flock $(CACHE)/kernels $< $(@D)

.PHONY: module-newest
module-newest: $(CACHE)/kernels/newest/release $(BUILD)/module-newest$(SUFFIX)/flags | deps-build ## compile the module against the newest kernel's headers
	@echo "MODULE    newest ($$(cat $<))"
	@+flock $(BUILD)/module-newest$(SUFFIX).lock sh -ec '$(call LINK_SOURCES,$(BUILD)/module-newest$(SUFFIX)); \
		$(call KBUILD,newest) objtool=true CC=$(VM_DIR)/newest-cc.sh \
		PAHOLE_VERSION=$$(sed -n s/CONFIG_PAHOLE_VERSION=//p $(<D)/build/.config) dm-hpmapper.o'
	@$(VM_DIR)/newest-check.sh $(BUILD)/module-newest$(SUFFIX)/dm-hpmapper.o \
		$(CACHE)/kernels/newest/build/Module.symvers

# Static checks.  Both must print nothing.

PKGS_check := sparse perl
SPARSE_LOG  = $(BUILD)/module-$1$(SUFFIX)/sparse.log

.PHONY: sparse
sparse: $(KERNELS_ALWAYS:%=sparse-%) ## run sparse over the module, for 6.1 and 6.12

.PHONY: $(KERNELS_ALWAYS:%=sparse-%)
$(KERNELS_ALWAYS:%=sparse-%): sparse-%: $(BUILD)/module-%$(SUFFIX)/dm-hpmapper.ko | deps-check
	@echo "SPARSE    $*"
	@flock $(BUILD)/module-$*$(SUFFIX).lock $(call KBUILD,$*) C=2 modules \
		>$(call SPARSE_LOG,$*) 2>&1 || { cat $(call SPARSE_LOG,$*); exit 1; }
	@! grep -E '(warning|error):' $(call SPARSE_LOG,$*)

$(CACHE)/checkpatch/checkpatch.pl: | $$(CACHE)/kernels/source/linux-source-6.1.tar.xz
	@mkdir -p $(@D)
	@tar -xf $(CACHE)/kernels/source/linux-source-6.1.tar.xz -C $(@D) \
		--strip-components=2 --wildcards '*/scripts/checkpatch.pl' \
		'*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch'
	@touch $@

.PHONY: checkpatch
checkpatch: $(CACHE)/checkpatch/checkpatch.pl | deps-check ## run checkpatch.pl --strict over the module
	@$(VM_DIR)/checkpatch.sh $< $(filter %.c %.h,$(MODULE_SRC))
