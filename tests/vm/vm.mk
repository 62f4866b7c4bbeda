# SPDX-License-Identifier: GPL-2.0-only
#
# The test machine: packages, kernels and guests.
#
# Packages.  A fragment that needs Debian packages says
#
#	PKGS_mine := package...
#	target: | deps-mine
#
# When the target is made, the missing packages are installed.
#
# Guests.  People use "make vm".  A recipe that needs a guest says
#
#	target: | vm-6.1
#		$(VM) 'command'
#
# vm-<kernel> makes everything that a guest of that kernel needs.  $(VM) is boot.sh,
# which documents its variables (KERNEL=6.12 $(VM) ...).  A fragment whose guests need
# more adds it with "VM_DEPS += target".

.SECONDEXPANSION:

VM_DIR  := $(TOP)/tests/vm
DEPS    := $(CACHE)/stamps
KERNELS := $(KERNELS_ALWAYS)
KERNEL  ?= 6.1
VM      := BUILD=$(BUILD) CACHE=$(CACHE) $(VM_DIR)/boot.sh

PKGS_vm := qemu-system-x86 kmod cpio xz-utils gcc libc6-dev \
	dmsetup fio util-linux e2fsprogs procps

$(DEPS)/%: FORCE
	@$(VM_DIR)/packages.sh $@ $(PKGS_$*)

.PHONY: FORCE
FORCE:

deps-%: $(DEPS)/% ;

.PHONY: deps-vm
deps-vm: $(DEPS)/vm ## install the packages that the guests need

# Kernels.  6.1 and 6.12 are Debian's.  debug-kernel.sh builds "debug" (KASAN, lockdep,
# kmemleak) and "kcsan" (data races); one kernel cannot have both.

META_6.1  := linux-image-amd64
META_6.12 := linux-image-6.12-amd64

$(CACHE)/kernels/%/release: | $(DEPS)/vm
	@mkdir -p $(@D:%/$*=%)
	@flock $(CACHE)/kernels $(VM_DIR)/kernels.sh $* $(META_$*) $(@D)

# The kernel's source, for these two and for checkpatch.pl.
$(CACHE)/kernels/source/linux-source-6.1.tar.xz: | $(DEPS)/vm
	@mkdir -p $(@D)
	@flock $(CACHE)/kernels $(VM_DIR)/source.sh linux-source-6.1 $@

PKGS_kernel := gcc make flex bison bc libelf-dev libssl-dev kmod xz-utils

DEBUG_KERNELS := debug kcsan

$(CACHE)/kernels/kcsan/release: $(VM_DIR)/kcsan.config

$(DEBUG_KERNELS:%=$(CACHE)/kernels/%/release): $(CACHE)/kernels/%/release: \
		$(VM_DIR)/debug.config $(VM_DIR)/debug-kernel.sh \
		$(CACHE)/kernels/source/linux-source-6.1.tar.xz | $(DEPS)/kernel
	@CACHE=$(CACHE) flock $(CACHE)/kernels/source \
		nice $(VM_DIR)/debug-kernel.sh $* $(@D) $(JOBS)

.PHONY: debug-kernel kcsan-kernel
debug-kernel: $(CACHE)/kernels/debug/release ## build the kernel with KASAN, lockdep, KUnit (10 minutes)
kcsan-kernel: $(CACHE)/kernels/kcsan/release ## build the kernel that finds the module's data races (10 minutes)

.PHONY: kernels
kernels: $(KERNELS:%=$(CACHE)/kernels/%/release) ## download and unpack the kernels

# A guest of one kernel and one build of the module (VARIANT, see module.mk).

$(BUILD)/vm/%: $(VM_DIR)/%.c $(VM_DIR)/frame.h | $(DEPS)/vm
	@mkdir -p $(@D)
	@echo "CC        $(@F)"
	@gcc -O2 -Wall -Wextra -static -o $@.$$$$ $< && mv $@.$$$$ $@

$(BUILD)/vm/initramfs-%: $(BUILD)/vm/init $(CACHE)/kernels/%/release $(VM_DIR)/initramfs.sh
	@echo "INITRAMFS $*"
	@$(VM_DIR)/initramfs.sh $(CACHE)/kernels/$* $< $@.$$$$ && mv $@.$$$$ $@

# The module that a guest gets; there is none if there is no Kbuild.
VM_KO   = $(call $(if $(filter 0,$(MODULE)),wildcard,strip),$(call KO_OF,$1))
KO_OF   = $(if $(wildcard $(TOP)/dm-hpmapper/Kbuild),$(BUILD)/module-$1$(SUFFIX)/dm-hpmapper.ko)

$(BUILD)/vm/modules-%$(SUFFIX)/stamp: $$(call VM_KO,$$*) $(CACHE)/kernels/%/release $(VM_DIR)/modules.sh
	@flock $(BUILD)/vm/lock $(VM_DIR)/modules.sh $(CACHE)/kernels/$* \
		"$(call VM_KO,$*)" $(@D)
	@touch $@

.PRECIOUS: $(BUILD)/vm/% $(BUILD)/vm/initramfs-% $(BUILD)/vm/modules-%/stamp \
	$(CACHE)/kernels/%/release $(DEPS)/%

.PHONY: vm-6.1 vm-6.12 $(DEBUG_KERNELS:%=vm-%)
ifdef HOST
vm-6.1 vm-6.12 $(DEBUG_KERNELS:%=vm-%): $$(call VM_KO,host) $$(VM_DEPS)
else
vm-6.1 vm-6.12 $(DEBUG_KERNELS:%=vm-%): vm-%: $(BUILD)/vm/relay $(BUILD)/vm/initramfs-% \
	$(BUILD)/vm/modules-%$(SUFFIX)/stamp $$(VM_DEPS)
endif

.PHONY: vm
vm: export VM_CMD = $(value CMD)
vm: $(if $(HOST),$$(call VM_KO,host) $$(VM_DEPS),vm-$(KERNEL)) ## run CMD='...' in a guest (tests/vm/boot.sh documents the options)
	@$(foreach v,KERNEL VARIANT CLOCK CPUS MEM SCM UNPLUG DISKS ARGS TIMEOUT NAME VERBOSE KVM HOST ALONE,$(if $(value $v),$v='$(value $v)')) \
		$(VM) "$$VM_CMD"

.PHONY: test-vm-smoke
test-vm-smoke: vm-6.1 vm-6.12 ## test the test machine itself
	@BUILD=$(BUILD) CACHE=$(CACHE) $(VM_DIR)/smoke.sh $(KERNELS)

PKGS_reboot := kexec-tools e2fsprogs dmsetup

.PHONY: test-reboot
test-reboot: $(BUILD)/tools/hpm_check vm-6.1 vm-6.12 | deps-reboot ## reset, reboot and kexec guests with active pools under load
	@BUILD=$(BUILD) CACHE=$(CACHE) $(VM_DIR)/reboot.sh $(KERNELS)
