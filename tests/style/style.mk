# SPDX-License-Identifier: GPL-2.0-only
#
# make test-style: checkpatch checks the module, floors.sh checks which of its files call
# which, clang-format and clang-tidy check the user-space code, and docutils checks the
# documents.  Compiler warnings are errors in every build.  sparse has a target of its
# own, because it takes two builds of the module.

STYLE_RUN  = STYLE_LOG=$(BUILD)/test/style.txt $(TOP)/tests/style/run.sh
# The KUnit tests are kernel code; the headers of the shim have the kernel's style.
STYLE_TEXT = $(filter-out $(TOP)/tests/kunit/%,$(wildcard $(TOP)/tools/*/*.[ch] \
	$(TOP)/tests/*/*.[ch] $(TOP)/tests/vm/progs/*.[ch] $(TOP)/bench/*.[ch]))
STYLE_HPM  = $(filter-out $(META_DIR)/main.c $(TOP)/tests/crash/load.c,$(wildcard $(META_DIR)/*.c \
	$(LIBHPM_DIR)/*.c $(addprefix $(TOP)/tests/,unit/*.c lib/*.c meta/*.c cache/test_*.c crash/*.c)))
# A file that is compiled several times, each time with another definition, cannot be
# checked by itself.
STYLE_REST = $(filter-out $(STYLE_HPM) $(META_DIR)/main.c $(TOP)/tests/fuzz/%,$(filter %.c,$(STYLE_TEXT)))

# The build that floors.sh reads.
STYLE_BUILD = $(BUILD)/module-$(firstword $(KERNELS_ALWAYS))$(SUFFIX)

PKGS_style := python3-docutils binutils

.PHONY: floors
floors: $$(STYLE_BUILD)/dm-hpmapper.ko ## show the floors of the module; fail if a file calls one above it
	@$(TOP)/tests/style/floors.sh $(STYLE_BUILD)

.PHONY: test-style
test-style: $(CACHE)/checkpatch/checkpatch.pl $$(STYLE_BUILD)/dm-hpmapper.ko | $$(DEPS)/tools $$(DEPS)/tools-lint $$(DEPS)/unit $$(DEPS)/check $$(DEPS)/style ## run checkpatch, the check of floors, clang-format, clang-tidy and docutils
	@mkdir -p $(BUILD)/test && >$(BUILD)/test/style.txt
	@$(STYLE_RUN) format $(STYLE_TEXT)
	@$(STYLE_RUN) doc $(wildcard $(TOP)/Documentation/*.rst)
	@$(STYLE_RUN) floors $(STYLE_BUILD)
	@$(STYLE_RUN) says $(wildcard $(MODULE_DIR)/engine/*.c)
	@$(STYLE_RUN) suites
	@$(STYLE_RUN) checkpatch $< $(filter %.c %.h,$(MODULE_SRC))
	@$(STYLE_RUN) tidy "$(META_CFLAGS) -I$(ENGINE_DIR) -I$(CACHE_SRC_DIR) -I$(TOP)/tests/meta -I$(TEST_LIB_DIR) -O2" $(STYLE_HPM)
	@$(STYLE_RUN) tidy "$(filter-out -Werror,$(TOOLS_CFLAGS)) $$(pkg-config --cflags $(HPMCTL_PC)) \
		-iquote $(HPMCTL_DIR) -DHPMCTL_VERSION=\"0\"" $(STYLE_REST)
	@$(STYLE_RUN) total
