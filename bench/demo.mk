# SPDX-License-Identifier: GPL-2.0-only
#
# make demo: a real image, containers cloned from it, a service in each.

PKGS_demo := mmdebstrap crun tar e2fsprogs xz-utils xxhash diffutils gnuplot-nox

DEMO_IMAGE := $(CACHE)/demo

$(DEMO_IMAGE)/redis.tar: $(TOP)/bench/demo-image.sh | deps-demo
	@$(TOP)/bench/demo-image.sh $(DEMO_IMAGE)
	@touch $@

.PHONY: demo
demo: $(DEMO_IMAGE)/redis.tar $(BUILD)/tools/hpmctl | vm-$(or $(KERNEL),6.1) ## an image, eight containers cloned from it, and what they cost
	@DISKS=8G MEM=3G CPUS=2 IMAGE=$(DEMO_IMAGE) $(VM) \
		'IMAGE=$(DEMO_IMAGE) $(TOP)/bench/demo-guest.sh'
