# SPDX-License-Identifier: GPL-2.0-only
#
# The metadata tools: hpm_check, hpm_dump, hpm_restore, hpm_repair,
# hpm_metadata_size, hpm_ls, hpm_delta.  Each tool is main.c compiled for that tool,
# linked with the other files of this directory and with the metadata engine.

.SECONDEXPANSION:

META_DIR    := $(TOP)/tools/meta
META_OUT    := $(BUILD)/tools/meta.o
META_TOOLS  := hpm_check hpm_dump hpm_restore hpm_repair hpm_metadata_size \
	hpm_ls hpm_delta
META_SRC    := $(filter-out $(META_DIR)/main.c,$(wildcard $(META_DIR)/*.c))
ENGINE_USERS += tools/meta/mend.c
META_HDR    := $(wildcard $(META_DIR)/*.h)
META_CFLAGS  = $(LIBHPM_CFLAGS) -I$(META_DIR) -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wno-missing-field-initializers -pthread
META_OPT    := -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
META_OBJ     = $(META_SRC:$(META_DIR)/%.c=$(META_OUT)/%.o)

$(META_OUT)/%.o: $(META_DIR)/%.c $$(LIBHPM_HDR) $(META_HDR) | $$(DEPS)/tools
	@mkdir -p $(@D)
	@echo "CC        meta/$*.c"
	@gcc $(META_CFLAGS) $(META_OPT) \
		-DHPM_TOOLS_VERSION='"$(HPM_VERSION)"' -c -o $@ $<

$(META_TOOLS:%=$(BUILD)/tools/%): $(BUILD)/tools/%: $(META_DIR)/main.c \
		$$(META_OBJ) $$(LIBHPM) | $$(DEPS)/tools
	@echo "LD        $*"
	@gcc $(META_CFLAGS) $(META_OPT) -DTOOL_MAIN=$*_main -o $@ $< \
		$(META_OBJ) $(LIBHPM) -lm

TOOLS += $(META_TOOLS:%=$(BUILD)/tools/%)
# Scripts in a guest may use the tools.
VM_DEPS += $(META_TOOLS:%=$(BUILD)/tools/%)

META_TEXT = $(wildcard $(META_DIR)/*.[ch] $(TOP)/tests/meta/*.[ch] \
	$(TOP)/tests/fuzz/*.[ch])

.PHONY: lint-meta
lint-meta: | $$(DEPS)/tools $$(DEPS)/tools-lint ## check the metadata tools with clang-format and clang-tidy, and their man pages
	@clang-format --dry-run -Werror $(META_TEXT)
	@clang-tidy --quiet $(META_SRC) -- $(META_CFLAGS) -I$(ENGINE_DIR) -O2 \
		2> >(grep -vE 'warnings generated|^Suppressed|^Use -header' >&2)
	@mandoc -Tlint -Wwarning $(META_TOOLS:%=$(TOP)/tools/man/%.8)
	@echo "lint-meta: clean"
