# SPDX-License-Identifier: GPL-2.0-only
#
# The user-space tools:
#
#	$(BUILD)/tools/hpmctl
#
# "make tools" builds all tools that fragments have added to TOOLS.

.SECONDEXPANSION:

TOOLS_DIR  := $(TOP)/tools
TOOLS_OUT  := $(BUILD)/tools
HPMCTL_DIR := $(TOOLS_DIR)/hpmctl
# The metadata tools are built with these files, too.
HPMCTL_COMMON := $(wildcard $(TOOLS_DIR)/common/*.c)
HPM_VERSION ?= $(shell git -C $(TOP) describe --tags --always --dirty 2>/dev/null || echo 0)

PKGS_tools := gcc libc6-dev make pkg-config libdevmapper-dev libarchive-dev \
	libjansson-dev libblkid-dev nettle-dev uthash-dev zlib1g-dev
PKGS_tools-lint := clang-format clang-tidy mandoc man-db groff

TOOLS_CFLAGS := -std=gnu11 -D_GNU_SOURCE -I$(TOOLS_DIR)/common -O2 -g -Wall -Wextra -Werror \
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef \
	-Wno-missing-field-initializers -fstack-protector-strong \
	-D_FORTIFY_SOURCE=2
HPMCTL_PC     := devmapper libarchive jansson blkid nettle zlib
HPMCTL_LIBS    = $$(pkg-config --libs $(HPMCTL_PC)) -lm
HPMCTL_SRC    := $(wildcard $(HPMCTL_DIR)/*.c)
HPMCTL_OBJ    := $(HPMCTL_SRC:$(HPMCTL_DIR)/%.c=$(TOOLS_OUT)/hpmctl.o/%.o) \
	$(HPMCTL_COMMON:$(TOOLS_DIR)/common/%.c=$(TOOLS_OUT)/hpmctl.o/common/%.o)

# One object has the version; it is rebuilt when the version changes.
$(TOOLS_OUT)/hpmctl.o/version: FORCE
	@mkdir -p $(@D)
	@echo "$(HPM_VERSION)" | cmp -s - $@ || echo "$(HPM_VERSION)" >$@

$(TOOLS_OUT)/hpmctl.o/main.o: $(TOOLS_OUT)/hpmctl.o/version

$(TOOLS_OUT)/hpmctl.o/%.o: $(HPMCTL_DIR)/%.c $$(DEPS)/tools
	@mkdir -p $(@D)
	@echo "CC        hpmctl/$*.c"
	@gcc $(TOOLS_CFLAGS) $$(pkg-config --cflags $(HPMCTL_PC)) \
		-DHPMCTL_VERSION='"$(HPM_VERSION)"' -MMD -MP -c -o $@ $<

$(TOOLS_OUT)/hpmctl.o/common/%.o: $(TOOLS_DIR)/common/%.c $$(DEPS)/tools
	@mkdir -p $(@D)
	@echo "CC        common/$*.c"
	@gcc $(TOOLS_CFLAGS) -MMD -MP -c -o $@ $<

$(TOOLS_OUT)/hpmctl: $(HPMCTL_OBJ)
	@echo "LD        hpmctl"
	@gcc -o $@ $(HPMCTL_OBJ) $(HPMCTL_LIBS)

-include $(HPMCTL_OBJ:.o=.d)

TOOLS += $(TOOLS_OUT)/hpmctl

.PHONY: tools
tools: $$(TOOLS) ## build the tools

# "make install-tools DESTDIR=/tmp/x PREFIX=/usr"
PREFIX ?= /usr/local

.PHONY: install-tools
install-tools: $$(TOOLS) ## install the tools, their man pages and shell completion
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install $(TOOLS) $(DESTDIR)$(PREFIX)/sbin
	install -m 644 $(wildcard $(TOOLS_DIR)/man/*.8) \
		$(DESTDIR)$(PREFIX)/share/man/man8
	for f in $(wildcard $(TOOLS_DIR)/completion/*.bash); do \
		install -m 644 $$f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$(basename $$f .bash); \
	done

.PHONY: uninstall-tools
uninstall-tools: ## remove what install-tools has installed (DESTDIR=, PREFIX=)
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/sbin/%,$(notdir $(TOOLS))) \
		$(patsubst %,$(DESTDIR)$(PREFIX)/share/man/man8/%,$(notdir $(wildcard $(TOOLS_DIR)/man/*.8))) \
		$(patsubst %.bash,$(DESTDIR)$(PREFIX)/share/bash-completion/completions/%,$(notdir $(wildcard $(TOOLS_DIR)/completion/*.bash)))

# The files that lint-tools and format-tools look at.
HPMCTL_TEXT = $(HPMCTL_SRC) $(HPMCTL_COMMON) \
	$(wildcard $(HPMCTL_DIR)/*.h $(TOOLS_DIR)/common/*.h) \
	$(wildcard $(TOP)/tests/hpmctl/*.[ch])

.PHONY: lint-tools
lint-tools: | $$(DEPS)/tools $$(DEPS)/tools-lint ## check hpmctl with clang-format and clang-tidy, and the man pages
	@clang-format --dry-run -Werror $(HPMCTL_TEXT)
	@clang-tidy --quiet $(HPMCTL_SRC) $(HPMCTL_COMMON) -- $(TOOLS_CFLAGS) \
		$$(pkg-config --cflags $(HPMCTL_PC)) -DHPMCTL_VERSION='"0"' \
		2> >(grep -vE 'warnings generated|^Suppressed|^Use -header' >&2)
	@mandoc -Tlint -Wwarning $(wildcard $(TOOLS_DIR)/man/*.8)
	@for page in $(wildcard $(TOOLS_DIR)/man/*.8); do \
		text=$$(LC_ALL=C.UTF-8 MANROFFSEQ= MANWIDTH=80 \
			man --warnings -E UTF-8 -l -Tutf8 -Z $$page 2>&1 >/dev/null); \
		[ -z "$$text" ] || { echo "$$text"; exit 1; }; \
	done
	@bash -n $(wildcard $(TOOLS_DIR)/completion/*.bash)
	@echo "lint-tools: clean"

.PHONY: format-tools
format-tools: | $$(DEPS)/tools-lint
	@clang-format -i $(HPMCTL_TEXT)
