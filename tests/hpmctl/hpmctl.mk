# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of the parts of hpmctl that need no module: parsing, output, OCI layouts and
# unpacking.  They run under ASan and UBSan.  tests/vm/suite/hpmctl.sh tests the
# commands themselves, in a guest.

.SECONDEXPANSION:

HPMCTL_TESTS     := $(TOP)/tests/hpmctl
HPMCTL_TEST_OUT  := $(BUILD)/tests/hpmctl
HPMCTL_TEST_PROG := $(patsubst $(HPMCTL_TESTS)/test_%.c,$(HPMCTL_TEST_OUT)/test_%,$(wildcard $(HPMCTL_TESTS)/test_*.c))
HPMCTL_LIB_SRC    = $(filter-out $(HPMCTL_DIR)/main.c,$(HPMCTL_SRC))
HPMCTL_LIB_OBJ    = $(HPMCTL_LIB_SRC:$(HPMCTL_DIR)/%.c=$(HPMCTL_TEST_OUT)/%.o) \
	$(HPMCTL_COMMON:$(TOOLS_DIR)/common/%.c=$(HPMCTL_TEST_OUT)/common/%.o)
HPMCTL_SAN       := -O1 -g -fsanitize=address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer

PKGS_hpmctl-test := libcmocka-dev tar gzip bzip2 xz-utils zstd attr acl jq e2fsprogs \
	xfsprogs dmsetup bsdutils udev

$(HPMCTL_TEST_OUT)/%.o: $(HPMCTL_DIR)/%.c $$(DEPS)/tools
	@mkdir -p $(@D)
	@echo "CC        hpmctl/$*.c (sanitized)"
	@gcc $(filter-out -O2 -D_FORTIFY_SOURCE=2,$(TOOLS_CFLAGS)) \
		$(HPMCTL_SAN) $$(pkg-config --cflags $(HPMCTL_PC)) \
		-DHPMCTL_VERSION='"test"' -MMD -MP -c -o $@ $<

$(HPMCTL_TEST_OUT)/common/%.o: $(TOOLS_DIR)/common/%.c $$(DEPS)/tools
	@mkdir -p $(@D)
	@echo "CC        common/$*.c (sanitized)"
	@gcc $(filter-out -O2 -D_FORTIFY_SOURCE=2,$(TOOLS_CFLAGS)) \
		$(HPMCTL_SAN) -MMD -MP -c -o $@ $<

$(HPMCTL_TEST_OUT)/test_%: $(HPMCTL_TESTS)/test_%.c $$(HPMCTL_LIB_OBJ) $$(DEPS)/hpmctl-test
	@echo "CC        test_$*"
	@gcc $(filter-out -O2 -D_FORTIFY_SOURCE=2,$(TOOLS_CFLAGS)) \
		$(HPMCTL_SAN) -I$(HPMCTL_DIR) -MMD -MP -o $@ $< \
		$(HPMCTL_LIB_OBJ) -lcmocka $(HPMCTL_LIBS)

-include $(HPMCTL_TEST_PROG:=.d) $(wildcard $(HPMCTL_TEST_OUT)/*.d)
.PRECIOUS: $(HPMCTL_TEST_OUT)/%.o $(HPMCTL_TEST_OUT)/common/%.o

.PHONY: test-hpmctl
test-hpmctl: $$(HPMCTL_TEST_PROG) $$(TOOLS_OUT)/hpmctl ## test the parts of hpmctl that need no module
	@HPMCTL=$(TOOLS_OUT)/hpmctl $(HPMCTL_TESTS)/run.sh $(HPMCTL_TEST_PROG)

# A library that is preloaded in the guest and makes one call of a command fail.
HPMCTL_FAULT := $(HPMCTL_TEST_OUT)/fault.so

$(HPMCTL_FAULT): $(HPMCTL_TESTS)/fault.c $$(DEPS)/tools
	@mkdir -p $(@D)
	@echo "CC        fault.so"
	@gcc $(TOOLS_CFLAGS) -fPIC -shared -o $@ $< -ldl

.PHONY: test-hpmctl-vm
test-hpmctl-vm: $$(TOOLS_OUT)/hpmctl $(HPMCTL_FAULT) | $$(DEPS)/hpmctl-test vm-6.1 ## test every command of hpmctl in a guest (ONLY='grow faults')
	@MEM=3G NAME=hpmctl TIMEOUT=2400 $(VM) \
		'HPMCTL=$(TOOLS_OUT)/hpmctl FAULT=$(HPMCTL_FAULT) $(VM_DIR)/suite/hpmctl.sh $(ONLY)'

# Makes each step of each command fail; runs the commands of the page about repairs.
.PHONY: test-repair-page
test-repair-page: $$(TOOLS_OUT)/hpmctl $(HPMCTL_FAULT) | $$(DEPS)/hpmctl-test vm-6.1 ## run the commands of when-things-go-wrong.rst, and fail each step of hpmctl (ONLY=page PAGE='host_full frozen')
	@MEM=3G NAME=page TIMEOUT=5400 $(VM) \
		'HPMCTL=$(TOOLS_OUT)/hpmctl FAULT=$(HPMCTL_FAULT) PAGE="$(PAGE)" $(VM_DIR)/suite/hpmctl.sh $(or $(ONLY),faults page)'

TEST_SUITES += test-hpmctl test-hpmctl-vm
