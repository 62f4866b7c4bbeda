# SPDX-License-Identifier: GPL-2.0-only
#
# make demo: imports a real image, clones containers from it, and runs a service in
# each.

PKGS_demo := mmdebstrap crun tar e2fsprogs xz-utils xxhash diffutils
PKGS_plot := gnuplot-nox

DEMO_IMAGE := $(CACHE)/demo
DEMO_TABLE := $(BUILD)/vm/out/demo-table.txt

$(DEMO_IMAGE)/redis.tar: $(TOP)/bench/demo-image.sh | deps-demo
	@$(TOP)/bench/demo-image.sh $(DEMO_IMAGE)
	@touch $@

.PHONY: demo
demo: $(DEMO_IMAGE)/redis.tar $(BUILD)/tools/hpmctl $(BUILD)/bench/msgtime | vm-$(or $(KERNEL),6.1) ## import an image, clone eight containers from it, and show what they take
	@DISKS=8G MEM=3G CPUS=2 $(VM) \
		'IMAGE=$(DEMO_IMAGE) MSGTIME=$(BUILD)/bench/msgtime $(TOP)/bench/demo-guest.sh'

.PHONY: demo-figure
demo-figure: | deps-plot ## draw Documentation/demo.svg from the last demo's table
	@$(TOP)/bench/demo-plot.sh $(DEMO_TABLE) $(TOP)/Documentation/demo.svg
